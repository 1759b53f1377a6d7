"""Binary frames: byte for byte what a slow and plain encoder writes, and what a client reads."""

from dataclasses import replace

import numpy as np
import orjson
import pytest

from engine.schema.channels import CHANNELS, QUOTE, TRADE
from engine.schema.deltas import DELTA_HEAD
from engine.schema.slots import CODE_BYTES
from gateway.binary import FEW, HEADER, KEY, MERGED, BinaryCodec
from gateway.directory import Directory
from gateway.encode import REQUESTED, JsonCodec
from gateway.merge import MergedPart
from tests.gateway.binary_gallery import (
    GOLDEN,
    SUMS,
    frames_of,
    golden_frames,
    golden_text,
    plain_payload,
    sums_of,
    websocket,
)
from tests.gateway.client import split_frames
from tests.gateway.market import Market

PUBLIC = [channel for channel in CHANNELS if channel.public]
CODES = ("FPT", "VN30F2108", "A" * CODE_BYTES)
EPOCH = 1_626_314_400_000_000_000
# What receivers have: everything, nothing, asked for it; or a mix of these.
PREVS = {"d": "d", "first": "f", "asked": "r", "mixed": "dfr", "first and asked": "fr"}
SIZES = (1, 2, FEW, FEW + 1, 40)


@pytest.fixture(scope="module")
def directory():
    directory = Directory(64)
    market = Market(*CODES)
    directory.learn(market.latest["symbol"][1 : len(CODES) + 1])
    return directory


def random_rows(channel, count, rng):
    """Rows of any bytes, of a few keys, each key's in order."""
    rows = np.frombuffer(rng.bytes(count * channel.dtype.itemsize), channel.dtype).copy()
    rows["symbol_id"] = rng.integers(1, len(CODES) + 1, count)
    rows["seq"] = np.cumsum(rng.integers(1, 1_000_000_000_000, count))
    return rows


def random_prev(rows, kinds, rng):
    known = rows["seq"] - np.minimum(rng.integers(1, 50, len(rows)), rows["seq"] - 1)
    kind = rng.choice(list(kinds), len(rows))
    return np.where(kind == "f", 0, np.where(kind == "r", REQUESTED, np.maximum(known, 1)))


def random_merged(count, rng):
    columns = [rng.integers(-(2**40), 2**40, count) for _ in range(3 + len(SUMS))]
    counts = rng.integers(0, 3, count)
    return MergedPart(counts, *columns[:3], dict(zip(SUMS, columns[3:], strict=True)))


def plain_frames(channel, directory, rows, prev, merged=None):
    """The twin: one frame after the other."""
    return [
        websocket(
            plain_payload(
                channel,
                directory.code,
                rows[i],
                int(prev[i]),
                str(EPOCH),
                sums_of(merged, i) if merged else None,
            )
        )
        for i in range(len(rows))
    ]


def encode(channel, directory, rows, prev, merged=None):
    epochs = [] if (prev > 0).all() else [str(EPOCH)] * len(rows)
    return BinaryCodec(channel, directory).encode(rows, prev, epochs, merged)


@pytest.mark.parametrize("kinds", PREVS)
@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_the_codec_and_the_plain_encoder_agree(channel, kinds, directory):
    rng = np.random.default_rng(channel.code)
    for count in SIZES:
        rows = random_rows(channel, count, rng)
        prev = random_prev(rows, PREVS[kinds], rng)
        expected = plain_frames(channel, directory, rows, prev)
        encoded = encode(channel, directory, rows, prev)
        assert encoded.frames() == expected
        assert encoded.select(None) == b"".join(expected)
        assert encoded.select(None) == b"".join(expected), "asked a second time"


@pytest.mark.parametrize("kinds", PREVS)
def test_aggregates_stand_in_frames_that_are_news(kinds, directory):
    rng = np.random.default_rng(7)
    for count in SIZES:
        rows = random_rows(TRADE, count, rng)
        prev = random_prev(rows, PREVS[kinds], rng)
        merged = random_merged(count, rng)
        expected = plain_frames(TRADE, directory, rows, prev, merged)
        assert encode(TRADE, directory, rows, prev, merged).frames() == expected


@pytest.mark.parametrize("kinds", PREVS)
@pytest.mark.parametrize("count", SIZES)
def test_a_mask_keeps_frames_of_its_rows_in_their_order(kinds, count, directory):
    rng = np.random.default_rng(count)
    rows = random_rows(TRADE, count, rng)
    prev = random_prev(rows, PREVS[kinds], rng)
    frames = plain_frames(TRADE, directory, rows, prev)
    encoded = encode(TRADE, directory, rows, prev)
    for keep in (rng.random(count) < 0.5, np.zeros(count, bool), np.ones(count, bool)):
        expected = b"".join(frame for frame, kept in zip(frames, keep, strict=True) if kept)
        assert encoded.select(keep) == expected


@pytest.mark.parametrize("merged", [None, MergedPart(*[np.zeros(0, np.int64)] * 4, {})])
def test_nothing_is_nothing(merged, directory):
    encoded = encode(TRADE, directory, np.zeros(0, TRADE.dtype), np.zeros(0, np.int64), merged)
    assert encoded.select(None) == b""
    assert encoded.frames() == []


@pytest.mark.parametrize("payload_bytes", [125, 126, 65_535, 65_536])
def test_the_websocket_header_fits_the_length(payload_bytes, directory):
    blob = payload_bytes - HEADER.itemsize - np.dtype(DELTA_HEAD).itemsize
    channel = replace(QUOTE, dtype=np.dtype([*DELTA_HEAD, ("blob", f"V{blob}")]))
    rows = random_rows(channel, FEW + 1, np.random.default_rng(1))
    prev = rows["seq"] - 1
    expected = plain_frames(channel, directory, rows, prev)
    assert encode(channel, directory, rows, prev).frames() == expected
    assert encode(channel, directory, rows[:1], prev[:1]).frames() == expected[:1]


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_a_client_reads_the_rows_as_they_were(channel, directory):
    rng = np.random.default_rng(3)
    rows = random_rows(channel, 20, rng)
    prev = random_prev(rows, "dfr", rng)
    for frame, row, had in zip(
        encode(channel, directory, rows, prev).frames(), rows, prev.tolist(), strict=True
    ):
        (payload,) = split_frames(b"\x81" + frame[1:])
        header = np.frombuffer(payload, HEADER, 1)[0]
        at = HEADER.itemsize
        if header["type"] == 1:
            key = np.frombuffer(payload, KEY, 1, at)[0]
            code = directory.code(int(row["symbol_id"]))
            assert (key["epoch"], key["topic"].decode()) == (EPOCH, f"{channel.name}.{code}")
            at += KEY.itemsize
        read = np.frombuffer(payload, channel.dtype, header["count"], at)
        assert read.tobytes() == row.tobytes()
        assert at + read.nbytes == len(payload)
        n = {0: row["seq"], REQUESTED: 0}.get(had, row["seq"] - had)
        assert read["seq"][-1] - header["first_seq"] + 1 == n


def test_both_formats_tell_the_same_of_the_same_rows():
    """Topic, ch, seq, n, epoch and aggregates; the JSON codec knows nothing of binary."""
    market = Market(*CODES)
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1 : len(CODES) + 1])
    rows = np.array([market.trade(code) for _ in range(8) for code in CODES])
    rng = np.random.default_rng(5)
    prev = np.minimum(random_prev(rows, "dfr", rng), rows["seq"] - 1)
    merged = random_merged(len(rows), rng)
    epochs = [str(EPOCH)] * len(rows)
    texts = split_frames(
        JsonCodec(TRADE, directory).encode(rows, prev, epochs, merged).select(None)
    )
    frames = encode(TRADE, directory, rows, prev, merged).frames()
    for text, frame in zip(texts, frames, strict=True):
        said = orjson.loads(text)
        (payload,) = split_frames(b"\x81" + frame[1:])
        header = np.frombuffer(payload, HEADER, 1)[0]
        assert said["op"] == {1: "snap", 2: "d"}[int(header["type"])]
        assert said["ch"] == header["ch"]
        assert said["seq"] - said["n"] + 1 == header["first_seq"]
        at = HEADER.itemsize
        if said["op"] == "snap":
            key = np.frombuffer(payload, KEY, 1, at)[0]
            assert said["topic"] == key["topic"].decode()
            assert said["epoch"] == str(key["epoch"])
            at += KEY.itemsize
        assert ("merged" in said) == bool(header["flags"] & 1)
        if "merged" in said:
            read = np.frombuffer(payload, MERGED, 1, at)[0]
            assert said["merged"]["count"] == read["count"]
            assert said["merged"].get("value_vnd", 0) == read["value_vnd"]
            assert said["merged"].get("low", 0) * 100 == pytest.approx(float(read["low_e2"]))


def test_a_key_may_come_first_and_go_on_in_one_batch(directory):
    rows = random_rows(TRADE, 30, np.random.default_rng(9))
    rows["symbol_id"] = 1
    prev = np.concatenate([[0], rows["seq"][:-1]])
    frames = encode(TRADE, directory, rows, prev).frames()
    sizes = {len(frame) for frame in frames[1:]}
    assert len(frames[0]) == sizes.pop() + KEY.itemsize + 2  # and a longer WebSocket header
    assert not sizes
    firsts = [np.frombuffer(frame, HEADER, 1, len(frame) % 8)["first_seq"][0] for frame in frames]
    assert firsts == sorted(firsts)


def test_an_epoch_that_is_no_number_is_a_bug(directory):
    rows = random_rows(TRADE, 1, np.random.default_rng(1))
    with pytest.raises(ValueError, match="invalid literal"):
        BinaryCodec(TRADE, directory).encode(rows, np.array([0]), ["yesterday"])


# --- the golden file ------------------------------------------------------------------------------


def test_frames_are_as_promised():
    promised = list(frames_of(GOLDEN.read_text(encoding="utf-8")))
    made = list(golden_frames())
    assert [data for _, data in promised] == [frame for _, _, frame in made]


def test_the_golden_file_explains_itself_rightly():
    assert GOLDEN.read_text(encoding="utf-8") == golden_text()

"""Bus messages: golden bytes, both directions, and every refusal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bus import wire
from engine.bus.wire import BusFrame, Refusal, Refused, decode, encode
from engine.schema import SCHEMA_U64
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, QUOTE, STATS, SYMBOL, TRADE


def quotes(*seqs):
    rows = np.zeros(len(seqs), QUOTE.dtype)
    rows["seq"], rows["symbol_id"] = seqs, 7
    rows["bid_price_e2"] = 2_530_000
    return rows


def test_golden_bytes_of_an_empty_delta():
    message = encode(BusKind.DELTA, 3, -2, 9, 1_000)
    assert message == (
        SCHEMA_U64.to_bytes(8, "little")  # schema
        + (-2).to_bytes(8, "little", signed=True)  # epoch
        + (9).to_bytes(8, "little")  # frame_seq
        + (1_000).to_bytes(8, "little")  # publish_ns
        + bytes([3, 0, 1, 0])  # shard, kind
        + bytes(4)
    )  # section_count


def test_golden_bytes_of_a_section():
    rows = quotes(1, 2)
    message = encode(BusKind.SNAPSHOT, 0, 1, 1, 1, [(QUOTE, rows)])
    assert message[:40] == encode(BusKind.SNAPSHOT, 0, 1, 1, 1)[:36] + bytes([1, 0, 0, 0])
    assert message[40:48] == bytes([2, 0, 0, 0, 2, 0, 0, 0])  # channel 2, two rows
    assert message[48:] == rows.tobytes()
    assert len(message) == 40 + 8 + 2 * 56


def test_round_trip_of_every_channel():
    sections = [(channel, np.zeros(count, channel.dtype)) for count, channel in enumerate(CHANNELS)]
    for index, (_, rows) in enumerate(sections):
        rows["seq"] = np.arange(len(rows)) + 10 * index
    frame = decode(encode(BusKind.DELTA, 15, 77, 5, 99, sections))
    assert isinstance(frame, BusFrame)
    assert (frame.kind, frame.shard, frame.epoch, frame.frame_seq, frame.publish_ns) == (
        BusKind.DELTA,
        15,
        77,
        5,
        99,
    )
    for (channel, rows), (got_channel, got) in zip(sections, frame.sections, strict=True):
        assert got_channel is channel
        assert got.dtype == rows.dtype
        assert got.tobytes() == rows.tobytes()
        assert not got.flags.writeable


def corrupted(at, value):
    message = bytearray(encode(BusKind.DELTA, 0, 1, 1, 1, [(QUOTE, quotes(1, 2, 3))]))
    message[at : at + len(value)] = value
    return bytes(message)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", Refusal.SHORT),
        (bytes(39), Refusal.SHORT),
        (bytes(wire.MESSAGE_BYTES_MAX + 1), Refusal.TOO_LARGE),
        (bytes(40), Refusal.SCHEMA),
        (corrupted(0, b"\0"), Refusal.SCHEMA),
        (corrupted(34, b"\0\0"), Refusal.KIND),
        (corrupted(34, b"\4\0"), Refusal.KIND),
        (corrupted(32, b"\x11\0"), Refusal.SHARD),
        (corrupted(36, b"\2\0\0\0"), Refusal.LENGTH),  # a section too many
        (corrupted(36, b"\xff\xff\xff\xff"), Refusal.LENGTH),
        (corrupted(36, b"\0\0\0\0"), Refusal.LENGTH),  # bytes that belong to no section
        (corrupted(40, len(CHANNELS).to_bytes(4, "little")), Refusal.CHANNEL),
        (corrupted(40, b"\xff\xff\xff\xff"), Refusal.CHANNEL),
        (corrupted(44, b"\4\0\0\0"), Refusal.LENGTH),  # a row too many
        (corrupted(44, b"\xff\xff\xff\xff"), Refusal.LENGTH),
        (corrupted(44, b"\2\0\0\0"), Refusal.LENGTH),
        (corrupted(34, b"\3\0"), Refusal.LENGTH),  # a snapshot's end with rows
    ],
)
def test_refusals(message, reason):
    refused = decode(message)
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    assert refused.text


def test_the_board_beside_sixteen_shards_is_the_last_source():
    frame = decode(corrupted(32, b"\x10\0"))
    assert isinstance(frame, BusFrame)
    assert frame.shard == 16


def test_the_schema_refusal_names_both_and_says_what_to_do():
    refused = decode(bytes(40))
    assert f"{0:016x}" in refused.text
    assert f"{SCHEMA_U64:016x}" in refused.text
    assert "restart" in refused.text


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(data):
    assert isinstance(decode(data), Refused | BusFrame)


@settings(max_examples=300)
@given(st.data())
def test_any_mutation_is_refused_or_read_within_bounds(data):
    sections = [
        (TRADE, np.zeros(2, TRADE.dtype)),
        (STATS, np.zeros(1, STATS.dtype)),
        (SYMBOL, np.zeros(3, SYMBOL.dtype)),
    ]
    message = bytearray(encode(BusKind.DELTA, 0, 1, 1, 1, sections))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(8, 80))  # header and first section
        message[at] = data.draw(st.integers(0, 255))
    message = bytes(message[: data.draw(st.integers(0, len(message)))])
    frame = decode(message)
    if isinstance(frame, BusFrame):
        rows_bytes = sum(rows.nbytes + 8 for _, rows in frame.sections)
        assert rows_bytes + 40 == len(message) == frame.size_bytes

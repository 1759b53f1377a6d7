"""The room as a whole: order, counting, batching, limits."""

import numpy as np
import pytest

from engine.decode.decoder import Decoder
from engine.decode.frames import FRAME_BYTES_MAX, FrameBatch
from engine.schema.codes import Reject
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import SLOT
from tests.oracle.decode_frames import (
    TYPES,
    Decoded,
    assert_batching_is_invisible,
    compare,
    envelope,
    frame,
    hub,
    new_symbols,
    record,
)
from tests.oracle.decode_v3 import RECV_NS, compare_v3, v3


def mixed_frames():
    """Fast and slow, good and bad, single and joint."""
    frames = []
    for code in ("SSI", "HPG", "FPT", "ACB"):
        joint = [envelope(kind, record(kind, Symbol=code)) for kind in ("X-TRADE", "F", "R")]
        frames += [
            frame("X", Symbol=code),
            frame("X-QUOTE", Symbol=code, BidVol2=None),  # declined by the scanner
            b"{}",
            b"garbage",
            hub(joint[0], envelope("ZZ", {}), *joint[1:]),
            hub(*joint),
            frame("X-TRADE", Symbol=code, LastVol=-1),  # refused
            frame("MI"),
            frame("B", Symbol=code),
        ]
    return frames


@pytest.mark.parametrize("frames_per_batch", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("out_slots", [256, 65_536])
def test_batching_is_invisible(frames_per_batch, out_slots):
    assert_batching_is_invisible(mixed_frames(), [frames_per_batch], out_slots=out_slots)


def test_counters():
    decoded = Decoded().feed(frame("X"), frame("X"), b"{}", b"?", frame("F", Time="14:45:09"))
    assert decoded.count("messages") == 4
    assert decoded.count("slots") == len(decoded.slots) == 1 + 2 + 2 + 1
    assert decoded.count("oracle_frames") == 3  # the first X introduces SSI
    assert decoded.count("keepalives") == 1
    assert decoded.rejected == {"FRAME_NOT_JSON": 1}
    assert decoded.count("symbols") == 1
    assert decoded.count("last_exch_s") == 1786693509  # 2026-08-14T14:45:09+07:00
    assert list(decoded.slots["recv_ns"]) == [1000] * 3 + [1001] * 2 + [1004]
    decoded.assert_conserved()


def test_the_first_sample_of_each_reason_is_kept():
    decoded = Decoded().feed(b"first" + b"." * 5000, b"second", hub("{"))
    assert decoded.decoder.samples == {
        Reject.FRAME_NOT_JSON: b"first" + b"." * 2043,
        Reject.MESSAGE_NOT_JSON: hub("{"),
    }


def test_a_frame_too_large_is_counted_without_its_space():
    batch = FrameBatch(4096, 4)
    huge = frame("F") + b" " * FRAME_BYTES_MAX
    for each in (frame("F"), huge, frame("F")):
        assert batch.append(each, 1)
    assert batch.oversize == {1: (len(huge), huge[:2048])}
    counters = np.zeros(1, INGEST_COUNTERS)
    decoder = Decoder(new_symbols(), counters)
    out = np.zeros(65_536, SLOT)
    assert decoder.decode(batch, 0, out) == (3, 3)
    assert counters["rejected"][0][Reject.FRAME_TOO_LARGE] == 1
    assert counters["messages"] == 3
    assert counters["oracle_frames"] == 1
    assert decoder.samples[Reject.FRAME_TOO_LARGE] == huge[:2048]


@pytest.mark.jit
def test_the_largest_frame_fits():
    messages = [envelope("X", record("X"))] * 400
    raw = hub(*messages)
    assert FRAME_BYTES_MAX // 2 < len(raw) < FRAME_BYTES_MAX
    decoded = Decoded().feed(raw, raw)
    assert len(decoded.slots) == 1 + 4 * 400
    assert decoded.count("oracle_frames") == 1


def test_out_too_small_for_a_frame_is_the_callers_mistake():
    with pytest.raises(ValueError, match="out holds 4 slots"):
        Decoded().feed(frame("X"), out_slots=4)


def test_a_full_symbol_table_rejects_new_symbols_only():
    decoded = Decoded(symbols_capacity=3)
    decoded.feed(*(frame("F", Symbol=code) for code in ("AAA", "BBB", "CCC", "AAA", "DDD", "BBB")))
    assert decoded.rejected == {"SYMBOLS_FULL": 2}
    assert list(decoded.slots["symbol_id"]) == [1, 1, 2, 2, 1, 2]
    decoded.assert_conserved()


def test_every_type_ends_as_its_slots():
    decoded = Decoded().feed(*(frame(kind) for kind in TYPES))
    kinds = [int(kind) for kind in decoded.slots["kind"] if kind != 8]
    assert kinds == [5, 1, 2, 2, 1, 4, 3, 6, 7]
    assert {int(source) for source in decoded.slots["source_type"]} == set(range(1, 9))


STAMP_NS = 1_786_693_500 * 1_000_000_000  # 2026-08-14T14:45:00+07:00, the canonical v2 stamp


@pytest.mark.parametrize(
    ("recv_ns", "horizon_s", "refused"),
    [
        (STAMP_NS, 0, False),
        (STAMP_NS - 1, 0, True),
        (STAMP_NS - 60 * 10**9, 60, False),
        (STAMP_NS - 60 * 10**9 - 1, 60, True),
        (STAMP_NS + 10**18, 0, False),  # old news is no matter of the horizon
        (0, None, False),
    ],
)
@pytest.mark.parametrize("kind", TYPES)
def test_a_stamp_beyond_the_horizon_is_refused(kind, recv_ns, horizon_s, refused):
    decoded = compare(frame(kind), horizon_s=horizon_s, recv_ns=recv_ns)
    assert decoded.rejected == ({"BAD_TIME": 2} if refused else {})


@pytest.mark.parametrize(("early_ns", "refused"), [(0, False), (1, True)])
@pytest.mark.parametrize("kind", ["trade", "quote", "room", "market.flag", "trade.index"])
def test_a_v3_stamp_beyond_the_horizon_is_refused(kind, early_ns, refused):
    stamp_ns = 1_786_693_503 * 1_000_000_000
    decoded = compare_v3(v3(kind), horizon_s=30, recv_ns=stamp_ns - 30 * 10**9 - early_ns)
    assert decoded.rejected == ({"BAD_TIME": 2} if refused else {})


def test_the_horizon_holds_for_known_symbols_too():
    """The scanner alone meets these: it must decline, and the oracle say why."""
    for protocol, good in (("v2", frame("X-TRADE")), ("v3", v3("trade"))):
        decoded = Decoded(protocol=protocol, horizon_s=60).feed(good, good, recv_ns=RECV_NS)
        assert not decoded.rejected
        decoded.feed(good, recv_ns=RECV_NS - 120 * 10**9)
        assert decoded.rejected == {"BAD_TIME": 1}


def test_a_flood_of_odd_frames_gives_the_caller_its_turn():
    counters = np.zeros(1, INGEST_COUNTERS)
    decoder = Decoder(new_symbols(), counters)
    batch = FrameBatch(1 << 16, 16)
    for each in (b"?", frame("F"), frame("F"), b"{}", b"?", frame("F"), b"?"):
        batch.append(each, 1)
    out = np.zeros(65_536, SLOT)
    turns, at = [], 0
    while at < batch.count:
        at, count = decoder.decode(batch, at, out, oracle_max=2)
        turns.append((at, count))
    # The first F introduces SSI, so it is an oracle's frame too; the last turn ends with the batch.
    assert turns == [(2, 2), (5, 1), (7, 1)]
    assert counters["oracle_frames"][0] == 5
    assert decoder.decode(batch, 4, out, oracle_max=1) == (5, 0)  # a turn may bring no slot


def test_an_oracle_limit_that_allows_nothing_is_the_callers_mistake():
    with pytest.raises(ValueError, match="oracle_max is 0"):
        Decoded().feed(frame("F"), oracle_max=0)


def test_a_protocol_nobody_speaks():
    with pytest.raises(ValueError, match="protocol is 'v4', allowed: v2, v3"):
        Decoded(protocol="v4")

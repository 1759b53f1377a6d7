"""The fast path of v3: what it must take itself, and where it must not read."""

import itertools

import numpy as np
import pytest

from engine.decode.frames import FrameBatch
from engine.decode.scan import target_over
from engine.decode.v3_scanner import V3Scanner
from engine.schema.codes import Venue
from engine.schema.slots import SLOT
from tests.oracle.decode_frames import Decoded
from tests.oracle.decode_v3 import (
    CANONICAL_V3,
    HOT,
    RECV_NS,
    compare_v3,
    frame_v3,
    v3,
    without,
)


def warm(**settings):
    """Return a decoder that knows SSI, and that counts the oracle's frames from now on."""
    decoded = Decoded(protocol="v3", **settings).feed(v3("market"), recv_ns=RECV_NS)
    decoded.counters["oracle_frames"] = 0
    return decoded


def assert_scanned(*frames):
    decoded = warm().feed(*frames, recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 0
    assert not decoded.rejected
    compare_v3(v3("market"), *frames)


def test_takes_trades_and_quotes_in_the_documented_order():
    assert_scanned(*(v3(kind) for kind in HOT))


@pytest.mark.parametrize("kind", HOT)
def test_takes_keys_in_any_order(kind):
    topic, data = CANONICAL_V3[kind]
    items = list(data.items())
    orders = [items[i:] + items[:i] for i in range(len(items))] + [items[::-1]]
    assert_scanned(*(frame_v3(topic, dict(each)) for each in orders))


@pytest.mark.parametrize(
    "raw",
    [
        v3("trade", p="24500.0", q="1800.0", v="34016200", a="24642.228", o="0"),
        v3("trade", p=24500, q=1800.0, v=34016200.0),
        v3("trade", p=0.1, q=1, v=9),
        v3("trade", si="U"),
        v3("trade", si=None, o=None, h=None, l=None, a=None),
        v3("trade", si="", b="HOSE", ss="LO"),
        v3("trade", b=None, ss="SOMETHING"),
        without("trade", "o", "h", "l", "a", "si"),
        v3("trade", x=1, yy="plain", zzzz=None, w=True, u=False, n=-1.5),
        v3("trade", a="NaN"),
        v3("quote", bids=[], asks=[]),
        v3("quote", bids=[["ATO", 14000], [24450.0, 100]], asks=[["ATC", "14000"], ["0.0", 0]]),
        v3("quote", bids=[["24450.0", "1200.0"]], asks=[[24500, 700]]),
        v3("quote", b="HOSE", ss="ATO"),
        v3("trade", t="2026-08-14 14:45:03"),
        v3("trade", t="2026-08-14T14:45:03"),
        v3("trade", t="2026-08-14T14:45:03.123"),
        v3("trade", t="14/08/2026 14:45:03"),
        v3("trade", t="14:45:03"),
        v3("trade", t=1786693503),
        v3("quote", t=1786693503999),
        frame_v3("trade.*", CANONICAL_V3["trade"][1]),
        frame_v3("trade.SSI@tick", CANONICAL_V3["trade"][1]),
        frame_v3("trade.VN30@*", CANONICAL_V3["trade"][1]),
        frame_v3("trade.HNXUPCOMINDEX-LONGER", CANONICAL_V3["trade"][1]),
        frame_v3("quote.HOSE@*", CANONICAL_V3["quote"][1]),
    ],
)
def test_takes_the_feeds_likely_variations(raw):
    assert_scanned(raw)


@pytest.mark.parametrize(
    "raw",
    [
        frame_v3("trade.SSI@1m", CANONICAL_V3["trade"][1]),  # a candle is no trade
        frame_v3("trade.index.SSI", CANONICAL_V3["trade"][1]),
        frame_v3("trade.INDEX.SSI", CANONICAL_V3["trade"][1]),
        frame_v3("trade.SSI@1d", CANONICAL_V3["trade"][1]),
        v3("trade", s="NEW"),
        v3("trade", v=None),
        v3("trade", p=-1),
        v3("trade", p=20_000_000.01),
        v3("trade", new=[]),
        v3("trade").replace(b'"p":', b'"p":24500.0,"p":'),
        v3("trade").replace(b'"q"', b'"\\u0071"'),
        v3("trade").replace(b":1800,", b": 1800,"),
        v3("trade").replace(b"}}", b"},}"),
        v3("trade") + b"}",
        v3("trade") + b" ",
        v3("quote", bids=[[1.0, 1]] * 11),
        v3("quote", bids=[["MP", 100]]),
        v3("quote", bids=[[1.0, 1, 7]]),
        without("quote", "asks"),
        v3("trade", t="2026-08-14T14:45:03Z"),
        v3("trade", t="1786693503"),
        v3("trade", t=1786693503.5),
    ],
)
def test_leaves_the_rest_to_the_oracle(raw):
    decoded = warm().feed(raw, recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 1
    compare_v3(v3("market"), raw)


def test_leaves_a_symbol_without_a_venue_that_learns_one_to_the_oracle():
    decoded = Decoded(protocol="v3").feed(v3("trade"), v3("trade"), recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 1
    decoded.feed(v3("trade", b="HNX"), recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 2
    decoded.feed(v3("trade", b="HNX"), v3("trade"), recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 2


def test_leaves_a_future_that_somebody_else_introduced_without_a_venue_to_the_oracle():
    decoded = Decoded(protocol="v3")
    symbol_id = decoded.symbols.intern(b"41I1G8000", Venue.UNKNOWN)
    assert decoded.symbols.introduce(symbol_id)
    decoded.feed(*[v3("trade", s="41I1G8000")] * 2, recv_ns=RECV_NS)
    assert decoded.count("oracle_frames") == 1
    assert [Venue(int(each)) for each in decoded.slots["venue"]] == [Venue.DERIVATIVES] * 3


@pytest.mark.parametrize("kind", HOT)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.jit), 23])
def test_a_cut_frame_is_refused_even_if_the_next_bytes_complete_it(kind, step):
    """Taking anything past a frame's end would find exactly what is missing."""
    whole = v3(kind)
    decoded = warm()
    slots, rejected = len(decoded.slots), 0
    for cut in range(1, len(whole), step):
        decoded.feed(whole[:cut], whole[cut:], recv_ns=RECV_NS)
        rejected += 2
        assert len(decoded.slots) == slots
    assert sum(decoded.rejected.values()) == rejected


@pytest.mark.parametrize("kind", HOT)
def test_neighbours_do_not_matter(kind):
    """What follows a frame may be read, never used: not even to decline."""
    whole = v3(kind)
    decoded = warm().feed(whole, recv_ns=RECV_NS)
    alone = decoded.slots[-1].copy()
    noises = (b"", b"{}", b"}" * 20, b"0" * 40, b'"' * 20, b"\xff" * 40, whole[:7], b",1}}")
    for before, after in itertools.product(noises, noises):
        declined = decoded.count("oracle_frames")
        decoded.feed(before, whole, after, recv_ns=RECV_NS)
        assert decoded.count("oracle_frames") == declined + 2
        mine = decoded.slots[-1].copy()
        mine["recv_ns"] = alone["recv_ns"]
        assert mine == alone


def test_declining_changes_nothing():
    known = warm()
    scanner = V3Scanner(known.symbols)
    batch = FrameBatch(1 << 16, 8)
    for each in (v3("trade"), v3("trade", v=None), v3("quote")):
        batch.append(each, 5)
    out = np.zeros(64, SLOT)
    assert scanner.scan(batch, 0, target_over(out), 0)[:3] == (1, 1, 1)
    assert scanner.scan(batch, 2, target_over(out), 1)[:3] == (3, 2, 1)


def test_stops_before_a_frame_that_might_not_fit():
    known = warm()
    batch = FrameBatch(1 << 16, 8)
    for _ in range(3):
        batch.append(v3("trade"), 5)
    progress = V3Scanner(known.symbols).scan(batch, 0, target_over(np.zeros(3, SLOT)), 0)
    assert (progress.next_frame, progress.slot_count) == (2, 2)

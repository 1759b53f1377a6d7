"""The fast path: what it must take itself, and where it must not read."""

import numpy as np
import pytest

from engine.decode.frames import FrameBatch
from engine.decode.scan import target_over
from engine.decode.scanner import MESSAGE_BYTES_MIN, Scanner, slots_max
from engine.schema.slots import SLOT
from tests.oracle.decode_frames import (
    CANONICAL,
    TYPES,
    Decoded,
    compare,
    envelope,
    frame,
    hub,
    record,
    text,
)


def test_takes_the_canonical_shape_of_every_type():
    frames = [frame(kind) for kind in TYPES]
    decoded = Decoded().feed(*frames)
    before = decoded.count("oracle_frames")
    decoded.feed(*frames, hub(*(envelope(kind, record(kind)) for kind in TYPES)))
    assert decoded.count("oracle_frames") == before
    decoded.assert_conserved()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("X", {"AvgPrice": "NaN"}),  # before the open, ssi-wire 3.2
        ("X", {"LastPrice": 0.0, "LastVol": 0.0, "TotalVal": 0.0, "TotalVol": 0.0, "Isin": None}),
        ("X", {"Change": -6.099999999999909, "AvgPrice": 128454615.60380691}),
        ("X-TRADE", {"Side": "Unknow"}),
        ("X-TRADE", {"Side": None}),
        ("X-TRADE", {"TradingSession": "SOMETHING"}),
        ("X-TRADE", {"LastPrice": 1283.9, "TotalVal": 4507986280000.0}),
        (
            "X-TRADE",
            {"MarketId": "DERIVATIVES", "Exchange": "DERIVATIVES", "TradingStatus": "Active"},
        ),
        ("X-QUOTE", {"BidPrice1": 0.0, "BidVol1": 14000.0, "AskPrice1": 0}),
        ("X-QUOTE", {"TradingSession": None}),
        ("X-QUOTE", {"Exchange": "MOON"}),
        ("MI", {"MarketId": "HOSE", "IndexType": "Main", "IndexValue": 1133.49}),
        ("R", {"Isin": None, "BuyVol": 0.0}),
        ("F", {"TradingStatus": "", "TradingOlSession": "LO"}),
        ("OL", {"TradingSession": "CLOSE"}),
        ("B", {"Volume": 5000, "Value": 0}),
    ],
)
def test_takes_the_feeds_usual_variations(kind, changes):
    decoded = Decoded().feed(frame(kind))
    before = decoded.count("oracle_frames")
    decoded.feed(frame(kind, **changes))
    assert decoded.count("oracle_frames") == before
    compare(frame(kind, **changes))


@pytest.mark.parametrize("kind", TYPES)
def test_takes_records_without_their_optional_keys(kind):
    optional = {
        "MI": ["IndexValEst", "TotalTrade"],
        "F": ["TradingOlSession"],
        "X": ["Side", "CloseQtty", "BidPrice7"],
        "B": ["Value"],
        "R": ["Isin"],
    }
    missing = optional.get(kind, ["RType"])
    short = {key: value for key, value in CANONICAL[kind].items() if key not in missing}
    decoded = Decoded().feed(frame(kind))
    before = decoded.count("oracle_frames")
    decoded.feed(hub(envelope(kind, short)))
    assert decoded.count("oracle_frames") == before
    compare(hub(envelope(kind, short)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.jit), 37])
def test_a_cut_frame_is_refused_even_if_the_next_bytes_complete_it(kind, step):
    """Reading past a frame's end would find exactly what is missing."""
    whole = frame(kind)
    decoded = Decoded().feed(whole)
    slots, rejected = len(decoded.slots), 0
    cuts = range(1, len(whole), step)
    for cut in cuts:
        decoded.feed(whole[:cut], whole[cut:])
        rejected += 2
        assert len(decoded.slots) == slots
    assert decoded.rejected == {"FRAME_NOT_JSON": rejected}


def test_neighbours_do_not_matter():
    whole = frame("X-TRADE")
    decoded = Decoded().feed(whole)
    alone = Decoded().feed(whole).feed(whole).slots[-1]
    for noise in (b"", b"{}", b"\xff" * 40, b'","', whole[:-1]):
        decoded.feed(noise, whole, noise)
        # The frame itself is decoded alike, and counted once.
        trade = decoded.slots[-1].copy()
        trade["recv_ns"] = alone["recv_ns"]
        assert trade == alone


def test_declining_changes_nothing():
    known = Decoded().feed(frame("X"), frame("F"))
    scanner = Scanner(known.symbols)
    batch = FrameBatch(1 << 16, 8)
    bad = hub(envelope("X", record("X")), envelope("X", record("X", LastPrice=None)))
    for each in (frame("F"), bad, frame("F")):
        batch.append(each, 5)
    out = np.zeros(1024, SLOT)
    progress = scanner.scan(batch, 0, target_over(out), 0)
    assert progress[:3] == (1, 1, 1)
    after = scanner.scan(batch, 2, target_over(out), 1)
    assert after[:3] == (3, 2, 1)


def test_stops_before_a_frame_that_might_not_fit():
    known = Decoded().feed(frame("F"))
    batch = FrameBatch(1 << 16, 8)
    for _ in range(3):
        batch.append(frame("F"), 5)
    room = slots_max(len(frame("F")))
    out = np.zeros(room, SLOT)
    progress = Scanner(known.symbols).scan(batch, 0, target_over(out), 0)
    assert progress.next_frame == 1
    assert progress.slot_count == 1


def test_the_smallest_message_is_longer_than_the_bound():
    smallest = text(
        {
            "H": "",
            "M": "Broadcast",
            "A": [
                text(
                    {
                        "DataType": "F",
                        "Content": {"TradingDate": "14/08/2026", "Time": "14:45:00", "Symbol": "A"},
                    }
                )
            ],
        }
    )
    assert len(smallest) > MESSAGE_BYTES_MIN

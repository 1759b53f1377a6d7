"""A ledger that was saved and restored tells the same of the day, wherever it was cut."""

import orjson
import pytest

from engine.schema.codes import ControlOp, FeedState, Instrument, SlotKind
from engine.shard.fold import Fold
from engine.wiring import day_books
from engine.wiring.day_books import Ledger
from tests.shard.folding import SYMBOLS
from tests.shard.messages import rows_of
from tests.shard.test_fold import long_stream

FEED_ID = 7


def eventful(seed: int, count: int) -> list[list[dict]]:
    """Return groups of a bad day in which the feed goes away and our backlog overflows."""
    feed = {"symbol_id": FEED_ID, "kind": SlotKind.SYMBOL, "code": b"FEED"}
    groups: list[list[dict]] = [[feed | {"instrument": Instrument.FEED}]]
    states = (FeedState.LIVE, FeedState.DOWN, FeedState.CONNECTING, FeedState.LIVE)
    for number, group in enumerate(group for group in long_stream(seed) if group):
        if number == count:
            return groups
        groups.append(group)
        if number % 7 == 0:
            control = {"kind": SlotKind.CONTROL, "symbol_id": FEED_ID}
            control["recv_ns"] = number * 20_000_000_000
            step = number // 7
            if step % 3 == 2:
                control |= {"op": ControlOp.LOST, "arg0": step}
            else:
                control |= {"op": ControlOp.FEED_STATE, "arg0": states[step % 4]}
            groups.append([control])
    return groups


def documents(ledger: Ledger) -> list:
    return [ledger.part(day, 0) for day in ledger.days()]


def test_restored_at_every_cut_it_tells_the_same(seed, monkeypatch):
    monkeypatch.setattr(day_books, "GAPS_LISTED_MAX", 6)  # so that some gaps are only counted
    groups = eventful(seed, 400)
    cuts = set(range(0, len(groups), 37))
    fold = Fold(SYMBOLS, 256)
    straight = Ledger(fold)
    resumed = []
    for number, group in enumerate(groups):
        if number in cuts:
            saved = orjson.loads(orjson.dumps(straight.save()))
            resumed.append(Ledger(fold))
            resumed[-1].feed([])
            resumed[-1].restore(saved)
            assert documents(resumed[-1]) == documents(straight)
        sections = fold.fold(rows_of([group]))
        for ledger in (straight, *resumed):
            ledger.feed(sections)
    expected = documents(straight)
    assert {name for part in expected for name in part["gaps_by_outcome"]} >= {
        "ARRIVED",
        "RETRACTED",
        "UNEXPLAINED",
    }
    assert any(part["outages"] for part in expected)
    assert any(part["losses"] for part in expected)
    for ledger in resumed:
        assert documents(ledger) == expected
        assert ledger.save() == straight.save()


@pytest.mark.parametrize("what", ["gaps", "outages", "losses", "lost_frames"])
def test_each_thing_it_saves_is_needed(seed, what):
    groups = eventful(seed, 400)
    fold = Fold(SYMBOLS, 256)
    straight, forgetful = Ledger(fold), Ledger(fold)
    for group in groups[:300]:
        straight.feed(fold.fold(rows_of([group])))
    saved = straight.save()
    forgetful.restore(saved | {what: type(saved[what])()})
    for group in groups[300:]:
        sections = fold.fold(rows_of([group]))
        straight.feed(sections)
        forgetful.feed(sections)
    assert documents(forgetful) != documents(straight)


def test_restoring_replaces_what_was_collected(seed):
    groups = eventful(seed, 200)
    fold = Fold(SYMBOLS, 256)
    empty, full = Ledger(fold), Ledger(fold)
    blank = empty.save()
    for group in groups:
        full.feed(fold.fold(rows_of([group])))
    assert full.save() != blank
    full.restore(blank)
    assert full.save() == blank
    assert documents(full) == documents(empty)

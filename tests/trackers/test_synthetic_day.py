"""The shipped synthetic day, made small: every channel against its naive twin, and other cuts.

Random streams say what nobody would send (tests/properties); this is a day as the exchange sends
it, from its frames on, through all stages at once.
"""

from collections.abc import Callable
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from engine.schema.codes import NoteFlag, SlotKind
from engine.wiring.stages import STAGES
from tests.oracle.alerts_naive import Contracts, NaiveAlerts
from tests.oracle.apart_naive import NaiveOddLot, NaivePutThrough
from tests.oracle.auction_naive import NaiveAuction
from tests.oracle.bars_naive import NaiveBars
from tests.oracle.basis_naive import NaiveBasis
from tests.oracle.foreign_naive import NaiveForeign
from tests.oracle.index_naive import NaiveIndex, NaiveIndexSeries
from tests.oracle.ledger_naive import NaiveFeed, NaiveLedger, NaiveReference
from tests.oracle.limits_naive import NaiveLimits
from tests.oracle.shard_naive import CHANNELS as TOLD_BY_THE_SHARD
from tests.oracle.shard_naive import NaiveShard
from tests.oracle.status_naive import NaiveStatus
from tests.shard.folding import fold_groups
from tests.trackers.synthetic_day import ALERTS, SYMBOLS, Told, count_kinds, new_fold, tell_day

Rows = list[dict[str, Any]]


class Remembering(NaiveBasis):
    """The twin, but for one thing: it asks the same question about the same history only once.

    It asks who is a contract at every slot of the past, after every slot: too often for a day.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names_before: list[int] = []  # by slot: introductions up to it
        self.known: dict[int, Any] = {}  # by how many introductions
        self.last_heard: tuple[int, Any] = (-1, None)

    def introductions(self, end: int) -> Any:
        """Return who is who after the first `end` slots: nothing else than SYMBOL slots tells."""
        counts = self.names_before
        for message, _ in self.history[len(counts) :]:
            counts.append((counts[-1] if counts else 0) + (message["kind"] == SlotKind.SYMBOL))
        count = counts[end - 1] if end else 0
        if count not in self.known:
            self.known[count] = super().introductions(end)
        return self.known[count]

    def heard(self) -> Any:
        """Return what was heard up to the newest slot."""
        if self.last_heard[0] != len(self.history):
            self.last_heard = len(self.history), super().heard()
        return self.last_heard[1]


class RememberingContracts(Remembering, Contracts):
    """The same for the twin of channel ``alerts``."""


def naive_alerts() -> NaiveAlerts:
    """Return the twin of channel ``alerts``."""
    twin = NaiveAlerts(ALERTS)
    twin.contracts = RememberingContracts()
    return twin


# What is told group by group, with the notes: feed(messages, notes) -> rows.
TWINS: dict[str, Callable[[], Any]] = {
    "reference": NaiveReference,
    "gaps": NaiveLedger,
    "feed": NaiveFeed,
    "bar.1m": lambda: NaiveBars(60),
    "bar.5m": lambda: NaiveBars(300),
    "bar.15m": lambda: NaiveBars(900),
    "bar.1h": lambda: NaiveBars(3_600),
    "bar.1d": lambda: NaiveBars(86_400),
    "foreign": NaiveForeign,
    "index": NaiveIndex,
    "index.series": NaiveIndexSeries,
    "limits": NaiveLimits,
    "auction": NaiveAuction,
    "put_through": NaivePutThrough,
    "odd_lot": NaiveOddLot,
    "alerts": naive_alerts,
    "status": NaiveStatus,
}
BASIS = ("basis", "basis.trend")  # one twin tells both
SILENT = {"put_through"}  # protocol v2 has no message for a deal


@cache
def told(seed: int) -> Told:
    """Tell the day once for all tests."""
    return tell_day(seed)


def assert_equal(channel: str, rows: Rows, wanted: Rows) -> None:
    """Assert equal rows; say where they part first."""
    for number, (row, other) in enumerate(zip(rows, wanted, strict=False)):
        parted = {
            name: (row[name], other.get(name)) for name in row if row[name] != other.get(name)
        }
        assert not parted, f"{channel}, row {number}: kernel and twin part in {parted} of {row}"
        assert row == other, f"{channel}, row {number}"
    assert len(rows) == len(wanted), channel


def noted(day: Told) -> list[tuple[Any, list[SimpleNamespace]]]:
    """Return groups with their notes as twins take them."""
    return [
        (group, [SimpleNamespace(**note) for note in notes])
        for group, notes in zip(day.groups, day.notes, strict=True)
    ]


def judged(day: Told) -> Rows:
    """Return what classify said of all slots: without what the ledger added."""
    kept = {"flags": ~int(NoteFlag.GAP_OPENED | NoteFlag.GAP_CLOSED)}
    return [
        {name: value & kept.get(name, -1) for name, value in note.items() if name != "gap_no"}
        for notes in day.notes
        for note in notes
    ]


def test_every_channel_of_a_shard_has_a_twin_here():
    channels = {stage.channel.name for stage in STAGES if stage.channel is not None}
    assert channels == TWINS.keys() | {*BASIS} | TOLD_BY_THE_SHARD


def test_the_day_has_messages_of_every_kind_of_v2_and_rows_on_every_channel(seed):
    day = told(seed)
    assert count_kinds(day).keys() == set(SlotKind) - {SlotKind.NONE, SlotKind.PUT_THROUGH}
    assert len(day.groups) > 50
    assert any(len(group) > 1 for group in day.groups)
    channels = {stage.channel.name for stage in STAGES if stage.channel is not None}
    assert {name for name, rows in day.rows.items() if rows} == channels - SILENT


@pytest.mark.parametrize("way", ["whole", "first cut", "second cut"])
def test_batching_is_invisible(seed, way):
    """Fed the messages in other batches than the ring's, a fold comes to the same."""
    day, fold, draw = told(seed), new_fold(), Random(f"{seed} {way}")
    share = 0.0 if way == "whole" else draw.uniform(0.01, 0.5)
    cuts = [cut for cut in range(1, len(day.groups)) if draw.random() < share]
    print(f"seed {seed}, {way}: {len(cuts)} cuts in {len(day.groups)} groups")
    notes, rows = fold_groups(fold, day.groups, cuts)
    assert notes == judged(day)
    assert rows == {name: each for name, each in day.rows.items() if each}
    assert fold.digest() == day.digest


@pytest.mark.parametrize("channel", TWINS)
def test_kernel_says_what_the_naive_twin_says(seed, channel):
    day, twin = told(seed), TWINS[channel]()
    wanted = [row for group, notes in noted(day) for row in twin.feed(list(group), notes)]
    assert_equal(channel, day.rows.get(channel, []), wanted)


def test_basis_and_its_trend_are_what_the_naive_twin_says(seed):
    day, twin = told(seed), Remembering()
    wanted: dict[str, Rows] = {name: [] for name in BASIS}
    for group, notes in noted(day):
        for name, rows in zip(BASIS, twin.feed(list(group), notes), strict=True):
            wanted[name] += [dict(row) for row in rows]
    for name in BASIS:
        assert_equal(name, day.rows[name], wanted[name])


def test_the_core_says_what_the_naive_shard_says(seed):
    """Notes, tape, statistics, quotes, books and names."""
    day, twin = told(seed), NaiveShard(symbol_capacity=SYMBOLS)
    for group in day.groups:
        twin.feed(list(group))
    assert {name for name, rows in twin.rows.items() if rows} == TOLD_BY_THE_SHARD
    for name in sorted(TOLD_BY_THE_SHARD):
        assert_equal(name, day.rows[name], twin.rows[name])
    wanted = [{name: int(value) for name, value in vars(note).items()} for note in twin.notes]
    assert_equal("notes", judged(day), wanted)

"""Which slots kill workers: judged over simulated lives of a worker that dies of what it folds."""

import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.process import EX_CONFIG
from engine.schema.codes import SlotFlag
from engine.schema.counters import SHARD_COUNTERS
from engine.schema.slots import SLOT
from engine.wiring.suspects import (
    NO_LIMIT_SEQ,
    NOTHING,
    SlotRange,
    Suspects,
    forget,
)

SEGV = -int(signal.SIGSEGV)
KILL = -int(signal.SIGKILL)
RAISED = 1
LIVES_MAX = 200


class Died(Exception):
    """The end of one life of a worker."""


def new_cell() -> np.void:
    """Return the counters of a shard that was never started."""
    return np.zeros(1, SHARD_COUNTERS)[0]


def died(cell, first_seq: int, end_seq: int, code: int = SEGV) -> Suspects:
    """Let a worker die in the middle of a fold; return what its successor makes of it."""
    Suspects.of(cell).begin(first_seq, end_seq)
    cell["last_exit"] = code
    return Suspects.of(cell)


def slots(sizes: list[int], first_seq: int = 0) -> np.ndarray:
    """Return consecutive slots in groups of these sizes."""
    rows = np.zeros(sum(sizes), SLOT)
    rows["seq"] = np.arange(first_seq, first_seq + len(rows))
    rows["flags"][np.cumsum(sizes) - 1] = SlotFlag.LAST
    return rows


class World:
    """A journal of groups, some of which kill, and a worker that is started again and again.

    The naive twin of `Suspects` is its outcome: groups folded in order, none left out but those
    that kill.
    """

    def __init__(self, sizes: list[int], poisoned: set[int], batch_groups: int) -> None:
        self.cell = new_cell()
        self.journal = slots(sizes)
        self.ends = np.cumsum(sizes).tolist()
        self.starts = [0, *self.ends[:-1]]
        self.poison = {self.starts[i] for i in poisoned}
        self.batch_groups = batch_groups
        self.quarantined: set[int] = set()
        self.kills: dict[int, int] = dict.fromkeys(self.poison, 0)
        self.folded = 0  # slots of which the last life had made sure
        self.deaths = 0

    def live(self, killed_after: int | None = None) -> None:
        """Be born, fold everything, and perhaps die of it; or be killed after so many folds."""
        suspects = Suspects.of(self.cell)
        next_seq = self.folded = 0  # nothing is saved: every life begins at the beginning
        folds = 0
        while next_seq < len(self.journal):
            if suspects.is_due(next_seq):
                verdict = suspects.verdict
                self.quarantined.add(verdict.first_seq)
                assert verdict.end_seq in self.ends, "a whole group"
                suspects.executed()
            batch = self.read(next_seq, suspects.limit(next_seq))
            pieces = suspects.cut(batch, len(batch))
            assert pieces[-1][1] == len(batch), "limit and cut agree"
            for start, stop in pieces:
                first, end = int(batch["seq"][start]), int(batch["seq"][stop - 1]) + 1
                suspects.begin(first, end)
                if folds == killed_after:
                    self.cell["last_exit"] = KILL
                    raise Died
                folds += 1
                for seq in sorted(self.poison - self.quarantined):
                    if first <= seq < end:
                        self.kills[seq] += 1
                        self.deaths += 1
                        self.cell["last_exit"] = SEGV
                        raise Died
                suspects.done()
                next_seq = self.folded = end

    def read(self, next_seq: int, limit: int) -> np.ndarray:
        """Return the next whole groups, as many as fit and are allowed."""
        group = self.starts.index(next_seq)
        ends = [end for end in self.ends[group : group + self.batch_groups] if end <= limit]
        return self.journal[next_seq : ends[-1]]


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=24),
    poisoned=st.sets(st.integers(0, 23), max_size=4),
    batch_groups=st.integers(1, 9),
    kills=st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=20),
)
def test_what_kills_is_quarantined_and_nothing_else(sizes, poisoned, batch_groups, kills) -> None:
    world = World(sizes, {i for i in poisoned if i < len(sizes)}, batch_groups)
    for killed_after in [*kills, *[None] * LIVES_MAX]:
        try:
            world.live(killed_after)
        except Died:
            continue
        break
    assert world.folded == len(world.journal)
    assert world.quarantined == world.poison
    # Each had its batch die and then died alone; who shared a batch shared the first death.
    for seq in world.poison:
        assert world.kills[seq] >= 1
    assert world.deaths <= 2 * len(world.poison)
    assert (Suspects.of(world.cell).suspect, Suspects.of(world.cell).deaths) == (NOTHING, 0)


def test_two_deaths_quarantine_one_group() -> None:
    cell = new_cell()
    first = died(cell, 100, 200)
    assert (first.suspect, first.deaths, first.verdict) == ((100, 200), 1, None)
    second = died(cell, 120, 125)
    assert second.verdict == (120, 125)
    assert second.deaths == 2
    assert second.is_due(120)
    assert not second.is_due(100)
    second.executed()
    assert (second.suspect, second.deaths, second.verdict) == ((125, 200), 1, None)


def test_a_group_that_was_a_batch_of_its_own_needs_two_deaths_too() -> None:
    cell = new_cell()
    assert died(cell, 7, 9).verdict is None
    suspects = died(cell, 7, 9)
    assert suspects.verdict == (7, 9)
    suspects.executed()
    assert suspects.suspect == NOTHING
    assert Suspects.of(cell).verdict is None


@pytest.mark.parametrize("code", [0, EX_CONFIG, -int(signal.SIGTERM), -int(signal.SIGINT), KILL])
def test_an_end_that_says_nothing_about_slots_accuses_nobody(code) -> None:
    cell = new_cell()
    assert died(cell, 100, 200, code).suspect == NOTHING
    died(cell, 100, 200)
    suspects = died(cell, 120, 125, code)
    assert (suspects.suspect, suspects.deaths) == ((100, 200), 1)


@pytest.mark.parametrize("code", [SEGV, -int(signal.SIGABRT), -int(signal.SIGBUS), RAISED])
def test_ends_that_accuse(code) -> None:
    assert died(new_cell(), 100, 200, code).suspect == (100, 200)


def test_a_death_between_folds_accuses_nobody() -> None:
    cell = new_cell()
    suspects = Suspects.of(cell)
    suspects.begin(5, 9)
    suspects.done()
    cell["last_exit"] = SEGV
    assert Suspects.of(cell).suspect == NOTHING


def test_an_exit_is_held_against_one_worker_only() -> None:
    """All die at once by SIGKILL and nobody writes last_exit: the old one must not count."""
    cell = new_cell()
    assert died(cell, 100, 200).last_exit == SEGV
    Suspects.of(cell).begin(120, 125)
    assert Suspects.of(cell).suspect == (100, 200)
    assert Suspects.of(cell).verdict is None


def test_a_death_elsewhere_is_another_suspicion() -> None:
    cell = new_cell()
    died(cell, 100, 200)
    suspects = died(cell, 300, 310)
    assert (suspects.suspect, suspects.deaths, suspects.verdict) == ((300, 310), 1, None)


def test_a_death_that_only_touches_the_suspect_slots_quarantines_nothing() -> None:
    cell = new_cell()
    died(cell, 100, 200)
    assert died(cell, 90, 210).verdict is None


def test_a_verdict_waits_until_it_is_executed() -> None:
    cell = new_cell()
    died(cell, 100, 200)
    died(cell, 120, 125)
    for _ in range(3):
        cell["last_exit"] = KILL
        suspects = Suspects.of(cell)
        assert suspects.verdict == (120, 125)
        suspects.begin(300, 310)  # a worker whose saved state lies behind them has proved nothing
        suspects.done()


def test_what_went_well_is_no_longer_suspect() -> None:
    cell = new_cell()
    suspects = died(cell, 100, 110)
    suspects.begin(100, 104)
    suspects.done()
    assert suspects.suspect == (100, 110)
    suspects.begin(104, 110)
    suspects.done()
    assert suspects.suspect == NOTHING
    assert Suspects.of(cell).deaths == 0


def test_reads_end_at_the_edges() -> None:
    suspects = died(new_cell(), 100, 200)
    assert suspects.limit(0) == 100
    assert suspects.limit(100) == 200
    assert suspects.limit(200) == NO_LIMIT_SEQ
    assert Suspects.of(new_cell()).limit(0) == NO_LIMIT_SEQ


def test_only_suspect_batches_are_cut() -> None:
    suspects = died(new_cell(), 4, 9)
    before, inside, behind = slots([2, 2]), slots([3, 2], 4), slots([1, 1], 9)
    assert suspects.cut(before, 4) == [(0, 4)]
    assert suspects.cut(inside, 5) == [(0, 3), (3, 5)]
    assert suspects.cut(inside, 3) == [(0, 3)]
    assert suspects.cut(behind, 2) == [(0, 2)]
    assert suspects.cut(inside, 0) == []
    assert Suspects.of(new_cell()).cut(before, 4) == [(0, 4)]


def test_pieces_end_in_front_of_the_verdict() -> None:
    cell = new_cell()
    died(cell, 0, 9)
    suspects = died(cell, 3, 5)
    assert suspects.cut(slots([2, 1, 2, 4]), 9) == [(0, 2), (2, 3)]


def test_a_new_day_forgets() -> None:
    cell = new_cell()
    died(cell, 100, 200)
    died(cell, 120, 125)
    cell["fold_first_seq"], cell["fold_end_seq"], cell["last_exit"] = 1, 2, SEGV
    cell["slots"] = 77
    forget(cell)
    suspects = Suspects.of(cell)
    assert (suspects.suspect, suspects.deaths, suspects.verdict) == (NOTHING, 0, None)
    assert cell["slots"] == 77


def test_ranges() -> None:
    assert SlotRange(2, 5).slots == 3
    assert SlotRange(5, 2).slots == 0
    assert SlotRange(2, 5).holds(SlotRange(2, 5))
    assert not SlotRange(2, 5).holds(SlotRange(2, 6))
    assert SlotRange(2, 5).meets(SlotRange(4, 9))
    assert not SlotRange(2, 5).meets(SlotRange(5, 9))
    assert not SlotRange(2, 5).meets(NOTHING)

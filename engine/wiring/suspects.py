"""Which slots kill workers: judged from what a dead worker left in its counters.

A worker says before every fold which slots it is about to fold, and after it that it is done. One
that dies in between leaves the range behind, and its successor judges:

    first death     the batch is suspect: its groups are folded one at a time
    second death    on one group of it: that group is quarantined, what follows stays suspect
    no death        all of it was folded: nothing is suspect any more

A death counts only when the fold can be its reason. SIGKILL, SIGTERM, SIGINT, an orderly end and
a refused configuration say nothing about slots.

Nothing here does I/O; the counters are shared memory that outlives the worker. The supervisor
writes ``last_exit`` while no worker lives, the worker everything else.
"""

import signal
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.process import EX_CONFIG
from engine.schema.codes import SlotFlag
from engine.schema.counters import SHARD_COUNTERS

LAST = int(SlotFlag.LAST)
INNOCENT_EXITS = frozenset(
    {0, EX_CONFIG, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
)  # as Popen.returncode says it
assert SHARD_COUNTERS.fields is not None
FOLD_FIRST, FOLD_END = (
    SHARD_COUNTERS.fields[name][1] // 8 for name in ("fold_first_seq", "fold_end_seq")
)
DEATHS_MAX = 2  # deaths that quarantine a group
NO_LIMIT_SEQ = 2**62  # more slots than any day has


class SlotRange(NamedTuple):
    """Slots ``first_seq <= seq < end_seq`` of one shard's day."""

    first_seq: int
    end_seq: int

    @property
    def slots(self) -> int:
        """Return how many there are."""
        return max(self.end_seq - self.first_seq, 0)

    def holds(self, other: "SlotRange") -> bool:
        """Return whether all of `other` lies within."""
        return self.first_seq <= other.first_seq and other.end_seq <= self.end_seq

    def meets(self, other: "SlotRange") -> bool:
        """Return whether any slot lies in both."""
        return max(self.first_seq, other.first_seq) < min(self.end_seq, other.end_seq)


NOTHING = SlotRange(0, 0)


class Suspects:
    """What one worker has to be careful with. Make it with `of`, before anything is folded.

    Attributes
    ----------
    suspect
        Slots whose groups are folded one at a time; `NOTHING` mostly.
    verdict
        One group to quarantine before it would be folded again, or None. It stands, also over
        further restarts, until `executed`.
    deaths
        Workers that died of what is suspect.
    last_exit
        How the last worker ended, as ``Popen.returncode`` says it; 0 when nobody knows.
    """

    def __init__(self, cell: np.void) -> None:
        self._cell = cell
        # Stored before and after every fold: ten times faster than by name.
        record: Any = cell.base  # the counters, of which the cell is a view
        self._words = memoryview(record.view(np.uint8)).cast("q")
        self.suspect = SlotRange(int(cell["suspect_first_seq"]), int(cell["suspect_end_seq"]))
        self.deaths = int(cell["suspect_deaths"])
        self.verdict = self.suspect if self.deaths >= DEATHS_MAX else None
        self.last_exit = int(cell["last_exit"])
        self._batch_end_seq = self.suspect.end_seq  # of the batch that was suspect first

    @classmethod
    def of(cls, cell: np.void) -> Self:
        """Judge what the last worker left.

        Parameters
        ----------
        cell
            The shard's own SHARD_COUNTERS record (``counters[0]``), writable.
        """
        suspects = cls(cell)
        died_in = SlotRange(int(cell["fold_first_seq"]), int(cell["fold_end_seq"]))
        if died_in.slots and suspects.last_exit not in INNOCENT_EXITS:
            suspects._accuse(died_in)
        # Both are taken: they must not be held against a worker whose end nobody saw.
        cell["fold_end_seq"] = cell["fold_first_seq"] = 0
        cell["last_exit"] = 0
        return suspects

    def limit(self, next_seq: int) -> int:
        """Return the seq that a read from `next_seq` should not pass: the next edge.

        Every edge is the edge of a group; `NO_LIMIT_SEQ` when there is none ahead.
        """
        if not self.deaths:
            return NO_LIMIT_SEQ
        return min((edge for edge in self.suspect if edge > next_seq), default=NO_LIMIT_SEQ)

    def cut(self, head: NDArray[np.void], count: int) -> list[tuple[int, int]]:
        """Cut a batch into the pieces that are folded by one call each.

        Parameters
        ----------
        head
            SLOT rows, shape (capacity,), the first `count` of them consecutive slots and a whole
            number of groups.

        Returns
        -------
        list of (start, stop)
            Rows of each piece, in order: the whole batch as one, or every group by itself when
            any slot is suspect. They end in front of the verdict: none of its slots, and none
            behind it, may be folded before it is executed. Who reads no further than `limit`
            gets pieces of all rows.
        """
        if count == 0:
            return []
        if not self.deaths:
            return [(0, count)]
        first_seq = int(head["seq"][0])
        if not self.suspect.meets(SlotRange(first_seq, first_seq + count)):
            return [(0, count)]
        stops = (np.flatnonzero(head["flags"][:count] & LAST) + 1).tolist()
        pieces = zip([0, *stops[:-1]], stops, strict=True)
        if self.verdict is None:
            return list(pieces)
        return [piece for piece in pieces if first_seq + piece[1] <= self.verdict.first_seq]

    def is_due(self, next_seq: int) -> bool:
        """Return whether the verdict has to be executed before slot `next_seq` is folded."""
        return self.verdict is not None and self.verdict.first_seq == next_seq

    def begin(self, first_seq: int, end_seq: int) -> None:
        """Say that slots [first_seq, end_seq) are being folded from now on."""
        self._words[FOLD_FIRST] = first_seq
        self._words[FOLD_END] = end_seq  # last: a range without an end says nothing

    def done(self) -> None:
        """Say that they are folded. What was suspect is so no longer when all of it went well."""
        words = self._words
        innocent = self.deaths and self.verdict is None
        if innocent and words[FOLD_END] >= self.suspect.end_seq:
            self._suspect(NOTHING, 0)
        words[FOLD_END] = 0  # first, for the same reason
        words[FOLD_FIRST] = 0

    def executed(self) -> None:
        """Say that the verdict's slots are quarantined; the rest of their batch stays suspect."""
        assert self.verdict is not None, "there is no verdict to execute"
        rest = SlotRange(self.verdict.end_seq, self._batch_end_seq)
        self.verdict = None
        self._suspect(*((rest, 1) if rest.slots else (NOTHING, 0)))

    def _accuse(self, died_in: SlotRange) -> None:
        """Hold a death against the slots that were being folded."""
        if self.deaths and self.suspect.holds(died_in):
            self._suspect(died_in, self.deaths + 1)
            self.verdict = died_in
        else:  # somewhere else than last time: that is a suspicion of its own
            self._batch_end_seq = died_in.end_seq
            self._suspect(died_in, 1)
            self.verdict = None

    def _suspect(self, suspect: SlotRange, deaths: int) -> None:
        cell = self._cell
        # In this order a death between two stores leaves no range with deaths it did not have.
        cell["suspect_deaths"] = 0
        cell["suspect_first_seq"], cell["suspect_end_seq"] = suspect
        cell["suspect_deaths"] = deaths
        self.suspect, self.deaths = suspect, deaths


def forget(cell: np.void) -> None:
    """Clear all suspicion: for a new trading day, whose slots are numbered from 0 again."""
    for name in ("suspect_deaths", "suspect_first_seq", "suspect_end_seq"):
        cell[name] = 0
    for name in ("fold_end_seq", "fold_first_seq", "last_exit"):
        cell[name] = 0

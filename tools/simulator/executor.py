"""A day and a fault script made into one stream of steps, in order of market time.

Pure: the same lines and faults give the same steps, whoever plays them and however fast.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Final, NamedTuple

from tools.simulator.edits import (
    UNKNOWN_SESSION,
    UNKNOWN_TYPE,
    Change,
    Copy,
    Edit,
    Late,
    Overtake,
    Repeat,
    Replay,
    Skip,
    Swap,
)
from tools.simulator.faults import CUTS, PRE_KRX, Fault, What
from tools.simulator.lines import Line
from tools.simulator.record import (
    BOOK_KINDS,
    cut_off,
    total_shares,
    with_market_orders,
    with_session,
    with_type,
)


class Withheld(NamedTuple):
    """A line happened and is not sent in its place; because of `fault`, if it may be missed."""

    time_ms: int
    line: Line
    fault: Fault | None


class Extra(NamedTuple):
    """A line is sent that did not happen just now: late, changed, repeated or made up."""

    time_ms: int
    line: Line


class Act(NamedTuple):
    """A fault begins, or one that lasts ends. What it does to lines is in the other steps."""

    time_ms: int
    fault: Fault
    ends: bool = False


# A bare line happens and is sent. Every step starts with its market time in ms.
Step = Line | Withheld | Extra | Act

_MATCH_EDITS: Final[dict[What, Callable[[Fault, int], Edit]]] = {
    What.SKIP: Skip,
    What.REPEAT: Repeat,
    What.REPLAY: Replay,
    What.SWAP: Swap,
    What.OVERTAKE: Overtake,
}
_MESSAGE_EDITS: Final[dict[What, Callable[[Fault], Edit]]] = {
    What.UNKNOWN_TYPE: lambda fault: Copy(fault, partial(with_type, data_type=UNKNOWN_TYPE)),
    What.BAD_JSON: lambda fault: Copy(fault, cut_off),
    What.UNKNOWN_SESSION: lambda fault: Change(fault, partial(with_session, word=UNKNOWN_SESSION)),
}


def from_start(faults: Iterable[Fault], start_ms: int) -> list[Fault]:
    """Return the faults of a day that begins at `start_ms`: those to come, and what still holds."""
    return [
        fault for fault in faults if fault.time_ms >= start_ms or fault.what is What.AUCTION_BOOKS
    ]


class Executor:
    """Merges a day with a script.

    Parameters
    ----------
    lines
        The day, ascending in time.
    faults
        From `faults.parse`: ascending in time.
    zeroes
        Returns the zero messages of all symbols for a time of day; what ``zero-snapshot`` sends.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        faults: Sequence[Fault],
        zeroes: Callable[[int], Iterable[Line]] = lambda _time_ms: (),
    ) -> None:
        self._lines = lines
        self._zeroes = zeroes
        self._agenda: list[tuple[int, int, Callable[[], Iterable[Step]]]] = []
        self._entries = 0
        self._now_ms = 0
        self._edits: list[Edit] = []
        # Cumulative volume so far of the symbols the script names: what comes after is new.
        self._totals = {fault.symbol: 0 for fault in faults if fault.symbol}
        self._wants_books = any(fault.what is What.BURST for fault in faults)
        self._books: dict[str, Line] = {}
        for fault in faults:
            self._at(fault.time_ms, partial(self._begin, fault))

    def steps(self) -> Iterator[Step]:
        """Yield the day: everything that happens, ascending in time."""
        held: list[Line] = []
        stalled: Fault | None = None
        for step in self._steps():
            if isinstance(step, Act) and step.fault.what is What.STALL:
                yield step
                stalled = None if step.ends else step.fault
                if step.ends:
                    for line in held:
                        yield Extra(step.time_ms, line)
                    held.clear()
            elif stalled is None or isinstance(step, Act | Withheld):
                yield step
            elif isinstance(step, Extra):
                held.append(step.line)
            else:
                held.append(step)
                yield Withheld(step[0], step, stalled)

    def _steps(self) -> Iterator[Step]:
        agenda = self._agenda
        for line in self._lines:
            while agenda and agenda[0][0] <= line[0]:
                yield from heappop(agenda)[2]()
            self._now_ms = line[0]
            if self._wants_books and line[1] in BOOK_KINDS:
                self._books[line[2]] = line
            if line[2] in self._totals:
                self._totals[line[2]] = max(self._totals[line[2]], total_shares(line))
            if self._edits:
                yield from self._edited(line)
            else:
                yield line
        while agenda:
            self._now_ms, _, due = heappop(agenda)
            yield from due()
        for edit in self._edits:
            for line in edit.rest():
                yield Extra(self._now_ms, line)

    def _edited(self, line: Line) -> Iterator[Step]:
        lines: list[Line] = [line]
        blamed: Fault | None = None
        for edit in self._edits:
            after: list[Line] = []
            for each in lines:
                taken = None if edit.done else edit.take(each)
                after += [each] if taken is None else taken
                if taken == []:
                    blamed = edit.fault
            lines = after
        if any(edit.done for edit in self._edits):
            self._edits = [edit for edit in self._edits if not edit.done]
        if lines == [line]:
            yield line
            return
        yield Withheld(line[0], line, blamed)
        for each in lines:
            yield Extra(line[0], each)

    def _at(self, time_ms: int, due: Callable[[], Iterable[Step]]) -> None:
        """Put something on the agenda; things of one moment keep their order."""
        self._entries += 1
        heappush(self._agenda, (time_ms, self._entries, due))

    def _begin(self, fault: Fault) -> Iterator[Step]:
        yield Act(fault.time_ms, fault)
        end_ms = fault.time_ms + fault.length_ms
        what = fault.what
        if what in _MATCH_EDITS:
            self._edit(_MATCH_EDITS[what](fault, self._totals[fault.symbol]))
        elif what in _MESSAGE_EDITS:
            self._edit(_MESSAGE_EDITS[what](fault))
        elif what is What.LATE:
            self._edit(Late(fault, partial(self._later, fault.lag_ms)))
        elif what is What.AUCTION_BOOKS:
            self._edits = [each for each in self._edits if each.fault.what is not what]
            if fault.words == PRE_KRX:
                self._edit(Change(fault, with_market_orders, BOOK_KINDS))
        elif what is What.ZERO_SNAPSHOT:
            for line in self._zeroes(fault.time_ms):
                yield Extra(fault.time_ms, line)
        elif what is What.BURST:
            self._at(fault.time_ms, partial(self._burst, fault, 0))
        elif fault.length_ms and (what in CUTS or what is What.STALL):
            self._at(end_ms, lambda: (Act(end_ms, fault, ends=True),))

    def _edit(self, edit: Edit) -> None:
        self._edits.append(edit)
        if edit.fault.length_ms:
            end_ms = edit.fault.time_ms + edit.fault.length_ms
            self._at(end_ms, partial(self._end, edit))

    def _end(self, edit: Edit) -> Iterable[Step]:
        self._edits = [each for each in self._edits if each is not edit]
        return ()

    def _later(self, lag_ms: int, line: Line) -> None:
        time_ms = max(line[0] + lag_ms, self._now_ms)
        self._at(time_ms, lambda: (Extra(time_ms, line),))

    def _burst(self, fault: Fault, sent: int) -> Iterator[Step]:
        """Send the copies of ten milliseconds and put the next ten on the agenda."""
        now_ms = fault.time_ms + sent
        until_ms = min(sent + 10, fault.length_ms)
        books = list(self._books.values())
        first, last = (ms * fault.rate_per_s // 1_000 for ms in (sent, until_ms))
        if books:
            for number in range(first, last):
                yield Extra(now_ms, books[number % len(books)])
        if until_ms < fault.length_ms:
            self._at(fault.time_ms + until_ms, partial(self._burst, fault, until_ms))

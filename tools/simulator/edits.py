"""What a fault does to the lines of the day, one class per kind of change.

An edit is offered every line. It returns the lines to send now in its place (perhaps none, which
withholds it for now or for good), or None when the line does not concern it.
"""

from collections.abc import Callable
from typing import Protocol

from tools.simulator.faults import Fault
from tools.simulator.lines import Line
from tools.simulator.record import PRINT_KINDS, total_shares

UNKNOWN_TYPE = "X-NEW"
UNKNOWN_SESSION = b"NEWPHASE"


class Edit(Protocol):
    """A change that is going on. One that is done is offered nothing any more."""

    fault: Fault
    done: bool  # has nothing left to do

    def take(self, line: Line) -> list[Line] | None:
        """Look at a line, as it stands after the edits that began before this one."""
        ...

    def rest(self) -> list[Line]:
        """Return what is still held back when the day ends."""
        ...


class _Whole:
    """The part that edits which hold nothing back have in common."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.done = False

    def rest(self) -> list[Line]:
        """Return nothing."""
        return []


class _Matches(_Whole):
    """The part of edits that count one symbol's matches.

    In x mode every book says the last match again, so a match is new when its cumulative volume
    is; `traded_shares` is the symbol's when the fault begins.
    """

    def __init__(self, fault: Fault, traded_shares: int) -> None:
        super().__init__(fault)
        self._left = fault.count
        self._traded = traded_shares
        self._seen: set[int] = set()

    def _total(self, line: Line) -> int:
        """Return the cumulative volume of the symbol's matches in a line; 0 without one."""
        return total_shares(line) if line[2] == self.fault.symbol else 0

    def _is_new(self, total: int) -> bool:
        """Return whether this is a match we have not seen, and see it."""
        if total <= self._traded or total in self._seen:
            return False
        self._seen.add(total)
        return True

    def _count(self) -> None:
        self._left -= 1
        self.done = not self._left


class Skip(_Matches):
    """Swallow the next matches, and every message that would still tell of one of them."""

    def __init__(self, fault: Fault, traded_shares: int) -> None:
        super().__init__(fault, traded_shares)
        self._swallowed: set[int] = set()

    def take(self, line: Line) -> list[Line] | None:
        """Swallow or pass."""
        total = self._total(line)
        if total in self._swallowed:
            return []
        if not self._is_new(total):
            return None
        if self._left:
            self._left -= 1
            self._swallowed.add(total)
            return []
        self.done = True  # the matches after them are being told of
        return None


class Repeat(_Matches):
    """Send each of the next matches twice."""

    def take(self, line: Line) -> list[Line] | None:
        """Double a new match."""
        if not self._is_new(self._total(line)):
            return None
        self._count()
        return [line, line]


class Replay(_Matches):
    """Send the next matches, and when the last is out all of them once more."""

    def __init__(self, fault: Fault, traded_shares: int) -> None:
        super().__init__(fault, traded_shares)
        self._told: list[Line] = []

    def take(self, line: Line) -> list[Line] | None:
        """Remember a new match."""
        if not self._is_new(self._total(line)):
            return None
        self._told.append(line)
        self._count()
        return [line, *self._told] if self.done else None


class Swap(_Matches):
    """Hold the next matches until the last has come, then send them the other way round."""

    def __init__(self, fault: Fault, traded_shares: int) -> None:
        super().__init__(fault, traded_shares)
        self._left = max(fault.count, 2)
        self._groups: dict[int, list[Line]] = {}  # the lines that tell of a match, by its total

    def take(self, line: Line) -> list[Line] | None:
        """Hold or release."""
        total = self._total(line)
        if total in self._groups:
            self._groups[total].append(line)
            return []
        if not self._is_new(total):
            return None
        self._groups[total] = [line]
        self._count()
        return self.rest() if self.done else []

    def rest(self) -> list[Line]:
        """Return what is held, last match first."""
        held = [line for group in reversed(self._groups.values()) for line in group]
        self._groups.clear()
        return held


class Overtake(_Matches):
    """Hold books until the match that follows them is out."""

    def __init__(self, fault: Fault, traded_shares: int) -> None:
        super().__init__(fault, traded_shares)
        self._books: list[Line] = []

    def take(self, line: Line) -> list[Line] | None:
        """Hold a book, release them behind a match."""
        if line[2] == self.fault.symbol and line[1] == "X-QUOTE":
            self._books.append(line)
            return []
        if not self._is_new(self._total(line)):
            return None
        self._count()
        return [line, *self.rest()]

    def rest(self) -> list[Line]:
        """Return the books held back."""
        books, self._books = self._books, []
        return books


class Late(_Whole):
    """Hand prints to `later`, which brings them back after the lag."""

    def __init__(self, fault: Fault, later: Callable[[Line], None]) -> None:
        super().__init__(fault)
        self._later = later

    def take(self, line: Line) -> list[Line] | None:
        """Take a print out of the day for a while."""
        if line[1] not in PRINT_KINDS or self.fault.symbol not in ("", line[2]):
            return None
        self._later(line)
        return []


class Copy(_Whole):
    """Send the next messages, and behind each a changed copy of it."""

    def __init__(self, fault: Fault, change: Callable[[bytes], bytes]) -> None:
        super().__init__(fault)
        self._left = fault.count
        self._change = change

    def take(self, line: Line) -> list[Line] | None:
        """Add the copy."""
        self._left -= 1
        self.done = not self._left
        return [line, (*line[:3], self._change(line[3]))]


class Change(_Whole):
    """Change messages of some types while it lasts."""

    def __init__(
        self, fault: Fault, change: Callable[[bytes], bytes], kinds: frozenset[str] | None = None
    ) -> None:
        super().__init__(fault)
        self._change = change
        self._kinds = kinds

    def take(self, line: Line) -> list[Line] | None:
        """Change a message."""
        if self._kinds is not None and line[1] not in self._kinds:
            return None
        changed = self._change(line[3])
        return None if changed == line[3] else [(*line[:3], changed)]

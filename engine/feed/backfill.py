"""Asks REST for the minutes of every gap, so that a hole in the tape gets prices and volumes.

In: gaps as the ledger opens them, and a way to fetch one symbol's minutes of one day. Out: one
`Answer` per gap, with bars or without. Owner of the memory: this module, `pending_max` gaps long.
May lose: nothing; a gap that finds no room, or no bars, is answered without any.

`Backlog` is the rules, pure: who is asked next, and what an answer means. `Backfiller` is the
loop around it. `bars` says what the minutes are.

The rules (market-behaviour section 11):

* A gap waits `delay_s` before it is asked about, so that the bar of its last minute is complete.
* One fetch answers every gap of its symbol and day that has waited long enough.
* The symbol that missed the most shares is asked first.
* A fetch that fails, or that knows no minute of the gap, is a try; the next one is `delay_s` later.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from engine.clock import Clock, trade_day
from engine.feed.bars import MINUTE_S, Bar, bars_v2, bars_v3
from engine.feed.source import FeedError
from engine.market.days import date_of

__all__ = ["Answer", "Backfiller", "Backlog", "Bar", "Fetch", "Gap", "bars_v2", "bars_v3"]

PENDING_MAX = 2_000
NS_PER_S = 1_000_000_000

Fetch = Callable[[str, dt.date], Awaitable[list[Bar]]]
"""Return the minutes of a symbol (its code) on a day; FeedError when there is no answer."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole that the ledger opened.

    Attributes
    ----------
    symbol_id, code
        The symbol, by number and by name.
    gap_no
        1, 2, 3 ... per symbol and day.
    from_exch_s, to_exch_s
        Stamps of the trade messages before and after the hole, UTC seconds. `from_exch_s` is 0 for
        a baseline: the hole begins with the day.
    missed_shares
        Volume that nobody saw.
    """

    symbol_id: int
    code: str
    gap_no: int
    from_exch_s: int
    to_exch_s: int
    missed_shares: int

    @property
    def day(self) -> dt.date:
        """The trading day it belongs to."""
        return date_of(trade_day(self.to_exch_s))


@dataclass(frozen=True, slots=True)
class Answer:
    """What REST knows of a gap: the minutes that overlap it, ascending, or none."""

    gap: Gap
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One fetch, and the gaps it is for."""

    code: str
    day: dt.date
    gaps: tuple[Gap, ...]


@dataclass(slots=True)
class _Waiting:
    gap: Gap
    due_s: float
    tries: int = 0


class Backlog:
    """The gaps that wait for an answer. Time is an argument, in seconds of any one clock.

    Parameters
    ----------
    delay_s
        Least time from a request to its first try, and from one try to the next.
    tries
        Tries before a gap is given up, at least 1.
    pending_max
        Most gaps that may wait.
    """

    def __init__(self, delay_s: float, tries: int, pending_max: int = PENDING_MAX) -> None:
        assert tries >= 1 and pending_max >= 1
        self._delay_s = delay_s
        self._tries_max = tries
        self._pending_max = pending_max
        self._waiting: dict[tuple[int, dt.date, int], _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, gap: Gap, now_s: float) -> bool:
        """Take a gap; False when there is no room.

        One that waits already is replaced: it may have shrunk. Its turn stays.
        """
        key = _key(gap)
        if key in self._waiting:
            self._waiting[key].gap = gap
            return True
        if len(self._waiting) >= self._pending_max:
            return False
        self._waiting[key] = _Waiting(gap, now_s + self._delay_s)
        return True

    def next_s(self) -> float | None:
        """Return when the next gap is due; None when none waits."""
        return min((each.due_s for each in self._waiting.values()), default=None)

    def take(self, now_s: float) -> Ask | None:
        """Return what to fetch now, None if nothing is due. The gaps wait on until `settle`."""
        due: dict[tuple[str, dt.date], list[Gap]] = {}
        for each in self._waiting.values():
            if each.due_s <= now_s:
                due.setdefault((each.gap.code, each.gap.day), []).append(each.gap)
        if not due:
            return None
        (code, day), gaps = max(
            due.items(), key=lambda item: sum(gap.missed_shares for gap in item[1])
        )
        return Ask(code, day, tuple(gaps))

    def settle(self, ask: Ask, bars: Iterable[Bar], now_s: float) -> list[Answer]:
        """Return the gaps that are answered by a fetch; the others wait for their next try.

        Parameters
        ----------
        bars
            What the fetch returned, in any order; nothing when it failed.
        """
        known = sorted(bars, key=lambda bar: bar.minute_exch_s)
        answers = []
        for asked in ask.gaps:
            key = _key(asked)
            waiting = self._waiting[key]
            found = overlapping(waiting.gap, known)
            waiting.tries += 1
            waiting.due_s = now_s + self._delay_s
            if found or waiting.tries >= self._tries_max:
                del self._waiting[key]
                answers.append(Answer(waiting.gap, found))
        return answers


def overlapping(gap: Gap, bars: Sequence[Bar]) -> tuple[Bar, ...]:
    """Return the bars whose minute holds a second of the gap; both ends belong to the gap."""
    return tuple(
        bar
        for bar in bars
        if bar.minute_exch_s <= gap.to_exch_s
        and bar.minute_exch_s + MINUTE_S > gap.from_exch_s
        and trade_day(bar.minute_exch_s) == trade_day(gap.to_exch_s)
    )


def _key(gap: Gap) -> tuple[int, dt.date, int]:
    return gap.symbol_id, gap.day, gap.gap_no


class Backfiller:
    """Fetches for gaps, one request at a time, and delivers their answers.

    Parameters
    ----------
    fetch
        Returns the minutes of a symbol; see `bars_v2` and `bars_v3`.
    deliver
        Called once for every gap, from `run`, or from `request` when there is no room.
    clock
        Says when a gap has waited long enough.
    delay_s, tries, pending_max
        As for `Backlog`.

    Attributes
    ----------
    answered, failures : int
        Gaps that were answered, with or without bars; fetches that failed.
    last_failure : str
        Why the last one failed; one line.
    """

    def __init__(
        self,
        fetch: Fetch,
        deliver: Callable[[Answer], None],
        clock: Clock,
        delay_s: float,
        tries: int,
        pending_max: int = PENDING_MAX,
    ) -> None:
        self._fetch = fetch
        self._deliver = deliver
        self._clock = clock
        self._backlog = Backlog(delay_s, tries, pending_max)
        self._requested = asyncio.Event()
        self.answered = 0
        self.failures = 0
        self.last_failure = ""

    @property
    def pending(self) -> int:
        """Gaps that wait for their answer."""
        return len(self._backlog)

    def request(self, gap: Gap) -> None:
        """Ask for a gap. It is answered later; at once, without bars, when too many wait."""
        if self._backlog.add(gap, self._now_s()):
            self._requested.set()
        else:
            self._give(Answer(gap, ()))

    async def run(self) -> None:
        """Answer gaps until cancelled. `fetch` may raise FeedError; anything else is a bug."""
        while True:
            ask = self._backlog.take(self._now_s())
            if ask is None:
                await self._wait()
                continue
            bars: list[Bar] = []
            try:
                bars = await self._fetch(ask.code, ask.day)
            except FeedError as error:
                self.failures += 1
                self.last_failure = str(error)
            for answer in self._backlog.settle(ask, bars, self._now_s()):
                self._give(answer)

    def _give(self, answer: Answer) -> None:
        self.answered += 1
        self._deliver(answer)

    async def _wait(self) -> None:
        """Wait until a gap is due, or for a request, which may be due earlier."""
        self._requested.clear()
        next_s = self._backlog.next_s()
        try:
            async with asyncio.timeout(None if next_s is None else next_s - self._now_s()):
                await self._requested.wait()
        except TimeoutError:
            pass

    def _now_s(self) -> float:
        return self._clock.now_ns() / NS_PER_S

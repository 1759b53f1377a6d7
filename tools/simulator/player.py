"""The day against the clock, or as fast as its readers take it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from engine.clock import Clock
from tools.simulator.connection import Connection
from tools.simulator.executor import Act, Executor, Extra, Step, Withheld, from_start
from tools.simulator.faults import CUTS, SPOKEN, Fault
from tools.simulator.lines import GREETING_MS, Line
from tools.simulator.moments import DAY_MS
from tools.simulator.truth import CLIENT_LEFT, NOT_BEGUN, NOT_WANTED, TOO_SLOW, Cause, Truth

BATCH_LINES = 1_000  # about a megabyte: one write, one look at the sockets
TICK_S = 0.005  # the clock is looked at this often when little is due
LINES_PER_EXTRA_MESSAGE = 16  # so many due lines put one more message into a frame
SLOW_READER_BYTES = 64 * 1024 * 1024


class Pace(NamedTuple):
    """How market time runs.

    `speed` times real time, or None for as fast as it is read. Market time was `start_ms` when
    the wall clock said `origin_ns`, so a restarted simulator finds the day where it would be;
    None means that the day begins when somebody first listens.
    """

    speed: float | None
    start_ms: int
    origin_ns: int | None

    def market_ms(self, now_ns: int) -> float:
        """Return the market's time of day at a moment."""
        assert self.speed is not None
        assert self.origin_ns is not None, "the day has not begun"
        return self.start_ms + (now_ns - self.origin_ns) / 1e6 * self.speed


class Mishaps(NamedTuple):
    """What goes wrong on this day; nothing by default.

    `zeroes` renders the zero messages of a moment (`Executor`). `truth`, when given, is told of
    everything that happens and of what the newest listener got of it.
    """

    faults: Sequence[Fault] = ()
    zeroes: Callable[[int], Iterable[Line]] = lambda _time_ms: ()
    truth: Truth | None = None


async def _nothing(_act: Act) -> None:
    """Do nothing about a fault."""


class Player:
    """Sends the lines of a day to whoever has subscribed to them.

    Flat out, everything waits for the slowest reader and nothing is dropped; nobody listening
    stops the day, unless a fault keeps everybody away. Against the clock the day goes on
    regardless, and a reader that is too slow silently misses messages, as with the real server
    (ssi-wire section 1.7).

    Parameters
    ----------
    lines
        The day, ascending in time.
    listeners
        Returns the open connections that have subscribed to something, the newest last.
    messages_per_frame
        Most hub messages in one frame; fewer while there is little to send.
    snapshot
        Send the last message of each type and symbol to a connection that has just subscribed.
    begun
        Told the wall clock when a day without an origin begins.
    mishaps
        What goes wrong.
    perform
        Does what a fault does to connections.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        pace: Pace,
        clock: Clock,
        listeners: Callable[[], list[Connection]],
        *,
        messages_per_frame: int = 10,
        snapshot: bool = True,
        begun: Callable[[int], None] = lambda _origin_ns: None,
        mishaps: Mishaps = Mishaps(),  # noqa: B008  # a tuple: nobody can change it
        perform: Callable[[Act], Awaitable[None]] = _nothing,
    ) -> None:
        self._begun = begun
        self._skipped = False
        self._lines: Iterator[Line] = iter(lines)
        self._pace = pace
        self._clock = clock
        self._listeners = listeners
        self._per_frame = messages_per_frame
        self._snapshot = snapshot
        self._mishaps = mishaps
        self._truth = mishaps.truth
        self._perform = perform
        self._latest: dict[tuple[str, str], Line] = {}
        self._cursor = 0
        self._audience = asyncio.Event()
        self._played_ms = pace.start_ms
        self._away: list[Cause] = [NOT_BEGUN]  # why nobody listens, if nobody does
        self.outage_count = 0  # faults in force that keep everybody away
        self.sent_count = 0  # lines that were due while we played, whoever heard them

    @property
    def is_flat_out(self) -> bool:
        """Whether the day is played as fast as it is read."""
        return self._pace.speed is None

    @property
    def market_ms(self) -> int:
        """The market's time of day, in milliseconds since midnight."""
        if self._pace.speed is None or self._pace.origin_ns is None:
            return self._played_ms
        return min(int(self._pace.market_ms(self._clock.now_ns())), DAY_MS)

    def next_cursor(self) -> int:
        """Return a number no frame has had."""
        self._cursor += 1
        return self._cursor

    def refused(self, fault: Fault) -> None:
        """Note that a fault has just kept a client from coming back."""
        if not self._listeners() and fault not in self._away:
            self._away.append(fault)

    def subscribed(self, connection: Connection) -> None:
        """Note that a connection has changed what it wants; greet it the first time."""
        if self._snapshot and self._skipped and not connection.greeted and connection.subscription:
            connection.greeted = True
            lines = [(GREETING_MS, *line[1:]) for line in self._latest.values()]
            connection.write(
                connection.subscription.frames(lines, self._per_frame, self.next_cursor)
            )
            listeners = self._listeners()
            if self._truth is not None and listeners and listeners[-1] is connection:
                for line in lines:
                    if connection.subscription.wants(line[1], line[2]):
                        self._truth.delivered(line)
        self._audience.set()

    async def run(self) -> None:
        """Play to the end of the day."""
        if self._pace.speed is None:
            await self._flat_out(await self._skip(self._pace.start_ms))
        elif self._pace.origin_ns is None:
            steps = await self._skip(self._pace.start_ms)
            await self._listener()
            self._pace = self._pace._replace(origin_ns=self._clock.now_ns())
            self._begun(self._clock.now_ns())
            await self._by_the_clock(steps)
        else:
            start_ms = int(self._pace.market_ms(self._clock.now_ns()))
            await self._by_the_clock(await self._skip(start_ms))
        self._played_ms = DAY_MS

    async def _listener(self) -> None:
        """Wait until somebody listens."""
        while not self._listeners():
            self._audience.clear()
            await self._audience.wait()

    async def _skip(self, until_ms: int) -> Iterator[Step]:
        """Pass over what happened before we came, keeping the last word on everything.

        Returns
        -------
        iterator of Step
            The rest of the day.
        """
        for count, line in enumerate(self._lines):
            if line[0] >= until_ms:
                self._lines = chain((line,), self._lines)
                break
            self._latest[line[1], line[2]] = line
            if self._truth is not None:
                self._truth.happened(line)
                self._truth.blamed(line, NOT_BEGUN)
            if count % BATCH_LINES == 0:
                await asyncio.sleep(0)  # clients may be knocking
        self._skipped = True
        for connection in self._listeners():  # who knocked meanwhile has waited for this
            self.subscribed(connection)
        faults = from_start(self._mishaps.faults, until_ms)
        if not faults:
            return self._lines
        return Executor(self._lines, faults, self._mishaps.zeroes).steps()

    async def _flat_out(self, steps: Iterator[Step]) -> None:
        act: Act | None = None
        while True:
            batch: list[Step] = []
            for step in steps:
                if isinstance(step, Act):
                    act = step
                    break
                batch.append(step)
                if len(batch) == BATCH_LINES:
                    break
            if not batch and act is None:
                return
            if batch:
                if not self.outage_count:
                    await self._listener()
                self._send(batch, self._per_frame)
                for connection in self._listeners():
                    await connection.drained()
                await asyncio.sleep(0)
            if act is not None:
                if act.fault.what in SPOKEN and not act.ends and not self.outage_count:
                    await self._listener()
                await self._act(act)
                act = None

    async def _by_the_clock(self, steps: Iterator[Step]) -> None:
        waiting: Step | None = next(steps, None)
        while waiting is not None:
            now_ms = self._pace.market_ms(self._clock.now_ns())
            due: list[Step] = []
            while waiting is not None and waiting[0] <= now_ms and len(due) < BATCH_LINES:
                if isinstance(waiting, Act):
                    break
                due.append(waiting)
                waiting = next(steps, None)
            if due:
                self._send(due, min(self._per_frame, 1 + len(due) // LINES_PER_EXTRA_MESSAGE))
            if isinstance(waiting, Act) and waiting.time_ms <= now_ms:
                await self._act(waiting)
                waiting = next(steps, None)
                continue
            await asyncio.sleep(0 if len(due) == BATCH_LINES else TICK_S)

    async def _act(self, act: Act) -> None:
        """Let a fault happen, or end."""
        self._played_ms = max(self._played_ms, act.time_ms)
        fault = act.fault
        if not act.ends and self._truth is not None:
            self._truth.fault(fault)
        if fault.what in SPOKEN and not act.ends:
            self._away = [fault] if self._listeners() else [*self._away, fault]
        if fault.what in CUTS and fault.length_ms:
            self.outage_count += -1 if act.ends else 1
        await self._perform(act)

    def _send(self, batch: list[Step], per_frame: int) -> None:
        """Send a batch to everyone, rendering frames once per distinct subscription."""
        self._played_ms = max(self._played_ms, batch[-1][0])
        lines = self._sorted_out(batch)
        frames: dict[object, bytes] = {}
        newest: Connection | None = None
        slow: Connection | None = None
        for newest in self._listeners():  # the last one is the data connection
            if self._pace.speed is not None and newest.unsent_bytes > SLOW_READER_BYTES:
                newest.lost_count += len(lines)
                slow = newest
                continue
            key = newest.subscription.key
            if key not in frames:
                frames[key] = newest.subscription.frames(lines, per_frame, self.next_cursor)
            newest.write(frames[key])
        if newest is not None:
            self._away = [CLIENT_LEFT]  # what it will be, when it is gone without a fault
        if self._truth is not None:
            self._account(batch, newest, is_slow=slow is newest is not None)

    def _sorted_out(self, batch: list[Step]) -> list[Line]:
        """Note what has happened, and return what is to be sent."""
        happened: list[Line] = []
        lines: list[Line] = []
        for step in batch:
            if isinstance(step, Extra):
                lines.append(step.line)
            elif isinstance(step, Withheld):
                happened.append(step.line)
            elif not isinstance(step, Act):
                happened.append(step)
                lines.append(step)
        self.sent_count += len(happened)
        if self._snapshot:
            self._latest.update({(line[1], line[2]): line for line in happened})
        return lines

    def _account(self, batch: list[Step], newest: Connection | None, *, is_slow: bool) -> None:
        """Tell the truth who got what."""
        truth = self._truth
        assert truth is not None
        for step in batch:
            if isinstance(step, Act):
                continue
            if isinstance(step, Withheld):
                truth.happened(step.line)
                if step.fault is not None:
                    truth.blamed(step.line, step.fault)
                continue
            if isinstance(step, Extra):
                line = step.line
            else:
                line = step
                truth.happened(line)
            if newest is None:
                for cause in self._away:
                    truth.blamed(line, cause)
            elif is_slow:
                truth.blamed(line, TOO_SLOW)
            elif newest.subscription.wants(line[1], line[2]):
                truth.delivered(line)
            else:
                truth.blamed(line, NOT_WANTED)

"""The day against the clock, or as fast as its readers take it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from engine.clock import Clock
from tools.simulator import hub
from tools.simulator.connection import Connection
from tools.simulator.websocket import encode

BATCH_LINES = 1_000  # about a megabyte: one write, one look at the sockets
TICK_S = 0.005  # the clock is looked at this often when little is due
LINES_PER_EXTRA_MESSAGE = 16  # so many due lines put one more message into a frame
SLOW_READER_BYTES = 64 * 1024 * 1024


# One message of the day: milliseconds since midnight in Vietnam, type, code, and the hub message
# as it stands in a frame. What `engine.feed.synthetic.iter_messages` yields.
Line = tuple[int, str, str, bytes]


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


class Player:
    """Sends the lines of a day to whoever has subscribed to them.

    Flat out, everything waits for the slowest reader and nothing is dropped; nobody listening
    stops the day. Against the clock the day goes on regardless, and a reader that is too slow
    silently misses messages, as with the real server (ssi-wire section 1.7).

    Parameters
    ----------
    lines
        The day, ascending in time.
    listeners
        Returns the open connections that have subscribed to something.
    messages_per_frame
        Most hub messages in one frame; fewer while there is little to send.
    snapshot
        Send the last message of each type and symbol to a connection that has just subscribed.
    begun
        Told the wall clock when a day without an origin begins.
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
    ) -> None:
        self._begun = begun
        self._skipped = False
        self._lines: Iterator[Line] = iter(lines)
        self._pace = pace
        self._clock = clock
        self._listeners = listeners
        self._per_frame = messages_per_frame
        self._snapshot = snapshot
        self._latest: dict[tuple[str, str], bytes] = {}
        self._cursor = 0
        self._audience = asyncio.Event()
        self.sent_count = 0  # lines that were due while we played, whoever heard them

    def next_cursor(self) -> int:
        """Return a number no frame has had."""
        self._cursor += 1
        return self._cursor

    def subscribed(self, connection: Connection) -> None:
        """Note that a connection has changed what it wants; greet it the first time."""
        if self._snapshot and self._skipped and not connection.greeted and connection.subscription:
            connection.greeted = True
            lines = [(0, kind, code, message) for (kind, code), message in self._latest.items()]
            connection.write(self._frames(connection, lines, self._per_frame))
        self._audience.set()

    async def run(self) -> None:
        """Play to the end of the day."""
        if self._pace.speed is None:
            await self._skip(self._pace.start_ms)
            await self._flat_out()
        elif self._pace.origin_ns is None:
            await self._skip(self._pace.start_ms)
            await self._listener()
            self._pace = self._pace._replace(origin_ns=self._clock.now_ns())
            self._begun(self._clock.now_ns())
            await self._by_the_clock()
        else:
            await self._skip(int(self._pace.market_ms(self._clock.now_ns())))
            await self._by_the_clock()

    async def _listener(self) -> None:
        """Wait until somebody listens."""
        while not self._listeners():
            self._audience.clear()
            await self._audience.wait()

    async def _skip(self, until_ms: int) -> None:
        """Pass over what happened before we came, keeping the last word on everything."""
        for count, line in enumerate(self._lines):
            if line[0] >= until_ms:
                self._lines = chain((line,), self._lines)
                break
            self._latest[line[1], line[2]] = line[3]
            if count % BATCH_LINES == 0:
                await asyncio.sleep(0)  # clients may be knocking
        self._skipped = True
        for connection in self._listeners():  # who knocked meanwhile has waited for this
            self.subscribed(connection)

    async def _flat_out(self) -> None:
        while True:
            await self._listener()
            batch = list(islice(self._lines, BATCH_LINES))
            if not batch:
                return
            self._send(batch, self._per_frame)
            for connection in self._listeners():
                await connection.drained()
            await asyncio.sleep(0)

    async def _by_the_clock(self) -> None:
        waiting: Line | None = next(self._lines, None)
        while waiting is not None:
            now_ms = self._pace.market_ms(self._clock.now_ns())
            due: list[Line] = []
            while waiting is not None and waiting[0] <= now_ms and len(due) < BATCH_LINES:
                due.append(waiting)
                waiting = next(self._lines, None)
            if due:
                self._send(due, min(self._per_frame, 1 + len(due) // LINES_PER_EXTRA_MESSAGE))
            await asyncio.sleep(0 if len(due) == BATCH_LINES else TICK_S)

    def _send(self, batch: list[Line], per_frame: int) -> None:
        """Send a batch to everyone, rendering frames once per distinct subscription."""
        self.sent_count += len(batch)
        if self._snapshot:
            self._latest.update({(line[1], line[2]): line[3] for line in batch})
        frames: dict[object, bytes] = {}
        for connection in self._listeners():
            if self._pace.speed is not None and connection.unsent_bytes > SLOW_READER_BYTES:
                connection.lost_count += len(batch)
                continue
            key = connection.subscription.key
            if key not in frames:
                frames[key] = self._frames(connection, batch, per_frame)
            connection.write(frames[key])

    def _frames(self, connection: Connection, lines: list[Line], per_frame: int) -> bytes:
        """Return what the connection wants of `lines`, as WebSocket frames in one piece."""
        wanted = connection.subscription.wanted
        chosen = [
            message
            for _, kind, code, message in lines
            if kind in wanted and ((codes := wanted[kind]) is None or code.upper() in codes)
        ]
        return b"".join(
            [
                encode(hub.data_frame(self.next_cursor(), chosen[at : at + per_frame]))
                for at in range(0, len(chosen), per_frame)
            ]
        )

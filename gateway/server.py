"""The only socket: picows on uvloop, and the loop that moves deltas from the bus to clients.

One pass = drain the bus, apply, fan out. A pass runs at once when the gateway was idle; after a
pass that cost something the next one waits GAP_PER_COST times as long, so that under load frames
are joined into fewer writes. Two passes never begin more than PASS_GAP_MAX_S apart on that account:
a pass that takes as long joins enough by itself. Passes also run every TICK_S for deadlines.
"""

import asyncio
import errno
import logging
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.bus.delta_log import read_log
from engine.bus.subscriber import Subscriber
from engine.clock import Clock
from engine.errors import ConfigError
from engine.log import Log
from gateway.connection import CLOSE_WAIT_S, HARD_FRAME_BYTES_MAX
from gateway.door import LOGGER, Bugs, open_door
from gateway.fanout import Fanout
from gateway.gap import GapTimer
from gateway.joining import joined_frames
from gateway.reception import Reception
from gateway.settings import GatewaySettings
from gateway.status import FeedStateSource
from gateway.tls import server_context

PASS_FRAMES: Final = 32  # bus frames per shard and pass: bounds the time clients wait for a word
PASS_GAP_MAX_S: Final = 0.006
GAP_PER_COST: Final = 0.5  # bench_latency wants it small, bench_fanout (desks) large
TICK_S: Final = 0.1
LEARN_WAIT_S: Final = 3.0  # a starting gateway listens once it knows every shard, or after this
LEARN_TURN_S: Final = 0.005


class Gateway:
    """One gateway: bus in, clients out.

    Parameters
    ----------
    settings
        Checked settings.
    counters
        GATEWAY_COUNTERS, shape (1,), written by this process only.
    clock
        The time.
    subscriber
        The bus.
    feed_state
        Asked at every heartbeat; None means nobody knows.
    past
        Delta logs of the sources, for clients of the gateway before this one.
    travel_command
        Starts a time travel; empty: there is none.

    Raises
    ------
    ConfigError
        The tokens or TLS files cannot be used.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        counters: NDArray[np.void],
        clock: Clock,
        subscriber: Subscriber,
        feed_state: FeedStateSource,
        *,
        past: Sequence[Path] = (),
        travel_command: Sequence[str] = (),
    ) -> None:
        self.settings = settings
        self.fanout = Fanout(settings.capacity, settings.client_budget_bytes, settings.resume_bytes)
        log = Log("gateway", clock)
        for sentence in settings.warnings():
            log.write("warning", sentence)
        self.reception = Reception(
            settings,
            self.fanout,
            counters[0],
            clock,
            feed_state,
            log,
            travel_command,
            self._arm_flush,
            self._fail,
        )
        self._past = past
        self._cells = counters[0]
        self._clock = clock
        self._subscriber = subscriber
        self._gaps = 0
        self._seen_recv_ns = 0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._not_before_s = 0.0
        self._listening = False
        self._failure: BaseException | None = None
        self._done_frames: dict[int, int] = {}  # shard -> last frame fanned out, not yet reported

    # --- life -----------------------------------------------------------------------------------

    async def serve(self, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Parameters
        ----------
        ready
            Called with the port once clients can connect.
        stop
            Set it to shut down: clients are told, then closed with 1012.

        Raises
        ------
        ConfigError
            The port is taken or the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        self._gap = GapTimer(self._loop, self._pass)
        self._stop = stop
        self.reception.open()
        bugs, logger = Bugs(self._fail), logging.getLogger(LOGGER)
        logger.addHandler(bugs)
        server = await self._bind()
        tick = self._loop.create_task(self._ticks())
        try:
            await self._learn()
            port = await self._open(server)
            self._cells["pid"] = os.getpid()
            self._cells["started_ns"] = self._clock.now_ns()
            self._cells["port"] = port
            ready(port)
            await stop.wait()
        finally:
            tick.cancel()
            self._unlisten()
            if self._flush_timer is not None:
                self._flush_timer.cancel()
            self._gap.close()
            server.close()
            await self.reception.part(CLOSE_WAIT_S + TICK_S)
            self._subscriber.close()
            logger.removeHandler(bugs)
        if self._failure is not None:
            raise self._failure

    async def _bind(self) -> asyncio.Server:
        try:
            return await open_door(
                self.reception.route,
                self.reception.nobody,
                self.settings.host,
                self.settings.port,
                self._tls(),
                HARD_FRAME_BYTES_MAX,
            )
        except OSError as failure:
            raise self._cannot_listen(failure) from None

    def _tls(self) -> ssl.SSLContext | None:
        settings = self.settings
        if not settings.tls_cert_file:
            return None
        return server_context(settings.tls_cert_file, settings.tls_key_file)

    async def _learn(self) -> None:
        """Follow the bus for a moment before the first client, so that it finds its symbols.

        Then read what was published before our time from the delta logs, so that clients of a
        gateway that is gone go on here where they were. In this order: whatever was heard by then
        is in the logs, whatever comes later is heard.
        """
        self.fanout.remembers = not self._past
        self._listen()
        self._pass()
        deadline_s = self._loop.time() + LEARN_WAIT_S
        while not self._subscriber.whole() and self._loop.time() < deadline_s:
            if self._stop.is_set():
                break
            await asyncio.sleep(LEARN_TURN_S)
            self._wake()
        for log in self._past:
            for frame in read_log(log):
                self.fanout.preload(frame)
        self.fanout.remembers = True

    async def _open(self, server: asyncio.Server) -> int:
        try:
            await server.start_serving()
        except OSError as failure:
            raise self._cannot_listen(failure) from None
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _cannot_listen(self, failure: OSError) -> ConfigError:
        host, port = self.settings.host, self.settings.port
        if failure.errno == errno.EADDRINUSE:
            return ConfigError(
                f"port {port} on {host} is taken: stop who listens there or set gateway.port"
            )
        return ConfigError(f"cannot listen on {host} port {port}: {failure.strerror}")

    def _fail(self, failure: BaseException) -> None:
        """Die of a bug: remember it, stop, and let `serve` raise it."""
        self._failure = self._failure or failure
        self._stop.set()

    # --- the bus --------------------------------------------------------------------------------

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            for fd in self._subscriber.fds():
                self._loop.add_reader(fd, self._wake)

    def _unlisten(self) -> None:
        if self._listening:
            self._listening = False
            for fd in self._subscriber.fds():
                self._loop.remove_reader(fd)

    def _wake(self) -> None:
        """Run a pass now, or when the gap after the last one is over."""
        if self._gap.armed:
            return
        wait_s = self._not_before_s - time.monotonic()
        if wait_s <= 0:
            self._pass()
        else:
            self._unlisten()  # the descriptors stay readable: do not be called again meanwhile
            self._gap.start(wait_s)

    def _pass(self) -> None:
        """Drain the bus, apply, fan out, decide when to look again."""
        if self._stop.is_set():
            return
        self._gap.cancel()
        try:
            self._work()
        except Exception as failure:  # a bug: the process dies with it
            self._fail(failure)

    def _work(self) -> None:
        if self.settings.lossless and self.fanout.congested():
            self._unlisten()
            self._gap.start(PASS_GAP_MAX_S)
            return
        began_s = time.monotonic()  # the loop's clock counts in milliseconds
        now_ns = self._clock.now_ns()
        frames = self._subscriber.drain(PASS_FRAMES, now_ns)
        for frame in joined_frames(frames):
            self.fanout.on_frame(frame, now_ns)
            self._gaps += frame.lost_frames
            self._done_frames[frame.shard] = frame.frame_seq
        self.fanout.end_pass(now_ns)
        self.reception.after_pass(now_ns)
        if frames or self._done_frames:
            self._count()
            ended_s = time.monotonic()
            cost_s = ended_s - began_s
            gap_s = min(GAP_PER_COST * cost_s, max(PASS_GAP_MAX_S - cost_s, 0.0))
            self._not_before_s = ended_s + gap_s
        self._arm_flush()
        # Descriptors are edge-triggered: ask before sleeping on them.
        if self._subscriber.pending():
            self._wake_later()
        else:
            self._listen()
            if self._subscriber.pending():
                self._wake_later()

    def _wake_later(self) -> None:
        self._unlisten()
        if not self._gap.armed:
            self._gap.start(self._not_before_s - time.monotonic())

    def _arm_flush(self) -> None:
        """Have the next due interval flushed in time."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        due_ns = self.fanout.next_due_ns()
        if due_ns is not None:
            wait_s = max(due_ns - self._clock.now_ns(), 0) / 1e9
            self._flush_timer = self._loop.call_later(wait_s, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        try:
            self.fanout.flush_due(self._clock.now_ns())
        except Exception as failure:  # a bug: the process dies with it
            self._fail(failure)
            return
        self._arm_flush()

    # --- telling ---------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._tick()
            except Exception as failure:  # a bug: the process dies with it
                self._fail(failure)

    def _tick(self) -> None:
        self._cells["heartbeat_ns"] = self._clock.now_ns()
        if not self._gap.armed:
            self._pass()
        self._count()
        self.reception.tick()

    def _count(self) -> None:
        """Copy the counts into shared memory."""
        cells, tally, bus = self._cells, self.fanout.tally, self._subscriber
        if tally.latest_recv_ns > self._seen_recv_ns:
            self._seen_recv_ns = tally.latest_recv_ns
            tally.lag_ns = self._clock.now_ns() - tally.latest_recv_ns
        cells["clients"] = len(self.reception)
        cells["bus_frames"] = bus.frames
        cells["bus_rows"] = tally.rows
        cells["bus_gaps"] = self._gaps
        cells["bus_rejected"] = int(bus.refused.sum()) + self.fanout.mirror.refused_rows
        cells["client_frames"] = tally.frames
        cells["client_bytes"] = tally.sent_bytes
        cells["conflated"] = tally.conflated
        cells["slow_closed"] = tally.slow_closed
        cells["skipped"] = tally.skipped
        cells["resumed"] = tally.resumed
        cells["resume_refused"] = tally.resume_refused
        cells["resumed_rows"] = tally.resumed_rows
        cells["replaying"] = len(self.reception.travels)
        cells["backlog_bytes"] = self.fanout.backlog.used_bytes
        cells["bad_requests"] = self.reception.bad_requests
        if not self.settings.lossless or not self.fanout.congested():
            done = cells["done_bus_frame"]
            for shard, frame_seq in self._done_frames.items():
                done[shard] = frame_seq
            self._done_frames.clear()

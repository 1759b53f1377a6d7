"""The only socket: picows on uvloop, and the loop that moves deltas from the bus to clients.

One pass = drain the bus, apply, fan out. A pass runs at once when the gateway was idle; after a
pass that cost something the next one waits GAP_PER_COST times as long, so that under load frames
are joined into fewer writes. Two passes never begin more than PASS_GAP_MAX_S apart on that account:
a pass that takes as long joins enough by itself. Passes also run every TICK_S for deadlines.
"""

import asyncio
import contextlib
import errno
import logging
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray
from picows import (
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from engine.bus.delta_log import read_log
from engine.bus.subscriber import Subscriber
from engine.clock import Clock
from engine.errors import ConfigError
from engine.log import Log
from engine.schema.channels import Channel
from engine.tokens import LiveTokens, Token
from gateway.addresses import Addresses
from gateway.connection import CLOSE_WAIT_S, HARD_FRAME_BYTES_MAX, Connection, Line
from gateway.conversation import Conversation, Limits, State, Step
from gateway.door import LOGGER, Bugs, open_door
from gateway.errors import ErrorCode, error
from gateway.fanout import Fanout
from gateway.frames import frame_bytes
from gateway.gap import GapTimer
from gateway.joining import joined_frames
from gateway.presets import PRESETS
from gateway.protocol import refuse, step
from gateway.recent import Query
from gateway.resume import Recovery, Since, is_ahead, positions_of
from gateway.settings import GatewaySettings
from gateway.sinks import Client
from gateway.status import LOAD_HEARTBEAT_NS, FeedStateSource, heartbeat, hello
from gateway.tls import server_context
from gateway.travels import Travels
from gateway.upgrade import Verdict, judge, rules_of

PASS_FRAMES: Final = 32  # bus frames per shard and pass: bounds the time clients wait for a word
PASS_GAP_MAX_S: Final = 0.006
GAP_PER_COST: Final = 0.5  # bench_latency wants it small, bench_fanout (desks) large
TICK_S: Final = 0.1
LOOK_NS: Final = 1_000_000_000  # clients are looked after so often
LEARN_WAIT_S: Final = 3.0  # a starting gateway listens once it knows every shard, or after this
LEARN_TURN_S: Final = 0.005
SERVICE_RESTART: Final = 1012
TALK_S: Final = 0.002  # of answering, before the next pass may run
HOLD_NS: Final = 250_000_000  # how far gateways side by side may be apart
PING: Final = b"\x89\x00"
PINGS: Final = 3  # in the time after which a silent client is cut off
COUNTED: Final = {  # error code -> counter
    int(ErrorCode.UNAUTHORIZED): "unauthorized",
    int(ErrorCode.FORBIDDEN): "forbidden",
    int(ErrorCode.TOO_LARGE): "too_large",
    int(ErrorCode.RATE_LIMITED): "rate_limited",
}


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
        self._past = past
        self._log = Log("gateway", clock)
        self.travels = Travels(
            self.fanout,
            travel_command,
            settings.replays_max,
            clock.now_ns,
            self._joined,
            self._fail,
            self._log,
        )
        self._rules = rules_of(settings)
        self._tokens: LiveTokens | None = None
        if settings.tokens_file:
            self._tokens = LiveTokens(settings.tokens_file, self._trouble, clock)
        self._addresses = Addresses(
            settings.address_clients_max, settings.address_messages_max, settings.trusted_proxies
        )
        self._looked_ns = 0
        self._heartbeat_due_ns = 0  # nobody needs a heartbeat before
        self._held: dict[Connection, Since] = {}  # whose request waits for the bus
        self._talkers: dict[Connection, None] = {}  # who said something, in order
        self._talking = False  # is their turn coming
        for sentence in settings.warnings():
            self._log.write("warning", sentence)
        self.limits = Limits(
            settings.topics_max,
            settings.message_bytes_max,
            settings.conflate_ms,
            settings.intervals_ms(),
        )
        self._cells = counters[0]
        self._clock = clock
        self._subscriber = subscriber
        self._feed_state = feed_state
        self._connections: dict[Client, Connection] = {}
        self._bad_requests = 0
        self._gaps = 0
        self._told_state = feed_state()
        self._lag_ns: int | None = None
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
        self._empty = asyncio.Event()  # set when the last client of a stopping gateway is gone
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
            await self._part()
            await self.travels.close()
            self._subscriber.close()
            logger.removeHandler(bugs)
        if self._failure is not None:
            raise self._failure

    async def _bind(self) -> asyncio.Server:
        try:
            return await open_door(
                self._route,
                self._nobody,
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

    async def _part(self) -> None:
        """Tell everybody, close, and wait a moment for the frames to leave."""
        goodbye = frame_bytes(
            orjson.dumps(
                {
                    "op": "shutdown",
                    "code": SERVICE_RESTART,
                    "reason": "the gateway is stopping",
                    "retry": "reconnect",
                }
            )
        )
        now_ns = self._clock.now_ns()
        for client in list(self._connections):
            if not client.closed:
                self.fanout.send(client, goodbye, now_ns)
                self.fanout.close(client, SERVICE_RESTART, "shutdown")
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), CLOSE_WAIT_S + TICK_S)

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
        self.travels.after_pass(now_ns)
        if self._held:
            self._let_go(now_ns)
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
        self._heartbeats()
        if self._clock.now_ns() - self._looked_ns >= LOOK_NS:
            self._look_after()

    def _heartbeats(self) -> None:
        now_ns = self._clock.now_ns()
        idle_ns = self.settings.heartbeat_ms * 1_000_000
        busy_ns = max(LOAD_HEARTBEAT_NS, idle_ns)
        data: bytes | None = None
        state = self._feed_state()
        news, self._told_state = state != self._told_state, state  # a feed that dies is told now
        if now_ns < self._heartbeat_due_ns and not news:
            return
        due_ns = now_ns + idle_ns
        for client in list(self._connections):
            mine_ns = min(client.last_heard_ns + idle_ns, client.told_ns + busy_ns)
            if mine_ns > now_ns:
                due_ns = min(due_ns, mine_ns)
            if (mine_ns <= now_ns or news) and not client.closed and not client.sink.buffered():
                if data is None:
                    data = frame_bytes(
                        orjson.dumps(
                            heartbeat(
                                state,
                                self.fanout.epoch(),
                                self.fanout.tally.latest_exch_s,
                                self._lag_ns,
                                now_ns,
                            )
                        )
                    )
                client.told_ns = now_ns
                self.fanout.send(client, data, now_ns)
        self._heartbeat_due_ns = due_ns

    def _look_after(self) -> None:
        """Part with those who give no sign of life, said no token, or lost theirs; ping others."""
        now_ns = self._looked_ns = self._clock.now_ns()
        silence_ns = self.settings.silence_ms * 1_000_000
        for client, connection in list(self._connections.items()):
            if client.closed:
                continue
            waiting = client.sink.buffered()
            if waiting < connection.waiting_bytes:
                connection.alive_ns = now_ns  # it takes what it is sent, be it slowly
            connection.waiting_bytes = waiting
            conversation = connection.conversation
            if conversation.state is State.WAITING:
                if now_ns - connection.began_ns >= self.settings.auth_ms * 1_000_000:
                    self._part_with(
                        client, ErrorCode.UNAUTHORIZED, "no token was said in time", "unauthorized"
                    )
            elif not self._may_stay(connection):
                self._part_with(
                    client, ErrorCode.UNAUTHORIZED, "the token was revoked", "unauthorized"
                )
            elif now_ns - connection.alive_ns >= silence_ns:
                text = f"nothing was heard of you for {self.settings.silence_ms} ms"
                self._part_with(client, ErrorCode.IDLE, text, "idle_closed")
            elif (
                now_ns - max(connection.alive_ns, connection.pinged_ns) >= silence_ns // PINGS
                and not waiting
            ):
                connection.pinged_ns = now_ns
                self.fanout.send(client, PING, now_ns)

    def _may_stay(self, connection: Connection) -> bool:
        """Return whether a client's token is still good, with the scopes it had."""
        token = connection.conversation.token
        if token is None or self._tokens is None:
            return True
        current = self._tokens.current(token)
        return current is not None and current.scopes == token.scopes

    def _part_with(self, client: Client, code: ErrorCode, text: str, counter: str) -> None:
        """Say why, and close."""
        self._cells[counter] += 1
        self.fanout.send(client, frame_bytes(orjson.dumps(error(code, text))), self.now_ns())
        self.fanout.close(client, code, code.name.lower())

    def _count(self) -> None:
        """Copy the counts into shared memory."""
        cells, tally, bus = self._cells, self.fanout.tally, self._subscriber
        if tally.latest_recv_ns > self._seen_recv_ns:
            self._seen_recv_ns = tally.latest_recv_ns
            self._lag_ns = self._clock.now_ns() - tally.latest_recv_ns
        cells["clients"] = len(self._connections)
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
        cells["replaying"] = len(self.travels)
        cells["backlog_bytes"] = self.fanout.backlog.used_bytes
        cells["bad_requests"] = self._bad_requests
        if not self.settings.lossless or not self.fanout.congested():
            done = cells["done_bus_frame"]
            for shard, frame_seq in self._done_frames.items():
                done[shard] = frame_seq
            self._done_frames.clear()

    # --- clients ---------------------------------------------------------------------------------

    def _route(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        try:
            verdict = judge(request.path, request.headers, self._rules, self._find_token)
        except Exception as failure:  # a bug: picows would tell the client of it
            self._fail(failure)
            verdict = Verdict(500, {}, b"the gateway has a bug and is restarted\n")
        # Browsers may say "keep-alive, Upgrade"; picows takes the word "upgrade" alone.
        words = [word.strip().lower() for word in request.headers.get("Connection", "").split(",")]
        if "upgrade" in words:
            request.headers["Connection"] = "upgrade"
        if verdict.status >= 400:
            self._cells["refused_upgrades"] += 1
        if verdict.status == 401:
            self._cells["unauthorized"] += 1
        return WSUpgradeResponseWithListener(
            _response(verdict), Connection(self, verdict) if verdict.status == 101 else None
        )

    def _nobody(self) -> None:
        self._cells["refused_upgrades"] += 1

    def connected(self, connection: Connection, transport: WSTransport) -> None:
        """Greet a new connection, or turn it away when there are too many."""
        settings = self.settings
        wire = transport.underlying_transport
        line = Line(transport, self._loop, settings.kernel_buffer_bytes, settings.silence_ms)
        connection.line = line
        now_ns = self._clock.now_ns()
        client = Client(line, connection.verdict.format)
        address = self._addresses.of(
            str((wire.get_extra_info("peername") or ("",))[0]), transport.request.headers
        )
        full = len(self._connections) >= settings.clients_max
        if full or not self._addresses.enter(address):
            most = settings.clients_max if full else settings.address_clients_max
            text = f"this gateway serves {most} connections" + ("" if full else " of one address")
            self._part_with(client, ErrorCode.CONNECTION_LIMIT, text, "connection_limited")
            return
        connection.address = address
        connection.began_ns = connection.alive_ns = connection.pinged_ns = now_ns
        connection.client = client
        client.told_ns = now_ns
        token = connection.verdict.token
        if self._tokens is not None and token is None:
            connection.conversation = Conversation(state=State.WAITING)
        else:
            connection.conversation = Conversation(token=token)
        self._connections[client] = connection
        self.fanout.add(client)
        self._cells["clients"] = len(self._connections)
        self.fanout.send(
            client,
            frame_bytes(
                orjson.dumps(
                    hello(
                        settings,
                        self.limits,
                        client.format,
                        connection.conversation,
                        self.fanout.epoch(),
                        self._feed_state(),
                        self.fanout.tally.latest_exch_s,
                        now_ns,
                        needs_token=self._tokens is not None,
                    )
                )
            ),
            now_ns,
        )
        if connection.conversation.state is State.OPEN:
            self._subscribe_preset(connection)

    def _subscribe_preset(self, connection: Connection) -> None:
        """Subscribe to the theme of the path that was asked for."""
        preset = connection.verdict.preset
        if preset is not None:
            request = {"op": "sub", "topics": list(PRESETS[preset])}
            self._take(
                connection,
                step(
                    connection.conversation,
                    orjson.dumps(request),
                    self,
                    self.limits,
                    self.now_ns(),
                ),
            )

    def heard(self, connection: Connection) -> None:
        """Answer a client when it is its turn."""
        self._talkers[connection] = None
        if not self._talking:
            self._talking = True
            self._loop.call_soon(self._talk)

    def _talk(self) -> None:
        """Answer for a moment, then let the tape have its turn.

        A thousand clients that come back at once ask for more than a pass can wait for.
        """
        self._talking = False
        end_s = time.monotonic() + TALK_S
        try:
            while self._talkers and time.monotonic() < end_s:
                connection = next(iter(self._talkers))
                del self._talkers[connection]
                if connection.answer():
                    self._talkers[connection] = None  # behind the others
        except Exception as failure:  # a bug: the process dies with it
            self._fail(failure)
            return
        if self._talkers:
            self._talking = True
            self._loop.call_soon(self._talk)

    def said(self, connection: Connection, message: bytes) -> None:
        """Answer one message of a client."""
        if connection.held:
            connection.held.append(message)
            return
        now_ns = self.now_ns()
        before = connection.conversation
        if self._addresses.said(connection.address, now_ns):
            done = step(before, message, self, self.limits, now_ns)
            if done.since is not None and self._hold(connection, done.since, message, now_ns):
                return
        else:
            most = self.settings.address_messages_max
            done = refuse(
                before, ErrorCode.RATE_LIMITED, f"more than {most} messages in a second from you"
            )
        self._take(connection, done)
        if before.state is State.WAITING and done.conversation.state is State.OPEN:
            self._subscribe_preset(connection)

    def _hold(self, connection: Connection, since: Since, message: bytes, now_ns: int) -> bool:
        """Let a client wait that has seen more than we have, at a gateway a moment ahead of us."""
        if connection.held_until_ns or not is_ahead(
            since, self.fanout.mirror, self.fanout.directory
        ):
            return False
        connection.held.append(message)
        connection.held_until_ns = now_ns + HOLD_NS
        if connection.wire is not None:
            connection.wire.pause_reading()
        self._held[connection] = since
        return True

    def _let_go(self, now_ns: int) -> None:
        """Answer those who waited, once we are as far as they are, or they waited long enough."""
        for connection, since in list(self._held.items()):
            ahead = is_ahead(since, self.fanout.mirror, self.fanout.directory)
            if not ahead or now_ns >= connection.held_until_ns:
                del self._held[connection]
                held, connection.held = connection.held, []
                for message in held:
                    self.said(connection, message)
                connection.held_until_ns = 0
                if connection.wire is not None and not connection.wire.is_reading():
                    connection.wire.resume_reading()

    def _take(self, connection: Connection, done: Step) -> None:
        """Do what a message led to."""
        client, cells = connection.client, self._cells
        assert client is not None
        now_ns = self.now_ns()
        before, after = connection.conversation, done.conversation
        connection.conversation = after
        if done.bad:
            self._bad_requests += 1
            counter = COUNTED.get(int(done.reply.get("code", 0)))  # type: ignore[call-overload]
            if counter:
                cells[counter] += 1
        cells["forbidden"] += done.forbidden
        if before.travel is not None and after.travel is None:
            self.travels.stop(connection)
        if after.subscriptions == before.subscriptions:
            self.fanout.answer(client, reply_frame(done, {}), now_ns)
        else:
            self.fanout.change(
                client,
                after.subscriptions,
                done.shown,
                lambda recoveries: reply_frame(done, recoveries),
                now_ns,
                snapshot=done.snapshot,
                positions=None
                if done.since is None
                else positions_of(done.since, self.fanout.mirror, self.fanout.directory),
            )
            cells["subscriptions"] += len(after.subscriptions) - len(before.subscriptions)
            self._arm_flush()
        if done.travel is not None:
            cells["replays"] += 1
            self.travels.begin(connection, done.travel)
        if done.close is not None:
            self.fanout.close(client, done.close, done.close.name.lower())

    def too_large(self, client: Client) -> None:
        """Part with a client whose message does not end."""
        text = f"a message has at most {self.limits.message_bytes_max} bytes"
        self._part_with(client, ErrorCode.TOO_LARGE, text, "too_large")

    def _joined(self, connection: Connection, conversation: Conversation) -> None:
        """Take note that a time travel is over."""
        before, connection.conversation = connection.conversation, conversation
        self._cells["subscriptions"] += len(conversation.subscriptions) - len(before.subscriptions)
        self._arm_flush()

    def disconnected(self, connection: Connection, *, broken: bool) -> None:
        """Forget a client that is gone."""
        self._cells["broken_frames"] += broken
        client = connection.client
        if client is None or self._connections.pop(client, None) is None:
            return
        self._addresses.leave(connection.address)
        self._held.pop(connection, None)
        self._talkers.pop(connection, None)
        self.travels.stop(connection)
        self.fanout.remove(client, self._clock.now_ns())
        self._cells["clients"] = len(self._connections)
        self._cells["subscriptions"] -= len(connection.conversation.subscriptions)
        if not self._connections and self._stop.is_set():
            self._empty.set()

    def resumed(self, connection: Connection) -> None:
        """Go on with a client whose transport has drained."""
        client = connection.client
        if client is None or client.closed:
            return
        connection.alive_ns = self.now_ns()
        if connection.wire is not None and not connection.held and not connection.wire.is_reading():
            connection.wire.resume_reading()
        self.fanout.resumed(client, self._clock.now_ns())
        self.travels.drained(connection)
        self.heard(connection)
        self._arm_flush()

    def now_ns(self) -> int:
        """Return the time."""
        return self._clock.now_ns()

    # --- gateway.conversation.World -------------------------------------------------------------

    def key_id(self, channel: Channel, code: str) -> int:
        """Return the id of a channel's key, 0 if unknown."""
        return self.fanout.key_id(channel, code)

    def seq_of(self, channel: Channel, code: str) -> int:
        """Return the seq of a key's latest row, 0 if none."""
        return self.fanout.seq_of(channel, code)

    def codes(self, *, board: bool) -> list[str]:
        """Return all codes of symbols, or of the board, sorted."""
        return self.fanout.directory.codes(board=board)

    def recent(self, query: Query) -> list[object]:
        """Return the last rows of a channel, newest last."""
        return [orjson.Fragment(text) for text in self.fanout.recent(query)]

    def token_of(self, secret: str) -> Token | None:
        """Return the token with this secret, None when there is none."""
        return self._find_token(secret)

    def _trouble(self, text: str) -> None:
        self._log.write("error", text)

    def replays_free(self) -> int:
        """Return how many more time travels there may be."""
        return self.travels.free()

    def _find_token(self, secret: str) -> Token | None:
        return None if self._tokens is None else self._tokens.find(secret)


def reply_frame(done: Step, recoveries: Mapping[str, Recovery]) -> bytes:
    """Return the answer's frame, with how far each topic went back when that was asked."""
    reply = done.reply
    if done.since is not None:
        granted = reply["topics"]
        assert isinstance(granted, dict)
        reply = {
            **reply,
            "topics": {
                text: {**entry, **_went(recoveries.get(text))} for text, entry in granted.items()
            },
        }
    return frame_bytes(orjson.dumps(reply))


def _went(recovery: Recovery | None) -> dict[str, object]:
    if recovery is None:  # it was subscribed already: nothing was missed
        return {"recovered": True, "replayed": 0}
    return {"recovered": recovery.recovered, "replayed": recovery.rows}


def _response(verdict: Verdict) -> WSUpgradeResponse:
    if verdict.status == 101:
        answer = WSUpgradeResponse.create_101_response(verdict.headers)
    elif verdict.status == 200:
        answer = WSUpgradeResponse.create_ok_response(verdict.body, verdict.headers)
    else:
        answer = WSUpgradeResponse.create_error_response(
            verdict.status, verdict.body, verdict.headers
        )
    assert isinstance(answer, WSUpgradeResponse)
    return answer

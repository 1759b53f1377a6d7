"""The only socket: picows on uvloop, and the loop that moves deltas from the bus to clients.

One pass = drain the bus, apply, fan out. A pass runs at once when the gateway was idle; after a
pass that cost something the next one waits about as long, up to PASS_GAP_MAX_S, so that under load
frames are joined into fewer writes. Passes also run every TICK_S for deadlines and heartbeats.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from engine.bus.subscriber import Subscriber
from engine.clock import Clock
from engine.errors import ConfigError
from engine.schema.channels import Channel
from gateway.errors import ErrorCode, error
from gateway.fanout import Client, Fanout
from gateway.frames import frame_bytes
from gateway.protocol import Conversation, Limits, step
from gateway.recent import Query
from gateway.settings import GatewaySettings
from gateway.status import LOAD_HEARTBEAT_NS, FeedStateSource, heartbeat, hello
from gateway.upgrade import Verdict, judge

PASS_FRAMES: Final = 32  # bus frames per shard and pass: bounds the time clients wait for a word
PASS_GAP_MAX_S: Final = 0.005
TICK_S: Final = 0.1
LEARN_WAIT_S: Final = 3.0  # a starting gateway listens once it knows every shard, or after this
LEARN_TURN_S: Final = 0.005
CLOSE_WAIT_S: Final = 2.0  # a client that does not take its close frame is cut off
HARD_FRAME_BYTES_MAX: Final = 1_048_576  # beyond it picows closes 1009 without reading
TCP_NOTSENT_LOWAT: Final = 25  # linux/tcp.h; not in the socket module
UNSENT_LOW_BYTES: Final = 16_384
SERVICE_RESTART: Final = 1012


class _Socket:
    """A client's transport as the fan-out sees it (gateway.fanout.Sink)."""

    def __init__(self, transport: WSTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._wire = transport.underlying_transport
        self._loop = loop
        self.write = self._wire.write
        self.buffered = self._wire.get_write_buffer_size

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what is queued; cut the line if it is not taken in time."""
        if self._transport.is_disconnected:
            return
        # picows' signature wants its own enum, its code takes any number the RFC allows.
        self._transport.send_close(code, reason.encode())  # type: ignore[arg-type]
        self._transport.disconnect()
        self._loop.call_later(CLOSE_WAIT_S, self._cut)

    def _cut(self) -> None:
        if not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)


class _Connection(WSListener):
    """One WebSocket connection."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self.conversation = Conversation()
        self.client: Client | None = None
        self.wire: asyncio.Transport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.wire = transport.underlying_transport
        self._gateway.connected(self, transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.client is None or self.client.closed:
            return
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if frame.msg_type not in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            return
        if self._parts or not frame.fin:  # a message in pieces; beyond the limit only counted
            self._parts_bytes += frame.payload_size
            fits = self._parts_bytes <= self._gateway.limits.message_bytes_max
            self._parts.append(frame.get_payload_as_bytes() if fits else b"")
            if not fits and self._parts_bytes > HARD_FRAME_BYTES_MAX:
                self.client.closed = True
                self.client.sink.close(ErrorCode.TOO_LARGE, "too_large")
                return
            if not frame.fin:
                return
            size, message = self._parts_bytes, b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
            message = message if size == len(message) else bytes(size)
        else:
            message = frame.get_payload_as_bytes()
        self._gateway.said(self, message)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self._gateway.disconnected(self)

    def pause_writing(self) -> None:
        """Nothing to do: the fan-out looks at the buffer before it writes."""

    def resume_writing(self) -> None:
        self._gateway.resumed(self)


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
    """

    def __init__(
        self,
        settings: GatewaySettings,
        counters: NDArray[np.void],
        clock: Clock,
        subscriber: Subscriber,
        feed_state: FeedStateSource,
    ) -> None:
        self.settings = settings
        self.fanout = Fanout(settings.capacity, settings.client_budget_bytes)
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
        self._connections: dict[Client, _Connection] = {}
        self._bad_requests = 0
        self._gaps = 0
        self._told_state = feed_state()
        self._lag_ns: int | None = None
        self._seen_recv_ns = 0
        self._pass_timer: asyncio.TimerHandle | None = None
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
        self._stop = stop
        self._empty = asyncio.Event()  # set when the last client of a stopping gateway is gone
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
            for timer in (self._pass_timer, self._flush_timer):
                if timer is not None:
                    timer.cancel()
            server.close()
            await self._part()
            self._subscriber.close()
        if self._failure is not None:
            raise self._failure

    async def _bind(self) -> asyncio.Server:
        try:
            return await ws_create_server(
                self._route,
                self.settings.host,
                self.settings.port,
                start_serving=False,
                max_frame_size=HARD_FRAME_BYTES_MAX,
                logger_name="gateway",
                read_buffer_init_size=8_192,
            )
        except OSError as failure:
            raise self._cannot_listen(failure) from None

    async def _learn(self) -> None:
        """Follow the bus for a moment before the first client, so that it finds its symbols."""
        self._listen()
        self._pass()
        deadline_s = self._loop.time() + LEARN_WAIT_S
        while not self._subscriber.whole() and self._loop.time() < deadline_s:
            if self._stop.is_set():
                break
            await asyncio.sleep(LEARN_TURN_S)
            self._wake()

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
        for client in list(self._connections):
            if not client.closed:
                client.sink.write(goodbye)
                client.closed = True
                client.sink.close(SERVICE_RESTART, "shutdown")
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
        if self._pass_timer is not None:
            return
        wait_s = self._not_before_s - self._loop.time()
        if wait_s <= 0:
            self._pass()
        else:
            self._unlisten()  # the descriptors stay readable: do not be called again meanwhile
            self._pass_timer = self._loop.call_later(wait_s, self._pass)

    def _pass(self) -> None:
        """Drain the bus, apply, fan out, decide when to look again."""
        if self._stop.is_set():
            return
        self._pass_timer = None
        try:
            self._work()
        except Exception as failure:  # a bug: the process dies with it
            self._fail(failure)

    def _work(self) -> None:
        if self.settings.lossless and self.fanout.congested():
            self._unlisten()
            self._pass_timer = self._loop.call_later(PASS_GAP_MAX_S, self._pass)
            return
        began_s = self._loop.time()
        now_ns = self._clock.now_ns()
        frames = self._subscriber.drain(PASS_FRAMES, now_ns)
        for frame in frames:
            self.fanout.on_frame(frame, now_ns)
            self._gaps += frame.lost_frames
            self._done_frames[frame.shard] = frame.frame_seq
        self.fanout.end_pass(now_ns)
        if frames or self._done_frames:
            self._count()
            ended_s = self._loop.time()
            self._not_before_s = ended_s + min(ended_s - began_s, PASS_GAP_MAX_S)
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
        if self._pass_timer is None:
            wait_s = max(self._not_before_s - self._loop.time(), 0.0)
            self._pass_timer = self._loop.call_later(wait_s, self._pass)

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
        if self._pass_timer is None:
            self._pass()
        self._count()
        self._heartbeats()
        for client, connection in self._connections.items():
            # Who does not read is not read from: it can queue no more replies and pongs.
            if (
                connection.wire is not None
                and not client.closed
                and client.sink.buffered() > self.settings.client_budget_bytes
            ):
                connection.wire.pause_reading()

    def _heartbeats(self) -> None:
        now_ns = self._clock.now_ns()
        idle_ns = self.settings.heartbeat_ms * 1_000_000
        data: bytes | None = None
        state = self._feed_state()
        news, self._told_state = state != self._told_state, state  # a feed that dies is told now
        for client in list(self._connections):
            silent = now_ns - client.heard_ns >= idle_ns
            busy = now_ns - client.told_ns >= max(LOAD_HEARTBEAT_NS, idle_ns)
            if (silent or busy or news) and not client.closed and not client.sink.buffered():
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
        cells["bad_requests"] = self._bad_requests
        if not self.settings.lossless or not self.fanout.congested():
            for shard, frame_seq in self._done_frames.items():
                cells["done_bus_frame"][shard] = frame_seq
            self._done_frames.clear()

    # --- clients ---------------------------------------------------------------------------------

    def _route(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        verdict = judge(request.path, request.headers)
        # Browsers may say "keep-alive, Upgrade"; picows takes the word "upgrade" alone.
        words = [word.strip().lower() for word in request.headers.get("Connection", "").split(",")]
        if "upgrade" in words:
            request.headers["Connection"] = "upgrade"
        return WSUpgradeResponseWithListener(
            _response(verdict), _Connection(self) if verdict.status == 101 else None
        )

    def connected(self, connection: _Connection, transport: WSTransport) -> None:
        """Greet a new connection, or turn it away when there are too many."""
        sink = _Socket(transport, self._loop)
        wire = transport.underlying_transport
        wire.set_write_buffer_limits(high=0)  # resume_writing means: everything is out
        line: socket.socket = wire.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.settings.kernel_buffer_bytes)
        line.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_LOW_BYTES)
        client = Client(sink)
        if len(self._connections) >= self.settings.clients_max:
            text = f"this gateway serves {self.settings.clients_max} connections"
            sink.write(frame_bytes(orjson.dumps(error(ErrorCode.CONNECTION_LIMIT, text))))
            sink.close(ErrorCode.CONNECTION_LIMIT, "connection_limit")
            return
        now_ns = self._clock.now_ns()
        connection.client = client
        client.told_ns = now_ns
        self._connections[client] = connection
        self.fanout.add(client)
        self._cells["clients"] = len(self._connections)
        self.fanout.send(
            client,
            frame_bytes(
                orjson.dumps(
                    hello(
                        self.settings,
                        self.limits,
                        self.fanout.epoch(),
                        self._feed_state(),
                        self.fanout.tally.latest_exch_s,
                        now_ns,
                    )
                )
            ),
            now_ns,
        )

    def said(self, connection: _Connection, message: bytes) -> None:
        """Answer one message of a client."""
        client = connection.client
        assert client is not None
        now_ns = self._clock.now_ns()
        done = step(connection.conversation, message, self, self.limits, now_ns)
        before = connection.conversation.subscriptions
        connection.conversation = done.conversation
        self._bad_requests += done.bad
        reply = frame_bytes(orjson.dumps(done.reply))
        if done.conversation.subscriptions == before:
            self.fanout.answer(client, reply, now_ns)
        else:
            self.fanout.change(
                client, done.conversation.subscriptions, done.snapshot, reply, now_ns
            )
            self._cells["subscriptions"] += len(done.conversation.subscriptions) - len(before)
            self._arm_flush()
        if done.close is not None:
            client.closed = True
            client.sink.close(done.close, done.close.name.lower())

    def disconnected(self, connection: _Connection) -> None:
        """Forget a client that is gone."""
        client = connection.client
        if client is None or self._connections.pop(client, None) is None:
            return
        self.fanout.remove(client, self._clock.now_ns())
        self._cells["clients"] = len(self._connections)
        self._cells["subscriptions"] -= len(connection.conversation.subscriptions)
        if not self._connections and self._stop.is_set():
            self._empty.set()

    def resumed(self, connection: _Connection) -> None:
        """Go on with a client whose transport has drained."""
        client = connection.client
        if client is None or client.closed:
            return
        if connection.wire is not None and not connection.wire.is_reading():
            connection.wire.resume_reading()
        self.fanout.resumed(client, self._clock.now_ns())
        self._arm_flush()

    # --- gateway.protocol.World -----------------------------------------------------------------

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

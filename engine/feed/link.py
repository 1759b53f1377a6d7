"""One WebSocket on picows, and a source around it, whatever they speak.

A subclass says what a text frame means; joining fragments, the silence watchdog, pausing and a
goodbye that does not hang are here.
"""

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from engine.clock import Clock
from engine.feed.http import refused, unreachable
from engine.feed.silence import Silence
from engine.feed.source import FeedError, Sink
from engine.schema.codes import FeedState

# Far above the decoder's own limit: an absurd frame must cost one rejection, not the connection.
FRAME_BYTES_MAX = 16 * 1024 * 1024
READ_BUFFER_BYTES = 256 * 1024
CLOSE_LINGER_S = 1.0
SECOND_LOOK_S = 0.01

# picows writes the upgrade request, with its bearer token, to a logger at level 9. Every failure
# reaches us as an exception or a close, so its logger may be deaf.
_deaf = logging.getLogger("vntape.feed.socket")
_deaf.setLevel(logging.CRITICAL + 1)


class LinkSocket(WSListener):
    """One WebSocket: joins fragments, watches the silence, delivers whole frames.

    Parameters
    ----------
    silence
        The link's own idea of how long silence may last.
    sink
        Where frames and states go.
    clock
        Stamps frames on arrival.

    Attributes
    ----------
    state
        What the link is when it is not silent; the subclass keeps it.
    live, ended
        Futures. `ended` only ever holds an exception.
    """

    def __init__(self, silence: Silence, sink: Sink, clock: Clock) -> None:
        self._silence = silence
        self._sink = sink
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._now_s = self._loop.time
        self._transport: WSTransport | None = None
        self._fragments = bytearray()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._looked_twice = False
        self._silent = False
        self._paused = False
        self.state = FeedState.CONNECTING
        self.live: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def told_state(self) -> FeedState:
        """What the sink was last told."""
        return FeedState.STALE if self._silent else self.state

    @abstractmethod
    def take(self, frame: memoryview, recv_ns: int) -> None:
        """Act on one whole text frame, and give it to the sink."""

    def opened(self) -> None:
        """Act on the upgrade having succeeded."""

    def went_live(self, state: FeedState, detail: str) -> None:
        """Say that the handshake is over."""
        self.state = state
        self._sink.on_state(state, detail)
        if not self.live.done():
            self.live.set_result(None)

    # -- what picows calls ------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Start watching."""
        self._transport = transport
        self._silence.heard(self._now_s())
        self._watch()
        self.opened()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame of any kind. A ping is a sign of life like any other."""
        kind = frame.msg_type
        try:
            if kind == WSMsgType.TEXT and frame.fin:
                self._on_text(frame.get_payload_as_memoryview())
            elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
                self._on_fragment(frame)  # binary is not in the protocol: the decoder rejects it
            elif kind == WSMsgType.CLOSE:
                payload = frame.get_payload_as_bytes()
                code, reason = int.from_bytes(payload[:2]), payload[2:].decode(errors="replace")
                self.fail(FeedError(f"the server closed the stream: {code} {reason}".rstrip()))
            else:
                self._hear()
                if kind == WSMsgType.PING:
                    transport.send_pong(frame.get_payload_as_bytes())
        except Exception as bug:  # picows would swallow it: hand it to the run
            self.fail(bug)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Take note that the connection is gone."""
        self.fail(FeedError("the connection dropped"))

    # -- frames -----------------------------------------------------------------------------

    def _on_fragment(self, frame: WSFrame) -> None:
        """Join a fragmented message.

        Beyond the limit the rest is dropped; what is left is far above the decoder's limit and
        will be counted there as too large.
        """
        if frame.msg_type != WSMsgType.CONTINUATION:
            self._fragments.clear()
        room = FRAME_BYTES_MAX - len(self._fragments)
        self._fragments += frame.get_payload_as_memoryview()[:room]
        if frame.fin:
            whole, self._fragments = self._fragments, bytearray()
            self._on_text(memoryview(whole))
        else:
            self._hear()

    def _on_text(self, frame: memoryview) -> None:
        recv_ns = self._clock.now_ns()
        self._hear()
        self.take(frame, recv_ns)

    def _hear(self) -> None:
        self._silence.heard(self._now_s())
        if self._silent:
            self._silent = False
            self._sink.on_state(self.state, "frames arrive again")

    def send(self, text: bytes) -> None:
        """Send a text frame, unless the connection is gone, which `ended` will tell."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, text)

    # -- silence ----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the silence, now and again whenever it may have become too long."""
        try:
            next_s = self._look(self._now_s())
        except Exception as bug:  # of the sink; the loop would only log it
            self.fail(bug)
            return
        if next_s is not None:
            self._timers["watch"] = self._loop.call_at(next_s, self._watch)

    def _look(self, now_s: float) -> float | None:
        """Say when to look again, or never.

        A process that was busy for longer than the timeout finds its own timer due before it has
        read what waits in the socket. So a dead link is looked at twice, one turn apart.
        """
        silence = self._silence
        if self._paused:
            silence.heard(now_s)
        if now_s >= silence.dead_s:
            if not self._looked_twice:
                self._looked_twice = True
                return now_s + SECOND_LOOK_S
            said = f"no frame, not even a ping, for {silence.silence_s:g} s: the link is dead"
            self.fail(FeedError(said))
            return None
        self._looked_twice = False
        if now_s < silence.warn_s:
            return silence.warn_s
        if self.live.done() and not self._silent:
            self._silent = True
            silent_s = now_s - silence.dead_s + silence.silence_s
            self._sink.on_state(FeedState.STALE, f"no frame, not even a ping, for {silent_s:.1f} s")
        return silence.dead_s

    def pause(self) -> None:
        """Leave what comes in the kernel's buffer."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """Read again; the silence was ours."""
        if self._transport is not None and self._paused:
            self._paused = False
            self._silence.heard(self._now_s())
            self._transport.underlying_transport.resume_reading()

    # -- the end ----------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Give the first error to everyone who waits, and stop all timers."""
        for timer in self._timers.values():
            timer.cancel()
        for future in (self.live, self.ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # marks it as seen: not everyone is waited for

    async def close(self, transport: WSTransport) -> None:
        """Say goodbye, and do not wait long for a peer that may be gone."""
        for timer in self._timers.values():
            timer.cancel()
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        try:
            async with asyncio.timeout(CLOSE_LINGER_S):
                await transport.wait_disconnected()
        except TimeoutError:
            transport.disconnect(graceful=False)
        except WSError:
            pass  # already told through `ended`


@asynccontextmanager
async def open_link(
    socket: LinkSocket,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    tls: ssl.SSLContext | None,
    hints: Mapping[int, str] | None = None,
) -> AsyncIterator[None]:
    """Hold the WebSocket open for the length of the block.

    Parameters
    ----------
    tls
        Verifies the server of a ``wss`` URL; `tls_context` makes it.
    hints
        What a refusing HTTP status means for this stream.

    Raises
    ------
    FeedError
        Nobody answered, or not with a WebSocket; with the HTTP status when there was one.
    """
    try:
        async with asyncio.timeout(2 * timeout_s):  # TCP and TLS, then the upgrade
            transport, _ = await ws_connect(
                lambda: socket,
                url,
                extra_headers=headers,
                max_redirects=0,
                max_frame_size=FRAME_BYTES_MAX,
                read_buffer_init_size=READ_BUFFER_BYTES,
                websocket_handshake_timeout=timeout_s,
                ssl_context=tls,
                enable_auto_pong=False,  # else a ping never reaches the watchdog
                logger_name=_deaf,
            )
    except WSHandshakeError as error:
        if error.response is None:
            raise FeedError("connect: the server did not speak WebSocket") from None
        status = int(error.response.status)
        raise refused("connect", status, said=(hints or {}).get(status, "")) from None
    except (OSError, WSError) as error:
        raise unreachable("connect", url, error, timeout_s) from None
    try:
        yield
    finally:
        await socket.close(transport)


async def step(what: str, future: asyncio.Future[None], timeout_s: float) -> None:
    """Wait for one step of a handshake.

    Raises
    ------
    FeedError
        It did not come in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(future)
    except TimeoutError:
        raise FeedError(f"{what} did not come within {timeout_s:g} s") from None


class LinkSource:
    """The part of a `Source` that is no protocol: run, stop, pause, resume.

    A subclass implements `keep_connected` and puts its live socket into `socket`.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._socket: LinkSocket | None = None
        self._paused = False

    @property
    def told_state(self) -> FeedState:
        """What the sink was last told, or would be."""
        return self._socket.told_state if self._socket is not None else FeedState.CONNECTING

    @abstractmethod
    async def keep_connected(self, sink: Sink) -> None:
        """Connect, deliver and reconnect for ever."""

    async def run(self, sink: Sink) -> None:
        """Connect, deliver and reconnect until `stop`.

        Raises
        ------
        Exception
            Whatever the sink raised: a bug must not be reconnected away.
        """
        if self._stopping.is_set():
            return
        self._task = asyncio.create_task(self.keep_connected(sink))
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            sink.on_state(FeedState.DOWN, "stopped")
        finally:
            self._task = None

    def stop(self) -> None:
        """Close the connection and make `run` return."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()

    def pause(self) -> None:
        """Stop reading the socket; see `Source.pause`."""
        self._paused = True
        if self._socket is not None:
            self._socket.pause()

    def resume(self) -> None:
        """Read the socket again."""
        self._paused = False
        if self._socket is not None:
            self._socket.resume()

    @asynccontextmanager
    async def holding(self, socket: LinkSocket) -> AsyncIterator[None]:
        """Let pause and resume reach this live socket for the length of the block."""
        self._socket = socket
        if self._paused:
            socket.pause()
        try:
            yield
        finally:
            self._socket = None

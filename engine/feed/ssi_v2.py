"""SSI FastConnect v2 over real sockets: the asyncio shell around `signalr`.

One connection at a time: token -> negotiate -> connect -> init -> start -> SwitchChannels ->
frames, until something fails; then all of it again after a random delay that grows. The token is
fetched anew for every connection, so a connection starts with SSI's full eight hours.

What goes wrong becomes one line given to `Sink.on_state`. Nothing here logs, and no text that
leaves this module holds the key, the secret or a token.
"""

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import orjson
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

from engine import __version__
from engine.clock import Clock
from engine.config import FeedConfig
from engine.feed.signalr import (
    Event,
    HubLink,
    Negotiated,
    Stage,
    check_started,
    connect_url,
    hub_root,
    negotiate_url,
    parse_negotiate,
    start_url,
)
from engine.feed.source import FeedError, Sink
from engine.schema.codes import FeedState

DEFAULTS = FeedConfig()  # the configuration says what is usual, nobody else
DEFAULT_HUB = "FcMarketDataV2Hub"

# Far above the decoder's own limit: an absurd frame must cost one rejection, not the connection.
FRAME_BYTES_MAX = 16 * 1024 * 1024
READ_BUFFER_BYTES = 256 * 1024
CLOSE_LINGER_S = 1.0
SECOND_LOOK_S = 0.01
DETAIL_CHARACTERS_MAX = 200
KEY_CHARACTERS_MIN = 6  # SSI's have 32; a toy key is not cut out of ordinary words

HINTS = {
    400: "the server does not accept the request as it is",
    401: "the key has expired or is not allowed from this address",
    403: "the key is not allowed to do this",
    404: "is the address complete?",
    429: "too many requests with this key",
    502: "is stream_url the streaming host? SSI's REST host answers 502 here",
}

# picows writes the upgrade request, with its bearer token, to a logger at level 9. Every failure
# reaches us as an exception or a close, so its logger may be deaf.
_deaf = logging.getLogger("vntape.feed.socket")
_deaf.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """What a connection to SSI needs. `repr` shows neither id nor secret.

    Parameters
    ----------
    url
        REST host, for example ``https://fc-data.ssi.com.vn/``.
    stream_url
        Streaming host, with or without its ``v2.0/``. Not the REST host: that answers 502
        (ssi-wire section 1.1).
    channels
        The complete comma-joined SwitchChannels set (ssi-wire section 1.6).
    reconnect_base_ms, reconnect_cap_ms
        The longest delay before the first reconnect and before any.
    connect_timeout_ms
        Limit for each step of the handshake.
    """

    url: str
    stream_url: str
    consumer_id: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    channels: str = DEFAULTS.channels
    reconnect_base_ms: int = DEFAULTS.reconnect_base_ms
    reconnect_cap_ms: int = DEFAULTS.reconnect_cap_ms
    connect_timeout_ms: int = DEFAULTS.connect_timeout_ms
    hub: str = DEFAULT_HUB


def backoff_s(failures: int, base_ms: int, cap_ms: int, rng: random.Random) -> float:
    """Return a delay: exponential with full jitter, so that many clients spread out.

    Uniform between 0 and ``min(cap, base * 2**failures)``.
    """
    return rng.uniform(0.0, min(cap_ms, base_ms * 2 ** min(failures, 32)) / 1_000)


def _host(url: str) -> str:
    """Return the part of a URL that may be shown."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


class _Socket(WSListener):
    """One WebSocket: joins fragments, asks the link what a frame means, delivers it."""

    def __init__(self, link: HubLink, sink: Sink, clock: Clock, host: str) -> None:
        self._link = link
        self._host = host
        self._told = link.stage
        self._sink = sink
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._now_s = self._loop.time
        self._transport: WSTransport | None = None
        self._fragments = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_twice = False
        self._stale = False
        self._paused = False
        self.initialised: asyncio.Future[None] = self._loop.create_future()
        self.live: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()  # only ever an exception

    # -- what picows calls ------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._link.heard(self._now_s())
        self._watch()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        kind = frame.msg_type
        try:
            if kind == WSMsgType.TEXT and frame.fin:
                self._on_text(frame.get_payload_as_memoryview())
            elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
                self._on_fragment(frame)
            elif kind == WSMsgType.CLOSE:
                code = int.from_bytes(frame.get_payload_as_bytes()[:2])
                self.fail(
                    FeedError(
                        f"the server closed the stream: {code} {frame.get_close_reason() or ''}"
                    )
                )
        except Exception as bug:  # picows would swallow it: hand it to the run
            self.fail(bug)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self.fail(FeedError("the connection dropped"))

    # -- frames -----------------------------------------------------------------------------

    def _on_fragment(self, frame: WSFrame) -> None:
        """Join a fragmented message: the framework's server writes large ones in chunks.

        Beyond the limit the rest is dropped; what is left is far above the decoder's limit and
        will be counted there as too large.
        """
        if frame.msg_type == WSMsgType.TEXT:
            self._fragments.clear()
        room = FRAME_BYTES_MAX - len(self._fragments)
        self._fragments += frame.get_payload_as_memoryview()[:room]
        if frame.fin:
            whole, self._fragments = self._fragments, bytearray()
            self._on_text(memoryview(whole))

    def _on_text(self, frame: memoryview) -> None:
        recv_ns = self._clock.now_ns()
        event = self._link.receive(frame, self._now_s())
        if self._link.stage is not self._told:
            self._tell_stage()
        elif self._stale:
            self._stale = False
            self._sink.on_state(FeedState.LIVE, "frames arrive again")
        self._sink.on_frame(frame, recv_ns)
        if event is not Event.DATA:
            self._on_control(event)

    def _tell_stage(self) -> None:
        """Say that the link is live before its first data is delivered."""
        self._told = self._link.stage
        if self._told is Stage.LIVE:
            self._sink.on_state(FeedState.LIVE, f"live on {self._host}")
            if not self.live.done():
                self.live.set_result(None)

    def _on_control(self, event: Event) -> None:
        if event is Event.INIT and not self.initialised.done():
            self.initialised.set_result(None)
        elif event is Event.SHUTDOWN:
            self.fail(FeedError("the server says that it is shutting down"))
        elif event is Event.REFUSAL:
            self.fail(FeedError(f"SwitchChannels was refused: {self._link.refusal}"))

    def send(self, text: str) -> None:
        """Send a text frame, unless the connection is gone, which `ended` will tell."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, text)

    # -- silence ----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the silence, now and again whenever it may have become too long.

        A process that was busy for longer than the timeout finds its own timer due before it has
        read what waits in the socket. So a dead link is looked at twice, one turn apart.
        """
        link, now_s = self._link, self._now_s()
        if self._paused:
            link.heard(now_s)
        if now_s < link.warn_s:
            self._looked_twice = False
            next_s = link.warn_s
        elif now_s < link.dead_s:
            self._looked_twice = False
            if self.live.done() and not self._stale:
                self._stale = True
                self._sink.on_state(
                    FeedState.STALE,
                    "no frame, not even a keep-alive, for "
                    f"{now_s - link.dead_s + link.keepalive_timeout_s:.1f} s",
                )
            next_s = link.dead_s
        elif not self._looked_twice:
            self._looked_twice = True
            next_s = now_s + SECOND_LOOK_S
        else:
            self.fail(
                FeedError(
                    "no frame, not even a keep-alive, for "
                    f"{link.keepalive_timeout_s:g} s: the link is dead"
                )
            )
            return
        self._timer = self._loop.call_at(next_s, self._watch)

    def pause(self) -> None:
        """Leave what comes in the kernel's buffer."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """Read again; the silence was ours."""
        if self._transport is not None and self._paused:
            self._paused = False
            self._link.heard(self._now_s())
            self._transport.underlying_transport.resume_reading()

    # -- the end ----------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Give the first error to everyone who waits."""
        for future in (self.initialised, self.live, self.ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # marks it as seen: not everyone is waited for

    async def close(self, transport: WSTransport) -> None:
        """Say goodbye, and do not wait long for a peer that may be gone."""
        if self._timer is not None:
            self._timer.cancel()
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        try:
            async with asyncio.timeout(CLOSE_LINGER_S):
                await transport.wait_disconnected()
        except TimeoutError:
            transport.disconnect(graceful=False)
        except WSError:
            pass  # already told through `ended`


class SsiV2Source:
    """A `Source` that keeps one FastConnect v2 stream up.

    Parameters
    ----------
    settings
        Where to connect and as whom.
    clock
        Stamps frames on arrival.
    rng
        Spreads reconnects; seeded by the caller.
    """

    def __init__(self, settings: FeedSettings, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._timeout_s = settings.connect_timeout_ms / 1_000
        self._keys = {
            key
            for key in (settings.consumer_id, settings.consumer_secret)
            if len(key) >= KEY_CHARACTERS_MIN
        }
        self._secrets = self._keys  # and the tokens of the present connection
        self._root = hub_root(settings.stream_url)
        self._task: asyncio.Task[None] | None = None
        self._socket: _Socket | None = None  # the live one
        self._stopping = asyncio.Event()
        self._paused = False

    async def run(self, sink: Sink) -> None:
        """Connect, deliver and reconnect until `stop`.

        Raises
        ------
        Exception
            Whatever the sink raised: a bug must not be reconnected away.
        """
        if self._stopping.is_set():
            return
        self._task = asyncio.create_task(self._keep_connected(sink))
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

    async def _keep_connected(self, sink: Sink) -> None:
        settings, now_s = self._settings, asyncio.get_running_loop().time
        failures = 0
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"vntape/{__version__}"},
        ) as http:
            while True:
                sink.on_state(FeedState.CONNECTING, f"connecting to {_host(self._root)}")
                began_s = now_s()
                try:
                    await self._connection(http, sink)
                except FeedError as error:
                    if now_s() - began_s > settings.reconnect_cap_ms / 1_000:
                        failures = 0  # it lasted: this is a new incident
                    sink.on_state(FeedState.DOWN, self._clean(str(error)))
                delay_s = backoff_s(
                    failures, settings.reconnect_base_ms, settings.reconnect_cap_ms, self._rng
                )
                failures += 1
                await asyncio.sleep(delay_s)

    async def _connection(self, http: aiohttp.ClientSession, sink: Sink) -> None:
        """Live one connection from token to failure, which is always raised."""
        settings = self._settings
        token = await self._access_token(http)
        bearer = {"Authorization": f"Bearer {token}"}
        negotiated = parse_negotiate(
            await self._request(
                http, "negotiate", "POST", negotiate_url(self._root, settings.hub), headers=bearer
            )
        )
        self._secrets = self._keys | {token, negotiated.connection_token}
        link = HubLink(negotiated, settings.hub, asyncio.get_running_loop().time())
        async with self._open(link, sink, negotiated, bearer) as socket:
            await self._step("the init frame", socket.initialised)
            link.starting()
            check_started(
                await self._request(
                    http,
                    "start",
                    "GET",
                    start_url(self._root, settings.hub, negotiated.connection_token),
                    headers=bearer,
                )
            )
            socket.send(link.switch_channels(settings.channels))
            await self._step("the reply to SwitchChannels", socket.live)
            self._socket = socket
            if self._paused:
                socket.pause()
            await socket.ended

    @asynccontextmanager
    async def _open(
        self, link: HubLink, sink: Sink, negotiated: Negotiated, headers: dict[str, str]
    ) -> AsyncIterator[_Socket]:
        """Hold the WebSocket open for the length of the block."""
        socket = _Socket(link, sink, self._clock, _host(self._root))
        url = connect_url(self._root, self._settings.hub, negotiated.connection_token)
        try:
            async with asyncio.timeout(2 * self._timeout_s):  # TCP and TLS, then the upgrade
                transport, _ = await ws_connect(
                    lambda: socket,
                    url,
                    extra_headers=headers,
                    max_redirects=0,
                    max_frame_size=FRAME_BYTES_MAX,
                    read_buffer_init_size=READ_BUFFER_BYTES,
                    websocket_handshake_timeout=self._timeout_s,
                    logger_name=_deaf,
                )
        except WSHandshakeError as error:
            status = error.response.status if error.response else None
            raise FeedError(
                _refused("connect", status)
                if status
                else "connect: the server did not speak WebSocket"
            ) from None
        except (OSError, WSError) as error:
            raise FeedError(self._unreachable("connect", self._root, error)) from None
        try:
            yield socket
        finally:
            self._socket = None
            await socket.close(transport)

    async def _step(self, what: str, future: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(future)
        except TimeoutError:
            raise FeedError(f"{what} did not come within {self._timeout_s:g} s") from None

    async def _access_token(self, http: aiohttp.ClientSession) -> str:
        """Fetch a token (ssi-wire section 2.1). A bad key is told in the body, not the status."""
        settings = self._settings
        body = await self._request(
            http,
            "AccessToken",
            "POST",
            f"{settings.url.rstrip('/')}/api/v2/Market/AccessToken",
            body={"consumerID": settings.consumer_id, "consumerSecret": settings.consumer_secret},
        )
        try:
            answer = orjson.loads(body)
            token = answer["data"]["accessToken"]
        except orjson.JSONDecodeError:
            raise FeedError(f"AccessToken answered {len(body)} bytes that are not JSON") from None
        except (KeyError, TypeError):
            said = answer.get("message") if isinstance(answer, dict) else None
            raise FeedError(
                f"AccessToken was refused: {said or 'no reason given'} "
                "(check the consumer id and secret)"
            ) from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise FeedError("AccessToken answered something that cannot be a token")
        return token

    async def _request(
        self,
        http: aiohttp.ClientSession,
        what: str,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: dict[str, str] | None = None,
    ) -> bytes:
        """Make one request and return the body of its 200, or say in words why there is none."""
        try:
            async with http.request(
                method, url, headers=headers, json=body, allow_redirects=False
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise FeedError(self._unreachable(what, url, error)) from None
        if response.status != 200:
            raise FeedError(_refused(what, response.status, response.reason or ""))
        return answer

    def _unreachable(self, what: str, url: str, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"{what}: {_host(url)} did not answer within {self._timeout_s:g} s"
        number = getattr(error, "errno", None) or 0
        cause = os.strerror(number) if number > 0 else type(error).__name__
        return f"{what}: cannot reach {_host(url)}: {cause}"

    def _clean(self, text: str) -> str:
        """One line, of bounded length, without anything that identifies us."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:DETAIL_CHARACTERS_MAX]


def _refused(what: str, status: int, reason: str = "") -> str:
    hint = HINTS.get(status, "the server has a problem" if status >= 500 else "")
    return f"{what} answered {int(status)} {reason}".rstrip() + (f": {hint}" if hint else "")

"""SSI FastConnect v3 over real sockets: the asyncio shell around `v3_link`.

One connection at a time: token -> upgrade -> subscribe frames -> their acknowledgements -> frames,
until something fails; then all of it again after a random delay that grows. The server looks at
the token when a connection is made and never again (ssi-wire section 8), so before it expires a
new one is fetched while the stream goes on, and only then the connection is changed.

What goes wrong becomes one line given to `Sink.on_state`. Nothing here logs, and no text that
leaves this module holds the key, the secret, an OTP or a token.
"""

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from engine.clock import Clock
from engine.config import FeedConfig
from engine.feed.http import host_of, open_session, tls_context
from engine.feed.link import LinkSocket, LinkSource, open_link, step
from engine.feed.reconnect import Backoff
from engine.feed.rest_v3 import RestV3
from engine.feed.session_v3 import RestV3Settings
from engine.feed.source import FeedError, Sink
from engine.feed.tokens import renew_at_s
from engine.feed.v3_link import HINTS, PING, SILENCE_S, Event, Refused, Stage, V3Link, check_topics
from engine.schema.codes import FeedState

DEFAULTS = FeedConfig()  # the configuration says what is usual, nobody else

PING_MS = 20_000  # twice before silence becomes suspicious, so that it is not only the server's
SILENCE_MS = int(SILENCE_S * 1_000)
SHOWN_DELAY_S = 1.0  # a wait worth telling
LOOK_AT_CLOCK_S = 1.0  # the wall clock may be set while we wait for the token to expire


@dataclass(frozen=True, slots=True)
class V3Settings:
    """What a v3 connection needs. `repr` shows neither key nor secret nor OTP.

    Parameters
    ----------
    url
        REST host, for example ``https://api.ssi.com.vn/``.
    stream_url
        The stream, for example ``wss://stream.ssi.com.vn/ws/v3``.
    consumer_id, consumer_secret
        SSI's apiKey and apiSecret.
    otp
        See `RestV3Settings.otp`.
    token_file
        Keeps the refresh token, so that a restart needs no new OTP.
    topics
        The complete set (ssi-wire section 8).
    reconnect_base_ms, reconnect_cap_ms
        The longest delay before the first reconnect and before any.
    connect_timeout_ms
        Limit for each step of the handshake.
    token_margin_ms
        Change to a new token this long before the old one expires.
    rest_interval_ms
        Least time between two lookups.
    ping_ms, silence_ms
        How often to ping, and the silence after which the link is dead.
    """

    url: str
    stream_url: str
    consumer_id: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    otp: str = field(default="", repr=False)
    token_file: Path | None = None
    topics: tuple[str, ...] = tuple(DEFAULTS.v3_topics)
    reconnect_base_ms: int = DEFAULTS.reconnect_base_ms
    reconnect_cap_ms: int = DEFAULTS.reconnect_cap_ms
    connect_timeout_ms: int = DEFAULTS.connect_timeout_ms
    token_margin_ms: int = DEFAULTS.token_margin_ms
    rest_interval_ms: int = DEFAULTS.rest_interval_ms
    ping_ms: int = PING_MS
    silence_ms: int = SILENCE_MS

    def rest(self) -> RestV3Settings:
        """Return what the REST client of the same key needs."""
        return RestV3Settings(
            url=self.url,
            api_key=self.consumer_id,
            api_secret=self.consumer_secret,
            otp=self.otp,
            token_file=self.token_file,
            timeout_s=self.connect_timeout_ms / 1_000,
            interval_s=self.rest_interval_ms / 1_000,
            token_margin_s=self.token_margin_ms / 1_000,
        )


class _Socket(LinkSocket):
    """One stream: asks the link what a frame means, pings, delivers."""

    def __init__(
        self, link: V3Link, sink: Sink, clock: Clock, rest: RestV3, host: str, ping_s: float
    ) -> None:
        super().__init__(link, sink, clock)
        self._link = link
        self._rest = rest
        self._host = host
        self._ping_s = ping_s
        self._told = link.stage
        self._denied_told = False

    def opened(self) -> None:
        """Subscribe to everything, and begin to ping."""
        for frame in self._link.frames:
            self.send(frame)
        self._ping_later()

    def _ping_later(self) -> None:
        self._timers["ping"] = self._loop.call_later(self._ping_s, self._ping)

    def _ping(self) -> None:
        self.send(PING)
        self._ping_later()

    def take(self, frame: memoryview, recv_ns: int) -> None:
        """Act on one whole text frame; a new state is told before the frame is delivered."""
        link = self._link
        event = link.receive(frame, self._now_s())
        if link.stage is not self._told:
            self._tell_stage()
        elif event is Event.DENIED and link.stage is not Stage.SUBSCRIBING:
            self._tell_denied()
        self._sink.on_frame(frame, recv_ns)
        if event is Event.REFUSAL and link.refusal is not None:
            self.fail(link.refusal)

    def _tell_stage(self) -> None:
        stage = self._told = self._link.stage
        state = FeedState.STALE if stage is Stage.MUTE else FeedState.LIVE
        detail = f"{'live on' if stage is Stage.LIVE else 'connected to'} {self._host}"
        if self._link.denied_count and not self._denied_told:
            self._denied_told = True
            detail += f", but {self._denied()}"
        self.went_live(state, detail)

    def _tell_denied(self) -> None:
        """Say once per connection that a part of the subscription is missing."""
        if not self._denied_told:
            self._denied_told = True
            self._sink.on_state(self.state, self._denied())

    def _denied(self) -> str:
        link = self._link
        return self._rest.clean(f"{link.denied_count} subscription(s) not accepted: {link.denied}")


class SsiV3Source(LinkSource):
    """A `Source` that keeps one FastConnect v3 stream up.

    Parameters
    ----------
    settings
        Where to connect and as whom.
    clock
        Stamps frames on arrival, and judges a token's age.
    rng
        Spreads reconnects; seeded by the caller.
    rest
        The REST client to take tokens from, when others use it too: a key has one session.

    Raises
    ------
    FeedError
        A topic the server would ignore.
    """

    def __init__(
        self,
        settings: V3Settings,
        clock: Clock,
        rng: random.Random,
        rest: RestV3 | None = None,
    ) -> None:
        super().__init__()
        check_topics(settings.topics)
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._rest = rest or RestV3(settings.rest(), clock)
        self._host = host_of(settings.stream_url)
        self._timeout_s = settings.connect_timeout_ms / 1_000
        self._live_since_s: float | None = None  # on the loop's clock
        self._tls = tls_context(settings.url, settings.stream_url)

    async def keep_connected(self, sink: Sink) -> None:
        """Connect, deliver and reconnect for ever."""
        settings = self._settings
        backoff = Backoff(settings.reconnect_base_ms, settings.reconnect_cap_ms, self._rng)
        self._rest.tell = lambda line: sink.on_state(self.told_state, line)
        news = f"connecting to {self._host}"
        async with open_session(self._tls) as http:
            while True:
                sink.on_state(FeedState.CONNECTING, news)
                self._live_since_s = None
                try:
                    await self._connection(http, sink)
                    backoff.after_life(self._live_s())
                    news = "changing to a new token"
                except FeedError as error:
                    asked_s = error.wait_s if isinstance(error, Refused) else 0.0
                    delay_s = max(backoff.after_failure(error.status, self._live_s()), asked_s)
                    detail = self._rest.clean(str(error))
                    if delay_s >= SHOWN_DELAY_S:
                        detail += f"; next try in {delay_s:.0f} s"
                    sink.on_state(FeedState.DOWN, detail)
                    await asyncio.sleep(delay_s)
                    news = f"connecting to {self._host}"

    async def _connection(self, http: aiohttp.ClientSession, sink: Sink) -> None:
        """Live one connection from token to failure, or to the end of its token."""
        settings, loop = self._settings, asyncio.get_running_loop()
        token = await self._rest.token(http)
        expires_s = self._rest.token_expires_s
        link = V3Link(settings.topics, settings.silence_ms / 1_000, loop.time())
        socket = _Socket(link, sink, self._clock, self._rest, self._host, settings.ping_ms / 1_000)
        try:
            async with open_link(
                socket,
                settings.stream_url,
                headers={"Authorization": f"Bearer {token}"},
                timeout_s=self._timeout_s,
                hints=HINTS,
                tls=self._tls,
            ):
                await step("the answers to subscribe", socket.live, self._timeout_s)
                self._live_since_s = loop.time()
                async with self.holding(socket):
                    await self._until_renewed(http, sink, socket, expires_s)
        except FeedError as error:
            if error.status in (401, 403):
                self._rest.forget_token()
            raise

    async def _until_renewed(
        self, http: aiohttp.ClientSession, sink: Sink, socket: LinkSocket, expires_s: int
    ) -> None:
        """Wait for the connection's failure, or return when there is a newer token.

        A token that cannot be replaced costs nothing yet: the stream goes on with the old one.
        """
        settings, rest = self._settings, self._rest
        cap_s = settings.reconnect_cap_ms / 1_000
        backoff = Backoff(settings.reconnect_base_ms, settings.reconnect_cap_ms, self._rng)
        not_before_s = self._wall_s() + cap_s  # whatever a token says, no storm
        while True:
            wall_s = self._wall_s()
            due_s = max(renew_at_s(wall_s, expires_s, rest.margin_s), not_before_s)
            if not expires_s or wall_s < due_s:
                left_s = min(due_s - wall_s, LOOK_AT_CLOCK_S) if expires_s else None
                await asyncio.wait({socket.ended}, timeout=left_s)
                if socket.ended.done():
                    socket.ended.result()
                continue
            if rest.token_expires_s > expires_s:
                return  # somebody else has renewed it meanwhile
            try:
                await rest.renew(http)
                return
            except FeedError as error:
                delay_s = backoff.after_failure(error.status, 0.0)
                not_before_s = self._wall_s() + cap_s + delay_s
                said = rest.clean(f"the stream goes on with its old token: {error}")
                sink.on_state(socket.told_state, said)

    def _live_s(self) -> float:
        """Return how long the present or last connection has been live."""
        since_s = self._live_since_s
        return 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s

    def _wall_s(self) -> float:
        return self._clock.now_ns() / 1e9

"""SSI FastConnect v2 over real sockets: the asyncio shell around `signalr`.

One connection at a time: token -> negotiate -> connect -> init -> start -> SwitchChannels ->
frames, until something fails; then all of it again after a random delay that grows. A token
serves as long as it is fresh and no server has refused it; before it expires the connection is
exchanged for one with a new token, outside trading hours when there is a choice.

What goes wrong becomes one line given to `Sink.on_state`. Nothing here logs, and no text that
leaves this module holds the key, the secret or a token.
"""

import asyncio
import random
from dataclasses import dataclass, field

import aiohttp

from engine.clock import Clock
from engine.config import FeedConfig
from engine.feed.http import ask, host_of, open_session, tls_context
from engine.feed.hub_socket import HubSocket
from engine.feed.link import LinkSource, open_link, step
from engine.feed.reconnect import Backoff
from engine.feed.rest_v2 import UNAUTHORISED, RestSettings, RestV2
from engine.feed.signalr import (
    HubLink,
    check_started,
    connect_url,
    hub_root,
    negotiate_url,
    parse_negotiate,
    start_url,
)
from engine.feed.source import FeedError, Sink
from engine.feed.tokens import expiry_s, renew_at_s
from engine.schema.codes import FeedState

DEFAULTS = FeedConfig()  # the configuration says what is usual, nobody else
DEFAULT_HUB = "FcMarketDataV2Hub"

SHOWN_DELAY_S = 1.0  # a wait worth telling
RENEW_LOOK_S = 1.0  # the wall clock may jump, so it is asked again and again
RENEW_RETRY_S = 60.0


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
    token_margin_ms
        A token with less left than this is not used for a new connection.
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
    token_margin_ms: int = DEFAULTS.token_margin_ms


class SsiV2Source(LinkSource):
    """A `Source` that keeps one FastConnect v2 stream up.

    Parameters
    ----------
    settings
        Where to connect and as whom.
    clock
        Stamps frames on arrival, and judges the age of tokens.
    rng
        Spreads reconnects; seeded by the caller.
    rest
        Where tokens come from; by default one of its own, made from the settings.
    """

    def __init__(
        self,
        settings: FeedSettings,
        clock: Clock,
        rng: random.Random,
        rest: RestV2 | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._clock = clock
        self._timeout_s = settings.connect_timeout_ms / 1_000
        self._rest = rest or RestV2(
            RestSettings(
                url=settings.url,
                consumer_id=settings.consumer_id,
                consumer_secret=settings.consumer_secret,
                timeout_s=self._timeout_s,
                interval_s=DEFAULTS.rest_interval_ms / 1_000,
                token_margin_s=settings.token_margin_ms / 1_000,
            ),
            clock,
        )
        self._backoff = Backoff(settings.reconnect_base_ms, settings.reconnect_cap_ms, rng)
        self._root = hub_root(settings.stream_url)
        self._host = host_of(self._root)
        self._tls = tls_context(settings.url, self._root)
        self._live_since_s: float | None = None  # on the loop's clock

    async def keep_connected(self, sink: Sink) -> None:
        """Connect, deliver and reconnect for ever."""
        news = f"connecting to {self._host}"
        async with open_session(self._tls) as http:
            while True:
                sink.on_state(FeedState.CONNECTING, news)
                self._live_since_s = None
                try:
                    await self._connection(http, sink)
                    self._backoff.after_life(self._live_s())
                    news = "token renewal"
                except FeedError as error:
                    if error.status == UNAUTHORISED:
                        self._rest.forget_token()
                    delay_s = self._backoff.after_failure(error.status, self._live_s())
                    detail = self._rest.clean(str(error))
                    if delay_s >= SHOWN_DELAY_S:
                        detail += f"; next try in {delay_s:.0f} s"
                    sink.on_state(FeedState.DOWN, detail)
                    await asyncio.sleep(delay_s)
                    news = f"connecting to {self._host}"

    async def _connection(self, http: aiohttp.ClientSession, sink: Sink) -> None:
        """Live one connection from token to failure, which is raised.

        Returns when the connection has been closed because a fresh token is at hand.
        """
        settings = self._settings
        token = await self._rest.token(http)
        expires_s, margin_s = expiry_s(token), self._rest.margin_s
        bearer = {"Authorization": f"Bearer {token}"}
        negotiated = parse_negotiate(
            await ask(
                http,
                "negotiate",
                "POST",
                negotiate_url(self._root, settings.hub),
                timeout_s=self._timeout_s,
                headers=bearer,
            )
        )
        for secret in (token, negotiated.connection_token):
            self._rest.hide(secret)
        link = HubLink(negotiated, settings.hub, asyncio.get_running_loop().time())
        socket = HubSocket(link, sink, self._clock, self._host, self._rest.clean)
        assert self._socket is None, "two connections at once"
        async with open_link(
            socket,
            connect_url(self._root, settings.hub, negotiated.connection_token),
            headers=bearer,
            timeout_s=self._timeout_s,
            tls=self._tls,
        ):
            await step("the init frame", socket.initialised, self._timeout_s)
            link.starting()
            check_started(
                await ask(
                    http,
                    "start",
                    "GET",
                    start_url(self._root, settings.hub, negotiated.connection_token),
                    timeout_s=self._timeout_s,
                    headers=bearer,
                )
            )
            socket.send(link.switch_channels(settings.channels).encode())
            await step("the reply to SwitchChannels", socket.live, self._timeout_s)
            self._live_since_s = asyncio.get_running_loop().time()
            async with self.holding(socket):
                await self._until_renewal(http, socket, expires_s, margin_s)

    async def _until_renewal(
        self, http: aiohttp.ClientSession, socket: HubSocket, expires_s: int, margin_s: float
    ) -> None:
        """Return once the token is due and a later one has been fetched, or raise the end.

        The connection lives on while the new token is asked for, and for as long as none is
        given: what its expiry does to a live stream is not known (ssi-wire section 1.3).
        """
        if expires_s <= self._now_s():  # not known; or one of the two clocks is wrong
            await socket.ended
        due_s = renew_at_s(self._now_s(), expires_s, margin_s)
        while True:
            await asyncio.wait([socket.ended], timeout=RENEW_LOOK_S)
            if socket.ended.done():
                socket.ended.result()  # raises
            if self._now_s() < due_s:
                continue
            due_s = self._now_s() + RENEW_RETRY_S
            try:
                if self._rest.token_expires_s <= expires_s:  # else a lookup has renewed it
                    await self._rest.renew(http)
            except FeedError as error:
                socket.remark(f"the token was not renewed: {error}")
            if self._rest.token_expires_s > expires_s:
                return

    def _live_s(self) -> float:
        """Return how long the present or last connection has been live."""
        since_s = self._live_since_s
        return 0.0 if since_s is None else asyncio.get_running_loop().time() - since_s

    def _now_s(self) -> float:
        return self._clock.now_ns() / 1e9

"""The server: REST, hub and playback behind one port on the loopback."""

import asyncio
import base64
import json
import secrets
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from engine.clock import Clock
from tools.simulator import hub
from tools.simulator.connection import Connection
from tools.simulator.executor import Act
from tools.simulator.figures import Figures
from tools.simulator.http import TEXT, Request, Response
from tools.simulator.lines import Line
from tools.simulator.links import GOING_AWAY, Faults, Links
from tools.simulator.player import Mishaps, Pace, Player
from tools.simulator.rest import PREFIX, Instrument, Keys, Rest, is_valid_token
from tools.simulator.websocket import accept_key, encode

HUB_PATH = "/v2.0/signalr"
V3_REST_PREFIX = "/api/v3/"
V3_STREAM_PREFIX = "/ws/v3"
CLOSE_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a simulator behaves. Defaults are SSI's, as far as anybody knows them."""

    host: str = "127.0.0.1"
    port: int = 0
    keepalive_s: float = 10.0  # the framework announces twice this as the timeout
    messages_per_frame: int = 10
    snapshot: bool = True
    replace_all: bool = False
    keys: Keys = field(default_factory=Keys)


class V3Service(Protocol):
    """The v3 half of the server: everything below ``/api/v3/`` and ``/ws/v3``."""

    def rest(self, request: Request, now_s: int) -> Response:
        """Answer a REST request."""
        ...

    def upgrade(self, request: Request, now_s: int) -> Response:
        """Answer a request to open the stream: 101 with its headers, or a refusal."""
        ...

    def opened(self, connection: Connection) -> None:
        """Greet a WebSocket that has just opened.

        Sets `connection.subscription` (a `lines.Subscription` of v3's) and, where it differs,
        `connection.keepalive`: the whole WebSocket frame sent every `Options.keepalive_s`.
        """
        ...

    def message(self, connection: Connection, text: bytes) -> bool:
        """Serve a text message. Return whether the connection now wants something else."""
        ...

    def error_frame(self, text: str) -> bytes:
        """Return the payload that tells a client of an error: the fault ``error "text"``."""
        ...


class Simulator:
    """An SSI v2 server, and v3's too when given that service. `start`, read `port`, `stop`.

    Parameters
    ----------
    lines
        The day to play, ascending in time.
    instruments, vn30
        What the REST lookups list.
    begun
        Told the wall clock when a day whose pace has no origin begins.
    trace
        Called with one word or line per request and invocation, in order.
    figures
        The day as the daily and intraday lookups tell it; None: they have no data.
    mishaps
        What goes wrong: a fault script, and the account of what it does.
    v3
        Serves v3 on the same port; None: its paths do not exist.
    """

    def __init__(
        self,
        lines: Iterable[Line],
        pace: Pace,
        clock: Clock,
        options: Options,
        *,
        instruments: Sequence[Instrument] = (),
        vn30: Sequence[str] = (),
        begun: Callable[[int], None] = lambda _origin_ns: None,
        trace: Callable[[str], None] = lambda _line: None,
        figures: Figures | None = None,
        mishaps: Mishaps = Mishaps(),  # noqa: B008  # a tuple: nobody can change it
        v3: V3Service | None = None,
    ) -> None:
        self.connections: set[Connection] = set()
        self.faults = Faults()
        self.port = options.port
        self._options = options
        self._clock = clock
        self._trace = trace
        self._v3 = v3
        self._rest = Rest(instruments, vn30, options.keys, figures, lambda: self.player.market_ms)
        self._tokens: dict[str, str] = {}  # connection token: who negotiated it
        self.player = Player(
            lines,
            pace,
            clock,
            self._listeners,
            messages_per_frame=options.messages_per_frame,
            snapshot=options.snapshot,
            begun=begun,
            mishaps=mishaps,
            perform=self._perform,
        )
        self._links = Links(
            self.faults,
            self._websockets,
            self.player.next_cursor,
            None if v3 is None else v3.error_frame,
        )
        self._numbers = count(1)
        self._server: asyncio.Server | None = None
        self.playing: asyncio.Task[None] | None = None  # done when the day is over
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen and begin the day. Raises OSError when the port is taken."""
        options = self._options
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, replace_all=options.replace_all), options.host, options.port
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.playing = asyncio.create_task(self.player.run())
        self._tasks = [self.playing, asyncio.create_task(self._keep_alive())]

    async def stop(self) -> None:
        """Tell everyone to come back later, and be gone."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        leaving = list(self.connections)
        for connection in leaving:
            if connection.is_websocket and not connection.is_v3 and not self.faults.silent:
                connection.write(encode(hub.shutdown_frame(self.player.next_cursor())))
            connection.close(GOING_AWAY, "server is shutting down")
        try:
            async with asyncio.timeout(CLOSE_GRACE_S):
                for connection in leaving:
                    await connection.gone.wait()
        except TimeoutError:  # somebody does not read what we have for him
            for connection in leaving:
                connection.abort()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def send_raw(self, payload: bytes) -> None:
        """Send one text frame of any content to every WebSocket."""
        for connection in self._websockets():
            connection.write(encode(payload))

    # What connections ask -------------------------------------------------------------------

    def answer(self, connection: Connection, request: Request) -> Response:
        """Answer a request; routed by path alone (ssi-wire section 1.2)."""
        self._trace(f"{request.method} {request.path}")
        if self.player.outage_count:
            connection.abort()
            return Response(503)  # which nobody will read
        refused = self.faults.refuse(request)
        if refused is not None:
            response, fault = refused
            self.player.refused(fault)
            return response
        if self._v3 is not None and request.path.startswith(V3_REST_PREFIX):
            return self._v3.rest(request, self._now_s())
        if self._v3 is not None and request.path.startswith(V3_STREAM_PREFIX):
            response = self._v3.upgrade(request, self._now_s())
            connection.is_v3 = response.status == 101
            return response
        if request.path.startswith(PREFIX):
            return self._rest.answer(request, self._now_s())
        routes: dict[str, Callable[[Request], Response]] = {
            "negotiate": self._negotiate,
            "connect": self._connect,
            "start": self._start,
            "ping": lambda _request: Response(200, hub.PONG),
            "abort": lambda _request: Response(200, b"", TEXT),
        }
        route = routes.get(request.path.removeprefix(HUB_PATH + "/"))
        if route is None or not request.path.startswith(HUB_PATH):
            return Response(404)
        return route(request)

    def upgraded(self, connection: Connection) -> None:
        """Greet a new WebSocket; v2 with the init frame."""
        connection.number = next(self._numbers)
        if self._v3 is not None and connection.is_v3:
            self._v3.opened(connection)
        elif not self.faults.silent:
            connection.write(encode(hub.init_frame(self.player.next_cursor())))

    def invoked(self, connection: Connection, text: bytes) -> None:
        """Serve an invocation, whether or not the client has called start before it."""
        if self._v3 is not None and connection.is_v3:
            self._trace(text.decode(errors="replace"))
            if not self.faults.silent and self._v3.message(connection, text):
                self.player.subscribed(connection)
            return
        invocation = hub.parse_invocation(text)
        if invocation is None:
            return
        arguments = invocation.get("A")
        error: str | None = None
        if str(invocation.get("H", "")).lower() != hub.HUB.lower():
            error = f"'{invocation.get('H')}' Hub could not be resolved."
        elif (
            str(invocation["M"]).lower() != "switchchannels"
            or not isinstance(arguments, list)
            or len(arguments) != 1
            or not isinstance(arguments[0], str)
        ):
            error = f"'{invocation['M']}' method could not be resolved."
        elif (fault := self.faults.refuse_switch()) is not None:
            self.player.refused(fault)
            error = fault.words
        self._trace(f"{invocation['M']} {arguments}")
        if self.faults.silent:
            return
        connection.write(encode(hub.reply(invocation.get("I", ""), error)))
        if error is None and isinstance(arguments, list):
            assert isinstance(connection.subscription, hub.Subscription)
            connection.subscription.switch(arguments[0])
            token = base64.b64encode(secrets.token_bytes(24)).decode()
            connection.write(encode(hub.groups_frame(self.player.next_cursor(), token)))
            self.player.subscribed(connection)

    # Handshake ------------------------------------------------------------------------------

    def _negotiate(self, request: Request) -> Response:
        if self.faults.negotiate_statuses:
            return Response(self.faults.negotiate_statuses.pop(0), b"", TEXT)
        if not is_valid_token(request.bearer, self._now_s()):
            return Response(401, b"", TEXT)
        connection_id = str(uuid.uuid4())
        # The real one is random base64; ours always holds what must be URL-encoded.
        token = f"+/{base64.b64encode(secrets.token_bytes(64)).decode().rstrip('=')}=="
        self._tokens[token] = connection_id
        keepalive_s = self._options.keepalive_s
        return Response(
            200,
            json.dumps(
                {
                    "Url": HUB_PATH,
                    "ConnectionToken": token,
                    "ConnectionId": connection_id,
                    "KeepAliveTimeout": 2.0 * keepalive_s,
                    "DisconnectTimeout": 3.0 * keepalive_s,
                    "ConnectionTimeout": 110.0,
                    "TryWebSockets": True,
                    "ProtocolVersion": _clamped(request.query.get("clientprotocol", "")),
                    "TransportConnectTimeout": 5.0,
                    "LongPollDelay": 0.0,
                },
                separators=(",", ":"),
            ).encode(),
        )

    def _refused(self, request: Request) -> Response | None:
        """Return the refusal of a request that must name a negotiated connection, or None."""
        if not is_valid_token(request.bearer, self._now_s()):
            return Response(401, b"", TEXT)
        token = request.query.get("connectiontoken", "")
        if not token:
            return Response(400, b"Protocol error: Missing connection token.", TEXT)
        if token not in self._tokens:
            return Response(403, b"The ConnectionId is in the incorrect format.", TEXT)
        return None

    def _connect(self, request: Request) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        key = request.headers.get("sec-websocket-key")
        if key is None or request.query.get("transport", "").lower() != "websockets":
            return Response(400, b"Protocol error: Unknown transport.", TEXT)
        return Response(
            101,
            headers={
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Accept": accept_key(key),
            },
        )

    def _start(self, request: Request) -> Response:
        return self._refused(request) or Response(200, hub.STARTED)

    # Sockets --------------------------------------------------------------------------------

    def _now_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000

    def _websockets(self) -> list[Connection]:
        """Return the open ones, the newest last."""
        opened = [connection for connection in self.connections if connection.is_websocket]
        return sorted(opened, key=lambda connection: connection.number)

    def _listeners(self) -> list[Connection]:
        if self.faults.silent:
            return []
        return [connection for connection in self._websockets() if connection.subscription]

    async def _perform(self, act: Act) -> None:
        await self._links.perform(act, wait=self.player.is_flat_out)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._options.keepalive_s)
            if not self.faults.silent:
                for connection in self._websockets():
                    connection.write(connection.keepalive)


def _clamped(protocol: str) -> str:
    """Answer the client's protocol within what the framework speaks, 1.2 to 2.0."""
    try:
        major, minor = (int(part) for part in protocol.split("."))
    except ValueError:
        return "1.2"
    return "{}.{}".format(*min(max((major, minor), (1, 2)), (2, 0)))

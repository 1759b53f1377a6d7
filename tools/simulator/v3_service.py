"""The v3 half of the simulator: REST, and the stream's requests, acknowledgements and refusals.

The day is told from the player's v2 lines (`v3_render`), so pace and faults are shared. The words
are those of ssi-wire section 8 and of what the official SDK understands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tools.simulator.connection import Connection
from tools.simulator.http import TEXT, Request, Response
from tools.simulator.v3_almanac import Almanac
from tools.simulator.v3_auth import PREFIX as AUTH_PREFIX
from tools.simulator.v3_auth import AuthOptions, Doorkeeper, Keys, Pass
from tools.simulator.v3_rest import Rest
from tools.simulator.v3_subscription import Subscription
from tools.simulator.v3_topics import Topic, parse
from tools.simulator.websocket import Opcode, accept_key, encode

STREAM_PATH: Final = "/ws/v3"
MESSAGE_BYTES_MAX: Final = 4096  # what is longer is dropped without a word
SOCKETS_MAX: Final = 10  # per client
POLICY_VIOLATION: Final = 1008

DATA: Final = "DATA"
TRADING: Final = "TRADING"
HEARTBEAT: Final = "HEARTBEAT"
REFUSALS: Final = {
    401: "Unauthorized",
    403: "OTP is required for streaming",
    429: "Too many connections",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
}


@dataclass(frozen=True, slots=True)
class V3Options:
    """How the v3 server behaves."""

    keys: Keys = field(default_factory=Keys)
    auth: AuthOptions = field(default_factory=AuthOptions)
    otp_required: bool = True  # to stream
    sockets_max: int = SOCKETS_MAX


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What an upgrade request deserves: its client, or a code to be refused with."""

    client: str = ""
    code: int = 0


class FastConnectV3:
    """A v3 server behind the simulator's port (`server.V3Service`).

    Attributes
    ----------
    refusals
        The next streams are refused with these codes, one each.

    Parameters
    ----------
    almanac
        The day as reference data.
    """

    def __init__(self, almanac: Almanac, options: V3Options | None = None) -> None:
        self.refusals: list[int] = []
        self._options = options or V3Options()
        self._almanac = almanac
        self._door = Doorkeeper(self._options.keys, self._options.auth)
        self._market_ms: int | None = None
        self._rest = Rest(almanac, lambda: self._market_ms)
        self._verdict = _Verdict()
        self._clients: dict[Connection, str] = {}

    # What the server asks -------------------------------------------------------------------

    def rest(self, request: Request, now_s: int) -> Response:
        """Answer a REST request."""
        if request.path.startswith(AUTH_PREFIX):
            return self._door.answer(request, now_s)
        signed_in = self._door.holder(request, now_s) is not None
        return self._rest.answer(request, signed_in=signed_in)

    def upgrade(self, request: Request, now_s: int) -> Response:
        """Answer a request to open the stream.

        Who may not stream is let in and told so in the first frame, as the SDK expects.
        """
        key = request.headers.get("sec-websocket-key")
        if request.path.rstrip("/") != STREAM_PATH:
            return Response(404)
        if key is None:
            return Response(400, b"not a WebSocket handshake", TEXT)
        self._verdict = self._judge(self._door.holder(request, now_s))
        return Response(
            101,
            headers={
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Accept": accept_key(key),
            },
        )

    def opened(self, connection: Connection) -> None:
        """Serve the WebSocket whose upgrade was the last one answered, or refuse it."""
        verdict = self._verdict
        connection.keepalive = encode(b"", Opcode.PING)
        connection.subscription = Subscription(self._almanac, self._heard)
        if verdict.code:
            text = REFUSALS.get(verdict.code, "Refused")
            connection.write(encode(refusal(verdict.code, text)))
            connection.close(POLICY_VIOLATION, text)
        else:
            self._clients[connection] = verdict.client

    def message(self, connection: Connection, text: bytes) -> bool:
        """Serve a text message. Return whether the connection now wants something else."""
        if len(text) > MESSAGE_BYTES_MAX:
            return False
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            asked = None
        if not isinstance(asked, dict):
            asked = {}
        subscription = connection.subscription
        assert isinstance(subscription, Subscription)
        method = str(asked.get("method", "")).upper()
        channel = str(asked.get("channel", "")).upper()
        if method == "PING_PONG":
            connection.write(acknowledgement(method, HEARTBEAT, "pong"))
        elif method == "LIST_SUBSCRIPTION":
            names = ";".join(subscription.names)
            connection.write(encode(orjson.dumps({"trading": "", "data": names})))
        elif method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return self._change(connection, subscription, method, channel, asked.get("topics"))
        else:
            connection.write(acknowledgement(method, channel, "Invalid method", ok=False))
        return False

    def error_frame(self, text: str) -> bytes:
        """Return the payload that tells a client of an error: a quota it has exceeded."""
        return refusal(429, text)

    # Inside ---------------------------------------------------------------------------------

    def _judge(self, holder: Pass | None) -> _Verdict:
        if self.refusals:
            return _Verdict(code=self.refusals.pop(0))
        if holder is None:
            return _Verdict(code=401)
        if self._options.otp_required and not holder.with_otp:
            return _Verdict(code=403)
        self._clients = {each: name for each, name in self._clients.items() if each.is_websocket}
        if list(self._clients.values()).count(holder.client) >= self._options.sockets_max:
            return _Verdict(code=429)
        return _Verdict(holder.client)

    def _heard(self, time_ms: int) -> None:
        self._market_ms = max(time_ms, self._market_ms or 0)

    def _change(
        self,
        connection: Connection,
        subscription: Subscription,
        method: str,
        channel: str,
        asked: Any,
    ) -> bool:
        """Subscribe or unsubscribe; what is valid counts even when something beside it is not."""
        texts = asked if isinstance(asked, list) else []
        if channel == TRADING:
            denied = f"Denied (scope): {_listed(texts)}"
            connection.write(acknowledgement(method, channel, denied, ok=False))
            return False
        parsed = [(text, parse(text)) for text in texts]
        wrong = [text for text, topic in parsed if topic is None]
        topics: list[Topic] = [topic for _, topic in parsed if topic is not None]
        if channel != DATA or not texts:
            connection.write(acknowledgement(method, channel, "Invalid request", ok=False))
            return False
        answer = f"Invalid: {_listed(wrong)}" if wrong else f"{method.lower()}d {len(topics)}"
        connection.write(acknowledgement(method, channel, answer, ok=not wrong))
        if method == "UNSUBSCRIBE":
            subscription.unsubscribe(topics)
            return True
        if not subscription.subscribe(topics):
            return False
        connection.greeted = False  # there is something new to greet
        return True


def refusal(code: int, text: str) -> bytes:
    """Return the payload that precedes a close."""
    return orjson.dumps({"code": code, "msg": text})


def acknowledgement(method: str, channel: str, text: str, *, ok: bool = True) -> bytes:
    """Return the WebSocket frame that answers a request."""
    status = "ok" if ok else "error"
    return encode(
        orjson.dumps({"method": method, "channel": channel, "status": status, "message": text})
    )


def _listed(texts: Sequence[object]) -> str:
    return ";".join(str(text) for text in texts)

"""Classic SignalR (protocol 1.5) as SSI speaks it: a state machine without a socket or a clock.

The shell around it makes the requests this module words, hands every frame in with the time, and
does what the answer says. All of it follows ssi-wire sections 1.2 to 1.8. The order of a
connection, which `HubLink.stage` follows:

    negotiate -> connect -> init frame -> start -> SwitchChannels -> its reply -> live
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlencode

import orjson

from engine.feed.silence import Silence
from engine.feed.source import FeedError

CLIENT_PROTOCOL = "1.5"
STARTED = "started"

# A data frame names its first hub message within its first bytes: only a cursor, flags and a
# groups token may stand before it. A longer head costs a JSON parse, never a wrong answer.
HEAD_BYTES = 256
FIRST_MESSAGE = b'"M":[{'
SHUTDOWN_FLAG = b'"T":1'

# The hub's own complaint, between data or alone. Inside a record its quotes would be escaped.
# Every data frame is searched for it; a long needle is found missing faster than a short one.
ERROR_METHOD = "Error"
ERROR_MESSAGE = b'","M":"Error","A":['
ERROR_FRAME_BYTES_MAX = 1024 * 1024  # a larger frame is the decoder's alone; it counts the error

# Control frames are tens of bytes, groups tokens may make them some kilobytes. What is larger and
# of no known shape is the decoder's to judge, not worth a parse here.
CONTROL_BYTES_MAX = 65_536

SILENCE_MAX_S = 60.0  # used when the server announces no keep-alives at all
TIMEOUT_MAX_S = 300.0  # whatever it announces: a dead link must not look alive for longer


class Event(Enum):
    """What a frame meant."""

    DATA = "hub messages"
    KEEPALIVE = "keep-alive"
    INIT = "the transport is ready"
    REPLY = "our invocation succeeded"
    REFUSAL = "our invocation failed; see HubLink.refusal"
    ERROR = "the hub complains, perhaps among data; see HubLink.errors"
    SHUTDOWN = "the server is leaving"
    OTHER = "an object nothing needs to be done about"
    GARBAGE = "not a JSON object"


class Stage(Enum):
    """How far a connection has come."""

    WAITING_FOR_INIT = "waiting for the init frame"
    STARTING = "waiting for /start"
    SUBSCRIBING = "waiting for the reply to SwitchChannels"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What the server announced.

    `keepalive_timeout_s` is the silence after which the link is dead.
    """

    connection_token: str = field(repr=False)
    keepalive_timeout_s: float


def hub_root(stream_url: str) -> str:
    """Return the hub's http(s) root for a configured streaming URL.

    Operators write it with or without ``v2.0``, and as http(s) or as ws(s).

    Raises
    ------
    FeedError
        The URL has another scheme.
    """
    scheme, separator, rest = stream_url.rstrip("/").partition("://")
    secure = {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(scheme.lower())
    if not separator or secure is None or not rest:
        raise FeedError(f"stream_url {stream_url!r} does not start with http(s):// or ws(s)://")
    return f"{secure}://{rest.removesuffix('/v2.0')}/v2.0/signalr"


def _query(hub: str, **extra: str) -> str:
    connection_data = orjson.dumps([{"name": hub}]).decode()
    return urlencode(
        {**extra, "connectionData": connection_data, "clientProtocol": CLIENT_PROTOCOL}
    )


def negotiate_url(root: str, hub: str) -> str:
    """Return the URL to POST first."""
    return f"{root}/negotiate?{_query(hub)}"


def connect_url(root: str, hub: str, connection_token: str) -> str:
    """Return the ws(s) URL to open. The token is URL-encoded: it holds ``+``, ``/`` and ``=``."""
    query = _query(hub, transport="webSockets", connectionToken=connection_token)
    return f"ws{root.removeprefix('http')}/connect?{query}"


def start_url(root: str, hub: str, connection_token: str) -> str:
    """Return the URL to GET once the init frame has arrived."""
    return f"{root}/start?{_query(hub, transport='webSockets', connectionToken=connection_token)}"


def _json_object(body: bytes, what: str) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise FeedError(f"{what} answered {len(body)} bytes that are not JSON") from None
    if not isinstance(answer, dict):
        raise FeedError(f"{what} answered JSON that is not an object")
    return answer


def _seconds(answer: dict[str, Any], key: str) -> float | None:
    value = answer.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return min(float(value), TIMEOUT_MAX_S)


def _words(arguments: object) -> str:
    """Return the arguments of a complaint as text, whatever they are."""
    if not isinstance(arguments, list):
        arguments = [arguments]
    return " ".join(str(one) for one in arguments if one is not None) or "no reason given"


def parse_negotiate(body: bytes) -> Negotiated:
    """Read the answer to negotiate.

    Raises
    ------
    FeedError
        Not a JSON object, no token, or the server does not offer WebSockets.
    """
    answer = _json_object(body, "negotiate")
    token = answer.get("ConnectionToken")
    if not isinstance(token, str) or not token:
        raise FeedError("negotiate answered without a ConnectionToken")
    if answer.get("TryWebSockets") is False:
        raise FeedError("negotiate says that this server does not offer WebSockets")
    return Negotiated(token, _seconds(answer, "KeepAliveTimeout") or SILENCE_MAX_S)


def check_started(body: bytes) -> None:
    """Accept the answer to start, ``{ "Response": "started" }``, and nothing else.

    Raises
    ------
    FeedError
        It says something else.
    """
    if _json_object(body, "start").get("Response") != STARTED:
        raise FeedError("start answered, but not that it has started")


class HubLink(Silence):
    """One connection: what its frames mean, how far it is, and when it must be given up.

    Parameters
    ----------
    negotiated
        The server's answer to negotiate.
    hub
        Hub name to invoke.
    now_s
        Seconds on any clock that never jumps; the same clock in every call.
    """

    def __init__(self, negotiated: Negotiated, hub: str, now_s: float) -> None:
        super().__init__(negotiated.keepalive_timeout_s, now_s)
        self.stage = Stage.WAITING_FOR_INIT
        self.refusal = ""
        self.errors: list[str] = []  # of the last frame that was an ERROR
        self._hub = hub
        self._invocation = -1

    def starting(self) -> None:
        """Note that the init frame was acted on and `/start` is under way."""
        assert self.stage is Stage.WAITING_FOR_INIT, self.stage
        self.stage = Stage.STARTING

    def switch_channels(self, channels: str) -> str:
        """Return the text to send to subscribe to the complete set `channels`."""
        self._invocation += 1
        self.stage = Stage.SUBSCRIBING
        return orjson.dumps(
            {"H": self._hub, "M": "SwitchChannels", "A": [channels], "I": self._invocation}
        ).decode()

    def receive(self, frame: memoryview | bytes, now_s: float) -> Event:
        """Say what a frame means and note that the server is alive.

        Parameters
        ----------
        frame
            A whole text frame. A data frame is recognised by its first bytes and not parsed.
        now_s
            When it arrived.
        """
        self._heard_s = now_s
        if self.stage is not Stage.WAITING_FOR_INIT:  # else it may be the init frame, with data
            head = bytes(frame[:HEAD_BYTES])
            first = head.find(FIRST_MESSAGE)
            if first >= 0:
                if head.find(SHUTDOWN_FLAG, 0, first) >= 0:
                    return Event.SHUTDOWN
                if (
                    len(frame) <= ERROR_FRAME_BYTES_MAX
                    and bytes(frame).find(ERROR_MESSAGE, first) >= 0
                ):
                    return self._receive_errors(frame)
                if self.stage is Stage.SUBSCRIBING:
                    self.stage = Stage.LIVE
                return Event.DATA
        return self._receive_control(frame)

    def _receive_control(self, frame: memoryview | bytes) -> Event:
        if len(frame) > CONTROL_BYTES_MAX:
            return Event.GARBAGE
        try:
            document = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return Event.GARBAGE
        if not isinstance(document, dict):
            return Event.GARBAGE
        if not document:
            return Event.KEEPALIVE
        if "I" in document:
            return self._receive_reply(document)
        if document.get("T") == 1:
            return Event.SHUTDOWN
        if document.get("S") == 1:
            return Event.INIT
        messages = document.get("M")
        if not isinstance(messages, list) or not messages:
            return Event.OTHER
        return Event.ERROR if self._note_errors(messages) else Event.DATA

    def _receive_errors(self, frame: memoryview | bytes) -> Event:
        """Take the complaints out of a frame of hub messages."""
        try:
            document = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return Event.GARBAGE
        messages = document.get("M") if isinstance(document, dict) else None
        if not isinstance(messages, list):
            return Event.GARBAGE
        complains = self._note_errors(messages)
        if self.stage is Stage.SUBSCRIBING and len(messages) > len(self.errors):
            self.stage = Stage.LIVE  # there was data too
        return Event.ERROR if complains else Event.DATA

    def _note_errors(self, messages: list[Any]) -> bool:
        """Keep the texts of the hub's ``Error`` messages (section 1.8); say whether there are."""
        self.errors = [
            _words(message.get("A"))
            for message in messages
            if isinstance(message, dict) and message.get("M") == ERROR_METHOD
        ]
        return bool(self.errors)

    def _receive_reply(self, document: dict[str, Any]) -> Event:
        """Match a reply. The server echoes the number we sent as a string (section 1.4)."""
        if self._invocation < 0 or str(document["I"]) != str(self._invocation):
            if "E" not in document:
                return Event.OTHER
            self.errors = [f"invocation {document['I']} failed: {document['E']}"]
            return Event.ERROR
        if "E" in document:
            self.refusal = str(document["E"])
            return Event.REFUSAL
        self.stage = Stage.LIVE
        return Event.REPLY

"""FastConnect v3's stream as a state machine without a socket or a clock.

Plain JSON both ways (ssi-wire section 8). After the upgrade the client sends its subscribe
frames; the server acknowledges each, without saying which, and sends data. No frame of ours may
be larger than the server's 4096 bytes. A refusal is ``{"code": .., "msg": ..}``, then a close.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import orjson

from engine.feed.silence import Silence
from engine.feed.source import FeedError

SUBSCRIBE_BYTES_MAX = 4_000  # the server drops what is larger than 4096; some room is left
SILENCE_S = 60.0  # the server pings every 30 s: two missing pings
PING = b'{"method":"ping_pong","channel":"HEARTBEAT"}'

# A data frame is recognised by how it begins. Another order of keys costs a JSON parse, never a
# wrong answer: nothing but the channel may stand before the topic here.
HEAD_BYTES = 64
DATA_HEAD = re.compile(rb'\s*\{\s*(?:"channel"\s*:\s*"DATA"\s*,\s*)?"topic"\s*:\s*"')

# Control frames are tens of bytes; the list of subscriptions may be some kilobytes.
CONTROL_BYTES_MAX = 65_536

# TYPE.FILTER[@INTERVAL], market data only: an account's topics are none of our business.
_FILTER = r"(?:\*|[A-Za-z0-9._]{1,16}(?:-[A-Za-z0-9._]{1,16})?)"
TOPIC = re.compile(
    rf"(?:trade\.index|trade|quote|room|put|oddlot|market|indexsummary)\.{_FILTER}"
    r"(?:@(?:tick|1m|5m|\*))?"
)

HINTS = {  # what a refusal of the stream means
    403: "a stream needs a login with an OTP (VNTAPE_OTP)",
    429: "SSI allows ten connections with a key",
}

WAIT_S_MAX = 900.0  # a server that asks for more is asked again all the same


class Refused(FeedError):
    """The server understood us and said no.

    Parameters
    ----------
    text
        The line.
    code
        HTTP status, or SSI's longer code that begins with one, as 401103 does.
    wait_s
        How long the server asks us to stay away; 0 if it does not say.
    """

    def __init__(self, text: str, code: int, wait_s: float = 0.0) -> None:
        super().__init__(text, int(str(code)[:3]))
        self.code = code
        self.wait_s = min(wait_s, WAIT_S_MAX)


def number_or_zero(value: object) -> float:
    """Read a number that may be missing, text or nonsense: a code or a ``Retry-After``."""
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if 0.0 <= number < 1e15 else 0.0


class Event(Enum):
    """What a frame meant."""

    DATA = "market data"
    ACK = "a subscribe frame was accepted"
    DENIED = "a subscribe frame, or a topic of it, was not accepted; see V3Link.denied"
    PONG = "the answer to our ping"
    REFUSAL = "the server will close the connection; see V3Link.refusal"
    OTHER = "an object nothing needs to be done about"
    GARBAGE = "not a JSON object"


class Stage(Enum):
    """How far a connection has come."""

    SUBSCRIBING = "waiting for the acknowledgements"
    MUTE = "everything was answered, nothing was accepted, nothing arrived"
    LIVE = "live"


def check_topics(topics: Iterable[str]) -> None:
    """Refuse topics the server would ignore or that are not market data.

    Raises
    ------
    FeedError
        Names the first wrong one, or says that there is none.
    """
    topics = list(topics)
    if not topics:
        raise FeedError("v3_topics is empty: there is nothing to subscribe to")
    for topic in topics:
        if not TOPIC.fullmatch(topic):
            raise FeedError(
                f"v3_topics: {topic[:40]!r} is not TYPE.FILTER or TYPE.FILTER@INTERVAL, "
                "as in trade.*, quote.SSI, trade.index.VN30@1m"
            )


def subscribe_frames(topics: Sequence[str], bytes_max: int = SUBSCRIBE_BYTES_MAX) -> list[bytes]:
    """Pack topics into as few subscribe frames as their order allows.

    Parameters
    ----------
    topics
        In the order to send; a repeated one is sent once.
    bytes_max
        Limit of one frame.

    Raises
    ------
    FeedError
        One topic alone is too long.
    """
    frames: list[bytes] = []
    packed: list[str] = []
    empty_bytes = size = len(_subscribe([]))
    for topic in dict.fromkeys(topics):
        topic_bytes = len(orjson.dumps(topic))
        if empty_bytes + topic_bytes > bytes_max:
            raise FeedError(f"a topic of {topic_bytes} bytes fits into no frame of {bytes_max}")
        if size + bool(packed) + topic_bytes > bytes_max:
            frames.append(_subscribe(packed))
            packed, size = [], empty_bytes
        size += bool(packed) + topic_bytes  # a comma between two
        packed.append(topic)
    if packed:
        frames.append(_subscribe(packed))
    return frames


def _subscribe(topics: list[str]) -> bytes:
    return orjson.dumps({"method": "subscribe", "channel": "DATA", "topics": topics})


class V3Link(Silence):
    """One connection: what its frames mean, how far it is, and when it must be given up.

    Parameters
    ----------
    topics
        The complete set.
    silence_s
        Silence after which the link is dead.
    now_s
        Seconds on any clock that never jumps; the same clock in every call.

    Attributes
    ----------
    frames
        What to send once the connection is open.
    denied, denied_count
        The server's words for the first request or topic it did not accept, and how many.
    refusal
        Why the server is about to close.
    """

    def __init__(self, topics: Sequence[str], silence_s: float, now_s: float) -> None:
        super().__init__(silence_s, now_s)
        self.stage = Stage.SUBSCRIBING
        self.frames = subscribe_frames(topics)
        self.denied = ""
        self.denied_count = 0
        self.refusal: Refused | None = None
        self._acked = 0
        self._accepted = 0

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
        if DATA_HEAD.match(frame[:HEAD_BYTES]):
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
        if "topic" in document:
            if document.get("channel", "DATA") != "DATA":
                return Event.OTHER
            self.stage = Stage.LIVE
            return Event.DATA
        if "method" in document and "status" in document:
            return self._receive_ack(document)
        if "code" in document and "channel" not in document:
            return self._receive_refusal(document)
        return Event.OTHER

    def _receive_ack(self, document: dict[str, Any]) -> Event:
        """Count an answer. Acknowledgements carry no number: only how many is known."""
        method = str(document["method"]).lower()
        if method == "ping_pong":
            return Event.PONG
        if method != "subscribe":
            return Event.OTHER
        self._acked += 1
        denied = str(document["status"]).lower() == "error"
        if denied:
            self.denied_count += 1
            self.denied = self.denied or str(document.get("message") or "no reason given")
        else:
            self._accepted += 1
        if self.stage is not Stage.LIVE and self._acked >= len(self.frames):
            self.stage = Stage.LIVE if self._accepted else Stage.MUTE
        return Event.DENIED if denied else Event.ACK

    def _receive_refusal(self, document: dict[str, Any]) -> Event:
        code = int(number_or_zero(document["code"]))
        if 100 <= code < 400:
            return Event.OTHER
        wait_s = number_or_zero(document.get("retryAfter"))
        said = document.get("msg") or document.get("message") or "no reason given"
        refusal = Refused(f"the stream was refused: {code} {said}", code, wait_s)
        if hint := HINTS.get(refusal.status):
            refusal = Refused(f"{refusal}: {hint}", code, wait_s)
        self.refusal = refusal
        return Event.REFUSAL

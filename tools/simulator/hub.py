"""SignalR's words as SSI's server says them, and the channel grammar (ssi-wire 1.4 to 1.6)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from tools.simulator.lines import Line
from tools.simulator.websocket import encode

HUB = "FcMarketDataV2Hub"
TYPES = frozenset({"F", "X", "X-QUOTE", "X-TRADE", "R", "MI", "B", "OL"})
ALL = "ALL"
NONE = "NONE"
KEEPALIVE = b"{}"
STARTED = b'{ "Response": "started" }'  # exactly these spaces
PONG = b'{ "Response": "pong" }'

Symbols = frozenset[str] | None  # None: all of them


def cursor(number: int) -> str:
    """Return an opaque message id that differs for every `number`."""
    return f"d-8F1AB453-B,{number:X}|C,0|D,1|E,0"


def init_frame(number: int) -> bytes:
    """Return the first frame of a connection."""
    return b'{"C":"%b","S":1,"M":[]}' % cursor(number).encode()


def groups_frame(number: int, token: str) -> bytes:
    """Return the frame that follows a change of the connection's groups."""
    return b'{"C":"%b","G":"%b","M":[]}' % (cursor(number).encode(), token.encode())


def shutdown_frame(number: int) -> bytes:
    """Return the frame that asks clients to come back later."""
    return b'{"C":"%b","T":1,"M":[]}' % cursor(number).encode()


def data_frame(number: int, messages: Iterable[bytes]) -> bytes:
    """Return a frame with hub messages that are JSON already."""
    return b'{"C":"%b","M":[%b]}' % (cursor(number).encode(), b",".join(messages))


def reply(invocation: object, error: str | None = None) -> bytes:
    """Return the reply to an invocation. Its number is echoed as a string, whatever it was."""
    answer = {"I": str(invocation)}
    if error is not None:
        answer["E"] = error
    return orjson.dumps(answer)


def broadcast(envelope: str) -> bytes:
    """Return a hub message that carries one data string."""
    return orjson.dumps({"H": HUB, "M": "Broadcast", "A": [envelope]})


def error(text: str) -> bytes:
    """Return a hub message that tells of an error (ssi-wire 1.8)."""
    return orjson.dumps({"H": HUB, "M": "Error", "A": [text]})


def parse_invocation(text: bytes) -> dict[str, Any] | None:
    """Read what a client sent, or None when it is not an invocation."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) and "M" in document else None


class Subscription:
    """What one connection has asked for (`lines.Subscription` in v2).

    What a second SwitchChannels does is not known: by default it replaces the types it names,
    with `replace_all` everything.
    """

    def __init__(self, *, replace_all: bool = False) -> None:
        self._replace_all = replace_all
        self._wanted: dict[str, Symbols] = {}

    def switch(self, channels: str) -> None:
        """Apply a channel string; what is not of the grammar is ignored, as the server does."""
        if self._replace_all:
            self._wanted.clear()
        for item in channels.split(","):
            kind, colon, symbols = item.partition(":")  # before "-": X-QUOTE has one of its own
            kind = kind.strip().upper()
            if not colon or kind not in TYPES:
                continue
            names = frozenset(name.strip().upper() for name in symbols.split("-")) - {""}
            self._wanted[kind] = None if ALL in names else names - {NONE}

    @property
    def key(self) -> tuple[tuple[str, Symbols], ...]:
        """Equal for connections that want the same."""
        return tuple(sorted(self._wanted.items()))

    @property
    def wanted(self) -> dict[str, Symbols]:
        """Symbols in upper case by type; None means all."""
        return self._wanted

    def __bool__(self) -> bool:
        """Return whether anything at all is wanted."""
        return any(symbols is None or symbols for symbols in self._wanted.values())

    def wants(self, kind: str, code: str) -> bool:
        """Return whether messages of this type and code are wanted."""
        if kind not in self._wanted:
            return False
        codes = self._wanted[kind]
        return codes is None or code.upper() in codes

    def frames(
        self, lines: Sequence[Line], per_frame: int, next_cursor: Callable[[], int]
    ) -> bytes:
        """Return what is wanted of `lines`, as WebSocket frames in one piece."""
        wanted = self._wanted
        chosen = [
            message
            for _, kind, code, message in lines
            if kind in wanted and ((codes := wanted[kind]) is None or code.upper() in codes)
        ]
        return b"".join(
            [
                encode(data_frame(next_cursor(), chosen[at : at + per_frame]))
                for at in range(0, len(chosen), per_frame)
            ]
        )

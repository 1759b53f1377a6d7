"""Reading the fields of a request. An error names the field and says what would be right. Pure."""

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, TypeVar

from engine.schema.channels import BY_NAME, CHANNELS, Channel
from engine.schema.codes import AlertType, Severity
from gateway.conversation import Limits, Refusal
from gateway.errors import ErrorCode
from gateway.groups import MODES, Spec
from gateway.recent import Query
from gateway.resume import Since

ID_CHARS_MAX: Final = 64
EPOCH_CHARS_MAX: Final = 512
TOKEN_CHARS_MAX: Final = 512
SEQ_MAX: Final = 1 << 62
RECENT_DEFAULT: Final = 100  # rows
SPEED_MAX: Final = 1_000
REMEMBERED: Final = [channel.name for channel in CHANNELS if channel.keep]
CLOCK_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)

Code = TypeVar("Code", bound=IntEnum)
Request = Mapping[str, Any]


def _bad(message: str) -> Refusal:
    return Refusal(ErrorCode.BAD_REQUEST, message)


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def request_id(request: Request) -> object:
    """Return what the answer is to repeat, None for nothing."""
    found = request.get("id")
    if found is None or _integer(found):
        return found
    if isinstance(found, str) and len(found) <= ID_CHARS_MAX:
        return found
    raise _bad(f"id is an integer or up to {ID_CHARS_MAX} characters")


def topics(request: Request) -> list[str]:
    """Return the topics, each once."""
    found = request.get("topics")
    if not isinstance(found, list) or not found or not all(isinstance(t, str) for t in found):
        raise _bad('topics is a list of names such as "trade.FPT"')
    return list(dict.fromkeys(found))


def wish(request: Request, limits: Limits) -> Spec | None:
    """Return the delivery asked for, None when each channel's default is meant."""
    mode, interval = request.get("mode"), request.get("interval_ms")
    if mode is not None and mode not in MODES:
        raise _bad(f"mode is one of {', '.join(MODES)}")
    if interval is not None and (not _integer(interval) or interval < 0):
        raise _bad("interval_ms is an integer, 0 or more")
    if mode is None and interval is None:
        return None
    if mode in ("all", "skip"):
        return Spec(mode, 0)
    return Spec("conflate", limits.interval(limits.conflate_ms if interval is None else interval))


def snapshot(request: Request) -> bool:
    """Return whether the state of the keys is wanted."""
    found = request.get("snapshot", True)
    if not isinstance(found, bool):
        raise _bad("snapshot is true or false")
    return found


def since(request: Request) -> Since | None:
    """Return where the client was, None when it does not say."""
    found = request.get("since")
    if found is None:
        return None
    epoch = found.get("epoch") if isinstance(found, dict) else None
    seq = found.get("seq") if isinstance(found, dict) else None
    if not isinstance(epoch, str) or len(epoch) > EPOCH_CHARS_MAX or not isinstance(seq, dict):
        raise _bad('since is {"epoch":"...","seq":{"trade.FPT":1812,...}}')
    if not all(_integer(value) and 0 <= value <= SEQ_MAX for value in seq.values()):
        raise _bad("since.seq holds integers, 0 or more: the last seq of each topic")
    return Since(frozenset(epoch.split("-")), seq)


def token(request: Request) -> str:
    """Return the secret of `auth`."""
    found = request.get("token")
    if not isinstance(found, str) or not 0 < len(found) <= TOKEN_CHARS_MAX:
        raise Refusal(ErrorCode.UNAUTHORIZED, "token is a text", close=True)
    return found


def from_s(request: Request) -> int:
    """Return the second of the day that `from` names."""
    found = request.get("from")
    match = CLOCK_TIME.fullmatch(found) if isinstance(found, str) else None
    if match is None:
        raise _bad('from is a time of the day in Vietnam such as "09:15:00"')
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3_600 * hours + 60 * minutes + seconds


def speed(request: Request) -> float:
    """Return how many times as fast as it was; 0 for as fast as it is read."""
    found = request.get("speed", 1)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _bad(f"speed is a number, 0 to {SPEED_MAX}; 0 is as fast as you read")
    if found != 0 and not 1 <= found <= SPEED_MAX:
        raise _bad(f"speed is 1 to {SPEED_MAX}, or 0 for as fast as you read")
    return float(found)


def query(request: Request) -> Query:
    """Return what `recent` asks for."""
    name = request.get("channel")
    channel: Channel | None = BY_NAME.get(name) if isinstance(name, str) else None
    if channel is None or not channel.keep:
        raise _bad(f"channel is one of {', '.join(REMEMBERED)}")
    limit = request.get("limit", min(RECENT_DEFAULT, channel.keep))
    if not _integer(limit) or not 1 <= limit <= channel.keep:
        raise _bad(f"limit is an integer, 1 to {channel.keep}")
    kind, least = _code(request, "type", AlertType), _code(request, "severity", Severity)
    return Query(channel, limit, kind, least or Severity.NONE)


def _code(request: Request, name: str, kind: type[Code]) -> Code | None:
    """Return the code that a field of the request names in any case, None without the field."""
    word = request.get(name)
    if word is None:
        return None
    known = {code.name.lower(): code for code in kind if code}
    if not isinstance(word, str) or word.lower() not in known:
        raise _bad(f"{name} is one of {', '.join(known)}")
    return known[word.lower()]

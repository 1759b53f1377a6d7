"""Times of day and lengths of time as a fault script and the command line write them."""

import re

from engine.clock import DAY_S

_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?")
_LENGTH = re.compile(r"(\d{1,9})(ms|s|m|h)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
DAY_MS = DAY_S * 1_000


def parse_time_ms(text: str) -> int | None:
    """Return milliseconds since midnight of ``HH:MM[:SS[.mmm]]``, or None when it is no time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1_000 + int((match[4] or "0").ljust(3, "0"))


def parse_length_ms(text: str) -> int | None:
    """Return milliseconds of ``500ms``, ``20s``, ``3m`` or ``1h``; None when it is no length."""
    match = _LENGTH.fullmatch(text)
    return None if match is None else int(match[1]) * _UNIT_MS[match[2]]


def time_text(time_ms: int) -> str:
    """Return ``HH:MM:SS``, with milliseconds when there are any."""
    seconds, rest = divmod(time_ms, 1_000)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}" + (f".{rest:03}" if rest else "")

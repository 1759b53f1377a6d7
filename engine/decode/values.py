"""What a JSON value says when it is no number: codes, venues, words, or nothing.

Shared by the oracles of both protocols. Wire words are compared exactly as spelled (fields.py);
a word nobody has documented is OTHER or UNKNOWN, never an error.
"""

import re
from typing import Any

from engine.decode.fields import SESSION_WORDS, SIDE_WORDS, STATUS_WORDS, VENUE_WORDS
from engine.decode.numbers import BadValueError, is_absent
from engine.schema.codes import FeedSession, Reject, Side, TradingStatus, Venue

_CODE = re.compile(rb"[A-Z0-9._-]{1,16}")


def first(record: dict[str, Any], keys: tuple[str, ...]) -> object:
    """Return the first value that is present and not null."""
    for key in keys:
        value: object = record.get(key)
        if value is not None:
            return value
    return None


def code_of(raw: object, *, any_case: bool) -> bytes:
    """Return a symbol's code, 1..16 bytes of [A-Z0-9._-].

    Raises
    ------
    BadValueError
        MISSING_FIELD when there is none, BAD_SYMBOL when it is spelled otherwise.
    """
    if is_absent(raw) and raw != "NaN":
        raise BadValueError(Reject.MISSING_FIELD)
    if not isinstance(raw, str) or not raw.isascii():
        raise BadValueError(Reject.BAD_SYMBOL)
    code = (raw.upper() if any_case else raw).encode()
    if _CODE.fullmatch(code) is None:
        raise BadValueError(Reject.BAD_SYMBOL)
    return code


def venue_of(raw: object) -> Venue:
    """Return the venue a word names, or UNKNOWN."""
    return VENUE_WORDS.get(raw, Venue.UNKNOWN) if isinstance(raw, str) else Venue.UNKNOWN


def session_of(raw: object) -> FeedSession:
    """Return the session a word names; NONE for nothing, OTHER for anything unheard of."""
    if raw is None or raw == "":
        return FeedSession.NONE
    return SESSION_WORDS.get(raw, FeedSession.OTHER) if isinstance(raw, str) else FeedSession.OTHER


def status_of(raw: object) -> TradingStatus:
    """Return the status a word names; NONE for nothing, OTHER for anything unheard of."""
    if raw is None or raw == "":
        return TradingStatus.NONE
    if not isinstance(raw, str):
        return TradingStatus.OTHER
    return STATUS_WORDS.get(raw, TradingStatus.OTHER)


def side_of(raw: object) -> Side:
    """Return the side a word names, or UNKNOWN."""
    return SIDE_WORDS.get(raw, Side.UNKNOWN) if isinstance(raw, str) else Side.UNKNOWN

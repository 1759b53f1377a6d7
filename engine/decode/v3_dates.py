"""The stamp of a v3 message, `t`: its form is UNVERIFIED (ssi-wire section 8), so many are taken.

    2026/08/14 14:45:03     the official SDK's own formatter; what our simulator sends
    2026-08-14 14:45:03     also with T between, with a fraction of a second (cut off), and with
                            a zone (Z, +07:00); without one it is ICT
    14/08/2026 14:45:03     as v2 writes dates
    14:45:03                today, as of the frame's arrival
    1786693503[000]         seconds or milliseconds since 1970, as a number or as digits

Years 2000 to 2099, as in dates.py.
"""

import datetime as dt
import math
import re

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S, trade_day
from engine.decode.dates import (
    BAD_STAMP,
    DATE_BYTES,
    TIME_BYTES,
    YEAR_MAX,
    YEAR_MIN,
    calendar_s,
    midnight_s,
    pair_at,
    remembered_s,
    seconds_of_day,
)
from engine.decode.numbers import DECLINED, digits_end, read_number
from engine.decode.words import eight, not_digits, text_word
from engine.jit import inlined_kernel

FIRST_S = int(calendar_s(YEAR_MIN, 1, 1))
LAST_S = int(calendar_s(YEAR_MAX, 12, 31)) + DAY_S - 1
_NS_PER_S = 1_000_000_000
_MS_FROM = 10**11  # seconds would be the year 5138
_EPOCH_DIGITS_MAX = 13
_FRACTION_DIGITS_MAX = 9
_QUOTE, _SLASH, _DASH, _SPACE, _T, _DOT = (ord(c) for c in '"/- T.')
_SLASHES = text_word(b"0000/00/") ^ text_word(b"00000000")
_DASHES = text_word(b"0000-00-") ^ text_word(b"00000000")
_ZEROS = text_word(b"00000000")
_DAY_ZEROS = 0x3030


@inlined_kernel
def midnight_of(first: int, last: int, cache: NDArray[np.int64]) -> int:
    """Return UTC seconds of the ICT midnight of YYYY/MM/DD, YYYY-MM-DD or DD/MM/YYYY.

    Parameters
    ----------
    first, last
        The first and the last eight bytes of the date.
    cache : int64, shape (DATE_CACHE_CELLS,)
        Read and written: the last good date.

    Returns
    -------
    int
        BAD_STAMP when it is none of them.
    """
    if first == cache[0] and last == cache[1]:
        return int(cache[2])
    separator = (first >> 32) & 0xFF
    if separator not in (_SLASH, _DASH) or (first >> 56) & 0xFF != separator:
        return midnight_s(first, last, cache)
    plain = first ^ (_SLASHES if separator == _SLASH else _DASHES)  # a zero for each separator
    day_word = ((last >> 48) & 0xFFFF) ^ _DAY_ZEROS
    tens, ones = day_word & 0xFF, day_word >> 8
    if not_digits(plain) != 0 or tens > 9 or ones > 9:
        return BAD_STAMP
    part = plain ^ _ZEROS
    year = pair_at(part, 0) * 100 + pair_at(part, 16)
    return remembered_s(year, pair_at(part, 40), tens * 10 + ones, first, last, cache)


@inlined_kernel
def read_stamp(
    words: NDArray[np.void], at: int, end: int, recv_ns: int, cache: NDArray[np.int64]
) -> tuple[int, int]:
    """Read a stamp of every form but those with a zone, a float, or quoted digits.

    Returns
    -------
    tuple[int, int]
        UTC seconds, and where the value ends; DECLINED as the second when it is no such stamp.
    """
    if at + 24 > end:
        return 0, DECLINED
    if eight(words, at) & 0xFF != _QUOTE:
        value, stop = read_number(words, at, end, 0)
        if stop < 0 or stop != digits_end(words, at, end) or stop - at > _EPOCH_DIGITS_MAX:
            return 0, DECLINED
        stamp = value // 1000 if value >= _MS_FROM else value
    elif (eight(words, at + 2) >> 56) & 0xFF == _QUOTE:
        second = seconds_of_day(eight(words, at + 1))
        if second == BAD_STAMP:
            return 0, DECLINED
        today = (recv_ns // _NS_PER_S + ICT_OFFSET_S) // DAY_S
        stamp = today * DAY_S - ICT_OFFSET_S + second
        stop = at + 2 + TIME_BYTES
    else:
        midnight = midnight_of(eight(words, at + 1), eight(words, at + 1 + DATE_BYTES - 8), cache)
        between = eight(words, at + 1 + DATE_BYTES) & 0xFF
        second = seconds_of_day(eight(words, at + 2 + DATE_BYTES))
        if midnight == BAD_STAMP or second == BAD_STAMP or between not in (_SPACE, _T):
            return 0, DECLINED
        stamp = midnight + second
        stop = at + 2 + DATE_BYTES + TIME_BYTES
        if stop + 8 > end:
            return 0, DECLINED
        if eight(words, stop) & 0xFF == _DOT:
            dot = stop
            stop = digits_end(words, dot + 1, end)
            if stop < dot + 2 or stop > dot + 1 + _FRACTION_DIGITS_MAX or stop + 8 > end:
                return 0, DECLINED
        if eight(words, stop) & 0xFF != _QUOTE:
            return 0, DECLINED
        stop += 1
    if stamp < FIRST_S or stamp > LAST_S:
        return 0, DECLINED
    return stamp, stop


_TIME = r"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_DATED = re.compile(
    r"(?:([0-9]{4})([/-])([0-9]{2})\2([0-9]{2})|([0-9]{2})/([0-9]{2})/([0-9]{4}))"
    rf"[ T]{_TIME}(?:\.[0-9]{{1,{_FRACTION_DIGITS_MAX}}})?(?:(Z)|([+-])([0-9]{{2}}):([0-9]{{2}}))?",
    re.ASCII,
)
_TIME_ALONE = re.compile(_TIME, re.ASCII)
_EPOCH = re.compile(rf"0|[1-9][0-9]{{0,{_EPOCH_DIGITS_MAX - 1}}}", re.ASCII)
_ICT = dt.timezone(dt.timedelta(seconds=ICT_OFFSET_S))


def stamp_of(raw: object, recv_ns: int) -> int:
    """Return a JSON value as UTC seconds, or BAD_STAMP: the plain twin of `read_stamp`.

    Parameters
    ----------
    raw
        Anything `t` may hold.
    recv_ns
        When the frame arrived: the day of a time without a date.
    """
    try:
        stamp = _text_stamp(raw, recv_ns) if isinstance(raw, str) else _epoch_stamp(raw)
    except (ValueError, OverflowError):  # no day of any calendar
        return BAD_STAMP
    return stamp if FIRST_S <= stamp <= LAST_S else BAD_STAMP


def _epoch_stamp(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return BAD_STAMP
    value = math.floor(raw)
    return value // 1000 if value >= _MS_FROM else value


def _text_stamp(raw: str, recv_ns: int) -> int:
    if _EPOCH.fullmatch(raw):
        return _epoch_stamp(int(raw))
    if _TIME_ALONE.fullmatch(raw):
        time = dt.time.fromisoformat(raw)
        second = time.hour * 3600 + time.minute * 60 + time.second
        return trade_day(recv_ns // _NS_PER_S) * DAY_S - ICT_OFFSET_S + second
    found = _DATED.fullmatch(raw)
    if found is None:
        return BAD_STAMP
    year, _, month, day, d, m, y, *time_of_day, zulu, sign, hours, minutes = found.groups()
    zone: dt.tzinfo = _ICT
    if zulu:
        zone = dt.UTC
    elif sign:
        offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
        zone = dt.timezone(offset if sign == "+" else -offset)
    date = dt.date(int(year or y), int(month or m), int(day or d))
    hour, minute, second = (int(part) for part in time_of_day)
    return int(dt.datetime.combine(date, dt.time(hour, minute, second), zone).timestamp())

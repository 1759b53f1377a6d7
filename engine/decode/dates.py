"""The exchange's stamp: "14/08/2026" and "14:45:03" in ICT (UTC+7) to UTC seconds.

ssi-wire section 3.0: zero-padded, one second fine, no daylight saving. Years 2000 to 2099: anything
else is a broken stamp, and exch_s must fit 32 bits.
"""

import datetime as dt
import re

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.decode.words import not_digits, text_word
from engine.jit import inlined_kernel

BAD_STAMP = -1
DATE_BYTES = 10
TIME_BYTES = 8
YEAR_MIN, YEAR_MAX = 2000, 2099

# The last date read: its first and last eight bytes, and its midnight. One date serves a day.
DATE_CACHE_CELLS = 3

NO_HORIZON_S = 1 << 40  # a horizon that every stamp lies within
_NS_PER_S = 1_000_000_000

_FIRST_DAY = (dt.date(YEAR_MIN, 1, 1) - dt.date(1970, 1, 1)).days
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_DAYS_BEFORE_MONTH = np.cumsum(_DAYS_IN_MONTH) - _DAYS_IN_MONTH
_ZEROS = text_word(b"00000000")
_TIME_ZEROS = text_word(b"00:00:00")
_FIRST_ZEROS = text_word(b"00/00/00")
_LAST_ZEROS = text_word(b"/00/0000")
_COLONS = _TIME_ZEROS ^ _ZEROS  # turns a colon into a zero
_FIRST_SLASHES = _FIRST_ZEROS ^ _ZEROS
_LAST_SLASHES = _LAST_ZEROS ^ _ZEROS


@inlined_kernel
def pair_at(part: int, bits: int) -> int:
    """Return the number of two digits, given as bytes 0..9, that start at a bit of a word."""
    return ((part >> bits) & 0xFF) * 10 + ((part >> (bits + 8)) & 0xFF)


@inlined_kernel
def seconds_of_day(word: int) -> int:
    """Return seconds since midnight of a word "HH:MM:SS", or BAD_STAMP."""
    if not_digits(word ^ _COLONS) != 0:  # as below, for colons
        return BAD_STAMP
    part = word ^ _TIME_ZEROS
    if (part >> 16) & 0xFF != 0 or (part >> 40) & 0xFF != 0:
        return BAD_STAMP
    hour, minute, second = pair_at(part, 0), pair_at(part, 24), pair_at(part, 48)
    if hour > 23 or minute > 59 or second > 59:
        return BAD_STAMP
    return hour * 3600 + minute * 60 + second


@inlined_kernel
def calendar_s(year: int, month: int, day: int) -> int:
    """Return UTC seconds of the ICT midnight that starts a calendar day, or BAD_STAMP."""
    if year < YEAR_MIN or year > YEAR_MAX or month < 1 or month > 12 or day < 1:
        return BAD_STAMP
    leap = 1 if year % 4 == 0 else 0  # 2000 was one; 2100 is out of range
    if day > _DAYS_IN_MONTH[month] + (leap if month == 2 else 0):
        return BAD_STAMP
    years = year - YEAR_MIN
    days = (
        _FIRST_DAY
        + years * 365
        + (years + 3) // 4
        + int(_DAYS_BEFORE_MONTH[month])
        + (leap if month > 2 else 0)
        + day
        - 1
    )
    return days * DAY_S - ICT_OFFSET_S


@inlined_kernel
def remembered_s(
    year: int, month: int, day: int, first: int, last: int, cache: NDArray[np.int64]
) -> int:
    """Return `calendar_s` of a date spelled `first` and `last`, and remember a good one."""
    midnight = calendar_s(year, month, day)
    if midnight != BAD_STAMP:
        cache[0] = first
        cache[1] = last
        cache[2] = midnight
    return midnight


@inlined_kernel
def midnight_s(first: int, last: int, cache: NDArray[np.int64]) -> int:
    """Return UTC seconds of the ICT midnight that starts a date, or BAD_STAMP.

    Parameters
    ----------
    first, last
        The first and the last eight bytes of "DD/MM/YYYY".
    cache : int64, shape (DATE_CACHE_CELLS,)
        Read and written: the last good date.
    """
    if first == cache[0] and last == cache[1]:
        return int(cache[2])
    # A slash turned into a zero leaves digits only, if and only if it was a slash or lies within
    # ten of one; the second test settles which.
    if not_digits(first ^ _FIRST_SLASHES) != 0 or not_digits(last ^ _LAST_SLASHES) != 0:
        return BAD_STAMP
    day_month = first ^ _FIRST_ZEROS
    month_year = last ^ _LAST_ZEROS
    if (day_month >> 16) & 0xFF != 0 or (day_month >> 40) & 0xFF != 0:
        return BAD_STAMP
    year = pair_at(month_year, 32) * 100 + pair_at(month_year, 48)
    return remembered_s(year, pair_at(day_month, 24), pair_at(day_month, 0), first, last, cache)


@inlined_kernel
def latest_s(recv_ns: int, horizon_s: int) -> int:
    """Return the latest stamp a message that arrived at `recv_ns` may carry.

    A stamp beyond it is not late news but a broken clock or a broken message: folded, it would
    begin a trading day that has not come, and make every true message of today a stale one.
    """
    return recv_ns // _NS_PER_S + horizon_s


_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})", re.ASCII)
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})", re.ASCII)


def stamp_s(date: str, time: str) -> int:
    """Return a date and a time as UTC seconds, or BAD_STAMP: the plain twin of the kernels."""
    on, at = _DATE.fullmatch(date), _TIME.fullmatch(time)
    if on is None or at is None:
        return BAD_STAMP
    day, month, year = (int(part) for part in on.groups())
    hour, minute, second = (int(part) for part in at.groups())
    if not YEAR_MIN <= year <= YEAR_MAX:
        return BAD_STAMP
    try:
        ict = dt.datetime(
            year,
            month,
            day,
            hour,
            minute,
            second,
            tzinfo=dt.timezone(dt.timedelta(seconds=ICT_OFFSET_S)),
        )
    except ValueError:
        return BAD_STAMP
    return int(ict.timestamp())

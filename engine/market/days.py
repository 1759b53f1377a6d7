"""Which dates trade. All Vietnamese exchanges share one calendar (ssi-wire section 4.6).

The calendar is data (``data/holidays.csv``). For a year without rows only the weekends are
known: ``calendar_known`` says so, and whoever depends on a holiday must ask it. Such a year still
gets an answer, because a contract that expires next year needs a date before next year's holidays
are announced.

The tape itself trusts the feed's TradingDate over this calendar (market-behaviour section 1).
"""

import datetime as dt
from typing import Final

from engine.market.facts import date_of, day_number, first_day, last_day, read

__all__ = [
    "calendar_known",
    "date_of",
    "day_number",
    "day_text",
    "is_trading_day",
    "next_trading_day",
    "parse_day",
    "previous_trading_day",
]

_CLOSED_DAYS: Final[frozenset[int]] = frozenset(
    day for row in read("holidays") for day in range(first_day(row), last_day(row) + 1)
)
_KNOWN_YEARS: Final[frozenset[int]] = frozenset(date_of(day).year for day in _CLOSED_DAYS)
_SATURDAY: Final = 5


def day_text(day: int) -> str:
    """Return a day since 1970-01-01 as YYYY-MM-DD."""
    return date_of(day).isoformat()


def parse_day(text: str) -> int | None:
    """Return the day that YYYY-MM-DD names, or None for any other text."""
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day_number(date) if date.isoformat() == text else None


def calendar_known(year: int) -> bool:
    """Return whether the year's holidays are on file; if not, only weekends are known."""
    return year in _KNOWN_YEARS


def is_trading_day(date: dt.date) -> bool:
    """Return whether the exchanges trade on a date, as far as is known (``calendar_known``)."""
    return date.weekday() < _SATURDAY and day_number(date) not in _CLOSED_DAYS


def next_trading_day(date: dt.date) -> dt.date:
    """Return the first trading day after a date, never the date itself."""
    day = date + dt.timedelta(days=1)
    while not is_trading_day(day):
        day += dt.timedelta(days=1)
    return day


def previous_trading_day(date: dt.date) -> dt.date:
    """Return the last trading day before a date, never the date itself."""
    day = date - dt.timedelta(days=1)
    while not is_trading_day(day):
        day -= dt.timedelta(days=1)
    return day

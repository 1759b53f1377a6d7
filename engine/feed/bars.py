"""One-minute bars from REST, of v2 and of v3.

A bar's minute is the whole minute its time lies in. v2 stamps a bar with its last trade, not with
its start, so the ATC bar of 14:45:04 is the minute 14:45 (ssi-wire section 2.2). What v3 stamps is
not published; either way the minute is the same.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import aiohttp

from engine.feed.rest_values import (
    BadRow,
    Junk,
    Rest,
    Row,
    code,
    midnight_s,
    price_e2,
    second_of_day,
    v2_date,
    v3_dates,
    whole,
)
from engine.schema.slots import TOTAL_VOLUME_MAX

MINUTE_S: Final = 60
V3_OHLC: Final = "/api/v3/data/ohlc"


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute of a symbol that traded in it.

    Attributes
    ----------
    minute_exch_s
        UTC second at which the minute begins.
    open_e2, high_e2, low_e2, close_e2
        Hundredths of a VND or of a point.
    volume_shares
        Everything matched in the minute, seen by us or not; never 0.
    """

    minute_exch_s: int
    open_e2: int
    high_e2: int
    low_e2: int
    close_e2: int
    volume_shares: int


def bars_v2(
    rest: Rest, http: aiohttp.ClientSession, junk: Junk | None = None
) -> Callable[[str, dt.date], Awaitable[list[Bar]]]:
    """Return a fetch that asks IntradayOhlc.

    Its ``Value`` is a price and not a turnover, and is left alone.

    Parameters
    ----------
    junk
        Counts the rows that cannot be read.
    """
    dropped = junk or Junk()

    async def fetch(symbol: str, day: dt.date) -> list[Bar]:
        date = f"{day:%d/%m/%Y}"
        rows = await rest.pages(
            http,
            "IntradayOhlc",
            symbol=symbol,
            fromDate=date,
            toDate=date,
            resolution=1,
            ascending="true",
        )

        def read(row: Row) -> Bar | None:
            if code(row.get("Symbol")) != symbol:
                raise BadRow("another symbol")
            if v2_date(row.get("TradingDate")) != day:
                raise BadRow("another day")
            return _bar(day, second_of_day(row.get("Time")), row, str.capitalize)

        return _collect(rows, read, dropped)

    return fetch


def bars_v3(
    rest: Rest, http: aiohttp.ClientSession, junk: Junk | None = None
) -> Callable[[str, dt.date], Awaitable[list[Bar]]]:
    """Return a fetch that asks ``/api/v3/data/ohlc`` (``ssi_sdk/services/market_data.py``).

    The endpoint wants full stamps, refuses a bare date, and sends newest first. ``tradingDate``
    holds the bar's date and time.

    Parameters
    ----------
    junk
        Counts the rows that cannot be read.
    """
    dropped = junk or Junk()

    async def fetch(symbol: str, day: dt.date) -> list[Bar]:
        date = f"{day:%Y/%m/%d}"
        span = {"from": f"{date} 00:00:00", "to": f"{date} 23:59:59"}
        rows = await rest.pages(http, V3_OHLC, symbol=symbol, timeFrame="1m", **span)

        def read(row: Row) -> Bar | None:
            if code(row.get("symbol")) != symbol:
                raise BadRow("another symbol")
            stamp = row.get("tradingDate")
            if day not in v3_dates(stamp):
                raise BadRow("another day")
            _, _, time = str(stamp).strip().replace("T", " ").partition(" ")
            return _bar(day, second_of_day(time), row, str.lower)

        return _collect(rows, read, dropped)

    return fetch


def _bar(day: dt.date, second: int, row: Row, spell: Callable[[str], str]) -> Bar | None:
    """Return a row's bar, None for a minute without a match; `spell` makes the version's keys."""
    volume_shares = whole(row.get(spell("volume")), TOTAL_VOLUME_MAX)
    if volume_shares == 0:
        return None
    open_e2, high_e2, low_e2, close_e2 = (
        price_e2(row.get(spell(name))) for name in ("open", "high", "low", "close")
    )
    if not 0 < low_e2 <= min(open_e2, close_e2) <= max(open_e2, close_e2) <= high_e2:
        raise BadRow("prices out of order")
    minute_exch_s = midnight_s(day) + second // MINUTE_S * MINUTE_S
    return Bar(minute_exch_s, open_e2, high_e2, low_e2, close_e2, volume_shares)


def _collect(rows: Iterable[object], read: Callable[[Row], Bar | None], junk: Junk) -> list[Bar]:
    """Return the bars of an answer, ascending, one per minute.

    A minute that comes twice was read while it grew, or fell on two pages: the larger one stands.
    """
    found: dict[int, Bar] = {}
    for row in rows:
        try:
            if not isinstance(row, dict):
                raise BadRow("no object")
            bar = read(row)
        except BadRow as why:
            junk.drop(row, why)
            continue
        if bar is None:
            continue
        other = found.get(bar.minute_exch_s)
        if other is None or bar.volume_shares > other.volume_shares:
            found[bar.minute_exch_s] = bar
    return [found[minute] for minute in sorted(found)]

"""The day as REST tells it: bars, totals and limits, never more than has happened (ssi-wire 2.2).

Values are strings, prices in VND or index points, volumes in shares or contracts.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic import Day, EventKind
from engine.feed.synthetic.day import Index, Instrument
from engine.feed.synthetic.text import clock, percent
from engine.schema.codes import FeedSession, Venue

REST_MARKETS: Final = {Venue.DERIVATIVES: "DER"}  # REST's word; the stream says DERIVATIVES
FRONT_FUTURE: Final = "VN30F1M"  # REST's alias of the front contract
MINUTE_MS: Final = 60_000
RESOLUTION_MIN_MAX: Final = 1_440
DATE_FORMAT: Final = "%d/%m/%Y"
_LISTED_PER_CAP: Final = (100, 49)  # the foreign cap is 49 % of the listed shares

Row = dict[str, Any]


class BadQuery(Exception):
    """A query that cannot be answered. The text is the message of the answer."""


class _Series(NamedTuple):
    """Rows of one symbol or index up to now, and their times of day in ms; both ascending."""

    time_ms: NDArray[np.uint32]
    rows: NDArray[np.void]


class Figures:
    """Answers the daily and intraday lookups.

    Parameters
    ----------
    day
        From `plan_day`.
    """

    def __init__(self, day: Day) -> None:
        self._day = day
        self._date = f"{day.date:{DATE_FORMAT}}"
        self._symbols = {symbol.code: place for place, symbol in enumerate(day.symbols)}
        self._indices = {index.code.upper(): place for place, index in enumerate(day.indices)}
        self._trades = _Grouped(day, EventKind.TRADE, len(day.symbols))
        self._foreigns = _Grouped(day, EventKind.FOREIGN, len(day.symbols))
        self._values = _Grouped(day, EventKind.INDEX, len(day.indices))

    @property
    def date(self) -> str:
        """The trading date as ``DD/MM/YYYY``."""
        return self._date

    def listed_shares(self, code: str) -> int:
        """Return how many shares the day pretends are listed; 0 for a future."""
        cap = self._day.symbols[self._symbols[code]].foreign_cap_shares
        return cap * _LISTED_PER_CAP[0] // _LISTED_PER_CAP[1]

    def endpoint(self, name: str) -> Callable[[dict[str, str], int], list[Row]] | None:
        """Return what answers a lookup (in lower case) for a query and a time of day in ms.

        What it returns raises BadQuery.
        """
        return {
            "dailyohlc": self._daily_ohlc,
            "intradayohlc": self._intraday_ohlc,
            "dailyindex": self._daily_index,
            "dailystockprice": self._daily_stock_price,
        }.get(name)

    # Lookups --------------------------------------------------------------------------------

    def _daily_ohlc(self, query: dict[str, str], now_ms: int) -> list[Row]:
        return [
            {
                "Symbol": symbol.code,
                "Market": _market(symbol),
                "TradingDate": self._date,
                "Time": None,
                **_ohlc(trades.rows),
                "Value": str(int(trades.rows["total_value_vnd"][-1])),
            }
            for symbol, trades in self._traded(query, now_ms)
        ]

    def _intraday_ohlc(self, query: dict[str, str], now_ms: int) -> list[Row]:
        length_ms = _whole(query, "resolution", 1, RESOLUTION_MIN_MAX) * MINUTE_MS
        rows: list[Row] = []
        for symbol, trades in self._traded(query, now_ms):
            buckets = trades.time_ms // length_ms
            edges = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), buckets.size]
            for first, end in pairwise(edges):
                bar = trades.rows[first:end]
                rows.append(
                    {
                        "Symbol": symbol.code,
                        "Value": _price(int(bar["price_e2"][-1])),
                        "TradingDate": self._date,
                        "Time": clock(int(trades.time_ms[end - 1]) // 1_000),
                        **_ohlc(bar),
                    }
                )
        return rows if query.get("ascending", "").lower() == "true" else rows[::-1]

    def _daily_index(self, query: dict[str, str], now_ms: int) -> list[Row]:
        place = self._indices.get(query.get("indexid", "").upper())
        if place is None or not self._covered(query):
            return []
        values = self._values.until(place, now_ms)
        if not values.rows.size:
            return []
        return [self._index_row(self._day.indices[place], values.rows[-1], now_ms)]

    def _index_row(self, index: Index, row: np.void, now_ms: int) -> Row:
        value_e2, deals = int(row["value_e2"]), int(row["put_through_volume"])
        deal_vnd = int(row["put_through_value_vnd"])
        numbers = {
            "TotalTrade": 0,
            "TotalMatchVol": int(row["volume"]),
            "TotalMatchVal": int(row["value_vnd"]),
        }
        breadth = {
            "Advances": int(row["advances"]),
            "NoChanges": int(row["unchanged"]),
            "Declines": int(row["declines"]),
            "Ceilings": int(row["ceilings"]),
            "Floors": int(row["floors"]),
            "TotalDealVol": deals,
            "TotalDealVal": deal_vnd,
            "TotalVol": numbers["TotalMatchVol"] + deals,
            "TotalVal": numbers["TotalMatchVal"] + deal_vnd,
        }
        events = self._values.events(self._indices[index.code.upper()], now_ms)
        session = FeedSession(int(events["session"][-1]))
        return {
            "IndexId": index.code,
            "IndexValue": _price(value_e2),
            "TradingDate": self._date,
            "Time": None,
            "Change": _price(value_e2 - index.prior_e2),
            "RatioChange": percent(value_e2, index.prior_e2),
            **{name: str(number) for name, number in numbers.items()},
            "TypeIndex": None,
            "IndexName": index.code,
            **{name: str(number) for name, number in breadth.items()},
            "TradingSession": session.name,
        }

    def _daily_stock_price(self, query: dict[str, str], now_ms: int) -> list[Row]:
        return [self._stock_price(place, now_ms) for place in self._chosen(query)]

    def _stock_price(self, place: int, now_ms: int) -> Row:
        symbol = self._day.symbols[place]
        trades = self._trades.until(place, now_ms).rows
        flows = self._foreigns.until(place, now_ms).rows
        prices = dict.fromkeys(("Open", "High", "Low", "Close"), "0") | {"Volume": "0"}
        change, ratio, average, value = "0", "0", "0", 0
        if trades.size:
            prices = _ohlc(trades)
            last_e2, volume = int(trades["price_e2"][-1]), int(trades["total_volume"][-1])
            value = int(trades["total_value_vnd"][-1])
            change = _price(last_e2 - symbol.reference_e2)
            ratio = percent(last_e2, symbol.reference_e2)
            average = _price(round(value * 100 / volume / symbol.multiplier_vnd))
        flow = flows[-1] if flows.size else np.zeros(1, flows.dtype)[0]
        bought, sold = int(flow["buy_volume"]), int(flow["sell_volume"])
        bought_vnd, sold_vnd = int(flow["buy_value_vnd"]), int(flow["sell_value_vnd"])
        return {
            "TradingDate": self._date,
            "PriceChange": change,
            "PerPriceChange": ratio,
            "CeilingPrice": _price(symbol.ladder.ceiling_e2),
            "FloorPrice": _price(symbol.ladder.floor_e2),
            "RefPrice": _price(symbol.reference_e2),
            "OpenPrice": prices["Open"],
            "HighestPrice": prices["High"],
            "LowestPrice": prices["Low"],
            "ClosePrice": prices["Close"],
            "AveragePrice": average,
            "ClosePriceAdjusted": prices["Close"],
            "TotalMatchVol": prices["Volume"],
            "TotalMatchVal": str(value),
            "TotalDealVal": "0",
            "TotalDealVol": "0",
            "ForeignBuyVolTotal": str(bought),
            "ForeignCurrentRoom": str(int(flow["room"])),
            "ForeignSellVolTotal": str(sold),
            "ForeignBuyValTotal": str(bought_vnd),
            "ForeignSellValTotal": str(sold_vnd),
            "TotalBuyTrade": "0",
            "TotalBuyTradeVol": "0",
            "TotalSellTrade": "0",
            "TotalSellTradeVol": "0",
            "NetBuySellVol": str(bought - sold),
            "NetBuySellVal": str(bought_vnd - sold_vnd),
            "TotalTradedVol": prices["Volume"],
            "TotalTradedValue": str(value),
            "Symbol": symbol.code,
            "Time": None,
        }

    # Queries --------------------------------------------------------------------------------

    def _chosen(self, query: dict[str, str]) -> list[int]:
        """Return the places of the symbols asked for, when the dates asked for hold the day."""
        if not self._covered(query):
            return []
        code, market = query.get("symbol", "").upper(), query.get("market", "").upper()
        if code == FRONT_FUTURE and self._day.future_code is not None:
            code = self._day.future_code
        return [
            place
            for place, symbol in enumerate(self._day.symbols)
            if code in ("", symbol.code) and market in ("", _market(symbol))
        ]

    def _traded(self, query: dict[str, str], now_ms: int) -> Iterator[tuple[Instrument, _Series]]:
        """Yield the one symbol asked for with its trades until now, if it had any."""
        if not query.get("symbol"):
            raise BadQuery("symbol is required")
        for place in self._chosen(query):
            trades = self._trades.until(place, now_ms)
            if trades.rows.size:
                yield self._day.symbols[place], trades

    def _covered(self, query: dict[str, str]) -> bool:
        first, last = (self._asked_date(query, name) for name in ("fromdate", "todate"))
        if (last - first).days > 30:
            raise BadQuery("fromDate and toDate are more than 30 days apart")
        return first <= self._day.date <= last

    def _asked_date(self, query: dict[str, str], name: str) -> dt.date:
        text = query.get(name, "")
        if not text:
            return self._day.date
        try:
            return dt.datetime.strptime(text, DATE_FORMAT).date()  # noqa: DTZ007  # a date has no zone
        except ValueError:
            raise BadQuery(f"{name} is not DD/MM/YYYY") from None


class _Grouped:
    """The events of one kind, symbol by symbol."""

    def __init__(self, day: Day, kind: EventKind, count: int) -> None:
        table = day.table_of(kind)
        assert table is not None
        events = day.events[day.events["kind"] == kind]
        self._table = table
        self._sorted = events[np.argsort(events["symbol"], kind="stable")]
        self._edges = np.searchsorted(self._sorted["symbol"], np.arange(count + 1))

    def events(self, place: int, now_ms: int) -> NDArray[np.void]:
        """Return a symbol's events up to a time of day."""
        mine: NDArray[np.void] = self._sorted[self._edges[place] : self._edges[place + 1]]
        count = int(np.searchsorted(mine["time_ms"], now_ms, side="right"))
        return mine[:count]

    def until(self, place: int, now_ms: int) -> _Series:
        """Return a symbol's rows up to a time of day."""
        events = self.events(place, now_ms)
        return _Series(events["time_ms"], self._table[events["row"]])


def _market(symbol: Instrument) -> str:
    return REST_MARKETS.get(symbol.venue, symbol.venue.name)


def _ohlc(trades: NDArray[np.void]) -> dict[str, str]:
    prices = trades["price_e2"]
    return {
        "Open": _price(int(prices[0])),
        "High": _price(int(prices.max())),
        "Low": _price(int(prices.min())),
        "Close": _price(int(prices[-1])),
        "Volume": str(int(trades["volume"].sum(dtype=np.int64))),
    }


def _price(value_e2: int) -> str:
    """Write hundredths without decimals that say nothing: ``28600``, ``1410.8``, ``19.09``."""
    return str(value_e2 // 100) if value_e2 % 100 == 0 else repr(value_e2 / 100)


def _whole(query: dict[str, str], name: str, least: int, most: int) -> int:
    text = query.get(name, str(least))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise BadQuery(f"{name} is not {least} to {most}")
    return int(text)

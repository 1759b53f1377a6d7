"""Asks REST what is known of every symbol: venue, lot, limits, baskets, names.

In: a REST client of v2 or v3. Out: a `Reference`. Every part of it may be missing: a part that
fails leaves its facts unknown and a line in `Reference.problems`; only when nothing at all is known
the failure is an error. Sources: ssi-wire section 2.2 for v2, the official `ssi-sdk` 3.3.2 for v3.

======================  ========================================  =============================
what                    v2                                        v3
======================  ========================================  =============================
venue, lot, type, name  SecuritiesDetails, Securities per market  securitiesByBoard?board=
baskets                 IndexComponents                           securitiesByBoard?index=
ceiling, floor,         DailyStockPrice per market of the day     masterdata of the day
reference price
the day                 newest ReportDate, else newest            today if it has prices, else
                        TradingDate of an undated question        indexSummary's tradingDate
======================  ========================================  =============================

Facts of an earlier source stand; a later one fills what is unknown. The day is always one that an
answer names: limits under a day that was guessed would end another day's statistics.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import aiohttp

from engine.feed.reference_rows import (
    SECURITY_TYPE_BYTES,
    SHARES_MAX,
    Reference,
    ReferenceRow,
    load_cached,
    reference_rows_by_code,
    store,
)
from engine.feed.rest_values import (
    BadRow,
    Junk,
    Rest,
    Row,
    code,
    line,
    price_e2,
    v2_date,
    v3_dates,
    venue,
    whole,
)
from engine.feed.source import FeedError
from engine.schema.codes import IndexMember, Venue
from engine.schema.slots import NAME_BYTES

__all__ = [
    "Reference",
    "ReferenceRow",
    "fetch_v2",
    "fetch_v3",
    "load_cached",
    "reference_rows_by_code",
    "store",
]

V2_MARKETS: Final = ("HOSE", "HNX", "UPCOM", "DER")
V3_BOARDS: Final = ("HOSE", "HNX", "UPCOM")  # futures are in the master data only
BASKETS: Final[dict[IndexMember, Venue]] = {
    IndexMember.VN30: Venue.HOSE,
    IndexMember.VN100: Venue.HOSE,
    IndexMember.HNX30: Venue.HNX,
}

V3_SECURITIES: Final = "/api/v3/data/securitiesByBoard"
V3_MASTER_DATA: Final = "/api/v3/data/masterdata"
V3_INDEX_SUMMARY: Final = "/api/v3/data/indexSummary"


async def fetch_v2(rest: Rest, http: aiohttp.ClientSession) -> Reference:
    """Ask v2 for everything.

    Some 15 requests, one after the other: the client's quota sets the pace.

    Raises
    ------
    FeedError
        Not one symbol is known, or of what day; the text is the first reason.
    """
    asking = _V2(rest, http)
    for market in V2_MARKETS:
        await asking.part(f"SecuritiesDetails {market}", asking.details, market)
    for market in V2_MARKETS:
        await asking.part(f"Securities {market}", asking.securities, market)
        asking.expect_rows(market)
    day = max(asking.report_days, default=None)
    for market in V2_MARKETS:
        await asking.part(f"DailyStockPrice {market}", asking.prices, market, day)
    for member, home in BASKETS.items():
        await asking.part(f"IndexComponents {member.name}", asking.components, member, home)
    return asking.reference(day or asking.newest_limits())


async def fetch_v3(
    rest: Rest, http: aiohttp.ClientSession, today: dt.date | None = None
) -> Reference:
    """Ask v3 for everything.

    Parameters
    ----------
    today
        The day to ask prices for first: in the morning it is out before any index has moved. When
        it has none, or is not given, the market's last day by indexSummary.

    Raises
    ------
    FeedError
        Not one symbol is known, or of what day; the text is the first reason.
    """
    asking = _V3(rest, http)
    for board in V3_BOARDS:
        await asking.part(f"securitiesByBoard {board}", asking.securities, board)
        asking.expect_rows(board)
    if today is not None:
        await asking.part(f"masterdata {today}", asking.prices, today)
    day = asking.newest_limits()
    if day is None:
        await asking.part("indexSummary", asking.index_day, today)
        day = asking.last_day
        if day is not None and day != today:
            await asking.part(f"masterdata {day}", asking.prices, day)
    for member, home in BASKETS.items():
        await asking.part(f"securitiesByBoard {member.name}", asking.components, member, home)
    return asking.reference(day)


class _Limits(NamedTuple):
    """The limits of a symbol, and where it was found."""

    venue: Venue
    ceiling_e2: int
    floor_e2: int
    reference_e2: int


class _Asking:
    """What has been learned so far."""

    def __init__(self, rest: Rest, http: aiohttp.ClientSession) -> None:
        self._rest = rest
        self._http = http
        self._rows: dict[str, ReferenceRow] = {}
        self._problems: list[str] = []
        self._junk = Junk()
        self._limits: dict[dt.date, dict[str, _Limits]] = {}

    async def part(self, what: str, ask: Callable[..., Awaitable[None]], *about: Any) -> None:
        """Ask for one part. Its failure is noted, and the others go on."""
        try:
            await ask(*about)
        except FeedError as error:
            self._problems.append(f"{what}: {error}")

    def expect_rows(self, market: str) -> None:
        """Note a market without a symbol: HNX is known to answer "There is no data" at times."""
        if not any(row.venue is venue(market) for row in self._rows.values()):
            self._problems.append(f"{market}: no securities")

    def newest_limits(self) -> dt.date | None:
        """Return the newest day with limits, None before there are any."""
        return max(self._limits, default=None)

    def reference(self, day: dt.date | None) -> Reference:
        """Return all that is known of a day; FeedError if that is nothing."""
        for symbol, limits in self._limits.get(day, {}).items() if day else ():
            self._learn(symbol, **limits._asdict())
        if day not in self._limits:
            self._problems.append(f"no price limits for {day or 'any day'}")
        if day is None or not self._rows:
            raise FeedError(f"no reference data: {self._problems[0]}")
        rows = tuple(self._rows[each] for each in sorted(self._rows))
        return Reference(day, rows, tuple(self._problems), self._junk.count, self._junk.sample)

    def _learn(self, symbol: str, **facts: Any) -> None:
        """Add facts about a symbol: only what is not known yet, and never an empty one."""
        row = self._rows.get(symbol)
        if row is None:
            row = ReferenceRow(symbol, Venue.UNKNOWN, 0, 0, 0, 0, 0, "", "", IndexMember.NONE)
        news = {name: fact for name, fact in facts.items() if fact and not getattr(row, name)}
        self._rows[symbol] = replace(row, **news) if news else row

    def _join(self, symbol: str, member: IndexMember, home: Venue) -> None:
        """Put a symbol into a basket."""
        self._learn(symbol, venue=home)
        row = self._rows[symbol]
        self._rows[symbol] = replace(row, indices=row.indices | member)

    def _limit(
        self, day: dt.date, symbol: str, home: Venue, ceiling: object, floor: object, ref: object
    ) -> None:
        """Note a symbol's limits on a day: three prices in order, or the row is junk."""
        limits = _Limits(home, price_e2(ceiling), price_e2(floor), price_e2(ref))
        if not 0 < limits.floor_e2 <= limits.reference_e2 <= limits.ceiling_e2:
            raise BadRow("no price limits")
        self._limits.setdefault(day, {})[symbol] = limits

    def _each(self, rows: Iterable[object], take: Callable[[Row], None]) -> None:
        """Let `take` read each row; drop and count those it cannot."""
        for row in rows:
            try:
                if not isinstance(row, dict):
                    raise BadRow("no object")
                take(row)
            except BadRow as why:
                self._junk.drop(row, why)

    def _inner(self, groups: Iterable[Row], key: str) -> list[object]:
        """Return the rows of the list that each group nests."""
        found: list[object] = []

        def take(group: Row) -> None:
            nested = group.get(key)
            if nested is not None and not isinstance(nested, list):
                raise BadRow(f"{key} is no list")
            found.extend(nested or ())

        self._each(groups, take)
        return found


class _V2(_Asking):
    """The parts of v2 (ssi-wire section 2.2)."""

    def __init__(self, rest: Rest, http: aiohttp.ClientSession) -> None:
        super().__init__(rest, http)
        self.report_days: set[dt.date] = set()

    async def details(self, market: str) -> None:
        """Read SecuritiesDetails: the rows are nested, in one group per page or per symbol."""
        groups = await self._rest.pages(self._http, "SecuritiesDetails", market=market)
        self._each(groups, self._take_report_day)
        self._each(self._inner(groups, "RepeatedInfo"), lambda row: self._take_details(row, market))

    def _take_report_day(self, group: Row) -> None:
        if group.get("ReportDate"):
            self.report_days.add(v2_date(group["ReportDate"]))

    def _take_details(self, row: Row, market: str) -> None:
        # MarketId is the finer word: a share of UPCOM may have Exchange HNX.
        self._learn(
            code(row.get("Symbol")),
            venue=venue(row.get("MarketId"), market),
            lot_shares=whole(row.get("LotSize"), SHARES_MAX),
            listed_shares=whole(row.get("ListedShare"), SHARES_MAX),
            security_type=line(row.get("SecType"), SECURITY_TYPE_BYTES),
            name=_name(row, "SymbolName", "SymbolEngName"),
        )

    async def securities(self, market: str) -> None:
        """Read Securities."""
        rows = await self._rest.pages(self._http, "Securities", market=market)
        self._each(
            rows,
            lambda row: self._learn(
                code(row.get("Symbol")),
                venue=venue(row.get("Market"), market),
                name=_name(row, "StockName", "StockEnName"),
            ),
        )

    async def prices(self, market: str, day: dt.date | None) -> None:
        """Read DailyStockPrice of one day, or of the one the server takes for the present.

        It has junk rows (symbol ``0.8536:``, ceiling 0).
        """
        dates = {"fromDate": f"{day:%d/%m/%Y}", "toDate": f"{day:%d/%m/%Y}"} if day else {}
        rows = await self._rest.pages(self._http, "DailyStockPrice", market=market, **dates)

        def take(row: Row) -> None:
            symbol, its_day = code(row.get("Symbol")), v2_date(row.get("TradingDate"))
            if its_day != (day or its_day):
                raise BadRow("another day")
            self._limit(
                its_day,
                symbol,
                venue(market),
                row.get("CeilingPrice"),
                row.get("FloorPrice"),
                row.get("RefPrice"),
            )

        self._each(rows, take)

    async def components(self, member: IndexMember, home: Venue) -> None:
        """Read IndexComponents: the symbols are nested below the index."""
        groups = await self._rest.pages(self._http, "IndexComponents", indexCode=str(member.name))
        ours = [group for group in groups if _is_index(group, member)]
        self._each(
            self._inner(ours, "IndexComponent"),
            lambda row: self._join(code(row.get("StockSymbol")), member, home),
        )


class _V3(_Asking):
    """The parts of v3 (``ssi_sdk/models/market_data.py``)."""

    def __init__(self, rest: Rest, http: aiohttp.ClientSession) -> None:
        super().__init__(rest, http)
        self.last_day: dt.date | None = None

    async def securities(self, board: str) -> None:
        """Read securitiesByBoard of a board: a bare list without pages."""
        rows = await self._rest.get(self._http, V3_SECURITIES, board=board)
        self._each(rows, lambda row: self._take_security(row, venue(row.get("board"), board)))

    def _take_security(self, row: Row, home: Venue) -> None:
        self._learn(
            code(row.get("symbol")),
            venue=home,
            lot_shares=whole(row.get("lotSize"), SHARES_MAX),
            listed_shares=whole(row.get("listedShare"), SHARES_MAX),
            security_type=line(row.get("stockType"), SECURITY_TYPE_BYTES),
            name=_name(row, "symbolNameVi", "symbolNameEn"),
        )

    async def components(self, member: IndexMember, home: Venue) -> None:
        """Read securitiesByBoard of an index."""
        rows = await self._rest.get(self._http, V3_SECURITIES, index=str(member.name))

        def take(row: Row) -> None:
            self._take_security(row, venue(row.get("board"), home.name))
            self._join(code(row.get("symbol")), member, home)

        self._each(rows, take)

    async def prices(self, day: dt.date) -> None:
        """Read the master data of one day, which covers every board and the futures."""
        date = f"{day:%Y/%m/%d}"
        rows = await self._rest.pages(self._http, V3_MASTER_DATA, **{"from": date, "to": date})

        def take(row: Row) -> None:
            symbol = code(row.get("symbol"))
            if day not in v3_dates(row.get("tradingDate")):
                raise BadRow("another day")
            home = venue(row.get("board"))
            prices = (row.get(name) for name in ("ceiling", "floor", "refPrice"))
            self._limit(day, symbol, home, *prices)

        self._each(rows, take)

    async def index_day(self, today: dt.date | None) -> None:
        """Read the last trading day from the summary of VN30.

        A date with two readings is taken for the one nearest to `today`.
        """
        rows = await self._rest.get(self._http, V3_INDEX_SUMMARY, index="VN30")

        def take(row: Row) -> None:
            readings = v3_dates(row.get("tradingDate"))
            if not readings:
                raise BadRow("no date")
            day = min(readings, key=lambda each: abs(each - (today or each)))
            self.last_day = max(self.last_day or day, day)

        self._each(rows, take)


def _name(row: Row, *keys: str) -> str:
    """Return the first name a row has."""
    return next((name for key in keys if (name := line(row.get(key), NAME_BYTES))), "")


def _is_index(group: object, member: IndexMember) -> bool:
    """Whether a group is of this index; a group that does not say is, since it was asked for."""
    said = group.get("IndexCode") if isinstance(group, dict) else None
    return not isinstance(said, str) or said.strip().upper() in ("", member.name)

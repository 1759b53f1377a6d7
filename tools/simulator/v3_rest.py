"""v3's REST market data, in the shapes the official SDK parses.

Two kinds of answer: a bare list, and ``{"data": [...], "pagesCount": ...}``. Nothing to tell is
HTTP 200 with ``{"code": 204}``; an error is its own HTTP status with ``{"code", "msg"}``. There is
one day to tell about: a client that asks for another, today by its clock for instance, gets none.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from tools.simulator.http import Request, Response
from tools.simulator.v3_almanac import Almanac, Bar, Facts
from tools.simulator.v3_auth import refused
from tools.simulator.v3_render import clock, hundredths, number

PREFIX: Final = "/api/v3/data/"
TIMEFRAMES: Final = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "1h": 60}
DAY_FRAME: Final = "1d"
DAY_MINUTES: Final = 24 * 60
END_OF_DAY_S: Final = DAY_MINUTES * 60
PAGE_SIZE: Final = 10  # when the request names none

SYMBOL_REQUIRED: Final = 400104
FROM_AFTER_TO: Final = 400202
BOARD_NOT_ALLOWED: Final = 400208
TIMEFRAME_UNKNOWN: Final = 400210
DATE_INVALID: Final = 400213
ONE_OF_INDEX_BOARD: Final = 504207
ONE_OF_SYMBOL_BOARD_INDEX: Final = 504208
SYMBOL_XOR_INDEX: Final = 504209

Row = dict[str, Any]


class _Refusal(Exception):
    """A request that cannot be answered, with the server's code for it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Rest:
    """The endpoints below `PREFIX`.

    Parameters
    ----------
    almanac
        The day as reference data.
    market_ms
        The market's time of day as far as it has been told, None before it has begun (then all
        of the day is known, as in the evening). Bars that have not ended by then do not exist.
    """

    def __init__(self, almanac: Almanac, market_ms: Callable[[], int | None]) -> None:
        self._almanac = almanac
        self._market_ms = market_ms
        self._day = f"{almanac.date:%Y/%m/%d}"

    def answer(self, request: Request, *, signed_in: bool) -> Response:
        """Answer a request."""
        bare: dict[str, Callable[[dict[str, str]], list[Row]]] = {
            "indexlist": self._index_list,
            "indexsummary": self._index_summary,
            "securitiesbyboard": self._securities,
        }
        paged: dict[str, Callable[[dict[str, str]], list[Row]]] = {
            "masterdata": self._master_data,
            "securitiessummary": self._securities_summary,
            "ohlc": self._ohlc,
            "corporateactions": lambda _query: [],
        }
        name = request.path.removeprefix(PREFIX).lower()
        if request.method != "GET" or name not in bare | paged:
            return Response(404)
        if not signed_in:
            return refused(401, "Unauthorized")
        try:
            if name in bare:
                rows = bare[name](request.query)
                return _json(rows) if rows else _nothing()
            return _page(paged[name](request.query), request.query, counted=name != "ohlc")
        except _Refusal as refusal:
            return refused(refusal.code, str(refusal))

    # Endpoints ------------------------------------------------------------------------------

    def _index_list(self, query: dict[str, str]) -> list[Row]:
        board = _board(query)
        return [
            {"index": code, "indexName": code, "board": home}
            for code, home in self._almanac.index_boards.items()
            if board in ("", home)
        ]

    def _index_summary(self, query: dict[str, str]) -> list[Row]:
        index, board = query.get("index", "").upper(), _board(query)
        if bool(index) == bool(board):
            raise _Refusal(ONE_OF_INDEX_BOARD, "index or board is required")
        asked = query.get("tradingdate", self._day)
        if not self._covers(asked, asked):
            return []
        return [
            self._index_row(code)
            for code, home in self._almanac.index_boards.items()
            if code == index or home == board
        ]

    def _index_row(self, code: str) -> Row:
        rows = self._almanac.index_rows(code, self._known_s())
        if rows.size == 0:
            return {"tradingDate": self._day, "indexValue": 0}
        row, prior_e2 = rows[-1], self._almanac.index_prior_e2(code)
        value_e2 = int(row["value_e2"])
        volume, value = int(row["volume"]), int(row["value_vnd"])
        deal, deal_value = int(row["put_through_volume"]), int(row["put_through_value_vnd"])
        return {
            "tradingDate": self._day,
            "totalTrade": volume + deal,
            "totalTradeValue": value + deal_value,
            "totalMatch": volume,
            "totalMatchValue": value,
            "totalDeal": deal,
            "totalDealValue": deal_value,
            "indexChange": hundredths(value_e2 - prior_e2),
            "indexChangePercentage": _percent(value_e2, prior_e2),
            "indexValue": hundredths(value_e2),
            "totalAdvanceStock": int(row["advances"]),
            "totalDeclineStock": int(row["declines"]),
            "totalNoChangeStock": int(row["unchanged"]),
            "totalCeilingStock": int(row["ceilings"]),
            "totalFloorStock": int(row["floors"]),
            "totalPropBuy": 0,
            "totalPropBuyValue": 0,
            "totalPropSell": 0,
            "totalPropSellValue": 0,
        }

    def _securities(self, query: dict[str, str]) -> list[Row]:
        symbol, index = query.get("symbol", "").upper(), query.get("index", "").upper()
        board = _board(query)
        if sum(map(bool, (symbol, index, board))) != 1:
            raise _Refusal(ONE_OF_SYMBOL_BOARD_INDEX, "one of symbol, board, index is required")
        if board not in ("", "HOSE", "HNX", "UPCOM"):
            raise _Refusal(BOARD_NOT_ALLOWED, f"board {board} is not allowed")
        members = self._almanac.baskets.get(index, frozenset())
        return [
            self._security(facts)
            for facts in self._almanac.facts.values()
            if facts.code == symbol or facts.board == board or facts.code in members
        ]

    def _security(self, facts: Facts) -> Row:
        indices = [code for code, members in self._almanac.baskets.items() if facts.code in members]
        return {
            "symbol": facts.code,
            "board": facts.board,
            "index": ",".join(indices),
            "symbolNameVi": facts.name,
            "symbolNameEn": "",
            "lotSize": str(facts.lot_shares),
            "maturityDate": "",
            "firstTradingDate": "",
            "lastTradingDate": "",
            "cwUnderlyingSymbol": "",
            "cwExercisePrice": "",
            "cwExecutionRatio": "",
            # The foreign cap is 49 % of the shares the day pretends are listed.
            "listedShare": str(facts.foreign_cap_shares * 100 // 49),
            "icbCode": "",
            "icbName": "",
            "stockType": "F" if facts.board == "DERIVATIVES" else "S",
        }

    def _master_data(self, query: dict[str, str]) -> list[Row]:
        first, last = query.get("from", self._day), query.get("to", self._day)
        if not self._covers(first, last):
            return []
        return [
            {
                "board": facts.board,
                "symbol": facts.code,
                "tradingDate": self._day,
                "ceiling": hundredths(facts.ceiling_e2),
                "floor": hundredths(facts.floor_e2),
                "refPrice": hundredths(facts.reference_e2),
            }
            for facts in self._almanac.facts.values()
        ]

    def _securities_summary(self, query: dict[str, str]) -> list[Row]:
        symbol, index = query.get("symbol", "").upper(), query.get("index", "").upper()
        if bool(symbol) == bool(index):
            raise _Refusal(SYMBOL_XOR_INDEX, "symbol or index is required")
        if not self._covers(query.get("from", ""), query.get("to", "")):
            return []
        codes = {symbol} if symbol else self._almanac.baskets.get(index, frozenset())
        return [
            self._summary(self._almanac.facts[code])
            for code in sorted(codes)
            if code in self._almanac.facts
        ]

    def _summary(self, facts: Facts) -> Row:
        totals = self._almanac.totals(facts.code)
        bars = self._almanac.series(facts.code).bars(DAY_MINUTES, END_OF_DAY_S)
        bar = bars[0] if bars else Bar(0, 0, 0, 0, 0, 0, 0, 0)
        scale = max(bar.volume * facts.multiplier_vnd, 1)
        traded = bool(bars)
        return {
            "symbol": facts.code,
            "tradingDate": self._day,
            "priceChange": hundredths(bar.close_e2 - facts.reference_e2) if traded else 0,
            "priceChangePercentage": _percent(bar.close_e2, facts.reference_e2) if traded else 0,
            "open": hundredths(bar.open_e2),
            "high": hundredths(bar.high_e2),
            "low": hundredths(bar.low_e2),
            "close": hundredths(bar.close_e2),
            "average": number(round(bar.value_vnd / scale, 3)),
            "totalMatch": bar.volume,
            "totalMatchValue": bar.value_vnd,
            "totalBuy": totals.buy_volume,
            "totalTradeBuy": totals.buy_value_vnd,
            "totalSell": totals.sell_volume,
            "totalTradeSell": totals.sell_value_vnd,
            "totalForeignBuy": totals.foreign_buy_volume,
            "totalForeignBuyValue": totals.foreign_buy_value_vnd,
            "totalForeignSell": totals.foreign_sell_volume,
            "totalForeignSellValue": totals.foreign_sell_value_vnd,
            "remainForeignRoom": totals.foreign_room,
            "totalForeignRoom": facts.foreign_cap_shares,
            "totalDeal": 0,
            "totalDealValue": 0,
            "openInterest": 0,
            "settlementPrice": 0,
        }

    def _ohlc(self, query: dict[str, str]) -> list[Row]:
        code, frame = query.get("symbol", "").upper(), query.get("timeframe", "")
        if not code:
            raise _Refusal(SYMBOL_REQUIRED, "symbol is required")
        if frame not in TIMEFRAMES and frame != DAY_FRAME:
            raise _Refusal(TIMEFRAME_UNKNOWN, f"timeFrame {frame} is not supported")
        first, last = _moment(query.get("from", "")), _moment(query.get("to", ""))
        if first > last:
            raise _Refusal(FROM_AFTER_TO, "from is after to")
        almanac = self._almanac
        if code not in almanac.facts and code not in almanac.index_boards:
            return []
        midnight = dt.datetime.combine(almanac.date, dt.time())
        minutes = TIMEFRAMES.get(frame, DAY_MINUTES)
        known_s = END_OF_DAY_S if frame == DAY_FRAME else self._known_s()
        rows = [
            {
                "symbol": code,
                "tradingDate": f"{self._day} {clock(bar.start_s)}",
                "open": hundredths(bar.open_e2),
                "high": hundredths(bar.high_e2),
                "low": hundredths(bar.low_e2),
                "close": hundredths(bar.close_e2),
                "volume": bar.volume,
                "value": bar.value_vnd,
            }
            for bar in almanac.series(code).bars(minutes, known_s)
            if first <= midnight + dt.timedelta(seconds=bar.start_s) <= last
        ]
        return rows[::-1]  # newest first

    # Inside ---------------------------------------------------------------------------------

    def _known_s(self) -> int:
        market_ms = self._market_ms()
        return END_OF_DAY_S if market_ms is None else market_ms // 1000

    def _covers(self, first: str, last: str) -> bool:
        """Return whether a range of days holds the played one."""
        start, end = _date(first), _date(last)
        if start > end:
            raise _Refusal(FROM_AFTER_TO, "from is after to")
        return start <= self._almanac.date <= end


def _date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y/%m/%d").date()  # noqa: DTZ007  # a day, in Vietnam
    except ValueError:
        raise _Refusal(DATE_INVALID, "Invalid Date/Timestamp Format") from None


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(text, "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007  # local, in Vietnam
    except ValueError:
        raise _Refusal(DATE_INVALID, "Invalid Date/Timestamp Format") from None


def _board(query: dict[str, str]) -> str:
    return query.get("board", "").upper()


def _percent(value_e2: int, reference_e2: int) -> float:
    return round((value_e2 - reference_e2) * 100 / reference_e2, 2)


def _json(document: object) -> Response:
    return Response(200, orjson.dumps(document))


def _nothing() -> Response:
    return _json({"code": 204, "msg": "No Content"})


def _page(rows: Sequence[Row], query: dict[str, str], *, counted: bool) -> Response:
    """Return one page; the ohlc endpoint does not say how many there are."""
    try:
        number_, size = int(query.get("pageindex", "1")), int(query.get("pagesize", PAGE_SIZE))
    except ValueError:
        number_, size = 0, 0
    page = rows[(number_ - 1) * size : number_ * size] if number_ > 0 and size > 0 else []
    if not page:
        return _nothing()
    document: dict[str, Any] = {"data": page}
    if counted:
        document |= {"pagesCount": -(-len(rows) // size), "totalCount": len(rows)}
    return _json(document)

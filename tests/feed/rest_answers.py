"""REST answers: rows as they were published, a client that gives them, and a server that does.

GUIDE rows are the official samples of guide.ssi.com.vn as copied in kyimmQ/go-fcdata
docs/api/fc-api.md (ssi-wire section 2.2); MADE rows have their shape and our numbers. v3 rows have
the keys that ssi_sdk 3.3.2 reads (models/market_data.py); no answer of v3 has been published.
"""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from engine.clock import SystemClock
from engine.feed.rest_v2 import RestSettings, RestV2
from engine.feed.rest_v3 import RestV3, RestV3Settings
from tests.feed.simulated import CONSUMER_ID, SECRET

DETAILS_SSI = json.loads(  # GUIDE
    """{"RType":"y","ReportDate":"19/01/2023","TotalNoSym":"1","RepeatedInfo":[{"Isin":null,
    "Symbol":"SSI","SymbolName":"CTCP CHUNG KHOAN SSI",
    "SymbolEngName":"SSI Securities Corporation","SecType":"S","MarketId":"HOSE","Exchange":"HOSE",
    "Issuer":null,"LotSize":"100","IssueDate":"","MaturityDate":"","FirstTradingDate":"",
    "LastTradingDate":"","ContractMultiplier":"0","SettlMethod":"","Underlying":null,
    "PutOrCall":null,"ExercisePrice":"0","ExerciseStyle":"","ExcerciseRatio":"0",
    "ListedShare":"1501130137","TickPrice1":null,"TickIncrement1":null,"TickPrice2":null,
    "TickIncrement2":null,"TickPrice3":null,"TickIncrement3":null,"TickPrice4":null,
    "TickIncrement4":null}]}"""
)
SECURITIES_HOSE = json.loads(  # GUIDE
    """[{"Market":"HOSE","Symbol":"AAA","StockName":"CTCP NHUA&MT XANH AN PHAT",
    "StockEnName":"An Phat Bioplastics Joint Stock Company"},
    {"Market":"HOSE","Symbol":"AAM","StockName":"CTCP THUY SAN MEKONG",
    "StockEnName":"Mekong Fisheries Joint Stock Company"}]"""
)
COMPONENTS_VN30 = json.loads(  # GUIDE, which shows two of thirty
    """{"IndexCode":"VN30","IndexName":"VN30","Exchange":"HOSE","TotalSymbolNo":"30",
    "IndexComponent":[{"Isin":"ACB","StockSymbol":"ACB"},{"Isin":"BCM","StockSymbol":"BCM"}]}"""
)
PRICE_HUB = json.loads(  # GUIDE, where it answers a question about SSI
    """{"TradingDate":"19/07/2023","PriceChange":"-150","PerPriceChange":"-0.70",
    "CeilingPrice":"21550","FloorPrice":"18750","RefPrice":"20150","OpenPrice":"20950",
    "HighestPrice":"20950","LowestPrice":"20000","ClosePrice":"20000","AveragePrice":"20118",
    "ClosePriceAdjusted":"17392","TotalMatchVol":"18900","TotalMatchVal":"380230000",
    "TotalDealVal":"0","TotalDealVol":"0","ForeignBuyVolTotal":"0","ForeignCurrentRoom":"0",
    "ForeignSellVolTotal":"0","ForeignBuyValTotal":"0","ForeignSellValTotal":"0",
    "TotalBuyTrade":"0","TotalBuyTradeVol":"0","TotalSellTrade":"0","TotalSellTradeVol":"0",
    "NetBuySellVol":"0","NetBuySellVal":"0","TotalTradedVol":"18900",
    "TotalTradedValue":"380230000","Symbol":"HUB","Time":null}"""
)
BARS_SSI = json.loads(  # GUIDE: newest first; Value is a price
    """[{"Symbol":"SSI","Value":"29150","TradingDate":"14/08/2023","Time":"14:45:04",
    "Open":"29150","High":"29150","Low":"29150","Close":"29150","Volume":"529200"},
    {"Symbol":"SSI","Value":"29100","TradingDate":"14/08/2023","Time":"14:29:59",
    "Open":"29050","High":"29150","Low":"29050","Close":"29100","Volume":"166400"}]"""
)

V3_SSI = json.loads(
    """{"symbol":"SSI","board":"HOSE","index":"VN30",
    "symbolNameVi":"Công ty Cổ phần Chứng khoán SSI",
    "symbolNameEn":"SSI Securities Corporation","lotSize":100,"maturityDate":"",
    "firstTradingDate":"","lastTradingDate":"","cwUnderlyingSymbol":"","cwExercisePrice":null,
    "cwExecutionRatio":null,"listedShare":"1,501,130,137.0","icbCode":"","icbName":"",
    "iIndex":null,"iNav":null,"openInterest":null,"settlementPrice":null,"stockType":"S"}"""
)


def price(symbol, ceiling, floor, reference, day="19/01/2023"):
    """MADE: a row of DailyStockPrice with only what is read of it."""
    return {
        "TradingDate": day,
        "CeilingPrice": ceiling,
        "FloorPrice": floor,
        "RefPrice": reference,
        "Symbol": symbol,
        "Time": None,
    }


def details(market, *symbols, day="19/01/2023", lot="100"):
    """MADE: one group of SecuritiesDetails."""
    return {
        **DETAILS_SSI,
        "ReportDate": day,
        "TotalNoSym": str(len(symbols)),
        "RepeatedInfo": [
            {
                **DETAILS_SSI["RepeatedInfo"][0],
                "Symbol": symbol,
                "SymbolName": "",
                "SymbolEngName": "",
                "MarketId": market,
                "Exchange": "HNX" if market in ("UPCOM", "DER") else market,
                "LotSize": lot,
                "ListedShare": "",
            }
            for symbol in symbols
        ],
    }


class FakeRest:
    """Answers from a table of (api, one query value): rows, or an error to raise.

    `asked` remembers every question as (api, query).
    """

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    async def get(self, http, api, **query):
        self.asked.append((api, query))
        await asyncio.sleep(0)
        answer = next(
            (
                rows
                for (name, about), rows in self.answers.items()
                if name == api and about in query.values()
            ),
            [],
        )
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pages(self, http, api, **query):
        return await self.get(http, api, **query)


@asynccontextmanager
async def serving(handler):
    """Serve every path with a handler on the loopback; yield a session and the root URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as server, aiohttp.ClientSession() as http:
        yield http, str(server.make_url("/"))


def rest_v2(url):
    """Return the real client of a server on the loopback."""
    return RestV2(
        RestSettings(
            url=url,
            consumer_id=CONSUMER_ID,
            consumer_secret=SECRET,
            timeout_s=10.0,
            interval_s=0.0,
            token_margin_s=60.0,
        ),
        SystemClock(),
    )


def rest_v3(url):
    """Return the real client of a server on the loopback."""
    return RestV3(
        RestV3Settings(
            url=url,
            api_key=CONSUMER_ID,
            api_secret=SECRET,
            otp="",
            token_file=None,
            timeout_s=10.0,
            interval_s=0.0,
            token_margin_s=60.0,
        ),
        SystemClock(),
    )


def v2_token():
    """Return v2's answer to AccessToken."""
    return web.json_response(
        {"message": "Success", "status": 200, "data": {"accessToken": "a.b.c"}}
    )


def v2_page(rows):
    """Return v2's envelope around some rows, or none."""
    return web.json_response(
        {
            "data": rows or None,
            "message": "Success" if rows else "There is no data",
            "status": "Success",
            "totalRecord": len(rows or ()),
        }
    )


def v3_answer(request):
    """Answer what a v3 client asks beside its data: a token, or nothing."""
    if request.path == "/api/v3/auth/token":
        return web.json_response({"accessToken": "a.b.c", "refreshToken": "once"})
    return web.json_response({"code": 204, "msg": "No Content"})

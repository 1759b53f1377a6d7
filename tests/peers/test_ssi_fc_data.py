"""SSI's own v2 client (PyPI `ssi-fc-data`, unmodified) finds in our simulator what it expects.

What it needs of a server is in ssi-wire section 5.1, what it does wrong in 5.2.
"""

import asyncio
import json
from collections import Counter

import pytest

from tests.peers.child import child
from tests.tools.played import CONSUMER_ID, DAY_TEXT, SECRET, SYMBOLS, lines, run, simulator

pytestmark = pytest.mark.peer

TYPES = ("F", "X", "X-QUOTE", "X-TRADE", "R", "MI", "B", "OL")
CHANNELS = ",".join(f"{kind}:ALL" for kind in TYPES)

# Keys of each record, ssi-wire sections 3.1 to 3.8.
BOOK = [
    f"{side}{what}{n}" for side in ("Bid", "Ask") for what in ("Price", "Vol") for n in range(1, 11)
]
KEYS = {
    "F": "RType MarketId TradingDate Time Symbol TradingSession TradingStatus Exchange "
    "TradingOlSession",
    "X": "RType TradingDate Time Isin Symbol Ceiling Floor RefPrice Open High Low Close AvgPrice "
    "PriorVal LastPrice LastVol TotalVal TotalVol MarketId Exchange TradingSession TradingStatus "
    f"Change RatioChange EstMatchedPrice Side CloseQtty {' '.join(BOOK)}",
    "X-QUOTE": f"TradingDate Time Exchange Symbol RType TradingSession {' '.join(BOOK)}",
    "X-TRADE": "RType TradingDate Time Isin Symbol Ceiling Floor RefPrice AvgPrice PriorVal "
    "LastPrice LastVol TotalVal TotalVol MarketId Exchange TradingSession TradingStatus Change "
    "RatioChange EstMatchedPrice Highest Lowest Side",
    "R": "RType TradingDate Time Isin Symbol TotalRoom CurrentRoom BuyVol SellVol BuyVal SellVal "
    "MarketId Exchange",
    "MI": "IndexId IndexValue PriorIndexValue TradingDate Time TotalTrade TotalQtty TotalValue "
    "IndexName Advances NoChanges Declines Ceilings Floors Change RatioChange TotalQttyPt "
    "TotalValuePt Exchange AllQty AllValue IndexType TradingSession MarketId RType TotalQttyOd "
    "TotalValueOd",
    "B": "RType TradingDate Time Symbol Open High Low Close Volume Value",
    "OL": "RType TradingDate Time StockNo Symbol Ceiling Floor RefPrice Open High Low LastPrice "
    "LastVol TotalVal TotalVol BidPrice1 BidPrice2 BidPrice3 BidVol1 BidVol2 BidVol3 AskPrice1 "
    "AskPrice2 AskPrice3 AskVol1 AskVol2 AskVol3 Exchange TradingSession TradingStatus Change "
    "RatioChange StockType",
}

# Keys of each lookup's rows, ssi-wire section 2.2.
ROW_KEYS = {
    "Securities": "Market Symbol StockName StockEnName",
    "SecuritiesDetails": "RType ReportDate TotalNoSym RepeatedInfo",
    "IndexComponents": "IndexCode IndexName Exchange TotalSymbolNo IndexComponent",
    "IndexList": "IndexCode IndexName Exchange",
    "DailyOhlc": "Symbol Market TradingDate Time Open High Low Close Volume Value",
    "IntradayOhlc": "Symbol Value TradingDate Time Open High Low Close Volume",
    "DailyIndex": "IndexId IndexValue TradingDate Time Change RatioChange TotalTrade "
    "TotalMatchVol TotalMatchVal TypeIndex IndexName Advances NoChanges Declines Ceilings Floors "
    "TotalDealVol TotalDealVal TotalVol TotalVal TradingSession",
    "DailyStockPrice": "TradingDate PriceChange PerPriceChange CeilingPrice FloorPrice RefPrice "
    "OpenPrice HighestPrice LowestPrice ClosePrice AveragePrice ClosePriceAdjusted TotalMatchVol "
    "TotalMatchVal TotalDealVal TotalDealVol ForeignBuyVolTotal ForeignCurrentRoom "
    "ForeignSellVolTotal ForeignBuyValTotal ForeignSellValTotal TotalBuyTrade TotalBuyTradeVol "
    "TotalSellTrade TotalSellTradeVol NetBuySellVol NetBuySellVal TotalTradedVol "
    "TotalTradedValue Symbol Time",
}


def client(port):
    return child(
        "fc_data_client.py", str(port), CONSUMER_ID, SECRET, DAY_TEXT, SYMBOLS[0], CHANNELS
    )


def test_the_stream_delivers_every_message_of_every_type():
    played = lines()

    async def body():
        server = simulator(played)
        await server.start()
        try:
            async with client(server.port) as peer:
                return [await peer.until("message", "error", "closed") for _ in played]
        finally:
            await server.stop()

    got = run(body())
    assert not [line for line in got if "message" not in line]
    messages = [line["message"] for line in got]
    assert all(set(message) == {"DataType", "Content"} for message in messages)
    records = [(message["DataType"], json.loads(message["Content"])) for message in messages]
    assert Counter(kind for kind, _ in records) == Counter(kind for _, kind, _, _ in played)
    assert {kind for kind, _ in records} == set(TYPES)
    for kind, record in records:
        assert record["RType"] == kind
        assert set(record) == set(KEYS[kind].split()), kind
        assert record["TradingDate"] == DAY_TEXT
    # In order, and nothing twice: the cumulative volume of a symbol is the sum of its prints.
    for symbol in SYMBOLS:
        prints = [
            record for kind, record in records if kind == "X-TRADE" and record["Symbol"] == symbol
        ]
        total = 0.0
        for each in prints:
            total += each["LastVol"]
            assert each["TotalVol"] == total


def test_its_lookups_are_answered_in_ssis_shapes():
    async def body():
        server = simulator([])
        await server.start()
        try:
            async with client(server.port) as peer:
                return [await peer.until("rest") for _ in range(len(ROW_KEYS) + 1)]
        finally:
            await server.stop()

    answers = {line["rest"]: line.get("answer", line) for line in run(body())}
    token = answers.pop("AccessToken")
    assert (token["status"], token["message"], list(token["data"])) == (
        200,
        "Success",
        ["accessToken"],
    )
    assert set(answers) == set(ROW_KEYS)
    for name, answer in answers.items():
        assert set(answer) == {"data", "message", "status", "totalRecord"}, (name, answer)
        assert answer["status"] == "Success", name
        assert answer["data"], name
        for row in answer["data"]:
            assert set(ROW_KEYS[name].split()) <= set(row), name
            assert all(isinstance(each, str | list | None) for each in row.values()), (name, row)


def test_a_quota_error_reaches_it_and_the_stream_goes_on():
    played = lines()[:50]

    async def body():
        server = simulator([])
        await server.start()
        try:
            async with client(server.port) as peer:
                await peer.until("rest")
                while not any(each.is_websocket for each in server.connections):
                    await asyncio.sleep(0.01)
                while not any(each.subscription for each in server.connections):
                    await asyncio.sleep(0.01)
                server.send_raw(
                    b'{"C":"d-1","M":[{"H":"FcMarketDataV2Hub","M":"Error","A":["blocked"]}]}'
                )
                error = await peer.until("error", "message")
                server.send_raw(b'{"C":"d-2","M":[' + played[0][3] + b"]}")
                return error, await peer.until("error", "message")
        finally:
            await server.stop()

    error, message = run(body())
    assert error == {"error": "blocked"}
    assert message["message"]["DataType"] == played[0][1]

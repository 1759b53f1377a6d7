"""Minutes of REST."""

import datetime as dt

import pytest
from aiohttp import web

from engine.clock import iso_ict
from engine.feed.bars import Bar, bars_v2, bars_v3
from engine.feed.rest_values import Junk
from engine.feed.source import FeedError
from tests.feed.rest_answers import (
    BARS_SSI,
    FakeRest,
    rest_v2,
    rest_v3,
    serving,
    v2_page,
    v2_token,
    v3_answer,
)
from tests.feed.simulated import run

DAY = dt.date(2023, 8, 14)
ATC = int(dt.datetime(2023, 8, 14, 7, 45, tzinfo=dt.UTC).timestamp())  # 14:45 in Vietnam
LAST = ATC - 16 * 60  # 14:29
GUIDE = [
    Bar(LAST, 2_905_000, 2_915_000, 2_905_000, 2_910_000, 166_400),
    Bar(ATC, 2_915_000, 2_915_000, 2_915_000, 2_915_000, 529_200),
]


def read_v2(rows, junk=None):
    rest = FakeRest({("IntradayOhlc", "SSI"): rows})
    return run(bars_v2(rest, None, junk)("SSI", DAY)), rest


def v2(**changes):
    return {**BARS_SSI[1], **changes}


def test_the_minutes_of_the_guide():
    bars, rest = read_v2(BARS_SSI)
    assert bars == GUIDE  # ascending, though the answer is newest first
    assert iso_ict(bars[1].minute_exch_s) == "2023-08-14T14:45:00+07:00"
    assert rest.asked == [
        (
            "IntradayOhlc",
            {
                "symbol": "SSI",
                "fromDate": "14/08/2023",
                "toDate": "14/08/2023",
                "resolution": 1,
                "ascending": "true",
            },
        )
    ]


@pytest.mark.parametrize("time", ["14:29:00", "14:29:01", "14:29:59"])
def test_the_minute_is_the_one_of_the_last_trade(time):
    assert read_v2([v2(Time=time)])[0][0].minute_exch_s == LAST


def test_value_is_a_price_and_nobody_reads_it():
    assert read_v2([v2(Value="garbage")])[0] == GUIDE[:1]


def test_futures_have_points():
    row = v2(Open="1290.3", High="1290.35", Low="1290.1", Close="1290.2", Volume="12")
    assert read_v2([row])[0] == [Bar(LAST, 129_030, 129_035, 129_010, 129_020, 12)]


@pytest.mark.parametrize(
    ("why", "row"),
    [
        ("another symbol", v2(Symbol="SSB")),
        ("no symbol", v2(Symbol=None)),
        ("another day", v2(TradingDate="13/08/2023")),
        ("no date", v2(TradingDate="")),
        ("no time", v2(Time=None)),
        ("no time", v2(Time="25:00:00")),
        ("no number", v2(Open="a lot")),
        ("no count", v2(Volume="-5")),
        ("no count", v2(Volume="1.5")),
        ("prices out of order", v2(Low="0")),
        ("prices out of order", v2(Low=None)),
        ("prices out of order", v2(Low="29150")),
        ("prices out of order", v2(High="29050")),
        ("prices out of order", v2(Open="30000")),
        ("no object", None),
    ],
)
def test_junk_is_dropped_and_counted(why, row):
    junk = Junk()
    bars, _ = read_v2([row, *BARS_SSI], junk)
    assert bars == GUIDE
    assert junk.count == 1
    assert junk.sample.startswith(why)


@pytest.mark.parametrize("volume", ["0", "", None])
def test_a_minute_without_a_match_is_no_bar_and_no_junk(volume):
    junk = Junk()
    assert read_v2([v2(Volume=volume)], junk)[0] == []
    assert junk.count == 0


def test_of_a_minute_that_comes_twice_the_larger_stands():
    young, full = v2(Volume="100"), BARS_SSI[1]
    for rows in ([young, full], [full, young], [full, full]):
        assert read_v2(rows)[0] == GUIDE[:1]


def test_no_data_is_no_bars_and_an_error_is_an_error():
    assert read_v2([])[0] == []
    with pytest.raises(FeedError, match="quota"):
        read_v2(FeedError("quota"))


def test_v2_over_a_socket():
    """A thousand rows and then the rest, oldest first as asked."""
    rows = [v2(Time=f"{9 + at // 60:02}:{at % 60:02}:59", Volume=str(at + 1)) for at in range(330)]
    padding = [v2(Volume="0")] * 900
    asked = []

    async def handler(request):
        if request.path.endswith("AccessToken"):
            return v2_token()
        asked.append(dict(request.query))
        page = int(request.query["pageIndex"])
        return v2_page((padding + rows)[(page - 1) * 1_000 : page * 1_000])

    async def body():
        async with serving(handler) as (http, url):
            return await bars_v2(rest_v2(url), http)("SSI", DAY)

    bars = run(body())
    assert [bar.volume_shares for bar in bars] == list(range(1, 331))
    assert len({bar.minute_exch_s for bar in bars}) == 330
    assert [query["pageIndex"] for query in asked] == ["1", "2"]
    assert asked[0]["ascending"] == "true"


# v3 -----------------------------------------------------------------------------------------

OHLC = "/api/v3/data/ohlc"


def v3(stamp="2023/08/14 14:29:59", **changes):
    return {
        "symbol": "SSI",
        "tradingDate": stamp,
        "open": 29050,
        "high": "29150.0",
        "low": 29050.0,
        "close": "29,100",
        "volume": "166400.0",
        "value": 4_842_240_000,
    } | changes


def read_v3(rows, junk=None):
    rest = FakeRest({(OHLC, "SSI"): rows})
    return run(bars_v3(rest, None, junk)("SSI", DAY)), rest


def test_v3_tells_the_same():
    atc = v3("2023/08/14 14:45:00", open=29150, low=29150, close=29150, volume=529200)
    bars, rest = read_v3([atc, v3()])
    assert bars == GUIDE
    assert rest.asked == [
        (
            OHLC,
            {
                "symbol": "SSI",
                "timeFrame": "1m",
                "from": "2023/08/14 00:00:00",
                "to": "2023/08/14 23:59:59",
            },
        )
    ]


@pytest.mark.parametrize(
    "stamp",
    ["2023-08-14 14:29:00", "2023-08-14T14:29:00", "14/08/2023 14:29:00", "08/14/2023 14:29:30.5"],
)
def test_v3_may_write_a_stamp_in_many_ways(stamp):
    assert read_v3([v3(stamp)])[0] == GUIDE[:1]


@pytest.mark.parametrize(
    ("why", "row"),
    [
        ("no time", v3("2023/08/14")),
        ("another day", v3("2023/08/13 14:29:00")),
        ("another day", v3(None)),
        ("another symbol", v3(symbol="SSB")),
        ("no number", v3(open=True)),
    ],
)
def test_v3_junk_is_dropped_and_counted(why, row):
    junk = Junk()
    assert read_v3([row, v3()], junk)[0] == GUIDE[:1]
    assert junk.count == 1
    assert junk.sample.startswith(why)


def test_v3_over_a_socket():
    asked = []

    async def handler(request):
        if request.path != OHLC:
            return v3_answer(request)
        asked.append(dict(request.query))
        if request.query["symbol"] != "SSI":
            return web.json_response({"code": 204, "msg": "No Content"})
        return web.json_response({"data": [v3()]})

    async def body():
        async with serving(handler) as (http, url):
            fetch = bars_v3(rest_v3(url), http)
            return await fetch("SSI", DAY), await fetch("VND", DAY)

    assert run(body()) == (GUIDE[:1], [])
    assert asked[0]["from"] == "2023/08/14 00:00:00"

"""The daily and intraday lookups: the day's numbers, never more than has happened."""

from functools import cache

import pytest

from engine.feed.synthetic import SHIPPED_FUTURES, SHIPPED_TABLE, plan_day, read_futures, read_table
from tests.feed.simulated import CONSUMER_ID, SECRET
from tools.simulator.figures import BadQuery, Figures
from tools.simulator.http import Request
from tools.simulator.moments import parse_time_ms
from tools.simulator.rest import Instrument, Keys, Rest, issue_token

EVENING_MS = parse_time_ms("18:00")
OHLC = ("Open", "High", "Low", "Close")


@cache
def day():
    return plan_day(
        read_table(SHIPPED_TABLE),
        read_futures(SHIPPED_FUTURES),
        trades_max=4_000,
        symbols=("SSI", "SHS", "HPG", "WCS"),
    )


@cache
def figures():
    return Figures(day())


def asked(name, now="18:00", **query):
    query = {key.lower(): value for key, value in query.items()}
    return figures().endpoint(name.lower())(query, parse_time_ms(now))


def prints_of(code, until_ms=EVENING_MS):
    events, rows = day().trades_of(code)
    return [
        (int(event["time_ms"]), int(row["price_e2"]), int(row["volume"]))
        for event, row in zip(events, rows, strict=True)
        if event["time_ms"] <= until_ms
    ]


def bars_of(code, minutes, until_ms):
    """Fold prints into bars, one by one."""
    bars = {}
    for time_ms, price, volume in prints_of(code, until_ms):
        bar = bars.setdefault(time_ms // (60_000 * minutes), [price, price, price, price, 0, 0])
        bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
        bar[4], bar[5] = bar[4] + volume, time_ms
    return list(bars.values())


def number(text):
    return round(float(text) * 100)


@pytest.mark.parametrize("minutes", [1, 5, 60])
@pytest.mark.parametrize("now", ["09:15:30", "11:00", "18:00"])
@pytest.mark.parametrize("code", ["SSI", "SHS"])
def test_bars_are_the_prints_so_far(code, now, minutes):
    rows = asked("IntradayOhlc", now, symbol=code, resolution=str(minutes), ascending="true")
    expected = bars_of(code, minutes, parse_time_ms(now))
    assert [[*(number(row[name]) for name in OHLC), int(row["Volume"])] for row in rows] == [
        bar[:5] for bar in expected
    ]
    assert [parse_time_ms(row["Time"]) for row in rows] == [
        bar[5] // 1_000 * 1_000 for bar in expected
    ]
    assert all(row["Value"] == row["Close"] for row in rows)
    assert asked("IntradayOhlc", now, symbol=code, resolution=str(minutes)) == rows[::-1]


def test_the_front_future_has_an_alias():
    code = day().future_code
    rows = asked("IntradayOhlc", symbol="vn30f1m")
    assert rows == asked("IntradayOhlc", symbol=code)
    assert {row["Symbol"] for row in rows} == {code}
    assert sum(int(row["Volume"]) for row in rows) == sum(volume for *_, volume in prints_of(code))


def test_the_day_so_far():
    (row,) = asked("DailyOhlc", "10:00", symbol="SSI", fromDate="15/07/2021", toDate="15/07/2021")
    prices = [price for _, price, _ in prints_of("SSI", parse_time_ms("10:00"))]
    expected = prices[0], max(prices), min(prices), prices[-1]
    assert tuple(number(row[name]) for name in OHLC) == expected
    assert (row["Symbol"], row["Market"], row["TradingDate"], row["Time"]) == (
        "SSI",
        "HOSE",
        "15/07/2021",
        None,
    )


def test_the_days_end_is_what_was_published():
    rows = {row["Symbol"]: row for row in asked("DailyStockPrice", market="HOSE")}
    assert sorted(rows) == ["HPG", "SSI"]
    for code, row in rows.items():
        published = day().expected[code]
        assert int(row["TotalMatchVol"]) == int(row["TotalTradedVol"]) == published.volume_shares
        assert number(row["ClosePrice"]) == published.close_e2
        assert number(row["RefPrice"]) == published.prior_close_e2
        assert number(row["FloorPrice"]) < number(row["LowestPrice"]) + 1
        assert number(row["HighestPrice"]) < number(row["CeilingPrice"]) + 1
        average = int(row["TotalMatchVal"]) / int(row["TotalMatchVol"])
        assert float(row["AveragePrice"]) == pytest.approx(average, abs=0.01)
        assert all(value is None or isinstance(value, str) for value in row.values())


def test_limits_are_known_before_anything_trades():
    (row,) = asked("DailyStockPrice", "08:00", market="DER")
    assert (row["CeilingPrice"], row["RefPrice"], row["FloorPrice"]) == (
        "1509.5",
        "1410.8",
        "1312.1",
    )
    assert (row["OpenPrice"], row["TotalMatchVol"], row["PriceChange"]) == ("0", "0", "0")
    assert asked("DailyOhlc", "08:00", symbol="SSI") == []
    assert asked("IntradayOhlc", "08:00", symbol="SSI") == []
    assert asked("DailyIndex", "08:00", indexId="VNINDEX") == []


def test_an_index():
    (row,) = asked("DailyIndex", "10:00", indexId="vnindex")
    assert (row["IndexId"], row["TradingSession"], row["Time"]) == ("VNINDEX", "LO", None)
    total = int(row["TotalMatchVol"]) + int(row["TotalDealVol"])
    assert int(row["TotalVol"]) == total > 0
    (end,) = asked("DailyIndex", indexId="VNINDEX")
    assert int(end["TotalVol"]) > total
    assert end["TradingSession"] == "C"
    assert asked("DailyIndex", indexId="NONE") == []


def test_another_day_has_no_data():
    for name in ("DailyOhlc", "IntradayOhlc", "DailyStockPrice"):
        assert asked(name, symbol="SSI", fromDate="16/07/2021", toDate="17/07/2021") == []
        assert asked(name, symbol="SSI", fromDate="01/07/2021", toDate="31/07/2021") != []
    assert asked("IntradayOhlc", symbol="AAA") == []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({}, "symbol is required"),
        ({"symbol": "SSI", "fromDate": "2021-07-15"}, "fromdate is not DD/MM/YYYY"),
        ({"symbol": "SSI", "fromDate": "01/06/2021"}, "more than 30 days apart"),
        ({"symbol": "SSI", "resolution": "0"}, "resolution is not 1 to 1440"),
        ({"symbol": "SSI", "resolution": "x"}, "resolution is not 1 to 1440"),
    ],
)
def test_impossible_questions(query, why):
    with pytest.raises(BadQuery, match=why):
        asked("IntradayOhlc", **query)


def test_the_envelope_and_the_report_date():
    now = parse_time_ms("10:00")
    rest = Rest(
        [Instrument("SSI", "HOSE")], ["SSI"], Keys(CONSUMER_ID, SECRET), figures(), lambda: now
    )
    signed = {"authorization": f"Bearer {issue_token(CONSUMER_ID, 0)}"}

    def answer(name, **query):
        request = Request("GET", f"/api/v2/Market/{name}", query, signed)
        return rest.answer(request, 1).body

    expected = len(asked("IntradayOhlc", "10:00", symbol="SSI"))
    assert b'"totalRecord":%d}' % expected in answer("IntradayOhlc", symbol="SSI", pagesize="10")
    assert answer("IntradayOhlc", symbol="SSI").count(b'"Symbol"') == min(10, expected)
    assert b'"message":"symbol is required","status":"Error"' in answer("DailyOhlc")
    assert answer("DailyOhlc", symbol="ABC") == (
        b'{"data":null,"message":"No data","status":"Success","totalRecord":0}'
    )
    details = answer("SecuritiesDetails")
    assert b'"ReportDate":"15/07/2021"' in details
    assert b'"ListedShare":"%d"' % figures().listed_shares("SSI") in details

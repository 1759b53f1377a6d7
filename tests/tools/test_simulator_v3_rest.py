"""The shapes and refusals of v3's REST market data."""

import json

import pytest

from tests.tools.played import almanac, day
from tools.simulator.http import Request
from tools.simulator.v3_rest import Rest


def rest(name, *, known_ms=None, signed_in=True, **query):
    query = {key.lower(): value for key, value in query.items()}
    response = Rest(almanac(), lambda: known_ms).answer(
        Request("GET", f"/api/v3/data/{name}", query, {}), signed_in=signed_in
    )
    return response.status, json.loads(response.body) if response.body else None


DAY = {"from": "2021/07/15", "to": "2021/07/15"}
MOMENTS = {"from": "2021/07/15 00:00:00", "to": "2021/07/15 23:59:59"}
BACKWARDS = {"from": MOMENTS["to"], "to": MOMENTS["from"]}
YESTERDAY = {"from": "2021/07/14 00:00:00", "to": "2021/07/14 23:59:59"}
MINUTES = {"symbol": "HPG", "timeFrame": "1m"}


@pytest.mark.parametrize(
    ("name", "query", "code"),
    [
        ("ohlc", {**MOMENTS, "timeFrame": "1m"}, 400104),
        ("ohlc", {**MOMENTS, "symbol": "HPG", "timeFrame": "1w"}, 400210),
        ("ohlc", {**DAY, "symbol": "HPG", "timeFrame": "1m"}, 400213),
        (
            "ohlc",
            {**BACKWARDS, "symbol": "X", "timeFrame": "1d"},
            400202,
        ),
        ("masterdata", {"from": "15/07/2021", "to": "2021/07/15"}, 400213),
        ("masterdata", {"from": "2021/07/16", "to": "2021/07/15"}, 400202),
        ("indexSummary", {}, 504207),
        ("securitiesByBoard", {}, 504208),
        ("securitiesByBoard", {"board": "DERIVATIVES"}, 400208),
        ("securitiesSummary", {**DAY, "symbol": "HPG", "index": "VN30"}, 504209),
    ],
)
def test_wrong_questions_get_the_servers_codes(name, query, code):
    status, error = rest(name, **query)
    assert (status, error["code"]) == (int(str(code)[:3]), code)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("ohlc", {**MOMENTS, "symbol": "NOBODY", "timeFrame": "1m"}),
        (
            "ohlc",
            {
                "from": "2021/07/14 00:00:00",
                "to": "2021/07/14 23:59:59",
                "symbol": "HPG",
                "timeFrame": "1m",
            },
        ),
        (
            "ohlc",
            {**MOMENTS, **MINUTES, "pageIndex": "2", "pageSize": "1000"},
        ),
        ("masterdata", {"from": "2021/07/16", "to": "2021/07/16"}),
        ("masterdata", {**DAY, "pageSize": "0"}),
        ("masterdata", {**DAY, "pageSize": "many"}),
        ("indexSummary", {"index": "NOBODY"}),
        ("indexSummary", {"index": "VN30", "tradingDate": "2021/07/16"}),
        ("securitiesByBoard", {"symbol": "NOBODY"}),
        ("corporateActions", DAY),
    ],
)
def test_nothing_to_tell_is_a_204_inside_a_200(name, query):
    assert rest(name, **query) == (200, {"code": 204, "msg": "No Content"})


def test_data_is_for_those_who_have_signed_in():
    assert rest("indexList", signed_in=False) == (401, {"code": 401, "msg": "Unauthorized"})
    assert rest("nothing")[0] == 404


def test_pages_say_how_many_there_are():
    status, first = rest("masterdata", **DAY, pageSize="4")
    count = len(day().symbols)
    assert (status, first["pagesCount"], first["totalCount"]) == (200, -(-count // 4), count)
    second = rest("masterdata", **DAY, pageSize="4", pageIndex="2")[1]
    codes = [row["symbol"] for row in first["data"] + second["data"]]
    assert codes == [symbol.code for symbol in day().symbols]


@pytest.mark.parametrize("code", ["HPG", "VN30"])
def test_bars_that_have_not_ended_do_not_exist_yet(code):
    query = {**MOMENTS, "symbol": code, "timeFrame": "1m", "pageSize": "1000"}
    whole = rest("ohlc", **query)[1]["data"]
    at_ten = rest("ohlc", known_ms=10 * 3_600_000 + 30_000, **query)[1]["data"]
    assert at_ten == [bar for bar in whole if bar["tradingDate"] < "2021/07/15 10:00:00"]
    assert 0 < len(at_ten) < len(whole)

"""What REST tells about symbols, part by part."""

import datetime as dt

import pytest
from aiohttp import web

from engine.feed.reference import Reference, ReferenceRow, fetch_v2, fetch_v3
from engine.feed.reference import reference_rows_by_code as by_code
from engine.feed.source import FeedError
from engine.schema.codes import IndexMember, Venue
from tests.feed.rest_answers import (
    COMPONENTS_VN30,
    DETAILS_SSI,
    PRICE_HUB,
    SECURITIES_HOSE,
    V3_SSI,
    FakeRest,
    details,
    price,
    rest_v2,
    rest_v3,
    serving,
    v2_page,
    v2_token,
    v3_answer,
)
from tests.feed.simulated import SECRET, run

DAY = dt.date(2023, 1, 19)
TODAY = dt.date(2026, 8, 14)
HNX_IS_EMPTY = "HNX: no securities"


def fetched(answers, fetch=fetch_v2, *about):
    rest = FakeRest(answers)
    reference = run(fetch(rest, None, *about))
    return reference, rest


def fetched_v3(answers, today=TODAY):
    return fetched(answers, fetch_v3, today)


def v2():
    """A market of one symbol per board, of which SSI is in the baskets."""
    return {
        ("SecuritiesDetails", "HOSE"): [DETAILS_SSI],
        ("SecuritiesDetails", "HNX"): [details("HNX", "SHS")],
        ("SecuritiesDetails", "UPCOM"): [details("UPCOM", "BSR")],
        ("SecuritiesDetails", "DER"): [details("DER", "VN30F2302", lot="1")],
        ("Securities", "HOSE"): SECURITIES_HOSE,
        ("DailyStockPrice", "HOSE"): [price("SSI", "26750", "23250", "25000")],
        ("DailyStockPrice", "DER"): [price("VN30F2302", "1380.3", "1199.7", "1290")],
        ("IndexComponents", "VN30"): [COMPONENTS_VN30],
    }


# v2 -----------------------------------------------------------------------------------------


def test_everything_about_a_share():
    reference, rest = fetched(v2() | {("IndexComponents", "VN100"): [vn100("SSI", "ACB")]})
    assert reference.day == DAY
    assert by_code(reference)["SSI"] == ReferenceRow(
        code="SSI",
        venue=Venue.HOSE,
        lot_shares=100,
        ceiling_e2=2_675_000,
        floor_e2=2_325_000,
        reference_e2=2_500_000,
        listed_shares=1_501_130_137,
        security_type="S",
        name="CTCP CHUNG KHOAN SSI",
        indices=IndexMember.VN100,
    )
    assert reference.complete
    assert reference.junk_count == 0
    assert [row.code for row in reference.rows] == sorted(by_code(reference))
    assert {(name, query.get("market", query.get("indexCode"))) for name, query in rest.asked} == {
        (name, market)
        for name in ("SecuritiesDetails", "Securities", "DailyStockPrice")
        for market in ("HOSE", "HNX", "UPCOM", "DER")
    } | {("IndexComponents", basket) for basket in ("VN30", "VN100", "HNX30")}


def vn100(*symbols):
    return {
        "IndexCode": "vn100",
        "Exchange": "HOSE",
        "IndexComponent": [{"Isin": None, "StockSymbol": symbol} for symbol in symbols],
    }


def test_prices_are_asked_for_the_day_of_the_newest_report():
    newer = details("HNX", "SHS", day="20/01/2023 07:45:00")
    reference, rest = fetched(v2() | {("SecuritiesDetails", "HNX"): [newer]})
    assert reference.day == dt.date(2023, 1, 20)
    asked = [query for name, query in rest.asked if name == "DailyStockPrice"]
    assert {(query["fromDate"], query["toDate"]) for query in asked} == {
        ("20/01/2023", "20/01/2023")
    }


def undated():
    """No list tells its day, so prices are asked for without one."""
    answers = v2()
    for market in ("HOSE", "HNX", "UPCOM", "DER"):
        answers["SecuritiesDetails", market] = [details(market, "A" + market, day="")]
    return answers


def test_without_a_report_date_the_newest_price_names_the_day():
    old, new = (
        price("SSI", "5", "3", "4", day="13/08/2026"),
        price("SSI", "2", "1", "1.5", "14/08/2026"),
    )
    reference, rest = fetched(undated() | {("DailyStockPrice", "HOSE"): [new, old]})
    assert reference.day == dt.date(2026, 8, 14)
    assert by_code(reference)["SSI"].reference_e2 == 150
    assert ("DailyStockPrice", {"market": "HOSE"}) in rest.asked
    assert by_code(reference).get("VN30F2302") is None  # whose limits are of 19/01/2023


def test_a_day_is_never_guessed():
    answers = {key: rows for key, rows in undated().items() if key[0] != "DailyStockPrice"}
    with pytest.raises(FeedError, match=r"^no reference data: no price limits for any day$"):
        fetched(answers)


def test_futures_have_points_and_rest_calls_their_board_der():
    future = by_code(fetched(v2())[0])["VN30F2302"]
    assert (future.venue, future.lot_shares) == (Venue.DERIVATIVES, 1)
    assert (future.ceiling_e2, future.floor_e2, future.reference_e2) == (138_030, 119_970, 129_000)


def test_the_market_id_is_finer_than_the_exchange():
    assert by_code(fetched(v2())[0])["BSR"].venue is Venue.UPCOM  # whose Exchange is HNX


def test_a_basket_names_symbols_that_no_list_had():
    rows = by_code(fetched(v2())[0])
    assert rows["ACB"].indices == rows["BCM"].indices == IndexMember.VN30
    assert rows["ACB"].venue is Venue.HOSE
    assert rows["SSI"].indices == IndexMember.NONE


def test_the_answer_about_another_index_is_not_this_one():
    reference, _ = fetched(v2() | {("IndexComponents", "HNX30"): [vn100("AAA"), COMPONENTS_VN30]})
    assert not any(row.indices & IndexMember.HNX30 for row in reference.rows)


def test_the_vietnamese_name_comes_first_and_any_name_is_better_than_none():
    english = {**SECURITIES_HOSE[0], "StockName": None}
    unnamed = {**SECURITIES_HOSE[1], "StockName": "", "StockEnName": None}
    reference, _ = fetched(v2() | {("Securities", "HOSE"): [english, unnamed]})
    rows = by_code(reference)
    assert rows["AAA"].name == "An Phat Bioplastics Joint Stock Company"
    assert rows["AAM"].name == ""
    assert by_code(fetched(v2())[0])["AAA"].name == "CTCP NHUA&MT XANH AN PHAT"


def test_what_is_known_stands_and_what_is_empty_erases_nothing():
    other = {"Market": "HNX", "Symbol": "SSI", "StockName": "ANOTHER", "StockEnName": None}
    rows = by_code(fetched(v2() | {("Securities", "HOSE"): [other]})[0])
    assert (rows["SSI"].name, rows["SSI"].venue) == ("CTCP CHUNG KHOAN SSI", Venue.HOSE)
    empty = {"Market": None, "Symbol": "SSI", "StockName": "", "StockEnName": None}
    assert (
        by_code(fetched(v2() | {("Securities", "HOSE"): [empty]})[0])["SSI"]
        == by_code(fetched(v2())[0])["SSI"]
    )


def test_a_long_name_is_cut_at_a_character():
    long = {**SECURITIES_HOSE[0], "StockName": "x" + "ổ" * 40}
    name = by_code(fetched(v2() | {("Securities", "HOSE"): [long]})[0])["AAA"].name
    assert name == "x" + "ổ" * 31  # 94 of 96 bytes; another would be 97


def test_hnx_may_have_no_data():
    answers = v2()
    del answers["SecuritiesDetails", "HNX"]
    reference, _ = fetched(answers)
    assert reference.problems == (HNX_IS_EMPTY,)
    assert "SSI" in by_code(reference)
    answers["DailyStockPrice", "HNX"] = [price("SHS", "23400", "19200", "21300")]
    shs = by_code(fetched(answers)[0])["SHS"]  # known by its prices alone
    assert (shs.venue, shs.reference_e2, shs.lot_shares) == (Venue.HNX, 2_130_000, 0)


@pytest.mark.parametrize("name", ["SecuritiesDetails", "Securities", "DailyStockPrice"])
def test_each_part_may_fail_alone(name):
    whole, _ = fetched(v2())
    reference, rest = fetched(v2() | {(name, "UPCOM"): FeedError("UPCOM is out")})
    assert f"{name} UPCOM: UPCOM is out" in reference.problems
    kept = by_code(reference)
    assert {code: row for code, row in by_code(whole).items() if code != "BSR"} == {
        code: row for code, row in kept.items() if code != "BSR"
    }
    assert len(rest.asked) == 15


def test_without_baskets_the_rest_is_known():
    reference, _ = fetched(v2() | {("IndexComponents", "VN30"): FeedError("quota")})
    assert reference.problems == ("IndexComponents VN30: quota",)
    assert by_code(reference)["SSI"].ceiling_e2 == 2_675_000


def test_missing_limits_are_a_problem():
    answers = {key: rows for key, rows in v2().items() if key[0] != "DailyStockPrice"}
    reference, _ = fetched(answers)
    assert reference.problems == ("no price limits for 2023-01-19",)
    assert by_code(reference)["SSI"].ceiling_e2 == 0


def test_nothing_at_all_is_an_error_with_the_first_reason():
    with pytest.raises(FeedError, match=r"^no reference data: HOSE: no securities$"):
        fetched({})
    with pytest.raises(FeedError, match=r"SecuritiesDetails HOSE: the key has expired$"):
        fetched({("SecuritiesDetails", "HOSE"): FeedError("the key has expired")})


def test_junk_is_dropped_row_by_row_and_counted():
    junk = [
        price("0.8536:", "0", "0", "0"),  # seen by global-quanta, 01/10/2026 (ssi-wire 2.2)
        price("AAM", "0", "0", "0"),
        price("AAM", "100", "300", "200"),
        price("AAM", "150", "100", "200"),
        price("AAM", "300", "250", "200"),
        price("AAM", "-300", "100", "200"),
        price("AAM", "300", "100", "two hundred"),
        price("AAM", "300", "100", "200", day="18/01/2023"),
        price("AAM", "300", "100", "200", day=None),
        price(None, "300", "100", "200"),
        "not a row",
    ]
    good = price("SSI", "26750", "23250", "25000")
    reference, _ = fetched(v2() | {("DailyStockPrice", "HOSE"): [*junk, good, PRICE_HUB]})
    assert reference.junk_count == len(junk) + 1  # the guide's own row is of another day
    assert reference.junk_sample.startswith("no symbol: {'TradingDate': '19/01/2023'")
    assert by_code(reference)["SSI"].ceiling_e2 == 2_675_000
    assert by_code(reference)["AAM"].ceiling_e2 == 0
    assert "HUB" not in by_code(reference)


def test_junk_in_nested_lists_is_counted_too():
    bad = {**DETAILS_SSI["RepeatedInfo"][0], "LotSize": "many"}
    mixed = {**DETAILS_SSI, "RepeatedInfo": [bad, None, DETAILS_SSI["RepeatedInfo"][0]]}
    groups = [mixed, {**DETAILS_SSI, "RepeatedInfo": "x"}, {**DETAILS_SSI, "RepeatedInfo": None}]
    reference, _ = fetched(v2() | {("SecuritiesDetails", "HOSE"): groups})
    assert reference.junk_count == 3
    assert by_code(reference)["SSI"].lot_shares == 100


def test_a_broken_report_date_is_not_a_day():
    broken = {**DETAILS_SSI, "ReportDate": "19.01.2023"}
    reference, _ = fetched(v2() | {("SecuritiesDetails", "HOSE"): [broken]})
    assert (reference.day, reference.junk_count) == (DAY, 1)
    assert by_code(reference)["SSI"].lot_shares == 100


def test_the_price_of_the_guide():
    day = {**v2(), ("DailyStockPrice", "HOSE"): [PRICE_HUB]}
    day["SecuritiesDetails", "HOSE"] = [{**DETAILS_SSI, "ReportDate": "19/07/2023"}]
    row = by_code(fetched(day)[0])["HUB"]
    assert (row.ceiling_e2, row.floor_e2, row.reference_e2) == (2_155_000, 1_875_000, 2_015_000)


def test_v2_over_a_socket():
    """Two pages of nested details, no data for HNX, an error in between."""
    names = [f"A{number:04}" for number in range(1_500)]
    asked = []

    async def handler(request):
        name = request.path.rpartition("/")[2]
        if name == "AccessToken":
            return v2_token()
        assert request.headers["Authorization"] == "Bearer a.b.c"
        asked.append((name, dict(request.query)))
        market = request.query.get("market", "")
        page = int(request.query["pageIndex"])
        rows = None
        if name == "SecuritiesDetails" and market == "HOSE":
            chosen = names[(page - 1) * 1_000 : page * 1_000]
            rows = [details("HOSE", *chosen)]
        elif name == "Securities" and market == "UPCOM":
            return web.Response(status=500)
        elif name == "DailyStockPrice" and market == "HOSE":
            rows = [price(name, "26750", "23250", "25000") for name in names[:500]]
        elif name == "IndexComponents" and request.query["indexCode"] == "VN30":
            rows = [COMPONENTS_VN30]
        return v2_page(rows)

    async def body():
        async with serving(handler) as (http, url):
            return await fetch_v2(rest_v2(url), http)

    reference = run(body())
    assert reference.day == DAY
    assert len(reference.rows) == 1_502
    assert sum(row.ceiling_e2 == 2_675_000 for row in reference.rows) == 500
    assert HNX_IS_EMPTY in reference.problems
    assert any(text.startswith("Securities UPCOM: ") for text in reference.problems)
    assert ("SecuritiesDetails", {"market": "HOSE", "pageIndex": "2", "pageSize": "1000"}) in asked
    assert not any(SECRET in text for text in reference.problems)


# v3 -----------------------------------------------------------------------------------------

SECURITIES = "/api/v3/data/securitiesByBoard"
MASTER = "/api/v3/data/masterdata"
SUMMARY = "/api/v3/data/indexSummary"


def master(symbol, ceiling, floor, reference, board="HOSE", day="2026/08/14"):
    return {
        "board": board,
        "symbol": symbol,
        "tradingDate": day,
        "ceiling": ceiling,
        "floor": floor,
        "refPrice": reference,
    }


def v3():
    shs = {"symbol": "SHS", "board": "HNX", "lotSize": "100"}
    bsr = {"symbol": "BSR", "board": None, "symbolNameVi": " ", "symbolNameEn": "Binh Son"}
    return {
        (SECURITIES, "HOSE"): [V3_SSI],
        (SECURITIES, "HNX"): [shs],
        (SECURITIES, "UPCOM"): [bsr],
        (SECURITIES, "VN30"): [V3_SSI],
        (SECURITIES, "VN100"): [V3_SSI, {"symbol": "ACB", "board": "HOSE"}],
        (MASTER, "2026/08/14"): [
            master("SSI", "26750.0", 23250, 25000.0),
            master("41I1G9000", 1380.3, 1199.7, "1290", "DERIVATIVES"),
        ],
    }


def test_v3_tells_the_same():
    reference, rest = fetched_v3(v3())
    assert reference == Reference(TODAY, reference.rows)
    rows = by_code(reference)
    assert rows["SSI"] == ReferenceRow(
        code="SSI",
        venue=Venue.HOSE,
        lot_shares=100,
        ceiling_e2=2_675_000,
        floor_e2=2_325_000,
        reference_e2=2_500_000,
        listed_shares=1_501_130_137,
        security_type="S",
        name="Công ty Cổ phần Chứng khoán SSI",
        indices=IndexMember.VN30 | IndexMember.VN100,
    )
    future = rows["41I1G9000"]  # known by its prices alone
    assert (future.venue, future.ceiling_e2) == (Venue.DERIVATIVES, 138_030)
    assert rows["BSR"].venue is Venue.UPCOM
    assert rows["BSR"].name == "Binh Son"
    assert rows["ACB"].indices == IndexMember.VN100
    assert (MASTER, {"from": "2026/08/14", "to": "2026/08/14"}) in rest.asked
    assert SUMMARY not in [name for name, _ in rest.asked]


@pytest.mark.parametrize("written", ["2026/08/12", "08/12/2026", "12/08/2026 15:00:00"])
def test_v3_falls_back_to_the_last_trading_day(written):
    answers = v3() | {
        (MASTER, "2026/08/14"): [],
        (SUMMARY, "VN30"): [{"tradingDate": written, "indexValue": 1290.3}, {"tradingDate": None}],
        (MASTER, "2026/08/12"): [master("SSI", 26750, 23250, 25000, day=written)],
    }
    reference, _ = fetched_v3(answers)
    assert reference.day == dt.date(2026, 8, 12)
    assert reference.junk_count == 1
    assert by_code(reference)["SSI"].ceiling_e2 == 2_675_000


def test_v3_without_being_told_the_day_asks_for_the_last_one():
    summary = {(SUMMARY, "VN30"): [{"tradingDate": "2026/08/14"}]}
    reference, rest = fetched(v3() | summary, fetch_v3)
    assert reference.day == TODAY
    assert by_code(reference)["SSI"].ceiling_e2 == 2_675_000
    assert [name for name, _ in rest.asked].count(MASTER) == 1


def test_v3_the_day_is_known_though_its_prices_are_not():
    answers = v3() | {
        (MASTER, "2026/08/14"): [],
        (SUMMARY, "VN30"): [{"tradingDate": "2026/08/12"}],
    }
    reference, _ = fetched_v3(answers | {(MASTER, "2026/08/12"): FeedError("down")})
    assert reference.day == dt.date(2026, 8, 12)
    assert reference.problems == (
        "masterdata 2026-08-12: down",
        "no price limits for 2026-08-12",
    )


def test_v3_a_day_is_never_guessed():
    answers = v3() | {(MASTER, "2026/08/14"): [], (SUMMARY, "VN30"): FeedError("down")}
    with pytest.raises(FeedError, match=r"^no reference data: indexSummary: down$"):
        fetched_v3(answers)


def test_v3_nothing_at_all_is_an_error():
    with pytest.raises(FeedError, match="no reference data: HOSE: no securities"):
        fetched_v3({})


def test_v3_junk_is_dropped_and_counted():
    junk = [
        master("SSI", 0, 0, 0),
        master("SSI", 26750, 23250, 25000, day="2026/08/13"),
        master("SSI", True, 23250, 25000),
        {"code": 204, "msg": "No Content"},
    ]
    good = master("41I1G9000", 1380.3, 1199.7, "1290", "DERIVATIVES")
    reference, _ = fetched_v3(v3() | {(MASTER, "2026/08/14"): [*junk, good]})
    assert reference.junk_count == len(junk)
    assert by_code(reference)["SSI"].ceiling_e2 == 0
    assert by_code(reference)["41I1G9000"].ceiling_e2 == 138_030


def test_v3_over_a_socket():
    """Three pages of master data, an empty board, and a board that fails."""
    names = [f"A{number:04}" for number in range(2_500)]
    asked = []

    async def handler(request):
        query = dict(request.query)
        asked.append((request.path, query))
        if request.path == SECURITIES:
            board, index = query.get("board"), query.get("index")
            if board == "UPCOM":
                return web.json_response({"code": 500, "msg": "Internal"}, status=500)
            if index == "VN30" or board == "HOSE":
                return web.json_response([V3_SSI])
            return web.json_response({"code": 204, "msg": "No Content"})
        if request.path == MASTER:
            page = int(query["pageIndex"])
            chosen = names[(page - 1) * 1_000 : page * 1_000]
            rows = [master(name, 1380.3, 1199.7, 1290) for name in chosen]
            return web.json_response({"data": rows, "pagesCount": 3})
        return v3_answer(request)

    async def body():
        async with serving(handler) as (http, url):
            return await fetch_v3(rest_v3(url), http, TODAY)

    reference = run(body())
    assert reference.day == TODAY
    assert len(reference.rows) == 2_501
    assert by_code(reference)["A2499"].floor_e2 == 119_970
    assert by_code(reference)["SSI"].indices == IndexMember.VN30
    assert reference.problems[0] == HNX_IS_EMPTY
    assert reference.problems[1].startswith("securitiesByBoard UPCOM: ")
    assert (
        MASTER,
        {"from": "2026/08/14", "to": "2026/08/14", "pageIndex": "3", "pageSize": "1000"},
    ) in asked

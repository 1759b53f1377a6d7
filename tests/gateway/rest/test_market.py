"""/api/market over a live bus: what is told, in the words of the WebSocket, and polled."""

import asyncio

import numpy as np
import pytest

from engine.schema import channels as ch
from engine.schema.codes import (
    AlertType,
    FeedState,
    GapState,
    IndexMember,
    Instrument,
    Severity,
    Venue,
)
from tests.gateway.gallery import a_market, alerts, board, flows, indices, stats_of
from tests.gateway.market import MORNING_S, Market
from tests.gateway.rest.service import Service, run


def gallery() -> Market:
    """A little of everything."""
    market = a_market()
    for part in (flows, indices, alerts, board):
        list(part(market))
    stats_of(market, volume_shares=1_800, trade_count=3)
    return market


def test_the_snapshot_is_what_clients_of_the_websocket_see(tmp_path):
    async def scenario(service: Service):
        status, told = await service.get("/api/market/snapshot")
        assert status == 200
        assert told["epoch"] == str(service.market.epoch)
        assert told["feed"] == {"state": "live"}
        assert told["session"]["HOSE"] == "CONTINUOUS"
        (hose,) = told["market"]
        assert hose["topic"] == "market.HOSE"
        assert (hose["data"]["advances"], hose["data"]["declines"]) == (180, 120)
        (vn30,) = told["index"]
        assert (vn30["topic"], vn30["seq"]) == ("index.VN30", 1)
        assert vn30["data"]["value"] == 1428.73

    run(scenario, tmp_path, gallery())


def test_an_answer_is_written_once_and_then_only_when_something_changed(tmp_path):
    async def scenario(service: Service):
        path = "/api/market/volume-stats"
        _, told, headers = await service.ask(path, symbol="FPT")
        tag = headers["ETag"]
        assert told["stats"][0]["data"]["volume_shares"] == 1_800
        for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            status, body, again = await service.ask(
                path, symbol="FPT", headers={"If-None-Match": said}
            )
            assert (status, body, again["ETag"]) == (304, "", tag)
        assert service.cell["not_modified"] == 4
        service.market.trade("FPT")  # another channel: nothing that is shown
        await service.publish()
        headers = {"If-None-Match": tag}
        assert (await service.ask(path, symbol="FPT", headers=headers))[0] == 304
        stats_of(service.market, volume_shares=1_900)
        await service.publish()
        status, told, after = await service.ask(path, symbol="FPT", headers=headers)
        assert (status, told["stats"][0]["data"]["volume_shares"]) == (200, 1_900)
        assert after["ETag"] != tag

    run(scenario, tmp_path, gallery())


def test_another_life_of_the_shard_is_another_tag(tmp_path):
    tags = []

    async def scenario(service: Service):
        tags.append((await service.ask("/api/market/snapshot"))[2]["ETag"])

    for epoch in (1, 1, 2):
        market = gallery()
        market.epoch = epoch
        run(scenario, tmp_path, market)
    assert tags[0] == tags[1] != tags[2]


def test_head_tells_the_tag_without_the_body(tmp_path):
    async def scenario(service: Service):
        _, _, headers = await service.ask("/api/market/snapshot")
        status, body, head = await service.ask("/api/market/snapshot", method="HEAD")
        assert (status, body) == (200, "")
        assert head["ETag"] == headers["ETag"]
        assert head["Content-Length"] == headers["Content-Length"]

    run(scenario, tmp_path, gallery())


def foreign_market() -> Market:
    market = Market("FPT", "HPG", "SHS", "VNM")
    market.list("HNX", instrument=Instrument.BOARD)
    for code, buy, sell, venue in (
        ("FPT", 900, 100, Venue.HOSE),
        ("HPG", 100, 950, Venue.HOSE),
        ("SHS", 300, 0, Venue.HNX),
    ):
        values = {"buy_value_vnd": buy, "sell_value_vnd": sell, "venue": venue}
        market.put(ch.FOREIGN, code, **values)
    market.put(ch.FOREIGN_SUMMARY, "HNX", buy_value_vnd=300)
    market.put(ch.REFERENCE, "HPG", indices=IndexMember.VN30)
    return market


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ({}, ["FPT", "SHS", "HPG"]),
        ({"sort": "net_sell"}, ["HPG", "SHS", "FPT"]),
        ({"sort": "SELL_VALUE", "limit": 2}, ["HPG", "FPT"]),
        ({"index": "VN30"}, ["HPG"]),
        ({"index": "HNX"}, ["SHS"]),
        ({"index": "VNINDEX", "limit": 1}, ["FPT"]),
        ({"symbol": "SHS,FPT"}, ["FPT", "SHS"]),
        ({"symbol": "VNM"}, []),
    ],
)
def test_foreign_flow_is_chosen_and_sorted(tmp_path, query, topics):
    async def scenario(service: Service):
        status, told = await service.get("/api/market/foreign-detail", **query)
        assert status == 200
        assert [state["topic"] for state in told["foreign"]] == [f"foreign.{t}" for t in topics]
        sums = [state["topic"] for state in told["foreign_summary"]]
        assert sums == (["foreign.summary.HNX"] if query.get("index") == "HNX" else [])

    run(scenario, tmp_path, foreign_market())


def test_volume_stats_name_who_has_none(tmp_path):
    async def scenario(service: Service):
        _, told = await service.get("/api/market/volume-stats", symbol="VN30F2108,FPT")
        assert [state["topic"] for state in told["stats"]] == ["stats.FPT"]
        assert told["no_data"] == ["VN30F2108"]
        assert told["stats"][0]["data"]["trade_count"] == 3

    run(scenario, tmp_path, gallery())


def test_a_trend_is_cut_to_its_last_minutes(tmp_path):
    market = Market("VN30F2108", "VN30F2109")
    for code, count in (("VN30F2108", 100), ("VN30F2109", 2)):
        times, basis = np.zeros(360, "u4"), np.zeros(360, "i4")
        times[:count] = MORNING_S + 60 * np.arange(count)
        basis[:count] = np.arange(count)
        market.put(
            ch.BASIS_TREND,
            code,
            series_count=count,
            series_exch_s=times,
            series_basis_e2=basis,
            series_spot_value_e2=basis,
        )

    async def scenario(service: Service):
        _, told = await service.get("/api/market/basis-trend", minutes=30)
        assert [len(state["data"]["series"]) for state in told["trend"]] == [30, 2]
        assert [entry[1] for entry in told["trend"][0]["data"]["series"][:2]] == [0.7, 0.71]
        _, told = await service.get("/api/market/basis-trend", contract="VN30F2109")
        assert [state["topic"] for state in told["trend"]] == ["basis.trend.VN30F2109"]
        _, told = await service.get("/api/market/basis-trend", minutes=360)
        assert len(told["trend"][0]["data"]["series"]) == 100

    run(scenario, tmp_path, market)


def test_alerts_are_chosen_by_type_severity_and_symbol(tmp_path):
    market = Market("FPT", "HPG")

    def alert(code, kind, severity):
        values = {"alert_type": kind, "severity": severity}
        market.put(ch.ALERTS, code, **values, alert_no=1)

    async def scenario(service: Service):
        alert("FPT", AlertType.BLOCK_TRADE, Severity.INFO)
        alert("HPG", AlertType.HALT, Severity.CRITICAL)
        alert("FPT", AlertType.BLOCK_TRADE, Severity.WARNING)
        await service.publish()

        async def found(**query):
            _, told = await service.get("/api/market/alerts", **query)
            return [(state["topic"][7:], state["seq"]) for state in told["alerts"]]

        assert await found() == [("FPT", 1), ("HPG", 1), ("FPT", 2)]
        assert await found(limit=2) == [("HPG", 1), ("FPT", 2)]
        assert await found(type="block_trade") == [("FPT", 1), ("FPT", 2)]
        assert await found(severity="warning") == [("HPG", 1), ("FPT", 2)]
        assert await found(symbol="HPG") == [("HPG", 1)]
        assert await found(symbol="HPG", type="block_trade") == []

    run(scenario, tmp_path, market)


def test_gaps_are_told_by_symbol_and_state(tmp_path):
    market = Market("FPT", "HPG")

    def gap(code, no, state):
        market.put(ch.GAPS, code, gap_no=no, gap_state=state, trade_day=18_823)

    async def scenario(service: Service):
        gap("FPT", 1, GapState.OPEN)
        gap("FPT", 2, GapState.OPEN)
        gap("HPG", 1, GapState.OPEN)
        gap("FPT", 1, GapState.CLOSED)
        await service.publish()

        async def found(**query):
            _, told = await service.get("/api/market/gaps", **query)
            return [
                (row["topic"][5:], row["data"]["gap_no"], row["data"]["gap_state"])
                for row in told["gaps"]
            ]

        assert await found() == [("FPT", 1, "CLOSED"), ("HPG", 1, "OPEN"), ("FPT", 2, "OPEN")]
        assert await found(state="open") == [("HPG", 1, "OPEN"), ("FPT", 2, "OPEN")]
        assert await found(state="closed", symbol="FPT") == [("FPT", 1, "CLOSED")]
        assert await found(limit=1) == [("FPT", 1, "CLOSED")]

    run(scenario, tmp_path, market)


def test_the_feed_tells_its_states_and_the_verdict(tmp_path):
    market = Market()
    market.list("FEED", instrument=Instrument.FEED)

    async def scenario(service: Service):
        for state in (FeedState.LIVE, FeedState.DOWN):
            market.put(ch.FEED, "FEED", feed_state=state, outage_count=state == FeedState.DOWN)
        await service.publish()
        service.sources.ingest["feed_state"] = FeedState.CONNECTING
        _, told = await service.get("/api/market/feed")
        assert told["feed"] == {"state": "connecting"}
        assert [row["data"]["feed_state"] for row in told["states"]] == ["LIVE", "DOWN"]

    run(scenario, tmp_path, market)


@pytest.mark.parametrize(
    ("path", "query", "field", "says"),
    [
        ("snapshot", {"symbol": "FPT"}, "symbol", "takes no parameters"),
        ("foreign-detail", {"simbol": "FPT"}, "simbol", "known are symbol, index, sort, limit"),
        ("foreign-detail", {"sort": "best"}, "sort", "net_buy"),
        ("foreign-detail", {"index": "DAX"}, "index", "VN30"),
        ("foreign-detail", {"limit": "0"}, "limit", "1 to 2000"),
        ("foreign-detail", {"symbol": "ZZZ"}, "symbol", "ZZZ"),
        ("volume-stats", {}, "symbol", "missing"),
        ("volume-stats", {"symbol": "FPT,,"}, "symbol", "empty"),
        ("volume-stats", {"symbol": "A" * 17}, "symbol", "16"),
        ("basis-trend", {"minutes": "361"}, "minutes", "1 to 360"),
        ("basis-trend", {"minutes": "ten"}, "minutes", "whole number"),
        ("alerts", {"type": "alarm"}, "type", "block_trade"),
        ("alerts", {"severity": "high"}, "severity", "critical"),
        ("alerts", {"limit": "501"}, "limit", "500"),
        ("gaps", {"state": "ajar"}, "state", "open"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(tmp_path, path, query, field, says):
    async def scenario(service: Service):
        status, told = await service.get(f"/api/market/{path}", **query)
        assert (status, told["error"], told["field"]) == (422, "bad_parameter", field)
        assert says in told["message"]
        assert service.cell["refused"] == 1

    run(scenario, tmp_path, gallery())


def test_a_shard_that_starts_over_takes_its_rows_along(tmp_path):
    async def scenario(service: Service):
        service.market.start_over(service.market.epoch + 1)
        service.publisher.close()
        publisher = type(service.publisher)
        service.publisher = publisher(
            service.context, *service.endpoints[0], 0, service.market.epoch
        )
        rows = int(service.cell["bus_rows"])
        while int(service.cell["bus_rows"]) == rows:
            service.market.trade("FPT")
            for channel, row in service.market.pending:
                service.publisher.add(channel, row)
            service.market.pending = []
            await asyncio.sleep(0.02)
        _, told = await service.get("/api/market/snapshot")
        assert told["epoch"] == str(service.market.epoch)
        assert told["market"] == told["index"] == []

    run(scenario, tmp_path, gallery())

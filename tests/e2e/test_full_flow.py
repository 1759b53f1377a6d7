"""From what the exchange says to what a trader's screen is told: one engine, real sockets."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.studio import Studio, Viewer, foreign, index, quote, studio, trade
from tests.e2e.told import at, bars, broken_sums, cells, expect, pick, say_slowly

pytestmark = pytest.mark.e2e

LIMITS = (26_750, 23_250, 25_000)  # ceiling, floor, reference


@pytest.fixture(scope="module")
def exchange() -> Iterator[Studio]:
    with studio() as made:
        yield made


def told_topics(viewer: Viewer) -> set[str]:
    """Return the topics of all data frames that a viewer was sent."""
    named = viewer.model.topic_of
    return {named[frame["ch"]] for frame in viewer.model.frames if frame["op"] in ("snap", "d")}


def data_frames(viewer: Viewer) -> list[dict[str, object]]:
    """Return the data frames that a viewer was sent, in order."""
    return [frame for frame in viewer.model.frames if frame["op"] in ("snap", "d")]


def test_a_quote_arrives_with_its_depth_spread_and_pressure(exchange: Studio) -> None:
    code = exchange.fresh()
    with exchange.view(f"quote.{code}*", f"book.{code}*") as viewer:
        exchange.say(
            quote(
                code,
                "09:30:00",
                bids=[(25_000, 1_000), (24_950, 500)],
                asks=[(25_050, 3_000), (25_100, 800)],
            )
        )
        best = viewer.wait(f"quote.{code}", bid_price=25_000, ask_price=25_050)
        expect(best, bid_volume_shares=1_000, ask_volume_shares=3_000)
        expect(best, exch_time=at("09:30:00"), phase="CONTINUOUS", venue="HOSE")
        depth = viewer.wait(f"book.{code}", spread=50)
        assert depth["bids"] == [[25_000, 1_000], [24_950, 500]]
        assert depth["asks"] == [[25_050, 3_000], [25_100, 800]]
        expect(depth, mid=25_025, microprice=25_012.5)
        assert depth["imbalance"] == -0.5
        assert depth["imbalance_all"] == pytest.approx((1_500 - 3_800) / 5_300, abs=1e-6)

        exchange.say(quote(code, "09:30:01", bids=[(25_000, 1_000)], asks=[]))
        empty = viewer.wait(f"book.{code}", asks=[])
        assert pick(empty, ("spread", "mid", "microprice", "imbalance")) == (None,) * 4
        assert viewer.wait(f"quote.{code}", ask_price=0)["ask_volume_shares"] == 0


def test_a_trade_says_who_was_active_and_why(exchange: Studio) -> None:
    code, lonely = exchange.fresh(), exchange.fresh()
    topics = (f"trade.{code}*", f"stats.{code}*", f"trade.{lonely}*")
    with exchange.view(*topics) as viewer:
        exchange.say(
            quote(code, "09:30:00", bids=[(25_000, 9_000)], asks=[(25_100, 9_000)]),
            trade(code, "09:30:01", 25_100, 100, 100, side="BU", limits=LIMITS),
            trade(code, "09:30:02", 25_000, 200, 300, side="SD", limits=LIMITS),
            trade(code, "09:30:03", 25_100, 300, 600, limits=LIMITS),
            trade(code, "09:30:04", 25_100, 400, 1_000, side="SD", limits=LIMITS),
            trade(code, "09:30:05", 25_050, 500, 1_500, limits=LIMITS),
            trade(lonely, "09:30:05", 25_050, 500, 500),
        )
        stats = viewer.wait(f"stats.{code}", total_volume_shares=1_500)
        viewer.wait(f"trade.{lonely}", side="UNKNOWN", side_rule="NONE")
        reasons = [
            pick(row, ("side", "side_rule", "side_exchange", "side_quote", "flags"))
            for row in viewer.rows(f"trade.{code}")
        ]
        assert reasons == [
            ("BUY", "EXCHANGE", "BUY", "BUY", []),
            ("SELL", "EXCHANGE", "SELL", "SELL", []),
            ("BUY", "QUOTE", "UNKNOWN", "BUY", []),
            ("SELL", "EXCHANGE", "SELL", "BUY", ["DISAGREE"]),
            ("SELL", "TICK", "UNKNOWN", "UNKNOWN", []),
        ]
        first = viewer.rows(f"trade.{code}")[0]
        expect(first, price=25_100, volume_shares=100, value_vnd=2_510_000)
        expect(first, bid_price=25_000, ask_price=25_100)

        assert cells(stats, "volume_shares") == {"CONTINUOUS": {"BUY": 400, "SELL": 1_100}}
        assert stats["phase_disagree_count"] == {"CONTINUOUS": 1}
        assert stats["active_buy_ratio"] == pytest.approx(400 / 1_500, abs=1e-6)
        expect(stats, open_price=25_100, high_price=25_100, low_price=25_000, last_price=25_050)
        expect(stats, change=50, change_pct=0.2)
        assert not broken_sums(stats)


def test_a_repeated_message_is_no_second_trade(exchange: Studio) -> None:
    code = exchange.fresh()
    with exchange.view(f"trade.{code}*", f"stats.{code}*", f"bar.1m.{code}*") as viewer:
        told = trade(code, "09:30:00", 25_000, 100, 100, side="BU")
        exchange.say(told, told, trade(code, "09:30:02", 25_000, 100, 100, side="BU"))
        stats = viewer.wait(f"stats.{code}", repeat_count=2)
        exchange.settle(viewer)
        expect(stats, trade_count=1, volume_shares=100)
        assert len(viewer.rows(f"trade.{code}")) == 1
        assert viewer.data(f"bar.1m.{code}")["volume_shares"] == 100


def test_many_symbols_at_once_keep_their_own_figures(exchange: Studio) -> None:
    venues = ("HOSE", "HNX")
    codes = {exchange.fresh(): venue for venue in venues for _ in range(3)}
    prices = {code: 10_000 + 1_000 * number for number, code in enumerate(codes)}
    rounds = range(1, 8)

    def total(n: int) -> int:
        return 50 * n * (n + 1)

    with exchange.view(
        *(f"{channel}.{code}*" for code in codes for channel in ("trade", "stats"))
    ) as viewer:
        exchange.say(
            *(
                trade(code, f"09:40:{n:02}", prices[code] + n, 100 * n, total(n), exchange=venue)
                for n in rounds
                for code, venue in codes.items()
            )
        )
        for code, venue in codes.items():
            stats = viewer.wait(f"stats.{code}", total_volume_shares=total(7))
            tape = viewer.rows(f"trade.{code}")
            assert [row["price"] for row in tape] == [prices[code] + n for n in rounds]
            assert [row["volume_shares"] for row in tape] == [100 * n for n in rounds]
            assert {row["venue"] for row in tape} == {venue}
            value = sum((prices[code] + n) * 100 * n for n in rounds)
            expect(stats, value_vnd=value, trade_count=7, missed_volume_shares=0)
            assert stats["vwap"] == pytest.approx(value / total(7), abs=0.01)
            assert not broken_sums(stats)


def test_an_index_tells_its_value_breadth_and_course(exchange: Studio) -> None:
    code = "VNMID"
    topics = (f"index.{code}*", f"index.series.{code}*", f"bar.1m.{code}*")
    with exchange.view(*topics, mode="all") as viewer:
        for time, value, volume, advances in (
            *(("09:20:10", 1_470.0, 1_000, 100), ("09:20:50", 1_472.5, 4_000, 110)),
            *(("09:21:05", 1_469.0, 9_000, 90), ("09:22:00", 1_471.0, 9_500, 95)),
        ):
            breadth = (advances, 40, 60, 3, 2)
            said = index(code, time, value, 1_460.0, breadth=breadth, volume=volume)
            say_slowly(exchange, viewer, said)
        row = viewer.wait(f"index.{code}", value=1_471)
        expect(row, prior_value=1_460, open_value=1_470, high_value=1_472.5, low_value=1_469)
        expect(row, advances=95, unchanged=40, declines=60, ceilings=3, floors=2)
        assert row["change"] == 11
        assert row["change_pct"] == pytest.approx(1_100 / 1_460, abs=1e-4)
        assert row["advance_ratio"] == pytest.approx(95 / 155, abs=1e-6)
        expect(row, matched_volume_shares=9_500, matched_value_vnd=190_000_000)

        minutes = [
            [at("09:20:00"), 1_472.5],
            [at("09:21:00"), 1_469],
            [at("09:22:00"), 1_471],
        ]
        viewer.wait(f"index.series.{code}", series=minutes)
        viewer.until("the bar of 09:22", lambda: len(bars(viewer.rows(f"bar.1m.{code}"))) == 3)
        told = bars(viewer.rows(f"bar.1m.{code}"))
        expect(
            told["09:20", "CONTINUOUS"], open_price=1_470, close_price=1_472.5, volume_shares=3_000
        )


def test_the_basis_moves_with_the_contract_and_with_the_index(exchange: Studio) -> None:
    near, far = "41I1F7000", "VN30F2508"  # one code of each family
    board = "DERIVATIVES"
    with exchange.view("basis.*", "basis.trend.*", "trade.*", mode="all") as viewer:
        exchange.say(index("VN30", "09:30:00", 1_600.0, 1_590.0))
        exchange.say(trade(near, "09:30:05", 1_603.5, 2, 2, side="BU", exchange=board))
        exchange.say(trade(far, "09:30:06", 1_598.0, 1, 1, side="SD", exchange=board))
        row = viewer.wait(f"basis.{near}", basis=3.5)
        expect(row, price=1_603.5, spot_value=1_600, basis_state="PREMIUM")
        expect(row, expiry_date="2025-07-17", days_to_expiry=2, underlying="VN30")
        expect(row, contract_flags=["FRONT", "MOST_ACTIVE"], spot_age_s=5)
        assert row["basis_pct"] == pytest.approx(350 / 1_600, abs=1e-4)
        assert row["annualised_basis_pct"] == pytest.approx(350 / 1_600 * 365 / 2, abs=1e-3)
        row = viewer.wait(f"basis.{far}", basis=-2)
        expect(row, basis_state="DISCOUNT", contract_flags=[], expiry_date="2025-08-21")
        # A future's point is worth 100,000 VND.
        assert viewer.wait(f"trade.{near}", price=1_603.5)["value_vnd"] == 320_700_000

        exchange.say(index("VN30", "09:30:15", 1_605.0, 1_590.0))
        assert viewer.wait(f"basis.{near}", basis=-1.5)["price_exch_time"] == at("09:30:05")
        assert viewer.wait(f"basis.{far}", basis=-7)["spot_exch_time"] == at("09:30:15")

        exchange.say(trade(far, "09:31:00", 1_606.0, 9, 10, side="BU", exchange=board))
        assert viewer.wait(f"basis.{far}", basis=1)["contract_flags"] == ["MOST_ACTIVE"]
        assert viewer.wait(f"basis.{near}", contract_flags=["FRONT"])["basis"] == -1.5
        assert viewer.wait(
            f"basis.trend.{far}",
            series=[[at("09:30:00"), -7, 1_605], [at("09:31:00"), 1, 1_605]],
        )
        # A quote by itself is no news for the basis: it goes along with the next row.
        seen = viewer.model.seq[f"basis.{near}"]
        exchange.say(quote(near, "09:31:01", [(1_604.0, 5)], [(1_604.2, 5)], exchange=board))
        exchange.settle(viewer)
        assert viewer.model.seq[f"basis.{near}"] == seen
        exchange.say(index("VN30", "09:31:15", 1_604.0, 1_590.0))
        assert viewer.wait(f"basis.{near}", basis=-0.5, bid_price=1_604)["ask_price"] == 1_604.2


def test_bars_of_every_interval_add_up_to_the_day(exchange: Studio) -> None:
    code = exchange.fresh()
    intervals = ("1m", "5m", "15m", "1h", "1d")
    topics = [f"bar.{interval}.{code}*" for interval in intervals]
    with exchange.view(*topics, f"stats.{code}*", mode="all") as viewer:
        for time, price, volume, total, side in (
            *(("09:30:10", 25_000, 100, 100, "BU"), ("09:30:50", 25_100, 200, 300, "BU")),
            *(("09:31:05", 24_900, 300, 600, "SD"), ("09:36:00", 25_000, 400, 1_000, "BU")),
            ("10:00:00", 25_050, 500, 1_500, "SD"),
        ):
            say_slowly(exchange, viewer, trade(code, time, price, volume, total, side=side))
        exchange.settle(viewer)
        told = {interval: bars(viewer.rows(f"bar.{interval}.{code}")) for interval in intervals}
        prices = ("open_price", "high_price", "low_price", "close_price", "volume_shares")
        candles = {
            interval: {start: pick(bar, prices) for (start, _phase), bar in each.items()}
            for interval, each in told.items()
        }
        assert candles == {
            "1m": {
                "09:30": (25_000, 25_100, 25_000, 25_100, 300),
                "09:31": (24_900, 24_900, 24_900, 24_900, 300),
                "09:36": (25_000, 25_000, 25_000, 25_000, 400),
                "10:00": (25_050, 25_050, 25_050, 25_050, 500),
            },
            "5m": {
                "09:30": (25_000, 25_100, 24_900, 24_900, 600),
                "09:35": (25_000, 25_000, 25_000, 25_000, 400),
                "10:00": (25_050, 25_050, 25_050, 25_050, 500),
            },
            "15m": {
                "09:30": (25_000, 25_100, 24_900, 25_000, 1_000),
                "10:00": (25_050, 25_050, 25_050, 25_050, 500),
            },
            "1h": {
                "09:00": (25_000, 25_100, 24_900, 25_000, 1_000),
                "10:00": (25_050, 25_050, 25_050, 25_050, 500),
            },
            "1d": {"00:00": (25_000, 25_100, 24_900, 25_050, 1_500)},
        }
        for each in told.values():
            assert sum(bar["buy_volume_shares"] for bar in each.values()) == 700
            assert sum(bar["sell_volume_shares"] for bar in each.values()) == 800
            assert sum(bar["trade_count"] for bar in each.values()) == 5
            assert all(bar["bar_flags"] == [] for bar in each.values())


def test_clients_of_the_same_topics_see_the_same_frames(exchange: Studio) -> None:
    code, other = exchange.fresh(), exchange.fresh()
    channels = ("trade", "quote", "book", "stats", "bar.1m", "foreign", "limits", "alerts")
    topics = [f"{channel}.{each}*" for channel in channels for each in (code, other)]
    with ExitStack() as stack:
        viewers = [stack.enter_context(exchange.view(*topics)) for _ in range(3)]
        for n in range(1, 31):
            time, total = f"09:{30 + n // 6}:{n % 6 * 10:02}", 100 * n
            for each in (code, other):
                exchange.say(
                    trade(each, time, 25_000 + n % 3 * 50, 100, total, side="BU", limits=LIMITS),
                    quote(each, time, [(25_000, 100 * n)], [(25_150, 100 * n)]),
                    foreign(each, time, (total, 25_000 * total), (0, 0)),
                )
        exchange.say(trade(code, "09:36:00", 26_750, 100, 3_100, side="BU", limits=LIMITS))
        exchange.settle(viewers[0])
        for viewer in viewers[1:]:
            viewer.ask({"op": "ping"})
        first, *others = (data_frames(viewer) for viewer in viewers)
        for frames in others:
            assert len(frames) == len(first)
            for mine, theirs in zip(frames, first, strict=True):
                assert mine == theirs
        assert len(viewers[0].rows(f"trade.{code}")) == 31
        assert told_topics(viewers[0]) >= {f"limits.{code}", f"alerts.{code}", f"foreign.{other}"}

        late = stack.enter_context(exchange.view(*topics))
        late.ask({"op": "ping"})
        assert late.model.data == viewers[0].model.data
        assert late.model.seq == viewers[0].model.seq


def test_a_client_of_one_channel_gets_nothing_of_another(exchange: Studio) -> None:
    code, other = exchange.fresh(), exchange.fresh()
    channels = (
        *("trade", "quote", "book", "stats", "gaps", "bar.1m", "bar.15m", "bar.1d", "foreign"),
        *("limits", "auction", "alerts"),
    )
    with ExitStack() as stack:
        viewers = {
            channel: stack.enter_context(exchange.view(f"{channel}.{code}*"))
            for channel in channels
        }
        for each in (code, other):
            exchange.say(
                quote(each, "09:10:00", [(25_100, 500)], [(25_000, 500)], session="ATO"),
                trade(each, "09:15:00", 25_000, 100, 100, limits=LIMITS, session="ATO"),
                trade(each, "09:30:00", 26_750, 100, 900, side="BU", limits=LIMITS),  # 700 missed
                quote(each, "09:30:01", [(26_750, 900)], []),
                foreign(each, "09:30:02", (100, 2_500_000), (0, 0)),
            )
        exchange.settle(viewers["trade"])
        for channel, viewer in viewers.items():
            viewer.ask({"op": "ping"})
            assert told_topics(viewer) == {f"{channel}.{code}"}, channel


def test_the_board_sums_up_and_ranks_what_was_said(exchange: Studio) -> None:
    venue, band = "UPCOM", (23_000, 17_000, 20_000)  # no other scenario says anything of UPCOM
    up, top, down, flat, idle = (exchange.fresh() for _ in range(5))
    said = (
        *((up, 21_000, 100_000, "BU"), (top, 23_000, 50_000, "SD"), (down, 19_000, 10_000, "")),
        *((flat, 20_000, 10_000, ""), (idle, 0, 0, "")),
    )
    with exchange.view("market.UPCOM*", "movers.UPCOM*") as viewer:
        for code, price, volume, side in said:
            about: dict[str, Any] = {"side": side, "exchange": venue, "limits": band}
            exchange.say(trade(code, "09:50:00", price, volume, volume, **about))
        row = viewer.wait("market.UPCOM", symbol_count=5)
        expect(row, advances=2, unchanged=1, declines=1, ceilings=1, floors=0, untraded=1)
        expect(row, volume_shares=170_000, buy_volume_shares=100_000, sell_volume_shares=50_000)
        expect(row, value_vnd=3_640_000_000, missed_volume_shares=0)
        assert row["advance_ratio"] == pytest.approx(2 / 3, abs=1e-6)
        assert row["active_buy_ratio"] == pytest.approx(2 / 3, abs=1e-6)
        rankings = {
            "VALUE": [
                *((up, 2_100_000_000), (top, 1_150_000_000)),
                *((flat, 200_000_000), (down, 190_000_000)),
            ],
            "GAIN": [(top, 150_000), (up, 50_000)],
            "LOSS": [(down, -50_000)],
            "BUYING": [(up, 1_000_000), (top, 0)],
            "SELLING": [(top, 0), (up, 1_000_000)],
        }
        for name, wanted in rankings.items():
            wait_ranked(viewer, f"movers.UPCOM-{name}", wanted)
        best = viewer.data("movers.UPCOM-GAIN")["top"][0]
        expect(best, price=23_000, reference_price=20_000, volume_shares=50_000)


def wait_ranked(viewer: Viewer, topic: str, wanted: list[tuple[str, int]]) -> None:
    """Return once a ranking has these codes with these measures."""

    def ranked() -> bool:
        top = viewer.data(topic).get("top", [])
        return [pick(entry, ("code", "measure")) for entry in top] == wanted

    viewer.until(f"{topic} {wanted}", ranked)

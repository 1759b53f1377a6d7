"""A trading day from before the open to the next morning, on one engine over real sockets.

What a scenario calls "slow" is said one message at a time, so that every state can be seen.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.e2e.studio import (
    DAY,
    NEXT_DAY,
    Record,
    Studio,
    Viewer,
    foreign,
    index,
    quote,
    status,
    studio,
    trade,
)
from tests.e2e.told import Row, at, bars, broken_sums, cells, expect, pick, say_slowly, turns

pytestmark = pytest.mark.e2e

LIMITS = (26_750, 23_250, 25_000)  # ceiling, floor, reference
PRICES = ("open_price", "high_price", "low_price", "close_price", "volume_shares")
CHANNELS = (
    *("trade", "quote", "book", "stats", "auction", "limits", "foreign", "alerts"),
    *("bar.1m", "bar.15m", "bar.1h", "bar.1d"),
)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Studio]:
    with studio() as made:
        yield made


def watch(exchange: Studio, *codes: str) -> Viewer:
    """Return a client that sees every row of these symbols."""
    topics = [f"{channel}.{code}*" for channel in CHANNELS for code in codes]
    return exchange.view(*topics, mode="all")


# A whole day of a share on HOSE ------------------------------------------------------------------


class WholeDay(NamedTuple):
    """Every row that a client was told of one share on one day, by channel."""

    rows: dict[str, list[Row]]

    @property
    def stats(self) -> Row:
        return self.rows["stats"][-1]


def day_on_hose(code: str) -> list[Record]:
    """Return what the exchange says of a share from before the open to after the close."""
    common: dict[str, Any] = {"limits": LIMITS}
    return [
        trade(code, "08:45:00", 0, 0, 0, **common),
        # ATO: orders at price 0 ahead of the priced ones, and the exchange's estimate
        quote(
            *(code, "09:05:00"),
            bids=[(0, 5_000), (25_200, 3_000), (25_100, 1_000)],
            asks=[(0, 2_000), (25_100, 4_000), (25_200, 2_500)],
            session="ATO",
        ),
        trade(code, "09:10:00", 0, 0, 0, session="ATO", EstMatchedPrice=25_200, **common),
        trade(code, "09:15:00", 25_200, 8_000, 8_000, session="ATO", **common),
        trade(code, "09:15:02", 25_200, 500, 8_500, side="BU", **common),  # a late second print
        # the morning
        trade(code, "09:15:04", 25_200, 200, 8_700, side="BU", **common),
        trade(code, "09:15:30", 25_250, 1_000, 9_700, side="BU", **common),
        trade(code, "11:29:58", 25_300, 700, 10_400, side="SD", **common),
        trade(code, "11:30:01", 25_300, 300, 10_700, side="SD", **common),  # stamped in the break
        trade(code, "12:15:00", 25_300, 300, 10_700, session="BREAK", **common),
        # the afternoon
        trade(code, "13:00:05", 25_350, 2_000, 12_700, side="BU", **common),
        trade(code, "14:29:59", 25_400, 400, 13_100, side="SD", **common),
        trade(code, "14:30:01", 25_400, 100, 13_200, side="BU", **common),  # in the call already
        # ATC: a crossed book, and the print that already says C
        trade(
            code, "14:35:00", 25_400, 100, 13_200, session="ATC", EstMatchedPrice=25_500, **common
        ),
        quote(code, "14:40:00", [(25_600, 3_000)], [(25_400, 5_000)], session="ATC"),
        trade(code, "14:45:00", 25_500, 3_000, 16_200, session="C", **common),
        trade(code, "15:01:00", 25_500, 3_000, 16_200, session="C", **common),
    ]


@pytest.fixture(scope="module")
def hose_day(exchange: Studio) -> WholeDay:
    code = exchange.fresh()
    with watch(exchange, code) as viewer:
        say_slowly(exchange, viewer, *day_on_hose(code))
        exchange.settle(viewer)
        return WholeDay({name: viewer.rows(f"{name}.{code}") for name in CHANNELS})


def test_every_row_says_what_phase_it_is(hose_day: WholeDay) -> None:
    assert turns(row["phase"] for row in hose_day.rows["stats"]) == [
        *("PRE", "ATO", "CONTINUOUS", "BREAK", "CONTINUOUS", "ATC", "CLOSED"),
    ]
    assert [(row["exch_time"][11:16], row["phase"]) for row in hose_day.rows["trade"]] == [
        *(("09:15", "ATO"), ("09:15", "ATO"), ("09:15", "CONTINUOUS"), ("09:15", "CONTINUOUS")),
        *(("11:29", "CONTINUOUS"), ("11:30", "CONTINUOUS"), ("13:00", "CONTINUOUS")),
        *(("14:29", "CONTINUOUS"), ("14:30", "CONTINUOUS"), ("14:45", "ATC")),
    ]
    first, second = hose_day.rows["quote"]
    expect(first, phase="ATO", flags=["MARKET_ORDERS"])
    expect(second, phase="ATC", flags=["CROSSED"])
    before_the_open = hose_day.rows["stats"][0]
    expect(before_the_open, reference_price=25_000, ceiling_price=26_750, floor_price=23_250)
    expect(before_the_open, trade_count=0, open_price=0, last_price=0)


def test_phases_keep_their_volume_and_value_apart(hose_day: WholeDay) -> None:
    assert cells(hose_day.stats, "volume_shares") == {
        "ATO": {"NEUTRAL": 8_500},
        "CONTINUOUS": {"BUY": 3_300, "SELL": 1_400},
        "ATC": {"NEUTRAL": 3_000},
    }
    assert cells(hose_day.stats, "value_vnd") == {
        "ATO": {"NEUTRAL": 8_500 * 25_200},
        "CONTINUOUS": {
            "BUY": 200 * 25_200 + 1_000 * 25_250 + 2_000 * 25_350 + 100 * 25_400,
            "SELL": 1_000 * 25_300 + 400 * 25_400,
        },
        "ATC": {"NEUTRAL": 3_000 * 25_500},
    }
    assert cells(hose_day.stats, "count") == {
        "ATO": {"NEUTRAL": 2},
        "CONTINUOUS": {"BUY": 4, "SELL": 3},
        "ATC": {"NEUTRAL": 1},
    }
    # Nobody is active in an auction, whatever the feed's own side says.
    told = [pick(row, ("side", "side_rule", "side_exchange")) for row in hose_day.rows["trade"]]
    assert told[1] == ("NEUTRAL", "AUCTION", "BUY")
    assert hose_day.stats["active_buy_ratio"] == pytest.approx(3_300 / 4_700, abs=1e-6)


def test_phases_and_sides_add_up_to_the_day_at_every_moment(hose_day: WholeDay) -> None:
    assert [broken for row in hose_day.rows["stats"] for broken in broken_sums(row)] == []
    last = hose_day.stats
    expect(last, volume_shares=16_200, total_volume_shares=16_200, missed_volume_shares=0)
    tape = hose_day.rows["trade"]
    assert sum(row["volume_shares"] for row in tape) == last["volume_shares"]
    assert sum(row["value_vnd"] for row in tape) == last["value_vnd"]
    assert len(tape) == last["trade_count"]
    for interval in ("1m", "15m", "1h", "1d"):
        candles = bars(hose_day.rows[f"bar.{interval}"]).values()
        assert sum(bar["volume_shares"] for bar in candles) == last["volume_shares"], interval
        assert sum(bar["value_vnd"] for bar in candles) == last["value_vnd"], interval
        assert sum(bar["trade_count"] for bar in candles) == last["trade_count"], interval
        assert sum(bar["buy_volume_shares"] for bar in candles) == 3_300, interval
        assert sum(bar["sell_volume_shares"] for bar in candles) == 1_400, interval
    expect(last, open_price=25_200, high_price=25_500, low_price=25_200, last_price=25_500)


def test_no_bar_mixes_an_auction_with_the_session_or_spans_lunch(hose_day: WholeDay) -> None:
    volumes = {
        interval: {
            key: bar["volume_shares"] for key, bar in bars(hose_day.rows[f"bar.{interval}"]).items()
        }
        for interval in ("1m", "15m", "1h", "1d")
    }
    assert volumes == {
        "1m": {
            ("09:15", "ATO"): 8_500,
            ("09:15", "CONTINUOUS"): 1_200,
            ("11:29", "CONTINUOUS"): 1_000,
            ("13:00", "CONTINUOUS"): 2_000,
            ("14:29", "CONTINUOUS"): 500,
            ("14:45", "ATC"): 3_000,
        },
        "15m": {
            ("09:15", "ATO"): 8_500,
            ("09:15", "CONTINUOUS"): 1_200,
            ("11:15", "CONTINUOUS"): 1_000,
            ("13:00", "CONTINUOUS"): 2_000,
            ("14:15", "CONTINUOUS"): 500,
            ("14:45", "ATC"): 3_000,
        },
        "1h": {
            ("09:00", "ATO"): 8_500,
            ("09:00", "CONTINUOUS"): 1_200,
            ("11:00", "CONTINUOUS"): 1_000,
            ("13:00", "CONTINUOUS"): 2_000,
            ("14:00", "CONTINUOUS"): 500,
            ("14:00", "ATC"): 3_000,
        },
        "1d": {("00:00", "CONTINUOUS"): 16_200},
    }
    (whole,) = bars(hose_day.rows["bar.1d"]).values()
    assert pick(whole, PRICES) == (25_200, 25_500, 25_200, 25_500, 16_200)


def test_an_auction_is_called_and_uncrosses(hose_day: WholeDay) -> None:
    call = ("indicative_price", "indicative_volume_shares", "buy_surplus_shares")
    surplus = ("sell_surplus_shares", "market_buy_shares", "market_sell_shares")
    uncross = ("uncross_price", "uncross_volume_shares", "uncross_value_vnd", "uncross_exch_time")
    rows = hose_day.rows["auction"]
    assert turns(row["phase"] for row in rows) == ["ATO", "ATC"]
    opening = [row for row in rows if row["phase"] == "ATO"]
    closing = [row for row in rows if row["phase"] == "ATC"]

    called = [row for row in opening if not row["uncross_volume_shares"]]
    # 8,000 would buy at 25,200 or more, 8,500 would sell at 25,200 or less
    assert pick(called[-1], call + surplus) == (25_200, 8_000, 0, 500, 5_000, 2_000)
    assert pick(opening[-1], uncross) == (25_200, 8_500, 8_500 * 25_200, at("09:15:02"))
    assert called[-1]["flags"] == ["CROSSED", "MARKET_ORDERS"]

    called = [row for row in closing if not row["uncross_volume_shares"]]
    assert pick(called[0], call + uncross) == (25_500, 0, 0, 0, 0, 0, None)  # nothing of ATO's
    assert pick(called[-1], call + surplus) == (25_500, 3_000, 0, 2_000, 0, 0)
    assert called[-1]["flags"] == ["CROSSED"]
    assert pick(closing[-1], uncross) == (25_500, 3_000, 3_000 * 25_500, at("14:45:00"))


# Other clocks ------------------------------------------------------------------------------------


def test_hnx_trades_on_after_its_auction_and_upcom_has_none(exchange: Studio) -> None:
    hnx, upcom = exchange.fresh(), exchange.fresh()
    with watch(exchange, hnx, upcom) as viewer:
        for code, venue in ((hnx, "HNX"), (upcom, "UPCOM")):
            say_slowly(
                *(exchange, viewer),
                trade(code, "09:05:00", 21_000, 100, 100, side="BU", exchange=venue),
                trade(code, "14:29:00", 21_100, 200, 300, side="SD", exchange=venue),
                trade(code, "14:45:01", 21_200, 1_000, 1_300, session="C", exchange=venue),
                trade(code, "14:56:00", 21_200, 500, 1_800, side="BU", session="C", exchange=venue),
                trade(code, "14:59:30", 21_200, 200, 2_000, side="BU", session="C", exchange=venue),
                trade(code, "15:00:01", 21_200, 100, 2_100, side="BU", session="C", exchange=venue),
            )
        exchange.settle(viewer)
        stats = viewer.data(f"stats.{hnx}")
        assert cells(stats, "volume_shares") == {
            "CONTINUOUS": {"BUY": 100, "SELL": 200},
            "ATC": {"NEUTRAL": 1_000},
            "PLO": {"NEUTRAL": 800},
        }
        assert not broken_sums(stats)
        last = viewer.data(f"trade.{hnx}")
        expect(last, phase="PLO", side="NEUTRAL", side_rule="AUCTION")
        auction = viewer.data(f"auction.{hnx}")
        expect(auction, phase="ATC", uncross_price=21_200, uncross_volume_shares=1_000)
        assert {
            key: bar["volume_shares"] for key, bar in bars(viewer.rows(f"bar.15m.{hnx}")).items()
        } == {
            ("09:00", "CONTINUOUS"): 100,
            ("14:15", "CONTINUOUS"): 200,
            ("14:45", "ATC"): 1_000,
            ("14:45", "PLO"): 800,
        }
        assert list(bars(viewer.rows(f"bar.1m.{hnx}")))[-2:] == [("14:56", "PLO"), ("14:59", "PLO")]

        stats = viewer.data(f"stats.{upcom}")
        assert cells(stats, "volume_shares") == {"CONTINUOUS": {"BUY": 1_900, "SELL": 200}}
        assert not viewer.rows(f"auction.{upcom}")


def test_futures_open_at_0845_and_have_no_basis_before_the_index(exchange: Studio) -> None:
    future, later = "41I1F9000", "41I1FC000"
    share, board = exchange.fresh(), "DERIVATIVES"
    with (
        watch(exchange, future, share) as viewer,
        exchange.view("basis.*", "index.VN30*", mode="all") as desk,
    ):
        say_slowly(
            *(exchange, viewer),
            quote(share, "08:50:00", [(25_000, 100)], []),
            trade(
                future, "08:50:00", 0, 0, 0, exchange=board, session="ATO", EstMatchedPrice=1_612
            ),
        )
        assert viewer.data(f"quote.{share}")["phase"] == "PRE"
        assert viewer.data(f"stats.{future}")["phase"] == "ATO"
        assert viewer.wait(f"auction.{future}", phase="ATO")["indicative_price"] == 1_612

        # The index repeats yesterday's close until it opens: no spot.
        say_slowly(exchange, desk, index("VN30", "08:55:00", 1_600.0, 1_600.0))
        say_slowly(
            *(exchange, viewer),
            trade(future, "09:00:00", 1_610.0, 30, 30, exchange=board, session="ATO"),
            trade(future, "09:00:10", 1_611.0, 5, 35, exchange=board, side="BU"),
        )
        row = desk.wait(f"basis.{future}", price=1_611)
        expect(row, basis_state="NONE", spot_value=0, basis=0, phase="CONTINUOUS")
        stats = viewer.data(f"stats.{future}")
        assert cells(stats, "volume_shares") == {"ATO": {"NEUTRAL": 30}, "CONTINUOUS": {"BUY": 5}}
        assert stats["value_vnd"] == (30 * 1_610 + 5 * 1_611) * 100_000
        assert viewer.wait(f"auction.{future}", uncross_volume_shares=30)["uncross_price"] == 1_610
        assert list(bars(viewer.rows(f"bar.1m.{future}"))) == [
            *(("09:00", "ATO"), ("09:00", "CONTINUOUS")),
        ]

        exchange.say(index("VN30", "09:15:00", 1_605.0, 1_600.0))
        assert desk.wait(f"basis.{future}", basis=6)["basis_state"] == "PREMIUM"

        # Another day: neither yesterday's spot nor yesterday's price makes a basis.
        exchange.say(trade(later, "10:00:00", 1_615.0, 1, 1, exchange=board))
        desk.wait(f"basis.{later}", basis=10)
        exchange.say(trade(future, "09:00:05", 1_619.0, 2, 2, day=NEXT_DAY, exchange=board))
        row = desk.wait(f"basis.{future}", trade_date=NEXT_DAY)
        expect(row, price=1_619, spot_value=0, basis_state="NONE", total_volume_shares=2)
        exchange.say(index("VN30", "09:15:00", 1_620.0, 1_605.0, day=NEXT_DAY))
        assert desk.wait(f"basis.{future}", basis=-1)["basis_state"] == "DISCOUNT"
        row = desk.wait(f"basis.{later}", trade_date=NEXT_DAY)
        expect(row, price=0, basis_state="NONE", total_volume_shares=0)


def test_a_halt_is_a_phase_of_its_own_until_trading_goes_on(exchange: Studio) -> None:
    code = exchange.fresh()
    with watch(exchange, code) as viewer:
        say_slowly(
            *(exchange, viewer),
            quote(code, "10:00:00", [(25_000, 100)], [(25_100, 100)]),
            trade(code, "10:00:01", 25_100, 100, 100, side="BU"),
        )
        exchange.say(status(code, "10:05:00", "LO", "H"))
        say_slowly(exchange, viewer, quote(code, "10:05:01", [(25_000, 200)], [(25_100, 100)]))
        assert viewer.data(f"quote.{code}")["phase"] == "HALT"
        exchange.say(status(code, "10:20:00", "LO", "N"))
        say_slowly(
            *(exchange, viewer),
            quote(code, "10:20:01", [(25_000, 300)], [(25_100, 100)]),
            trade(code, "10:20:02", 25_000, 100, 200, side="SD"),
        )
        assert viewer.data(f"quote.{code}")["phase"] == "CONTINUOUS"
        # No match is ever booked to a halt.
        assert cells(viewer.data(f"stats.{code}"), "volume_shares") == {
            "CONTINUOUS": {"BUY": 100, "SELL": 100}
        }


# After the close, and the next day ---------------------------------------------------------------


def test_what_is_told_after_the_close_belongs_to_its_day(exchange: Studio) -> None:
    code, market = exchange.fresh(), "VNSML"
    breadth = ("advances", "unchanged", "declines", "ceilings", "floors")
    with (
        watch(exchange, code) as viewer,
        exchange.view(f"index.{market}*", f"bar.1m.{market}*", mode="all") as desk,
    ):
        say_slowly(
            *(exchange, viewer),
            foreign(code, "09:20:00", (0, 0), (0, 0)),
            trade(code, "14:45:00", 25_000, 900, 900, session="C", limits=LIMITS),
            foreign(code, "15:05:00", (500, 12_500_000), (200, 5_000_000)),
        )
        told = (150, 40, 60, 3, 2)
        say_slowly(
            *(exchange, desk),
            index(market, "14:45:10", 1_470.0, 1_460.0, breadth=told, volume=9_000, session="C"),
            index(
                *(market, "15:32:00", 1_470.0, 1_460.0),
                breadth=(0, 0, 0, 0, 0),
                volume=9_900,
                session="C",
            ),
        )
        exchange.settle(viewer)
        row = viewer.data(f"foreign.{code}")
        expect(row, trade_date=DAY, phase="CLOSED", net_volume_shares=300, net_value_vnd=7_500_000)
        expect(viewer.data(f"stats.{code}"), trade_date=DAY, exch_time=at("14:45:00"))
        row = desk.data(f"index.{market}")
        assert pick(row, breadth) == told
        expect(row, trade_date=DAY, phase="CLOSED", flags=["NO_BREADTH"])
        expect(row, total_volume_shares=9_900, breadth_exch_time=at("14:45:10"))
        assert row["advance_ratio"] == pytest.approx(150 / 210, abs=1e-6)

        # The next morning begins with no breadth at all, and yesterday's last word comes too late.
        exchange.say(
            index(
                *(market, "09:16:00", 1_471.0, 1_470.0),
                breadth=(0, 0, 0, 0, 0),
                volume=10,
                day=NEXT_DAY,
            ),
            foreign(code, "09:16:00", (0, 0), (100, 2_500_000), day=NEXT_DAY),
            foreign(code, "15:06:00", (600, 15_000_000), (200, 5_000_000)),
        )
        row = desk.wait(f"index.{market}", trade_date=NEXT_DAY)
        assert pick(row, (*breadth, "flags")) == (0, 0, 0, 0, 0, [])
        viewer.wait(f"foreign.{code}", trade_date=NEXT_DAY)
        exchange.settle(viewer)
        row = viewer.data(f"foreign.{code}")
        expect(row, trade_date=NEXT_DAY, buy_volume_shares=0, sell_volume_shares=100)


def test_the_next_day_begins_blank_and_goes_on_counting(exchange: Studio) -> None:
    code = exchange.fresh()
    with watch(exchange, code) as viewer:
        say_slowly(
            *(exchange, viewer),
            quote(code, "09:05:00", [(0, 700)], [(25_000, 700)], session="ATO"),
            trade(code, "09:15:00", 25_000, 700, 700, session="ATO", limits=LIMITS),
            trade(code, "10:00:00", 25_500, 300, 1_000, side="BU", limits=LIMITS),
            foreign(code, "10:00:01", (5_000, 125_000_000), (0, 0)),
            quote(code, "14:00:00", [(25_400, 100)], [(25_500, 100)]),
        )
        exchange.settle(viewer)
        seq = dict(viewer.model.seq)
        lower = (26_200, 22_800, 24_500)
        say_slowly(
            *(exchange, viewer),
            # At yesterday's ask, above yesterday's last: neither may say who was active.
            trade(code, "09:20:00", 25_600, 50, 50, day=NEXT_DAY, limits=lower),
            foreign(code, "09:20:01", (100, 2_560_000), (0, 0), day=NEXT_DAY),
        )
        # What is left of yesterday comes too late.
        exchange.say(
            trade(code, "14:45:00", 25_500, 100, 1_100, session="C", limits=LIMITS),
            quote(code, "14:46:00", [(25_300, 100)], [(25_350, 100)], session="C"),
            foreign(code, "15:05:00", (9_000, 225_000_000), (0, 0)),
            status(code, "15:06:00", "C", "H"),
        )
        exchange.settle(viewer)

        stats = viewer.data(f"stats.{code}")
        expect(stats, trade_date=NEXT_DAY, volume_shares=50, trade_count=1, flags=[])
        assert pick(stats, ("open_price", "high_price", "low_price", "last_price")) == (25_600,) * 4
        expect(stats, reference_price=24_500, ceiling_price=26_200, floor_price=22_800)
        assert cells(stats, "volume_shares") == {"CONTINUOUS": {"UNKNOWN": 50}}
        match = viewer.data(f"trade.{code}")
        expect(match, side="UNKNOWN", side_rule="NONE", bid_price=0, ask_price=0)
        for interval in ("1m", "15m", "1h", "1d"):
            bar = viewer.data(f"bar.{interval}.{code}")
            expect(bar, trade_date=NEXT_DAY, volume_shares=50, prev_start_exch_time=None)
        flow = viewer.data(f"foreign.{code}")
        expect(flow, trade_date=NEXT_DAY, buy_volume_shares=100, net_volume_5m_shares=0)
        for channel in ("trade", "stats", "foreign", "bar.1m", "bar.1d"):
            topic = f"{channel}.{code}"
            assert viewer.model.seq[topic] == seq[topic] + 1, topic
        assert viewer.model.seq[f"auction.{code}"] == seq[f"auction.{code}"]
        assert viewer.model.seq[f"quote.{code}"] == seq[f"quote.{code}"]


def test_limits_of_yesterday_never_judge_a_match_of_today(exchange: Studio) -> None:
    told, silent = exchange.fresh(), exchange.fresh()
    higher = (28_600, 24_900, 26_750)
    events = ("limit_event", "limit_state", "limit_price", "trade_date", "enter_count")
    with watch(exchange, told, silent) as viewer:
        say_slowly(
            *(exchange, viewer),
            trade(told, "10:00:00", 25_000, 100, 100, side="BU", limits=LIMITS),
            trade(told, "10:01:00", 26_750, 100, 200, side="BU", limits=LIMITS),
            quote(told, "10:01:01", [(26_750, 9_000)], []),
            trade(silent, "10:02:00", 24_000, 100, 100, side="SD", limits=LIMITS),
            # Today, at yesterday's limits: one tells other limits, one tells none.
            trade(told, "09:20:00", 26_750, 100, 100, side="BU", day=NEXT_DAY, limits=higher),
            quote(told, "09:20:01", [(26_750, 9_000)], [], day=NEXT_DAY),
            trade(silent, "09:20:00", 23_250, 100, 100, side="SD", day=NEXT_DAY),
            quote(silent, "09:20:01", [], [(23_250, 9_000)], day=NEXT_DAY),
        )
        exchange.settle(viewer)
        assert [pick(row, events) for row in viewer.rows(f"limits.{told}")] == [
            ("ENTER", "CEILING", 26_750, DAY, 1),
            ("LOCK", "CEILING", 26_750, DAY, 1),
            ("NONE", "NONE", 0, NEXT_DAY, 0),
        ]
        assert not viewer.rows(f"limits.{silent}")
        expect(viewer.data(f"stats.{silent}"), ceiling_price=0, floor_price=0)
        assert [row["id"] for row in viewer.rows(f"alerts.{told}")] == [
            f"20250715-price_limit-{told}-1",
        ]

        # Today's own limits do.
        say_slowly(
            *(exchange, viewer),
            trade(told, "09:30:00", 28_600, 100, 200, side="BU", day=NEXT_DAY, limits=higher),
            trade(silent, "09:30:00", 24_900, 100, 200, side="SD", day=NEXT_DAY, limits=higher),
        )
        exchange.settle(viewer)
        assert pick(viewer.data(f"limits.{told}"), events) == (
            *("ENTER", "CEILING", 28_600, NEXT_DAY, 1),
        )
        assert pick(viewer.data(f"limits.{silent}"), events) == (
            *("ENTER", "FLOOR", 24_900, NEXT_DAY, 1),
        )
        assert [row["id"] for row in viewer.rows(f"alerts.{told}")] == [
            f"20250715-price_limit-{told}-1",
            f"20250716-price_limit-{told}-1",
        ]

"""Auctions: the rules of market-behaviour sections 1, 2 and 5, and the stories."""

import pytest

from engine.schema.codes import DeltaFlag, FeedState, Phase, Venue
from engine.trackers import auction
from tests.trackers.story import Story, tables
from tests.trackers.symbol_day import SymbolDay, Watched

PRICE = 9_400_000
BOOK = ([(PRICE, 500), (PRICE - 10_000, 300)], [(PRICE - 10_000, 200), (PRICE, 100)])
FIGURES = (
    "indicative_price_e2",
    "indicative_volume_shares",
    "buy_surplus_shares",
    "sell_surplus_shares",
    "market_buy_shares",
    "market_sell_shares",
)


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def watched():
    return Watched(auction.STAGE)


def figures(row):
    return tuple(row[name] for name in FIGURES)


@pytest.mark.parametrize("path", tables("auction"), ids=lambda path: path.stem)
def test_story(path):
    assert Story(path).play() > 0


@pytest.mark.parametrize("lie", ["-", "ATC", "ATO 94000 x 1"])
def test_a_story_that_lies_is_noticed(lie, tmp_path):
    path = tmp_path / "auction_lie.txt"
    path.write_text(f"symbol FPT HOSE\nday 2021-07-15\n09:05:00 trade - - 0 | {lie}")
    with pytest.raises(AssertionError, match="shown: ATO"):
        Story(path).play()


def test_indicative_price_and_volume(day, watched):
    rows = watched.tell(day.told("09:05:00", 0, 0, 0, estimate=PRICE), day.book("09:05:00", *BOOK))
    assert figures(rows[0]) == (PRICE, 0, 0, 0, 0, 0)
    assert figures(rows[1]) == (PRICE, 300, 200, 0, 0, 0)
    assert rows[1]["flags"] == DeltaFlag.CROSSED


def test_ato_orders_at_price_0_match_at_any_price(day, watched):
    bids, asks = [(0, 150), (PRICE, 10)], [(0, 140), (PRICE - 10_000, 5), (PRICE + 10_000, 70)]
    row = watched.tell(
        day.told("09:05:00", 0, 0, 0, estimate=PRICE), day.book("09:05:00", bids, asks)
    )[-1]
    assert figures(row) == (PRICE, 145, 15, 0, 150, 140)
    assert row["flags"] == DeltaFlag.CROSSED | DeltaFlag.MARKET_ORDERS


def test_without_a_price_of_the_exchange_nothing_is_indicated(day, watched):
    row = watched.tell(day.book("09:05:00", *BOOK))[-1]
    assert figures(row) == (0, 0, 0, 0, 0, 0)


def test_a_repeat_may_bring_another_estimate_and_is_not_a_trade(day, watched):
    rows = watched.tell(
        day.match("14:00:00", PRICE),
        day.told("14:31:00", PRICE, 100, 100, estimate=PRICE),
        day.told("14:31:01", PRICE, 100, 100, estimate=PRICE),
        day.told("14:31:02", PRICE, 100, 100, estimate=PRICE + 10_000),
    )
    assert [row["indicative_price_e2"] for row in rows] == [PRICE, PRICE + 10_000]
    assert all(row["uncross_volume_shares"] == 0 for row in rows)


def test_a_repeat_of_the_past_does_not_speak_of_now(day, watched):
    watched.tell(
        day.match("14:00:00", PRICE),
        day.match("14:00:01", PRICE),
        day.told("14:31:00", PRICE, 100, 200, estimate=PRICE),
    )
    assert watched.tell(day.told("14:31:00", PRICE, 100, 100, estimate=1)) == []


def test_the_uncross_belongs_to_its_auction_though_stamped_after_it(day, watched):
    watched.tell(day.told("09:05:00", 0, 0, 0, estimate=PRICE), day.book("09:05:00", *BOOK))
    rows = watched.tell(
        day.match("09:15:00", PRICE, 200),
        day.match("09:15:01", PRICE, 100),
        day.match("09:15:02", PRICE + 10_000, 100),  # another price: continuous
    )
    assert [row["uncross_volume_shares"] for row in rows] == [200, 300]
    row = rows[-1]
    assert row["uncross_price_e2"] == PRICE
    assert row["uncross_value_vnd"] == 300 * PRICE // 100
    assert row["uncross_exch_s"] == day.at("09:15:01", 1)["exch_s"]
    assert row["phase"] == Phase.ATO
    assert figures(row) == (PRICE, 300, 200, 0, 0, 0)  # as the call left them


def test_an_estimate_left_over_in_continuous_trading_says_nothing(day, watched):
    assert watched.tell(day.told("10:00:00", 0, 0, 0, estimate=PRICE)) == []
    assert watched.tell(day.book("10:00:00", *BOOK)) == []
    assert figures(watched.tell(day.told("14:31:00", 0, 0, 0))[-1]) == (0, 0, 0, 0, 0, 0)


def test_atc_begins_blank(day, watched):
    watched.tell(
        day.told("09:05:00", 0, 0, 0, estimate=PRICE),
        day.book("09:05:00", *BOOK),
        day.match("09:15:00", PRICE),
    )
    (row,) = watched.tell(day.told("14:31:00", PRICE, 100, 100))
    assert row["phase"] == Phase.ATC
    assert row["uncross_volume_shares"] == row["uncross_price_e2"] == row["uncross_exch_s"] == 0
    assert figures(row) == (0, 0, 0, 0, 0, 0)
    assert row["flags"] == 0
    assert row["seq"] == 4


def test_a_new_day_begins_blank(day, watched):
    watched.tell(day.told("14:31:00", 0, 0, 0, estimate=PRICE), day.book("14:31:00", *BOOK))
    tomorrow = SymbolDay(day="2021-07-16")
    (row,) = watched.tell(tomorrow.told("09:01:00", 0, 0, 0))
    assert figures(row) == (0, 0, 0, 0, 0, 0)
    assert row["phase"] == Phase.ATO


def test_a_straggler_of_ato_does_not_bring_it_back(day, watched):
    watched.tell(day.told("14:31:00", 0, 0, 0, estimate=PRICE))
    assert watched.tell(day.book("09:14:00", *BOOK)) == []
    assert watched.tell(day.told("09:14:00", 0, 0, 0, estimate=1)) == []


def test_the_close_of_hose_may_be_all_there_is(day, watched):
    (row,) = watched.tell(day.match("14:45:00", PRICE, 300))
    assert (row["phase"], row["uncross_volume_shares"]) == (Phase.ATC, 300)


def test_upcom_has_no_auctions(watched):
    upcom = SymbolDay(venue=Venue.UPCOM)
    rows = watched.tell(
        *(upcom.told(time, 0, 0, 0, estimate=PRICE) for time in ("09:05:00", "14:31:00"))
    )
    assert rows == []


def test_futures_have_their_own_clock(watched):
    future = SymbolDay(venue=Venue.DERIVATIVES)
    (row,) = watched.tell(future.told("08:46:00", 0, 0, 0, estimate=134_490))
    assert (row["phase"], row["indicative_price_e2"]) == (Phase.ATO, 134_490)


def test_after_an_outage_book_and_estimate_are_forgotten(day, watched):
    watched.tell(day.told("09:05:00", 0, 0, 0, estimate=PRICE), day.book("09:05:00", *BOOK))
    watched.tell(day.feed(FeedState.LIVE), day.feed(FeedState.DOWN), day.feed(FeedState.LIVE))
    (row,) = watched.tell(day.told("09:10:00", 0, 0, 0, estimate=PRICE))
    assert figures(row) == (PRICE, 0, 0, 0, 0, 0)
    watched.tell(day.feed(FeedState.DOWN), day.feed(FeedState.LIVE))
    (row,) = watched.tell(day.book("09:11:00", *BOOK))
    assert figures(row) == (0, 0, 0, 0, 0, 0)


def test_a_correction_after_the_uncross_is_flagged(day, watched):
    watched.tell(day.match("09:15:00", PRICE, 300))
    (row,) = watched.tell(day.told("09:20:00", PRICE, 300, 200))
    assert row["flags"] == DeltaFlag.CORRECTED
    assert row["uncross_volume_shares"] == 300


def test_the_same_news_is_published_once(day, watched):
    watched.tell(day.told("09:05:00", 0, 0, 0, estimate=PRICE), day.book("09:05:00", *BOOK))
    deeper = ([*BOOK[0], (PRICE - 20_000, 900)], BOOK[1])  # below the price: no figure moves
    assert watched.tell(day.book("09:05:01", *BOOK), day.book("09:05:02", *deeper)) == []


def test_ten_levels_are_counted_without_overflow(day, watched):
    full = [(PRICE, 2_000_000_000)] * 10
    row = watched.tell(
        day.told("09:05:00", 0, 0, 0, estimate=PRICE), day.book("09:05:00", full, full)
    )[-1]
    assert row["indicative_volume_shares"] == 20_000_000_000

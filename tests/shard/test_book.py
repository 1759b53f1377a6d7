"""The book of a symbol, one rule a test (market-behaviour section 5)."""

import pytest

from engine.schema.codes import DeltaFlag
from tests.shard.telling import Shard
from tests.trackers.symbol_day import SymbolDay

BID, ASK = 47_000_00, 47_050_00


@pytest.fixture
def day():
    return SymbolDay()


def test_ten_levels_a_side_are_kept_best_first(day):
    bids = [(BID - 5_000 * level, 100 + level) for level in range(10)]
    asks = [(ASK + 5_000 * level, 200 + level) for level in range(10)]
    row = Shard().tell(day.book("09:20:00", bids, asks)).last("book")
    assert list(zip(row["bid_price_e2"], row["bid_volume_shares"], strict=True)) == bids
    assert list(zip(row["ask_price_e2"], row["ask_volume_shares"], strict=True)) == asks


def test_a_crossed_book_of_an_auction_says_so(day):
    row = Shard().tell(day.book("09:05:00", [(ASK, 500)], [(BID, 500)])).last("book")
    assert DeltaFlag(row["flags"]) == DeltaFlag.CROSSED


def test_orders_at_price_0_are_shown_with_their_volume_and_flagged(day):
    row = Shard().tell(day.book("09:05:00", [(0, 900), (BID, 5)], [(ASK, 5)])).last("book")
    assert row["flags"] & DeltaFlag.MARKET_ORDERS
    assert (row["bid_price_e2"][0], row["bid_volume_shares"][0]) == (0, 900)

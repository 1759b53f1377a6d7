"""From messages to events, one rule a test (market-behaviour sections 1 and 2).

The tables shard_*.txt tell whole days of this; here each rule stands alone, with its name.
"""

import pytest

from engine.schema.codes import DeltaFlag, FeedSession, Phase, SlotKind, TradeEvent, TradingStatus
from tests.shard.telling import Shard
from tests.trackers.symbol_day import SymbolDay

PRICE = 25_000_00


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def shard():
    return Shard()


def events(shard):
    return [TradeEvent(note["event"]).name for note in shard.notes]


def test_a_match_exists_when_the_total_grew(day, shard):
    shard.tell(day.match("09:20:00", PRICE, 300), day.match("09:20:01", PRICE, 200))
    assert events(shard) == ["MATCH", "MATCH"]
    assert [row["volume_shares"] for row in shard.all("trade")] == [300, 200]
    assert shard.last("stats")["volume_shares"] == 500


def test_an_equal_total_is_a_repeat_and_no_trade_though_the_estimate_may_have_moved(day, shard):
    shard.tell(day.match("09:20:00", PRICE, 300))
    shard.tell(day.told("09:20:05", PRICE, 300, day.total, estimate=PRICE + 5_000))
    assert events(shard) == ["MATCH", "REPEAT"]
    assert len(shard.all("trade")) == 1
    stats = shard.last("stats")
    assert (stats["trade_count"], stats["volume_shares"], stats["repeat_count"]) == (1, 300, 1)
    assert stats["estimated_price_e2"] == PRICE + 5_000


def test_growth_beyond_the_match_is_missed_volume_of_no_known_side(day, shard):
    shard.tell(day.match("09:20:00", PRICE, 100), day.match("09:20:09", PRICE, 100, missed=500))
    trade, stats = shard.last("trade"), shard.last("stats")
    assert (trade["volume_shares"], trade["missed_volume_shares"]) == (100, 500)
    assert trade["flags"] & DeltaFlag.MISSED_BEFORE
    assert stats["volume_shares"] + stats["missed_volume_shares"] == 700
    assert stats["total_volume_shares"] == 700
    assert sum(map(sum, stats["phase_side_volume_shares"])) == 200


def test_a_smaller_total_is_a_correction_counted_flagged_and_followed(day, shard):
    shard.tell(day.match("09:20:00", PRICE, 100), day.match("09:20:01", PRICE, 400))
    shard.tell(day.told("09:20:02", PRICE, 100, 300))
    assert events(shard)[-1] == "CORRECTION"
    stats = shard.last("stats")
    assert (stats["correction_count"], stats["total_volume_shares"]) == (1, 300)
    assert stats["flags"] & DeltaFlag.CORRECTED
    assert stats["volume_shares"] + stats["missed_volume_shares"] == 300


def test_the_match_of_an_x_message_met_the_previous_book(day, shard):
    """Decode writes the match of an X message before its book."""
    shard.tell(day.match("09:20:00", PRICE, 100))
    shard.tell(day.book("09:20:01", [(PRICE, 500)], [(PRICE + 10_000, 500)]))
    both = [
        day.match("09:20:02", PRICE, 100),
        day.book("09:20:02", [(PRICE - 10_000, 500)], [(PRICE, 500)]),
    ]
    shard.tell(both)
    trade = shard.last("trade")
    assert (trade["bid_price_e2"], trade["ask_price_e2"]) == (PRICE, PRICE + 10_000)
    assert shard.last("quote")["ask_price_e2"] == PRICE


def test_a_match_told_by_x_and_by_the_pair_is_counted_once(day, shard):
    """Nobody should subscribe to both; who does gets repeats, and no share twice."""
    match = day.match("09:20:00", PRICE, 100)
    shard.tell(match, dict(match), day.match("09:20:01", PRICE, 50))
    assert events(shard) == ["MATCH", "REPEAT", "MATCH"]
    assert shard.last("stats")["volume_shares"] == 150


def test_the_first_message_of_a_symbol_is_a_baseline_and_not_one_giant_trade(day, shard):
    shard.tell(day.told("10:00:00", PRICE, 100, 10_000_000))
    assert events(shard) == ["BASELINE"]
    assert not shard.all("trade")
    stats = shard.last("stats")
    assert (stats["volume_shares"], stats["trade_count"]) == (0, 0)
    assert stats["missed_volume_shares"] == stats["total_volume_shares"] == 10_000_000
    assert stats["flags"] & DeltaFlag.BASELINE


def test_a_new_trading_date_rolls_every_state_of_the_symbol(shard):
    friday, monday = SymbolDay(day="2021-07-16"), SymbolDay(day="2021-07-19")
    shard.tell(friday.book("09:19:00", [(PRICE, 500)], [(PRICE + 5_000, 500)]))
    shard.tell(friday.match("09:20:00", PRICE, 900), friday.match("09:20:01", PRICE + 5_000, 100))
    shard.tell(monday.match("09:20:00", PRICE + 10_000, 300))
    trade, stats = shard.last("trade"), shard.last("stats")
    assert (trade["bid_price_e2"], trade["ask_price_e2"]) == (0, 0), "the book of Friday is gone"
    assert trade["side_tick"] == 0, "and so is its last price"
    assert (stats["volume_shares"], stats["trade_count"]) == (300, 1)
    assert stats["open_price_e2"] == stats["low_price_e2"] == PRICE + 10_000
    assert stats["seq"] == 3, "the stream goes on"


def test_the_day_is_that_of_the_trading_date_and_not_of_our_clock(day, shard):
    first, second = day.match("14:44:00", PRICE, 100), day.match("14:44:30", PRICE, 100)
    second["recv_ns"] += 86_400 * 10**9  # told again a day later by our clock
    shard.tell(first, second)
    assert shard.last("stats")["volume_shares"] == 200
    assert shard.last("stats")["trade_day"] == shard.all("stats")[0]["trade_day"]


def test_exchange_time_and_receive_time_are_both_kept(day, shard):
    message = day.match("09:20:00", PRICE, 100)
    message["recv_ns"] = message["exch_s"] * 10**9 + 123_456_789
    shard.tell(message, day.book("09:20:01", [(PRICE, 5)], []))
    for channel in ("trade", "stats", "quote", "book"):
        assert shard.last(channel)["exch_s"] * 10**9 <= shard.last(channel)["recv_ns"]
    assert shard.last("trade")["exch_s"] == message["exch_s"]
    assert shard.last("trade")["recv_ns"] == message["recv_ns"]


# --- session phase --------------------------------------------------------------------------------


def test_the_clock_decides_the_phase_and_the_session_word_is_only_a_hint(day, shard):
    book = day.book("10:00:00", [(PRICE, 5)], [])
    shard.tell(book | {"session": FeedSession.C}, book | {"session": FeedSession.ATO})
    assert [Phase(note["phase"]) for note in shard.notes] == [Phase.CONTINUOUS] * 2


def test_a_halt_word_overrides_the_clock_until_another_word_comes(day, shard):
    for second, session in enumerate((FeedSession.LO, FeedSession.HALT, FeedSession.LO)):
        shard.tell(day.at(f"10:00:0{second}", SlotKind.STATUS, session=session))
    said = [Phase(note["phase"]).name for note in shard.notes]
    assert said == ["CONTINUOUS", "HALT", "CONTINUOUS"]


def test_a_closing_print_stamped_144500_that_says_closed_is_of_the_closing_auction(day, shard):
    shard.tell(day.match("14:20:00", PRICE, 100))
    shard.tell(day.match("14:45:00", PRICE, 700) | {"session": FeedSession.C})
    assert Phase(shard.last("trade")["phase"]) is Phase.ATC
    assert shard.last("stats")["phase_side_volume_shares"][Phase.ATC][3] == 700


def test_unknown_words_of_session_and_status_change_nothing(day, shard):
    book = day.book("10:00:00", [(PRICE, 5)], [])
    shard.tell(book | {"session": FeedSession.OTHER, "status": TradingStatus.OTHER})
    assert Phase(shard.last("book")["phase"]) is Phase.CONTINUOUS

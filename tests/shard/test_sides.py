"""Who was the aggressor of a match, one rule a test (market-behaviour section 3)."""

import numpy as np
import pytest

from engine.schema.codes import DeltaFlag, Phase, Side, SideRule, Venue
from engine.schema.notes import NOTE
from engine.shard import classify
from engine.shard.sides import decide
from engine.shard.stage import StageSettings
from tests.shard.telling import Shard
from tests.trackers.symbol_day import SymbolDay

BID, MIDDLE, ASK = 47_000_00, 47_050_00, 47_100_00


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def shard(day):
    """A shard that has seen the day from its beginning, with a match at the middle and a book."""
    return Shard().tell(
        day.told("09:00:00", 0, 0, 0),
        day.match("09:20:00", MIDDLE),
        day.book("09:20:01", [(BID, 500)], [(ASK, 500)]),
    )


def decided(shard):
    row = shard.last("trade")
    return Side(row["side"]), SideRule(row["side_rule"])


@pytest.mark.parametrize(
    ("venue", "time", "phase"),
    [
        (Venue.HOSE, "09:15:00", Phase.ATO),
        (Venue.HOSE, "14:45:00", Phase.ATC),
        (Venue.HNX, "14:57:00", Phase.PLO),
    ],
)
def test_auction_prints_are_neutral_whatever_the_feed_says(venue, time, phase):
    day = SymbolDay(venue=venue)
    shard = Shard().tell(day.told("09:00:00", 0, 0, 0))
    shard.tell(day.match(time, BID) | {"side": Side.BUY})
    row = shard.last("trade")
    assert Phase(row["phase"]) is phase
    assert decided(shard) == (Side.NEUTRAL, SideRule.AUCTION)
    assert Side(row["side_exchange"]) is Side.BUY, "what it said is kept"


def test_put_through_is_neutral():
    note, params = np.zeros(1, NOTE)[0], np.zeros(1, classify.PARAMS)
    classify.fill_params(params, StageSettings(("EXCHANGE", "QUOTE", "TICK")))
    note["phase"] = Phase.PUT_THROUGH
    decide(note, params, Side.BUY, Side.SELL, Side.SELL)
    assert (note["side"], note["side_rule"]) == (Side.NEUTRAL, SideRule.AUCTION)


@pytest.mark.parametrize("said", [Side.BUY, Side.SELL])
def test_the_feeds_own_side_comes_first(day, shard, said):
    shard.tell(day.match("09:20:02", MIDDLE) | {"side": said})
    assert decided(shard) == (said, SideRule.EXCHANGE)


@pytest.mark.parametrize(
    ("price", "side"),
    [(ASK, Side.BUY), (ASK + 5_000, Side.BUY), (BID, Side.SELL), (BID - 5_000, Side.SELL)],
)
def test_at_the_ask_or_above_is_buying_at_the_bid_or_below_is_selling(day, shard, price, side):
    shard.tell(day.match("09:20:02", price))
    assert decided(shard) == (side, SideRule.QUOTE)


def test_the_book_in_force_before_the_match_is_asked_and_not_the_one_after_it(day, shard):
    after = day.book("09:20:02", [(ASK, 500)], [(ASK + 10_000, 500)])
    shard.tell([day.match("09:20:02", ASK), after])
    assert decided(shard) == (Side.BUY, SideRule.QUOTE)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([(ASK, 500)], [(BID, 500)]),
        ([(ASK, 500)], [(ASK, 500)]),
        ([(BID, 500)], []),
        ([], [(ASK, 500)]),
        ([(0, 500)], [(ASK, 500)]),
        ([(BID, 500)], [(ASK, 0)]),
    ],
    ids=["crossed", "locked", "no ask", "no bid", "ATO orders", "no volume"],
)
def test_a_book_that_is_crossed_or_not_two_sided_judges_nothing(day, shard, bids, asks):
    shard.tell(day.book("09:20:02", bids, asks), day.match("09:20:03", ASK))
    assert Side(shard.last("trade")["side_quote"]) is Side.UNKNOWN
    assert decided(shard) == (Side.BUY, SideRule.TICK)


def test_above_the_last_different_price_is_buying_and_below_it_selling():
    day = SymbolDay()
    shard = Shard().tell(day.told("09:00:00", 0, 0, 0))
    for second, price in enumerate((MIDDLE, ASK, ASK, MIDDLE, MIDDLE)):
        shard.tell(day.match(f"09:20:0{second}", price))
    said = [Side(row["side_tick"]).name for row in shard.all("trade")]
    assert said == ["UNKNOWN", "BUY", "BUY", "SELL", "SELL"]


def test_a_side_that_no_rule_can_tell_is_unknown():
    day = SymbolDay()
    shard = Shard().tell(day.told("09:00:00", 0, 0, 0), day.match("09:20:00", MIDDLE))
    assert decided(shard) == (Side.UNKNOWN, SideRule.NONE)


@pytest.mark.parametrize(
    ("precedence", "rule", "side"),
    [
        (("EXCHANGE", "QUOTE", "TICK"), SideRule.EXCHANGE, Side.SELL),
        (("QUOTE", "EXCHANGE"), SideRule.QUOTE, Side.BUY),
        (("TICK",), SideRule.TICK, Side.BUY),
    ],
)
def test_the_configuration_chooses_the_precedence(day, precedence, rule, side):
    shard = Shard(precedence).tell(
        day.told("09:00:00", 0, 0, 0),
        day.match("09:20:00", MIDDLE),
        day.book("09:20:01", [(BID, 500)], [(ASK, 500)]),
        day.match("09:20:02", ASK) | {"side": Side.SELL},
    )
    assert decided(shard) == (side, rule)


def test_every_trade_says_what_each_rule_said(day, shard):
    shard.tell(day.match("09:20:02", ASK) | {"side": Side.SELL})
    row = shard.last("trade")
    said = [Side(row[f"side_{rule}"]) for rule in ("exchange", "quote", "tick")]
    assert said == [Side.SELL, Side.BUY, Side.BUY]


def test_disagreement_of_exchange_and_book_is_counted_by_phase_and_published(day, shard):
    shard.tell(day.match("09:20:02", ASK) | {"side": Side.SELL})
    shard.tell(day.match("09:20:03", ASK) | {"side": Side.BUY})
    assert shard.all("trade")[-2]["flags"] & DeltaFlag.DISAGREE
    assert not shard.last("trade")["flags"] & DeltaFlag.DISAGREE
    counted = shard.last("stats")["phase_disagree_count"]
    assert (counted[Phase.CONTINUOUS], sum(counted)) == (1, 1)

"""The rule volume_spike, case by case; the story is in tests/tables/alerts_volume_spike.txt."""

import pytest

from engine.schema.codes import AlertState, AlertType, Severity
from tests.alerts.market import Market

NO_BLOCKS = {"block_trade_min_vnd": 10**15}


def market(venue: str = "HOSE", **thresholds: int) -> Market:
    """Return a market with one stock that is traded ten times, 100 shares each."""
    one = Market(**NO_BLOCKS | thresholds)
    one.symbol("FPT", venue)
    one.at("09:30:00")
    for _ in range(10):
        assert one.match("FPT", "88000") == []
    return one


def test_a_match_above_three_times_the_mean_of_the_matches_before_it_is_a_spike():
    assert market().match("FPT", "88000", 300) == []
    (row,) = market().match("FPT", "88000", 301)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.VOLUME_SPIKE, AlertState.NONE)
    assert row["severity"] == Severity.INFO
    assert (row["price_e2"], row["volume_shares"]) == (8_800_000, 301)
    assert row["value_vnd"] == 88_000 * 301
    assert (row["measured"], row["threshold"]) == (301, 300)
    assert (row["count"], row["duration_s"]) == (10, 1_200)


def test_the_spike_itself_is_not_in_the_mean_that_judges_it():
    """With itself in the mean, a match is never more than eleven times the mean of eleven."""
    (row,) = market(volume_spike_percent=2_000).match("FPT", "88000", 2_001)
    assert row["measured"] == 2_001


def test_fewer_than_ten_earlier_trades_are_no_mean():
    one = Market()
    one.symbol("FPT")
    one.at("09:30:00")
    for _ in range(9):
        one.match("FPT", "88000")
    assert one.match("FPT", "88000", 301) == []
    assert len(one.match("FPT", "88000", 901)) == 1


def test_only_matches_of_the_continuous_phase_are_judged_and_counted():
    one = Market(**NO_BLOCKS)
    one.symbol("FPT")
    one.at("09:14:59")
    for _ in range(10):
        one.match("FPT", "88000")  # the auction
    one.at("09:15:10")
    assert one.match("FPT", "88000", 1_000) == []
    auction = market(volume_spike_window_s=3_600)
    auction.at("14:20:00")
    for _ in range(10):
        auction.match("FPT", "88000")
    auction.at("14:45:00")
    assert auction.match("FPT", "88000", 10_000) == []


def test_missed_volume_is_no_trade():
    one = market()
    one.match("FPT", "88000", 100, skipped=10_000)
    (row,) = one.match("FPT", "88000", 301)
    assert row["count"] == 11


def test_a_late_match_is_neither_judged_nor_counted():
    one = market()
    one.match("FPT", "88000", 100, skipped=5_000)
    assert one.late("FPT", "88000", 5_000, 6_000) != []  # the gap closes
    assert {row["alert_type"] for row in one.late("FPT", "88000", 5_000, 6_000)} == set()
    (row,) = one.at("09:31:30").match("FPT", "88000", 301)
    assert row["count"] == 11


def test_the_first_news_after_an_outage_is_counted_but_never_judged():
    one = market()
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    assert one.match("FPT", "88000", 900) == []
    (row,) = one.match("FPT", "88000", 900)
    assert row["count"] == 11


def test_trades_older_than_the_window_are_forgotten():
    one = market(volume_spike_window_s=60)
    assert one.at("09:31:00").match("FPT", "88000", 900) == []
    for second in range(0, 60, 15):  # wherever in the ring the old trades are
        one = market(volume_spike_window_s=60)
        assert one.at(f"09:31:{second:02}").match("FPT", "88000", 900) == []
    exact = market(volume_spike_window_s=60)
    assert len(exact.at("09:30:59").match("FPT", "88000", 900)) == 1


@pytest.mark.parametrize("window_s", [60, 100, 3_600])
def test_any_window_of_the_configuration_works(window_s):
    one = market(volume_spike_window_s=window_s)
    (row,) = one.at("09:30:30").match("FPT", "88000", 301)
    assert row["duration_s"] == window_s


def test_a_stamp_that_steps_back_counts_to_the_newest_step():
    one = market(volume_spike_window_s=60, volume_spike_trades_min=1)
    one.at("09:40:00").match("FPT", "88000")
    one.at("09:38:00").match("FPT", "88000")
    (row,) = one.at("09:40:45").match("FPT", "88000", 301)
    assert row["count"] == 2


def test_a_new_trading_date_begins_without_trades():
    """UPCOM matches at any time of day count as continuous: midnight is no 20 minutes wide."""
    for days, told in (("2021-07-15", 1), ("2021-07-16", 0)):
        one = Market()
        one.symbol("BSR", "UPCOM")
        one.at("23:59:50" if told == 0 else "23:59:00")
        for _ in range(12):
            assert one.match("BSR", "20000") == []
        if days != one.day:
            one.on(days)
            one.at("00:00:10")
        assert len(one.match("BSR", "20000", 900)) == told

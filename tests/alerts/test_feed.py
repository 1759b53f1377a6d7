"""The rule feed, case by case; the story is in tests/tables/alerts_feed.txt."""

import pytest

from engine.schema.codes import AlertState, AlertType, FeedState, GapCause, Severity
from tests.alerts.market import FEED_ID, Market


def market(*, ours: bool = True) -> Market:
    """Return a market with one stock that trades, and the feed."""
    one = Market()
    one.symbol("FPT")
    if ours:
        one.feed()
    one.at("09:30:00").match("FPT", "88000")
    one.feed_is("LIVE")
    return one


@pytest.mark.parametrize("state", ["DOWN", "CONNECTING"])
def test_a_feed_that_goes_away_is_critical(state):
    (row,) = market().feed_is(state)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.FEED, AlertState.BEGIN)
    assert (row["severity"], row["feed_state"]) == (Severity.CRITICAL, FeedState[state])
    assert row["symbol_id"] == FEED_ID


def test_a_feed_that_is_stale_for_its_phase_is_a_warning():
    (row,) = market().feed_is("STALE")
    assert (row["severity"], row["feed_state"]) == (Severity.WARNING, FeedState.STALE)


def test_a_reconnect_is_info_and_says_how_long_it_took():
    one = market()
    one.feed_is("DOWN")
    one.at("09:30:20").feed_is("CONNECTING")
    (row,) = one.at("09:31:00").feed_is("LIVE")
    assert (row["alert_state"], row["severity"]) == (AlertState.END, Severity.INFO)
    assert (row["feed_state"], row["duration_s"]) == (FeedState.LIVE, 60)


def test_a_first_connection_is_no_outage():
    one = Market()
    one.feed()
    for state in ("DOWN", "CONNECTING", "LIVE"):
        assert one.feed_is(state) == []


def test_closing_time_ends_an_outage_in_silence():
    one = market()
    one.feed_is("DOWN")
    assert one.feed_is("CLOSED") == []
    assert one.feed_is("LIVE") == []


def test_what_is_worse_is_no_repeat_and_what_is_not_is_one():
    one = market()
    assert len(one.feed_is("STALE")) == 1
    assert len(one.at("09:30:10").feed_is("DOWN")) == 1
    assert one.at("09:30:20").feed_is("STALE") == []
    assert len(one.at("09:30:30").feed_is("LIVE")) == 1


def test_only_the_shard_that_knows_the_feed_tells_of_it():
    one = market(ours=False)
    assert one.feed_is("DOWN") == []
    assert one.lost(5) == []


def test_its_time_is_the_markets():
    one = market()
    one.received_ns += 5 * 10**9
    (row,) = one.feed_is("DOWN")
    assert row["exch_s"] == one.stamp + 5


def test_rest_speaks_of_other_times_and_moves_no_clock():
    one = market()
    now = one.stamp
    one.at("14:00:00").reference("FPT", "94100", "81900")
    one.received_ns = now * 10**9
    (row,) = one.at("09:30:00").feed_is("DOWN")
    assert row["exch_s"] == now


def test_frames_that_we_dropped_are_told():
    (row,) = market().lost(12)
    assert (row["alert_state"], row["severity"]) == (AlertState.NONE, Severity.WARNING)
    assert (row["measured"], row["count"], row["gap_cause"]) == (12, 12, GapCause.LOST)


def test_a_gap_that_opens_is_a_warning_of_its_symbol_and_its_closing_is_info():
    one = market()
    (row,) = one.match("FPT", "88000", 100, skipped=700)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.FEED, AlertState.BEGIN)
    assert (row["severity"], row["symbol_id"]) == (Severity.WARNING, one.ids["FPT"])
    assert (row["gap_no"], row["gap_cause"]) == (1, GapCause.SKIPPED)
    assert row["volume_shares"] == 700
    (row,) = one.late("FPT", "88000", 700, 800)
    assert (row["alert_state"], row["severity"]) == (AlertState.END, Severity.INFO)
    assert (row["gap_no"], row["volume_shares"], row["duration_s"]) == (1, 700, 0)


def test_volume_that_no_match_told_opens_a_gap_too():
    (row,) = market().untold("FPT", "88000", 300)
    assert row["gap_cause"] == GapCause.UNTOLD


def test_gaps_of_a_baseline_an_outage_or_lost_frames_have_no_alert_of_their_own():
    one = Market()
    one.symbol("FPT")
    assert one.untold("FPT", "88000", 300) == []
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    assert one.match("FPT", "88000", 100, skipped=300) == []
    one.lost(3)
    assert one.match("FPT", "88000", 100, skipped=300) == []


def test_only_a_gap_that_was_told_is_ended():
    one = market()
    one.match("FPT", "88000", 100, skipped=700)
    assert one.at("09:30:30").match("FPT", "88000", 100, skipped=300) == []
    assert one.at("09:40:00").bar("FPT", 2, "09:30:30", 500) == []
    assert len(one.bar("FPT", 1, "09:30:00", 500)) == 1


def test_the_last_four_gaps_that_were_told_are_remembered():
    one = market()
    for minute in range(31, 36):
        assert len(one.at(f"09:{minute}:30").match("FPT", "88000", 100, skipped=300)) == 1
    # the ledger closed the first when the fifth opened; the note named the one that opened
    for gap_no, minute in ((2, 32), (3, 33), (4, 34), (5, 35)):
        (row,) = one.bar("FPT", gap_no, f"09:{minute}:30", 500)
        assert row["gap_no"] == gap_no


def test_a_gap_of_yesterday_is_not_ended_by_todays_of_the_same_number():
    one = market()
    assert len(one.match("FPT", "88000", 100, skipped=700)) == 1
    one.on("2021-07-16")
    one.at("09:30:00").untold("FPT", "88000", 300)  # gap 1 of today, of a baseline
    assert one.bar("FPT", 1, "09:30:00", 300) == []

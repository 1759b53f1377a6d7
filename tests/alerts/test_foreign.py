"""The rules foreign_acceleration and room_exhausted, case by case."""

import pytest

from engine.schema.codes import AlertState, AlertType, Severity
from tests.alerts.market import Market

BN = 10**9


def market(**thresholds: int) -> Market:
    """Return a market whose foreigners bought 4 bn net since the day began with nothing."""
    one = Market(**thresholds)
    one.symbol("FPT")
    one.at("09:00:00").foreign("FPT", room=10_000, total=50_000)
    one.foreign("FPT", buy=4)
    one.at("09:20:00").book("FPT", "88000x100")
    return one


def types(rows):
    """Return what the rows are about."""
    return [row["alert_type"] for row in rows]


def test_a_change_above_thirty_percent_of_the_value_five_minutes_ago_is_told():
    assert market().foreign("FPT", buy=1.2) == []
    (row,) = market().foreign("FPT", buy=1.200000001)
    assert row["alert_type"] == AlertType.FOREIGN_ACCELERATION
    assert (row["severity"], row["alert_state"]) == (Severity.WARNING, AlertState.NONE)
    assert row["value_vnd"] == 5_200_000_001
    assert (row["measured"], row["threshold"]) == (1_200_000_001, 1_200_000_000)
    assert row["volume_shares"] == 1_200_000_001 // 50_000


def test_selling_counts_like_buying():
    (row,) = market().foreign("FPT", sell=1.3)
    assert (row["value_vnd"], row["measured"]) == (2_700_000_000, -1_300_000_000)


def test_the_value_five_minutes_ago_is_at_least_one_billion():
    one = Market()
    one.symbol("FPT")
    one.at("09:00:00").foreign("FPT")
    one.foreign("FPT", buy=0.999)
    assert one.at("09:20:00").foreign("FPT", buy=50) == []
    assert one.at("09:21:00").foreign("FPT", buy=1) == []
    assert types(one.at("09:30:00").foreign("FPT", buy=50)) == [AlertType.FOREIGN_ACCELERATION]


def test_never_from_a_baseline():
    one = Market()
    one.symbol("FPT")
    assert one.at("09:30:00").foreign("FPT", buy=40) == []
    assert one.at("09:34:59").foreign("FPT", buy=40) == []


def test_a_reset_is_a_baseline():
    one = market()
    assert one.foreign("FPT", bought_so_far=3) == []
    assert one.at("09:24:59").foreign("FPT", buy=3) == []
    assert types(one.at("09:25:00").foreign("FPT")) == [AlertType.FOREIGN_ACCELERATION]


def test_a_feed_that_brought_a_trade_was_here_whatever_it_said_of_itself():
    one = market()
    one.match("FPT", "88000")
    one.feed_is("DOWN")
    assert one.at("11:00:00").foreign("FPT", buy=40) == []


def test_the_flow_of_an_outage_is_not_the_flow_of_five_minutes():
    one = market()
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    assert one.at("11:00:00").foreign("FPT", buy=40) == []
    assert one.at("11:04:59").foreign("FPT", buy=40) == []


def test_it_fires_once_and_again_only_after_it_has_calmed_down():
    one = market()
    assert len(one.foreign("FPT", buy=2)) == 1
    assert one.at("09:22:00").foreign("FPT", buy=2) == []
    # 80 % of 30 % of 4 bn is 960 m: at 09:25 the first 2 bn leave the window
    assert one.at("09:26:00").foreign("FPT", sell=1) == []
    assert one.at("09:26:30").foreign("FPT", sell=0.1) == []
    (row,) = one.at("09:26:40").foreign("FPT", sell=2.9)
    assert row["alert_no"] == 2


def test_silence_calms_down_too():
    one = market()
    assert len(one.foreign("FPT", buy=2)) == 1
    assert len(one.at("09:40:00").foreign("FPT", buy=3)) == 1
    told = market()
    assert len(told.foreign("FPT", buy=2)) == 1
    told.at("09:40:00").book("FPT", "88000x100")
    assert len(told.foreign("FPT", buy=3)) == 1


def test_only_foreign_messages_fire():
    one = Market()
    one.symbol("FPT")
    one.at("09:00:00").foreign("FPT", buy=4)
    one.at("09:04:00").foreign("FPT", buy=4)
    assert one.at("09:05:30").book("FPT", "88000x100") == []
    assert one.match("FPT", "88000") == []


def test_room_that_reaches_zero_is_critical_and_room_that_is_back_is_info():
    one = market()
    (gone,) = one.foreign("FPT", room=0)
    assert (gone["alert_type"], gone["alert_state"]) == (
        AlertType.ROOM_EXHAUSTED,
        AlertState.BEGIN,
    )
    assert gone["severity"] == Severity.CRITICAL
    assert one.foreign("FPT", buy=0.1) == []
    back, soon = one.at("09:21:40").foreign("FPT", room=300)
    assert soon["alert_state"] == AlertState.SOON  # 9,700 used in five minutes
    assert (back["alert_state"], back["severity"]) == (AlertState.END, Severity.INFO)
    assert (back["duration_s"], back["volume_shares"]) == (100, 300)


def test_a_room_of_zero_from_the_start_of_a_day_is_no_news():
    one = Market()
    one.symbol("FPT")
    assert one.foreign("FPT", buy=1, room=0, total=50_000) == []
    assert one.at("09:30:00").foreign("FPT", room=10) == []
    assert len(one.at("09:31:00").foreign("FPT", room=0)) == 1


def test_a_zero_snapshot_is_no_room_and_no_alert():
    one = market()
    assert one.foreign("FPT", room=0, total=0) == []


def test_never_from_the_first_message_after_an_outage():
    one = market()
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    assert one.foreign("FPT", room=0) == []
    assert one.at("09:40:00").foreign("FPT", room=10) == []  # its BEGIN was not told


def test_room_predicted_to_end_within_thirty_minutes_is_a_warning():
    # 1,500 used in five minutes: 8,500 last 1,700 s
    (row,) = market().foreign("FPT", room=8_500)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.ROOM_EXHAUSTED, AlertState.SOON)
    assert (row["severity"], row["volume_shares"]) == (Severity.WARNING, 8_500)
    assert (row["measured"], row["threshold"]) == (1_700, 1_800)


@pytest.mark.parametrize(("room", "fires"), [(8_571, 1), (8_572, 0)])
def test_the_prediction_is_rounded_up(room, fires):
    """8,571 x 300 / 1,429 is 1,799.4 s, 8,572 x 300 / 1,428 is 1,800.8 s."""
    assert len(market().foreign("FPT", room=room)) == fires


def test_a_prediction_needs_five_minutes_of_watching():
    one = Market()
    one.symbol("FPT")
    one.at("09:00:00").foreign("FPT", room=10_000, total=50_000)
    assert one.at("09:04:59").foreign("FPT", room=5_000) == []
    assert len(one.at("09:05:00").foreign("FPT", room=4_999)) == 1


def test_room_that_was_gone_and_is_back_can_end_soon_again():
    one = market()
    assert len(one.foreign("FPT", room=8_500)) == 1
    assert len(one.foreign("FPT", room=0)) == 1
    rows = one.at("09:21:30").foreign("FPT", room=500)
    assert [row["alert_state"] for row in rows] == [AlertState.END, AlertState.SOON]


def test_a_prediction_is_told_once_until_it_is_far_again():
    one = market()
    assert len(one.foreign("FPT", room=8_500)) == 1
    assert one.at("09:22:00").foreign("FPT", room=8_000) == []
    # 1,500 leave the window: 500 used of 8,000 are 4,800 s; 1,800 of them are less than 80 %
    one.at("09:26:00").book("FPT", "88000x100")
    assert len(one.at("09:26:10").foreign("FPT", room=6_000)) == 1

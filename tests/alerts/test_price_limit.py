"""The rule price_limit, case by case; the story is in tests/tables/alerts_price_limit.txt."""

from engine.schema.codes import AlertState, AlertType, LimitState, Severity
from tests.alerts.market import Market


def market() -> Market:
    """Return a market with one stock between its limits."""
    one = Market()
    one.symbol("FPT")
    one.limit("FPT", "94100", "81900")
    one.at("09:30:00")
    assert one.match("FPT", "88000") == []
    return one


def test_entering_the_ceiling_or_the_floor_is_critical():
    for price, state in (("94100", LimitState.CEILING), ("81900", LimitState.FLOOR)):
        (row,) = market().match("FPT", price, 700)
        assert (row["alert_type"], row["alert_state"]) == (AlertType.PRICE_LIMIT, AlertState.BEGIN)
        assert (row["severity"], row["limit_state"]) == (Severity.CRITICAL, state)
        assert row["price_e2"] == row["level_e2"] == int(price) * 100
        assert (row["volume_shares"], row["count"]) == (700, 1)


def test_one_alert_per_limit_entry_and_not_one_per_tick():
    one = market()
    assert len(one.match("FPT", "94100")) == 1
    for minute in range(31, 59):
        assert one.at(f"09:{minute}:00").match("FPT", "94100") == []
        assert one.book("FPT", f"94100x{minute}00") == []


def test_leaving_a_limit_is_a_warning_with_the_queue_that_was_hit():
    one = market()
    one.match("FPT", "94100")
    one.book("FPT", "94100x120000,94000x5")
    (row,) = one.at("09:42:00").match("FPT", "94000", 13_000)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.PRICE_LIMIT, AlertState.END)
    assert (row["severity"], row["limit_state"]) == (Severity.WARNING, LimitState.CEILING)
    assert (row["price_e2"], row["level_e2"]) == (9_400_000, 9_410_000)
    assert (row["volume_shares"], row["duration_s"]) == (120_000, 720)


def test_an_entry_that_was_not_told_is_not_ended():
    one = market()
    one.match("FPT", "94100")
    one.at("09:30:10").match("FPT", "94000")
    assert one.at("09:30:20").match("FPT", "94100") == []  # within a minute
    assert one.at("09:45:00").match("FPT", "94000") == []


def test_an_entry_that_was_a_repeat_and_lasts_is_told_when_the_repeat_time_is_over():
    one = market()
    one.match("FPT", "94100")
    one.at("09:30:10").match("FPT", "94000")
    assert one.at("09:30:40").match("FPT", "94100", 700) == []
    assert one.at("09:30:59").match("FPT", "94100", 200) == []
    assert one.at("09:31:00").reference("FPT", "94100", "81900") == []  # REST is no clock
    (row,) = one.book("FPT", "94100x5000")
    assert (row["alert_state"], row["limit_state"]) == (AlertState.BEGIN, LimitState.CEILING)
    assert row["price_e2"] == row["level_e2"] == 9_410_000
    assert (row["volume_shares"], row["count"]) == (900, 2)
    assert one.at("09:40:00").match("FPT", "94100") == []
    (row,) = one.at("09:40:40").match("FPT", "94000")
    assert (row["alert_state"], row["duration_s"]) == (AlertState.END, 600)


def test_an_entry_that_was_found_is_not_told_late():
    one = market()
    one.match("FPT", "94100")
    one.at("09:30:10").match("FPT", "94000", 900)
    assert one.at("09:30:40").correct("FPT", "94100", 100) == []
    assert one.at("09:45:00").match("FPT", "94100") == []


def test_never_from_a_baseline():
    one = Market()
    one.symbol("FPT")
    one.limit("FPT", "94100", "81900")
    one.totals["FPT"] = 5_000
    assert one.match("FPT", "94100") == []
    assert one.match("FPT", "94000") == []


def test_a_limit_that_is_told_after_the_price_was_found_not_entered():
    one = Market()
    one.symbol("FPT")
    one.match("FPT", "94100")
    assert one.reference("FPT", "94100", "81900") == []
    one.on("2021-07-16")
    one.limit("FPT", "0", "0")
    one.match("FPT", "87700")
    one.limit("FPT", "87700", "76300")
    assert one.match("FPT", "87700") == []


def test_never_from_a_correction_or_a_repeat():
    one = market()
    one.match("FPT", "88000", 900)
    assert one.at("09:31:00").correct("FPT", "94100", 100) == []
    again = market()
    total = again.totals["FPT"]
    assert again.send(again.trade("FPT", "94100", 100, total)) == []


def test_limits_of_yesterday_never_leak():
    one = market()
    one.on("2021-07-16")
    one.limit("FPT", "0", "0")
    assert one.match("FPT", "94100") == []


def test_a_price_found_at_its_limit_after_an_outage_is_told_because_it_is_true_now():
    one = market()
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    assert len(one.untold("FPT", "94100", 5_000)) == 1
    same = market()
    same.match("FPT", "94100")
    same.feed_is("LIVE")
    same.feed_is("DOWN")
    assert same.at("09:50:00").untold("FPT", "94100", 5_000) == []  # it was there before


def test_the_first_message_of_the_day_after_an_outage_is_still_a_baseline():
    one = market()
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    one.on("2021-07-16")
    assert one.untold("FPT", "94100", 5_000) == []


def test_from_one_limit_to_the_other_is_an_end_and_a_begin():
    one = market()
    one.match("FPT", "94100")
    end, begin = one.at("09:40:00").match("FPT", "81900")
    assert (end["alert_state"], end["limit_state"]) == (AlertState.END, LimitState.CEILING)
    assert (begin["alert_state"], begin["limit_state"]) == (AlertState.BEGIN, LimitState.FLOOR)
    assert (end["alert_no"], begin["alert_no"]) == (2, 3)

"""The rule halt, case by case; the story is in tests/tables/alerts_halt.txt."""

import pytest

from engine.schema.codes import AlertState, AlertType, FeedSession, Phase, Severity, SlotKind
from tests.alerts.market import Market


def market() -> Market:
    """Return a market with one stock that trades."""
    one = Market()
    one.symbol("FPT")
    one.at("09:30:00")
    assert one.match("FPT", "88000") == []
    return one


@pytest.mark.parametrize("word", ["H", "S", "SA"])
def test_a_status_of_halt_or_suspension_is_critical(word):
    (row,) = market().status("FPT", word)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.HALT, AlertState.BEGIN)
    assert (row["severity"], row["phase"]) == (Severity.CRITICAL, Phase.HALT)


def test_the_session_word_halts_too():
    one = market()
    halted = one.message(SlotKind.QUOTE, "FPT", session=FeedSession.HALT)
    assert len(one.send(halted)) == 1


def test_back_to_trading_is_info_and_says_how_long_it_was():
    one = market()
    one.status("FPT", "H")
    (row,) = one.at("09:42:30").status("FPT", "N")
    assert (row["alert_state"], row["severity"]) == (AlertState.END, Severity.INFO)
    assert (row["duration_s"], row["phase"]) == (750, Phase.CONTINUOUS)


def test_the_sessions_own_end_is_no_resumption():
    one = market()
    one.status("FPT", "H")
    assert one.at("15:05:00").status("FPT", "N") == []
    assert len(one.at("15:06:00").status("FPT", "H")) == 1


def test_the_first_message_of_a_day_in_halt_is_told():
    one = Market()
    one.symbol("FPT")
    assert len(one.at("08:30:00").status("FPT", "S")) == 1
    one.on("2021-07-16")
    assert len(one.at("08:30:00").status("FPT", "S")) == 1


def test_a_new_day_without_a_halt_is_no_resumption():
    one = market()
    one.status("FPT", "H")
    one.on("2021-07-16")
    assert one.at("09:00:00").status("FPT", "N") == []


def test_a_halt_that_was_a_repeat_and_lasts_is_told_when_the_repeat_time_is_over():
    one = market()
    one.status("FPT", "H")
    one.at("09:30:20").status("FPT", "N")
    assert one.at("09:30:40").status("FPT", "H") == []
    assert one.at("09:30:59").book("FPT", "88000x100") == []
    (row,) = one.at("09:31:30").book("FPT", "88000x200")
    assert (row["alert_type"], row["alert_state"]) == (AlertType.HALT, AlertState.BEGIN)
    assert one.at("09:40:00").book("FPT", "88000x300") == []
    (row,) = one.at("09:40:40").status("FPT", "N")
    assert (row["alert_state"], row["duration_s"]) == (AlertState.END, 600)


def test_a_match_says_nothing_about_halts():
    """Its phase is the match's: what was matched was not halted then, and may be again now."""
    one = market()
    one.status("FPT", "H")
    assert one.at("09:31:00").match("FPT", "88000") == []
    assert one.at("09:32:00").book("FPT", "88000x100") == []


def test_an_odd_lot_or_a_bar_says_nothing_about_halts():
    one = market()
    for kind in (SlotKind.ODD_LOT, SlotKind.BAR):
        assert one.send(one.message(kind, "FPT", session=FeedSession.HALT)) == []

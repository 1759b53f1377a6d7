"""Time as data: the exchange's day and text."""

import pytest

from engine.clock import ManualClock, SystemClock, iso_ict, trade_day


@pytest.mark.parametrize(
    ("exch_s", "text", "day"),
    [
        (1626314400, "2021-07-15T09:00:00+07:00", 18823),
        (1626281999, "2021-07-14T23:59:59+07:00", 18822),
        (1626282000, "2021-07-15T00:00:00+07:00", 18823),
    ],
)
def test_exchange_time_is_read_in_vietnam(exch_s: int, text: str, day: int) -> None:
    assert iso_ict(exch_s) == text
    assert trade_day(exch_s) == day


def test_manual_clock_stands_still_until_told() -> None:
    clock = ManualClock(5)
    assert clock.now_ns() == clock.now_ns() == 5
    clock.advance_ns(10)
    assert clock.now_ns() == 15
    with pytest.raises(AssertionError, match="back by 1 ns"):
        clock.advance_ns(-1)


def test_system_clock_moves_forward() -> None:
    clock = SystemClock()
    assert clock.now_ns() <= clock.now_ns()

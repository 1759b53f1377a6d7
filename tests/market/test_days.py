"""The trading calendar."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market.days import (
    calendar_known,
    is_trading_day,
    next_trading_day,
    previous_trading_day,
)

D = dt.date.fromisoformat

TRADED = """
2021-07-15  the real day of data/market-day-2021-07-15.csv
2023-08-14  official samples
2023-08-15  official sample of TAR
2024-06-27  capture of VN30F2407
2025-02-18  official odd-lot sample
2025-05-05  KRX goes live
2025-12-03  capture of SSI
2026-01-02  HNX notice
2026-03-19  capture of 41I1G4000
2026-08-14  captures of SSI
2026-08-26  public whole-market measurement
"""

CLOSED = """
2021-02-12  Tet
2021-09-02  National Day
2022-05-03  instead of Sunday 1 May
2023-01-02  instead of Sunday 1 January
2023-01-26  Tet
2023-09-04  National Day
2024-02-08  Tet
2024-02-14  Tet
2025-05-01  Labour Day
2026-01-01  New Year
2026-02-16  Tet
2026-02-20  Tet
2026-04-27  Hung Kings, for Sunday
2026-04-30  Reunification Day
2026-05-01  Labour Day
2026-08-31  National Day
2026-09-02  National Day
2026-08-22  a make-up working Saturday
2026-08-23  Sunday
"""


def _dates(table):
    return [D(line.split()[0]) for line in table.strip().splitlines()]


@pytest.mark.parametrize("date", _dates(TRADED), ids=str)
def test_days_that_traded(date):
    assert is_trading_day(date)


@pytest.mark.parametrize("date", _dates(CLOSED), ids=str)
def test_days_that_did_not(date):
    assert not is_trading_day(date)


@pytest.mark.parametrize(
    ("year", "trading_days"),
    [
        # weekdays of the year less the weekdays its holidays took, counted on a calendar
        (2021, 261 - 11),
        (2022, 260 - 11),
        (2023, 260 - 11),
        (2024, 262 - 12),
        (2025, 261 - 12),
        (2026, 261 - 12),
    ],
)
def test_trading_days_in_a_year(year, trading_days):
    days = (dt.date(year, 1, 1) + dt.timedelta(days=i) for i in range(366))
    assert sum(is_trading_day(day) for day in days if day.year == year) == trading_days


def test_a_year_without_holidays_on_file_says_so():
    assert [year for year in range(2015, 2032) if calendar_known(year)] == [*range(2021, 2027)]
    assert is_trading_day(D("2027-01-01"))  # a guess: only weekends are known there
    assert not is_trading_day(D("2027-01-02"))


@pytest.mark.parametrize(
    ("date", "following", "preceding"),
    [
        ("2021-07-15", "2021-07-16", "2021-07-14"),
        ("2021-07-16", "2021-07-19", "2021-07-15"),
        ("2026-02-17", "2026-02-23", "2026-02-13"),
        ("2026-04-26", "2026-04-28", "2026-04-24"),
        ("2026-09-01", "2026-09-03", "2026-08-28"),
    ],
)
def test_neighbours(date, following, preceding):
    assert next_trading_day(D(date)) == D(following)
    assert previous_trading_day(D(date)) == D(preceding)


@settings(deadline=None, derandomize=True)
@given(st.dates(D("2019-01-01"), D("2030-01-01")))
def test_neighbours_are_trading_days_with_none_between(date):
    following, preceding = next_trading_day(date), previous_trading_day(date)
    assert preceding < date < following
    assert is_trading_day(following)
    assert is_trading_day(preceding)
    between = (preceding + dt.timedelta(days=i) for i in range(1, (following - preceding).days))
    assert [day for day in between if is_trading_day(day)] == [date] * is_trading_day(date)

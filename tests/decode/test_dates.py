"""The exchange's stamp, in both readers."""

import datetime as dt

import numpy as np
import pytest

from engine.decode.dates import BAD_STAMP, DATE_CACHE_CELLS, midnight_s, seconds_of_day, stamp_s
from engine.decode.words import text_word


def scan(date, time):
    """Return the stamp as the scanner reads it."""
    midnight = midnight_s(
        text_word(date[:8].encode()),
        text_word(date[2:].encode()),
        np.zeros(DATE_CACHE_CELLS, np.int64),
    )
    second = seconds_of_day(text_word(time.encode()))
    return BAD_STAMP if BAD_STAMP in (midnight, second) else midnight + second


def test_a_known_stamp():
    assert stamp_s("14/08/2026", "14:45:03") == scan("14/08/2026", "14:45:03") == 1786693503


def midnight(date, cache):
    return midnight_s(text_word(date[:8].encode()), text_word(date[2:].encode()), cache)


def test_every_day_of_the_century():
    cache = np.zeros(DATE_CACHE_CELLS, np.int64)
    day, end = dt.date(2000, 1, 1), dt.date(2100, 1, 1)
    while day < end:
        text = day.strftime("%d/%m/%Y")
        expected = (day - dt.date(1970, 1, 1)).days * 86_400 - 7 * 3600
        assert midnight(text, cache) == expected
        assert cache[2] == expected
        day += dt.timedelta(days=1 if day.month in (2, 3, 12) else 9)


@pytest.mark.parametrize(
    "date",
    [
        "00/01/2026",
        "32/01/2026",
        "29/02/2025",
        "30/02/2024",
        "31/04/2026",
        "01/13/2026",
        "01/00/2026",
        "14/08/1999",
        "14/08/2100",
        "14-08-2026",
        "14/08-2026",
        "1a/08/2026",
        "14/0:/2026",
        "14/08/20x6",
        "14.08/2026",
        "14/08/2026".replace("/", "."),
        "2026/08/14",
        "14/\u0408/206",
        "  /  /    ",
    ],
)
def test_dates_that_are_none(date):
    assert stamp_s(date, "10:00:00") == BAD_STAMP
    if date.isascii():
        assert scan(date, "10:00:00") == BAD_STAMP


@pytest.mark.parametrize(
    "time",
    [
        "24:00:00",
        "23:60:00",
        "23:59:60",
        "9:15:010",
        "09.15.01",
        "09:15;01",
        "0a:15:01",
        "-1:00:00",
        "09:15:0:",
        "        ",
    ],
)
def test_times_that_are_none(time):
    assert stamp_s("14/08/2026", time) == scan("14/08/2026", time) == BAD_STAMP


def test_a_bad_date_does_not_stay_in_the_cache():
    cache = np.zeros(DATE_CACHE_CELLS, np.int64)
    for text, expected in (
        ("14/08/2026", 1786640400),
        ("99/99/9999", BAD_STAMP),
        ("14/08/2026", 1786640400),
    ):
        assert midnight(text, cache) == expected

"""The stamp of v3, in both readers."""

import datetime as dt
import json

import numpy as np
import pytest

from engine.decode.dates import BAD_STAMP, DATE_CACHE_CELLS
from engine.decode.numbers import DECLINED
from engine.decode.v3_dates import FIRST_S, LAST_S, midnight_of, read_stamp, stamp_of
from engine.decode.words import text_word, words_over
from tests.oracle.decode_v3 import RECV_NS

STAMP = 1786693503  # 2026-08-14T14:45:03+07:00


def scan(raw, cache=None, recv_ns=RECV_NS):
    """Return the stamp as the scanner reads it, or None when it leaves it to the oracle."""
    text = json.dumps(raw, ensure_ascii=False).encode()
    data = np.frombuffer(text + b",............................", np.uint8)
    cache = np.zeros(DATE_CACHE_CELLS, np.int64) if cache is None else cache
    stamp, at = read_stamp(words_over(data), 0, len(data), recv_ns, cache)
    if at == DECLINED:
        return None
    assert at == len(text)
    return stamp


@pytest.mark.parametrize(
    ("raw", "scanned"),
    [
        ("2026/08/14 14:45:03", True),
        ("2026-08-14 14:45:03", True),
        ("2026-08-14T14:45:03", True),
        ("2026/08/14T14:45:03", True),
        ("2026-08-14 14:45:03.9", True),
        ("2026-08-14T14:45:03.123456789", True),
        ("14/08/2026 14:45:03", True),
        ("14:45:03", True),
        (1786693503, True),
        (1786693503123, True),
        ("1786693503", False),
        ("1786693503999", False),
        (1786693503.75, False),
        (1786693503999.5, False),
        ("2026-08-14T07:45:03Z", False),
        ("2026-08-14T07:45:03.5Z", False),
        ("2026-08-14T14:45:03+07:00", False),
        ("2026-08-14T02:15:03-05:30", False),
    ],
)
def test_every_form_of_one_moment(raw, scanned):
    assert stamp_of(raw, RECV_NS) == STAMP
    assert scan(raw) == (STAMP if scanned else None)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        True,
        [],
        {},
        "",
        "now",
        "2026/08-14 14:45:03",
        "2026.08.14 14:45:03",
        "2026/8/14 14:45:03",
        "2026/02/29 14:45:03",
        "2026/13/01 14:45:03",
        "2026/00/10 14:45:03",
        "2026/08/0: 14:45:03",
        "2026/08/:0 14:45:03",
        "1999/12/31 14:45:03",
        "2100/01/01 14:45:03",
        "2026/08/14_14:45:03",
        "2026/08/14 24:45:03",
        "2026/08/14 14:60:03",
        "2026/08/14 14:45:03.",
        "2026/08/14 14:45:03.1234567890",
        "2026/08/14 14:45:03 ",
        "2026/08/14 14:45",
        "2026/08/14",
        "2026-08-14T14:45:03+7",
        "2026-08-14T14:45:03+24:00",
        "14-08-2026 14:45:03",
        "24:00:00",
        "14:45:03.5",
        "1a:45:03",
        "\u0662026/08/14 14:45:03",
        "١٤:45:03",
        "01786693503",
        "-1",
        0,
        -5,
        20260814144503,
        10**30,
        1e300,
        float("inf"),
        float("nan"),
        4102444800,  # 2100
        946659599,  # a second before 2000 in ICT
    ],
)
def test_what_is_no_stamp(raw):
    assert stamp_of(raw, RECV_NS) == BAD_STAMP
    assert scan(raw) is None


def test_the_first_and_the_last_second():
    for text, expected in (("2000/01/01 00:00:00", FIRST_S), ("2099/12/31 23:59:59", LAST_S)):
        assert stamp_of(text, 0) == scan(text) == expected
        assert stamp_of(expected, 0) == scan(expected) == expected
    assert stamp_of(FIRST_S - 1, 0) == stamp_of(LAST_S + 1, 0) == BAD_STAMP


def test_a_time_alone_is_of_the_day_the_frame_arrived_in_ict():
    for moment, day in (("2026-08-14T16:59:59+00:00", 14), ("2026-08-14T17:00:00+00:00", 15)):
        recv_ns = int(dt.datetime.fromisoformat(moment).timestamp()) * 10**9
        expected = stamp_of(f"2026/08/{day} 09:15:00", 0)
        assert stamp_of("09:15:00", recv_ns) == scan("09:15:00", recv_ns=recv_ns) == expected
    assert stamp_of("03:00:00", 1_000) == BAD_STAMP  # a clock that was never set
    assert scan("03:00:00", recv_ns=1_000) is None


def test_every_day_of_the_century_in_every_form():
    cache = np.zeros(DATE_CACHE_CELLS, np.int64)
    day, end = dt.date(2000, 1, 1), dt.date(2100, 1, 1)
    while day < end:
        expected = (day - dt.date(1970, 1, 1)).days * 86_400 - 7 * 3600
        for form in ("%Y/%m/%d", "%Y-%m-%d", "%d/%m/%Y"):
            text = day.strftime(form).encode()
            assert midnight_of(text_word(text[:8]), text_word(text[2:]), cache) == expected
            assert cache[2] == expected
        day += dt.timedelta(days=1 if day.month in (2, 3, 12) else 9)


def test_a_bad_date_does_not_stay_in_the_cache():
    cache = np.zeros(DATE_CACHE_CELLS, np.int64)
    for raw, expected in (
        ("2026/08/14 14:45:03", STAMP),
        ("2026/99/14 14:45:03", None),
        ("2026/08/14 14:45:03", STAMP),
    ):
        assert scan(raw, cache) == expected

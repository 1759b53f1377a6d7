"""What REST's text means."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.feed.rest_values import (
    BadRow,
    Junk,
    code,
    line,
    midnight_s,
    price_e2,
    second_of_day,
    v2_date,
    v3_dates,
    venue,
    whole,
)
from engine.schema.codes import Venue
from engine.schema.slots import PRICE_E2_MAX


@pytest.mark.parametrize(
    ("raw", "e2"),
    [
        ("28600", 2_860_000),
        ("28600.0", 2_860_000),
        ("1290.35", 129_035),
        ("1290.3", 129_030),
        (" 1,290.3 ", 129_030),
        ("0.29", 29),  # 0.29 * 100 is 28.999999999999996 as a double
        ("1.005", 101),  # a half goes up; as a double it is below a half
        ("1.0049999999999999999999999999", 100),
        ("0", 0),
        ("", 0),
        (" ", 0),
        ("NaN", 0),
        (None, 0),
        (1380.3, 138_030),
        (1199, 119_900),
        ("20000000", PRICE_E2_MAX),
    ],
)
def test_a_price_is_exact_hundredths(raw, e2):
    assert price_e2(raw) == e2


@pytest.mark.parametrize(
    "raw",
    ["-1", "abc", "1e5", "1_000", "0x10", "\u0967", "20000000.01", "9" * 21, True, [], 1e300],
)
def test_what_is_no_price_is_refused(raw):
    with pytest.raises(BadRow):
        price_e2(raw)


@given(st.integers(0, PRICE_E2_MAX))
def test_every_price_of_two_decimals_survives(e2):
    text = f"{e2 // 100}.{e2 % 100:02}"
    assert price_e2(text) == price_e2(f"{text}0000") == e2
    assert price_e2(float(text)) == e2


def test_a_count_is_whole():
    assert [whole(raw, 10**14) for raw in ("1501130137", "1,501,130,137.0", 100, None, "")] == [
        1_501_130_137,
        1_501_130_137,
        100,
        0,
        0,
    ]
    for raw in ("0.5", "-1", "1001", "x"):
        with pytest.raises(BadRow):
            whole(raw, 1_000)


@pytest.mark.parametrize("raw", ["SSI", "41I1G4000", "VN30F1M", "E1VFVN30", "A.B_C-D", " ssi "])
def test_a_symbol(raw):
    assert code(raw) == raw.strip().upper()


@pytest.mark.parametrize(
    "raw", ["0.8536:", "", None, 5, "A" * 17, "A B", "Ă", "SSI\n.", "\u017fsi"]
)
def test_no_symbol(raw):  # the last one is a letter that upper-cases to S
    with pytest.raises(BadRow):
        code(raw)


def test_text_is_one_composed_line():
    assert line("  Ngân\thàng\n ", 96) == "Ngân hàng"
    assert line("Co\u0302ng ty", 96) == "Công ty"
    assert line("a\0b", 96) == "a b"
    assert line("a\ud800b", 96).isascii()
    assert line(None, 96) == line(7, 96) == ""


def test_text_is_cut_between_characters():
    name = "Cổ phần"  # ổ is three bytes
    assert [line(name, size) for size in (1, 2, 3, 4, 5)] == ["C", "C", "C", "Cổ", "Cổ"]


@given(st.text(), st.integers(0, 40))
def test_text_always_fits_and_stays_text(text, size):
    cut = line(text, size)
    assert len(cut.encode()) <= size
    assert line(cut, size) == cut


def test_venues_of_rest_and_of_the_stream():
    assert venue("DER") is venue("DERIVATIVES") is venue("MOON", None, "der") is Venue.DERIVATIVES
    assert venue() is venue("MOON") is venue(None, 3) is Venue.UNKNOWN


def test_dates_of_v2():
    assert v2_date("19/01/2023") == v2_date(" 19/01/2023 08:00:05") == dt.date(2023, 1, 19)
    for raw in ("2023/01/19", "31/02/2023", "19/01/20231", "19/01/1999", "", None, 19012023):
        with pytest.raises(BadRow):
            v2_date(raw)


def test_dates_of_v3_may_have_two_readings():
    assert v3_dates("2026/08/14 09:15:00") == v3_dates("2026-08-14") == (dt.date(2026, 8, 14),)
    assert v3_dates("14/08/2026") == v3_dates("08/14/2026") == (dt.date(2026, 8, 14),)
    assert v3_dates("03/02/2026") == (dt.date(2026, 3, 2), dt.date(2026, 2, 3))
    assert v3_dates("02/02/2026") == (dt.date(2026, 2, 2),)
    assert v3_dates("31/31/2026") == v3_dates("soon") == v3_dates(None) == ()


def test_times():
    assert second_of_day("14:45:04") == 14 * 3600 + 45 * 60 + 4
    assert second_of_day("09:15:00.250") == 9 * 3600 + 15 * 60
    for raw in ("24:00:00", "9:15:00", "", None, "14:60:00"):
        with pytest.raises(BadRow):
            second_of_day(raw)


def test_a_day_begins_at_midnight_in_vietnam():
    start = dt.datetime.fromtimestamp(midnight_s(dt.date(2026, 8, 14)), dt.UTC)
    assert start == dt.datetime(2026, 8, 13, 17, 0, tzinfo=dt.UTC)


def test_junk_keeps_the_first_sample():
    junk = Junk()
    junk.drop({"Symbol": "0.8536:"}, "no symbol")
    junk.drop({"Symbol": "x" * 10_000}, "no symbol")
    assert (junk.count, junk.sample) == (2, "no symbol: {'Symbol': '0.8536:'}")

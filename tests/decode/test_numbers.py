"""Decimal text to fixed point: one table for both readers."""

import numpy as np
import pytest

from engine.decode.numbers import (
    DECLINED,
    BadValueError,
    fixed_point,
    is_absent,
    read_number,
    signed_fixed_point,
    skip_number,
)
from engine.decode.words import words_over
from engine.schema.codes import Reject

TAIL = b'\\"}"]}]}'  # what always follows a record's closing brace
MAXIMUM = 10**17


def read(text, decimals, follows=b"}"):
    data = np.frombuffer(text.encode() + follows + TAIL, np.uint8)
    value, at = read_number(words_over(data), 0, len(data), decimals)
    assert at in (DECLINED, len(text))
    return DECLINED if at == DECLINED else value


# text -> hundredths, whole: to the nearest, halves away from zero
NUMBERS = """
0                         0                 0
0.0                       0                 0
0.05                      5                 0
0.004                     0                 0
0.005                     1                 0
7                       700                 7
25300.0             2530000             25300
25300               2530000             25300
1283.9               128390              1284
1876.81              187681              1877
24642.228           2464223             24642
24642.225           2464223             24642
24642.2249          2464222             24642
2.5                     250                 3
2.4999                  250                 2
12345678.0       1234567800          12345678
123456789.5     12345678950         123456790
34016200.0       3401620000          34016200
1.10                    110                 1
10000000.01      1000000001          10000000
838234940000.0  83823494000000   838234940000
"""


@pytest.mark.parametrize("line", NUMBERS.strip().splitlines())
def test_both_readers_round_alike(line):
    text, hundredths, whole = line.split()
    for follows in (b"}", b",", b',\\\\\\"K'):
        assert read(text, 2, follows) == int(hundredths)
        assert read(text, 0, follows) == int(whole)
    raw = float(text) if "." in text else int(text)
    for spelling in (raw, text):
        assert fixed_point(spelling, 2, MAXIMUM) == int(hundredths)
        assert fixed_point(spelling, 0, MAXIMUM) == int(whole)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("185028289999.99728", 185028290000),
        ("128454615.60380691", 128454616),
        ("6.099999999999909", 6),
        ("22750.123456789012345", 22750),
    ],
)
def test_long_text_far_from_a_half_is_read(text, whole):
    assert read(text, 0) == whole == fixed_point(float(text), 0, MAXIMUM)


@pytest.mark.parametrize(
    "text",
    [
        "2.49999999999999999",
        "0.50000000000000001",
        "1234567890123456",
        "12345678901234.55",
        "-1.0",
        "-0.0",
        "01",
        "00.0",
        ".5",
        "5.",
        "5.x",
        "1e5",
        "1.0e5",
        "1E+15",
        "+1",
        "x",
        "",
        "0." + "1" * 25,
        "1" * 40,
        "1.5.5",
        '"1"',
        "NaN",
        "null",
    ],
)
def test_the_scanner_declines_what_is_unusual_or_near_a_half(text):
    data = np.frombuffer(text.encode() + b"}" + TAIL, np.uint8)
    _, at = read_number(words_over(data), 0, len(data), 0)
    assert at == DECLINED or at < len(text)  # the caller finds no delimiter there


@pytest.mark.parametrize(
    "text",
    ["0.0", "-2.0", "-6.099999999999909", "24642.228", "7", "-0", "128454615.60380691", "100"],
)
def test_skips_plain_numbers(text):
    data = np.frombuffer(text.encode() + b"}" + TAIL, np.uint8)
    assert skip_number(words_over(data), 0, len(data)) == len(text)


@pytest.mark.parametrize("text", ["-", "--1", "01", "-01", ".5", "5.", "1" * 16, "1." + "1" * 25])
def test_skips_nothing_else(text):
    data = np.frombuffer(text.encode() + b"}" + TAIL, np.uint8)
    assert skip_number(words_over(data), 0, len(data)) == DECLINED


@pytest.mark.parametrize("length", range(1, 17))
def test_never_reads_past_the_end(length):
    data = np.frombuffer(b"1" * 64, np.uint8)
    assert read_number(words_over(data), 0, length, 2)[1] == DECLINED
    assert skip_number(words_over(data), 0, length) == DECLINED


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("x", Reject.BAD_NUMBER),
        ("1_000", Reject.BAD_NUMBER),
        (" 1", Reject.BAD_NUMBER),
        ("0x10", Reject.BAD_NUMBER),
        ("Infinity", Reject.BAD_NUMBER),
        (True, Reject.BAD_NUMBER),
        ({}, Reject.BAD_NUMBER),
        (float("inf"), Reject.BAD_NUMBER),
        (-1, Reject.OUT_OF_RANGE),
        (-0.005, Reject.OUT_OF_RANGE),
        (101, Reject.OUT_OF_RANGE),
        ("1e999999999", Reject.OUT_OF_RANGE),
        ("-1e999999999", Reject.OUT_OF_RANGE),
        ("1e-9999999999999999999999", Reject.OUT_OF_RANGE),
    ],
)
def test_the_oracle_refuses_for_a_reason(raw, reason):
    with pytest.raises(BadValueError) as refused:
        fixed_point(raw, 2, 10_000)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("raw", "value"),
    [(-0.0, 0), (-0.0049, 0), (100, 10_000), (100.004, 10_000), ("1e2", 10_000), ("1E-999999", 0)],
)
def test_the_range_is_checked_after_rounding(raw, value):
    assert fixed_point(raw, 2, 10_000) == value


def test_absent():
    assert all(is_absent(raw) for raw in (None, "", "NaN"))
    assert not any(is_absent(raw) for raw in (0, 0.0, False, "0", "nan", [], {}))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (-32.42, -3242),
        ("-32.42", -3242),
        (32.42, 3242),
        ("-0.005", -1),
        (-0.005, -1),
        ("0.004", 0),
        (-3, -300),
        (0, 0),
        ("-0", 0),
    ],
    ids=repr,
)
def test_a_signed_number_rounds_away_from_zero(raw, value):
    assert signed_fixed_point(raw, 2, MAXIMUM) == value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("--1", Reject.BAD_NUMBER),
        ("-", Reject.BAD_NUMBER),
        ("+1", Reject.BAD_NUMBER),
        (True, Reject.BAD_NUMBER),
        ([], Reject.BAD_NUMBER),
        (-(10**18), Reject.OUT_OF_RANGE),
        ("-1e30", Reject.OUT_OF_RANGE),
        (10**18, Reject.OUT_OF_RANGE),
    ],
)
def test_a_signed_number_is_refused_for_a_reason(raw, reason):
    with pytest.raises(BadValueError) as bad:
        signed_fixed_point(raw, 2, MAXIMUM)
    assert bad.value.reason == reason

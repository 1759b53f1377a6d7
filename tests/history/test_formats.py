"""Answers as text: exact numbers, Vietnam's clock, and nothing that a format cannot hold."""

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.history.formats import csv_bytes, in_words, json_rows, parquet_bytes

MOMENT = datetime(2026, 11, 20, 9, 15)  # noqa: DTZ001 - wall clock, as the history has it


def told(values, kind):
    return json.loads(json_rows(pa.table({"x": pa.array(values, kind)})))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_are_vietnam_s_in_whole_seconds(unit):
    assert told([MOMENT, None], pa.timestamp(unit)) == [
        {"x": "2026-11-20T09:15:00+07:00"},
        {"x": None},
    ]


def test_a_fraction_of_a_second_is_not_dropped():
    half = MOMENT.replace(microsecond=500_000)
    assert told([half], pa.timestamp("us")) == [{"x": "2026-11-20T09:15:00.500000+07:00"}]


def test_no_times_at_all_are_no_trouble():
    assert told([None], pa.timestamp("us")) == [{"x": None}]
    assert told([], pa.timestamp("us")) == []


def test_dates_and_words_are_text():
    assert told([date(2026, 11, 20)], pa.date32()) == [{"x": "2026-11-20"}]
    words = pa.array(["BUY", None, "BUY"]).dictionary_encode()
    assert json.loads(json_rows(pa.table({"x": words}))) == [
        {"x": "BUY"},
        {"x": None},
        {"x": "BUY"},
    ]


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63) + 1])
def test_whole_numbers_are_exact(number):
    assert told([number], pa.int64()) == [{"x": number}]
    assert told([Decimal(number)], pa.decimal128(38, 0)) == [{"x": number}]
    rows = csv_bytes(pa.table({"x": pa.array([number], pa.int64())})).decode()
    assert rows.splitlines()[1] == str(number)


def test_what_64_bits_cannot_hold_is_text():
    assert told([Decimal(2**70)], pa.decimal128(38, 0)) == [{"x": str(2**70)}]
    assert told([Decimal("1.25")], pa.decimal128(10, 2)) == [{"x": "1.25"}]


def test_csv_holds_lists_and_quotes():
    rows = pa.table({"a": [[1, 2], None], "b": ['say "ho"', "x,y"]})
    assert list(csv.reader(io.StringIO(csv_bytes(rows).decode()))) == [
        ["a", "b"],
        ["[1,2]", 'say "ho"'],
        ["", "x,y"],
    ]


def test_csv_without_names():
    assert csv_bytes(pa.table({"a": [1]}), header=False) == b"1\n"


def test_parquet_is_as_it_was():
    rows = pa.table({"time": pa.array([MOMENT], pa.timestamp("us")), "n": [1]})
    assert pq.read_table(io.BytesIO(parquet_bytes(rows))).equals(rows)


def test_what_is_text_already_is_left_alone():
    rows = pa.table({"a": ["x"], "n": [1]})
    assert in_words(rows) is rows

"""Fact tables: what is refused, and which rows are in force when."""

import datetime as dt
from importlib.resources import files

import pytest

from engine.market import facts

NAMES = sorted(
    entry.name.removesuffix(".csv") for entry in files("engine.market").joinpath("data").iterdir()
)


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_row_says_since_when_and_where_from(name):
    rows = facts.read(name)
    assert rows
    for row in rows:
        assert row["source"].strip()
        assert dt.date.fromisoformat(row["effective_from"]) <= dt.date(2026, 12, 31)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a,effective_from,source\n", "no rows"),
        ("a,effective_from,source\n1,2021-01-01,\n", "no source"),
        ("a,effective_from,source\n1,2021-01-01\n", "wrong width"),
        ("a,effective_from,source\n1,2021-01-01,x,y\n", "wrong width"),
        ("a,effective_from,effective_to,source\n1,2021-01-02,2021-01-01,x\n", "ends before"),
    ],
)
def test_a_table_that_breaks_the_rules_is_refused(tmp_path, monkeypatch, text, complaint):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.csv").write_text(text, encoding="utf-8")
    monkeypatch.setattr(facts, "files", lambda _: tmp_path)
    with pytest.raises(AssertionError, match=complaint):
        facts.read("bad")


ROWS = [
    {"rule": "old", "effective_from": "2021-01-01", "effective_to": "2025-05-04"},
    {"rule": "new", "effective_from": "2025-05-05", "effective_to": ""},
]


@pytest.mark.parametrize(
    ("date", "rule"),
    [
        ("1999-01-01", "old"),  # before all facts: the first ones
        ("2021-01-01", "old"),
        ("2025-05-04", "old"),
        ("2025-05-05", "new"),
        ("2099-01-01", "new"),
    ],
)
def test_both_ends_of_a_fact_are_inclusive(date, rule):
    day = facts.day_number(dt.date.fromisoformat(date))
    assert [row["rule"] for row in facts.in_force(ROWS, day)] == [rule]


def test_the_latest_day_sees_the_open_rows():
    assert [row["rule"] for row in facts.in_force(ROWS, facts.LATEST_DAY)] == ["new"]


def test_day_numbers_count_from_1970():
    assert facts.day_number(dt.date(1970, 1, 1)) == 0
    assert facts.day_number(dt.date(2021, 7, 15)) == 18823
    assert facts.date_of(18823) == dt.date(2021, 7, 15)


def test_seconds_of_a_cell():
    assert facts.second_of("14:45") == 53_100
    assert facts.second_of("24:00") == 86_400
    with pytest.raises(AssertionError, match="no such time"):
        facts.second_of("24:01")

"""Read the package's fact tables. The only I/O of engine.market, done once at import."""

import csv
import datetime as dt
from collections.abc import Sequence
from importlib.resources import files

from engine.clock import DAY_S

EPOCH = dt.date(1970, 1, 1)
LATEST_DAY = 2**31 - 1  # "whatever is in force last": the default day of rules that take one

Row = dict[str, str]


def day_number(date: dt.date) -> int:
    """Return days since 1970-01-01, the form in which kernels know a date."""
    return (date - EPOCH).days


def date_of(day: int) -> dt.date:
    """Return the date of a day number."""
    return EPOCH + dt.timedelta(days=day)


def read(name: str) -> list[Row]:
    """Return the rows of ``data/<name>.csv`` in file order; lines starting with # are remarks.

    Every row must name its source and the day it is asserted from: a fact without them is a
    bug of this package, hence assertions and not ConfigError.
    """
    text = files("engine.market").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if line and line[0] != "#"))
    assert rows, f"{name}.csv has no rows"
    for row in rows:
        assert None not in row, f"{name}.csv: wrong width, too many cells: {row}"
        assert None not in row.values(), f"{name}.csv: wrong width, too few cells: {row}"
        assert row["source"], f"{name}.csv: no source: {row}"
        assert first_day(row) <= last_day(row), f"{name}.csv: ends before it starts: {row}"
    return rows


def first_day(row: Row) -> int:
    """Return the day number a row is asserted from."""
    return day_number(dt.date.fromisoformat(row["effective_from"]))


def last_day(row: Row) -> int:
    """Return the last day number a row is asserted for, LATEST_DAY while it is open."""
    end = row.get("effective_to", "")
    return day_number(dt.date.fromisoformat(end)) if end else LATEST_DAY


def change_days(rows: Sequence[Row]) -> list[int]:
    """Return, ascending, every day on which the set of rows in force changes."""
    starts = {first_day(row) for row in rows}
    return sorted(starts | {last_day(row) + 1 for row in rows if last_day(row) != LATEST_DAY})


def in_force(rows: Sequence[Row], day: int) -> list[Row]:
    """Return the rows in force on a day; a day before all facts is given the first ones."""
    day = max(day, change_days(rows)[0])
    return [row for row in rows if first_day(row) <= day <= last_day(row)]


def second_of(text: str) -> int:
    """Return the second of the day of an ``HH:MM`` cell (24:00 allowed)."""
    hours, minutes = text.split(":")
    second = int(hours) * 3600 + int(minutes) * 60
    assert 0 <= second <= DAY_S, f"no such time of day: {text}"
    return second

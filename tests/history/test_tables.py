"""Rows become columns: every table against a naive twin, field by field."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from engine.alerts.sentences import alert_id
from engine.history import tables
from engine.history.tables import ALERTS, BARS, TABLES, column_names, empty, join, to_arrow
from engine.schema import channels
from engine.schema.words import WORDS
from tests.history.days import CODES, any_rows

EPOCH = datetime.fromisoformat("1970-01-01")
INTERVALS = {60: "1m", 300: "5m", 900: "15m", 3600: "1h", 86_400: "1d"}


def naive(table, row) -> dict:
    """Return one row as a dict, the slow way."""
    told = {"symbol": CODES[row["symbol_id"]].decode()}
    stamp = int(row[table.time])
    wall = EPOCH + timedelta(seconds=stamp, hours=7)
    told["time"] = wall if stamp else None
    if table is ALERTS:
        told["id"] = alert_id(row, told["symbol"])
    for name in row.dtype.names:
        if "reserved" in name or name in ("symbol_id", table.time) or row.dtype[name].shape:
            continue
        if table is BARS and (name.startswith("prev_") or name in BARS.dropped):
            continue
        if name == "unplaced_volume_shares":
            continue
        value = row[name].item()
        column = table.columns.get(name, name)
        if name == "interval_s":
            told[column] = INTERVALS[value]
        elif name in WORDS:
            told[column] = WORDS[name](value).name
        elif name.endswith("_day"):
            told[column] = date(1970, 1, 1) + timedelta(days=value) if value else None
        else:
            told[column] = value.decode() if isinstance(value, bytes) else value
    return told


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_becomes_the_columns_its_twin_says(table, seed):
    for channel in table.channels:
        rows = any_rows(table, channel, 200, seed)
        answer = to_arrow(table, channel, rows, CODES)
        assert answer.to_pylist() == [naive(table, row) for row in rows]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_has_symbol_first_day_last_and_no_name_twice(table):
    names = column_names(table)
    assert names[0] == "symbol"
    assert names[-1] == "day"
    assert "time" in names
    assert len(set(names)) == len(names)
    assert set(table.key) <= set(names)
    assert empty(table).num_rows == 0


def test_what_comes_out_shares_no_memory_with_what_went_in():
    rows = any_rows(tables.TRADES, channels.TRADE, 10, 1)
    answer = to_arrow(tables.TRADES, channels.TRADE, rows, CODES)
    before = answer.to_pylist()
    rows.view(np.uint8)[:] = 7
    assert answer.to_pylist() == before


def test_tables_with_other_symbols_join():
    parts = [any_rows(tables.TRADES, channels.TRADE, 5, seed) for seed in (1, 2)]
    joined = join([to_arrow(tables.TRADES, channels.TRADE, part, CODES) for part in parts])
    assert joined.to_pylist() == [naive(tables.TRADES, row) for part in parts for row in part]
    assert joined["symbol"].num_chunks == 2


def test_rows_of_another_channel_are_a_bug():
    with pytest.raises(AssertionError, match="no channel of table trades"):
        to_arrow(tables.TRADES, channels.QUOTE, np.zeros(1, channels.QUOTE.dtype), CODES)


def test_every_channel_belongs_to_at_most_one_table():
    named = [channel.name for table in TABLES for channel in table.channels]
    assert len(set(named)) == len(named)
    assert {name: table.name for name, table in tables.OF_CHANNEL.items()}["bar.1h"] == "bars"
    assert all(channel.dtype == table.rows for table in TABLES for channel in table.channels)

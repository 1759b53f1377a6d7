"""Which channels are kept, and how their rows become columns: the one table of tables.

Columns follow from the layout of a channel's rows, so a new field is a new column by itself:

    symbol_id       symbol      text, always the first column
    exch_s          time        the exchange's wall clock in Vietnam (UTC+7, no zone), null when 0
    *_day           *_day       a date, null when 0
    codes           their words as text: side, phase, venue, alert_type ...
    flags           integers, bits of the enumerations in `schema.words.FLAGS`
    the rest        integers of the same name; prices stay `*_e2`, hundredths, exact

Reserved bytes are dropped, and so are arrays: what they hold is in rows of other channels. A row
of `bars` is one bar: the one that stands in the place of the open bar; `time` is its start,
`phase` and `flags` (BarFlag) are its own.
`day`, the trading day of the journal, is no column of a file but the name of its folder; every
query sees it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.clock import ICT_OFFSET_S
from engine.schema import channels
from engine.schema.channels import Channel
from engine.schema.codes import AlertType
from engine.schema.words import WORDS

MICROSECONDS: Final = 1_000_000
INTERVALS: Final = {60: "1m", 300: "5m", 900: "15m", 3600: "1h", 86_400: "1d"}


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the history.

    Attributes
    ----------
    name
        What queries call it.
    channels
        Channels whose rows it keeps; all of one layout.
    meaning
        One line for people.
    key
        Columns that tell its rows apart within a day, in the order of its files.
    time
        The field that becomes column `time`.
    columns
        Fields that become columns of another name.
    dropped
        Fields, or beginnings of their names, that become none.
    """

    name: str
    channels: tuple[Channel, ...]
    meaning: str
    key: tuple[str, ...] = ("symbol", "time", "seq")
    time: str = "exch_s"
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    dropped: tuple[str, ...] = ()

    @property
    def rows(self) -> np.dtype[Any]:
        """Layout of the channels' rows."""
        return self.channels[0].dtype


TRADES = Table("trades", (channels.TRADE,), "every match")
QUOTES = Table("quotes", (channels.QUOTE,), "best bid and ask, each change")
BARS = Table(
    "bars",
    channels.BARS,
    "finished bars of every interval; time is the bar's start",
    key=("symbol", "interval", "time", "phase"),
    time="start_exch_s",
    columns={"interval_s": "interval", "bar_phase": "phase", "bar_flags": "flags"},
    # The head's phase and flags are the last message's and the day's, not the bar's.
    dropped=("prev_", "bar_reserved", "exch_s", "updates", "phase", "flags", "unplaced_"),
)
# FOREIGN is a word of SQL: a table of that name would have to be quoted in every query.
FOREIGN = Table("foreign_flow", (channels.FOREIGN,), "foreign buying and selling, and room left")
INDICES = Table("indices", (channels.INDEX,), "index values, breadth and volume")
BASIS = Table("basis", (channels.BASIS,), "index futures against their spot")
ALERTS = Table("alerts", (channels.ALERTS,), "every alert")
GAPS = Table("gaps", (channels.GAPS,), "missed volume: each gap as it opens, shrinks and closes")

TABLES: Final = (TRADES, QUOTES, BARS, FOREIGN, INDICES, BASIS, ALERTS, GAPS)
BY_NAME: Final[Mapping[str, Table]] = {table.name: table for table in TABLES}
OF_CHANNEL: Final[Mapping[str, Table]] = {
    channel.name: table for table in TABLES for channel in table.channels
}


def to_arrow(
    table: Table, channel: Channel, rows: NDArray[np.void], codes: NDArray[np.bytes_]
) -> pa.Table:
    """Turn rows of a channel into columns.

    Parameters
    ----------
    table
        Where they belong.
    channel
        One of ``table.channels``.
    rows
        The channel's delta rows (n,); of bars, each row with one finished bar as its open one.
    codes
        S16 (symbol_capacity,): the code of each symbol_id.

    Returns
    -------
    pa.Table
        n rows with the columns of ``empty(table)``, in the order of `rows`. Nothing is shared
        with `rows`.
    """
    assert channel in table.channels, f"{channel.name} is no channel of table {table.name}"
    assert rows.dtype == table.rows, f"{table.name}: rows of another layout"
    stamps = rows[table.time].astype(np.int64)
    columns: dict[str, pa.Array] = {
        "symbol": _symbols(rows["symbol_id"], codes),
        "time": _dated((stamps + ICT_OFFSET_S) * MICROSECONDS, stamps == 0, "us"),
    }
    if table is ALERTS:
        columns["id"] = _alert_ids(rows, codes)
    for name in _kept(table):
        columns[table.columns.get(name, name)] = _column(name, rows[name])
    return pa.table(columns)


def join(parts: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of several results of `to_arrow`, of one table, as one."""
    return pa.concat_tables(parts).unify_dictionaries()


@cache
def empty(table: Table) -> pa.Table:
    """Return the table's columns with no rows."""
    return to_arrow(table, table.channels[0], np.zeros(0, table.rows), np.zeros(1, "S16"))


def column_names(table: Table) -> tuple[str, ...]:
    """Return the names a query may use, in order; ``day`` comes from the folder."""
    return (*empty(table).column_names, "day")


# Unsigned numbers become wider signed ones: in SQL a difference of two may be negative.
_INTEGERS: Final = {"i8": "i8", "i4": "i4", "u4": "i8", "u2": "i4", "u1": "i4"}


@cache
def _kept(table: Table) -> tuple[str, ...]:
    """Return the fields that become columns, in order."""
    dropped = ("reserved", "symbol_id", table.time, *table.dropped)
    return tuple(
        name
        for name in table.rows.names or ()
        if not name.startswith(dropped) and not table.rows[name].shape
    )


def _column(name: str, values: NDArray[Any]) -> pa.Array:
    if name == "interval_s":
        return _words(_interval_places(values), tuple(INTERVALS.values()))
    if name in WORDS:
        return _words(values, tuple(word.name for word in WORDS[name]))
    if name.endswith("_day"):
        return _dated(values.astype(np.int64), values == 0, "D")
    if values.dtype.kind == "S":
        return pa.array(values.astype(str).tolist(), pa.string())
    return pa.array(values.astype(_INTEGERS[values.dtype.str[1:]]))


def _symbols(ids: NDArray[np.uint32], codes: NDArray[np.bytes_]) -> pa.Array:
    """Return codes of symbol ids; the dictionary holds those in use, in order of their text."""
    used = np.zeros(len(codes), np.bool_)
    used[ids] = True
    present = np.flatnonzero(used)
    names, places = np.unique(codes[present], return_inverse=True)
    place_of = np.zeros(len(codes), np.int32)
    place_of[present] = places
    return pa.DictionaryArray.from_arrays(place_of[ids], pa.array(names.astype(str), pa.string()))


def _words(values: NDArray[Any], words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(values.astype(np.int8), pa.array(words, pa.string()))


def _interval_places(interval_s: NDArray[np.uint32]) -> NDArray[np.intp]:
    known = np.array(tuple(INTERVALS))
    places = np.searchsorted(known, interval_s)
    assert np.array_equal(known[places], interval_s), "a bar of an unknown interval"
    return places


def _dated(values: NDArray[np.int64], missing: NDArray[np.bool_], unit: str) -> pa.Array:
    """Return a date or a time since 1970; null where it is missing."""
    return pa.array(values.view(f"M8[{unit}]"), mask=missing)


def _alert_ids(rows: NDArray[np.void], codes: NDArray[np.bytes_]) -> pa.Array:
    """Return the ids clients see. Alerts are rare: a loop will do."""
    ids = []
    for row in rows:
        day = str(np.datetime64(int(row["trade_day"]), "D")).replace("-", "")
        kind = AlertType(int(row["alert_type"]))
        name = kind.name.lower()
        if kind == AlertType.RULE:
            name = f"{name}.{row['rule'].decode()}"
        ids.append(f"{day}-{name}-{codes[row['symbol_id']].decode()}-{row['alert_no']}")
    return pa.array(ids, pa.string())

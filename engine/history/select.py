"""One page of one table: arguments checked, SQL with parameters, and the cursor to the next page.

Pages follow the key (day, then the table's own), so a cursor is the key of the last row told. It
belongs to its question: a cursor for other symbols or another range is refused.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

import pyarrow as pa

from engine.clock import ICT_OFFSET_S
from engine.history.duck import name as quoted
from engine.history.errors import QueryError
from engine.history.tables import BY_NAME, INTERVALS, MICROSECONDS, Table, column_names

ICT: Final = timezone(timedelta(seconds=ICT_OFFSET_S))
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock, as column time is
SYMBOL_MAX: Final = 16
Time = str | datetime | None


@dataclass(frozen=True, slots=True)
class Question:
    """Checked arguments of `History.select`."""

    table: Table
    symbols: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    interval: str | None
    columns: tuple[str, ...]
    limit: int
    after: tuple[Any, ...] | None  # key of the last row that was told

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that order the pages."""
        return ("day", *self.table.key)

    @property
    def range_us(self) -> tuple[int | None, int | None]:
        """Least time and first time beyond, microseconds since 1970 in wall clock."""
        return _microseconds(self.start), _microseconds(self.end)

    def sql(self) -> tuple[str, list[Any]]:
        """Return the query and its parameters; it asks for one row more than the page has."""
        conditions: list[str] = []
        values: list[Any] = []
        if self.symbols:
            conditions.append(f"symbol IN ({', '.join('?' * len(self.symbols))})")
            values += self.symbols
        for condition, value in (
            ("time >= ?", self.start),
            ("time < ?", self.end),
            ("interval = ?", self.interval),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        key = ", ".join(_ordered(column) for column in self.key)
        if self.after is not None:
            conditions.append("day >= ?")  # said apart, because it spares whole files
            conditions.append(f"({key}) > ({', '.join('?' * len(self.after))})")
            values += [self.after[0], *self.after]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        told = ", ".join(quoted(c) for c in dict.fromkeys((*self.columns, *self.key)))
        source = f"SELECT {told} FROM {self.table.name}{where}"  # noqa: S608 - names are ours
        return f"{source} ORDER BY {key} LIMIT {self.limit + 1}", values

    def page(self, rows: pa.Table) -> tuple[pa.Table, str | None]:
        """Cut what `sql` gave to a page; return it with the cursor to the next one, if any."""
        cursor = None
        if rows.num_rows > self.limit:
            rows = rows.slice(0, self.limit)
            last = rows.slice(self.limit - 1, 1).to_pylist()[0]
            cursor = self._cursor([last[column] for column in self.key])
        return rows.select(self.columns), cursor

    def _cursor(self, key: Sequence[Any]) -> str:
        told = [value.isoformat() if isinstance(value, date) else value for value in key]
        return base64.urlsafe_b64encode(json.dumps([self.mark, *told]).encode()).decode()

    @property
    def mark(self) -> int:
        """A number that says which question a cursor belongs to."""
        asked = (self.table.name, self.symbols, self.start, self.end, self.interval)
        return zlib.crc32(repr(asked).encode())


def question(
    table: str,
    symbols: Sequence[str],
    start: Time,
    end: Time,
    interval: str | None,
    columns: Sequence[str],
    limit: int,
    cursor: str | None,
) -> Question:
    """Check the arguments of `History.select`.

    Raises
    ------
    QueryError
        One cannot be; it names which, and what could be.
    """
    if table not in BY_NAME:
        raise QueryError("table", f"there is no table {table!r}: choose {', '.join(BY_NAME)}")
    chosen = BY_NAME[table]
    known = column_names(chosen)
    for column in columns:
        if column not in known:
            raise QueryError(
                "columns", f"{table} has no column {column!r}; it has {', '.join(known)}"
            )
    for symbol in symbols:
        if not 0 < len(symbol) <= SYMBOL_MAX:
            raise QueryError("symbols", f"{symbol!r} is no symbol: 1 to {SYMBOL_MAX} characters")
    if interval is not None and "interval" not in known:
        raise QueryError("interval", f"{table} has no intervals; only bars have")
    if interval is not None and interval not in INTERVALS.values():
        intervals = ", ".join(INTERVALS.values())
        raise QueryError("interval", f"there are no bars of {interval!r}: choose {intervals}")
    if limit < 1:
        raise QueryError("limit", f"limit is {limit}: ask for at least one row")
    asked = Question(
        chosen,
        tuple(sorted(set(symbols))),
        _time("start", start),
        _time("end", end),
        interval,
        tuple(dict.fromkeys(columns)) or known,
        limit,
        None,
    )
    if asked.start and asked.end and asked.start >= asked.end:
        raise QueryError("end", f"the range ends at {asked.end}, before it starts: {asked.start}")
    if cursor is None:
        return asked
    return Question(*(*_fields(asked)[:-1], _after(asked, cursor)))


def _fields(asked: Question) -> tuple[Any, ...]:
    return tuple(getattr(asked, name) for name in Question.__slots__)


def _after(asked: Question, cursor: str) -> tuple[Any, ...]:
    """Return the key a cursor holds."""
    try:
        mark, *key = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        values = dict(zip(asked.key, key, strict=True))
        values["day"] = date.fromisoformat(values["day"])
        told = values["time"]
        values["time"] = EPOCH if told is None else datetime.fromisoformat(told)
    except (ValueError, TypeError, binascii.Error, UnicodeError):
        raise QueryError("cursor", "this is no cursor of ours: leave it out to begin") from None
    if mark != asked.mark:
        raise QueryError(
            "cursor", "this cursor belongs to another question: keep all other arguments"
        )
    return tuple(values[column] for column in asked.key)


def _time(argument: str, value: Time) -> datetime | None:
    """Return a moment in wall clock."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise QueryError(
            argument, f"{value!r} is no time: write 2026-11-20 or 2026-11-20T09:00:00 (UTC+7)"
        ) from None
    return moment.astimezone(ICT).replace(tzinfo=None) if moment.tzinfo else moment


def _ordered(column: str) -> str:
    """Return the expression that orders by a column; rows without a time come first."""
    return f"coalesce(time, TIMESTAMP '{EPOCH}')" if column == "time" else quoted(column)


def _microseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return (moment - EPOCH) // timedelta(microseconds=1)


assert timedelta(seconds=1) // timedelta(microseconds=1) == MICROSECONDS

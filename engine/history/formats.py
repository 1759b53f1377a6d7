"""Answers as text and files: JSON rows, CSV, Parquet.

Integers stay integers, prices too (`*_e2`, hundredths): nothing is rounded. Times are the
exchange's wall clock, so text says +07:00; in Parquet they have no zone, as in the history.
"""

from decimal import Decimal
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

ICT_SUFFIX: Final = "+07:00"
MICROSECONDS: Final = 1_000_000


def json_rows(rows: pa.Table) -> bytes:
    """Return rows as a JSON array of objects.

    Whole numbers of more than 64 bits, which sums in SQL can be, are text.
    """
    return orjson.dumps(in_words(rows).to_pylist(), default=_json_value)


def csv_bytes(rows: pa.Table, *, header: bool = True) -> bytes:
    """Return rows as CSV: UTF-8, a comma between, quotes around text."""
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=header)
    pyarrow.csv.write_csv(_flat(in_words(rows)), sink, options)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def parquet_bytes(rows: pa.Table) -> bytes:
    """Return rows as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def in_words(rows: pa.Table) -> pa.Table:
    """Return rows with times and dates as ISO 8601 text and words as plain text."""
    for place, column in enumerate(rows.columns):
        told = _in_words(column)
        if told is not column:
            rows = rows.set_column(place, rows.column_names[place], told)
    return rows


def _in_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_date(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return pc.binary_join_element_wise(_iso(column), ICT_SUFFIX, "")
    return column


def _iso(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times as text, with a fraction only where one is told."""
    numbers = times.cast(pa.timestamp("us")).cast(pa.int64())
    seconds = pc.multiply(pc.divide(numbers, MICROSECONDS), MICROSECONDS)
    unit = "s" if pc.all(pc.equal(numbers, seconds)).as_py() is not False else "us"
    return pc.strftime(times.cast(pa.timestamp(unit)), "%Y-%m-%dT%H:%M:%S")


def _flat(rows: pa.Table) -> pa.Table:
    """Return rows that CSV can hold: lists and structs as JSON text."""
    for place, column in enumerate(rows.columns):
        if pa.types.is_nested(column.type):
            told = [
                None if value is None else orjson.dumps(value, default=_json_value).decode()
                for value in column.to_pylist()
            ]
            rows = rows.set_column(place, rows.column_names[place], pa.array(told, pa.string()))
    return rows


def _json_value(value: Any) -> Any:
    """Return what orjson does not know in a form it knows."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        number = int(value)
        return number if abs(number) < 1 << 63 else str(number)
    return str(value)

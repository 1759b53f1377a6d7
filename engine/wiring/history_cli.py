"""``vntape sql`` and ``vntape export``: questions about the history from a terminal.

Both read the segments themselves, so they need no running instance. When one runs, its recorder is
asked for the rows that are in no segment yet.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import zmq

from engine.config import Config
from engine.errors import ConfigError
from engine.history.errors import QueryError
from engine.history.formats import csv_bytes, in_words, json_rows
from engine.history.query import History
from engine.history.tail import TailClient
from engine.rundir import RunDir

EX_USAGE = 2  # as for a wrong command line: the question was wrong, not the machine
PAGE_ROWS = 500_000  # held in memory while a file is written
TAIL = "tail.ipc"
OPTION_OF = {"table": "TABLE", "symbols": "--symbol", "start": "--from", "end": "--to"}


def run_sql(config: Config, args: argparse.Namespace) -> int:
    """Print the answer to one SELECT; 2 when it is none."""
    if args.limit < 0:
        return _refuse(f"--limit is {args.limit}: 0 prints all rows")
    with _history(config) as history:
        try:
            rows = history.sql(args.text, rows_max=args.limit + 1 if args.limit else None)
        except QueryError as error:
            return _refuse(str(error))
        _say_what_is_missing(history)
    cut = bool(args.limit) and rows.num_rows > args.limit
    if cut:
        rows = rows.slice(0, args.limit)
    if args.format == "json":
        print(json_rows(rows).decode())
    elif args.format == "csv":
        print(csv_bytes(rows).decode(), end="")
    else:
        print("\n".join(lines(rows)))
    if cut:
        print(f"vntape: the first {args.limit} rows; --limit 0 prints all", file=sys.stderr)
    return 0


def run_export(config: Config, args: argparse.Namespace) -> int:
    """Write rows of a table into a file, all of them or none; 2 when the question is wrong."""
    part = args.output.with_name(args.output.name + ".part")
    with _history(config) as history:
        try:
            with part.open("wb") as file:
                count = _write(history, args, file)
            part.replace(args.output)
        except QueryError as error:
            option = OPTION_OF.get(error.argument, f"--{error.argument}")
            return _refuse(f"{option}: {error}")
        except OSError as error:
            raise ConfigError(
                f"--output {args.output} cannot be written ({error.strerror})"
            ) from None
        finally:
            part.unlink(missing_ok=True)
    print(f"{args.table}: {count:,} rows in {args.output}")
    return 0


def _write(history: History, args: argparse.Namespace, file: BinaryIO) -> int:
    """Write page by page; return the rows."""
    count, parquet = 0, None
    try:
        for rows in _pages(history, args):
            if args.format == "csv":
                file.write(csv_bytes(rows, header=count == 0))
            else:
                parquet = parquet or pq.ParquetWriter(file, rows.schema, compression="zstd")
                parquet.write_table(rows)
            count += rows.num_rows
    finally:
        if parquet is not None:
            parquet.close()
    return count


def _pages(history: History, args: argparse.Namespace) -> Iterator[pa.Table]:
    symbols = tuple(part.strip() for part in args.symbol.split(",")) if args.symbol else ()
    cursor = None
    while True:
        rows, cursor = history.select(
            args.table,
            symbols,
            args.start,
            args.end,
            PAGE_ROWS,
            cursor,
            interval=args.interval,
        )
        _say_what_is_missing(history)
        yield rows
        if cursor is None:
            return


@contextmanager
def _history(config: Config) -> Iterator[History]:
    """Open an instance's history, with the tail of its recorder when it runs.

    Raises
    ------
    ConfigError
        There is nothing: neither segments nor a recorder.
    """
    run_dir = RunDir.of(config)
    root = run_dir.data_dir(config) / "history"
    runs = (run_dir.path / TAIL).exists()
    if not runs and not root.is_dir():
        raise ConfigError(
            f"there is no history in {root}: choose run.data_dir and run.name of an instance "
            "that has recorded"
        )
    with zmq.Context() as context:
        tail = TailClient(context, run_dir.tail_endpoint) if runs else None
        try:
            yield History(
                root,
                tail,
                threads=config.history.threads,
                memory_bytes=config.history.memory_bytes,
            )
        finally:
            if tail is not None:
                tail.close()


def _say_what_is_missing(history: History) -> None:
    for damage in history.damage:
        print(f"vntape: left out: {damage}", file=sys.stderr)
    if history.tail_missing:
        print("vntape: the recorder does not answer: its last seconds are missing", file=sys.stderr)


def _refuse(text: str) -> int:
    print(f"vntape: {text}", file=sys.stderr)
    return EX_USAGE


def lines(rows: pa.Table) -> list[str]:
    """Return rows as a table for people: numbers to the right, nothing for null."""
    columns = []
    for name, column in zip(rows.column_names, in_words(rows).columns, strict=True):
        cells = ["" if value is None else str(value) for value in column.to_pylist()]
        width = max(map(len, [name, *cells]))
        left = pa.types.is_string(column.type) or pa.types.is_boolean(column.type)
        columns.append(
            [f"{cell:<{width}}" if left else f"{cell:>{width}}" for cell in [name, *cells]]
        )
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]

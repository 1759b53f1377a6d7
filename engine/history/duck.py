"""DuckDB in memory, over the history alone: it opens no file elsewhere, and no question writes."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import duckdb

from engine.history.catalogue import File
from engine.history.errors import QueryError
from engine.history.tables import BARS

SPILL: Final = "spill"  # below the root: what a query or a merge cannot hold in memory
# Functions that run text as SQL, or change more than their answer: none of a reader's business.
FORBIDDEN: Final = frozenset(
    {
        *("query", "query_table", "json_execute_serialized_sql"),
        *("create_external_resource", "destroy_external_resource"),
        *("register_external_resource", "register_external_resource_type"),
        *("deregister_external_resource", "enable_logging", "disable_logging"),
        *("checkpoint", "force_checkpoint", "truncate_duckdb_logs"),
    }
)


def connect(root: Path, threads: int, memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """Return an empty database in memory that can open files below `root` only.

    Parameters
    ----------
    root
        The history's folder.
    threads, memory_bytes
        What it may use; what needs more memory is spilled below `root`.
    """
    connection = duckdb.connect()
    for setting in (
        f"threads = {threads}",
        f"memory_limit = '{memory_bytes} bytes'",
        f"temp_directory = {text(str(root.absolute() / SPILL))}",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",  # no name in SQL means a variable of ours
        f"allowed_directories = [{text(str(root.absolute()) + '/')}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def reading_only(connection: duckdb.DuckDBPyConnection, question: str) -> str:
    """Return a question as a SELECT that cannot change anything.

    It stands inside another SELECT, because DuckDB lets WITH change data at the top level only.

    Raises
    ------
    QueryError
        It is not one single SELECT, or calls a function of FORBIDDEN.
    """
    try:
        statements = connection.extract_statements(question)
    except duckdb.Error as error:
        raise QueryError("text", str(error)) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError("text", "ask with one single SELECT: the history can only be read")
    bare = statements[0].query.strip().rstrip(";")
    tree = connection.execute("SELECT json_serialize_sql(?)", [bare]).fetchall()[0][0]
    called = FORBIDDEN.intersection(_functions(json.loads(tree)))
    if called:
        raise QueryError("text", f"{', '.join(sorted(called))}: not to be called here")
    return f"SELECT * FROM (\n{bare}\n)"  # noqa: S608 - it was looked at


def _functions(node: Any) -> Iterator[str]:
    """Yield the names of all functions in a syntax tree."""
    if isinstance(node, dict):
        if isinstance(node.get("function_name"), str):
            yield node["function_name"].lower()
        for child in node.values():
            yield from _functions(child)
    elif isinstance(node, list):
        for child in node:
            yield from _functions(child)


def text(value: str) -> str:
    """Return a string as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """Return the name of a column or table as SQL writes it."""
    return '"' + value.replace('"', '""') + '"'


def union(parts: Sequence[str]) -> str:
    """Return the SELECT over several; a column that one does not have is null there."""
    return " UNION ALL BY NAME ".join(parts)


def union_of(root: Path, files: Sequence[File]) -> str:
    """Return the SELECT over files of one table; ``day`` comes from their folders.

    Files of one column list are read together; those of older versions are joined by name.
    """
    parts = []
    for _, group in groupby(sorted(files, key=lambda file: file.columns), lambda f: f.columns):
        paths = ", ".join(text(str(root.absolute() / file.path)) for file in group)
        parts.append(
            f"SELECT * FROM read_parquet([{paths}], hive_partitioning = true, "  # noqa: S608
            "hive_types = {'day': DATE})"
        )
    return union(parts)


def newest_bars(source: str) -> str:
    """Return the SELECT that keeps of every bar what was told last."""
    key = ", ".join(name(column) for column in ("day", *BARS.key))
    return (
        f"SELECT * FROM ({source}) "  # noqa: S608
        f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY seq DESC) = 1"
    )

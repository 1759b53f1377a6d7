"""Questions about the history: SQL over everything, and pages of one table.

Every question gets a connection of its own, with views over what is committed at that moment and
what the recorder has not written yet. They are named like the tables; a question reads them and
nothing else.
"""

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from engine.history import duck
from engine.history.catalogue import Catalogue, Damage, File, Listing
from engine.history.errors import QueryError
from engine.history.select import Question, Time, question
from engine.history.soundness import READ_BYTES_MAX, Soundness
from engine.history.tables import TABLES, Table, column_names
from engine.history.tail import Tail
from engine.history.views import by_settled, make_view, up_to
from engine.market.days import day_text

ATTEMPTS_MAX: Final = 5  # a merge may take files away while they are being opened
LIMIT_DEFAULT: Final = 1_000
AskTail = Callable[[Sequence[str]], Tail | None]


class History:
    """Answers questions about one history. Threads may share it.

    Parameters
    ----------
    root
        ``<data_dir>/history``; need not exist yet.
    tail
        Asks the recorder for its unwritten rows, as `tail.TailClient` does; None without one.
    threads, memory_bytes
        What one question may use; what needs more memory goes to disk, below the root.
    read_bytes_max
        Of files it does not know yet, how many bytes one question compares with their checksums.

    Attributes
    ----------
    damage
        Files and records that the last question had to leave out.
    tail_missing
        Questions that were answered without the recorder's last seconds.
    """

    def __init__(
        self,
        root: Path,
        tail: AskTail | None = None,
        *,
        threads: int = 1,
        memory_bytes: int = 512 * 1024**2,
        read_bytes_max: int = READ_BYTES_MAX,
    ) -> None:
        self.root = root
        self.damage: tuple[Damage, ...] = ()
        self.tail_missing = 0
        self._tail = tail
        self._database = duck.connect(root, threads, memory_bytes)
        self._catalogue = Catalogue(root)
        self._soundness = Soundness(root, read_bytes_max=read_bytes_max)
        self._lock = threading.Lock()
        self._running: set[duckdb.DuckDBPyConnection] = set()

    def sql(self, text: str, *, rows_max: int | None = None) -> pa.Table:
        """Answer one SELECT over the views.

        Parameters
        ----------
        text
            SQL of DuckDB. Nothing but reading is possible.
        rows_max
            Rows after which the answer is cut; None for all.

        Raises
        ------
        QueryError
            Anything else than one SELECT, or one that DuckDB refuses; argument ``text``.
        """
        names = [table for table in TABLES if re.search(rf"\b{table.name}\b", text, re.IGNORECASE)]

        def ask(connection: duckdb.DuckDBPyConnection) -> pa.Table:
            limit = "" if rows_max is None else f" LIMIT {rows_max}"
            return connection.sql(duck.reading_only(connection, text) + limit).to_arrow_table()

        return self._answer(names, lambda _file: True, ask, "text")

    def select(
        self,
        table: str,
        symbols: Sequence[str] = (),
        start: Time = None,
        end: Time = None,
        limit: int = LIMIT_DEFAULT,
        cursor: str | None = None,
        columns: Sequence[str] = (),
        interval: str | None = None,
    ) -> tuple[pa.Table, str | None]:
        """Return one page of a table, in the order of day, symbol, time, seq.

        Parameters
        ----------
        table
            Its name.
        symbols
            Codes; none means all.
        start, end
            Rows with start <= time < end, the exchange's wall clock; text as ISO 8601 (with an
            offset it is converted), or a datetime.
        limit
            Most rows of the page.
        cursor
            What the page before gave; all other arguments but `limit` and `columns` unchanged.
        columns
            Names in the order wanted; none means all.
        interval
            Of bars: 1m, 5m, 15m, 1h or 1d.

        Returns
        -------
        tuple
            The rows, and the cursor to the next page; None when this was the last one.

        Raises
        ------
        QueryError
            An argument that cannot be; it says which.
        """
        asked = question(table, symbols, start, end, interval, columns, limit, cursor)
        text, values = asked.sql()

        def ask(connection: duckdb.DuckDBPyConnection) -> pa.Table:
            return connection.sql(text, params=values).to_arrow_table()

        rows = self._answer([asked.table], lambda file: _in_range(asked, file), ask, "table")
        return asked.page(rows)

    def describe(self) -> list[dict[str, Any]]:
        """Return of every table what it means, its columns, and what is committed of it."""
        with self._lock:
            listing = self._catalogue.read()
        told = []
        for table in TABLES:
            found = [
                (commit.day, file)
                for commit in listing.commits
                for file in commit.files
                if file.table == table.name
            ]
            told.append(
                {
                    "table": table.name,
                    "meaning": table.meaning,
                    "columns": list(column_names(table)),
                    "rows": sum(file.rows for _, file in found),
                    "bytes": sum(file.size_bytes for _, file in found),
                    "first_day": day_text(min(day for day, _ in found)) if found else None,
                    "last_day": day_text(max(day for day, _ in found)) if found else None,
                }
            )
        return told

    def close(self) -> None:
        """Let the memory go; no question may be running."""
        self._database.close()

    def interrupt(self) -> None:
        """End all questions that are being answered: each raises QueryError."""
        with self._lock:
            running = list(self._running)
        for connection in running:
            connection.interrupt()

    def _answer(
        self,
        tables: Sequence[Table],
        wanted: Callable[[File], bool],
        ask: Callable[[duckdb.DuckDBPyConnection], pa.Table],
        argument: str,
    ) -> pa.Table:
        """Ask over one moment of the history; again when files went away or prove damaged."""
        for attempt in range(ATTEMPTS_MAX):
            tail, listing = self._moment([table.name for table in tables])
            with self._lock:
                connection = self._database.cursor()
                self._running.add(connection)
            try:
                self._make_views(connection, tables, wanted, tail, listing, thorough=attempt > 0)
                return ask(connection)
            except (duckdb.InterruptException, duckdb.OutOfMemoryException) as error:
                raise QueryError(argument, str(error)) from None
            except duckdb.IOException as error:  # a file went away, or is not what it was
                if attempt + 1 == ATTEMPTS_MAX:
                    raise QueryError(argument, str(error)) from None
            except duckdb.InvalidInputException as error:  # a damaged file, or a bad argument
                if attempt > 0:
                    raise QueryError(argument, str(error)) from None
            except duckdb.Error as error:
                raise QueryError(argument, str(error)) from None
            finally:
                with self._lock:
                    self._running.discard(connection)
                connection.close()
        raise AssertionError("the last attempt raises")

    def _moment(self, names: Sequence[str]) -> tuple[Tail | None, Listing]:
        """Return unwritten rows and commits that fit together: the tail first, then the rest."""
        for _ in range(ATTEMPTS_MAX):
            tail = self._tail(names) if self._tail is not None and names else None
            with self._lock:
                listing = self._catalogue.read()
            if tail is None:
                break
            fitting = up_to(listing, tail)
            if fitting is not None:
                return tail, fitting
        self.tail_missing += bool(names) and self._tail is not None
        return None, listing

    def _make_views(
        self,
        connection: duckdb.DuckDBPyConnection,
        tables: Sequence[Table],
        wanted: Callable[[File], bool],
        tail: Tail | None,
        listing: Listing,
        *,
        thorough: bool,
    ) -> None:
        """Make a view of every table; those that are not asked for are empty."""
        damage = list(listing.damage)
        for table in TABLES:
            if table not in tables:
                make_view(connection, self.root, table, (), (), None)
                continue
            files = [
                file
                for commit in listing.commits
                for file in commit.files
                if file.table == table.name and wanted(file)
            ]
            with self._lock:
                sound, damaged = self._soundness.sort(files, thorough=thorough)
            damage += damaged
            settled, loose = by_settled(listing.commits, tail, sound)
            make_view(connection, self.root, table, settled, loose, tail)
        self.damage = tuple(damage)


def _in_range(asked: Question, file: File) -> bool:
    """Return whether a file may hold rows of the asked time."""
    first_us, beyond_us = asked.range_us
    return (first_us is None or file.last_us >= first_us) and (
        beyond_us is None or file.first_us < beyond_us
    )

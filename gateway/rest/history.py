"""History over HTTP: questions in, pages of rows out.

DuckDB works in one thread of its own, so the loop answers whatever it does. A bounded number of
questions waits for it; more are sent away with the time to come back.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import orjson
import pyarrow as pa
from aiohttp import web

from engine.history.errors import QueryError
from engine.history.formats import csv_bytes, json_rows, parquet_bytes
from engine.history.query import History
from gateway.rest.errors import BadParameter, Refusal, json_response
from gateway.rest.history_request import ARGUMENT_OF, FILE_ROWS_MAX, Request

WAITING_MAX: Final = 16  # questions in hand, the one that is being answered included
RETRY_AFTER_S: Final = 1
QUESTION_LIMIT_S: Final = 30.0
WARNINGS_MAX: Final = 5  # damaged files that are named in one answer
LAG_SLOTS_MAX: Final = 100_000  # the recorder looks every 100 ms: this much may be new by then

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """One page and what is to be said about it."""

    rows: pa.Table
    next_cursor: str | None
    warnings: list[str]


class HistoryService:
    """Answers questions from one `History`.

    Parameters
    ----------
    history
        Asked in one thread only.
    cell
        REST_COUNTERS, one record.
    lag_slots
        Tells how far the recorder is behind the tape.
    question_limit_s
        What takes longer is ended, and refused.
    """

    def __init__(
        self,
        history: History,
        cell: np.void,
        lag_slots: Callable[[], int],
        *,
        question_limit_s: float = QUESTION_LIMIT_S,
    ) -> None:
        self._history = history
        self._cell = cell
        self._lag_slots = lag_slots
        self._question_limit_s = question_limit_s
        self._thread = ThreadPoolExecutor(1, "duckdb")
        self._waiting = 0

    async def close(self, last: Callable[[], None]) -> None:
        """End what is being answered; run `last` in the thread that asked."""
        self._history.interrupt()
        await asyncio.get_running_loop().run_in_executor(self._thread, last)
        self._thread.shutdown()

    async def tables(self) -> web.Response:
        """Say which tables there are."""
        return json_response(orjson.dumps({"tables": await self._ask(self._history.describe)}))

    async def rows(self, asked: Request) -> web.Response:
        """Answer a question with rows.

        Raises
        ------
        Refusal
            It names what cannot be, is too large, or too many wait.
        """
        answer = await self._ask(lambda: self._select(asked))
        if answer.next_cursor is not None and asked.format != "json" and not asked.limited:
            raise BadParameter(
                "to",
                f"there are more than {FILE_ROWS_MAX} rows: ask for a shorter time or fewer "
                "symbols, or page with limit and cursor",
            )
        self._cell["rows"] += answer.rows.num_rows
        return await self._ask(lambda: _rendered(asked, answer))

    def _select(self, asked: Request) -> Answer:
        """Ask; runs in the thread."""
        history, missing = self._history, self._history.tail_missing
        late = threading.Event()

        def end() -> None:
            late.set()
            history.interrupt()

        timer = threading.Timer(self._question_limit_s, end)
        timer.start()
        start_ns = time.perf_counter_ns()
        try:
            rows, cursor = history.select(asked.table, **asked.select)
        except QueryError as error:
            if late.is_set():
                raise BadParameter(
                    "to",
                    f"this took longer than {self._question_limit_s:g} s: ask for a shorter time "
                    "or fewer symbols",
                ) from None
            raise BadParameter(_field_of(asked, error.argument), str(error)) from None
        finally:
            timer.cancel()
            self._cell["query_ns"] += time.perf_counter_ns() - start_ns
        warnings = [f"left out: {damage}" for damage in history.damage[:WARNINGS_MAX]]
        if history.tail_missing != missing:
            self._cell["tail_missing"] += 1
            warnings.append("the recorder does not answer: the last seconds are missing")
        elif (lag_slots := self._lag_slots()) > LAG_SLOTS_MAX:
            warnings.append(f"the recorder is {lag_slots} slots behind the tape")
        return Answer(rows, cursor, warnings)

    async def _ask(self, job: Callable[[], T]) -> T:
        """Run a job in the thread when its turn comes.

        Raises
        ------
        Refusal
            503: too many wait.
        """
        if self._waiting >= WAITING_MAX:
            raise Refusal(
                503,
                "",
                f"{WAITING_MAX} questions are waiting: come back",
                {"Retry-After": str(RETRY_AFTER_S)},
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        finally:
            self._waiting -= 1


def _field_of(asked: Request, argument: str) -> str:
    """Return what the client calls an argument of `History.select`."""
    return asked.named.get(argument) or ARGUMENT_OF.get(argument, argument)


def _rendered(asked: Request, answer: Answer) -> web.Response:
    """Write rows in the format asked for; runs in the thread."""
    if asked.format == "json":
        head = orjson.dumps({"table": asked.table})[:-1]
        told = {"next_cursor": answer.next_cursor, "warnings": answer.warnings}
        body = b'%s,"rows":%s,%s' % (head, json_rows(answer.rows), orjson.dumps(told)[1:])
        return json_response(body, headers={"Vary": "Accept"})
    headers = {
        "Vary": "Accept",
        "Content-Disposition": f'attachment; filename="{asked.table}.{asked.format}"',
    }
    if answer.next_cursor is not None:
        headers["Vntape-Next-Cursor"] = answer.next_cursor
    if answer.warnings:
        headers["Vntape-Warnings"] = "; ".join(answer.warnings).encode("ascii", "replace").decode()
    if asked.format == "csv":
        headers["Content-Type"] = "text/csv; charset=utf-8"
        return web.Response(body=csv_bytes(answer.rows), headers=headers)
    headers["Content-Type"] = "application/vnd.apache.parquet"
    return web.Response(body=parquet_bytes(answer.rows), headers=headers)

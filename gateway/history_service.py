"""History over HTTP: requests in, pages of rows out.

DuckDB works in one thread of its own, so the loop answers whatever it does. A bounded number of
questions waits for it; more are sent away with the time to come back.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa
from aiohttp import web

from engine.history.errors import QueryError
from engine.history.formats import csv_bytes, json_rows, parquet_bytes
from engine.history.query import History
from engine.history.tables import BY_NAME
from engine.log import Log
from gateway.history_request import ARGUMENT_OF, FILE_ROWS_MAX, BadRequest, Request, parse
from gateway.settings import is_loopback

WAITING_MAX: Final = 16  # questions in hand, the one that is being answered included
RETRY_AFTER_S: Final = 1
QUESTION_LIMIT_S: Final = 30.0
WARNINGS_MAX: Final = 5  # damaged files that are named in one answer
LAG_SLOTS_MAX: Final = 100_000  # the recorder looks every 100 ms: this much may be new by then
PATH: Final = "/api/history"

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Busy(Exception):
    """Too many questions wait."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One page and what is to be said about it."""

    rows: pa.Table
    next_cursor: str | None
    warnings: list[str]


class HistoryService:
    """Answers requests from one `History`.

    Parameters
    ----------
    history
        Asked in one thread only.
    rows_max
        Most rows of one page of JSON.
    cell
        HISTORY_COUNTERS, one record.
    log
        Where failures are told.
    lag_slots
        Tells how far the recorder is behind the tape.
    question_limit_s
        What takes longer is ended, and refused.
    """

    def __init__(
        self,
        history: History,
        rows_max: int,
        cell: np.void,
        log: Log,
        lag_slots: Callable[[], int],
        *,
        question_limit_s: float = QUESTION_LIMIT_S,
    ) -> None:
        self._history = history
        self._rows_max = rows_max
        self._cell = cell
        self._log = log
        self._lag_slots = lag_slots
        self._question_limit_s = question_limit_s
        self._thread = ThreadPoolExecutor(1, "duckdb")
        self._waiting = 0

    def app(self) -> web.Application:
        """Return the routes."""
        app = web.Application(middlewares=[self._answer_in_json])
        app.router.add_get("/livez", self._alive)
        app.router.add_get(PATH, self._tables)
        app.router.add_get(PATH + "/{table}", self._rows)
        return app

    async def close(self, last: Callable[[], None]) -> None:
        """End what is being answered; run `last` in the thread that asked."""
        self._history.interrupt()
        await asyncio.get_running_loop().run_in_executor(self._thread, last)
        self._thread.shutdown()

    # --- requests --------------------------------------------------------------------------

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _tables(self, _request: web.Request) -> web.Response:
        return _json(orjson.dumps({"tables": await self._ask(self._history.describe)}))

    async def _rows(self, request: web.Request) -> web.Response:
        table = request.match_info["table"]
        if table not in BY_NAME:
            known = ", ".join(BY_NAME)
            return _error(404, "table", f"there is no table {table[:32]!r}; there are {known}")
        asked = parse(request.query.items(), self._rows_max)
        answer = await self._ask(lambda: self._select(table, asked))
        if answer.next_cursor is not None and asked.format != "json" and not asked.limited:
            raise BadRequest(
                "to",
                f"there are more than {FILE_ROWS_MAX} rows: ask for a shorter time or fewer "
                "symbols, or page with limit and cursor",
            )
        self._cell["rows"] += answer.rows.num_rows
        return await self._ask(lambda: _rendered(table, asked, answer))

    def _select(self, table: str, asked: Request) -> Answer:
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
            rows, cursor = history.select(table, **asked.select)
        except QueryError as error:
            if late.is_set():
                raise BadRequest(
                    "to",
                    f"this took longer than {self._question_limit_s:g} s: ask for a shorter time "
                    "or fewer symbols",
                ) from None
            raise BadRequest(ARGUMENT_OF.get(error.argument, error.argument), str(error)) from None
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
        Busy
            Too many wait.
        """
        if self._waiting >= WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        finally:
            self._waiting -= 1

    @web.middleware
    async def _answer_in_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count, and turn what went wrong into an answer that says so."""
        self._cell["requests"] += 1
        try:
            if not _is_local(request.headers.get("Host", "")):
                return self._refuse(403, "host", "only for programs on this machine")
            return await handler(request)
        except BadRequest as error:
            return self._refuse(400, error.field, error.message)
        except Busy:
            answer = self._refuse(503, "", f"{WAITING_MAX} questions are waiting: come back")
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
            return answer
        except web.HTTPException as error:
            return self._refuse(error.status, "path", f"{error.reason}; see {PATH}")
        except Exception as error:
            self._cell["failed"] += 1
            self._log.write("error", "request failed", path=request.path, reason=repr(error))
            return _error(500, "", "the history failed to answer; its log says why")

    def _refuse(self, status: int, field: str, message: str) -> web.Response:
        self._cell["refused"] += 1
        return _error(status, field, message)


def _rendered(table: str, asked: Request, answer: Answer) -> web.Response:
    """Write rows in the format asked for; runs in the thread."""
    if asked.format == "json":
        head = orjson.dumps({"table": table})[:-1]
        told = {"next_cursor": answer.next_cursor, "warnings": answer.warnings}
        body = b'%s,"rows":%s,%s' % (head, json_rows(answer.rows), orjson.dumps(told)[1:])
        return _json(body)
    headers = {"Content-Disposition": f'attachment; filename="{table}.{asked.format}"'}
    if answer.next_cursor is not None:
        headers["Vntape-Next-Cursor"] = answer.next_cursor
    if answer.warnings:
        headers["Vntape-Warnings"] = "; ".join(answer.warnings).encode("ascii", "replace").decode()
    if asked.format == "csv":
        headers["Content-Type"] = "text/csv; charset=utf-8"
        return web.Response(body=csv_bytes(answer.rows), headers=headers)
    headers["Content-Type"] = "application/vnd.apache.parquet"
    return web.Response(body=parquet_bytes(answer.rows), headers=headers)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _error(status: int, field: str, message: str) -> web.Response:
    return _json(orjson.dumps({"error": {"field": field, "message": message}}), status)


def _is_local(host: str) -> bool:
    """Return whether a request was meant for this machine: a page elsewhere cannot pretend so."""
    name = urlsplit(f"//{host}").hostname
    return name is not None and is_loopback(name)

"""What ingest asks REST for, beside the tape and never in its way.

Two jobs: the day's reference data, and the minutes of every gap.

In: rows of channel ``gaps`` that shards push here. Out: notices to the intake. May lose: nothing of
the tape; a gap nobody can explain is answered with no bars. Counts: reference_symbols, rest_...,
backfill_....
"""

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import aiohttp
import numpy as np
import zmq
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S, Clock, trade_day
from engine.config import FeedConfig
from engine.decode.symbols import SymbolTable
from engine.feed.backfill import Answer, Backfiller, Bar, Gap
from engine.feed.reference import Reference, load_cached, store
from engine.feed.source import FeedError
from engine.log import Log
from engine.market.days import date_of, is_trading_day
from engine.schema.codes import GapCause, GapState
from engine.schema.deltas import GAPS_DELTA
from engine.wiring.intake import Intake

NEXT_DAY_S = 7 * 3600 + 45 * 60  # 07:45 ICT: before the first session, when the new day is out
LATE_DAY_S = 9 * 3600 + 30 * 60  # REST still shows yesterday: look again until then
LOOK_AGAIN_S = 300.0
RETRY_S, RETRY_MAX_S = 5.0, 600.0
DAY_BEGINS_S = 8 * 3600 + 45 * 60  # first session of any venue: where a baseline's gap starts


class RestCounts(Protocol):
    """What a REST client counts."""

    request_count: int
    failure_count: int


FetchReference = Callable[[aiohttp.ClientSession, dt.date], Awaitable[Reference]]
BarsOf = Callable[[str, dt.date], Awaitable[list[Bar]]]
FetchBars = Callable[[aiohttp.ClientSession], BarsOf]


class RestData:
    """Runs both jobs of one ingest process.

    Parameters
    ----------
    feed
        Settings.
    rest
        The client behind both fetch functions, for its counts.
    fetch_reference, fetch_bars
        How to ask this protocol's REST.
    intake, symbols, counters
        The tape's intake, its symbol table, and ingest's counters.
    folder
        Where reference data are cached.
    gaps
        ZeroMQ PULL socket on which shards push GAPS_DELTA rows.
    """

    def __init__(
        self,
        feed: FeedConfig,
        rest: RestCounts,
        fetch_reference: FetchReference,
        fetch_bars: FetchBars,
        intake: Intake,
        symbols: SymbolTable,
        counters: NDArray[np.void],
        folder: Path,
        gaps: "zmq.Socket[bytes]",
        clock: Clock,
        log: Log,
        wake: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._rest = rest
        self._fetch_reference = fetch_reference
        self._fetch_bars = fetch_bars
        self._intake = intake
        self._symbols = symbols
        self._cell = counters[0]
        self._folder = folder
        self._gaps = gaps
        self._clock = clock
        self._log = log
        self._wake = wake
        self._backfiller: Backfiller | None = None
        self._baselines: deque[Gap] = deque()  # asked for when nothing fresher is waiting
        self._answered = 0

    async def run(self) -> None:
        """Work until cancelled."""
        timeout = aiohttp.ClientTimeout(total=self._feed.connect_timeout_ms / 1_000)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http,
            asyncio.TaskGroup() as jobs,
        ):
            if self._feed.reference == "on":
                jobs.create_task(self._keep_reference(http))
            if self._feed.backfill == "on":
                self._backfiller = Backfiller(
                    self._fetch_bars(http),
                    self._deliver,
                    self._clock,
                    self._feed.backfill_delay_ms / 1_000,
                    self._feed.backfill_tries,
                )
                jobs.create_task(self._backfiller.run())

    def take_gaps(self) -> None:
        """Take what shards have pushed since the last call; call this several times a second."""
        if self._feed.backfill == "on" and self._backfiller is None:
            return  # `run` has not begun: nobody could ask REST yet, and no answer is an answer
        while True:
            try:
                rows = np.frombuffer(self._gaps.recv(zmq.NOBLOCK), GAPS_DELTA)
            except zmq.Again:
                break
            for row in rows:
                if row["gap_state"] == GapState.OPEN:
                    self._request(row)
        if self._backfiller and self._baselines and not self._backfiller.pending:
            self._backfiller.request(self._baselines.popleft())
        self._count()

    def _count(self) -> None:
        cell, backfiller = self._cell, self._backfiller
        cell["rest_requests"] = self._rest.request_count
        cell["rest_failures"] = self._rest.failure_count
        cell["backfill_gaps"] = self._answered
        cell["backfill_pending"] = len(self._baselines) + (backfiller.pending if backfiller else 0)

    def _request(self, row: np.void) -> None:
        """Ask for the minutes of one gap."""
        symbol_id, to_exch_s = int(row["symbol_id"]), int(row["to_exch_s"])
        day_begins_s = trade_day(to_exch_s) * DAY_S - ICT_OFFSET_S + DAY_BEGINS_S
        gap = Gap(
            symbol_id=symbol_id,
            code=bytes(self._symbols.rows[symbol_id]["code"]).decode("ascii"),
            gap_no=int(row["gap_no"]),
            from_exch_s=int(row["from_exch_s"]) or min(day_begins_s, to_exch_s),
            to_exch_s=to_exch_s,
            missed_shares=int(row["missed_volume_shares"]),
        )
        if self._backfiller is None:
            self._deliver(Answer(gap, ()))
        elif row["gap_cause"] == GapCause.BASELINE:
            self._baselines.append(gap)
        else:
            self._backfiller.request(gap)

    def _deliver(self, answer: Answer) -> None:
        self._answered += 1
        self._intake.backfill(answer, self._clock.now_ns())
        self._wake()

    # Reference data -------------------------------------------------------------------------

    async def _keep_reference(self, http: aiohttp.ClientSession) -> None:
        """Deliver the day's reference data, now and on every later trading day."""
        retry_s = RETRY_S
        known = load_cached(self._folder, self._today())
        if known is not None:
            self._take(known)
        while True:
            if known is None or not known.complete or known.day != self._today():
                found = await self._look(http)
                if found is not None and found != known:
                    self._take(found)
                    known = found
            if known is not None and known.complete:
                retry_s = RETRY_S
                await asyncio.sleep(self._next_look_s(known.day))
            else:  # something is missing: perhaps it is there later
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, RETRY_MAX_S)

    async def _look(self, http: aiohttp.ClientSession) -> Reference | None:
        """Ask REST, and keep the answer for a restart. None when it could not be had."""
        try:
            reference = await self._fetch_reference(http, self._today())
        except FeedError as error:
            self._log.write("warning", "no reference data", reason=str(error))
            return None
        try:
            await asyncio.to_thread(store, self._folder, reference)  # the tape waits for no disk
        except OSError as error:
            self._log.write("warning", "reference data not kept", reason=str(error))
        return reference

    def _take(self, reference: Reference) -> None:
        if reference.day > self._today():  # tomorrow's limits would end today's statistics
            self._log.write("warning", "reference data of a later day ignored", day=reference.day)
            return
        if not is_trading_day(reference.day):  # nor is there a Saturday for Friday's to end on
            self._log.write("warning", "reference data of no trading day", day=reference.day)
            return
        self._intake.reference(reference, self._clock.now_ns())
        self._cell["reference_symbols"] = len(reference.rows)
        self._log.write(
            "info" if reference.complete else "warning",
            "reference data",
            day=reference.day,
            symbols=len(reference.rows),
            problems=reference.problems,
            junk_rows=reference.junk_count,
        )
        self._wake()

    def _ict_s(self) -> int:
        return self._clock.now_ns() // 1_000_000_000 + ICT_OFFSET_S

    def _today(self) -> dt.date:
        return date_of(self._ict_s() // DAY_S)

    def _next_look_s(self, have: dt.date) -> float:
        """Return how long the data at hand are good for."""
        second = self._ict_s() % DAY_S
        late = have < self._today() and is_trading_day(self._today())
        if late and NEXT_DAY_S <= second < LATE_DAY_S:
            return LOOK_AGAIN_S
        return float((NEXT_DAY_S - second) % DAY_S or DAY_S)

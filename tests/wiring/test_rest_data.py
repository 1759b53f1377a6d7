"""What ingest asks REST for: which days are believed, and that no gap is answered unasked."""

import asyncio
import datetime as dt
import threading
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zmq

from engine.clock import ManualClock
from engine.config import FeedConfig
from engine.feed.backfill import Bar
from engine.feed.reference import Reference, ReferenceRow
from engine.feed.source import FeedError
from engine.log import Log
from engine.schema.codes import GapCause, GapState, IndexMember, SlotKind, Venue
from engine.schema.deltas import GAPS_DELTA
from engine.schema.slots import BACKFILL
from engine.wiring import rest_data as rest_data_module
from engine.wiring.local import LocalTape
from engine.wiring.rest_data import RestData
from tests.wiring.test_intake import slots_of

ICT = dt.timezone(dt.timedelta(hours=7))
FRIDAY, SATURDAY, SUNDAY = (dt.date(2026, 8, day) for day in (14, 15, 16))
TEN_S = int(dt.datetime(2026, 8, 14, 10, tzinfo=ICT).timestamp())


class FakeGaps:
    """The socket on which shards push rows."""

    def __init__(self, *frames: bytes) -> None:
        self.waiting = deque(frames)

    def recv(self, flags: int) -> bytes:
        assert flags == zmq.NOBLOCK
        if not self.waiting:
            raise zmq.Again
        return self.waiting.popleft()


def rest_data(
    folder: Path, tape: LocalTape, *, gaps: Any = None, bars: Any = None, facts: Any = None,
    now_s: int = TEN_S, **settings: Any,
) -> RestData:  # fmt: skip
    clock = ManualClock(now_s * 10**9)
    return RestData(
        FeedConfig(backfill_delay_ms=0, **settings),
        SimpleNamespace(request_count=0, failure_count=0),
        facts,
        lambda _http: bars,
        tape.intake,
        tape.symbols,
        tape.counters,
        folder,
        gaps or FakeGaps(),
        clock,
        Log("test", clock),
        lambda: None,
    )


def open_gap(symbol_id: int) -> bytes:
    row = np.zeros(1, GAPS_DELTA)
    row["symbol_id"], row["gap_no"], row["gap_state"] = symbol_id, 1, GapState.OPEN
    row["gap_cause"], row["missed_volume_shares"] = GapCause.SKIPPED, 700
    row["from_exch_s"], row["to_exch_s"] = TEN_S - 90, TEN_S - 60
    return row.tobytes()


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):  # a watchdog
        while not condition():
            await asyncio.sleep(0)


def test_a_gap_told_before_rest_can_be_asked_is_not_answered_unasked(tmp_path: Path) -> None:
    """A restarted ingest hears of gaps with its first heartbeat, before anything else has run."""

    async def live() -> None:
        tape = LocalTape(symbols_max=64)
        symbol_id = tape.symbols.intern(b"HPG", Venue.HOSE)

        async def bars(code: str, day: dt.date) -> list[Bar]:
            assert (code, day) == ("HPG", FRIDAY)
            return [Bar(TEN_S - 60, 4, 6, 3, 5, 900)]

        gaps = FakeGaps(open_gap(symbol_id))
        rest = rest_data(tmp_path, tape, gaps=gaps, bars=bars, reference="off")
        rest.take_gaps()
        assert tape.intake.flush() == 0
        running = asyncio.create_task(rest.run())
        await until(lambda: rest.take_gaps() or tape.counters[0]["backfill_gaps"])
        running.cancel()
        await asyncio.wait([running])
        tape.intake.flush()
        slots = slots_of(tape)
        (bar,) = slots[slots["kind"] == SlotKind.BACKFILL].view(BACKFILL)
        assert (bar["volume_shares"], bar["exch_s"]) == (900, TEN_S - 60)

    asyncio.run(live())


def test_without_backfill_a_gap_is_answered_at_once(tmp_path: Path) -> None:
    tape = LocalTape(symbols_max=64)
    gaps = FakeGaps(open_gap(tape.symbols.intern(b"HPG", Venue.HOSE)))
    rest_data(tmp_path, tape, gaps=gaps, backfill="off").take_gaps()
    assert tape.intake.flush() == 1
    assert tape.counters[0]["backfill_gaps"] == 1


@pytest.mark.parametrize(("day", "believed"), [(FRIDAY, True), (SATURDAY, False), (SUNDAY, False)])
def test_reference_data_of_no_trading_day_or_of_tomorrow_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day: dt.date, believed: bool
) -> None:
    """They would begin a day in which nothing can happen, and end the one before."""
    row = ReferenceRow("HPG", Venue.HOSE, 100, 5, 3, 4, 0, "", "", IndexMember.NONE)
    asked: list[dt.date] = []
    told: list[bool] = []

    async def facts(_http: Any, today: dt.date) -> Reference:
        asked.append(today)
        return Reference(day, (row,))

    async def live() -> None:
        tape = LocalTape(symbols_max=64)
        rest = rest_data(
            tmp_path, tape, facts=facts, backfill="off", now_s=TEN_S + 86_400
        )  # Saturday
        monkeypatch.setattr(rest._log, "write", lambda *_, **__: told.append(True))
        running = asyncio.create_task(rest.run())
        await until(lambda: told)
        running.cancel()
        await asyncio.wait([running])
        assert tape.counters[0]["reference_symbols"] == believed
        assert (tape.intake.flush() > 0) == believed

    asyncio.run(live())
    assert asked == [SATURDAY]


def test_the_tape_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(
        rest_data_module, "store", lambda *_: threads.append(threading.current_thread())
    )

    async def facts(_http: Any, _today: dt.date) -> Reference:
        return Reference(FRIDAY, ())

    async def live() -> None:
        rest = rest_data(tmp_path, LocalTape(symbols_max=64), facts=facts, backfill="off")
        running = asyncio.create_task(rest.run())
        await until(lambda: threads)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(live())
    assert threads[0] is not threading.main_thread()


def test_no_network_is_no_reason_to_end(tmp_path: Path) -> None:
    asked = []

    async def facts(_http: Any, today: dt.date) -> Reference:
        asked.append(today)
        raise FeedError("cannot reach the server")

    async def live() -> None:
        rest = rest_data(tmp_path, LocalTape(symbols_max=64), facts=facts, backfill="off")
        running = asyncio.create_task(rest.run())
        await until(lambda: asked)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not running.done()
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(live())

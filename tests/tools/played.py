"""A small day behind the simulator, for its tests and for those with official clients."""

import asyncio
from functools import cache
from typing import Any

import orjson
import uvloop

from engine.clock import Clock, SystemClock
from engine.feed.synthetic import (
    ALL_TYPES,
    SHIPPED_FUTURES,
    SHIPPED_TABLE,
    SMALL,
    Day,
    iter_messages,
    plan_day,
    read_futures,
    read_table,
)
from engine.schema.codes import Venue
from tools.simulator.figures import Figures
from tools.simulator.player import Pace
from tools.simulator.rest import Instrument, Keys
from tools.simulator.server import Options, Simulator
from tools.simulator.v3_almanac import almanac_of
from tools.simulator.v3_puts import put_lines, with_puts

CONSUMER_ID = "00112233445566778899aabbccddeeff"
SECRET = "ffeeddccbbaa99887766554433221100"
WATCHDOG_S = 120.0  # a hang becomes a failure; no test measures by it
SYMBOLS = ("ACB", "BSI", "HPG", "SHB", "WCS")  # HOSE and HNX; liquid enough for odd lots
DAY_TEXT = "15/07/2021"


@cache
def day() -> Day:
    """Return a day of a few symbols and the future, 2,000 prints."""
    return plan_day(
        read_table(SHIPPED_TABLE),
        read_futures(SHIPPED_FUTURES),
        seed=3,
        symbols=SYMBOLS,
        **SMALL._replace(trades_max=2_000)._asdict(),
    )


def lines() -> list[tuple[int, str, str, bytes]]:
    """Return every line of the day, of every v2 type."""
    return list(iter_messages(day(), ALL_TYPES))


def simulator(
    played: list[tuple[int, str, str, bytes]],
    *,
    clock: Clock | None = None,
    pace: Pace | None = None,
    snapshot: bool = True,
    keepalive_s: float = 10.0,
    **parts: Any,
) -> Simulator:
    """Return a simulator that plays lines as fast as they are read, unless told otherwise."""
    clock = clock or SystemClock()
    return Simulator(
        played,
        pace or Pace(None, 0, clock.now_ns()),
        clock,
        Options(keys=Keys(CONSUMER_ID, SECRET), snapshot=snapshot, keepalive_s=keepalive_s),
        instruments=[
            Instrument(
                symbol.code,
                "DER" if symbol.venue is Venue.DERIVATIVES else symbol.venue.name,
                f"Company {symbol.code}",
            )
            for symbol in day().symbols
        ],
        vn30=["ACB", "HPG"],
        figures=Figures(day()),
        **parts,
    )


def run(body: Any) -> Any:
    """Run a test's coroutine with a watchdog."""

    async def watched() -> Any:
        async with asyncio.timeout(WATCHDOG_S):
            return await body

    return uvloop.run(watched())


@cache
def almanac():
    """Return the day as v3's reference data."""
    return almanac_of(day(), {symbol.code: f"Company {symbol.code}" for symbol in day().symbols})


@cache
def played():
    """Return the lines of the day with put-through deals among them."""
    return list(with_puts(lines(), put_lines(almanac(), seed=1)))


def record(line):
    """Return what a line says."""
    return orjson.loads(orjson.loads(orjson.loads(line[3])["A"][0])["Content"])

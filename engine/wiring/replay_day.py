"""Play a synthetic day through the local tape, as fast as it goes."""

from collections.abc import Iterator
from pathlib import Path

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.feed.synthetic.day import Day
from engine.feed.synthetic.plan import NORMAL, plan_day
from engine.feed.synthetic.render import frames
from engine.feed.synthetic.table import read_day
from engine.market.days import day_number
from engine.wiring.local import LocalTape


def plan(
    table: Path | None, futures: Path | None, *, seed: int, trades_max: int | None = None
) -> Day:
    """Plan the day of a table; without one, the day that ships with vntape.

    Raises
    ------
    ConfigError
        A file is missing or impossible; names file, line, column and numbers.
    """
    return plan_day(
        *read_day(table, futures), seed=seed, trades_max=trades_max or NORMAL.trades_max
    )


def stamped_frames(day: Day, messages_per_frame: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yield ``(recv_ns, frame)`` as if every frame had been received at its exchange time."""
    midnight_ns = (day_number(day.date) * DAY_S - ICT_OFFSET_S) * 1_000_000_000
    for time_ms, frame in frames(day, messages_per_frame):
        yield midnight_ns + time_ms * 1_000_000, frame


def replay_day(
    table: Path | None, futures: Path | None, *, seed: int, trades_max: int | None = None
) -> LocalTape:
    """Return the local tape after the whole day."""
    tape = LocalTape()
    tape.play(stamped_frames(plan(table, futures, seed=seed, trades_max=trades_max)))
    return tape

"""The one workload of the path benches: a synthetic day with the market's own mix of messages.

A whole-market measurement (ssi-wire section 4.7) saw about one trade in eighteen messages; the
synthetic day is planned with as many book changes per trade, so that a figure in messages per
second means what an operator would measure on a live feed.
"""

from dataclasses import dataclass

from engine.decode.frames import FrameBatch
from engine.feed.synthetic import table as tables
from engine.feed.synthetic.day import Day
from engine.feed.synthetic.plan import plan_day
from engine.feed.synthetic.render import frames

SEED = 20210715
QUOTES_PER_TRADE = 14.0
TRADES = {"small": 2_000, "full": 100_000}
BATCH_FRAMES = 256  # what one turn of ingest's loop brings under load
FRAME_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Workload:
    """Frames in memory, packed as ingest would hold them, and what they must add up to."""

    day: Day
    batches: list[FrameBatch]
    message_count: int
    frame_bytes: int


def plan(size: str) -> Day:
    """Plan the bench's day; the same for every process of a run."""
    return plan_day(
        tables.read_table(tables.SHIPPED_TABLE),
        tables.read_futures(tables.SHIPPED_FUTURES),
        seed=SEED,
        trades_max=TRADES[size],
        quotes_per_trade=QUOTES_PER_TRADE,
    )


def build(size: str, messages_per_frame: int = 1) -> Workload:
    """Render every frame of the day into memory.

    Parameters
    ----------
    size
        ``small`` or ``full``.
    messages_per_frame
        1 is the hardest case: every message pays for a frame of its own.
    """
    day = plan(size)
    batches: list[FrameBatch] = []
    messages = total_bytes = 0
    batch = FrameBatch(BATCH_FRAMES * FRAME_BYTES * messages_per_frame, BATCH_FRAMES)
    for _, frame in frames(day, messages_per_frame):
        while not batch.append(frame, 0):
            batches.append(batch)
            batch = FrameBatch(BATCH_FRAMES * FRAME_BYTES * messages_per_frame, BATCH_FRAMES)
        messages += frame.count(b'"Broadcast"')
        total_bytes += len(frame)
    batches.append(batch)
    return Workload(day, batches, messages, total_bytes)


def expected_volumes(day: Day) -> dict[str, int]:
    """Return what every symbol that trades must end on, shares or contracts."""
    volumes = {
        code: listing.volume_shares for code, listing in day.expected.items() if listing.traded
    }
    if day.future_code:
        volumes[day.future_code] = sum(bar.volume_contracts for bar in day.future_bars)
    return volumes

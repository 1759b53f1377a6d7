"""A small trading day as frames, delivered as badly as a seed says.

A frame may be dropped, come twice, be overtaken, come late, or be cut off. Outages drop a whole
stretch. Everything is decided before the first frame is delivered, so that a script of events can
be shortened without changing what the frames do.
"""

import datetime as dt
import random
from dataclasses import dataclass
from functools import cache

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.feed.reference import Reference, ReferenceRow
from engine.feed.synthetic import SMALL, Day, Listing, MarketTable, plan_day
from engine.market.days import day_number
from engine.schema.codes import IndexMember, SlotKind, Venue
from engine.wiring.replay_day import stamped_frames

DATE = dt.date(2021, 7, 15)
CONTROL_KIND = int(SlotKind.CONTROL)
MORNING_NS = (day_number(DATE) * DAY_S - ICT_OFFSET_S + 8 * 3600) * 1_000_000_000  # 08:00 ICT
LISTINGS = (
    Listing("AAA", Venue.HOSE, 20_000_00, 20_100_00, 20_500_00, 19_900_00, 20_300_00, 125_000),
    Listing("BBB", Venue.HNX, 9_900_00, 10_000_00, 10_300_00, 9_800_00, 9_900_00, 33_333),
    Listing("CCC", Venue.UPCOM, 12_000_00, 12_100_00, 12_100_00, 12_100_00, 12_100_00, 1),
    Listing("DDD", Venue.HOSE, 30_000_00, 30_000_00, 31_000_00, 29_500_00, 30_950_00, 4_400),
)
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Rates:
    """How likely each mishap is, per frame."""

    drop: float = 0.0
    repeat: float = 0.0
    overtaken: float = 0.0
    late: float = 0.0
    cut: float = 0.0
    outage: float = 0.0


CALM = Rates()
ROUGH = Rates(drop=0.02, repeat=0.03, overtaken=0.03, late=0.02, cut=0.01, outage=0.003)
OUTAGE_FRAMES_MAX = 25
LATE_S_MAX = 90


@cache
def day(trades_max: int) -> Day:
    """Plan the day once per process."""
    sizes = SMALL._asdict() | {
        "trades_max": trades_max,
        "index_interval_s": 1_800,
        "foreign_interval_s": 3_600,
    }
    return plan_day(MarketTable("four stocks", DATE, LISTINGS), seed=7, vn30=["AAA"], **sizes)


@cache
def clean_frames(trades_max: int) -> tuple[tuple[int, bytes], ...]:
    """Every frame of the day with the time it would be received at."""
    return tuple(stamped_frames(day(trades_max), 4))


def deliveries(seed: int, rates: Rates, trades_max: int) -> list[tuple[int, bytes]]:
    """Return ``(earliest recv_ns, frame)`` in the order in which they arrive."""
    dice = random.Random(f"frames {seed}")
    arrivals: list[tuple[int, int, bytes]] = []  # place, due, frame
    away = 0
    for place, (due_ns, frame) in enumerate(clean_frames(trades_max)):
        if away:
            away -= 1
            continue
        if dice.random() < rates.outage:
            away = dice.randint(1, OUTAGE_FRAMES_MAX)
        if dice.random() < rates.drop:
            continue
        if dice.random() < rates.cut:
            frame = frame[: dice.randrange(len(frame))]
        if dice.random() < rates.late:
            due_ns += dice.randint(1, LATE_S_MAX) * SECOND_NS
        behind = dice.randint(1, 6) if dice.random() < rates.overtaken else 0
        arrivals.append((place + behind, due_ns, frame))
        if dice.random() < rates.repeat:
            arrivals.append((place + behind + dice.randint(1, 8), due_ns, frame))
    arrivals.sort(key=lambda arrival: arrival[0])
    return [(due_ns, frame) for _, due_ns, frame in arrivals]


@cache
def crowd(count: int) -> Reference:
    """Reference data of so many symbols nobody trades: a cheap way to fill a ring."""
    rows = tuple(
        ReferenceRow(
            code=f"Q{number:04d}",
            venue=Venue.HOSE,
            ceiling_e2=10_700_00,
            floor_e2=9_300_00,
            reference_e2=10_000_00,
            lot_shares=100,
            listed_shares=1_000_000,
            indices=IndexMember.NONE,
            security_type="S",
            name=f"Company {number}",
        )
        for number in range(count)
    )
    return Reference(DATE, rows)

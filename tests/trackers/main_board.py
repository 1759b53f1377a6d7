"""Random days of a few symbols that live at their limits and in auctions: a hypothesis strategy.

Drawn as small tuples and interpreted, so that a shrunk example is a day again. Prices are floor,
reference and ceiling, and one between; limits are told by trades, by REST, or not at all.
"""

from random import Random
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from engine.schema.codes import ControlOp, FeedSession, FeedState, SlotKind, Venue
from engine.shard.fold import Fold
from engine.shard.stage import Stage
from tests.shard.folding import SLOTS, SYMBOLS, Groups, fold_groups, plain
from tests.shard.messages import Message, exch_s, levels
from tests.trackers.symbol_day import STAGES

VENUES = {1: Venue.HOSE, 2: Venue.HNX, 3: Venue.DERIVATIVES}
DAYS = ("2021-07-15", "2021-07-16", "2026-08-14")
CLOCKS = (
    "08:50:00",
    "09:00:00",
    "09:05:00",
    "09:14:59",
    "09:15:00",
    "09:15:01",
    "10:00:00",
    "10:00:07",
    "11:29:59",
    "11:30:01",
    "13:00:00",
    "14:29:59",
    "14:30:01",
    "14:40:00",
    "14:45:00",
    "14:45:02",
    "14:50:00",
)
FLOOR, MIDDLE, REFERENCE, CEILING = 2_325_000, 2_495_000, 2_500_000, 2_675_000
PRICES = (REFERENCE, CEILING, CEILING, CEILING, FLOOR, FLOOR, MIDDLE, 0)
# (bids, asks): locked at the ceiling twice, at the floor twice, opened, ordinary, crossed, with
# ATO orders on one or both sides, empty, and priced levels without volume.
BOOKS: tuple[tuple[list[tuple[int, int]], list[tuple[int, int]]], ...] = (
    ([(CEILING, 300), (CEILING - 5_000, 100)], []),
    ([(CEILING, 700)], []),
    ([], [(FLOOR, 400)]),
    ([], [(FLOOR, 200), (FLOOR + 5_000, 100)]),
    ([(MIDDLE, 100)], [(CEILING, 500)]),
    ([(FLOOR, 100)], [(MIDDLE, 500)]),
    ([(MIDDLE, 300)], [(REFERENCE, 200)]),
    ([(CEILING, 300)], [(REFERENCE, 200), (CEILING, 100)]),
    ([(0, 150), (CEILING, 200)], []),
    ([(0, 150), (CEILING, 200)], [(0, 90), (MIDDLE, 40)]),
    ([(CEILING, 250)], [(0, 80)]),
    ([(0, 70)], [(FLOOR, 250)]),
    ([], []),
    ([(CEILING, 300)], [(CEILING, 0)]),
)
SESSIONS = (FeedSession.NONE, FeedSession.LO, FeedSession.ATO, FeedSession.ATC, FeedSession.HALT)
FEED_STATES = (FeedState.LIVE, FeedState.DOWN, FeedState.LIVE, FeedState.CONNECTING)
# What becomes of the cumulative volume.
GROWTHS = ("grow",) * 5 + ("again", "again", "miss", "hold", "late", "untold", "shrink", "zero")

CHOICES: tuple[tuple[Any, ...], ...] = (
    (1, 1, 1, 1, 2, 3),  # symbol
    tuple("TTTTQQQQQXXEC"),  # trade, quote, both, reference, control
    GROWTHS,
    PRICES,
    tuple(range(len(BOOKS))),
    (0,) * 12 + (1, 1, 1, 2, -1),  # clock steps
    tuple(range(16)),  # session, mostly none
    (0, 0, 0, 0, 1, 2, 3, 4, 5),  # which limits the message tells
    (0,) * 40 + (1, -1),  # days
    (True, False),  # ends a group
)
EVENT = st.tuples(*(st.sampled_from(choices) for choices in CHOICES))


def long_stream(seed: int) -> list[tuple[Any, ...]]:
    """Return many events: visits, locks and auctions take more of them than hypothesis draws."""
    draw = Random(seed)
    return [tuple(draw.choice(choices) for choices in CHOICES) for _ in range(120)]


STREAMS = st.lists(EVENT, max_size=40) | st.integers(0, 10**6).map(long_stream)
CUTS = st.lists(st.integers(1, 80), max_size=5)


def interpret(events: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Turn drawn tuples into groups of messages."""
    groups: list[list[Message]] = [[]]
    totals = dict.fromkeys(VENUES, 0)
    held: dict[int, list[Message]] = {symbol_id: [] for symbol_id in VENUES}
    told: dict[int, list[Message]] = {symbol_id: [] for symbol_id in VENUES}
    clock = day = 0
    for number, event in enumerate(events):
        symbol_id, what, growth, price, shape, tock, session, limits, roll, ends = event
        if roll > 0 and day + 1 < len(DAYS):
            day, clock, totals = day + 1, 0, dict.fromkeys(VENUES, 0)
        clock = min(max(clock + tock, 0), len(CLOCKS) - 1)
        head = {
            "symbol_id": symbol_id,
            "venue": VENUES[symbol_id],
            "recv_ns": 1_000 + number,
            "exch_s": exch_s(DAYS[max(0, day + min(roll, 0))], CLOCKS[clock]) + number % 3,
            "session": SESSIONS[session] if session < len(SESSIONS) else FeedSession.NONE,
        }
        if what in "TX":
            if growth == "late" and held[symbol_id]:
                groups[-1].append(held[symbol_id].pop(0) | {"recv_ns": head["recv_ns"]})
            elif growth == "again" and told[symbol_id] and shape % 3 == 0:
                groups[-1].append(told[symbol_id][-1 - shape % 2 * (len(told[symbol_id]) > 1)])
            else:
                trade = head | trade_fields(totals, symbol_id, growth, price, shape, limits)
                (held if growth == "hold" else told)[symbol_id].append(trade)
                if growth != "hold":
                    groups[-1].append(trade)
        if what in "QX":
            groups[-1].append(head | book_fields(*BOOKS[shape]))
        if what == "E":
            groups[-1].append(head | {"kind": SlotKind.REFERENCE} | limit_fields(limits))
        if what == "C":
            control = {"op": ControlOp.FEED_STATE, "arg0": FEED_STATES[shape % 4]}
            groups[-1].append({"kind": SlotKind.CONTROL, "exch_s": head["exch_s"]} | control)
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] or len(groups) == 1 else groups[:-1]


def listed(groups: list[list[Message]]) -> list[list[Message]]:
    """Return the groups of `tests.shard.streams` without symbols outside the table."""
    return [[each for each in group if each.get("symbol_id", 0) < SYMBOLS] for group in groups]


def limit_fields(which: int) -> dict[str, int]:
    """Limits as a message tells them: all, none, one, or moved ones."""
    return {
        "ceiling_price_e2": {3: 0, 4: 0, 5: MIDDLE}.get(which, CEILING),
        "floor_price_e2": {2: 0, 4: 0}.get(which, FLOOR),
    }


def trade_fields(
    totals: dict[int, int], symbol_id: int, growth: str, price: int, shape: int, limits: int
) -> Message:
    """Payload of a TRADE slot; moves the symbol's cumulative volume on."""
    size = 100 * (1 + shape % 4)
    total = totals[symbol_id]
    totals[symbol_id] += {
        "again": 0,
        "late": 0,
        "miss": size + 300,
        "untold": size,
        "shrink": -min(total, 200),
        "zero": -total,
    }.get(growth, size)
    return limit_fields(limits) | {
        "kind": SlotKind.TRADE,
        "last_price_e2": price,
        "last_volume_shares": 0 if growth == "untold" else size,
        "total_volume_shares": totals[symbol_id],
        "estimated_price_e2": (0, CEILING, MIDDLE)[shape % 3],
    }


def book_fields(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> Message:
    """Payload of a QUOTE slot."""
    bid_prices, bid_volumes = levels(*bids)
    ask_prices, ask_volumes = levels(*asks)
    return {
        "kind": SlotKind.QUOTE,
        "bid_price_e2": bid_prices,
        "bid_volume_shares": bid_volumes,
        "ask_price_e2": ask_prices,
        "ask_volume_shares": ask_volumes,
    }


def new_fold() -> Fold:
    """Return a fold of classify and the stages that these days are for."""
    return Fold(SYMBOLS, SLOTS, stages=STAGES, hash_deltas=True)


def assert_stage_equals_twin(stage: Stage, twin: Any, groups: Groups) -> None:
    """Run both over the same groups and classify's notes: equal rows, group by group."""
    fold = new_fold()
    assert stage.channel is not None
    shown: dict[int, dict[str, Any]] = {}
    for group in groups:
        if not group:
            continue
        notes, emitted = fold_groups(fold, [group])
        said = [SimpleNamespace(**note) for note in notes]
        rows = emitted.get(stage.channel.name, [])
        assert rows == twin.feed(list(group), said)
        shown |= {row["symbol_id"]: row for row in rows}
        for symbol_id, row in shown.items():  # what a client that comes now is shown
            assert plain(fold.latest[stage.channel.name][symbol_id]) == row


def assert_batching_is_invisible(groups: Groups, cuts: list[int]) -> None:
    """Cut the same groups into other batches: the same rows and the same state."""
    whole, cut = new_fold(), new_fold()
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()

"""Channel ``status`` against its naive twin, and what must hold whatever happens."""

from collections import defaultdict
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import FeedSession, Phase, SlotKind, TradingStatus, Venue
from engine.trackers import status
from tests.oracle.status_naive import NaiveStatus
from tests.shard import streams
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.trackers import main_board

VENUES = {1: Venue.HOSE, 2: Venue.DERIVATIVES}
CLOCKS = ("08:50:00", "09:00:00", "09:15:00", "10:00:00", "11:30:01", "14:30:00", "14:45:01")
SESSIONS = (FeedSession.NONE, FeedSession.OTHER, FeedSession.ATO, FeedSession.LO, FeedSession.HALT)
STATUSES = (
    *(TradingStatus.NONE, TradingStatus.OTHER, TradingStatus.NORMAL, TradingStatus.SPECIAL),
    *(TradingStatus.HALTED, TradingStatus.SUSPENDED),
)
CHOICES: tuple[tuple[Any, ...], ...] = (
    (1, 1, 1, 2),  # symbol
    tuple("FFFTTMHLLQIRO"),  # status, trade, match, one held back, late, quote, index, room ...
    SESSIONS,
    STATUSES,
    SESSIONS,  # of odd lots
    (0, 0, 0, 1, -1),  # clock steps
    (0,) * 20 + (1, -1),  # days
    (True, True, False),  # ends a group
)
EVENT = st.tuples(*(st.sampled_from(choices) for choices in CHOICES))
KINDS = {
    "F": SlotKind.STATUS,
    "T": SlotKind.TRADE,
    "M": SlotKind.TRADE,
    "H": SlotKind.TRADE,
    "L": SlotKind.TRADE,
    "Q": SlotKind.QUOTE,
    "I": SlotKind.INDEX,
    "R": SlotKind.FOREIGN,
    "O": SlotKind.ODD_LOT,
}


def long_stream(seed: int) -> list[tuple[Any, ...]]:
    """Return many events from one seed."""
    draw = Random(seed)
    return [tuple(draw.choice(choices) for choices in CHOICES) for _ in range(100)]


STREAMS = st.lists(EVENT, max_size=30) | st.integers(0, 10**6).map(long_stream)


def interpret(events: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Turn drawn tuples into groups of messages: any kind with any words."""
    groups: list[list[Message]] = [[]]
    totals = dict.fromkeys(VENUES, 0)
    held: list[Message] = []
    clock = day = 0
    for number, (symbol_id, what, session, word, odd_lot, tock, roll, ends) in enumerate(events):
        if roll > 0 and day + 1 < len(main_board.DAYS):
            day, clock, totals = day + 1, 0, dict.fromkeys(VENUES, 0)
        clock = min(max(clock + tock, 0), len(CLOCKS) - 1)
        message: Message = {
            "kind": KINDS[what],
            "symbol_id": symbol_id,
            "venue": VENUES[symbol_id],
            "recv_ns": 1_000 + number,
            "exch_s": exch_s(main_board.DAYS[max(0, day + min(roll, 0))], CLOCKS[clock]) + number,
            "session": session,
            "status": word,
        }
        if what == "F":
            message["odd_lot_session"] = odd_lot
        if what in "MH":
            totals[symbol_id] += 100
            message |= {"last_price_e2": 2_500_000, "last_volume_shares": 100}
        if what in "TMHL":
            message["total_volume_shares"] = totals[symbol_id]
        if what == "L" and held:
            message = held.pop(0) | {"recv_ns": message["recv_ns"]}
        if what == "H":
            held.append(message)
        else:
            groups[-1].append(message)
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] or len(groups) == 1 else groups[:-1]


@given(STREAMS)
def test_kernel_says_what_the_naive_twin_says(events):
    main_board.assert_stage_equals_twin(status.STAGE, NaiveStatus(), interpret(events))


@given(streams.STREAMS)
def test_kernel_says_what_the_naive_twin_says_when_the_feed_has_a_bad_day(events):
    groups = main_board.listed(streams.interpret(events))
    main_board.assert_stage_equals_twin(status.STAGE, NaiveStatus(), groups)


@given(main_board.STREAMS)
def test_kernel_says_what_the_naive_twin_says_of_a_trading_day(events):
    groups = main_board.interpret(events)
    main_board.assert_stage_equals_twin(status.STAGE, NaiveStatus(), groups)


@given(STREAMS, main_board.CUTS)
def test_batching_is_invisible(events, cuts):
    main_board.assert_batching_is_invisible(interpret(events), cuts)


@given(STREAMS)
def test_a_row_differs_from_the_one_before_it_and_counts_its_halts(events):
    groups = [[message] for group in interpret(events) for message in group]
    _, emitted = fold_groups(main_board.new_fold(), groups)
    days = defaultdict(list)
    for row in emitted.get("status", []):
        days[row["symbol_id"], row["trade_day"]].append(row)
    names = ("session", "trading_status", "odd_lot_session", "halted")
    for rows in days.values():
        states = [tuple(row[name] for name in names) for row in rows]
        assert all(a != b for a, b in pairwise(states))
        assert all(row["since_exch_s"] in {each["exch_s"] for each in rows} for row in rows)
        halts = 0
        for before, row in zip([{"halted": 0}, *rows], rows, strict=False):
            halts += row["halted"] and not before["halted"]
            assert row["halt_count"] == halts
            if row["phase"] == Phase.HALT:
                assert row["halted"]

"""Channels ``put_through`` and ``odd_lot`` against their naive twins."""

from collections import defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import DeltaFlag, Instrument, SlotKind, Venue
from engine.trackers import odd_lot, put_through
from tests.oracle.apart_naive import NaiveOddLot, NaivePutThrough
from tests.shard import streams
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.trackers import main_board

STAGES = ((put_through.STAGE, NaivePutThrough), (odd_lot.STAGE, NaiveOddLot))
BOTH = pytest.mark.parametrize(("stage", "naive"), STAGES, ids=["put_through", "odd_lot"])

VENUES = {1: (Venue.HOSE, 1), 2: (Venue.UPCOM, 10), 3: (Venue.DERIVATIVES, 100_000)}
CHOICES: tuple[tuple[Any, ...], ...] = (
    (1, 1, 2, 3),  # symbol
    tuple("PPPOOOS"),  # deal, odd lot, introduction
    ("grow",) * 4 + ("repeat", "repeat", "skip", "shrink", "unknown", "blank", "absurd"),
    (0, 1, 2_500_000, 2_500_000, 2_501_300),  # price
    (0, 1, 60, 99, 20_000, 1_000_000),  # volume
    (0, 0, 1, 2, 3),  # what a message leaves out
    (0,) * 20 + (1, -1),  # days
    (True, False),  # ends a group
)
EVENT = st.tuples(*(st.sampled_from(choices) for choices in CHOICES))


def long_stream(seed: int) -> list[tuple[Any, ...]]:
    """Return many events from one seed."""
    draw = Random(seed)
    return [tuple(draw.choice(choices) for choices in CHOICES) for _ in range(120)]


STREAMS = st.lists(EVENT, max_size=30) | st.integers(0, 10**6).map(long_stream)


def interpret(events: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Turn drawn tuples into groups of messages."""
    groups: list[list[Message]] = [[]]
    totals: dict[tuple[int, str], int] = defaultdict(int)
    day = 0
    for number, event in enumerate(events):
        symbol_id, what, growth, price, volume, left_out, roll, ends = event
        if roll > 0 and day + 1 < len(main_board.DAYS):
            day += 1
            totals.clear()
        venue, multiplier = VENUES[symbol_id]
        message: Message = {
            "symbol_id": symbol_id,
            "venue": venue,
            "recv_ns": 1_000 + number,
            "exch_s": exch_s(main_board.DAYS[max(0, day + min(roll, 0))], "10:00:00") + number,
        }
        before = totals[symbol_id, what]
        totals[symbol_id, what] += {
            "repeat": 0,
            "skip": volume + 7,
            "shrink": -(before // 2),
            "blank": 0,
        }.get(growth, volume)
        total = totals[symbol_id, what] * (growth not in ("unknown", "blank"))
        if what == "S":
            message |= {
                "kind": SlotKind.SYMBOL,
                "code": b"SYM%d" % symbol_id,
                "instrument": Instrument.STOCK,
                "value_multiplier": multiplier,
            }
        elif what == "P":
            message |= {
                "kind": SlotKind.PUT_THROUGH,
                "price_e2": price,
                "volume_shares": 10**14 if growth == "absurd" else volume,
                "total_volume_shares": total,
                "total_value_vnd": 0 if left_out == 1 else total * 1_000,
            }
        else:
            message |= {"kind": SlotKind.ODD_LOT} | odd_lot_fields(
                growth, price, volume, left_out, total
            )
        groups[-1].append(message)
        if ends:
            groups.append([])
    return groups if groups[-1] or len(groups) == 1 else groups[:-1]


def odd_lot_fields(growth: str, price: int, volume: int, left_out: int, total: int) -> Message:
    """Payload of an ODD_LOT slot: all of v2's, only what v3 tells, or nothing at all."""
    if growth == "blank":
        return {}
    short = {
        "last_price_e2": price,
        "last_volume_shares": volume,
        "bid_price_e2": [price, price // 2, 0],
        "bid_volume_shares": [volume, left_out, 0],
        "ask_price_e2": [price + 100, 0, left_out],
        "ask_volume_shares": [left_out, 0, 9],
    }
    if left_out == 2:
        return short
    prices = ("reference", "ceiling", "floor", "open", "high", "low")
    return short | {
        "total_volume_shares": total,
        "total_value_vnd": total * 1_000,
        **{f"{name}_price_e2": (price + i) * (left_out != 3) for i, name in enumerate(prices)},
    }


@BOTH
@given(STREAMS)
def test_kernel_says_what_the_naive_twin_says(stage, naive, events):
    main_board.assert_stage_equals_twin(stage, naive(), interpret(events))


@BOTH
@given(streams.STREAMS)
def test_kernel_says_what_the_naive_twin_says_when_the_feed_has_a_bad_day(stage, naive, events):
    groups = main_board.listed(streams.interpret(events))
    main_board.assert_stage_equals_twin(stage, naive(), groups)


@given(STREAMS, main_board.CUTS)
def test_batching_is_invisible(events, cuts):
    main_board.assert_batching_is_invisible(interpret(events), cuts)


@given(STREAMS)
def test_deals_and_what_was_missed_add_up_to_the_total(events):
    """A row without MISSED_BEFORE, BASELINE or CORRECTED moves the total by its own deal."""
    _, emitted = fold_groups(main_board.new_fold(), interpret(events))
    totals: dict[tuple[int, int], int] = defaultdict(int)
    odd = DeltaFlag.MISSED_BEFORE | DeltaFlag.BASELINE | DeltaFlag.CORRECTED
    for row in emitted.get("put_through", []):
        key = row["symbol_id"], row["trade_day"]
        moved = row["total_volume_shares"] - totals[key]
        if not row["flags"] & odd and moved != row["volume_shares"]:
            assert moved < row["volume_shares"]  # the exchange counts less than it tells
        totals[key] = row["total_volume_shares"]
        assert (row["volume_shares"] > 0) == (row["price_e2"] > 0)

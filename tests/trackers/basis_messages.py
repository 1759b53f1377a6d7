"""Messages of index futures and their indices, and the stages they are folded with."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from engine.decode.symbols import UNDERLYING_CODES
from engine.market.facts import day_number
from engine.market.symbology import identify
from engine.schema.codes import (
    ControlOp,
    FeedSession,
    FeedState,
    Instrument,
    SlotKind,
    Underlying,
    Venue,
)
from engine.shard import classify
from engine.shard.fold import Fold
from engine.trackers import basis, basis_trend
from tests.oracle.basis_naive import NaiveBasis
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s, levels

SYMBOLS, SLOTS = 8, 256
STAGES = (classify.STAGE, basis.STAGE, basis_trend.STAGE)
Groups = Sequence[Sequence[Message]]


def new_fold() -> Fold:
    """Return a fold of classify and the two basis stages."""
    return Fold(SYMBOLS, SLOTS, stages=STAGES, hash_deltas=True)


def introduce(symbol_id: int, code: str) -> Message:
    """Return what a symbol's introduction says of a real code."""
    names = identify(code, Venue.UNKNOWN)
    future = names.instrument == Instrument.FUTURE
    return {
        "kind": SlotKind.SYMBOL,
        "symbol_id": symbol_id,
        "venue": Venue.DERIVATIVES if future else Venue.HOSE,
        "code": code.encode(),
        "value_multiplier": names.value_multiplier,
        "instrument": names.instrument,
        "underlying": UNDERLYING_CODES.get(names.underlying, Underlying.NONE),
        "expiry_day": day_number(names.expiry) if names.expiry else 0,
    }


def at(day: str, time: str, symbol_id: int, kind: SlotKind, **fields: Any) -> Message:
    """Return a message; contracts are on DERIVATIVES, indices on HOSE."""
    stamp = exch_s(day, time)
    venue = Venue.HOSE if kind == SlotKind.INDEX else Venue.DERIVATIVES
    return {
        "kind": kind,
        "symbol_id": symbol_id,
        "venue": venue,
        "exch_s": stamp,
        "recv_ns": stamp * 10**9 + 1,
    } | fields


def both_ways(groups: Groups) -> tuple[Fold, dict[str, list[dict]], dict[str, list[dict]]]:
    """Fold with the kernels and tell the twin; return the fold, its rows and the twin's rows."""
    fold, twin = new_fold(), NaiveBasis()
    notes, emitted = fold_groups(fold, groups)
    judged = iter(SimpleNamespace(**note) for note in notes)
    wanted: dict[str, list[dict]] = {"basis": [], "basis.trend": []}
    for group in groups:
        rows, trends = twin.feed(list(group), [next(judged) for _ in group])
        wanted["basis"] += [dict(row) for row in rows]
        wanted["basis.trend"] += [dict(row) for row in trends]
    return fold, {name: emitted.get(name, []) for name in wanted}, wanted


# Random days -------------------------------------------------------------------------------------

CODES = {
    1: "VN30F2107",
    2: "VN30F2108",
    3: "VN30F1M",
    4: "41I2FB000",
    5: "VN30",
    6: "VN100",
    7: "GB05F2109",
}
DAYS = ("2021-07-15", "2021-07-16", "2021-08-19", "2021-08-20")
CLOCKS = (
    "08:00:07", "08:45:00", "08:59:59", "09:00:01", "09:10:00", "09:15:00", "09:15:30", "09:16:05",
    "10:00:00", "11:29:59", "11:30:01", "12:00:00", "13:00:00", "13:00:59", "14:30:00", "14:45:00",
    "14:46:00", "15:05:05",
)  # fmt: skip

# M match, B volume without a match, C correction, R repeat, Q quote, I index value, Z zeros,
# S introduction, X introduced as something else, H halted, O the feed goes and comes
STEP = st.tuples(
    st.sampled_from((1, 1, 1, 1, 2, 2, 2, 3, 4, 4, 5, 6, 7)),
    st.sampled_from("MMMMMMBCRQQIIIIIIIZSSXHO"),
    st.integers(-3, 3),  # price steps
    st.integers(0, 2),  # clock steps
    st.sampled_from((0,) * 11 + (1, 1, -1)),  # days
    st.booleans(),  # ends a group
)
STREAMS = st.lists(STEP, min_size=4, max_size=40)


def interpret(steps: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Turn drawn tuples into groups of messages; who is introduced at all is drawn too."""
    groups: list[list[Message]] = [[introduce(who, CODES[who]) for who in (1, 2, 3, 5)]]
    totals = dict.fromkeys(CODES, 0)
    clock, day = 5, 0
    for number, (who, what, ticks, tock, roll, ends) in enumerate(steps):
        if roll > 0 and day + 1 < len(DAYS):
            day, clock = day + 1, 0 if ticks < 0 else 5
            totals = dict.fromkeys(CODES, 0)
        clock = min(clock + tock, len(CLOCKS) - 1)
        date = DAYS[max(0, day + min(roll, 0))]
        if what in "IZ" and who < 5:  # contracts have no value of their own: their index's
            who = 6 if who == 4 else 5
        for message in tell(who, what, ticks, totals):
            stamp = exch_s(date, CLOCKS[clock])
            head = {"symbol_id": who, "exch_s": stamp, "recv_ns": 1_000 + number}
            venue = Venue.HOSE if who in (5, 6) else Venue.DERIVATIVES
            groups[-1].append({"venue": venue} | head | message)
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] else groups[:-1]


def tell(who: int, what: str, ticks: int, totals: dict[int, int]) -> list[Message]:
    """Return the messages of one step, without stamps; `totals` moves on."""
    price = 148_000 + 10 * ticks
    if what == "S":
        return [introduce(who, CODES[who])]
    if what == "X":
        return [introduce(who, "FPT" if who < 5 else CODES[who])]
    if what == "O":
        return [
            {"kind": SlotKind.CONTROL, "op": ControlOp.FEED_STATE, "arg0": state}
            for state in (FeedState.DOWN, FeedState.LIVE)
        ]
    if what in "IZ":
        value = price if what == "I" else 0
        told = {"kind": SlotKind.INDEX, "value_e2": value, "prior_value_e2": 148_000}
        # nothing matched yet in some: that matters until the opening auction is over
        return [told | {"matched_volume_shares": 100 * max(0, ticks), "total_volume_shares": 900}]
    if what == "Q":
        names = ("bid_price_e2", "bid_volume_shares", "ask_price_e2", "ask_volume_shares")
        sides = (*levels((price - 10, 5)), *levels((price + 10 * (ticks + 1), 7)))
        return [{"kind": SlotKind.QUOTE, **dict(zip(names, sides, strict=True))}]
    size = 1 + abs(ticks)
    totals[who] += {"M": size, "H": 0, "R": 0, "B": size + 2, "C": -min(totals[who], 2)}[what]
    return [
        {
            "kind": SlotKind.TRADE,
            "last_price_e2": 0 if what == "B" and ticks == 1 else price,
            "last_volume_shares": 0 if what == "B" else size,
            "total_volume_shares": totals[who],
            "reference_price_e2": 147_900 if ticks > 0 else 0,
            "session": FeedSession.HALT if what == "H" else FeedSession.LO,
        }
    ]

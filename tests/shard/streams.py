"""Random slot streams that look like a feed having a bad day: a hypothesis strategy.

A stream is drawn as small tuples and interpreted, so that every shrunk example is a feed again.
"""

from typing import Any

from hypothesis import strategies as st

from engine.schema.codes import (
    ControlOp,
    FeedSession,
    FeedState,
    Side,
    SlotKind,
    SourceType,
    TradingStatus,
    Venue,
)
from tests.shard.messages import Message, exch_s, levels

# id -> venue, multiplier (None: never introduces itself), price to walk around
LISTED: dict[int, tuple[Venue, int | None, int]] = {
    1: (Venue.HOSE, 1, 2_500_000),
    2: (Venue.HNX, 1, 2_130_000),
    3: (Venue.UPCOM, None, 900_000),
    4: (Venue.DERIVATIVES, 100_000, 128_000),
    5: (Venue.DERIVATIVES, None, 128_500),
    9: (Venue.HOSE, 1, 100_000),  # outside a table of 8
}
DAYS = ("2021-07-15", "2021-07-16", "2026-08-14")
# Steps of the clock that land on and around every boundary of every venue.
CLOCKS = (
    "08:00:07",
    "08:45:00",
    "08:59:59",
    "09:00:00",
    "09:00:02",
    "09:00:03",
    "09:14:59",
    "09:15:00",
    "09:15:02",
    "09:15:03",
    "10:00:00",
    "11:29:59",
    "11:30:01",
    "12:00:00",
    "13:00:00",
    "14:29:59",
    "14:30:00",
    "14:30:02",
    "14:30:03",
    "14:44:59",
    "14:45:00",
    "14:45:02",
    "14:45:03",
    "14:57:00",
    "15:00:00",
    "15:05:05",
    "15:32:00",
)
SESSIONS = (
    FeedSession.NONE,
    FeedSession.LO,
    FeedSession.ATO,
    FeedSession.ATC,
    FeedSession.C,
    FeedSession.OTHER,
    FeedSession.HALT,
)
STATUSES = (
    TradingStatus.NONE,
    TradingStatus.NORMAL,
    TradingStatus.OTHER,
    TradingStatus.HALTED,
    TradingStatus.SPECIAL,
    TradingStatus.SUSPENDED,
)
SIDES = (Side.UNKNOWN, Side.BUY, Side.SELL, Side.NEUTRAL)
FEED_STATES = (
    FeedState.LIVE,
    FeedState.DOWN,
    FeedState.CONNECTING,
    FeedState.STALE,
    FeedState.CLOSED,
)
# What may become of the cumulative volume. `hold` is a match that is not delivered now; `late`
# delivers the oldest such one and `again` a message that was delivered before.
GROWTHS = (
    ("grow",) * 5
    + ("hold", "late", "late", "again", "repeat")
    + ("miss", "overlap", "shrink", "zero", "nosize", "noprice", "absurd")
)

rarely = st.integers(0, 9)
EVENT = st.tuples(
    st.sampled_from(sorted(LISTED)),
    # T trade, X both, Q quote, F status, C control, E reference, P put-through, K backfill ...
    st.sampled_from("TTTTTXXXQQFIRBOSCCEPK"),
    st.sampled_from(GROWTHS),
    st.integers(-2, 2),  # price steps
    st.integers(0, 2),  # clock steps
    rarely,
    rarely,
    rarely,  # indexes of session, status, side: mostly the harmless first ones
    st.sampled_from((0, 0, 0, 0, 0, 0, 0, 0, 1, -1)),  # days
    st.integers(0, 5),  # shape of the book
    st.booleans(),  # ends a group
)
STREAMS = st.lists(EVENT, max_size=48)
PRECEDENCES = st.sampled_from(
    (
        ("EXCHANGE", "QUOTE", "TICK"),
        ("QUOTE", "TICK", "EXCHANGE"),
        ("TICK",),
        ("QUOTE", "EXCHANGE"),
        (),
    )
)


def interpret(events: list[tuple[Any, ...]]) -> list[list[Message]]:
    """Turn drawn tuples into groups of messages."""
    groups: list[list[Message]] = [[]]
    walk: dict[int, dict[str, int]] = {
        symbol_id: {"price": price, "total": 0} for symbol_id, (_, _, price) in LISTED.items()
    }
    held: dict[int, list[Message]] = {symbol_id: [] for symbol_id in LISTED}
    delivered: dict[int, list[Message]] = {symbol_id: [] for symbol_id in LISTED}
    clock = day = 0
    for number, (
        symbol_id,
        what,
        growth,
        ticks,
        tock,
        session,
        status,
        side,
        roll,
        shape,
        ends,
    ) in enumerate(events):
        if roll > 0 and day + 1 < len(DAYS):
            day, clock = day + 1, 0
            for own in walk.values():
                own["total"] = 0
        clock = min(clock + tock, len(CLOCKS) - 1)
        venue, multiplier, _ = LISTED[symbol_id]
        own = walk[symbol_id]
        own["price"] += ticks * 5_000 if venue != Venue.DERIVATIVES else ticks * 10
        head = {
            "symbol_id": symbol_id,
            "venue": venue,
            "recv_ns": 1_000 + number,
            "exch_s": exch_s(DAYS[max(0, day + min(roll, 0))], CLOCKS[clock]),
            "session": pick(SESSIONS, session),
            "status": pick(STATUSES, status),
        }
        if what == "S" and multiplier is not None:
            groups[-1].append(
                head
                | {
                    "kind": SlotKind.SYMBOL,
                    "code": b"SYM%d" % symbol_id,
                    "instrument": 1 + side % 2,
                    "value_multiplier": multiplier,
                }
            )
        if what in "TX":
            waiting, known = held[symbol_id], delivered[symbol_id]
            if growth == "late" and waiting:
                message = waiting.pop(0) | {"recv_ns": head["recv_ns"]}
            elif growth == "again" and known:
                message = known[-min(len(known), 1 + 2 * shape)] | {"recv_ns": head["recv_ns"]}
            else:
                message = (
                    head
                    | {"kind": SlotKind.TRADE, "side": pick(SIDES, side)}
                    | {"source_type": SourceType.X}
                    | trade_fields(own, growth, ticks, shape)
                )
            if growth == "hold":
                waiting.append(message)
            else:
                known.append(message)
                groups[-1].append(message)
        if what in "QX":
            groups[-1].append(head | {"kind": SlotKind.QUOTE} | book_fields(own["price"], shape))
        if what in "FIRBOPK":
            kind = {
                "F": SlotKind.STATUS,
                "I": SlotKind.INDEX,
                "R": SlotKind.FOREIGN,
                "B": SlotKind.BAR,
                "O": SlotKind.ODD_LOT,
                "P": SlotKind.PUT_THROUGH,
                "K": SlotKind.BACKFILL,
            }[what]
            groups[-1].append(head | {"kind": kind})
        if what == "E":
            limits = trade_fields(own, "repeat", 1, shape)
            groups[-1].append(
                head
                | {"kind": SlotKind.REFERENCE}
                | {
                    f"{name}_price_e2": limits[f"{name}_price_e2"] * (status != index)
                    for index, name in enumerate(("reference", "ceiling", "floor"))
                }
            )
        if what == "C":
            groups[-1].append(
                {"kind": SlotKind.CONTROL, "exch_s": head["exch_s"]}
                | control_fields(shape, venue, FEED_STATES[ticks + 2], SESSIONS[session % 7])
            )
        if ends and groups[-1]:
            groups.append([])
    return groups if groups[-1] or len(groups) == 1 else groups[:-1]


def pick(choices: tuple[Any, ...], index: int) -> Any:
    """The first choice for most indexes, so that oddities stay rare."""
    return choices[index] if index < len(choices) else choices[0]


def control_fields(
    shape: int, venue: Venue, feed_state: FeedState, session: FeedSession
) -> dict[str, int]:
    """Payload of a CONTROL slot: the feed's state most often, lost frames, a board's session."""
    if shape == 0:
        return {"op": ControlOp.TIMER}
    if shape == 1:
        return {"op": ControlOp.LOST, "arg0": 3, "arg1": 1_000}
    if shape == 2:
        return {"op": ControlOp.BOARD, "arg0": venue, "arg1": session}
    return {"op": ControlOp.FEED_STATE, "arg0": feed_state}


def trade_fields(own: dict[str, int], growth: str, ticks: int, shape: int) -> dict[str, int]:
    """Payload of a TRADE slot; moves the symbol's cumulative volume on."""
    size = 100 * (1 + shape)
    price = own["price"]
    total = own["total"]
    steps = {
        "grow": size,
        "hold": size,
        "late": 0,
        "again": 0,
        "repeat": 0,
        "miss": size + 300,
        "overlap": max(100, size - 100),
        "shrink": -min(total, 200),
        "zero": -total,
        "nosize": size,
        "noprice": size,
        "absurd": 10**13,
    }
    own["total"] = total + steps[growth]
    told_prices = (
        {}
        if ticks == 1
        else {
            "high_price_e2": price + 500 * shape,
            "low_price_e2": max(0, price - 500 * shape),
            "open_price_e2": price if shape % 2 else 0,
        }
    )
    return told_prices | {
        "last_price_e2": 0 if growth == "noprice" else price,
        "last_volume_shares": {"nosize": 0, "absurd": 10**13}.get(growth, size),
        "total_volume_shares": own["total"],
        "total_value_vnd": own["total"] * 1_000,
        "reference_price_e2": 0 if shape == 4 else price - 100,
        "ceiling_price_e2": price + 700,
        "floor_price_e2": price - 700,
        "prior_close_price_e2": price - 100,
        "estimated_price_e2": price if shape == 2 else 0,
    }


def book_fields(price: int, shape: int) -> dict[str, list[int]]:
    """Payload of a QUOTE slot: a usual book, a locked one, an empty one, ATO orders, one side."""
    tick = 500
    bids, asks = {
        0: ([(price - tick, 300), (price - 2 * tick, 100)], [(price + tick, 200)]),
        1: ([(price, 300)], [(price + tick, 200), (price + 2 * tick, 700)]),
        2: ([(price, 100)], [(price, 100)]),
        3: ([], []),
        4: ([(0, 150), (price + tick, 10)], [(0, 140), (price - tick, 5)]),
        5: ([(price - tick, 300)], []),
    }[shape]
    bid_prices, bid_volumes = levels(*bids)
    ask_prices, ask_volumes = levels(*asks)
    return {
        "bid_price_e2": bid_prices,
        "bid_volume_shares": bid_volumes,
        "ask_price_e2": ask_prices,
        "ask_volume_shares": ask_volumes,
    }

"""What leaves a shard: one row per channel key and group, each with a common 32-byte head.

These are the bytes that travel on the bus, lie in the gateway's mirror, and go to binary clients.
"""

from typing import Any

from engine.schema.codes import PHASE_COUNT, SIDE_COUNT
from engine.schema.record import record
from engine.schema.slots import CODE_BYTES, DETAIL_BYTES, LEVEL_COUNT, NAME_BYTES

DELTA_HEAD: list[Any] = [
    ("seq", "i8"),  # 1, 2, 3 ... per channel and symbol, assigned by the shard
    ("recv_ns", "i8"),  # recv_ns of the last slot that changed the row
    ("exch_s", "u4"),  # exch_s of that slot
    ("symbol_id", "u4"),
    ("updates", "u4"),  # slots merged into this row since seq - 1
    ("phase", "u1"),  # Phase
    ("venue", "u1"),  # Venue
    ("flags", "u2"),  # DeltaFlag
]

SYMBOL_DELTA = record(
    "symbol_delta",
    [
        *DELTA_HEAD,
        ("code", f"S{CODE_BYTES}"),
        ("value_multiplier", "i8"),
        ("instrument", "u1"),
        ("reserved", "u1", (7,)),
    ],
    size_bytes=64,
)

TRADE_DELTA = record(
    "trade_delta",
    [
        *DELTA_HEAD,
        ("price_e2", "i4"),
        ("side", "u1"),
        ("side_rule", "u1"),
        ("side_exchange", "u1"),
        ("side_quote", "u1"),
        ("side_tick", "u1"),
        ("reserved", "u1", (7,)),
        ("volume_shares", "i8"),
        ("value_vnd", "i8"),
        ("total_volume_shares", "i8"),  # the exchange's cumulative volume after this trade
        ("missed_volume_shares", "i8"),  # missed just before this trade
        ("bid_price_e2", "i4"),  # the book in force before the trade
        ("ask_price_e2", "i4"),
    ],
    size_bytes=88,
)

QUOTE_DELTA = record(
    "quote_delta",
    [
        *DELTA_HEAD,
        ("bid_price_e2", "i4"),
        ("ask_price_e2", "i4"),
        ("bid_volume_shares", "i8"),
        ("ask_volume_shares", "i8"),
    ],
    size_bytes=56,
)

BOOK_DELTA = record(
    "book_delta",
    [
        *DELTA_HEAD,
        ("bid_price_e2", "i4", (LEVEL_COUNT,)),
        ("bid_volume_shares", "i4", (LEVEL_COUNT,)),
        ("ask_price_e2", "i4", (LEVEL_COUNT,)),
        ("ask_volume_shares", "i4", (LEVEL_COUNT,)),
    ],
    size_bytes=192,
)

STATS_DELTA = record(
    "stats_delta",
    [
        *DELTA_HEAD,
        ("reference_price_e2", "i4"),
        ("ceiling_price_e2", "i4"),
        ("floor_price_e2", "i4"),
        ("prior_close_price_e2", "i4"),
        ("open_price_e2", "i4"),
        ("high_price_e2", "i4"),
        ("low_price_e2", "i4"),
        ("last_price_e2", "i4"),
        ("estimated_price_e2", "i4"),
        ("trade_count", "u4"),
        ("repeat_count", "u4"),
        ("correction_count", "u4"),
        ("first_trade_exch_s", "u4"),
        ("last_trade_exch_s", "u4"),
        ("volume_shares", "i8"),  # seen: equals total - missed
        ("value_vnd", "i8"),  # of the volume seen
        ("missed_volume_shares", "i8"),
        ("total_volume_shares", "i8"),  # the exchange's
        ("total_value_vnd", "i8"),  # the exchange's
        ("largest_trade_shares", "i8"),
        ("phase_side_volume_shares", "i8", (PHASE_COUNT, SIDE_COUNT)),
        ("phase_side_value_vnd", "i8", (PHASE_COUNT, SIDE_COUNT)),
        ("phase_side_count", "u4", (PHASE_COUNT, SIDE_COUNT)),
        ("phase_disagree_count", "u4", (PHASE_COUNT,)),  # EXCHANGE and QUOTE named different sides
        ("trade_day", "u4"),  # days since 1970-01-01 of the trading date
    ],
    size_bytes=32 + 56 + 48 + 288 + 288 + 144 + 40,
)

REFERENCE_DELTA = record(
    "reference_delta",
    [
        *DELTA_HEAD,
        ("ceiling_price_e2", "i4"),
        ("floor_price_e2", "i4"),
        ("reference_price_e2", "i4"),
        ("indices", "u4"),  # IndexMember
        ("lot_shares", "i8"),
        ("listed_shares", "i8"),
        ("trade_day", "u4"),  # the day these prices are for
        ("reserved", "u1", (4,)),
        ("security_type", "S8"),
        ("name", f"S{NAME_BYTES}"),
    ],
    size_bytes=32 + 32 + 16 + NAME_BYTES,
)

# One row when a gap opens, one for each time it shrinks, one when it closes.
GAPS_DELTA = record(
    "gaps_delta",
    [
        *DELTA_HEAD,
        ("gap_no", "u4"),  # 1, 2, 3 ... per symbol and day
        ("gap_state", "u1"),  # GapState
        ("gap_cause", "u1"),  # GapCause
        ("gap_outcome", "u1"),  # GapOutcome, NONE while open
        ("reserved", "u1"),
        ("from_exch_s", "u4"),  # last trade message before the gap; 0 for a baseline
        ("to_exch_s", "u4"),  # the trade message that showed it
        ("from_recv_ns", "i8"),
        ("to_recv_ns", "i8"),
        ("missed_volume_shares", "i8"),  # when it opened
        ("open_volume_shares", "i8"),  # less what arrived late or was taken back
        ("bar_volume_shares", "i8"),  # REST: volume of the gap's minutes, seen or not
        ("bar_high_price_e2", "i4"),
        ("bar_low_price_e2", "i4"),
        ("bar_count", "u4"),
        ("open_count", "u4"),  # gaps of this symbol open after this row
        ("day_missed_volume_shares", "i8"),  # of this symbol today, now
        ("trade_day", "u4"),
        ("reserved_tail", "u1", (4,)),
    ],
    size_bytes=32 + 16 + 40 + 32,
)

FEED_DELTA = record(
    "feed_delta",
    [
        *DELTA_HEAD,
        ("feed_state", "u1"),  # FeedState
        ("reserved", "u1", (7,)),
        ("since_ns", "i8"),  # recv_ns of the change to this state
        ("outage_count", "u4"),  # times the feed went from LIVE or STALE to away
        ("reserved_count", "u4"),
        ("outage_from_ns", "i8"),  # the last outage; 0 when there was none
        ("outage_to_ns", "i8"),  # 0 while it lasts
        ("lost_frames", "i8"),  # dropped by our own backlog
        ("detail", f"S{DETAIL_BYTES}"),
    ],
    size_bytes=32 + 48 + DETAIL_BYTES,
)

"""What leaves a shard: one row per channel key and group, each with a common 32-byte head.

These are the bytes that travel on the bus, lie in the gateway's mirror, and go to binary clients.
"""

from typing import Any

from engine.schema.codes import PHASE_COUNT, SIDE_COUNT
from engine.schema.record import record
from engine.schema.slots import (
    CODE_BYTES,
    DETAIL_BYTES,
    LEVEL_COUNT,
    NAME_BYTES,
    ODD_LOT_LEVEL_COUNT,
)

SERIES_MINUTES = 360  # most minutes of one day's series; a whole day of any venue has fewer
TOP_COUNT = 10  # entries of a ranking
RULE_BYTES = 32  # name of an operator's own rule

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

# --- bars ---------------------------------------------------------------------------------------

_BAR: list[tuple[str, str]] = [
    ("start_exch_s", "u4"),  # aligned to the exchange's clock, ICT; 0: there is no such bar
    ("bar_phase", "u1"),  # Phase all its matches belong to; of 1d CONTINUOUS, and it means all
    ("bar_flags", "u1"),  # BarFlag
    ("bar_reserved", "u2"),
    ("open_price_e2", "i4"),
    ("high_price_e2", "i4"),
    ("low_price_e2", "i4"),
    ("close_price_e2", "i4"),
    ("trade_count", "u4"),
    ("missed_count", "u4"),  # gaps that touch it
    ("volume_shares", "i8"),
    ("value_vnd", "i8"),
    ("buy_volume_shares", "i8"),
    ("sell_volume_shares", "i8"),
    ("missed_volume_shares", "i8"),  # of the gaps that this bar's own messages showed
]

# The bar that is open and the one before it, so that a conflated client sees how a bar ended.
BAR_DELTA = record(
    "bar_delta",
    [
        *DELTA_HEAD,
        ("interval_s", "u4"),  # 60, 300, 900, 3600, 86400
        ("trade_day", "u4"),
        ("unplaced_volume_shares", "i8"),  # today's late matches that are older than both bars
        *_BAR,
        *((f"prev_{name}", kind) for name, kind in _BAR),
    ],
    size_bytes=32 + 16 + 2 * 72,
)

# --- foreign flow -------------------------------------------------------------------------------

FOREIGN_DELTA = record(
    "foreign_delta",
    [
        *DELTA_HEAD,
        ("buy_volume_shares", "i8"),  # cumulative, the exchange's
        ("sell_volume_shares", "i8"),
        ("buy_value_vnd", "i8"),
        ("sell_value_vnd", "i8"),
        ("delta_buy_volume_shares", "i8"),  # of the last message; 0 in a baseline and a reset
        ("delta_sell_volume_shares", "i8"),
        ("delta_buy_value_vnd", "i8"),
        ("delta_sell_value_vnd", "i8"),
        ("net_volume_5m_shares", "i8"),  # net buying of the trailing five minutes
        ("net_value_5m_vnd", "i8"),
        ("net_volume_5m_before_shares", "i8"),  # the same, one minute earlier
        ("net_value_5m_before_vnd", "i8"),
        ("total_room_shares", "i8"),
        ("current_room_shares", "i8"),
        ("room_used_5m_shares", "i8"),  # by which the room fell in the trailing five minutes
        ("reset_count", "u4"),
        ("trade_day", "u4"),
    ],
    size_bytes=32 + 15 * 8 + 8,
)

# --- indices ------------------------------------------------------------------------------------

INDEX_DELTA = record(
    "index_delta",
    [
        *DELTA_HEAD,
        ("value_e2", "i4"),
        ("prior_value_e2", "i4"),
        ("estimated_value_e2", "i4"),  # in auctions; 0 when absent
        ("open_value_e2", "i4"),  # of the values seen today
        ("high_value_e2", "i4"),
        ("low_value_e2", "i4"),
        ("advances", "i4"),
        ("unchanged", "i4"),
        ("declines", "i4"),
        ("ceilings", "i4"),
        ("floors", "i4"),
        ("breadth_exch_s", "u4"),  # when the five counters were last told
        ("matched_volume_shares", "i8"),
        ("matched_value_vnd", "i8"),
        ("put_through_volume_shares", "i8"),
        ("put_through_value_vnd", "i8"),
        ("total_volume_shares", "i8"),
        ("total_value_vnd", "i8"),
        ("odd_lot_volume_shares", "i8"),
        ("odd_lot_value_vnd", "i8"),
        ("trade_count", "i8"),
        ("trade_day", "u4"),
        ("reserved", "u1", (4,)),
    ],
    size_bytes=32 + 48 + 72 + 8,
)

# One value per minute that had one: the last of that minute.
INDEX_SERIES_DELTA = record(
    "index_series_delta",
    [
        *DELTA_HEAD,
        ("trade_day", "u4"),
        ("series_count", "u4"),  # entries in use
        ("series_exch_s", "u4", (SERIES_MINUTES,)),  # start of the minute
        ("series_value_e2", "i4", (SERIES_MINUTES,)),
    ],
    size_bytes=32 + 8 + 8 * SERIES_MINUTES,
)

# --- index futures ------------------------------------------------------------------------------

BASIS_DELTA = record(
    "basis_delta",
    [
        *DELTA_HEAD,
        ("price_e2", "i4"),  # last match of the contract; 0: none today
        ("spot_value_e2", "i4"),  # the underlying index; 0: not told today
        ("basis_e2", "i4"),  # price - spot; 0 with basis_state NONE means unknown
        ("reference_price_e2", "i4"),
        ("bid_price_e2", "i4"),
        ("ask_price_e2", "i4"),
        ("price_exch_s", "u4"),  # exchange's stamp of the match
        ("spot_exch_s", "u4"),
        ("expiry_day", "u4"),
        ("trade_day", "u4"),
        ("total_volume_shares", "i8"),  # contracts today, the exchange's
        ("underlying", "u1"),  # Underlying
        ("basis_state", "u1"),  # BasisState
        ("contract_flags", "u1"),  # ContractFlag
        ("reserved", "u1", (5,)),
    ],
    size_bytes=32 + 24 + 16 + 8 + 8,
)

# The last basis of every minute that had one.
BASIS_TREND_DELTA = record(
    "basis_trend_delta",
    [
        *DELTA_HEAD,
        ("trade_day", "u4"),
        ("series_count", "u4"),
        ("series_exch_s", "u4", (SERIES_MINUTES,)),
        ("series_basis_e2", "i4", (SERIES_MINUTES,)),
        ("series_spot_value_e2", "i4", (SERIES_MINUTES,)),
    ],
    size_bytes=32 + 8 + 12 * SERIES_MINUTES,
)

# --- book -----------------------------------------------------------------------------------------

LIMITS_DELTA = record(
    "limits_delta",
    [
        *DELTA_HEAD,
        ("limit_state", "u1"),  # LimitState
        ("limit_event", "u1"),  # LimitEvent that made this row
        ("locked", "u1"),  # 1: a queue at the limit and nobody on the other side
        ("reserved", "u1"),
        ("since_exch_s", "u4"),  # the match that entered; of the last visit after LEAVE
        ("locked_since_exch_s", "u4"),  # 0 when not locked
        ("locked_s", "u4"),  # seconds locked today, without the lock that lasts
        ("limit_price_e2", "i4"),
        ("price_e2", "i4"),  # last match
        ("queue_shares", "i8"),  # waiting at the limit now
        ("left_queue_shares", "i8"),  # what waited when it last unlocked or left
        ("hit_volume_shares", "i8"),  # matched at the limit since the entry
        ("enter_count", "u4"),
        ("trade_day", "u4"),
    ],
    size_bytes=32 + 16 + 8 + 24 + 8,
)

AUCTION_DELTA = record(
    "auction_delta",
    [
        *DELTA_HEAD,
        ("indicative_price_e2", "i4"),  # the exchange's estimate, 0 when it told none
        ("uncross_price_e2", "i4"),  # what it matched at, 0 before
        ("indicative_volume_shares", "i8"),  # what the visible book would match at that price
        ("buy_surplus_shares", "i8"),  # visible buy orders that would be left, and sell orders
        ("sell_surplus_shares", "i8"),
        ("market_buy_shares", "i8"),  # ATO/ATC orders at the best level
        ("market_sell_shares", "i8"),
        ("uncross_volume_shares", "i8"),
        ("uncross_value_vnd", "i8"),
        ("uncross_exch_s", "u4"),
        ("trade_day", "u4"),
    ],
    size_bytes=32 + 8 + 56 + 8,
)

# --- apart from the main board ----------------------------------------------------------------

PUT_THROUGH_DELTA = record(
    "put_through_delta",
    [
        *DELTA_HEAD,
        ("price_e2", "i4"),
        ("deal_count", "u4"),  # deals seen today
        ("volume_shares", "i8"),  # of this deal
        ("value_vnd", "i8"),
        ("total_volume_shares", "i8"),  # the exchange's, today
        ("total_value_vnd", "i8"),
        ("trade_day", "u4"),
        ("reserved", "u1", (4,)),
    ],
    size_bytes=32 + 8 + 32 + 8,
)

ODD_LOT_DELTA = record(
    "odd_lot_delta",
    [
        *DELTA_HEAD,
        ("last_price_e2", "i4"),
        ("reference_price_e2", "i4"),
        ("ceiling_price_e2", "i4"),
        ("floor_price_e2", "i4"),
        ("open_price_e2", "i4"),
        ("high_price_e2", "i4"),
        ("low_price_e2", "i4"),
        ("trade_count", "u4"),  # messages whose total grew
        ("last_volume_shares", "i8"),
        ("total_volume_shares", "i8"),
        ("total_value_vnd", "i8"),
        ("bid_price_e2", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("bid_volume_shares", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("ask_price_e2", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("ask_volume_shares", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("trade_day", "u4"),
        ("reserved", "u1", (4,)),
    ],
    size_bytes=32 + 32 + 24 + 48 + 8,
)

# --- trading state ----------------------------------------------------------------------------

STATUS_DELTA = record(
    "status_delta",
    [
        *DELTA_HEAD,
        ("session", "u1"),  # FeedSession last told, of the main board
        ("trading_status", "u1"),  # TradingStatus last told
        ("odd_lot_session", "u1"),  # FeedSession last told, of the odd-lot market
        ("halted", "u1"),  # 1: phase is HALT, whoever said so
        ("since_exch_s", "u4"),  # the message from which on `halted` is what it is
        ("halt_count", "u4"),  # times it became halted today
        ("trade_day", "u4"),
    ],
    size_bytes=32 + 4 + 12,
)

# --- alerts -----------------------------------------------------------------------------------

# Which numbers an alert of each type fills is said in alerts/sentences.py; the rest is 0.
ALERT_DELTA = record(
    "alert_delta",
    [
        *DELTA_HEAD,
        ("alert_type", "u1"),  # AlertType
        ("severity", "u1"),  # Severity
        ("alert_state", "u1"),  # AlertState
        ("limit_state", "u1"),  # LimitState
        ("feed_state", "u1"),  # FeedState
        ("gap_cause", "u1"),  # GapCause
        ("reserved", "u1", (2,)),
        ("alert_no", "u4"),  # 1, 2, 3 ... per type, symbol and day: part of its id
        ("gap_no", "u4"),
        ("price_e2", "i4"),
        ("level_e2", "i4"),  # the limit, the spot: what the price is compared with
        ("volume_shares", "i8"),
        ("value_vnd", "i8"),
        ("measured", "i8"),  # what was compared with the threshold
        ("threshold", "i8"),
        ("count", "u4"),
        ("duration_s", "u4"),
        ("trade_day", "u4"),
        ("reserved_tail", "u1", (4,)),
        ("rule", f"S{RULE_BYTES}"),  # RULE only: its name in the configuration
    ],
    size_bytes=32 + 16 + 8 + 32 + 16 + RULE_BYTES,
)

# --- the market-wide board: keys are scopes, lists and indices -----------------------------------

MARKET_DELTA = record(
    "market_delta",
    [
        *DELTA_HEAD,
        ("advances", "u4"),  # counted here, from last and reference prices
        ("unchanged", "u4"),
        ("declines", "u4"),
        ("ceilings", "u4"),
        ("floors", "u4"),
        ("untraded", "u4"),
        ("symbol_count", "u4"),
        ("trade_day", "u4"),
        ("volume_shares", "i8"),  # matched volume seen
        ("value_vnd", "i8"),
        ("buy_volume_shares", "i8"),  # by active side
        ("sell_volume_shares", "i8"),
        ("buy_value_vnd", "i8"),
        ("sell_value_vnd", "i8"),
        ("missed_volume_shares", "i8"),
        ("put_through_volume_shares", "i8"),
        ("put_through_value_vnd", "i8"),
    ],
    size_bytes=32 + 32 + 72,
)

FOREIGN_SUMMARY_DELTA = record(
    "foreign_summary_delta",
    [
        *DELTA_HEAD,
        ("buy_volume_shares", "i8"),
        ("sell_volume_shares", "i8"),
        ("buy_value_vnd", "i8"),
        ("sell_value_vnd", "i8"),
        ("net_volume_5m_shares", "i8"),
        ("net_value_5m_vnd", "i8"),
        ("net_volume_5m_before_shares", "i8"),
        ("net_value_5m_before_vnd", "i8"),
        ("symbol_count", "u4"),  # symbols with foreign figures today
        ("net_buyer_count", "u4"),  # of them with net buying by value
        ("net_seller_count", "u4"),
        ("trade_day", "u4"),
    ],
    size_bytes=32 + 64 + 16,
)

MOVERS_DELTA = record(
    "movers_delta",
    [
        *DELTA_HEAD,
        ("trade_day", "u4"),
        ("top_count", "u4"),  # entries in use
        ("top_code", f"S{CODE_BYTES}", (TOP_COUNT,)),
        ("top_price_e2", "i4", (TOP_COUNT,)),
        ("top_reference_price_e2", "i4", (TOP_COUNT,)),
        ("top_volume_shares", "i8", (TOP_COUNT,)),
        ("top_value_vnd", "i8", (TOP_COUNT,)),
        ("top_measure", "i8", (TOP_COUNT,)),  # what it is ranked by: VND, or parts per million
    ],
    size_bytes=32 + 8 + (CODE_BYTES + 32) * TOP_COUNT,
)

ATTRIBUTION_DELTA = record(
    "attribution_delta",
    [
        *DELTA_HEAD,
        ("trade_day", "u4"),
        ("weights_source", "u1"),  # WeightsSource
        ("reserved", "u1", (3,)),
        ("value_e2", "i4"),  # the index as the exchange tells it
        ("prior_value_e2", "i4"),
        ("constituent_count", "u4"),
        ("priced_count", "u4"),  # with a price and a reference price today
        ("points_e4", "i8"),  # sum over all constituents, index points x 10,000
        ("top_count", "u4"),
        ("bottom_count", "u4"),
        ("top_code", f"S{CODE_BYTES}", (TOP_COUNT,)),
        ("top_points_e4", "i4", (TOP_COUNT,)),  # most points given
        ("bottom_code", f"S{CODE_BYTES}", (TOP_COUNT,)),
        ("bottom_points_e4", "i4", (TOP_COUNT,)),  # most points taken
    ],
    size_bytes=32 + 8 + 16 + 16 + 2 * (CODE_BYTES + 4) * TOP_COUNT,
)

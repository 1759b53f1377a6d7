"""The slot: 192 bytes, a 32-byte head every kind shares and 160 bytes of payload per kind.

Prices are integers in hundredths (`_e2`): VND x 100 for shares, index points x 100 for
futures and indices; 0 means "no price". Volumes are shares (contracts for futures), values VND.
`exch_s` is the exchange's own stamp (date + time, 1 s, UTC epoch), `recv_ns` ours.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.schema.record import record

SLOT_BYTES = 192
HEAD_BYTES = 32
PAYLOAD_BYTES = SLOT_BYTES - HEAD_BYTES
LEVEL_COUNT = 10
ODD_LOT_LEVEL_COUNT = 3
CODE_BYTES = 16
NAME_BYTES = 96
DETAIL_BYTES = 96

# Absurd numbers are refused at decode, which is what makes every sum below fit in int64:
# price x volume of one message <= 2e9 x 2e9 = 4e18 < 9.2e18.
PRICE_E2_MAX = 2_000_000_000  # 20 million VND a share
LEVEL_VOLUME_MAX = 2_000_000_000
TOTAL_VOLUME_MAX = 10**14
TOTAL_VALUE_MAX = 10**17

HEAD_FIELDS: list[Any] = [
    ("seq", "i8"),  # slot number in its ring, stamped by ring.writer
    ("recv_ns", "i8"),  # when ingest took the frame from its socket, UTC
    ("exch_s", "u4"),  # the exchange's date and time, UTC seconds
    ("symbol_id", "u4"),  # index into the symbol table; 0 is never a symbol
    ("kind", "u1"),  # SlotKind
    ("flags", "u1"),  # SlotFlag
    ("venue", "u1"),  # Venue
    ("session", "u1"),  # FeedSession
    ("status", "u1"),  # TradingStatus
    ("side", "u1"),  # Side as the feed says it (trade), else 0
    ("source_type", "u1"),  # SourceType
    ("reserved_head", "u1"),
]


def _slot(name: str, payload: list[Any], used_bytes: int) -> np.dtype[Any]:
    """Build a slot view: head, payload fields, and named reserve up to 192 bytes."""
    spare = PAYLOAD_BYTES - used_bytes
    fields = HEAD_FIELDS + payload + ([("reserved", "u1", (spare,))] if spare else [])
    return record(name, fields, size_bytes=SLOT_BYTES)


SLOT = _slot("slot", [], 0)

TRADE = _slot(
    "trade",
    [
        ("last_price_e2", "i4"),
        ("ceiling_price_e2", "i4"),
        ("floor_price_e2", "i4"),
        ("reference_price_e2", "i4"),
        ("open_price_e2", "i4"),  # 0 when the message type has none (X-TRADE)
        ("high_price_e2", "i4"),
        ("low_price_e2", "i4"),
        ("prior_close_price_e2", "i4"),
        ("estimated_price_e2", "i4"),  # EstMatchedPrice
        ("reserved_price", "i4"),
        ("last_volume_shares", "i8"),
        ("total_volume_shares", "i8"),  # cumulative, the exchange's
        ("total_value_vnd", "i8"),  # cumulative, the exchange's
    ],
    64,
)

QUOTE = _slot(
    "quote",
    [
        ("bid_price_e2", "i4", (LEVEL_COUNT,)),
        ("bid_volume_shares", "i4", (LEVEL_COUNT,)),
        ("ask_price_e2", "i4", (LEVEL_COUNT,)),
        ("ask_volume_shares", "i4", (LEVEL_COUNT,)),
    ],
    160,
)

INDEX = _slot(
    "index",
    [
        ("value_e2", "i4"),
        ("prior_value_e2", "i4"),
        ("estimated_value_e2", "i4"),  # IndexValEst, 0 when absent
        ("advances", "i4"),
        ("unchanged", "i4"),
        ("declines", "i4"),
        ("ceilings", "i4"),
        ("floors", "i4"),
        ("matched_volume_shares", "i8"),
        ("matched_value_vnd", "i8"),
        ("put_through_volume_shares", "i8"),
        ("put_through_value_vnd", "i8"),
        ("total_volume_shares", "i8"),
        ("total_value_vnd", "i8"),
        ("odd_lot_volume_shares", "i8"),
        ("odd_lot_value_vnd", "i8"),
        ("trade_count", "i8"),
    ],
    104,
)

FOREIGN = _slot(
    "foreign",
    [
        ("total_room_shares", "i8"),
        ("current_room_shares", "i8"),
        ("buy_volume_shares", "i8"),
        ("sell_volume_shares", "i8"),
        ("buy_value_vnd", "i8"),
        ("sell_value_vnd", "i8"),
    ],
    48,
)

STATUS = _slot(
    "status",
    [
        ("odd_lot_session", "u1"),  # FeedSession of TradingOlSession
        ("reserved_status", "u1", (7,)),
    ],
    8,
)

BAR = _slot(
    "bar",
    [
        ("open_price_e2", "i4"),
        ("high_price_e2", "i4"),
        ("low_price_e2", "i4"),
        ("close_price_e2", "i4"),
        ("volume_shares", "i8"),
    ],
    24,
)

ODD_LOT = _slot(
    "odd_lot",
    [
        ("last_price_e2", "i4"),
        ("ceiling_price_e2", "i4"),
        ("floor_price_e2", "i4"),
        ("reference_price_e2", "i4"),
        ("open_price_e2", "i4"),
        ("high_price_e2", "i4"),
        ("low_price_e2", "i4"),
        ("reserved_price", "i4"),
        ("last_volume_shares", "i8"),
        ("total_volume_shares", "i8"),
        ("total_value_vnd", "i8"),
        ("bid_price_e2", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("bid_volume_shares", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("ask_price_e2", "i4", (ODD_LOT_LEVEL_COUNT,)),
        ("ask_volume_shares", "i4", (ODD_LOT_LEVEL_COUNT,)),
    ],
    104,
)

# A symbol introduces itself in the stream before its first data, so that a ring or a journal
# can be folded without any side table.
SYMBOL = _slot(
    "symbol",
    [
        ("code", f"S{CODE_BYTES}"),
        ("value_multiplier", "i8"),  # VND per 1.00 of price and unit of volume: 1, or 100,000
        ("instrument", "u1"),  # Instrument
        ("underlying", "u1"),  # Underlying, of a future
        ("reserved_symbol", "u1", (2,)),
        ("expiry_day", "u4"),  # last trading day of a future, days since 1970 (ICT); 0 if none
    ],
    32,
)

CONTROL = _slot(
    "control",
    [
        ("op", "i8"),  # ControlOp
        ("arg0", "i8"),
        ("arg1", "i8"),
        ("detail", f"S{DETAIL_BYTES}"),  # one line for a human, UTF-8, cut
    ],
    24 + DETAIL_BYTES,
)

PUT_THROUGH = _slot(
    "put_through",
    [
        ("price_e2", "i4"),
        ("reserved_price", "i4"),
        ("volume_shares", "i8"),
        ("total_volume_shares", "i8"),  # cumulative put-through volume, the exchange's
        ("total_value_vnd", "i8"),
    ],
    32,
)

# From REST (or v3's `market` topic, which knows prices only). 0, 0 bytes or no flag: not known.
REFERENCE = _slot(
    "reference",
    [
        ("ceiling_price_e2", "i4"),
        ("floor_price_e2", "i4"),
        ("reference_price_e2", "i4"),
        ("indices", "u4"),  # IndexMember
        ("lot_shares", "i8"),
        ("listed_shares", "i8"),
        ("security_type", "S8"),  # REST's SecType as it is
        ("name", f"S{NAME_BYTES}"),  # UTF-8, cut at a character
    ],
    40 + NAME_BYTES,
)

# One bar of a gap, in order of time; the last one (or the only one, empty) has bars_left 0.
BACKFILL = _slot(
    "backfill",
    [
        ("gap_no", "i8"),  # which gap of this symbol and day
        ("open_price_e2", "i4"),
        ("high_price_e2", "i4"),
        ("low_price_e2", "i4"),
        ("close_price_e2", "i4"),
        ("volume_shares", "i8"),  # of the whole minute, also what we saw of it; 0: no bar
        ("minute_exch_s", "u4"),  # start of the minute, UTC
        ("bars_left", "i4"),
    ],
    40,
)


class Rows(NamedTuple):
    """One batch of slots seen through every kind: equal-size views over the same memory.

    Only the first `count` rows are the batch. A batch is a whole number of groups: its last row
    has SlotFlag.LAST. Row i is read through the view its ``head[i]["kind"]`` names.
    """

    # `count` and `index` hide tuple's methods of that name, which nobody calls on a batch.
    count: int  # type: ignore[assignment]
    head: NDArray[np.void]
    trade: NDArray[np.void]
    quote: NDArray[np.void]
    index: NDArray[np.void]  # type: ignore[assignment]
    foreign: NDArray[np.void]
    status: NDArray[np.void]
    bar: NDArray[np.void]
    odd_lot: NDArray[np.void]
    symbol: NDArray[np.void]
    control: NDArray[np.void]
    put_through: NDArray[np.void]
    reference: NDArray[np.void]
    backfill: NDArray[np.void]


def rows_over(slots: NDArray[np.void], count: int) -> Rows:
    """Return the views over `slots` (dtype SLOT, contiguous); no copy."""
    return Rows(
        count,
        slots,
        slots.view(TRADE),
        slots.view(QUOTE),
        slots.view(INDEX),
        slots.view(FOREIGN),
        slots.view(STATUS),
        slots.view(BAR),
        slots.view(ODD_LOT),
        slots.view(SYMBOL),
        slots.view(CONTROL),
        slots.view(PUT_THROUGH),
        slots.view(REFERENCE),
        slots.view(BACKFILL),
    )


SLOT_LAYOUTS = {
    "slot": SLOT,
    "trade": TRADE,
    "quote": QUOTE,
    "index": INDEX,
    "foreign": FOREIGN,
    "status": STATUS,
    "bar": BAR,
    "odd_lot": ODD_LOT,
    "symbol": SYMBOL,
    "control": CONTROL,
    "put_through": PUT_THROUGH,
    "reference": REFERENCE,
    "backfill": BACKFILL,
}

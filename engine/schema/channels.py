"""The channel table: every stream a shard publishes, in one place.

Bus sections, the gateway's mirror, the JSON codec and the client docs are derived from it.
A channel's `code` is wire format: append, never renumber.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.schema import deltas

Mode = Literal["all", "conflate"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream of rows keyed by symbol."""

    code: int
    name: str
    dtype: np.dtype[Any]
    default_mode: Mode
    public: bool  # may clients subscribe to it
    meaning: str
    meaning_vi: str


SYMBOL = Channel(
    0,
    "symbol",
    deltas.SYMBOL_DELTA,
    "all",
    False,
    "what each symbol_id names; how a mirror learns topics",
    "danh mục mã",
)
TRADE = Channel(
    1,
    "trade",
    deltas.TRADE_DELTA,
    "all",
    True,
    "every match: price, volume, side and why",
    "khớp lệnh",
)
QUOTE = Channel(
    2, "quote", deltas.QUOTE_DELTA, "conflate", True, "best bid and ask", "giá mua/bán tốt nhất"
)
BOOK = Channel(
    3, "book", deltas.BOOK_DELTA, "conflate", True, "up to ten levels a side", "độ sâu thị trường"
)
STATS = Channel(
    4,
    "stats",
    deltas.STATS_DELTA,
    "conflate",
    True,
    "the day so far, by session phase and side",
    "thống kê phiên",
)

REFERENCE = Channel(
    5,
    "reference",
    deltas.REFERENCE_DELTA,
    "conflate",
    True,
    "limits of the day, lot, listed shares, baskets and name",
    "thông tin tham chiếu",
)
GAPS = Channel(
    6,
    "gaps",
    deltas.GAPS_DELTA,
    "all",
    True,
    "volume the feed did not show: each gap as it opens, shrinks and closes",
    "khối lượng thiếu",
)
FEED = Channel(
    7,
    "feed",
    deltas.FEED_DELTA,
    "all",
    True,
    "state of the connection to SSI, and every outage",
    "trạng thái kết nối",
)

CHANNELS: tuple[Channel, ...] = (SYMBOL, TRADE, QUOTE, BOOK, STATS, REFERENCE, GAPS, FEED)
BY_NAME: dict[str, Channel] = {channel.name: channel for channel in CHANNELS}

assert [channel.code for channel in CHANNELS] == list(range(len(CHANNELS)))

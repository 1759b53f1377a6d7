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
    """One stream of rows keyed by symbol, or by a key of the market-wide board."""

    code: int
    name: str
    dtype: np.dtype[Any]
    default_mode: Mode
    public: bool  # may clients subscribe to it
    meaning: str
    meaning_vi: str
    board: bool = False  # keys are the board's (HOSE, VN30, HOSE-VALUE ...), not symbols
    keep: int = 0  # rows a gateway remembers over all keys, for clients that come later


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


def _bar(code: int, interval: str, meaning_vi: str) -> Channel:
    return Channel(
        code,
        f"bar.{interval}",
        deltas.BAR_DELTA,
        "conflate",
        True,
        f"{interval} bars: the open one and the one before it",
        meaning_vi,
    )


BAR_1M = _bar(8, "1m", "nến 1 phút")
BAR_5M = _bar(9, "5m", "nến 5 phút")
BAR_15M = _bar(10, "15m", "nến 15 phút")
BAR_1H = _bar(11, "1h", "nến 1 giờ")
BAR_1D = _bar(12, "1d", "nến ngày")
BARS = (BAR_1M, BAR_5M, BAR_15M, BAR_1H, BAR_1D)
FOREIGN = Channel(
    13,
    "foreign",
    deltas.FOREIGN_DELTA,
    "conflate",
    True,
    "foreign buying and selling, its speed, and the room left",
    "giao dịch khối ngoại",
)
INDEX = Channel(
    14,
    "index",
    deltas.INDEX_DELTA,
    "conflate",
    True,
    "index value, breadth, and matched and put-through volume",
    "chỉ số",
)
INDEX_SERIES = Channel(
    15,
    "index.series",
    deltas.INDEX_SERIES_DELTA,
    "conflate",
    True,
    "the index minute by minute, the whole day in one row",
    "diễn biến chỉ số trong phiên",
)
BASIS = Channel(
    16,
    "basis",
    deltas.BASIS_DELTA,
    "conflate",
    True,
    "index futures against their spot, one key per contract",
    "chênh lệch phái sinh và cơ sở",
)
BASIS_TREND = Channel(
    17,
    "basis.trend",
    deltas.BASIS_TREND_DELTA,
    "conflate",
    True,
    "a contract's basis minute by minute, the whole day in one row",
    "diễn biến chênh lệch trong phiên",
)
LIMITS = Channel(
    18,
    "limits",
    deltas.LIMITS_DELTA,
    "all",
    True,
    "at ceiling or floor: since when, the queue there, time locked, and how it opened",
    "trần/sàn",
)
AUCTION = Channel(
    19,
    "auction",
    deltas.AUCTION_DELTA,
    "conflate",
    True,
    "auctions: indicative price and volume, surplus, and the uncross",
    "khớp lệnh định kỳ",
)
PUT_THROUGH = Channel(
    20,
    "put_through",
    deltas.PUT_THROUGH_DELTA,
    "all",
    True,
    "negotiated deals, one row each",
    "giao dịch thỏa thuận",
)
ODD_LOT = Channel(
    21,
    "odd_lot",
    deltas.ODD_LOT_DELTA,
    "conflate",
    True,
    "the odd-lot market: prices, totals and three levels",
    "giao dịch lô lẻ",
)
ALERTS = Channel(
    22,
    "alerts",
    deltas.ALERT_DELTA,
    "all",
    True,
    "what a trader wants to be told, with the numbers that fired it",
    "cảnh báo",
    keep=500,
)
MARKET = Channel(
    23,
    "market",
    deltas.MARKET_DELTA,
    "conflate",
    True,
    "a market or a basket summed up: breadth, volume, value, active buying and selling",
    "toàn cảnh thị trường",
    board=True,
)
FOREIGN_SUMMARY = Channel(
    24,
    "foreign.summary",
    deltas.FOREIGN_SUMMARY_DELTA,
    "conflate",
    True,
    "foreign flow of a market or a basket",
    "tổng hợp khối ngoại",
    board=True,
)
MOVERS = Channel(
    25,
    "movers",
    deltas.MOVERS_DELTA,
    "conflate",
    True,
    "rankings: by value, change, active-buy share and foreign net value",
    "bảng xếp hạng",
    board=True,
)
ATTRIBUTION = Channel(
    26,
    "attribution",
    deltas.ATTRIBUTION_DELTA,
    "conflate",
    True,
    "which constituents moved an index, in points",
    "đóng góp điểm số",
    board=True,
)
STATUS = Channel(
    27,
    "status",
    deltas.STATUS_DELTA,
    "conflate",
    True,
    "trading state: session and status words as told, and whether it is halted",
    "trạng thái giao dịch",
)

CHANNELS: tuple[Channel, ...] = (
    SYMBOL,
    TRADE,
    QUOTE,
    BOOK,
    STATS,
    REFERENCE,
    GAPS,
    FEED,
    *BARS,
    FOREIGN,
    INDEX,
    INDEX_SERIES,
    BASIS,
    BASIS_TREND,
    LIMITS,
    AUCTION,
    PUT_THROUGH,
    ODD_LOT,
    ALERTS,
    MARKET,
    FOREIGN_SUMMARY,
    MOVERS,
    ATTRIBUTION,
    STATUS,
)
BY_NAME: dict[str, Channel] = {channel.name: channel for channel in CHANNELS}

assert [channel.code for channel in CHANNELS] == list(range(len(CHANNELS)))

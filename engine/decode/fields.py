"""What each v2 message type says: ONE table, read by the scanner and by the oracle.

A message type lists its wire keys in the order the feed sends them (ssi-wire sections 3.1 to
3.8). The scanner predicts its next key from this order; the oracle looks the same keys up by
name, or by their aliases (section 3.9). Keys of kind SKIP are known and not stored.

A `required` field that is absent or null rejects its message (a `TotalVol` read as 0 would look
like a correction of the whole day). Any other absent, null, empty or "NaN" number is 0: the feed's
own word for "no price" and "no orders".
"""

from dataclasses import dataclass
from enum import IntEnum

from engine.market.venues import WIRE_VENUES
from engine.schema.codes import FeedSession, Side, SlotKind, SourceType, TradingStatus
from engine.schema.slots import (
    LEVEL_COUNT,
    LEVEL_VOLUME_MAX,
    ODD_LOT_LEVEL_COUNT,
    PRICE_E2_MAX,
    TOTAL_VALUE_MAX,
    TOTAL_VOLUME_MAX,
)


class Kind(IntEnum):
    """How a value is read and where it goes."""

    SKIP = 0  # known, not stored
    SYMBOL = 1  # a code: 1..16 bytes of [A-Z0-9._-]
    SYMBOL_ANY_CASE = 2  # an index id, spelled HNXIndex or HNXindex: upper-cased
    DATE = 3  # DD/MM/YYYY, ICT
    TIME = 4  # HH:MM:SS, ICT
    EXCHANGE = 5  # the venue
    MARKET = 6  # the venue when EXCHANGE names none
    SESSION = 7
    ODD_LOT_SESSION = 8
    STATUS = 9
    SIDE = 10
    PRICE_E2 = 11  # int32, hundredths
    COUNT_I4 = 12  # int32, nearest whole number
    COUNT_I8 = 13  # int64, nearest whole number
    # In v3 only:
    STAMP = 14  # date and time in one, see v3_dates
    LEVELS = 15  # [[price, volume], ...] of one side of a book, best first
    CHANGE_E2 = 16  # signed hundredths; with the index's value it tells the prior value


NUMBERS = frozenset({Kind.PRICE_E2, Kind.COUNT_I4, Kind.COUNT_I8})

# Wire words (ssi-wire 3.1, 3.4, 3.10), the most frequent first: the scanner tries them in order.
# Exactly as spelled; any other session or status is OTHER, any other venue or side UNKNOWN.
SESSION_WORDS: dict[str, FeedSession] = {
    "LO": FeedSession.LO,
    "ATC": FeedSession.ATC,
    "ATO": FeedSession.ATO,
    "C": FeedSession.C,
    "CLOSE": FeedSession.C,
    "Close": FeedSession.C,
    "PT": FeedSession.PT,
    "PLO": FeedSession.PLO,
    "BREAK": FeedSession.BREAK,
    "Break": FeedSession.BREAK,
    "H": FeedSession.HALT,
    "HALT": FeedSession.HALT,
    "Halt": FeedSession.HALT,
}
STATUS_WORDS: dict[str, TradingStatus] = {
    "N": TradingStatus.NORMAL,
    "Normal": TradingStatus.NORMAL,
    "Active": TradingStatus.NORMAL,
    "D": TradingStatus.DELISTED,
    "H": TradingStatus.HALTED,
    "S": TradingStatus.SUSPENDED,
    "NL": TradingStatus.NEW_LISTING,
    "ND": TradingStatus.TO_BE_DELISTED,
    "ST": TradingStatus.SPECIAL,
    "SA": TradingStatus.MATCHING_SUSPENDED,
    "SP": TradingStatus.PUT_THROUGH_SUSPENDED,
    "NT": TradingStatus.NOT_TRADED,
}
SIDE_WORDS: dict[str, Side] = {"BU": Side.BUY, "SD": Side.SELL, "B": Side.BUY, "S": Side.SELL}
VENUE_WORDS = WIRE_VENUES


@dataclass(frozen=True, slots=True)
class Field:
    """One wire key: how to read it and which slot field it fills.

    `view` is the slot of the message that holds `target`; `level` its index in an array field.
    A stored number lies in 0..`maximum` after rounding, in the unit of its slot field.
    """

    wire: str
    kind: Kind = Kind.SKIP
    view: SlotKind = SlotKind.NONE
    target: str = ""
    level: int = 0
    maximum: int = 0
    required: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageType:
    """One DataType: the slots it becomes, in order, and its keys in wire order."""

    name: str
    source: SourceType
    kinds: tuple[SlotKind, ...]
    fields: tuple[Field, ...]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Into:
    """Writes table rows for the numbers of one slot view: of v2 here, of v3 in v3_fields."""

    view: SlotKind

    def price(
        self, wire: str, target: str, *aliases: str, level: int = 0, required: bool = False
    ) -> Field:
        """Return a price, or an index value, in hundredths."""
        return Field(wire, Kind.PRICE_E2, self.view, target, level, PRICE_E2_MAX, required, aliases)

    def count(
        self, wire: str, target: str, *aliases: str, level: int = 0, required: bool = False
    ) -> Field:
        """Return the volume of a book's level, or a count of things."""
        return Field(
            wire, Kind.COUNT_I4, self.view, target, level, LEVEL_VOLUME_MAX, required, aliases
        )

    def match(self, wire: str, target: str) -> Field:
        """Return the size of one match, bounded so that price x volume fits int64."""
        return Field(wire, Kind.COUNT_I8, self.view, target, 0, LEVEL_VOLUME_MAX, required=True)

    def volume(self, wire: str, target: str, *aliases: str, required: bool = False) -> Field:
        """Return shares or contracts, of a day or a minute."""
        return Field(wire, Kind.COUNT_I8, self.view, target, 0, TOTAL_VOLUME_MAX, required, aliases)

    def value(self, wire: str, target: str, *aliases: str, required: bool = False) -> Field:
        """Return an amount of VND."""
        return Field(wire, Kind.COUNT_I8, self.view, target, 0, TOTAL_VALUE_MAX, required, aliases)

    def side_of_book(self, wire: str, target: str, levels: int) -> tuple[Field, ...]:
        """Return prices, then volumes, of one side, levels 1..n; level 1 is required."""
        return (
            *(
                self.price(f"{wire}Price{i + 1}", f"{target}_price_e2", level=i, required=i == 0)
                for i in range(levels)
            ),
            *(
                self.count(f"{wire}Vol{i + 1}", f"{target}_volume_shares", level=i, required=i == 0)
                for i in range(levels)
            ),
        )


_TRADE, _QUOTE, _INDEX = Into(SlotKind.TRADE), Into(SlotKind.QUOTE), Into(SlotKind.INDEX)
_FOREIGN, _BAR, _ODD_LOT = Into(SlotKind.FOREIGN), Into(SlotKind.BAR), Into(SlotKind.ODD_LOT)

_RTYPE = Field("RType")  # repeats DataType, which decides
_ISIN = Field("Isin")
_DATE = Field("TradingDate", Kind.DATE, required=True)
_TIME = Field("Time", Kind.TIME, required=True, aliases=("TradingTime",))
_SYMBOL = Field("Symbol", Kind.SYMBOL, required=True)
_EXCHANGE = Field("Exchange", Kind.EXCHANGE)
_MARKET = Field("MarketId", Kind.MARKET, aliases=("MarketID", "Market"))
_SESSION = Field("TradingSession", Kind.SESSION)
_STATUS = Field("TradingStatus", Kind.STATUS)
_SIDE = Field("Side", Kind.SIDE)
_CHANGES = (Field("Change"), Field("RatioChange"))
_LIMITS = (
    _TRADE.price("Ceiling", "ceiling_price_e2"),
    _TRADE.price("Floor", "floor_price_e2"),
    _TRADE.price("RefPrice", "reference_price_e2"),
)
_PRIOR = _TRADE.price("PriorVal", "prior_close_price_e2")
_ESTIMATED = _TRADE.price("EstMatchedPrice", "estimated_price_e2")


def _last_match(into: Into) -> tuple[Field, ...]:
    """Return the last match and the day's cumulative figures: what classification needs."""
    return (
        into.price("LastPrice", "last_price_e2", required=True),
        into.match("LastVol", "last_volume_shares"),
        into.value("TotalVal", "total_value_vnd", required=True),
        into.volume("TotalVol", "total_volume_shares", required=True),
    )


_BIDS = _QUOTE.side_of_book("Bid", "bid", LEVEL_COUNT)
_ASKS = _QUOTE.side_of_book("Ask", "ask", LEVEL_COUNT)

X = MessageType(
    "X",
    SourceType.X,
    (SlotKind.TRADE, SlotKind.QUOTE),
    (
        _RTYPE,
        _DATE,
        _TIME,
        _ISIN,
        _SYMBOL,
        *_LIMITS,
        _TRADE.price("Open", "open_price_e2"),
        _TRADE.price("High", "high_price_e2", "Highest"),
        _TRADE.price("Low", "low_price_e2", "Lowest"),
        Field("Close"),
        Field("AvgPrice"),
        _PRIOR,
        *_last_match(_TRADE),
        *_BIDS,
        *_ASKS,
        _MARKET,
        _EXCHANGE,
        _SESSION,
        _STATUS,
        *_CHANGES,
        _ESTIMATED,
        _SIDE,
        Field("CloseQtty"),
    ),
)

X_QUOTE = MessageType(
    "X-QUOTE",
    SourceType.X_QUOTE,
    (SlotKind.QUOTE,),
    (_DATE, _TIME, _EXCHANGE, _SYMBOL, _RTYPE, *_ASKS, *_BIDS, _SESSION),
    aliases=("Quote",),
)

X_TRADE = MessageType(
    "X-TRADE",
    SourceType.X_TRADE,
    (SlotKind.TRADE,),
    (
        _RTYPE,
        _DATE,
        _TIME,
        _ISIN,
        _SYMBOL,
        *_LIMITS,
        Field("AvgPrice"),
        _PRIOR,
        *_last_match(_TRADE),
        _MARKET,
        _EXCHANGE,
        _SESSION,
        _STATUS,
        *_CHANGES,
        _ESTIMATED,
        _TRADE.price("Highest", "high_price_e2", "High"),
        _TRADE.price("Lowest", "low_price_e2", "Low"),
        _SIDE,
    ),
    aliases=("Trade",),
)

R = MessageType(
    "R",
    SourceType.R,
    (SlotKind.FOREIGN,),
    (
        _RTYPE,
        _DATE,
        _TIME,
        _ISIN,
        _SYMBOL,
        _FOREIGN.volume("TotalRoom", "total_room_shares", required=True),
        _FOREIGN.volume("CurrentRoom", "current_room_shares", required=True),
        _FOREIGN.volume("BuyVol", "buy_volume_shares", "FBuyVol", required=True),
        _FOREIGN.volume("SellVol", "sell_volume_shares", "FSellVol", required=True),
        _FOREIGN.value("BuyVal", "buy_value_vnd", "FBuyVal", required=True),
        _FOREIGN.value("SellVal", "sell_value_vnd", "FSellVal", required=True),
        _MARKET,
        _EXCHANGE,
    ),
)

MI = MessageType(
    "MI",
    SourceType.MI,
    (SlotKind.INDEX,),
    (
        Field("IndexId", Kind.SYMBOL_ANY_CASE, required=True),
        _INDEX.price("IndexValEst", "estimated_value_e2"),
        _INDEX.price("IndexValue", "value_e2", required=True),
        _INDEX.price("PriorIndexValue", "prior_value_e2", required=True),
        _DATE,
        _TIME,
        _INDEX.volume("TotalTrade", "trade_count"),
        _INDEX.volume("TotalQtty", "matched_volume_shares", required=True),
        _INDEX.value("TotalValue", "matched_value_vnd", required=True),
        Field("IndexName"),
        _INDEX.count("Advances", "advances"),
        _INDEX.count("NoChanges", "unchanged", "Nochanges"),
        _INDEX.count("Declines", "declines"),
        _INDEX.count("Ceilings", "ceilings", "Ceiling"),
        _INDEX.count("Floors", "floors", "Floor"),
        *_CHANGES,
        _INDEX.volume("TotalQttyPt", "put_through_volume_shares", "TotalQttyPT"),
        _INDEX.value("TotalValuePt", "put_through_value_vnd", "TotalValuePT"),
        _EXCHANGE,
        _INDEX.volume("AllQty", "total_volume_shares"),
        _INDEX.value("AllValue", "total_value_vnd"),
        Field("IndexType"),
        _SESSION,
        _MARKET,
        _RTYPE,
        _INDEX.volume("TotalQttyOd", "odd_lot_volume_shares"),
        _INDEX.value("TotalValueOd", "odd_lot_value_vnd"),
    ),
)

F = MessageType(
    "F",
    SourceType.F,
    (SlotKind.STATUS,),
    (
        _RTYPE,
        _MARKET,
        _DATE,
        _TIME,
        _SYMBOL,
        _SESSION,
        _STATUS,
        _EXCHANGE,
        Field("TradingOlSession", Kind.ODD_LOT_SESSION, SlotKind.STATUS, "odd_lot_session"),
    ),
)

# B covers stocks, futures and indices, so its Symbol may be spelled like an index id. It names no
# venue: its slot carries the venue its symbol is known to have.
B = MessageType(
    "B",
    SourceType.B,
    (SlotKind.BAR,),
    (
        _RTYPE,
        _DATE,
        _TIME,
        Field("Symbol", Kind.SYMBOL_ANY_CASE, required=True),
        _BAR.price("Open", "open_price_e2", required=True),
        _BAR.price("High", "high_price_e2", required=True),
        _BAR.price("Low", "low_price_e2", required=True),
        _BAR.price("Close", "close_price_e2", required=True),
        _BAR.volume("Volume", "volume_shares", required=True),
        Field("Value"),
    ),
)

OL = MessageType(
    "OL",
    SourceType.OL,
    (SlotKind.ODD_LOT,),
    (
        _RTYPE,
        _DATE,
        _TIME,
        Field("StockNo"),
        _SYMBOL,
        _ODD_LOT.price("Ceiling", "ceiling_price_e2"),
        _ODD_LOT.price("Floor", "floor_price_e2"),
        _ODD_LOT.price("RefPrice", "reference_price_e2"),
        _ODD_LOT.price("Open", "open_price_e2"),
        _ODD_LOT.price("High", "high_price_e2", "Highest"),
        _ODD_LOT.price("Low", "low_price_e2", "Lowest"),
        *_last_match(_ODD_LOT),
        *_ODD_LOT.side_of_book("Bid", "bid", ODD_LOT_LEVEL_COUNT),
        *_ODD_LOT.side_of_book("Ask", "ask", ODD_LOT_LEVEL_COUNT),
        _EXCHANGE,
        _SESSION,
        _STATUS,
        *_CHANGES,
        Field("StockType"),
    ),
)

# The most frequent first: the scanner tries them in order.
MESSAGE_TYPES: tuple[MessageType, ...] = (X_QUOTE, X_TRADE, X, MI, R, F, B, OL)
TYPE_BY_NAME: dict[str, MessageType] = {
    name: kind for kind in MESSAGE_TYPES for name in (kind.name, *kind.aliases)
}
SLOTS_PER_MESSAGE_MAX = 1 + max(len(kind.kinds) for kind in MESSAGE_TYPES)  # SYMBOL + data

"""What each v3 topic says: ONE table, read by the scanner and by the oracle.

Source: ssi-wire section 8 for keys and topics (facts of the official SDK, which guesses the meaning
of index keys from their names). The order of keys and the form of `t` are UNVERIFIED: nobody but
SSI has published a frame. So both decoders take keys in any order, and `t` as v3_dates lists it.

The keys of v3 have one to four letters and no aliases. A `required` number that is absent or null
refuses its message; any other absent number is 0, the slot's word for "not told". A message in
which everything that could be told is absent is refused too: it says nothing.
"""

from engine.decode.fields import Field, Into, Kind, MessageType
from engine.schema.codes import SlotKind, SourceType
from engine.schema.slots import LEVEL_COUNT, ODD_LOT_LEVEL_COUNT, PRICE_E2_MAX

# In place of a price in an auction (SDK): an order at whatever price comes, so price 0.
ORDER_WORDS = frozenset({"ATO", "ATC", "MP", "MTL", "MOK", "MAK", "PLO"})

_TRADE, _INDEX, _FOREIGN = Into(SlotKind.TRADE), Into(SlotKind.INDEX), Into(SlotKind.FOREIGN)
_BAR, _ODD_LOT = Into(SlotKind.BAR), Into(SlotKind.ODD_LOT)
_PUT, _REFERENCE = Into(SlotKind.PUT_THROUGH), Into(SlotKind.REFERENCE)

_T = Field("t", Kind.STAMP, required=True)
_S = Field("s", Kind.SYMBOL, required=True)
_S_ANY_CASE = Field("s", Kind.SYMBOL_ANY_CASE, required=True)
_B = Field("b", Kind.EXCHANGE)
_SS = Field("ss", Kind.SESSION)
_SI = Field("si", Kind.SIDE)


def _book(view: SlotKind, levels: int) -> tuple[Field, Field]:
    """Return both sides of a book; `level` holds how many levels their slot has."""
    return (
        Field("bids", Kind.LEVELS, view, "bid", levels),
        Field("asks", Kind.LEVELS, view, "ask", levels),
    )


TRADE = MessageType(
    "trade",
    SourceType.V3_TRADE,
    (SlotKind.TRADE,),
    (
        _T,
        _S,
        _TRADE.price("p", "last_price_e2", required=True),
        _TRADE.match("q", "last_volume_shares"),
        _SI,
        _TRADE.volume("v", "total_volume_shares", required=True),
        _TRADE.price("o", "open_price_e2"),
        _TRADE.price("h", "high_price_e2"),
        _TRADE.price("l", "low_price_e2"),
        Field("a"),  # average price
        _B,
        _SS,
    ),
)

QUOTE = MessageType(
    "quote",
    SourceType.V3_QUOTE,
    (SlotKind.QUOTE,),
    (_T, _S, *_book(SlotKind.QUOTE, LEVEL_COUNT), _B, _SS),
)

ROOM = MessageType(
    "room",
    SourceType.V3_ROOM,
    (SlotKind.FOREIGN,),
    (
        _T,
        _S,
        _FOREIGN.volume("tr", "total_room_shares", required=True),
        _FOREIGN.volume("cr", "current_room_shares", required=True),
        _FOREIGN.volume("bq", "buy_volume_shares", required=True),
        _FOREIGN.value("bv", "buy_value_vnd", required=True),
        _FOREIGN.volume("sq", "sell_volume_shares", required=True),
        _FOREIGN.value("sv", "sell_value_vnd", required=True),
        _B,
        _SS,
    ),
)

PUT = MessageType(
    "put",
    SourceType.V3_PUT,
    (SlotKind.PUT_THROUGH,),
    (
        _T,
        _S,
        _PUT.price("p", "price_e2", required=True),
        _PUT.volume("q", "volume_shares", required=True),
        _PUT.volume("tq", "total_volume_shares"),
        _PUT.value("tv", "total_value_vnd"),
        _B,
        _SS,
    ),
)

ODD_LOT = MessageType(
    "oddlot",
    SourceType.V3_ODD_LOT,
    (SlotKind.ODD_LOT,),
    (
        _T,
        _S,
        _ODD_LOT.price("p", "last_price_e2"),
        _ODD_LOT.volume("q", "last_volume_shares"),
        *_book(SlotKind.ODD_LOT, ODD_LOT_LEVEL_COUNT),
        _B,
        _SS,
    ),
)

MARKET = MessageType(
    "market",
    SourceType.V3_MARKET,
    (SlotKind.REFERENCE,),
    (
        _S,
        _B,
        _T,
        _REFERENCE.price("ce", "ceiling_price_e2"),
        _REFERENCE.price("fl", "floor_price_e2"),
        _REFERENCE.price("ref", "reference_price_e2"),
        _SS,
    ),
)

# The session of a whole board; it names no symbol.
MARKET_FLAG = MessageType(
    "market.flag",
    SourceType.V3_MARKET_FLAG,
    (SlotKind.CONTROL,),
    (
        Field("b", Kind.EXCHANGE, required=True),
        _T,
        Field("f", Kind.SESSION, required=True),
    ),
)

INDEX = MessageType(
    "trade.index",
    SourceType.V3_INDEX,
    (SlotKind.INDEX,),
    (
        _S_ANY_CASE,
        _B,
        _SS,
        _T,
        _INDEX.price("v", "value_e2", required=True),
        # v2 tells the prior value, v3 the change since: prior = value - change.
        Field("c", Kind.CHANGE_E2, SlotKind.INDEX, "prior_value_e2", maximum=PRICE_E2_MAX),
        Field("cr"),  # the change in percent
        _INDEX.count("adv", "advances"),
        _INDEX.count("dec", "declines"),
        _INDEX.count("nc", "unchanged"),
        _INDEX.count("ce", "ceilings"),
        _INDEX.count("fl", "floors"),
        _INDEX.value("tmv", "matched_value_vnd"),
        _INDEX.volume("tmq", "matched_volume_shares"),
        _INDEX.value("tvp", "put_through_value_vnd"),
        _INDEX.volume("tqp", "put_through_volume_shares"),
        _INDEX.volume("tq", "total_volume_shares"),
        _INDEX.value("tv", "total_value_vnd"),
    ),
)

# Candles of shares, futures and indices, of a minute or of five: the slot does not tell which.
BAR = MessageType(
    "bar",
    SourceType.V3_BAR,
    (SlotKind.BAR,),
    (
        Field("st"),  # when the candle starts; exch_s is `t`, as for v2's B
        _T,
        _S_ANY_CASE,
        _BAR.price("o", "open_price_e2", required=True),
        _BAR.price("h", "high_price_e2", required=True),
        _BAR.price("l", "low_price_e2", required=True),
        _BAR.price("c", "close_price_e2", required=True),
        _BAR.volume("v", "volume_shares", required=True),
        _B,
        _SS,
    ),
)

TOPIC_TYPES: tuple[MessageType, ...] = (
    TRADE,
    QUOTE,
    ROOM,
    PUT,
    ODD_LOT,
    MARKET,
    MARKET_FLAG,
    INDEX,
    BAR,
)
_BY_STEM = {each.name: each for each in (TRADE, QUOTE, ROOM, PUT, ODD_LOT, MARKET)}
_TICK_INTERVALS = frozenset({"", "tick", "*"})
_BAR_INTERVALS = frozenset({"1m", "5m"})


def type_of_topic(topic: str) -> MessageType | None:
    """Return what a topic carries, or None for one nobody told us about.

    ``TYPE.FILTER[@INTERVAL]``, without regard to case, as the server compares them. Only trades and
    indices have intervals that matter: a candle is no trade. The filter is not looked at; the
    message names its symbol itself.
    """
    name = topic.lower()
    if name == MARKET_FLAG.name:
        return MARKET_FLAG
    stem, dot, rest = name.partition(".")
    kind = _BY_STEM.get(stem) if dot else None
    if kind is not TRADE:
        return kind
    if rest.startswith("index."):
        kind = INDEX
    interval = rest.partition("@")[2]
    if interval in _TICK_INTERVALS:
        return kind
    return BAR if interval in _BAR_INTERVALS else None

"""Every code that travels in a record. Values are wire format: append, never renumber."""

from enum import IntEnum, IntFlag


class Venue(IntEnum):
    """Where an instrument is listed. The feed's ``Exchange`` (REST says ``DER`` for futures)."""

    UNKNOWN = 0
    HOSE = 1
    HNX = 2
    UPCOM = 3
    DERIVATIVES = 4
    HNXBOND = 5


class Instrument(IntEnum):
    """What kind of thing a symbol names."""

    UNKNOWN = 0
    STOCK = 1
    FUTURE = 2
    INDEX = 3
    FEED = 4  # the feed itself: the one key of channel `feed`
    BOARD = 5  # a summary over many symbols: a key of the market-wide board


class SlotKind(IntEnum):
    """Which view of a slot holds its payload."""

    NONE = 0
    TRADE = 1
    QUOTE = 2
    INDEX = 3
    FOREIGN = 4
    STATUS = 5
    BAR = 6
    ODD_LOT = 7
    SYMBOL = 8
    CONTROL = 9
    PUT_THROUGH = 10  # a negotiated deal; v3 only
    REFERENCE = 11  # what is known of a symbol before it trades
    BACKFILL = 12  # a one-minute bar of REST that tells about a gap


class SourceType(IntEnum):
    """Which SSI message type a slot came from: v2 types, then v3 topics, then REST."""

    NONE = 0
    X = 1
    X_QUOTE = 2
    X_TRADE = 3
    R = 4
    MI = 5
    F = 6
    B = 7
    OL = 8
    V3_TRADE = 9
    V3_QUOTE = 10
    V3_ROOM = 11
    V3_PUT = 12
    V3_ODD_LOT = 13
    V3_MARKET = 14
    V3_MARKET_FLAG = 15
    V3_INDEX = 16
    V3_BAR = 17
    REST = 18


class SlotFlag(IntFlag):
    """Quality and framing of a slot."""

    NONE = 0
    LAST = 1  # last slot of an ingest batch: the group it ends is published and folded whole
    BITE = 2  # last slot of what ingest published at once: a torn journal is cut after one of these


class FeedSession(IntEnum):
    """The feed's ``TradingSession`` word. A hint: phases come from the clock (market/sessions)."""

    NONE = 0  # absent, null or empty
    OTHER = 1  # a word nobody has documented; never an error
    ATO = 2
    LO = 3
    ATC = 4
    PT = 5
    C = 6
    BREAK = 7
    HALT = 8  # "H" or "HALT"
    PLO = 9


class TradingStatus(IntEnum):
    """The feed's ``TradingStatus`` word (ssi-wire section 3.1)."""

    NONE = 0
    OTHER = 1
    NORMAL = 2  # "N", "Normal", "Active"
    DELISTED = 3  # "D"
    HALTED = 4  # "H"
    SUSPENDED = 5  # "S"
    NEW_LISTING = 6  # "NL"
    TO_BE_DELISTED = 7  # "ND"
    SPECIAL = 8  # "ST"
    MATCHING_SUSPENDED = 9  # "SA"
    PUT_THROUGH_SUSPENDED = 10  # "SP"
    NOT_TRADED = 11  # "NT", seen in captures, never documented


class Phase(IntEnum):
    """Session phase of one venue, or of one symbol when it is halted."""

    PRE = 0
    ATO = 1
    CONTINUOUS = 2
    BREAK = 3
    ATC = 4
    PLO = 5
    PUT_THROUGH = 6
    CLOSED = 7
    HALT = 8


PHASE_COUNT = len(Phase)


class Side(IntEnum):
    """Who was the aggressor. NEUTRAL is a statement (an auction), UNKNOWN is none."""

    UNKNOWN = 0
    BUY = 1
    SELL = 2
    NEUTRAL = 3


SIDE_COUNT = len(Side)


class SideRule(IntEnum):
    """Which rule decided the side."""

    NONE = 0
    EXCHANGE = 1
    QUOTE = 2
    TICK = 3
    AUCTION = 4


class TradeEvent(IntEnum):
    """What a TRADE slot turned out to be once compared with the symbol's cumulative volume."""

    NONE = 0  # not a trade slot
    MATCH = 1  # the cumulative volume grew: a match, possibly with missed volume before it
    BASELINE = 2  # first message of the day and it already carries volume we never saw
    REPEAT = 3  # same cumulative volume: a refresh
    CORRECTION = 4  # cumulative volume shrank on the same trading date: follow the exchange
    STALE_DAY = 5  # belongs to a trading date older than the symbol's current one
    LATE = 6  # a match that was missed and arrives after its successors: it fills a hole


class NoteFlag(IntFlag):
    """What classify tells later stages about a slot."""

    NONE = 0
    NEW_DAY = 1  # first slot of this symbol on a newer trading date: reset day state
    STALE_DAY = 2  # older trading date: later stages ignore the slot
    DISAGREE = 4  # EXCHANGE and QUOTE both spoke and differ
    AFTER_OUTAGE = 8  # the symbol's first trade or quote since the feed was away
    GAP_OPENED = 16  # said by the ledger: this slot opened gap `gap_no`
    GAP_CLOSED = 32  # said by the ledger: this slot closed a gap


class DeltaFlag(IntFlag):
    """Quality of a delta row, as clients see it."""

    NONE = 0
    MISSED_BEFORE = 1  # volume was missed just before this trade
    BASELINE = 2  # the row starts from a baseline: part of the day was not seen
    CORRECTED = 4  # the exchange's cumulative volume went down today
    CROSSED = 8  # bid >= ask: an auction book
    MARKET_ORDERS = 16  # level 1 has volume at price 0: ATO/ATC orders
    DISAGREE = 32  # EXCHANGE and QUOTE named different sides
    LATE = 64  # the match arrived after later ones; it had been counted as missed
    AFTER_OUTAGE = 128  # first news of the symbol since the feed was away
    RESET = 256  # a cumulative figure went down today: counted anew, never a negative flow
    NO_BREADTH = 512  # the counters came as zero after the close: the day's last ones are kept


class ControlOp(IntEnum):
    """What a CONTROL slot says."""

    NONE = 0
    TIMER = 1  # time passed without data
    FEED_STATE = 2  # arg0 = FeedState, detail says why; below LIVE the feed is away
    LOST = 3  # ingest's own backlog overflowed: arg0 = frames dropped, arg1 = their bytes
    BOARD = 4  # v3 session flag of a whole board: arg0 = Venue, arg1 = FeedSession


class FeedState(IntEnum):
    """Is the tape alive? A dead feed must never look alive."""

    DOWN = 0
    CONNECTING = 1
    LIVE = 2
    STALE = 3  # connected, but silent for longer than the session phase explains
    CLOSED = 4  # outside trading hours: silence, or no connection, is normal


class GapCause(IntEnum):
    """Why volume was missed."""

    NONE = 0
    BASELINE = 1  # traded before our first message of the day
    OUTAGE = 2  # the feed was away
    SKIPPED = 3  # the feed was there, and skipped messages
    UNTOLD = 4  # a message that counts volume but tells no match
    LOST = 5  # our own backlog overflowed


class GapState(IntEnum):
    """Where a gap is in its life."""

    NONE = 0
    OPEN = 1
    CLOSED = 2


class GapOutcome(IntEnum):
    """How a gap was closed."""

    NONE = 0  # still open
    BACKFILLED = 1  # REST bars tell prices and volumes of its minutes
    UNEXPLAINED = 2  # nobody could tell more than its volume
    ARRIVED = 3  # the missing matches came late, to the last share
    RETRACTED = 4  # the exchange took the volume back


class IndexMember(IntFlag):
    """Baskets a stock belongs to."""

    NONE = 0
    VN30 = 1
    VN100 = 2
    HNX30 = 4


class Underlying(IntEnum):
    """What a future is written on, as far as the tape follows its spot."""

    NONE = 0
    VN30 = 1
    VN100 = 2
    BOND = 3  # no spot in the feed


class ContractFlag(IntFlag):
    """What a contract is among its kind, today."""

    NONE = 0
    FRONT = 1  # the next to expire
    MOST_ACTIVE = 2  # the most traded today; the earlier expiry when equal


class BasisState(IntEnum):
    """Where a future stands against its spot."""

    NONE = 0  # one of both prices is not known
    PREMIUM = 1  # future above spot
    DISCOUNT = 2
    PAR = 3


class LimitState(IntEnum):
    """Which limit of the day the last match has."""

    NONE = 0
    CEILING = 1
    FLOOR = 2


class LimitEvent(IntEnum):
    """What a row of channel `limits` tells."""

    NONE = 0  # a new day: what the last one ended at is no state of today
    ENTER = 1  # a match at the limit after one elsewhere
    LOCK = 2  # a queue at the limit and nobody on the other side
    QUEUE = 3  # locked, and the queue changed
    UNLOCK = 4  # the other side is back, or the queue is gone
    LEAVE = 5  # a match away from the limit


class BarFlag(IntFlag):
    """Quality of one bar."""

    NONE = 0
    SUSPECT = 1  # volume of its time was missed: its figures are those of what was seen
    LATE = 2  # a late match was put in after the bar had been published
    CORRECTED = 4  # the exchange took volume back while it was open


class AlertType(IntEnum):
    """What an alert is about (market-behaviour section 10)."""

    NONE = 0
    VOLUME_SPIKE = 1
    PRICE_LIMIT = 2
    FOREIGN_ACCELERATION = 3
    BASIS_FLIP = 4
    BLOCK_TRADE = 5
    HALT = 6
    ROOM_EXHAUSTED = 7
    FEED = 8
    RULE = 9  # a rule of the operator's own, named in the row


class Severity(IntEnum):
    """How much an alert matters."""

    NONE = 0
    INFO = 1
    WARNING = 2
    CRITICAL = 3


class AlertState(IntEnum):
    """Which end of a condition an alert tells."""

    NONE = 0  # it has no duration
    BEGIN = 1
    END = 2
    SOON = 3  # predicted, not yet there


class WeightsSource(IntEnum):
    """Where the weights behind an index attribution come from."""

    NONE = 0  # nobody told: no points are claimed
    LISTED = 1  # listed shares x reference price, of REST; no free float
    CONFIG = 2  # board.weights_file


class Reject(IntEnum):
    """Why a frame or message was refused whole. Index into the rejected counters."""

    FRAME_TOO_LARGE = 0
    FRAME_NOT_JSON = 1
    FRAME_SHAPE = 2  # JSON, but no object or no list of hub messages
    MESSAGE_NOT_JSON = 3
    MESSAGE_SHAPE = 4  # no DataType or Content, or they are of the wrong kind
    UNKNOWN_TYPE = 5
    MISSING_FIELD = 6
    BAD_NUMBER = 7
    OUT_OF_RANGE = 8
    BAD_TIME = 9
    BAD_SYMBOL = 10
    SYMBOLS_FULL = 11


REJECT_COUNT = len(Reject)

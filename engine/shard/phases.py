"""Which session phase a slot and a match belong to, for kernels.

The tables and the rule are ``engine.market.sessions``; this file looks them up. Halts are a
state of a symbol, or of a whole board, and live here: see ``classify`` for the rule in words.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.market.sessions import AUCTION_CODES, NO_PHASE, UNCROSS_GRACE_S, phase_tables
from engine.schema.codes import PHASE_COUNT, FeedSession, Phase, SlotKind, TradingStatus, Venue

ATO, ATC, HALT = int(Phase.ATO), int(Phase.ATC), int(Phase.HALT)
ATO_WORD, ATC_WORD = int(AUCTION_CODES[Phase.ATO]), int(AUCTION_CODES[Phase.ATC])
NO_WORD = 255  # not a FeedSession: nothing equals it
VENUE_COUNT = len(Venue)
assert VENUE_COUNT <= 8  # one bit each in `halted_boards`
MINUTE_S = 60

TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)
INDEX, STATUS = int(SlotKind.INDEX), int(SlotKind.STATUS)
SESSION_NONE, SESSION_OTHER = int(FeedSession.NONE), int(FeedSession.OTHER)
SESSION_HALT = int(FeedSession.HALT)
HALTED, SUSPENDED = int(TradingStatus.HALTED), int(TradingStatus.SUSPENDED)
MATCHING_SUSPENDED = int(TradingStatus.MATCHING_SUSPENDED)
NORMAL, NEW_LISTING = int(TradingStatus.NORMAL), int(TradingStatus.NEW_LISTING)
TO_BE_DELISTED, SPECIAL = int(TradingStatus.TO_BE_DELISTED), int(TradingStatus.SPECIAL)
PUT_THROUGH_SUSPENDED = int(TradingStatus.PUT_THROUGH_SUSPENDED)

_TABLES = phase_tables()
_ERA_COUNT = len(_TABLES.era_start_day)
_TABLE_SHAPE = _TABLES.phase.shape

# Timetables as a value inside params; see sessions.PhaseTables for the meaning.
PHASE_FIELDS: list[Any] = [
    ("era_start_day", "<i4", (_ERA_COUNT,)),
    ("phase", "u1", _TABLE_SHAPE),
    ("match_phase", "u1", _TABLE_SHAPE),
    ("grace_phase", "u1", _TABLE_SHAPE),
]

# What is remembered per symbol and day.
HALT_FIELDS: list[Any] = [("halt_by_session", "u1"), ("halt_by_status", "u1")]
BOARD_FIELDS: list[Any] = [("halted_boards", "u1")]  # row 0: a bit per Venue, for its `day`
UNCROSS_FIELDS: list[Any] = [("uncross_price_e2", "<i4", (PHASE_COUNT,))]


def fill_phase_params(params: NDArray[np.void]) -> None:
    """Copy the timetables into ``params[0]``."""
    for name, table in zip(_TABLES._fields, _TABLES, strict=True):
        params[0][name] = table


@kernel
def era_of(params: Any, day: Any) -> Any:
    """Return the index of the timetables in force on `day` (days since 1970, ICT)."""
    starts = params[0]["era_start_day"]
    era = starts.shape[0] - 1
    while era > 0 and starts[era] > day:
        era -= 1
    return era


@kernel
def known_venue(venue: Any) -> Any:
    """Return the venue, or UNKNOWN (0) for a code this schema does not have."""
    return np.int64(venue) if venue < VENUE_COUNT else np.int64(0)


@kernel
def clock_phase(params: Any, day: Any, second: Any, venue: Any) -> Any:
    """Return the Phase the venue's clock shows; `second` of the day in ICT."""
    return params[0]["phase"][era_of(params, day), known_venue(venue), second // MINUTE_S]


@kernel
def auction_word(phase: Any) -> Any:
    """Return the feed's session word for an auction phase, NO_WORD for any other."""
    if phase == ATO:
        return ATO_WORD
    if phase == ATC:
        return ATC_WORD
    return NO_WORD


@kernel
def book_match(params: Any, own: Any, day: Any, second: Any, head: Any, price_e2: Any) -> Any:
    """Return the Phase a match belongs to and remember the price of an auction's first print.

    ``sessions.match_phase`` over the tables; `own` is the symbol's state (``uncross_price_e2``
    by phase, 0 = no print yet today: read and written).
    """
    era, venue, minute = era_of(params, day), known_venue(head["venue"]), second // MINUTE_S
    phase = params[0]["match_phase"][era, venue, minute]
    ended = params[0]["grace_phase"][era, venue, minute]
    if ended != NO_PHASE and second - minute * MINUTE_S < UNCROSS_GRACE_S:
        if ended in (ATO, ATC):
            uncross_e2 = own["uncross_price_e2"][ended]
            if head["session"] == auction_word(ended) or uncross_e2 == 0 or uncross_e2 == price_e2:
                phase = ended
        elif head["session"] != auction_word(phase):
            phase = ended
    if phase in (ATO, ATC) and own["uncross_price_e2"][phase] == 0:
        own["uncross_price_e2"][phase] = price_e2
    return phase


@kernel
def matching_goes_on(status: Any) -> Any:
    """Return whether a TradingStatus says that orders are being matched."""
    return status in (NORMAL, NEW_LISTING, TO_BE_DELISTED, SPECIAL, PUT_THROUGH_SUSPENDED)


@kernel
def watch_halts(own: Any, head: Any) -> None:
    """Let a main-board message say what it knows about halts (`own` is written)."""
    kind = head["kind"]
    if kind not in (TRADE, QUOTE, INDEX, STATUS):
        return
    session, status = head["session"], head["status"]
    if session == SESSION_HALT:
        own["halt_by_session"] = 1
    elif session not in (SESSION_NONE, SESSION_OTHER):
        own["halt_by_session"] = 0
    if status in (HALTED, SUSPENDED, MATCHING_SUSPENDED):
        own["halt_by_status"] = 1
    elif matching_goes_on(status):
        own["halt_by_status"] = 0
        if kind == STATUS and session != SESSION_HALT:
            own["halt_by_session"] = 0


@kernel
def watch_board(market: Any, day: Any, venue: Any, session: Any) -> None:
    """Let a session word for a whole board say what it knows (`market` is row 0, written).

    A word of an older day is ignored; the first of a newer day forgets all boards' halts.
    """
    if not 0 < venue < VENUE_COUNT or day < market["day"]:
        return
    if day > market["day"]:
        market["day"] = day
        market["halted_boards"] = 0
    board = np.int64(1) << venue
    if session == SESSION_HALT:
        market["halted_boards"] |= board
    elif session not in (SESSION_NONE, SESSION_OTHER):
        market["halted_boards"] &= ~board


@kernel
def board_halted(market: Any, day: Any, venue: Any) -> Any:
    """Return whether the venue's board is halted on `day`."""
    if market["halted_boards"] == 0 or market["day"] != day:
        return False
    return (np.int64(market["halted_boards"]) >> known_venue(venue)) & 1 == 1


@kernel
def slot_phase(params: Any, market: Any, own: Any, day: Any, second: Any, head: Any) -> Any:
    """Return the phase of a slot that is not a match: HALT, or what the clock shows."""
    if own["halt_by_session"] or own["halt_by_status"] or board_halted(market, day, head["venue"]):
        return np.uint8(HALT)
    return clock_phase(params, day, second, head["venue"])

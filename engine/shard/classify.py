"""What each slot means: trading date, phase, and for trades the event, the side and why.

Sources: market-behaviour sections 1 to 3 and 11, ssi-wire 3.1 to 3.4, market/sessions. This stage
publishes nothing; it writes the note that every later stage reads. Row 0 of its state is no symbol:
it holds what concerns them all (``outages``, boards in ``phases``).

Trading date
    ``exch_s`` in ICT. The first data slot of a symbol on a newer date rolls its state (NEW_DAY);
    a slot of an older date is marked STALE_DAY and every later stage ignores it. A symbol_id
    outside the table is marked the same way. SYMBOL and CONTROL slots have a blank note. Only
    TRADE slots have an event: put-through, odd lots and bars of REST never touch volume.
Phase
    The venue's clock by minute, or HALT while the symbol is halted. A match is booked by
    ``sessions.match_phase`` and is never HALT: when the exchange says there was a match, the
    symbol was not halted then.
Halt
    Two witnesses, and one of them is enough. The session word: HALT sets it, any other known word
    clears it. The status word: HALTED, SUSPENDED or MATCHING_SUSPENDED set it, a status in which
    matching goes on clears it (so that a lost F message heals with the next X); an absent or
    undocumented word says nothing. An F message with such a good status clears both. Odd-lot
    messages have a status of their own market and are not asked. A third witness speaks for all
    symbols of a venue: the session word of a BOARD control slot, for the date of its stamp.
Event
    Compared with the cumulative volume `before` counted so far today, `growth` = total - before:

    ==========================================  ==========  =========================  ===========
    TRADE slot                                  event       volume of the match        missed
    ==========================================  ==========  =========================  ===========
    first of the day, total 0                   NONE        0                          0
    first of the day, total == last volume      MATCH       total                      0
    first of the day, anything else             BASELINE    0                          total
    total unchanged                             REPEAT (NONE while it is 0)   0        0
    total grew, match can be told               MATCH       min(last volume, growth)   the rest
    total grew, match cannot be told            BASELINE    0                          growth
    total below, old news of a told match       REPEAT      0                          0
    total below, a match that was missed        LATE        last volume                - volume
    total below, anything else                  CORRECTION  0                          growth < 0
    ==========================================  ==========  =========================  ===========

    A match can be told when the message has its price and size, both positive, and price x
    multiplier x volume fits int64. Else the growth is missed volume and the day goes on from a
    new baseline: inventing a size or a value would be a wrong number.
    Whatever happens, volume seen + missed == total.
Late and repeated messages
    Missed volume is a hole in the day's cumulative volume (``holes``). A message whose total lies
    below the current one is asked, in this order: was a message with its total and stamp counted
    already (the last eight are known)? REPEAT. Can its match be told, does it lie inside one
    hole, and is it no newer than that hole? LATE: the hole shrinks by it. Is it no newer than the
    newest stamp of today? REPEAT: an older total can only be old news then. Else the
    exchange has taken volume back: CORRECTION, and what was missing above the new total is cut.
    After a correction a message of the time before it may also have a total above the current
    one. It is a REPEAT when that total had been reached before the correction, and the message is
    older than it or was counted already.
    Neither a LATE message nor a REPEAT of the past moves the current total.
Side
    EXCHANGE: the slot's BUY or SELL. QUOTE: against the last book of today, if both of its best
    prices and volumes are positive and bid < ask. TICK: against the last different price; after
    volume that was not seen as a match (BASELINE, CORRECTION) the price is remembered but not a
    direction. What each said is noted always; a match in ATO, ATC, PLO or PUT_THROUGH is NEUTRAL
    by rule AUCTION, any other takes the first rule of `precedence` that speaks. Of a LATE match
    only EXCHANGE is asked: the book and the price it met are gone.
Outage
    See ``outages``: AFTER_OUTAGE, what is forgotten then, and the cause of missed volume.
Value
    price_e2 x multiplier x volume // 100 in int64. If the symbol's introduction was never seen
    (the ring lapped it), the multiplier is 100,000 on DERIVATIVES and 1 elsewhere: right for
    shares and for index futures, the instruments in scope.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.jit import kernel
from engine.schema.codes import ControlOp, NoteFlag, SlotKind, TradeEvent, Venue
from engine.shard.groups import STALE_DAY, trade_day
from engine.shard.holes import (
    HOLE_FIELDS,
    NO_HOLE,
    SEEN_FIELDS,
    cut_holes,
    fill_hole,
    forget_holes,
    hole_around,
    open_hole,
    remember,
    was_seen,
)
from engine.shard.outages import OUTAGE_FIELDS, cause_of, first_news, watch_feed
from engine.shard.phases import (
    BOARD_FIELDS,
    HALT_FIELDS,
    PHASE_FIELDS,
    UNCROSS_FIELDS,
    book_match,
    clock_phase,
    fill_phase_params,
    slot_phase,
    watch_board,
    watch_halts,
)
from engine.shard.sides import (
    PRECEDENCE_FIELDS,
    SIDE_FIELDS,
    UNKNOWN,
    decide,
    fill_precedence,
    forget_direction,
    judge,
    watch_book,
)
from engine.shard.stage import Stage, StageSettings

KIND_NONE, CONTROL, SYMBOL = int(SlotKind.NONE), int(SlotKind.CONTROL), int(SlotKind.SYMBOL)
TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)
EVENT_NONE, MATCH = int(TradeEvent.NONE), int(TradeEvent.MATCH)
BASELINE, REPEAT = int(TradeEvent.BASELINE), int(TradeEvent.REPEAT)
CORRECTION, EVENT_STALE = int(TradeEvent.CORRECTION), int(TradeEvent.STALE_DAY)
LATE = int(TradeEvent.LATE)
NEW_DAY, AFTER_OUTAGE = int(NoteFlag.NEW_DAY), int(NoteFlag.AFTER_OUTAGE)
BOARD = int(ControlOp.BOARD)
DERIVATIVES = int(Venue.DERIVATIVES)

INDEX_FUTURE_MULTIPLIER = 100_000  # VND per index point, ssi-wire 4.5
PRODUCT_MAX = 9 * 10**18  # price_e2 x multiplier x volume must fit int64

STATE = np.dtype(
    [
        ("multiplier", "<i8"),  # 0: the symbol has not introduced itself
        ("day", "<i8"),  # trading date, days since 1970 (ICT); 0: no data yet
        ("total_volume_shares", "<i8"),  # cumulative volume counted so far today
        ("retracted_total_shares", "<i8"),  # most the exchange had counted and took back today
        ("newest_exch_s", "<u4"),  # newest stamp of a TRADE slot today
        ("corrected_exch_s", "<u4"),  # stamp of today's last correction
        *SIDE_FIELDS,
        *OUTAGE_FIELDS,
        *HALT_FIELDS,
        *BOARD_FIELDS,
        ("trade_seen", "u1"),  # a TRADE slot arrived today
        *UNCROSS_FIELDS,
        *SEEN_FIELDS,
        *HOLE_FIELDS,
    ]
)

PARAMS = np.dtype([*PHASE_FIELDS, *PRECEDENCE_FIELDS])


def fill_params(params: NDArray[np.void], settings: StageSettings) -> None:
    """Write timetables and side precedence into ``params[0]``; ConfigError for a bad name."""
    fill_phase_params(params)
    fill_precedence(params, settings.side_precedence)


@kernel
def blank(note: Any) -> None:
    """Clear a note left over from an earlier batch."""
    note["event"] = EVENT_NONE
    note["phase"] = 0
    note["flags"] = 0
    note["side"] = 0
    note["side_rule"] = 0
    note["side_exchange"] = 0
    note["side_quote"] = 0
    note["side_tick"] = 0
    note["volume_shares"] = 0
    note["value_vnd"] = 0
    note["missed_volume_shares"] = 0
    note["bid_price_e2"] = 0
    note["ask_price_e2"] = 0
    note["cause"] = 0
    note["gap_no"] = 0


@kernel
def begin_day(own: Any, day: Any) -> None:
    """Forget everything but what the symbol is and which outages it has heard of."""
    own["day"] = day
    own["total_volume_shares"] = 0
    own["retracted_total_shares"] = 0
    own["newest_exch_s"] = 0
    own["corrected_exch_s"] = 0
    own["bid_price_e2"] = 0
    own["ask_price_e2"] = 0
    own["last_price_e2"] = 0
    own["last_tick"] = 0
    own["halt_by_session"] = 0
    own["halt_by_status"] = 0
    own["trade_seen"] = 0
    own["uncross_price_e2"][:] = 0
    forget_holes(own)


@kernel
def multiplier_of(own: Any, venue: Any) -> Any:
    """Return VND per 1.00 of price and unit of volume, guessed by venue when never introduced."""
    if own["multiplier"] > 0:
        return own["multiplier"]
    return np.int64(INDEX_FUTURE_MULTIPLIER if venue == DERIVATIVES else 1)


@kernel
def can_be_told(volume: Any, unit_e2: Any) -> Any:
    """Return whether a match of this volume has a size, a price and a value that fits int64.

    `unit_e2` is price_e2 x multiplier: the value of one share or contract, x 100.
    """
    return volume > 0 and unit_e2 > 0 and volume <= PRODUCT_MAX // unit_e2


@kernel
def event_of(own: Any, trade: Any, exch_s: Any, unit_e2: Any) -> Any:
    """Return the TradeEvent of a TRADE slot of the current day; see the table at the top."""
    total, size = trade["total_volume_shares"], trade["last_volume_shares"]
    before = own["total_volume_shares"]
    if total == before:
        return REPEAT if total > 0 else EVENT_NONE
    if total < before:
        return event_of_past(own, total, size, exch_s, unit_e2)
    if total <= own["retracted_total_shares"] and (
        exch_s < own["corrected_exch_s"] or was_seen(own, total, exch_s)
    ):
        return REPEAT
    if not can_be_told(min(size, total - before), unit_e2):
        return BASELINE
    if not own["trade_seen"] and total != size:
        return BASELINE
    return MATCH


@kernel
def event_of_past(own: Any, total: Any, size: Any, exch_s: Any, unit_e2: Any) -> Any:
    """Return the TradeEvent of a TRADE slot whose total lies below the current one."""
    if was_seen(own, total, exch_s):
        return REPEAT
    if can_be_told(size, unit_e2) and hole_around(own, total - size, total, exch_s) != NO_HOLE:
        return LATE
    return REPEAT if exch_s <= own["newest_exch_s"] else CORRECTION


@kernel
def note_late(note: Any, own: Any, params: Any, head: Any, trade: Any, second: Any) -> None:
    """Write the note of a match that had been missed; its phase and side are its own time's."""
    total, size = trade["total_volume_shares"], trade["last_volume_shares"]
    note["missed_volume_shares"] = -size
    note["phase"] = book_match(params, own, own["day"], second, head, trade["last_price_e2"])
    decide(note, params, head["side"], UNKNOWN, UNKNOWN)
    exch_s = head["exch_s"]
    fill_hole(own, hole_around(own, total - size, total, exch_s), total - size, total)
    remember(own, total, exch_s)


@kernel
def note_total(note: Any, own: Any, market: Any, head: Any, total: Any) -> None:
    """Follow the exchange's total: missed volume, its cause and its hole.

    ``note["volume_shares"]`` is already the match's, so that seen + missed is the growth.
    """
    before, exch_s = own["total_volume_shares"], head["exch_s"]
    own["newest_exch_s"] = max(own["newest_exch_s"], exch_s)
    if total != before:
        missed = total - before - note["volume_shares"]
        note["missed_volume_shares"] = missed
        if missed > 0:
            note["cause"] = cause_of(market, own, note["event"] == MATCH)
            open_hole(own, before, before + missed, own["newest_exch_s"])
        elif total < before:
            cut_holes(own, total)
            own["retracted_total_shares"] = max(own["retracted_total_shares"], before)
            own["corrected_exch_s"] = exch_s
        own["total_volume_shares"] = total
        remember(own, total, exch_s)
    own["outage_total_no"] = market["outage_no"]
    own["trade_seen"] = 1


@kernel
def note_trade(
    note: Any, own: Any, market: Any, params: Any, head: Any, trade: Any, second: Any
) -> None:
    """Write the note of a TRADE slot of the current day and move the symbol's state on."""
    price_e2, total = trade["last_price_e2"], trade["total_volume_shares"]
    unit_e2 = np.int64(price_e2) * multiplier_of(own, head["venue"])
    event = event_of(own, trade, head["exch_s"], unit_e2)
    note["event"] = event
    if event in (MATCH, LATE):
        volume = trade["last_volume_shares"]
        if event == MATCH:
            volume = min(volume, total - own["total_volume_shares"])
        note["volume_shares"] = volume
        note["value_vnd"] = unit_e2 * volume // 100
    if event == LATE:
        note_late(note, own, params, head, trade, second)
        return
    if event == REPEAT and total != own["total_volume_shares"]:
        return
    if event == MATCH:
        note["phase"] = book_match(params, own, own["day"], second, head, price_e2)
        judge(note, own, params, head["side"], price_e2)
    elif event in (BASELINE, CORRECTION):
        forget_direction(own, price_e2)
    note_total(note, own, market, head, total)


@kernel
def classify(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Write one note per slot. See ``Stage`` for the arguments; `out` is not used."""
    market = state[0]
    for i in range(rows.count):
        head = rows.head[i]
        note = notes[i]
        blank(note)
        kind = head["kind"]
        if kind == KIND_NONE:
            continue
        if kind == CONTROL:
            control = rows.control[i]
            watch_feed(market, control)
            if control["op"] == BOARD:
                day = trade_day(head["exch_s"])
                watch_board(market, day, control["arg0"], control["arg1"])
            continue
        symbol_id = head["symbol_id"]
        if not 0 < symbol_id < state.shape[0]:
            note["flags"] = STALE_DAY
            continue
        own = state[symbol_id]
        if kind == SYMBOL:
            own["multiplier"] = rows.symbol[i]["value_multiplier"]
            continue
        exch_ict_s = np.int64(head["exch_s"]) + ICT_OFFSET_S
        day = exch_ict_s // DAY_S
        second = exch_ict_s - day * DAY_S
        if day < own["day"]:
            note["flags"] = STALE_DAY
            note["phase"] = clock_phase(params, day, second, head["venue"])
            note["event"] = EVENT_STALE if kind == TRADE else EVENT_NONE
            continue
        if day > own["day"]:
            begin_day(own, day)
            note["flags"] = NEW_DAY
        watch_halts(own, head)
        note["phase"] = slot_phase(params, market, own, day, second, head)
        if kind in (TRADE, QUOTE) and first_news(market, own):
            note["flags"] |= AFTER_OUTAGE
        if kind == TRADE:
            note_trade(note, own, market, params, head, rows.trade[i], second)
        elif kind == QUOTE:
            watch_book(own, rows.quote[i])
    return 0


STAGE = Stage(
    "classify",
    "symbol",
    STATE,
    PARAMS,
    None,
    classify,
    "trading date, phase, event and side of every slot, with the reasons",
    fill=fill_params,
)

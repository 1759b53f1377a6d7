"""The alerts stage: channel ``alerts``, every rule asked of every slot it may care about.

Source: market-behaviour section 10. One stage, so that alerts of one symbol come in the order of
its slots whatever their type, and a client sees one sequence. The rules are the other files of this
room; what they have in common is said in ``history``. Here:

* Of one slot, the rules speak in this order: gaps, halt, price_limit, volume_spike, block_trade,
  foreign_acceleration, room_exhausted, basis_flip. An END comes before a BEGIN of its type.
* A slot of an older trading date changes nothing. The first slot of a symbol on a newer one begins
  its day for all rules at once; what a rule forgets then, it says itself.
* Bars and odd lots are not looked at, TIMER and BOARD control slots neither.
* The operator's own rules look at published rows and are ``rulebook``'s; their alerts go on in the
  same rows and sequence numbers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.alerts import (
    basis_flip,
    block_trade,
    feed,
    foreign,
    foreign_acceleration,
    halt,
    price_limit,
    room_exhausted,
    volume_spike,
)
from engine.alerts.history import HISTORY_FIELDS, HISTORY_PARAMS, forget_told
from engine.jit import inlined_kernel, kernel
from engine.schema import channels
from engine.schema.codes import Instrument, SlotKind
from engine.shard.feed_state import watch_market
from engine.shard.groups import STALE_DAY, trade_day
from engine.shard.phases import PHASE_FIELDS, fill_phase_params
from engine.shard.stage import Stage, StageSettings
from engine.trackers import away

SYMBOL, CONTROL = int(SlotKind.SYMBOL), int(SlotKind.CONTROL)
TRADE, QUOTE, INDEX = int(SlotKind.TRADE), int(SlotKind.QUOTE), int(SlotKind.INDEX)
FOREIGN, STATUS = int(SlotKind.FOREIGN), int(SlotKind.STATUS)
PUT_THROUGH = int(SlotKind.PUT_THROUGH)
REFERENCE, BACKFILL = int(SlotKind.REFERENCE), int(SlotKind.BACKFILL)
FEED = int(Instrument.FEED)

LIVE_KINDS = (TRADE, QUOTE, INDEX, FOREIGN, STATUS)  # slots that speak of the present
KINDS = frozenset(
    {
        SlotKind.SYMBOL,
        SlotKind.CONTROL,
        SlotKind.TRADE,
        SlotKind.QUOTE,
        SlotKind.INDEX,
        SlotKind.FOREIGN,
        SlotKind.STATUS,
        SlotKind.PUT_THROUGH,
        SlotKind.REFERENCE,
        SlotKind.BACKFILL,
    }
)
# A gap, a halt, two of price_limit, a spike, a block, an acceleration, two of room_exhausted.
WORD_BYTES = 8
ROWS_PER_SLOT = 9 + basis_flip.ROWS_PER_SLOT

_FIELDS: list[Any] = [
    *HISTORY_FIELDS,
    *away.FIELDS,
    *feed.FIELDS,
    *halt.FIELDS,
    *price_limit.FIELDS,
    *volume_spike.FIELDS,
    *block_trade.FIELDS,
    *foreign.FIELDS,
    *basis_flip.FIELDS,
]
# The few bytes that every slot asks about lie together, the rings behind them: fewer cache lines.
STATE = np.dtype(sorted(_FIELDS, key=lambda field: np.dtype([field]).itemsize > WORD_BYTES))

PARAMS = np.dtype(
    [
        *HISTORY_PARAMS,
        *volume_spike.PARAMS,
        *block_trade.PARAMS,
        *foreign_acceleration.PARAMS,
        *room_exhausted.PARAMS,
        *basis_flip.PARAMS,
        *PHASE_FIELDS,
    ]
)

watch_outages = away.watch_outages
ask_feed, ask_gaps, ask_halt = feed.feed, feed.gaps, halt.halt
ask_price_limit, ask_volume_spike = price_limit.price_limit, volume_spike.volume_spike
ask_block_match, ask_block_deal = block_trade.block_match, block_trade.block_deal
ask_foreign, ask_basis_flip = foreign.foreign, basis_flip.basis_flip
forget_gaps, forget_halt = feed.forget_gaps, halt.forget_halt
forget_trades, forget_foreign = volume_spike.forget_trades, foreign.forget_foreign
forget_side = basis_flip.forget_side


def fill_params(params: NDArray[np.void], settings: StageSettings) -> None:
    """Write every rule's numbers, and the timetables, into ``params[0]``."""
    params[0]["repeat_s"] = settings.alerts.repeat_s
    volume_spike.fill_volume_spike(params, settings.alerts)
    block_trade.fill_block_trade(params, settings.alerts)
    foreign_acceleration.fill_foreign_acceleration(params, settings.alerts)
    room_exhausted.fill_room_exhausted(params, settings.alerts)
    basis_flip.fill_basis_flip(params, settings.alerts)
    fill_phase_params(params)


@kernel
def introduce(state: Any, symbol_id: Any, symbol: Any) -> None:
    """Take over what a SYMBOL slot says about its symbol."""
    if 0 < symbol_id < state.shape[0]:
        state[symbol_id]["multiplier"] = symbol["value_multiplier"]
        if symbol["instrument"] == FEED:
            state[symbol_id]["feed_introduced"] = 1


@kernel
def begin_day(own: Any, day: Any) -> None:
    """Begin a symbol's trading date for every rule."""
    forget_told(own, day)
    forget_gaps(own)
    forget_halt(own)
    forget_trades(own)
    forget_foreign(own)
    forget_side(own)


@inlined_kernel
def ask_symbol_rules(
    state: Any, symbol_id: Any, rows: Any, i: Any, note: Any, params: Any, out: Any, count: Any
) -> Any:
    """Ask the rules about slot `i` of a symbol; return the new count."""
    head = rows.head[i]
    kind = head["kind"]
    count = ask_gaps(state, symbol_id, head, note, params, out, count)
    if kind == BACKFILL:
        return count
    if kind == PUT_THROUGH:
        deal = rows.put_through[i]
        return ask_block_deal(state, symbol_id, head, deal, params, out, count)
    if kind in LIVE_KINDS:
        count = ask_halt(state, symbol_id, head, note, params, out, count)
    if kind in (TRADE, QUOTE, REFERENCE):
        count = ask_price_limit(state, symbol_id, rows, i, note, params, out, count)
    if kind == TRADE:
        trade = rows.trade[i]
        count = ask_volume_spike(state, symbol_id, head, trade, note, params, out, count)
        count = ask_block_match(state, symbol_id, head, trade, note, params, out, count)
    if kind in (TRADE, QUOTE, FOREIGN):
        told = rows.foreign[i]
        count = ask_foreign(state, symbol_id, head, told, note, params, out, count)
    return ask_basis_flip(state, rows, i, note, params, out, count)


@kernel
def alerts(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:
    """Publish every alert. See ``Stage`` for the arguments; at most ROWS_PER_SLOT rows a slot."""
    count = 0
    for i in range(rows.count):
        head, note = rows.head[i], notes[i]
        kind, symbol_id = head["kind"], head["symbol_id"]
        if kind == SYMBOL:
            introduce(state, symbol_id, rows.symbol[i])
            count = ask_basis_flip(state, rows, i, note, params, out, count)
        elif kind == CONTROL:
            control = rows.control[i]
            watch_outages(state, head, control)
            count = ask_feed(state, symbol_id, head, control, params, out, count)
        elif kind in LIVE_KINDS or kind in (PUT_THROUGH, REFERENCE, BACKFILL):
            if note["flags"] & STALE_DAY:
                continue
            # REST speaks of other times than the present.
            if kind not in (REFERENCE, BACKFILL):
                watch_market(state, head)
                watch_outages(state, head, rows.control[i])
            day = trade_day(head["exch_s"])
            own = state[symbol_id]
            if day > own["day"]:
                begin_day(own, day)
            count = ask_symbol_rules(state, symbol_id, rows, i, note, params, out, count)
    return count


STAGE = Stage(
    "alerts",
    "symbol",
    STATE,
    PARAMS,
    channels.ALERTS,
    alerts,
    "what a trader wants to be told, by the eight rules of market-behaviour section 10",
    rows_per_slot=ROWS_PER_SLOT,
    kinds=KINDS,
    fill=fill_params,
)

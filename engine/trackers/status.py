"""Trading state: channel ``status``, what the exchange says of a symbol, and whether it is halted.

Sources: market-behaviour section 2, ssi-wire 3.1 and 3.10. Asked are the main board's messages, and
those of indices: STATUS (F), TRADE, QUOTE and INDEX slots, in the order in which they came. Rules:

* ``session`` and ``trading_status`` are the words last told. NONE is no word and takes nothing
  back. OTHER, a word nobody has documented, counts in a STATUS slot, which is there to tell it;
  beside a price or an index it says nothing.
* ``odd_lot_session`` is told by STATUS slots alone, likewise. Odd-lot messages have a status of
  their own market and are not asked.
* ``halted`` is 1 when classify says HALT, whichever of its witnesses spoke; a board's halt shows
  with the symbol's next message. A slot that tells a match (MATCH or LATE) is not asked: its phase
  is the match's. ``halt_count`` counts the times it became 1 today, and ``since_exch_s`` is the
  stamp of the message that made it what it is: at first the day's first one.
* A row is published when anything in it changed: one per symbol and group. The words do not make
  phases: a session word that lags or repeats is shown as it is, and a repeat is no news.
* A newer trading date begins blank and is news: yesterday's words and halts are not today's.
"""

from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import FeedSession, Phase, SlotKind, TradeEvent, TradingStatus
from engine.schema.deltas import STATUS_DELTA
from engine.shard.groups import LAST, NO_PARAMS, STALE_DAY, blank_row, publish, stamp, trade_day
from engine.shard.stage import Stage

TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)
INDEX, STATUS = int(SlotKind.INDEX), int(SlotKind.STATUS)
HALT = int(Phase.HALT)
MATCH, LATE = int(TradeEvent.MATCH), int(TradeEvent.LATE)
NONE, OTHER = int(FeedSession.NONE), int(FeedSession.OTHER)  # of both vocabularies
assert (int(TradingStatus.NONE), int(TradingStatus.OTHER)) == (NONE, OTHER)

STATE = np.dtype([("row", STATUS_DELTA), ("out_row", "<i8")])


@kernel
def begin_day(state: Any, symbol_id: Any, exch_s: Any, day: Any) -> None:
    """Begin a trading date: a blank row, and its state since `exch_s`."""
    blank_row(state, symbol_id, day)
    state[symbol_id]["row"]["since_exch_s"] = exch_s


@kernel
def is_news(word: Any, before: Any, kind: Any) -> Any:
    """Return whether a session or status word of a slot says something that was not known."""
    return word != before and word != NONE and (word != OTHER or kind == STATUS)


@kernel
def take_words(row: Any, head: Any) -> Any:
    """Take over what the slot's head tells; return whether it is news."""
    news = False
    kind = head["kind"]
    if is_news(head["session"], row["session"], kind):
        row["session"] = head["session"]
        news = True
    if is_news(head["status"], row["trading_status"], kind):
        row["trading_status"] = head["status"]
        news = True
    return news


@kernel
def take_halt(row: Any, head: Any, note: Any) -> Any:
    """Take over whether the symbol is halted, and count; return whether it is news."""
    if note["event"] in (MATCH, LATE):
        return False
    halted = 1 if note["phase"] == HALT else 0
    if halted == row["halted"]:
        return False
    row["halted"] = halted
    row["since_exch_s"] = head["exch_s"]
    row["halt_count"] += halted
    return True


@kernel
def status(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish one row per changed symbol and group. See ``Stage`` for the arguments."""
    count = 0
    base = 0
    for i in range(rows.count):
        head = rows.head[i]
        kind = head["kind"]
        if kind in (TRADE, QUOTE, INDEX, STATUS) and not notes[i]["flags"] & STALE_DAY:
            symbol_id = head["symbol_id"]
            row = state[symbol_id]["row"]
            day = trade_day(head["exch_s"])
            news = row["trade_day"] != day
            if news:
                begin_day(state, symbol_id, head["exch_s"], day)
            news |= take_words(row, head)
            if kind == STATUS:
                odd_lot = rows.status[i]["odd_lot_session"]
                if is_news(odd_lot, row["odd_lot_session"], kind):
                    row["odd_lot_session"] = odd_lot
                    news = True
            news |= take_halt(row, head, notes[i])
            if news:
                stamp(row, head, notes[i]["phase"], row["flags"])
                count = publish(state, symbol_id, out, base, count)
        if head["flags"] & LAST:
            base = count
    return count


STAGE = Stage(
    "status",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.STATUS,
    status,
    "session and status words as told, and halts, when any of them changed",
    kinds=frozenset({SlotKind.TRADE, SlotKind.QUOTE, SlotKind.INDEX, SlotKind.STATUS}),
)

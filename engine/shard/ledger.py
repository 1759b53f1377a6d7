"""The ledger: channel ``gaps``, volume the exchange counted and no message showed.

Sources: market-behaviour sections 1 and 11. SSI sends no sequence numbers, so arithmetic on the
cumulative volume is the only proof. Classify does it slot by slot; the ledger keeps the books:
one account per symbol and day, and a gap for every piece of missed volume. Rules:

Opening
    A TRADE slot with missed volume opens a gap. Numbers are 1, 2, 3 ... per symbol and day. It
    lies between the last message that told the volume before it (0 when there was none today)
    and this one; its cause is the note's. In cumulative volume it covers
    [total - volume - missed, total - volume). At most OPEN_MAX gaps of a symbol are open: one
    more closes the oldest as UNEXPLAINED.
Late
    A LATE match shrinks the open gap whose cover contains it; at 0 the gap is ARRIVED.
Correction
    What the exchange takes back is taken from the newest open gap, then from the one before it;
    at 0 a gap is RETRACTED. Covers end at the new total, because numbers above it come again; a
    gap that lies above it altogether is gone by then, as it is no larger than its cover.
Gap 0
    Volume that arrives or is taken back, and that no open gap has room for, goes to gap 0 of the
    day: its ``open_volume_shares`` is never above 0. It is born closed, and is what keeps the
    sum right when we saw more than the exchange counts in the end.
Backfill
    Bars of an open gap are collected without a row. The last one closes it: BACKFILLED when any
    bar had volume, else UNEXPLAINED. Bars explain prices, they bring no volume back: a gap
    keeps its remainder. Bars for a gap that is not open are ignored; so are those whose stamp is
    not the gap's end: numbers begin anew when a shard has lost its ring, and an answer that was
    asked for before then speaks of another gap.
Day roll
    The first slot of a symbol on a newer trading date closes what is open as UNEXPLAINED, in rows
    of the old day, and the books start anew. The day before is kept for the certificate.

Every event is a row and rows never merge. After each of them, and so at any time for a client that
sees nothing else: the newest ``open_volume_shares`` of all gaps of a symbol and day, gap 0 and
closed ones included, add up to ``day_missed_volume_shares``; and that is the missed volume of
channel ``stats``.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import GapOutcome, GapState, NoteFlag, SlotKind, TradeEvent
from engine.schema.deltas import GAPS_DELTA
from engine.shard.groups import NO_PARAMS, STALE_DAY, stamp, trade_day
from engine.shard.stage import Stage

TRADE, BACKFILL = int(SlotKind.TRADE), int(SlotKind.BACKFILL)
REPEAT, CORRECTION = int(TradeEvent.REPEAT), int(TradeEvent.CORRECTION)
LATE = int(TradeEvent.LATE)
NEW_DAY = int(NoteFlag.NEW_DAY)
GAP_OPENED, GAP_CLOSED = int(NoteFlag.GAP_OPENED), int(NoteFlag.GAP_CLOSED)
OPEN, CLOSED = int(GapState.OPEN), int(GapState.CLOSED)
BACKFILLED, UNEXPLAINED = int(GapOutcome.BACKFILLED), int(GapOutcome.UNEXPLAINED)
ARRIVED, RETRACTED = int(GapOutcome.ARRIVED), int(GapOutcome.RETRACTED)

OPEN_MAX = 4  # gaps of one symbol that wait for an explanation
ROWS_PER_SLOT = OPEN_MAX + 1  # all of them change, and one opens or gap 0 changes

# The books of one symbol and day. total == seen + missed, whatever happened.
ACCOUNT = np.dtype(
    [
        ("day", "<i8"),  # trading date, days since 1970 (ICT); 0: no data yet
        ("total_volume_shares", "<i8"),  # the exchange's, as last told
        ("seen_volume_shares", "<i8"),  # of matches, late ones included
        ("missed_volume_shares", "<i8"),
        ("gap_zero_volume_shares", "<i8"),  # of gap 0: what no gap had room for, 0 or less
        ("gap_count", "<i8"),  # gaps opened; the number of the newest
        ("message_count", "<i8"),  # TRADE slots
        ("repeat_count", "<i8"),
        ("correction_count", "<i8"),
        ("late_count", "<i8"),
        ("last_exch_s", "<i8"),  # the newest message that told the total
        ("last_recv_ns", "<i8"),
        ("venue", "<i8"),
    ]
)

STATE = np.dtype(
    [
        ("row", GAPS_DELTA),  # the last one published
        ("today", ACCOUNT),
        ("before", ACCOUNT),  # the symbol's trading date before today
        # Open ones, oldest first: [0, open_count). Without seq, and with the sums of no moment:
        # those are told by `row` alone.
        ("gaps", GAPS_DELTA, (OPEN_MAX,)),
        ("cover_from", "<i8", (OPEN_MAX,)),  # each gap's place in the cumulative volume
        ("cover_to", "<i8", (OPEN_MAX,)),
        ("open_count", "<i8"),  # row 0, which is no symbol: of all symbols
        ("opened_count", "<i8"),  # since the start; row 0: of all symbols
    ]
)


class GapCounts(NamedTuple):
    """Gaps of all symbols: opened since the start, and open now."""

    opened: int
    open: int


def gap_counts(state: NDArray[np.void]) -> GapCounts:
    """Return the gap counters of a ledger's state (``Fold.state("ledger")``)."""
    return GapCounts(int(state[0]["opened_count"]), int(state[0]["open_count"]))


def open_gaps(state: NDArray[np.void]) -> NDArray[np.void]:
    """Return the gaps that are open now in a ledger's state: GAPS_DELTA, shape (n,), a copy.

    By symbol, oldest first, as they are now; seq, updates, open_count and
    day_missed_volume_shares are 0, as these are not rows of the stream.
    """
    is_open = np.arange(OPEN_MAX) < state["open_count"][1:, np.newaxis]
    rows: NDArray[np.void] = state["gaps"][1:][is_open]
    return rows


@kernel
def tell(own: Any, head: Any, phase: Any, out: Any, count: Any) -> Any:
    """Publish ``own["row"]``, filled but for its head and sums; return the new count."""
    row = own["row"]
    stamp(row, head, phase, 0)
    row["seq"] += 1
    row["updates"] = 1
    row["open_count"] = own["open_count"]
    row["day_missed_volume_shares"] = own["today"]["missed_volume_shares"]
    row["trade_day"] = own["today"]["day"]
    out[count] = row
    return count + 1


@kernel
def fill(own: Any, gap: Any) -> None:
    """Make ``own["row"]`` a copy of a gap; its place in the stream goes on."""
    seq = own["row"]["seq"]
    own["row"] = gap
    own["row"]["seq"] = seq


@kernel
def close(
    state: Any, symbol_id: Any, at: Any, outcome: Any, head: Any, phase: Any, out: Any, count: Any
) -> Any:
    """Close the open gap at place `at` and publish it; younger ones move down a place."""
    own = state[symbol_id]
    gaps = own["gaps"]
    gaps[at]["gap_state"] = CLOSED
    gaps[at]["gap_outcome"] = outcome
    own["open_count"] -= 1
    state[0]["open_count"] -= 1
    fill(own, gaps[at])
    for i in range(at, own["open_count"]):
        gaps[i] = gaps[i + 1]
        own["cover_from"][i] = own["cover_from"][i + 1]
        own["cover_to"][i] = own["cover_to"][i + 1]
    return tell(own, head, phase, out, count)


@kernel
def shrink(
    state: Any,
    symbol_id: Any,
    at: Any,
    shares: Any,
    outcome: Any,
    head: Any,
    phase: Any,
    out: Any,
    count: Any,
) -> Any:
    """Take shares off the open gap at place `at`; close it with `outcome` at 0."""
    own = state[symbol_id]
    gap = own["gaps"][at]
    gap["open_volume_shares"] -= shares
    own["today"]["missed_volume_shares"] -= shares
    if gap["open_volume_shares"] == 0:
        return close(state, symbol_id, at, outcome, head, phase, out, count)
    fill(own, gap)
    return tell(own, head, phase, out, count)


@kernel
def put_in_gap_zero(
    state: Any,
    symbol_id: Any,
    shares: Any,
    outcome: Any,
    head: Any,
    phase: Any,
    out: Any,
    count: Any,
) -> Any:
    """Book shares that no open gap has room for; `outcome` says what they were."""
    own = state[symbol_id]
    today = own["today"]
    today["missed_volume_shares"] -= shares
    today["gap_zero_volume_shares"] -= shares
    fill(own, state[0]["row"])  # blank for ever: 0 is never a symbol
    row = own["row"]
    row["gap_state"] = CLOSED
    row["gap_outcome"] = outcome
    row["to_exch_s"] = head["exch_s"]
    row["to_recv_ns"] = head["recv_ns"]
    row["open_volume_shares"] = today["gap_zero_volume_shares"]
    return tell(own, head, phase, out, count)


@kernel
def open_gap(
    state: Any, symbol_id: Any, cover_to: Any, head: Any, note: Any, out: Any, count: Any
) -> Any:
    """Open a gap for the note's missed volume, which ends at `cover_to`."""
    own = state[symbol_id]
    today = own["today"]
    missed = note["missed_volume_shares"]
    if own["open_count"] == OPEN_MAX:
        count = close(state, symbol_id, 0, UNEXPLAINED, head, note["phase"], out, count)
    today["missed_volume_shares"] += missed
    today["gap_count"] += 1
    at = own["open_count"]
    own["open_count"] += 1
    own["opened_count"] += 1
    state[0]["open_count"] += 1
    state[0]["opened_count"] += 1
    own["cover_from"][at] = cover_to - missed
    own["cover_to"][at] = cover_to
    own["gaps"][at] = state[0]["row"]
    gap = own["gaps"][at]
    stamp(gap, head, note["phase"], 0)
    gap["trade_day"] = today["day"]
    gap["gap_no"] = today["gap_count"]
    gap["gap_state"] = OPEN
    gap["gap_cause"] = note["cause"]
    # Stamps have a resolution of 1 s and may step back; a gap never ends before it begins.
    gap["from_exch_s"] = min(today["last_exch_s"], np.int64(head["exch_s"]))
    gap["to_exch_s"] = head["exch_s"]
    gap["from_recv_ns"] = today["last_recv_ns"]
    gap["to_recv_ns"] = head["recv_ns"]
    gap["missed_volume_shares"] = missed
    gap["open_volume_shares"] = missed
    fill(own, gap)
    return tell(own, head, note["phase"], out, count)


@kernel
def arrive(
    state: Any, symbol_id: Any, total: Any, head: Any, note: Any, out: Any, count: Any
) -> Any:
    """Book a late match that ends at `total` of the cumulative volume."""
    own = state[symbol_id]
    phase = note["phase"]
    shares = -note["missed_volume_shares"]
    for at in range(own["open_count"]):
        if own["cover_from"][at] <= total - shares and total <= own["cover_to"][at]:
            part = min(shares, own["gaps"][at]["open_volume_shares"])
            count = shrink(state, symbol_id, at, part, ARRIVED, head, phase, out, count)
            shares -= part
            break
    if shares > 0:
        count = put_in_gap_zero(state, symbol_id, shares, ARRIVED, head, phase, out, count)
    return count


@kernel
def take_back(
    state: Any, symbol_id: Any, total: Any, head: Any, note: Any, out: Any, count: Any
) -> Any:
    """Book a correction down to `total`."""
    own = state[symbol_id]
    phase = note["phase"]
    shares = -note["missed_volume_shares"]
    for at in range(own["open_count"] - 1, -1, -1):
        own["cover_to"][at] = min(own["cover_to"][at], total)
        part = min(shares, own["gaps"][at]["open_volume_shares"])
        if part > 0:
            count = shrink(state, symbol_id, at, part, RETRACTED, head, phase, out, count)
            shares -= part
    if shares > 0:
        count = put_in_gap_zero(state, symbol_id, shares, RETRACTED, head, phase, out, count)
    return count


@kernel
def book_trade(
    state: Any, symbol_id: Any, head: Any, trade: Any, note: Any, out: Any, count: Any
) -> Any:
    """Book one accepted TRADE slot."""
    today = state[symbol_id]["today"]
    event = note["event"]
    total = trade["total_volume_shares"]
    today["message_count"] += 1
    today["venue"] = head["venue"]
    today["seen_volume_shares"] += note["volume_shares"]
    if event == LATE:
        today["late_count"] += 1
        return arrive(state, symbol_id, total, head, note, out, count)
    if event == REPEAT:
        today["repeat_count"] += 1
        if total != today["total_volume_shares"]:
            return count  # it repeats an older message and tells nothing of now
    elif event == CORRECTION:
        today["correction_count"] += 1
        count = take_back(state, symbol_id, total, head, note, out, count)
    elif note["missed_volume_shares"] > 0:
        cover_to = total - note["volume_shares"]
        count = open_gap(state, symbol_id, cover_to, head, note, out, count)
    today["total_volume_shares"] = total
    today["last_exch_s"] = head["exch_s"]
    today["last_recv_ns"] = head["recv_ns"]
    return count


@kernel
def explain(
    state: Any, symbol_id: Any, head: Any, bar: Any, phase: Any, out: Any, count: Any
) -> Any:
    """Add a bar to the open gap it names by number and end; the last one closes the gap."""
    own = state[symbol_id]
    for at in range(own["open_count"]):
        gap = own["gaps"][at]
        if gap["gap_no"] == bar["gap_no"] and gap["to_exch_s"] == head["exch_s"]:
            if bar["volume_shares"] > 0:
                gap["bar_count"] += 1
                gap["bar_volume_shares"] += bar["volume_shares"]
                gap["bar_high_price_e2"] = max(gap["bar_high_price_e2"], bar["high_price_e2"])
                if gap["bar_count"] == 1 or bar["low_price_e2"] < gap["bar_low_price_e2"]:
                    gap["bar_low_price_e2"] = bar["low_price_e2"]
            if bar["bars_left"] <= 0:
                outcome = BACKFILLED if gap["bar_count"] > 0 else UNEXPLAINED
                return close(state, symbol_id, at, outcome, head, phase, out, count)
            return count
    return count


@kernel
def begin_day(state: Any, symbol_id: Any, head: Any, phase: Any, out: Any, count: Any) -> Any:
    """Close the old day's books and open blank ones."""
    own = state[symbol_id]
    while own["open_count"] > 0:
        count = close(state, symbol_id, 0, UNEXPLAINED, head, phase, out, count)
    own["before"] = own["today"]
    own["today"] = state[0]["today"]
    own["today"]["day"] = trade_day(head["exch_s"])
    return count


@kernel
def add_to_note(note: Any, out: Any, first: Any, count: Any) -> None:
    """Say in the note which gap a slot opened, or else the last it closed: out rows [first, count).

    Gap 0 is no gap that ever opened, and the gaps that a new day closed are yesterday's.
    """
    for at in range(first, count):
        row = out[at]
        if row["gap_no"] == 0:
            continue
        if row["gap_state"] == OPEN and row["missed_volume_shares"] == row["open_volume_shares"]:
            note["flags"] |= GAP_OPENED
            note["gap_no"] = row["gap_no"]
        elif row["gap_state"] == CLOSED and not note["flags"] & (GAP_OPENED | NEW_DAY):
            note["flags"] |= GAP_CLOSED
            note["gap_no"] = row["gap_no"]


@kernel
def ledger(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:  # noqa: ARG001
    """Publish every event of every gap. See ``Stage`` for the arguments.

    A slot gives at most ROWS_PER_SLOT rows. CONTROL and SYMBOL slots have a blank note and are
    of neither kind, so they pass. What happened to gaps is added to the slot's note.
    """
    count = 0
    for i in range(rows.count):
        head = rows.head[i]
        note = notes[i]
        if note["flags"] & STALE_DAY:
            continue
        symbol_id = head["symbol_id"]
        before = count
        if note["flags"] & NEW_DAY:
            count = begin_day(state, symbol_id, head, note["phase"], out, count)
        if head["kind"] == TRADE:
            count = book_trade(state, symbol_id, head, rows.trade[i], note, out, count)
        elif head["kind"] == BACKFILL:
            count = explain(state, symbol_id, head, rows.backfill[i], note["phase"], out, count)
        if count > before:
            add_to_note(note, out, before, count)
    return count


STAGE = Stage(
    "ledger",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.GAPS,
    ledger,
    "missed volume as gaps that open, shrink and close, and each symbol's books of the day",
    rows_per_slot=ROWS_PER_SLOT,
)

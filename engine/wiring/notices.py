"""What enters the tape beside frames, written as slots: feed state, reference data, backfill.

Each function returns a writer that is called when its turn in the queue has come (`Intake`), so
that symbols are interned in the order in which everything is published.
"""

import datetime as dt
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.decode.symbols import INTRODUCED, SymbolTable
from engine.feed.backfill import Answer
from engine.feed.reference import Reference, ReferenceRow
from engine.market.days import day_number
from engine.schema.codes import ControlOp, FeedState, Instrument, SlotKind, SourceType, Venue
from engine.schema.record import cut_text
from engine.schema.slots import BACKFILL, CONTROL, DETAIL_BYTES, NAME_BYTES, REFERENCE, SYMBOL

FEED_CODE = b"FEED"  # the pseudo symbol that feed states belong to; no ticker has four letters
CONTROL_KIND = int(SlotKind.CONTROL)
REFERENCE_ROWS = 1_000  # in one notice: with introductions 2,000 slots
REFERENCE_TIME_S = 8 * 3600  # reference data is stamped with 08:00 of its day, before any session

Notice = Callable[[SymbolTable, NDArray[np.void]], int]
"""Writes slots to the front of the scratch when its turn comes; returns how many."""


def feed_state(state: FeedState, detail: str, now_ns: int) -> Notice:
    """Return the notice that the feed's state changed."""
    return _control(ControlOp.FEED_STATE, now_ns, int(state), 0, detail)


def lost(frames: int, lost_bytes: int, now_ns: int) -> Notice:
    """Return the notice that frames were dropped because the backlog was full."""
    return _control(
        ControlOp.LOST, now_ns, frames, lost_bytes, f"{frames} frames dropped: backlog full"
    )


def _control(op: ControlOp, now_ns: int, arg0: int, arg1: int, detail: str) -> Notice:
    def write(symbols: SymbolTable, out: NDArray[np.void]) -> int:
        symbol_id = symbols.intern(FEED_CODE, Venue.UNKNOWN, Instrument.FEED)  # 0: no room
        at = _introduce(symbols, symbol_id, out, 0, now_ns) if symbol_id else 0
        out[at : at + 1] = np.zeros(1, out.dtype)
        slot = out.view(CONTROL)[at]
        slot["kind"], slot["recv_ns"], slot["symbol_id"] = SlotKind.CONTROL, now_ns, symbol_id
        slot["op"], slot["arg0"], slot["arg1"] = op, arg0, arg1
        slot["detail"] = cut_text(detail, DETAIL_BYTES)
        return at + 1

    return write


def reference_bites(reference: Reference) -> Iterator[tuple[ReferenceRow, ...]]:
    """Yield the rows of a day in portions that fit the scratch."""
    for at in range(0, len(reference.rows), REFERENCE_ROWS):
        yield reference.rows[at : at + REFERENCE_ROWS]


def reference(day: dt.date, rows: tuple[ReferenceRow, ...], now_ns: int) -> Notice:
    """Return the notice of what REST knows of some symbols on a trading day."""
    exch_s = day_number(day) * DAY_S - ICT_OFFSET_S + REFERENCE_TIME_S

    def write(symbols: SymbolTable, out: NDArray[np.void]) -> int:
        at = 0
        for row in rows:
            symbol_id = symbols.intern(row.code.encode("ascii"), row.venue)
            if symbol_id == 0:  # the table is full; the decoder will count who does not fit
                continue
            at = _introduce(symbols, symbol_id, out, at, now_ns)
            out[at : at + 1] = np.zeros(1, out.dtype)
            slot = out.view(REFERENCE)[at]
            slot["kind"], slot["source_type"] = SlotKind.REFERENCE, SourceType.REST
            slot["recv_ns"], slot["exch_s"], slot["symbol_id"] = now_ns, exch_s, symbol_id
            slot["venue"] = symbols.rows[symbol_id]["venue"]
            slot["ceiling_price_e2"] = row.ceiling_e2
            slot["floor_price_e2"] = row.floor_e2
            slot["reference_price_e2"] = row.reference_e2
            slot["indices"] = int(row.indices)
            slot["lot_shares"], slot["listed_shares"] = row.lot_shares, row.listed_shares
            slot["security_type"] = cut_text(row.security_type, 8)
            slot["name"] = cut_text(row.name, NAME_BYTES)
            at += 1
        return at

    return write


def backfill(answer: Answer, now_ns: int) -> Notice:
    """Return the notice of the bars REST has for a gap; one empty slot when it has none."""

    def write(symbols: SymbolTable, out: NDArray[np.void]) -> int:
        gap, bars = answer.gap, answer.bars
        count = max(len(bars), 1)
        out[:count] = np.zeros(count, out.dtype)
        slots = out.view(BACKFILL)
        for at in range(count):
            slot = slots[at]
            slot["kind"], slot["source_type"] = SlotKind.BACKFILL, SourceType.REST
            slot["recv_ns"], slot["exch_s"] = now_ns, gap.to_exch_s
            slot["symbol_id"], slot["gap_no"] = gap.symbol_id, gap.gap_no
            slot["venue"] = symbols.rows[gap.symbol_id]["venue"]
            slot["bars_left"] = count - 1 - at
            if bars:
                bar = bars[at]
                slot["minute_exch_s"] = bar.minute_exch_s
                slot["open_price_e2"], slot["high_price_e2"] = bar.open_e2, bar.high_e2
                slot["low_price_e2"], slot["close_price_e2"] = bar.low_e2, bar.close_e2
                slot["volume_shares"] = bar.volume_shares
        return count

    return write


def _introduce(
    symbols: SymbolTable, symbol_id: int, out: NDArray[np.void], at: int, now_ns: int
) -> int:
    """Write the SYMBOL slot of a symbol that needs one. Return where the next slot goes."""
    if not symbols.introduce(symbol_id):
        return at
    row = symbols.rows[symbol_id]
    out[at : at + 1] = np.zeros(1, out.dtype)
    slot = out.view(SYMBOL)[at]
    slot["kind"], slot["recv_ns"], slot["symbol_id"] = SlotKind.SYMBOL, now_ns, symbol_id
    for column in INTRODUCED:
        slot[column] = row[column]
    return at + 1

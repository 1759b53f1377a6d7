"""What the scanners of both protocols share: what they read and write, slot heads, the wrapper.

A scanner declines a frame for every spelling it does not know, and leaves it to the oracle.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.decode.dates import DATE_CACHE_CELLS, NO_HORIZON_S
from engine.decode.frames import FrameBatch
from engine.decode.numbers import DECLINED
from engine.decode.symbols import SymbolTable
from engine.jit import inlined_kernel
from engine.schema.codes import Venue
from engine.schema.slots import SLOT_BYTES

SLOT_I8, SLOT_I4 = SLOT_BYTES // 8, SLOT_BYTES // 4
_UNKNOWN_VENUE = int(Venue.UNKNOWN)

GrammarT = TypeVar("GrammarT")


class Source(NamedTuple):
    """The batch the scanner reads."""

    words: NDArray[np.void]  # WORD, element p = the eight bytes at p
    ends: NDArray[np.int64]
    recv_ns: NDArray[np.int64]


class Known(NamedTuple):
    """The symbols it can resolve."""

    cells: NDArray[np.int32]
    codes: NDArray[np.int64]
    rows: NDArray[np.void]  # SYMBOL_ROW


class Target(NamedTuple):
    """The slots it writes: one memory, four views."""

    slots: NDArray[np.void]  # SLOT
    bytes: NDArray[np.uint8]
    i4: NDArray[np.int32]
    i8: NDArray[np.int64]


class Scan(NamedTuple, Generic[GrammarT]):
    """All that a record needs and that stays the same while a batch is scanned.

    A kernel puts it together itself: Python hands it over faster in parts. An array costs seven
    words at every call, so nothing is in it that only the batch's loop needs.
    """

    words: NDArray[np.void]  # of the Source
    grammar: GrammarT
    known: Known
    target: Target
    date_cache: NDArray[np.int64]  # shape (DATE_CACHE_CELLS,)
    horizon_s: int


class Progress(NamedTuple):
    """Where a scan stopped."""

    next_frame: int  # the first frame not decoded
    slot_count: int
    messages: int
    last_exch_s: int  # of the last message, 0 if there was none


def target_over(out: NDArray[np.void]) -> Target:
    """Return the views of `out` (dtype SLOT, contiguous) a scanner writes through."""
    return Target(out, out.view(np.uint8), out.view(np.int32), out.view(np.int64))


@inlined_kernel
def clear_slots(i8: NDArray[np.int64], slot: int, count: int) -> None:
    """Set slots [slot, slot + count) to zero."""
    for i in range(slot * SLOT_I8, (slot + count) * SLOT_I8):
        i8[i] = 0


@inlined_kernel
def settled_venue(known: Known, symbol_id: int, named: int) -> int:
    """Return the venue of a message that names one, or names UNKNOWN.

    DECLINED when its symbol learns its venue: the oracle introduces it again.
    """
    listed = int(known.rows[symbol_id]["venue"])
    if named == _UNKNOWN_VENUE:
        return listed
    return DECLINED if listed == _UNKNOWN_VENUE else named


@inlined_kernel
def write_head(
    slots: NDArray[np.void],
    at: int,
    recv_ns: int,
    exch_s: int,
    symbol_id: int,
    kind: int,
    venue: int,
    session: int,
    status: int,
    source: int,
) -> None:
    """Fill the head of one slot but for its side."""
    head = slots[at]
    head["recv_ns"] = recv_ns
    head["exch_s"] = exch_s
    head["symbol_id"] = symbol_id
    head["kind"] = kind
    head["venue"] = venue
    head["session"] = session
    head["status"] = status
    head["source_type"] = source


class FrameScanner(ABC, Generic[GrammarT]):
    """A protocol's kernel with its own date cache, for one symbol table.

    Parameters
    ----------
    symbols
        Codes it has introduced are the ones it resolves.
    horizon_s
        Seconds a stamp may lie after its frame's arrival; beyond, the frame is declined.

    Attributes
    ----------
    grammar, kernel
        The protocol's own. The kernel takes a Source, the other parts of a Scan, which frames
        [first, count) to decode and the first slot to write; it returns the parts of a Progress.
    """

    grammar: GrammarT
    kernel: Callable[..., tuple[int, int, int, int]]

    def __init__(self, symbols: SymbolTable, horizon_s: int = NO_HORIZON_S) -> None:
        self._known = Known(symbols.index, symbols.codes, symbols.rows)
        self._horizon_s = horizon_s
        self._date_cache: NDArray[np.int64] = np.zeros(DATE_CACHE_CELLS, np.int64)

    @abstractmethod
    def slots_max(self, frame_bytes: int) -> int:
        """Return an upper bound for the slots a frame of this length can become."""

    def scan(self, batch: FrameBatch, first: int, target: Target, slot: int) -> Progress:
        """Decode frames from `first` into ``target.slots[slot:]`` as far as it goes.

        It stops before a frame it declines, and before one that might not fit.
        """
        done = self.kernel(
            Source(batch.words, batch.ends, batch.recv_ns),
            self.grammar,
            self._known,
            target,
            self._date_cache,
            self._horizon_s,
            first,
            batch.count,
            slot,
        )
        return Progress(*done)

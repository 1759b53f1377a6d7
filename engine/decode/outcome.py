"""What became of one frame, and how an oracle writes the slots of a message.

Shared by the oracles of both protocols, so that a slot's head means the same whoever wrote it.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.decode.numbers import BadValueError
from engine.decode.symbols import INTRODUCED, SymbolTable
from engine.schema.codes import (
    FeedSession,
    Instrument,
    Reject,
    Side,
    SlotKind,
    SourceType,
    TradingStatus,
    Venue,
)
from engine.schema.slots import SLOT, SYMBOL

_ZERO_SLOT = np.zeros(1, SLOT)[0]


@dataclass(slots=True)
class Outcome:
    """What became of one frame."""

    slot_count: int = 0
    messages: int = 0
    keepalives: int = 0
    hub_errors: int = 0
    last_exch_s: int = 0  # of the last decoded message, 0 if there was none
    rejected: list[Reject] = field(default_factory=list)  # one entry per rejected message

    def reject(self, reason: Reject) -> None:
        """Count one message, refused."""
        self.messages += 1
        self.rejected.append(reason)

    def accept(self, slot_count: int, exch_s: int) -> None:
        """Count one message, decoded."""
        self.messages += 1
        self.slot_count += slot_count
        self.last_exch_s = exch_s


@dataclass(slots=True)
class Head:
    """What a message says about all its slots."""

    source: SourceType
    recv_ns: int
    exch_s: int
    code: bytes = b""  # none: a message about no symbol
    venue: Venue = Venue.UNKNOWN
    session: FeedSession = FeedSession.NONE
    status: TradingStatus = TradingStatus.NONE
    side: Side = Side.UNKNOWN  # of the message's first slot
    symbol_id: int = 0

    def intern(self, symbols: SymbolTable, proven: Instrument | None = None) -> None:
        """Find the symbol's id, giving it one if it is new, and the venue it is known to have.

        Raises
        ------
        BadValueError
            SYMBOLS_FULL.
        """
        self.symbol_id = symbols.intern(self.code, self.venue, proven)
        if self.symbol_id == 0:
            raise BadValueError(Reject.SYMBOLS_FULL)
        if self.venue == Venue.UNKNOWN:
            self.venue = Venue(int(symbols.rows[self.symbol_id]["venue"]))

    def introduce(self, symbols: SymbolTable, out: NDArray[np.void], at: int) -> int:
        """Write the SYMBOL slot if one is due; return where the message's own slots start."""
        if not symbols.introduce(self.symbol_id):
            return at
        self._begin(out, at, SlotKind.SYMBOL)
        row, introduction = symbols.rows[self.symbol_id], out.view(SYMBOL)[at]
        for column in INTRODUCED:
            introduction[column] = row[column]
        return at + 1

    def write(self, out: NDArray[np.void], at: int, kinds: tuple[SlotKind, ...]) -> None:
        """Start the message's slots: everything zero but their heads."""
        for i, kind in enumerate(kinds):
            self._begin(out, at + i, kind)
            out[at + i]["session"], out[at + i]["status"] = self.session, self.status
        out[at]["side"] = self.side

    def _begin(self, out: NDArray[np.void], at: int, kind: SlotKind) -> None:
        out[at] = _ZERO_SLOT
        slot = out[at]
        slot["recv_ns"], slot["exch_s"] = self.recv_ns, self.exch_s
        slot["symbol_id"], slot["kind"] = self.symbol_id, kind
        slot["venue"], slot["source_type"] = self.venue, self.source

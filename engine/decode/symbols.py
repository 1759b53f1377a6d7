"""The symbol table: code <-> id, in shared memory, and a private index the scanner looks in.

One writer (ingest); anybody may read. Ids are 1, 2, 3 ... in the order codes were first seen, and
never change: the segment outlives an ingest restart.

The scanner's index holds only codes that have been introduced by a SYMBOL slot; a code it does not
find goes to the oracle, which introduces it. A run of ingest that is not told what an earlier one
introduced (`resume`: the journal's SYMBOL slots) introduces each symbol again, once.
"""

import datetime as dt
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import SchemaMismatch
from engine.jit import I64, U64, inlined_kernel
from engine.market.symbology import identify
from engine.schema import SCHEMA_U64
from engine.schema.codes import Instrument, Underlying, Venue
from engine.schema.segments import SYMBOL_ROW, SYMBOLS_HEADER
from engine.schema.slots import CODE_BYTES, SYMBOL

EPOCH: Final = dt.date(1970, 1, 1)

# What a SYMBOL slot takes over from the symbol table.
INTRODUCED = ("code", "value_multiplier", "instrument", "underlying", "expiry_day", "venue")

# What a future is written on; bond futures have no spot in the feed.
UNDERLYING_CODES: Final[dict[str | None, Underlying]] = {
    "VN30": Underlying.VN30,
    "VN100": Underlying.VN100,
    "GB05": Underlying.BOND,
    "GB10": Underlying.BOND,
}

_SPREAD = U64(0x9E3779B1)  # 2**32 / golden ratio, odd
_5, _24, _31 = (U64(bits) for bits in (5, 24, 31))
_LOW_31 = U64(0x7FFFFFFF)


def symbols_bytes(capacity: int) -> int:
    """Return the size of a table for ids below `capacity` (row 0 is unused)."""
    return SYMBOLS_HEADER.itemsize + capacity * SYMBOL_ROW.itemsize


def format_symbols(memory: NDArray[np.uint8], capacity: int) -> None:
    """Make an empty table of `memory` (uint8, at least ``symbols_bytes(capacity)`` long)."""
    assert len(memory) >= symbols_bytes(capacity), (
        f"{len(memory)} bytes, {symbols_bytes(capacity)} needed for {capacity} symbols"
    )
    memory[: symbols_bytes(capacity)] = 0
    header = memory[: SYMBOLS_HEADER.itemsize].view(SYMBOLS_HEADER)
    header["capacity"] = capacity
    header["count"] = 1
    header["schema"] = SCHEMA_U64


def restore_symbols(
    memory: NDArray[np.uint8],
    slots: NDArray[np.void],
    shard_of: Callable[[bytes, Instrument], int],
    *,
    ids_end: int = 1,
) -> None:
    """Give every symbol of a journal its old id back, in a table made by `format_symbols`.

    An id whose SYMBOL slot the journal lost stays without a code: nobody gets it again.

    Parameters
    ----------
    memory : uint8
        A formatted table without rows.
    slots : SLOT or SYMBOL, shape (n,)
        SYMBOL slots of all shards; of two with one id the later one is right.
    shard_of
        As `SymbolTable` takes it.
    ids_end
        Ids below this have been used, whether their SYMBOL slot is known or not.
    """
    told = slots.view(SYMBOL)
    header = memory[: SYMBOLS_HEADER.itemsize].view(SYMBOLS_HEADER)
    capacity = int(header["capacity"][0])
    count = int(max(told["symbol_id"].max(initial=0) + 1, ids_end))
    assert count <= capacity, f"symbol id {count - 1} in a table of {capacity}"
    rows = memory[SYMBOLS_HEADER.itemsize : symbols_bytes(capacity)].view(SYMBOL_ROW)
    for slot in told:
        row = rows[slot["symbol_id"]]
        for name in INTRODUCED:
            row[name] = slot[name]
        row["shard"] = shard_of(bytes(slot["code"]), Instrument(int(slot["instrument"])))
    header["count"] = count


@inlined_kernel
def first_cell(low: int, high: int, mask: int) -> int:
    """Return where in the index the search for a code starts."""
    mixed = U64(low) ^ (U64(high) << _5) ^ U64(high)
    return int(I64((((mixed ^ (mixed >> _31)) * _SPREAD) >> _24) & _LOW_31)) & mask


@inlined_kernel
def find_id(index: NDArray[np.int32], codes: NDArray[np.int64], low: int, high: int) -> int:
    """Return the id of an introduced code, or 0.

    Parameters
    ----------
    index : int32, shape (power of two,)
        Ids, open addressing, 0 = free. Never full: it has at least twice as many cells as codes.
    codes : int64, shape (capacity, words per row)
        The symbol rows as words; the first two are the code.
    low, high
        The code, zero-padded to 16 bytes, as two words.
    """
    mask = len(index) - 1
    at = first_cell(low, high, mask)
    while True:
        found = int(index[at])
        if found == 0 or (int(codes[found, 0]) == low and int(codes[found, 1]) == high):
            return found
        at = (at + 1) & mask


@inlined_kernel
def _place(index: NDArray[np.int32], low: int, high: int) -> int:
    """Return the first free cell for a code that is not in the index."""
    mask = len(index) - 1
    at = first_cell(low, high, mask)
    while index[at] != 0:
        at = (at + 1) & mask
    return at


class SymbolTable:
    """The table over a formatted segment.

    Parameters
    ----------
    memory : uint8
        From `format_symbols`, by this or an earlier process.
    shard_of
        ``(code, instrument) -> shard``, asked once per new code and kept in its row.

    Attributes
    ----------
    rows : NDArray[SYMBOL_ROW], shape (capacity,)
        Rows [1, count) are in use.
    index, codes
        What `find_id` takes.

    Raises
    ------
    SchemaMismatch
        The segment was formatted by another schema.
    """

    def __init__(
        self, memory: NDArray[np.uint8], shard_of: Callable[[bytes, Instrument], int]
    ) -> None:
        self._header = memory[: SYMBOLS_HEADER.itemsize].view(SYMBOLS_HEADER)
        schema = int(self._header["schema"][0])
        if schema != SCHEMA_U64:
            raise SchemaMismatch(
                f"symbol table has schema {schema:016x}, this program has "
                f"{SCHEMA_U64:016x}; delete the segment and start again"
            )
        self.capacity = int(self._header["capacity"][0])
        rows = memory[SYMBOLS_HEADER.itemsize : symbols_bytes(self.capacity)]
        self.rows: NDArray[np.void] = rows.view(SYMBOL_ROW)
        self.codes: NDArray[np.int64] = rows.view(np.int64).reshape(self.capacity, -1)
        self.index: NDArray[np.int32] = np.zeros(
            1 << max(2 * self.capacity - 1, 1).bit_length(), np.int32
        )
        self._shard_of = shard_of
        self._introduced: NDArray[np.bool_] = np.zeros(self.capacity, np.bool_)
        self._ids = {bytes(self.rows[i]["code"]): i for i in range(1, self.count)}

    @property
    def count(self) -> int:
        """Rows in use, including the unused row 0."""
        return int(self._header["count"][0])

    def find(self, code: bytes) -> int:
        """Return the id of a code, or 0."""
        return self._ids.get(code, 0)

    def intern(self, code: bytes, venue: Venue, instrument: Instrument | None = None) -> int:
        """Return the id of a code, giving it one if it is new; 0 when the table is full.

        Parameters
        ----------
        code
            1..16 bytes of [A-Z0-9._-].
        venue
            Where it is listed. A row that knew no venue takes this one.
        instrument
            When the message proves it (MI names an index, whatever its code); else the code
            decides.
        """
        symbol_id = self._ids.get(code, 0)
        if symbol_id:
            if venue != Venue.UNKNOWN and self.rows[symbol_id]["venue"] == Venue.UNKNOWN:
                self.rows[symbol_id]["venue"] = venue
                self._introduced[symbol_id] = False  # tell the shards
            return symbol_id
        symbol_id = self.count
        if symbol_id >= self.capacity:
            return 0
        identity = identify(code.decode("ascii"), venue)
        kind = identity.instrument if instrument is None else instrument
        row = self.rows[symbol_id]
        row["code"] = code
        row["value_multiplier"] = identity.value_multiplier
        row["venue"] = venue
        row["instrument"] = kind
        row["underlying"] = UNDERLYING_CODES.get(identity.underlying, Underlying.NONE)
        row["expiry_day"] = (identity.expiry - EPOCH).days if identity.expiry else 0
        row["shard"] = self._shard_of(code, kind)
        self._header["count"] = symbol_id + 1  # after the row: a reader trusts rows below count
        self._ids[code] = symbol_id
        return symbol_id

    def resume(self, introductions: NDArray[np.void]) -> int:
        """Take over what an earlier run of ingest introduced; return how many symbols that is.

        Parameters
        ----------
        introductions
            SYMBOL slots of the journal, in order. An id whose last one says what its row says
            needs none again; another one will be introduced anew.
        """
        slots = introductions.view(SYMBOL)
        newest = {int(slot["symbol_id"]): slot for slot in slots}
        for symbol_id, slot in newest.items():
            row = self.rows[symbol_id]
            if all(row[column] == slot[column] for column in INTRODUCED):
                self.introduce(symbol_id)
        return int(self._introduced.sum())

    def introduce_again(self) -> None:
        """Forget who was introduced: everybody is, once more, before their next data."""
        self._introduced[:] = False
        self.index[:] = 0

    def take_over(self, other: "SymbolTable") -> None:
        """Introduce nobody whom another table over the same segment has introduced."""
        for symbol_id in np.flatnonzero(other._introduced).tolist():
            self.introduce(symbol_id)

    def introduce(self, symbol_id: int) -> bool:
        """Return whether a SYMBOL slot is due for this id, and note that it is being written."""
        if self._introduced[symbol_id]:
            return False
        self._introduced[symbol_id] = True
        low, high = int(self.codes[symbol_id, 0]), int(self.codes[symbol_id, 1])
        if find_id(self.index, self.codes, low, high) == 0:
            self.index[_place(self.index, low, high)] = symbol_id
        return True


assert CODE_BYTES == 16, "find_id compares a code as two words"

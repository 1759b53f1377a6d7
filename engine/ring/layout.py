"""Where everything lies in a ring segment, and the one check that two sides agree on it.

    byte 0      schema u8 | capacity | slot_bytes | created_ns | first_seq   written once, F1
    byte 64     intent_seq                                                   writer's
    byte 128    write_seq                                                    writer's
    byte 192    read_seq                                                     reader's
    byte 256    parked                                                       reader's
    byte 320    slot 0 | slot 1 | ... | slot capacity - 1                    writer's

A line each, so that a store by one side does not take the other's line away. 320 is a multiple
of 64 and so is a slot, hence no slot shares a line with its neighbour.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError, SchemaMismatch
from engine.jit import kernel
from engine.ring.atomics import load_acquire, store_release
from engine.schema import SCHEMA_U64
from engine.schema.codes import SlotFlag
from engine.schema.segments import CACHE_LINE_BYTES, RING_HEADER
from engine.schema.slots import SLOT, SLOT_BYTES
from engine.segment import record_view

GROUP_SLOTS_MAX = 1024  # one frame's slots mostly fit; small against any batch and any ring
# What a lapped reader leaves between itself and the writer before it reads on: an eighth.
RESUME_MARGIN_SHIFT = 3
# In the smallest ring: one group in the making, one that a lapped reader skips to find a group's
# start, the margin,
# and one that it can read.
RING_SLOTS_MIN = 4 * GROUP_SLOTS_MAX
RING_SLOTS_MAX = 1 << 30  # 200 GB: a larger number is a mistake in a unit

CELL_BYTES = 8
HEADER_BYTES = RING_HEADER.itemsize
WORDS_PER_SLOT = SLOT_BYTES // CELL_BYTES


def _cell(field: str) -> int:
    """Return a header field's index among the header's 64-bit cells."""
    assert RING_HEADER.fields is not None
    dtype, offset = RING_HEADER.fields[field][:2]
    assert dtype.itemsize == CELL_BYTES and offset % CELL_BYTES == 0, field
    return offset // CELL_BYTES


SCHEMA_CELL = _cell("schema")
FIRST_CELL = _cell("first_seq")
INTENT_CELL = _cell("intent_seq")
WRITE_CELL = _cell("write_seq")
READ_CELL = _cell("read_seq")
PARKED_CELL = _cell("parked")

# Kernels move slots as words of eight bytes and need two facts of the slot's head.
SEQ_WORD = 0
FLAGS_WORD = 3
LAST_BIT = int(SlotFlag.LAST) << 8  # `flags` is the second byte of the word, little-endian
BITE_BIT = int(SlotFlag.BITE) << 8

assert SLOT.fields is not None
assert SLOT.fields["seq"][1] == SEQ_WORD * CELL_BYTES
assert SLOT.fields["flags"][1] == FLAGS_WORD * CELL_BYTES + 1
assert RING_SLOTS_MIN >= 3 * GROUP_SLOTS_MAX + (RING_SLOTS_MIN >> RESUME_MARGIN_SHIFT)
assert HEADER_BYTES % CACHE_LINE_BYTES == 0 and SLOT_BYTES % CACHE_LINE_BYTES == 0
assert (
    len({cell // 8 for cell in (SCHEMA_CELL, INTENT_CELL, WRITE_CELL, READ_CELL, PARKED_CELL)}) == 5
), "one cache line per cell"


@dataclass(frozen=True, slots=True)
class RingView:
    """A checked ring: the same bytes under the types the two sides need.

    Attributes
    ----------
    capacity
        Slots in the ring, a power of two.
    cells
        The header as int64, shape (HEADER_BYTES / 8,); indices are the ``*_CELL`` constants.
    words
        The slots as int64, shape (capacity, WORDS_PER_SLOT): what kernels copy.
    slots
        The slots, dtype SLOT, shape (capacity,).
    """

    capacity: int
    cells: NDArray[np.int64]
    words: NDArray[np.int64]
    slots: NDArray[np.void]

    @property
    def write_seq(self) -> int:
        """Slots published since the ring was made."""
        return int(read_cell(self.cells, WRITE_CELL))

    @property
    def read_seq(self) -> int:
        """Slots below this were taken, or skipped, by the reader."""
        return int(read_cell(self.cells, READ_CELL))

    @property
    def intent_seq(self) -> int:
        """Slots below this may be in the making; slots below it minus capacity may be gone."""
        return int(read_cell(self.cells, INTENT_CELL))

    @property
    def lag_slots(self) -> int:
        """Slots published and not yet taken by the reader; more than capacity when lapped."""
        read_seq = self.read_seq  # first: the difference can then not be negative
        return max(0, self.write_seq - read_seq)

    @property
    def parked(self) -> bool:
        """Does the reader sleep on its doorbell."""
        return bool(read_cell(self.cells, PARKED_CELL))


@kernel
def read_cell(cells: NDArray[np.int64], index: int) -> int:
    """Read one header cell with acquire order, for code outside kernels.

    PAIRS WITH whichever release store the cell has: W2 (write_seq), R3 (read_seq). For
    intent_seq and parked the value is telemetry here and orders nothing.
    """
    value: int = load_acquire(cells, index)
    return value


@kernel
def write_cell(cells: NDArray[np.int64], index: int, value: int) -> None:
    """Write one header cell with release order, for code outside kernels."""
    store_release(cells, index, value)


def ring_bytes(capacity_slots: int) -> int:
    """Return the size of a segment for a ring of `capacity_slots`.

    Raises
    ------
    ConfigError
        The capacity is not a power of two between RING_SLOTS_MIN and RING_SLOTS_MAX.
    """
    power_of_two = capacity_slots > 0 and capacity_slots & (capacity_slots - 1) == 0
    if not (power_of_two and RING_SLOTS_MIN <= capacity_slots <= RING_SLOTS_MAX):
        raise ConfigError(
            f"engine.ring_slots is {capacity_slots}: a ring needs a power of two from "
            f"{RING_SLOTS_MIN} to {RING_SLOTS_MAX}, for example {_nearest(capacity_slots)}"
        )
    return HEADER_BYTES + capacity_slots * SLOT_BYTES


def _nearest(capacity_slots: int) -> int:
    """Return the allowed capacity next above."""
    wanted = min(max(capacity_slots, RING_SLOTS_MIN), RING_SLOTS_MAX)
    return 1 << (wanted - 1).bit_length()


def format_ring(
    memory: NDArray[np.uint8], capacity: int, created_ns: int, first_seq: int = 0
) -> None:
    """Write the header of an empty ring.

    Parameters
    ----------
    memory
        A fresh segment of `ring_bytes(capacity)` bytes that nobody else has open.
    capacity
        Slots, see `ring_bytes`.
    created_ns
        UTC nanoseconds.
    first_seq
        Number of the first slot that will be published. What was before it, the journal has: to
        a reader that wants it, it looks like slots that were overwritten.
    """
    size_bytes = ring_bytes(capacity)
    assert memory.size == size_bytes, (
        f"segment has {memory.size} bytes, a ring of {capacity} slots needs {size_bytes}"
    )
    header = record_view(memory, RING_HEADER)
    header[0] = np.zeros((), dtype=RING_HEADER)
    header[0]["capacity"] = capacity
    header[0]["slot_bytes"] = SLOT_BYTES
    header[0]["created_ns"] = created_ns
    header[0]["first_seq"] = first_seq
    if first_seq:
        header[0]["intent_seq"] = first_seq + capacity
        header[0]["write_seq"] = header[0]["read_seq"] = first_seq
    # F1: the schema comes last, so that who sees it sees a whole header. PAIRS WITH F2.
    write_cell(_cells(memory), SCHEMA_CELL, _SCHEMA_CELL_VALUE)


def view_ring(memory: NDArray[np.uint8]) -> RingView:
    """Check a ring segment against this build's schema and view it; read-only memory will do.

    Raises
    ------
    SchemaMismatch
        The segment was formatted by a build with other layouts, or not at all.
    """
    if memory.size < HEADER_BYTES:
        raise SchemaMismatch(
            f"ring segment has {memory.size} bytes, its header alone needs "
            f"{HEADER_BYTES}: it is no ring of this schema"
        )
    # F2: nothing else of the header is read before its schema was. PAIRS WITH F1.
    found = int(read_cell(_cells(memory), SCHEMA_CELL)) & (2**64 - 1)
    if found != SCHEMA_U64:
        raise SchemaMismatch(
            f"ring segment has schema {found:#018x}, this build has "
            f"{SCHEMA_U64:#018x}: stop the run and let the supervisor make its "
            f"segments anew"
        )
    # Plain reads: these were written before F1 and never change.
    header = record_view(memory, RING_HEADER)
    capacity, slot_bytes = int(header[0]["capacity"]), int(header[0]["slot_bytes"])
    size_bytes = HEADER_BYTES + capacity * SLOT_BYTES
    if slot_bytes != SLOT_BYTES or memory.size != size_bytes:
        raise SchemaMismatch(
            f"ring segment has {memory.size} bytes and says {capacity} slots of {slot_bytes} "
            f"bytes; the schema says {SLOT_BYTES} bytes a slot, which makes {size_bytes}"
        )
    slots = record_view(memory, SLOT, HEADER_BYTES, capacity)
    return RingView(capacity, _cells(memory), words_of(slots), slots)


def words_of(slots: NDArray[np.void]) -> NDArray[np.int64]:
    """See slots (dtype SLOT or a view of its size, contiguous) as words; no copy."""
    assert slots.dtype.itemsize == SLOT_BYTES and slots.flags.c_contiguous and slots.ndim == 1, (
        f"{slots.ndim}-d array of {slots.dtype.itemsize}-byte records; the ring moves contiguous "
        f"slots of {SLOT_BYTES}"
    )
    words: NDArray[Any] = slots.view(np.int64).reshape(-1, WORDS_PER_SLOT)
    return words


def _cells(memory: NDArray[np.uint8]) -> NDArray[np.int64]:
    """See the header as cells."""
    return memory[:HEADER_BYTES].view(np.int64)


# The schema is a u8 and cells are int64: the same bits.
_SCHEMA_CELL_VALUE = SCHEMA_U64 - (SCHEMA_U64 >> 63 << 64)

"""The writing side: announce intent, write the slots, publish. It never waits.

There is one writer per ring. One that is restarted opens the same ring and goes on at write_seq;
a group its predecessor left half-written was never published and is overwritten.
"""

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.ring import doorbell
from engine.ring.atomics import (
    copy_row,
    fence_release,
    fence_seq_cst,
    load_acquire,
    store_release,
)
from engine.ring.layout import (
    BITE_BIT,
    FLAGS_WORD,
    GROUP_SLOTS_MAX,
    INTENT_CELL,
    LAST_BIT,
    PARKED_CELL,
    READ_CELL,
    SEQ_WORD,
    WRITE_CELL,
    read_cell,
    view_ring,
    words_of,
)


class RingWriter:
    """Publishes slots on one ring.

    Parameters
    ----------
    memory
        A formatted ring segment, writable, ``uint8``.
    doorbell_fd
        The reader's doorbell (`doorbell.new_doorbell`), or None when no reader ever parks.

    Raises
    ------
    SchemaMismatch
        The segment was made by a build with other layouts.
    """

    def __init__(self, memory: NDArray[np.uint8], doorbell_fd: int | None) -> None:
        assert memory.flags.writeable, "a ring writer needs a writable segment"
        self.ring = view_ring(memory)
        self._doorbell_fd = doorbell_fd
        self._source: NDArray[np.void] | None = None
        self._source_words = self.ring.words[:0]

    @property
    def write_seq(self) -> int:
        """Slots published since the ring was made; the next slot gets this number."""
        return self.ring.write_seq

    @property
    def free_slots(self) -> int:
        """Slots that can be published now without overwriting one the reader has not taken.

        For sources that may pace themselves on their reader (a simulator, a replay, the bench).
        A live source never looks.
        """
        # W4: the reader is done with what it released before we overwrite it. PAIRS WITH R3.
        read_seq = int(read_cell(self.ring.cells, READ_CELL))
        return self.ring.capacity - (self.ring.write_seq - read_seq)

    def stamp(self, slots: NDArray[np.void], count: int) -> NDArray[np.int64]:
        """Give the first `count` slots the numbers and marks they will be published with.

        For the journal, which has them before the ring. The last one gets SlotFlag.BITE: what is
        published at once is one bite.

        Parameters
        ----------
        slots
            As for `publish`; written.
        count
            How many of them, from the first.

        Returns
        -------
        numpy.ndarray
            int64, shape (len(slots), WORDS_PER_SLOT), the same memory.
        """
        self._look_at(slots)
        stamp_groups(self._source_words, count, self.ring.write_seq)
        return self._source_words

    def _look_at(self, slots: NDArray[np.void]) -> None:
        if slots is not self._source:
            self._source, self._source_words = slots, words_of(slots)

    def publish(self, slots: NDArray[np.void], count: int) -> None:
        """Publish the first `count` slots, cut into groups of at most GROUP_SLOTS_MAX.

        Each group becomes visible whole. `seq` and SlotFlag.LAST are set in the ring's copies;
        what stood there in `slots` is ignored and left alone. Other flags go along.

        Parameters
        ----------
        slots
            dtype SLOT or any view of it, contiguous; the caller's, free again on return.
        count
            How many of them, from the first.
        """
        self._look_at(slots)
        assert 0 <= count <= len(slots), f"publish {count} of {len(slots)} slots"
        ring = self.ring
        done = 0
        while done < count:
            done, parked = publish_groups(ring.cells, ring.words, self._source_words, done, count)
            if parked and self._doorbell_fd is not None:
                doorbell.ring(self._doorbell_fd)


@kernel
def stamp_groups(source: NDArray[np.int64], count: int, first_seq: int) -> None:
    """Set seq, LAST at the end of each group, and BITE at the end: see `publish_groups`.

    Parameters
    ----------
    source
        The caller's slots, int64 (n, WORDS_PER_SLOT); the first `count` are written.
    count
        How many.
    first_seq
        Number of the first.
    """
    for i in range(count):
        source[i, SEQ_WORD] = first_seq + i
        source[i, FLAGS_WORD] &= ~(LAST_BIT | BITE_BIT)
        if (i + 1) % GROUP_SLOTS_MAX == 0 or i + 1 == count:
            source[i, FLAGS_WORD] |= LAST_BIT
    if count:
        source[count - 1, FLAGS_WORD] |= BITE_BIT


@kernel
def publish_groups(
    cells: NDArray[np.int64],
    ring: NDArray[np.int64],
    source: NDArray[np.int64],
    first: int,
    count: int,
) -> tuple[int, bool]:
    """Publish group after group; stop early when the reader must be woken.

    Parameters
    ----------
    cells
        Ring header, int64 (HEADER_BYTES / 8,); intent_seq and write_seq are written.
    ring
        The ring's slots, int64 (capacity, WORDS_PER_SLOT); written.
    source
        The caller's slots, int64 (n, WORDS_PER_SLOT); read.
    first, count
        Publish source[first:count].

    Returns
    -------
    tuple
        How many of `count` are published now, and whether the reader was seen parked after the
        last of them.
    """
    mask = len(ring) - 1
    # Plain order would do for both: nobody else stores to these two cells.
    seq = load_acquire(cells, WRITE_CELL)
    intent = load_acquire(cells, INTENT_CELL)
    at = first
    parked = False
    while at < count and not parked:
        size = min(count - at, GROUP_SLOTS_MAX)
        # Never backwards: a predecessor may have died having announced, and spoilt, more.
        intent = max(intent, seq + size)
        # W1: the intent is seen before any slot changes. PAIRS WITH R2.
        store_release(cells, INTENT_CELL, intent)
        fence_release()
        # Plain stores: a reader either does not look yet (W2) or finds out afterwards (W1).
        for i in range(size):
            index = (seq + i) & mask
            copy_row(ring, index, source, at + i)
            ring[index, SEQ_WORD] = seq + i
            ring[index, FLAGS_WORD] = source[at + i, FLAGS_WORD] & ~LAST_BIT
        ring[(seq + size - 1) & mask, FLAGS_WORD] |= LAST_BIT
        seq += size
        at += size
        # W2: the group is whole before it is visible. PAIRS WITH R1.
        store_release(cells, WRITE_CELL, seq)
        # W3: either we see it parked, or it sees the group before it sleeps. PAIRS WITH R4.
        fence_seq_cst()
        parked = load_acquire(cells, PARKED_CELL) != 0
    return at, parked

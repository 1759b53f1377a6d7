"""The reading side: take, then check that what was taken was not being overwritten.

Taking comes first and judging second. The writer announces which slots it is about to overwrite
before it touches them, so a reader that finds its slots outside the announcement *after* reading
them has read them whole.
"""

import select
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel
from engine.ring import doorbell
from engine.ring.atomics import (
    copy_row,
    fence_acquire,
    fence_seq_cst,
    load_acquire,
    store_release,
)
from engine.ring.layout import (
    FIRST_CELL,
    FLAGS_WORD,
    GROUP_SLOTS_MAX,
    INTENT_CELL,
    LAST_BIT,
    PARKED_CELL,
    READ_CELL,
    RESUME_MARGIN_SHIFT,
    SEQ_WORD,
    WRITE_CELL,
    view_ring,
    words_of,
    write_cell,
)

Start = Literal["oldest", "live"] | int

BATCH_SLOTS_MIN = 2 * GROUP_SLOTS_MAX  # any group fits, and usually not only one
NO_DOORBELL_SLEEP_MS = 1  # without a doorbell nobody wakes us: look again this soon
GONE = -1  # `poll_held`: the next slot is not in the ring any more
WRONG = -2  # slots passed every check and carry other numbers: a bug
RESUME_TRIES = 3  # searches for a group start that the writer may overtake before we go live


class RingReader:
    """Takes slots from one ring, always a whole number of groups.

    Parameters
    ----------
    memory
        A formatted ring segment, writable (read_seq and parked are ours), ``uint8``.
    doorbell_fd
        The doorbell the writer rings, or None: `park` then looks again every millisecond.
    start
        ``"oldest"``: the first whole group still in the ring; ``"live"``: what is published from
        now on; a number: that slot, which must start a group. A number the writer has already
        overwritten counts as lapped.

    Raises
    ------
    SchemaMismatch
        The segment was made by a build with other layouts.

    Attributes
    ----------
    read_seq
        The next slot to take.
    lapped_slots
        Sequence numbers skipped since this reader was made, because the writer had overwritten
        them or was about to. Never a silent loss: ``taken + lapped_slots`` is always the
        distance from the start.
    """

    def __init__(
        self, memory: NDArray[np.uint8], doorbell_fd: int | None, start: Start = "oldest"
    ) -> None:
        assert memory.flags.writeable, "a ring reader stores read_seq: open the segment writable"
        self.memory = memory
        self.ring = view_ring(memory)
        self.lapped_slots = 0
        self.read_seq = self._start_seq(start)
        self._doorbell_fd = doorbell_fd
        self._poller = select.poll()
        self._poller_fds: tuple[int, ...] | None = None
        self._batch: NDArray[np.void] | None = None
        self._batch_words = self.ring.words[:0]
        write_cell(self.ring.cells, PARKED_CELL, 0)  # a predecessor may have died asleep
        write_cell(self.ring.cells, READ_CELL, self.read_seq)  # R3, nothing read before it

    def _start_seq(self, start: Start) -> int:
        """Turn a start into a sequence number."""
        if start == "oldest":
            return self.oldest_seq
        write_seq = self.ring.write_seq
        if start == "live":
            return write_seq
        assert 0 <= start <= write_seq, (
            f"start at slot {start!r} of a ring that has published {write_seq}"
        )
        return start

    @property
    def oldest_seq(self) -> int:
        """The start of the oldest group that is still whole in the ring."""
        return int(oldest_group(self.ring.cells, self.ring.words, 0))

    @property
    def lag_slots(self) -> int:
        """Slots published and not yet taken; more than the capacity when lapped."""
        return self.ring.write_seq - self.read_seq

    def poll(self, batch: NDArray[np.void]) -> int:
        """Copy the next whole groups into `batch`.

        Returns 0 when there is nothing new, or when the writer overtook the copy: then
        `lapped_slots` has grown and the next poll reads on from a safe place. A reader that was
        overtaken before the copy skips first and returns what it finds.

        Parameters
        ----------
        batch
            dtype SLOT, contiguous, at least BATCH_SLOTS_MIN long; the caller's. Beyond the
            returned count its content is undefined.

        Returns
        -------
        int
            Slots copied. They are consecutive, whole, and end a group.
        """
        if batch is not self._batch:
            assert len(batch) >= BATCH_SLOTS_MIN, (
                f"batch of {len(batch)} slots; whole groups need {BATCH_SLOTS_MIN}"
            )
            self._batch, self._batch_words = batch, words_of(batch)
        ring = self.ring
        start, count = take(ring.cells, ring.words, self._batch_words, self.read_seq)
        assert count >= 0, f"slots from {start} on passed every check and carry other numbers"
        self.lapped_slots += start - self.read_seq
        self.read_seq = start + count
        return int(count)

    def poll_held(self, batch: NDArray[np.void]) -> int:
        """Copy the next whole groups into `batch`, but never skip: the form for who has a journal.

        Parameters
        ----------
        batch
            As for `poll`.

        Returns
        -------
        int
            Slots copied; 0 when there is nothing new; GONE when the next slot was overwritten, or
            was being so: then nothing has moved, and the slots have to come from elsewhere.
        """
        if batch is not self._batch:
            self._batch, self._batch_words = batch, words_of(batch)
        ring = self.ring
        count = int(take_held(ring.cells, ring.words, self._batch_words, self.read_seq))
        assert count != WRONG, f"slots from {self.read_seq} on carry other numbers"
        if count > 0:
            self.read_seq += count
        return count

    def move_to(self, seq: int) -> None:
        """Go on at slot `seq`, which must start a group: what is before it came from elsewhere."""
        assert self.read_seq <= seq <= self.ring.write_seq, (
            f"move from slot {self.read_seq} to {seq} of a ring that has published "
            f"{self.ring.write_seq}"
        )
        self.read_seq = seq
        write_cell(self.ring.cells, READ_CELL, seq)  # R3, nothing of the ring read before it

    def claim(self, room_slots: int) -> tuple[int, int]:
        """Look at the next whole groups where they lie: the zero-copy form of `poll`.

        The caller reads ``ring.slots[seq & (ring.capacity - 1)]`` for seq in [first, end) from
        inside one kernel, keeps what it computes to itself, calls `confirm`, and throws its
        result away if the answer is False: until then the writer may be changing what it reads.

        Parameters
        ----------
        room_slots
            Most slots wanted, at least BATCH_SLOTS_MIN.

        Returns
        -------
        tuple
            ``(first, end)``; equal when there is nothing.
        """
        assert room_slots >= BATCH_SLOTS_MIN, (
            f"claim of {room_slots} slots; whole groups need {BATCH_SLOTS_MIN}"
        )
        start, end = find_groups(self.ring.cells, self.ring.words, self.read_seq, room_slots)
        self.lapped_slots += start - self.read_seq
        self.read_seq = start
        return int(start), int(end)

    def confirm(self, end: int) -> bool:
        """Say whether everything claimed up to `end` was read whole, and move on.

        Returns
        -------
        bool
            False: the writer overtook; `lapped_slots` has grown, forget what was read.
        """
        start, whole = finish(self.ring.cells, self.ring.words, self.read_seq, end)
        self.lapped_slots += 0 if whole else start - self.read_seq
        self.read_seq = start
        return bool(whole)

    def park(self, timeout_ms: int, extra_fds: Sequence[int] = ()) -> bool:
        """Sleep until there is something to do; may wake for nothing, never sleeps over anything.

        Parameters
        ----------
        timeout_ms
            Longest sleep, milliseconds.
        extra_fds
            Descriptors that also wake when readable (a snapshot socket, a signal pipe).

        Returns
        -------
        bool
            True when slots wait or a descriptor is readable, False when the time passed.
        """
        ring = self.ring
        if announce_parked(ring.cells, self.read_seq):
            return True
        try:
            ready = self._poll(timeout_ms, tuple(extra_fds))
        finally:
            # No order needed: a writer that still sees 1 rings once too often.
            write_cell(ring.cells, PARKED_CELL, 0)
        if self._doorbell_fd is not None and self._doorbell_fd in ready:
            doorbell.hush(self._doorbell_fd)
            ready.remove(self._doorbell_fd)
        return bool(ready) or self.lag_slots > 0

    def _poll(self, timeout_ms: int, extra_fds: tuple[int, ...]) -> list[int]:
        """Wait for the doorbell and the other descriptors; return those that are ready."""
        if extra_fds != self._poller_fds:
            self._poller, self._poller_fds = select.poll(), extra_fds
            for fd in extra_fds:
                self._poller.register(fd, select.POLLIN)
            if self._doorbell_fd is not None:
                self._poller.register(self._doorbell_fd, select.POLLIN)
        if self._doorbell_fd is None:
            timeout_ms = min(timeout_ms, NO_DOORBELL_SLEEP_MS)
        return [fd for fd, _ in self._poller.poll(timeout_ms)]


@kernel
def announce_parked(cells: NDArray[np.int64], read_seq: int) -> bool:
    """Say that the reader is about to sleep; take it back and return True if it must not."""
    store_release(cells, PARKED_CELL, 1)
    # R4: either we see the group, or the writer sees us parked and rings. PAIRS WITH W3.
    fence_seq_cst()
    if load_acquire(cells, WRITE_CELL) == read_seq:
        return False
    store_release(cells, PARKED_CELL, 0)
    return True


@kernel
def oldest_group(cells: NDArray[np.int64], ring: NDArray[np.int64], margin: int) -> int:
    """Find the first group that starts at least `margin` slots above what may be overwritten.

    In a ring nothing of which was overwritten yet that is its first slot. When the writer
    overtakes the search again and again, the answer is write_seq: always the start of a group,
    never unsafe.
    """
    capacity = len(ring)
    first: int = load_acquire(cells, FIRST_CELL)  # never changes: F2
    for _ in range(RESUME_TRIES):
        # No order needed: an old answer is found out below.
        spoilt = load_acquire(cells, INTENT_CELL) - capacity
        if spoilt <= first:
            return first
        write_seq = load_acquire(cells, WRITE_CELL)  # R1, PAIRS WITH W2
        last = spoilt + margin
        # Plain loads of flags that may be changing: judged below.
        while last < write_seq and ring[last & (capacity - 1), FLAGS_WORD] & LAST_BIT == 0:
            last += 1
        # R2: had a flag changed under us, this intent would say so. PAIRS WITH W1.
        fence_acquire()
        if load_acquire(cells, INTENT_CELL) - capacity <= last:
            start: int = min(last + 1, write_seq)
            return start
    live: int = load_acquire(cells, WRITE_CELL)
    return live


@kernel
def find_groups(
    cells: NDArray[np.int64], ring: NDArray[np.int64], read_seq: int, room: int
) -> tuple[int, int]:
    """Find the whole groups from `read_seq` on that fit in `room` slots.

    Returns ``(start, end)``; start is above `read_seq` when the reader was lapped. The end is a
    guess until `finish` confirms it, because flags may be changing while it is searched.
    """
    capacity = len(ring)
    # No order needed: this spares a copy in vain, `finish` is what judges.
    if read_seq < load_acquire(cells, INTENT_CELL) - capacity:
        # max: in a race the search may answer from before we looked, and we never go back.
        read_seq = max(read_seq, oldest_group(cells, ring, capacity >> RESUME_MARGIN_SHIFT))
    # R1: the slots below write_seq are whole before we look at them. PAIRS WITH W2.
    end = load_acquire(cells, WRITE_CELL)
    if end - read_seq > room:
        end = read_seq + room
        # Plain loads of flags that may be changing: `finish` judges the end with the slots.
        while end > read_seq and ring[(end - 1) & (capacity - 1), FLAGS_WORD] & LAST_BIT == 0:
            end -= 1
    return read_seq, end


@kernel
def finish(
    cells: NDArray[np.int64], ring: NDArray[np.int64], read_seq: int, end: int
) -> tuple[int, bool]:
    """Judge slots [read_seq, end) after they were read; release them, or skip to a safe place.

    Returns where to read next and whether the slots were whole.
    """
    capacity = len(ring)
    # R2: had a slot changed under us, this intent would say so. PAIRS WITH W1.
    fence_acquire()
    whole = load_acquire(cells, INTENT_CELL) - capacity <= read_seq
    if not whole:
        end = max(read_seq, oldest_group(cells, ring, capacity >> RESUME_MARGIN_SHIFT))
    # R3: our loads are done before a pacing writer may reuse the slots. PAIRS WITH W4.
    store_release(cells, READ_CELL, end)
    return end, whole


@kernel
def take(
    cells: NDArray[np.int64], ring: NDArray[np.int64], batch: NDArray[np.int64], read_seq: int
) -> tuple[int, int]:
    """Copy the next whole groups.

    Parameters
    ----------
    cells
        Ring header, int64 (HEADER_BYTES / 8,); read_seq is written.
    ring
        The ring's slots, int64 (capacity, WORDS_PER_SLOT); read.
    batch
        The reader's own slots, int64 (n, WORDS_PER_SLOT); written.
    read_seq
        The next slot to take.

    Returns
    -------
    tuple
        ``(start, count)``: the slots are [start, start + count), and start - read_seq were
        lapped. count is -1 if a slot that passed every check carries another number: a bug.
    """
    mask = len(ring) - 1
    start, end = find_groups(cells, ring, read_seq, len(batch))
    count = end - start
    if end == read_seq:
        return read_seq, 0
    wrong = 0
    # Plain loads: R1 made the slots whole, `finish` finds out if they did not stay so.
    for i in range(count):
        index = (start + i) & mask
        copy_row(batch, i, ring, index)
        wrong |= batch[i, SEQ_WORD] ^ (start + i)
    after, whole = finish(cells, ring, start, end)
    if not whole:
        return after, 0
    return start, count if wrong == 0 else -1


@kernel
def take_held(
    cells: NDArray[np.int64], ring: NDArray[np.int64], batch: NDArray[np.int64], read_seq: int
) -> int:
    """Copy the next whole groups, or say GONE; see `take` for the parameters.

    Unlike `take` it releases nothing that it could not copy.
    """
    capacity = len(ring)
    mask = capacity - 1
    start, end = find_groups(cells, ring, read_seq, len(batch))
    if start != read_seq:
        return GONE
    wrong = 0
    # Plain loads: R1 made the slots whole, R2 below finds out if they did not stay so.
    for i in range(end - start):
        index = (start + i) & mask
        copy_row(batch, i, ring, index)
        wrong |= batch[i, SEQ_WORD] ^ (start + i)
    # R2: had a slot changed under us, this intent would say so. PAIRS WITH W1.
    fence_acquire()
    if load_acquire(cells, INTENT_CELL) - capacity > read_seq:
        return GONE
    if wrong:
        return WRONG
    # R3: our loads are done before a pacing writer may reuse the slots. PAIRS WITH W4.
    store_release(cells, READ_CELL, end)
    return end - start

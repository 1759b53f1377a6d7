"""What a journal needs of the ring: numbers before publishing, a first number, never a skip."""

import numpy as np
import pytest

from engine.ring.layout import (
    INTENT_CELL,
    READ_CELL,
    format_ring,
    read_cell,
    ring_bytes,
    view_ring,
    write_cell,
)
from engine.ring.reader import GONE, RingReader
from engine.ring.writer import RingWriter
from engine.schema.codes import SlotFlag
from tests.ring.helpers import CAPACITY, CREATED_NS, new_batch, new_ring, slots_of

FIRST = 5_000_000


def later_ring(first_seq: int = FIRST) -> np.ndarray:
    memory = np.zeros(ring_bytes(CAPACITY), np.uint8)
    format_ring(memory, CAPACITY, CREATED_NS, first_seq)
    return memory


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 2048, 2500])
def test_stamped_slots_are_what_is_published_but_for_nothing(count: int) -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch(4096)
    ring.publish(slots_of([1, 2, 3]), 3)
    slots = slots_of(list(range(count)))
    words = ring.stamp(slots, count)
    stamped = words.copy()
    ring.publish(slots, count)
    assert reading.poll(batch) == 3 + count
    assert (words == stamped).all()
    assert batch[3 : 3 + count].tobytes() == stamped[:count].tobytes()
    assert slots["seq"].tolist() == list(range(3, 3 + count))
    ends = [i for i in range(count) if i % 1024 == 1023 or i == count - 1]
    assert np.flatnonzero(slots["flags"] & SlotFlag.LAST).tolist() == ends
    assert np.flatnonzero(slots["flags"] & SlotFlag.BITE).tolist() == [count - 1]


def test_only_the_counted_slots_are_stamped() -> None:
    ring = RingWriter(new_ring(), None)
    slots = slots_of([7, 8, 9])
    before = slots[2:].tobytes()
    ring.stamp(slots, 2)
    assert slots[2:].tobytes() == before


def test_a_ring_may_begin_with_any_number() -> None:
    memory = later_ring()
    ring, batch = RingWriter(memory, None), new_batch()
    assert ring.write_seq == FIRST
    assert ring.free_slots == CAPACITY
    reading = RingReader(memory, None)
    assert (reading.read_seq, reading.lag_slots) == (FIRST, 0)
    ring.publish(slots_of([1, 2]), 2)
    assert reading.poll(batch) == 2
    assert batch["seq"][:2].tolist() == [FIRST, FIRST + 1]


def test_what_was_before_the_ring_is_gone_not_lost() -> None:
    memory = later_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    ring.publish(slots_of([1]), 1)
    reading.read_seq = FIRST - 10
    assert reading.poll_held(batch) == GONE
    assert (reading.read_seq, reading.lapped_slots) == (FIRST - 10, 0)
    reading.move_to(FIRST)
    assert int(read_cell(view_ring(memory).cells, READ_CELL)) == FIRST
    assert reading.poll_held(batch) == 1


def test_held_polling_takes_what_polling_takes() -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    assert reading.poll_held(batch) == 0
    for first in range(0, 3000, 1000):
        ring.publish(slots_of(list(range(first, first + 1000))), 1000)
    assert reading.poll_held(batch) == 2000
    assert reading.poll_held(batch) == 1000
    assert reading.poll_held(batch) == 0
    assert int(read_cell(view_ring(memory).cells, READ_CELL)) == 3000


def test_a_lapped_reader_that_holds_does_not_move() -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    for first in range(0, CAPACITY + 1000, 1000):
        ring.publish(slots_of(list(range(first, first + 1000))), 1000)
    assert reading.poll_held(batch) == GONE
    assert (reading.read_seq, reading.lapped_slots) == (0, 0)


def test_slots_about_to_be_overwritten_are_gone_though_they_look_whole() -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    ring.publish(slots_of([1, 2, 3]), 3)
    write_cell(ring.ring.cells, INTENT_CELL, CAPACITY + 1)  # a writer that died having announced
    assert reading.poll_held(batch) == GONE


def test_nobody_moves_back_or_ahead_of_the_writer() -> None:
    memory = new_ring()
    ring, reading = RingWriter(memory, None), RingReader(memory, None)
    ring.publish(slots_of([1, 2, 3]), 3)
    reading.move_to(2)
    for seq in (1, 4):
        with pytest.raises(AssertionError, match="move from slot 2"):
            reading.move_to(seq)

"""The reading side: where it starts, what a lap costs, what it does when overtaken mid-copy."""

import os
from typing import Any

import pytest

from engine.ring import atomics, doorbell, reader
from engine.ring.layout import INTENT_CELL, PARKED_CELL, RESUME_MARGIN_SHIFT, words_of, write_cell
from engine.ring.reader import BATCH_SLOTS_MIN, RingReader
from engine.ring.writer import RingWriter
from tests.ring.helpers import CAPACITY, new_batch, new_ring, plain, slots_of, taken

MARGIN = CAPACITY >> RESUME_MARGIN_SHIFT


def publish(ring: RingWriter, count: int, group: int = 1) -> None:
    """Publish slots whose payload is their number, `group` at a time."""
    for _ in range(0, count, group):
        seq = ring.write_seq
        ring.publish(slots_of(list(range(seq, seq + group))), group)


def test_an_empty_ring_has_nothing() -> None:
    ring = RingReader(new_ring(), None)
    assert ring.poll(new_batch()) == 0
    assert (ring.read_seq, ring.lag_slots, ring.lapped_slots) == (0, 0, 0)


def test_a_poll_ends_with_a_group_even_when_more_would_fit() -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    publish(ring, 3000, group=1000)
    assert reading.poll(batch) == 2000
    assert reading.lag_slots == 1000
    assert reading.poll(batch) == 1000
    assert reading.poll(batch) == 0


def test_a_batch_without_room_for_groups_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=f"batch of {BATCH_SLOTS_MIN - 1} slots"):
        RingReader(new_ring(), None).poll(new_batch(BATCH_SLOTS_MIN - 1))
    with pytest.raises(AssertionError, match=f"claim of {BATCH_SLOTS_MIN - 1} slots"):
        RingReader(new_ring(), None).claim(BATCH_SLOTS_MIN - 1)


@pytest.mark.parametrize(
    ("published", "group", "start", "read_seq"),
    [
        (0, 1, "oldest", 0),
        (0, 1, "live", 0),
        (600, 3, "oldest", 0),
        (600, 3, "live", 600),
        (600, 3, 300, 300),
        (CAPACITY, 2, "oldest", 0),
        (CAPACITY + 8, 2, "oldest", 8 + 2),  # slot 8 may start a group, slot 9 surely ends one
        (CAPACITY + 9, 3, "oldest", 9 + 3),
        (3 * CAPACITY, 1024, "oldest", 2 * CAPACITY + 1024),
    ],
)
def test_start(published: int, group: int, start: Any, read_seq: int) -> None:
    memory = new_ring()
    ring = RingWriter(memory, None)
    publish(ring, published, group)
    reading = RingReader(memory, None, start)
    assert (reading.read_seq, reading.lapped_slots) == (read_seq, 0)
    assert reading.ring.read_seq == read_seq, "others see where it starts"
    batch = new_batch()
    assert [seq for seq, _, _ in taken(batch, reading.poll(batch))] == list(
        range(read_seq, min(ring.write_seq, read_seq + 2048 // group * group))
    )


@pytest.mark.parametrize("start", [-1, 1])
def test_a_start_that_was_never_published_is_a_bug(start: int) -> None:
    with pytest.raises(AssertionError, match=rf"start at slot {start} of a ring .* published 0"):
        RingReader(new_ring(), None, start)


def test_a_start_already_overwritten_is_lapped() -> None:
    memory = new_ring()
    publish(RingWriter(memory, None), CAPACITY + 100)
    reading, batch = RingReader(memory, None, 50), new_batch()
    first = taken(batch, reading.poll(batch))[0][0]
    assert first == 100 + MARGIN + 1
    assert reading.lapped_slots == first - 50


def test_one_slot_short_of_a_lap_loses_nothing_and_one_more_is_counted() -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    publish(ring, CAPACITY)
    assert reading.poll(batch) == 2048
    assert (reading.lapped_slots, taken(batch, 1)) == (0, [(0, 0, True)])
    publish(ring, 2048 + 1)
    seen = taken(batch, reading.poll(batch))
    assert seen[0][0] == 2049 + MARGIN + 1
    assert reading.lapped_slots == seen[0][0] - 2048


def test_slots_a_dead_writer_was_about_to_overwrite_are_skipped_at_once() -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    publish(ring, CAPACITY)
    write_cell(ring.ring.cells, INTENT_CELL, CAPACITY + 1)
    seen = taken(batch, reading.poll(batch))
    assert seen[0][0] == reading.lapped_slots == 1 + MARGIN + 1


def test_a_search_that_sees_only_spoilt_flags_goes_live() -> None:
    memory = new_ring()
    ring = RingWriter(memory, None)
    publish(ring, 2 * CAPACITY)
    ring.ring.slots["flags"] = 0
    assert reader.oldest_group(ring.ring.cells, ring.ring.words, MARGIN) == ring.write_seq


def overtaken_copy(
    monkeypatch: pytest.MonkeyPatch, reading: RingReader, batch: Any, at: int, act: Any
) -> tuple[int, int]:
    """Run the copying kernel in plain Python and call `act` before slot `at` is copied."""

    def copy_row(target: Any, to: int, source: Any, index: int) -> None:
        if to == at:
            act()
        atomics.plain_copy_row(target, to, source, index)

    with monkeypatch.context() as patches:
        patches.setattr(reader, "copy_row", copy_row)
        result: tuple[int, int] = plain(reader.take)(
            reading.ring.cells, reading.ring.words, words_of(batch), reading.read_seq
        )
        return result


@pytest.mark.parametrize("at", [0, 5, 99])
def test_a_writer_that_overtakes_the_copy_is_noticed(
    monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    memory = new_ring()
    ring, reading = RingWriter(memory, None), RingReader(memory, None)
    publish(ring, 100)
    start, count = overtaken_copy(
        monkeypatch, reading, new_batch(), at, lambda: publish(ring, CAPACITY - 99)
    )
    assert count == 0, "slots copied under the writer's hands were returned"
    assert start == 1 + MARGIN + 1


def test_a_writer_just_behind_the_copy_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = new_ring()
    ring, reading, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    publish(ring, 100)
    start, count = overtaken_copy(
        monkeypatch, reading, batch, 50, lambda: publish(ring, CAPACITY - 100)
    )
    assert (start, count) == (0, 100)
    assert [payload for _, payload, _ in taken(batch, count)] == list(range(100))


def test_a_reader_overtaken_in_every_search_goes_live(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = new_ring()
    ring = RingWriter(memory, None)
    publish(ring, 2 * CAPACITY, group=512)

    def overtake() -> None:
        publish(ring, 2 * CAPACITY, group=512)

    monkeypatch.setattr(reader, "load_acquire", atomics.plain_load)
    monkeypatch.setattr(reader, "fence_acquire", overtake)
    found = plain(reader.oldest_group)(ring.ring.cells, ring.ring.words, MARGIN)
    assert found == ring.write_seq


def test_a_slot_with_another_number_is_a_bug_not_data() -> None:
    memory = new_ring()
    ring, reading = RingWriter(memory, None), RingReader(memory, None)
    publish(ring, 10)
    reading.ring.slots[4]["seq"] = 5
    with pytest.raises(AssertionError, match="slots from 0 on passed every check"):
        reading.poll(new_batch())


def test_in_place_reading_is_the_same_slots() -> None:
    memory = new_ring()
    ring, reading = RingWriter(memory, None), RingReader(memory, None)
    publish(ring, CAPACITY - 6)
    first, end = reading.claim(CAPACITY)
    assert reading.confirm(end)
    publish(ring, 12, group=3)
    first, end = reading.claim(BATCH_SLOTS_MIN)
    assert (first, end) == (CAPACITY - 6, CAPACITY + 6)
    mask = reading.ring.capacity - 1
    assert [int(reading.ring.slots[seq & mask]["seq"]) for seq in range(first, end)] == list(
        range(first, end)
    )
    assert reading.ring.read_seq == first, "not released before it is confirmed"
    assert reading.confirm(end)
    assert reading.ring.read_seq == end
    assert reading.claim(BATCH_SLOTS_MIN) == (end, end)


def test_in_place_reading_overtaken_is_refused_and_counted() -> None:
    memory = new_ring()
    ring, reading = RingWriter(memory, None), RingReader(memory, None)
    publish(ring, 100)
    _, end = reading.claim(BATCH_SLOTS_MIN)
    publish(ring, CAPACITY)
    assert not reading.confirm(end)
    assert reading.lapped_slots == reading.read_seq == 100 + MARGIN + 1
    assert reading.claim(BATCH_SLOTS_MIN)[0] == reading.read_seq
    publish(ring, 2 * CAPACITY, group=2)
    first, _ = reading.claim(BATCH_SLOTS_MIN)
    assert reading.lapped_slots == reading.read_seq == first


def test_a_restarted_reader_continues_where_the_header_says() -> None:
    memory = new_ring()
    ring, first, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    publish(ring, 30, group=3)
    first.poll(batch)
    publish(ring, 6, group=3)
    write_cell(first.ring.cells, PARKED_CELL, 1)  # it died asleep
    second = RingReader(memory, None, start=first.ring.read_seq)
    assert not second.ring.parked
    assert [seq for seq, _, _ in taken(batch, second.poll(batch))] == list(range(30, 36))


def test_parking_with_slots_waiting_returns_at_once() -> None:
    memory = new_ring()
    publish(RingWriter(memory, None), 1)
    reading = RingReader(memory, None)
    assert reading.park(60_000)
    assert not reading.ring.parked


def test_parking_for_nothing_ends_with_the_time() -> None:
    bell = doorbell.new_doorbell()
    try:
        reading = RingReader(new_ring(), bell)
        assert not reading.park(1)
        assert not reading.ring.parked
    finally:
        os.close(bell)
    assert not RingReader(new_ring(), None).park(60_000), "without a bell it looks again soon"


def test_an_old_ring_of_the_bell_wakes_for_nothing_once() -> None:
    bell = doorbell.new_doorbell()
    try:
        reading = RingReader(new_ring(), bell)
        doorbell.ring(bell)
        assert not reading.park(60_000)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(bell)
    finally:
        os.close(bell)


def test_another_descriptor_wakes_too() -> None:
    ours, theirs = os.pipe()
    bell = doorbell.new_doorbell()
    try:
        reading = RingReader(new_ring(), bell)
        os.write(theirs, b"x")
        assert reading.park(60_000, extra_fds=[ours])
        assert reading.park(60_000, (ours,))
        assert not reading.park(1), "another set of descriptors, another poll"
    finally:
        for fd in (ours, theirs, bell):
            os.close(fd)


def test_a_group_published_while_falling_asleep_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = new_ring()
    ring, reading = RingWriter(memory, None), RingReader(memory, None)
    monkeypatch.setattr(reader, "store_release", atomics.plain_store)
    monkeypatch.setattr(reader, "load_acquire", atomics.plain_load)
    # R4: the group comes between "parked" and the look that follows it.
    monkeypatch.setattr(reader, "fence_seq_cst", lambda: publish(ring, 1))
    assert plain(reader.announce_parked)(reading.ring.cells, reading.read_seq)
    assert not reading.ring.parked

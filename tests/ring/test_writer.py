"""The writing side: the order of its stores, what a reader sees between any two, and restarts."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.ring import atomics, doorbell, writer
from engine.ring.layout import (
    GROUP_SLOTS_MAX,
    INTENT_CELL,
    PARKED_CELL,
    WRITE_CELL,
    words_of,
    write_cell,
)
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.slots import SLOT
from tests.ring.helpers import CAPACITY, new_batch, new_ring, plain, slots_of, taken

Note = Callable[[str], None]


class WatchedRows:
    """The ring's slots, telling which one is stored to and with what part of it."""

    def __init__(self, rows: Any, note: Note) -> None:
        self.rows, self.note = rows, note

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: Any) -> Any:
        return self.rows[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        self.note(f"slot {at[0] if isinstance(at, tuple) else at}")
        self.rows[at] = value


def watch(monkeypatch: pytest.MonkeyPatch, ring: RingWriter, note: Note) -> Callable[..., Any]:
    """Return the writer's kernel as plain Python that calls `note` before every step."""
    names = {INTENT_CELL: "intent", WRITE_CELL: "publish"}

    def store(cells: Any, cell: int, value: int) -> None:
        note(f"{names[cell]} {value}")
        atomics.plain_store(cells, cell, value)

    def load(cells: Any, cell: int) -> int:
        if cell == PARKED_CELL:
            note("look at parked")
        return atomics.plain_load(cells, cell)

    monkeypatch.setattr(writer, "store_release", store)
    monkeypatch.setattr(writer, "load_acquire", load)
    monkeypatch.setattr(writer, "fence_release", lambda: note("fence release"))
    monkeypatch.setattr(writer, "fence_seq_cst", lambda: note("fence seq_cst"))
    monkeypatch.setattr(writer, "copy_row", atomics.plain_copy_row)
    step = plain(writer.publish_groups)

    def publish(slots: Any) -> tuple[int, bool]:
        rows = WatchedRows(ring.ring.words, note)
        result: tuple[int, bool] = step(ring.ring.cells, rows, words_of(slots), 0, len(slots))
        return result

    return publish


def test_the_order_of_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    ring = RingWriter(new_ring(), None)
    ring.publish(slots_of([1] * 5), 5)
    publish = watch(monkeypatch, ring, log.append)
    assert publish(slots_of([7, 8])) == (2, False)
    steps = [step for i, step in enumerate(log) if i == 0 or step != log[i - 1]]
    assert steps == [
        "intent 7",
        "fence release",  # W1: the intent before any slot
        "slot 5",
        "slot 6",
        "publish 7",  # W2: every slot before it
        "fence seq_cst",  # W3
        "look at parked",
    ]


def test_each_group_is_announced_written_and_published_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    publish = watch(monkeypatch, RingWriter(new_ring(), None), log.append)
    publish(slots_of([0] * (GROUP_SLOTS_MAX + 1)))
    stores = [step for step in log if step.startswith(("intent", "publish"))]
    assert stores == ["intent 1024", "publish 1024", "intent 1025", "publish 1025"]


@pytest.mark.parametrize("before", [0, CAPACITY - 2, 3 * CAPACITY + 1])
def test_between_any_two_stores_a_reader_sees_whole_groups_only(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    memory = new_ring()
    ring = RingWriter(memory, None)
    for at in range(0, before, 7):
        ring.publish(slots_of(list(range(at, min(at + 7, before)))), min(7, before - at))
    looks: list[int] = []

    def look(_step: str) -> None:
        from_oldest = RingReader(memory, None, "oldest")
        seen = []
        while True:
            batch = new_batch()
            count = from_oldest.poll(batch)
            if not count:
                break
            seen += taken(batch, count)
        looks.append(len(seen))
        assert [seq for seq, _, _ in seen] == [payload for _, payload, _ in seen]
        if seen:
            assert seen[-1][2], "a reader saw a part of a group"
            assert seen[-1][0] in (before - 1, before + 2)

    publish = watch(monkeypatch, ring, look)
    publish(slots_of([before, before + 1, before + 2]))
    assert len(looks) > 9


@pytest.mark.parametrize("before", [0, CAPACITY - 2, 3 * CAPACITY + 1])
def test_a_writer_killed_between_any_two_stores_is_continued_by_the_next(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    class Killed(Exception):
        pass

    survived = False
    for life_steps in range(100):
        memory = new_ring()
        first = RingWriter(memory, None)
        for at in range(0, before, 1000):
            count = min(1000, before - at)
            first.publish(slots_of(list(range(at, at + count))), count)
        left = life_steps

        def die(_step: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        with monkeypatch.context() as patches:
            try:
                watch(patches, first, die)(slots_of([before, before + 1, before + 2]))
                survived = True
            except Killed:
                pass
        second = RingWriter(memory, None)
        begin = second.write_seq
        assert begin in (before, before + 3), "a part of a group was published"
        spoilt_below = max(0, second.ring.intent_seq - CAPACITY)
        second.publish(slots_of([begin]), 1)  # smaller than what the first one announced
        reader = RingReader(memory, None, "oldest")
        batch = new_batch(CAPACITY)
        seen = taken(batch, reader.poll(batch))
        assert [seq for seq, _, _ in seen] == [payload for _, payload, _ in seen]
        assert seen[-1] == (begin, begin, True)
        assert seen[0][0] >= spoilt_below, "a slot the dead writer spoilt was read"
        if survived:
            break
    assert survived


def test_the_callers_slots_are_left_alone_and_what_stood_in_seq_and_last_is_ignored() -> None:
    memory = new_ring()
    ring, reader = RingWriter(memory, None), RingReader(memory, None)
    slots = slots_of([10, 11, 12])
    kept = slots.copy()
    ring.publish(slots, 2)
    assert (slots == kept).all()
    batch = new_batch()
    assert taken(batch, reader.poll(batch)) == [(0, 10, False), (1, 11, True)]


def test_nothing_to_publish_is_no_group() -> None:
    ring = RingWriter(new_ring(), None)
    ring.publish(slots_of([]), 0)
    assert (ring.write_seq, ring.ring.intent_seq) == (0, 0)


def test_a_buffer_may_change_between_publishes_and_another_may_come() -> None:
    memory = new_ring()
    ring, reader, batch = RingWriter(memory, None), RingReader(memory, None), new_batch()
    slots = slots_of([1])
    ring.publish(slots, 1)
    slots[:] = slots_of([2])
    ring.publish(slots, 1)
    ring.publish(slots_of([3]), 1)
    assert [payload for _, payload, _ in taken(batch, reader.poll(batch))] == [1, 2, 3]


def test_more_than_the_ring_holds_is_published_and_the_rest_is_overwritten() -> None:
    memory = new_ring()
    ring, reader = RingWriter(memory, None), RingReader(memory, None)
    ring.publish(slots_of(list(range(3 * CAPACITY))), 3 * CAPACITY)
    batch = new_batch(CAPACITY)
    seen = taken(batch, reader.poll(batch))
    assert seen[-1] == (3 * CAPACITY - 1, 3 * CAPACITY - 1, True)
    assert reader.lapped_slots + len(seen) == 3 * CAPACITY


def test_free_slots_is_what_a_pacing_source_may_publish() -> None:
    memory = new_ring()
    ring, reader = RingWriter(memory, None), RingReader(memory, None)
    assert ring.free_slots == CAPACITY
    ring.publish(slots_of(list(range(CAPACITY))), CAPACITY)
    assert ring.free_slots == 0
    batch = new_batch()
    assert reader.poll(batch) == 2048
    assert ring.free_slots == 2048
    ring.publish(slots_of([0] * 2048), 2048)
    while reader.poll(batch):
        pass
    assert reader.lapped_slots == 0


@pytest.mark.parametrize(
    ("slots", "count", "words"),
    [
        (np.zeros(4, SLOT), 5, "publish 5 of 4"),
        (np.zeros(4, SLOT), -1, "publish -1 of 4"),
        (np.zeros(8, SLOT)[::2], 4, "contiguous"),
        (np.zeros(8, np.int64), 4, "8-byte records"),
    ],
    ids=["more-than-there-is", "negative", "strided", "not-slots"],
)
def test_misuse_is_a_bug_with_the_numbers(slots: Any, count: int, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        RingWriter(new_ring(), None).publish(slots, count)


def test_the_bell_rings_only_for_a_parked_reader() -> None:
    bell = doorbell.new_doorbell()
    try:
        ring = RingWriter(new_ring(), bell)
        ring.publish(slots_of([1]), 1)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(bell)
        write_cell(ring.ring.cells, PARKED_CELL, 1)
        ring.publish(slots_of([1] * (2 * GROUP_SLOTS_MAX)), 2 * GROUP_SLOTS_MAX)
        assert os.eventfd_read(bell) == 2, "once per group, at once after it"
        assert ring.write_seq == 1 + 2 * GROUP_SLOTS_MAX
    finally:
        os.close(bell)


def test_a_parked_reader_without_a_bell_holds_nobody_up() -> None:
    ring = RingWriter(new_ring(), None)
    write_cell(ring.ring.cells, PARKED_CELL, 1)
    ring.publish(slots_of([1] * (3 * GROUP_SLOTS_MAX)), 3 * GROUP_SLOTS_MAX)
    assert ring.write_seq == 3 * GROUP_SLOTS_MAX

"""The header's bytes, and the refusal of every other one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import segment
from engine.errors import ConfigError, SchemaMismatch
from engine.ring import layout
from engine.ring.layout import RING_SLOTS_MIN, format_ring, ring_bytes, view_ring
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema import SCHEMA_U64
from engine.schema.segments import RING_HEADER
from engine.schema.slots import SLOT_BYTES
from tests.ring.helpers import CAPACITY, CREATED_NS, new_batch, new_ring, slots_of


def test_the_header_is_where_the_docstring_draws_it() -> None:
    cells = (
        layout.SCHEMA_CELL,
        layout.INTENT_CELL,
        layout.WRITE_CELL,
        layout.READ_CELL,
        layout.PARKED_CELL,
    )
    assert [8 * cell for cell in cells] == [0, 64, 128, 192, 256]
    assert layout.HEADER_BYTES == 320
    header = segment.record_view(new_ring(), RING_HEADER)[0]
    assert header["schema"] == SCHEMA_U64
    assert header["capacity"] == CAPACITY
    assert header["slot_bytes"] == SLOT_BYTES
    assert header["created_ns"] == CREATED_NS


def test_size_is_header_plus_slots() -> None:
    assert ring_bytes(8192) == 320 + 8192 * 192


@pytest.mark.parametrize(
    ("capacity", "suggested"),
    [(0, 4096), (-1, 4096), (2048, 4096), (5000, 8192), (100_000, 131_072), (1 << 31, 1 << 30)],
)
def test_a_capacity_that_cannot_work_names_one_that_does(capacity: int, suggested: int) -> None:
    with pytest.raises(ConfigError, match=rf"ring_slots is {capacity}.*for example {suggested}$"):
        ring_bytes(capacity)


def test_a_segment_of_another_size_is_a_bug_of_the_supervisor() -> None:
    memory = np.zeros(ring_bytes(RING_SLOTS_MIN) - 1, np.uint8)
    with pytest.raises(AssertionError, match="needs"):
        format_ring(memory, RING_SLOTS_MIN, 0)


@pytest.mark.parametrize("side", [RingWriter, RingReader])
def test_another_schema_is_refused_naming_both(side: Any) -> None:
    memory = new_ring()
    segment.record_view(memory, RING_HEADER)[0]["schema"] = 0xDEAD
    with pytest.raises(SchemaMismatch) as refusal:
        side(memory, None)
    assert f"{0xDEAD:#018x}" in str(refusal.value)
    assert f"{SCHEMA_U64:#018x}" in str(refusal.value)


def test_a_segment_never_formatted_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="0x0000000000000000"):
        view_ring(np.zeros(ring_bytes(RING_SLOTS_MIN), np.uint8))


@pytest.mark.parametrize(("field", "value"), [("slot_bytes", 200), ("capacity", 8192)])
def test_a_header_that_does_not_fit_its_segment_is_refused(field: str, value: int) -> None:
    memory = new_ring()
    segment.record_view(memory, RING_HEADER)[0][field] = value
    with pytest.raises(SchemaMismatch, match=f"{value}"):
        view_ring(memory)


def test_a_segment_shorter_than_a_header_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match="has 64 bytes, its header alone needs 320"):
        view_ring(np.zeros(64, np.uint8))


def test_an_observer_needs_no_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    made = segment.create(path, ring_bytes(CAPACITY))
    format_ring(made.memory, CAPACITY, CREATED_NS)
    watched = view_ring(segment.open_readonly(path).memory)
    writer, reader = RingWriter(made.memory, None), RingReader(made.memory, None)
    writer.publish(slots_of([1, 2, 3]), 3)
    assert (watched.write_seq, watched.intent_seq, watched.read_seq) == (3, 3, 0)
    assert watched.lag_slots == 3
    assert not watched.parked
    reader.poll(new_batch())
    assert (watched.read_seq, watched.lag_slots) == (3, 0)


def test_both_sides_refuse_readonly_memory(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    format_ring(segment.create(path, ring_bytes(CAPACITY)).memory, CAPACITY, CREATED_NS)
    memory = segment.open_readonly(path).memory
    with pytest.raises(AssertionError, match="writable"):
        RingWriter(memory, None)
    with pytest.raises(AssertionError, match="writable"):
        RingReader(memory, None)

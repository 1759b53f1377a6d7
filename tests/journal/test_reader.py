"""Slots again: whole groups, in order; and everything that cannot be given back is told."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal import quarantine
from engine.journal.layout import HEADER_BYTES, JournalError, file_name
from engine.journal.reader import BATCH_SLOTS_MIN, JournalReader
from engine.journal.records import RECORD_BYTES, new_records, seal, words_of
from engine.schema.codes import Instrument, SlotFlag
from engine.schema.slots import SLOT
from tests.journal.faulty import FaultyDisk
from tests.journal.helpers import (
    FEED_ID,
    NOW_NS,
    SHARD,
    assert_same,
    assert_told,
    bite,
    flip,
    introduce,
    new_writer,
    offset_of,
    read_all,
    write,
)


def new_batch(count: int = BATCH_SLOTS_MIN) -> np.ndarray:
    return np.zeros(count, SLOT)


def test_reads_end_with_a_group(tmp_path: Path) -> None:
    slots = bite(0, [1000, 1000, 1000, 24])
    write(tmp_path, slots)
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch) for _ in range(3)] == [2000, 1024, 0]
    assert_same(batch[:1024], slots[2000:])


def test_a_larger_batch_may_come_at_any_time(tmp_path: Path) -> None:
    slots = bite(0, [1000] * 5)
    write(tmp_path, slots)
    reader, small, large = JournalReader(tmp_path, SHARD), new_batch(), new_batch(9000)
    assert [reader.read(small), reader.read(large), reader.read(small)] == [2000, 3000, 0]
    assert_same(np.concatenate([small[:2000], large[:3000]]), slots)


def test_a_batch_too_small_for_groups_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="whole groups need 2048"):
        JournalReader(tmp_path, SHARD).read(new_batch(2047))


def test_it_begins_where_it_is_told(tmp_path: Path) -> None:
    slots = bite(0, [3, 4, 5])
    write(tmp_path, slots)
    assert_same(read_all(tmp_path, from_seq=3)[0], slots[3:])


def test_it_never_reads_what_is_not_published(tmp_path: Path) -> None:
    slots = bite(0, [3, 4, 5])
    write(tmp_path, slots)
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch, 3), reader.read(batch, 3)] == [3, 0]
    assert [reader.read(batch, 6), reader.hole] == [0, None]  # in the middle of a group
    assert [reader.read(batch, 12), reader.next_seq] == [9, 12]


def test_it_follows_a_file_that_grows(tmp_path: Path) -> None:
    reader, batch = JournalReader(tmp_path / "later", SHARD), new_batch()
    assert reader.read(batch) == 0
    (tmp_path / "later").mkdir()
    assert reader.read(batch) == 0
    writer = new_writer(tmp_path / "later")
    assert reader.read(batch) == 0
    for seq in (0, 4, 8):
        writer.append(bite(seq, [1, 3]), 4, NOW_NS)
        assert reader.read(batch) == 4
        assert_same(batch[:4], bite(seq, [1, 3]))
        assert reader.read(batch) == 0


def test_a_group_is_not_given_before_it_is_whole(tmp_path: Path) -> None:
    slots = bite(0, [2, 3])
    path = write(tmp_path, slots)
    whole = path.read_bytes()
    for size in (*range(RECORD_BYTES + 1), *range(RECORD_BYTES * 2, RECORD_BYTES * 3, 9)):
        path.write_bytes(whole[: offset_of(2) + size])
        reader, batch = JournalReader(tmp_path, SHARD), new_batch()
        assert [reader.read(batch), reader.read(batch), reader.hole] == [2, 0, None]
        path.write_bytes(whole)
        assert reader.read(batch) == 3
        assert reader.damage == []


def test_a_file_that_goes_away_again_is_forgotten(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [2]))
    empty = tmp_path / file_name(SHARD, 2)
    empty.write_bytes((tmp_path / file_name(SHARD, 0)).read_bytes()[:HEADER_BYTES])
    flip(empty, 8)  # its header is not what matters here
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch), reader.read(batch)] == [2, 0]
    empty.unlink()
    assert [reader.read(batch), reader.read(batch)] == [0, 0]
    new_writer(tmp_path, 2).append(bite(2, [1]), 1, NOW_NS)
    assert reader.read(batch) == 1


# --- holes -------------------------------------------------------------------------------------


def test_a_hole_stops_until_it_was_seen(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [2]))
    write(tmp_path, bite(9, [3]))
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch), reader.read(batch), reader.hole] == [2, 0, (2, 9)]
    assert [reader.read(batch), reader.hole] == [0, (2, 9)]
    reader.skip_hole()
    assert [reader.read(batch), reader.hole, reader.next_seq] == [3, None, 12]
    assert_same(batch[:3], bite(9, [3]))


def test_a_hole_at_the_beginning_and_a_start_inside_one(tmp_path: Path) -> None:
    write(tmp_path, bite(9, [3]))
    assert read_all(tmp_path)[1].hole == (0, 9)
    assert read_all(tmp_path, from_seq=4)[1].hole == (4, 9)


def test_files_without_a_hole_are_one(tmp_path: Path) -> None:
    bites = [bite(0, [2]), bite(2, [3]), bite(5, [1])]
    for number, slots in enumerate(bites):  # a writer of its own would go on in the first file
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(folder, slots)
        path.rename(tmp_path / path.name)
    found, reader = read_all(tmp_path)
    assert_same(found, np.concatenate(bites))
    assert reader.hole is None


def test_a_torn_bite_in_front_of_a_hole_gives_its_whole_groups(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [2]), bite(2, [3, 3]))
    path.write_bytes(path.read_bytes()[: offset_of(7) + 11])
    write(tmp_path, bite(8, [1]))
    found, reader = read_all(tmp_path)
    assert found["seq"].tolist() == [0, 1, 2, 3, 4]
    assert reader.hole == (5, 8)


def test_what_was_published_and_is_not_there_is_a_hole(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [2]))
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch, 2), reader.read(batch, 2), reader.hole] == [2, 0, None]
    assert [reader.read(batch, 6), reader.hole] == [0, (2, 6)]
    reader.skip_hole()
    write(tmp_path, bite(9, [3]))
    assert [reader.read(batch, 12), reader.hole] == [0, (6, 9)]
    reader.skip_hole()
    assert reader.read(batch, 12) == 3


def test_a_hole_does_not_reach_beyond_what_is_published(tmp_path: Path) -> None:
    write(tmp_path, bite(9, [3]))
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch, 4), reader.hole] == [0, (0, 4)]


def test_a_file_that_grew_before_the_next_one_began_is_read_to_its_end(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path)
    writer.append(bite(0, [2]), 2, NOW_NS)
    reader, batch = JournalReader(tmp_path, SHARD, disk=disk), new_batch()
    assert reader.read(batch) == 2

    def both() -> None:
        writer.append(bite(2, [3]), 3, NOW_NS)
        writer.close()
        write(tmp_path, bite(9, [1]))

    disk.on["list"] = both
    assert [reader.read(batch), reader.hole] == [3, None]
    assert_same(batch[:3], bite(2, [3]))
    assert [reader.read(batch), reader.hole] == [0, (5, 9)]


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [0, 2, 5])
def test_a_flipped_byte_costs_one_slot(tmp_path: Path, row: int) -> None:
    slots = bite(0, [2, 1, 3])
    path = write(tmp_path, slots)
    for byte in range(RECORD_BYTES):
        flip(path, offset_of(row) + byte, 0x40)
        found, reader = read_all(tmp_path)
        flip(path, offset_of(row) + byte, 0x40)
        stamps_of = row - 1 if row else 1
        assert_told(found[row], row, stamps_of, 0, f"slot {row} of the journal is damaged")
        keep = np.arange(6) != row
        assert_same(found[keep], slots[keep])
        (damage,) = reader.damage
        assert (damage.seq, damage.file, damage.offset) == (row, path, offset_of(row))
        assert (damage.slots, reader.damaged_slots) == (1, 1)
        assert f"byte {offset_of(row)}" in str(damage)


def test_neighbours_are_one_damage(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [9]))
    for row in (2, 3, 4, 7):
        flip(path, offset_of(row))
    found, reader = read_all(tmp_path)
    assert [(damage.seq, damage.slots) for damage in reader.damage] == [(2, 3), (7, 1)]
    assert "slots 2 to 4 is wrong (600 bytes)" in str(reader.damage[0])
    assert reader.damaged_slots == 4
    for row in (2, 3, 4):
        assert_told(found[row], row, 1, 0, f"slot {row} of the journal is damaged")


def test_a_damaged_header_costs_no_slot(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [4]))
    flip(path, 33)
    found, reader = read_all(tmp_path)
    assert_same(found, bite(0, [4]))
    (damage,) = reader.damage
    assert (damage.file, damage.offset, damage.slots) == (path, 0, 0)
    assert "header" in str(damage)
    assert reader.damaged_slots == 0


def test_a_damaged_header_is_told_once(tmp_path: Path) -> None:
    flip(write(tmp_path, bite(0, [4])), 33)
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert [reader.read(batch, 4), reader.read(batch, 6), reader.hole] == [4, 0, (4, 6)]
    reader.skip_hole()
    assert reader.read(batch) == 0
    assert len(reader.damage) == 1


def test_stamps_are_never_taken_from_another_file(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [3]))
    flip(write(tmp_path, bite(9, [1, 2])), offset_of(0))
    for from_seq in (0, 9):
        found, _ = read_all(tmp_path, from_seq=from_seq, skip_holes=True)
        assert_told(found[-3], 9, 10, 0, "slot 9 of the journal is damaged")


def test_a_file_of_nothing_but_damage_has_its_own_time(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [2]))
    for row in (0, 1):
        flip(path, offset_of(row))
    found, _ = read_all(tmp_path)
    assert found["recv_ns"].tolist() == [NOW_NS, NOW_NS]
    assert found["exch_s"].tolist() == [NOW_NS // 10**9] * 2


def test_the_feeds_symbol_is_learnt_and_told(tmp_path: Path) -> None:
    slots = bite(0, [8])
    introduce(slots, 2, FEED_ID, Instrument.FEED)
    introduce(slots, 4, 3, Instrument.STOCK)
    path = write(tmp_path, slots)
    for row in (1, 3, 6):
        flip(path, offset_of(row))
    found, reader = read_all(tmp_path)
    assert found["symbol_id"][[1, 3, 6]].tolist() == [0, FEED_ID, FEED_ID]
    assert reader.feed_symbol_id == FEED_ID


def test_a_feeds_symbol_that_was_set_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [3]))
    flip(path, offset_of(1))
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    reader.feed_symbol_id = 12
    assert reader.read(batch) == 3
    assert batch["symbol_id"][1] == 12


def test_a_damaged_introduction_introduces_nobody(tmp_path: Path) -> None:
    slots = bite(0, [3])
    introduce(slots, 0, FEED_ID, Instrument.FEED)
    path = write(tmp_path, slots)
    flip(path, offset_of(0) + 100)
    found, reader = read_all(tmp_path)
    assert (found["symbol_id"][0], reader.feed_symbol_id) == (0, 0)


def test_a_batch_without_an_end_is_an_error(tmp_path: Path) -> None:
    slots = bite(0, [3000])
    path = write(tmp_path, bite(0, [1]))
    records = new_records(3000)
    seal(words_of(slots), 0, 3000, records)
    path.write_bytes(path.read_bytes()[:HEADER_BYTES] + records.tobytes())
    with pytest.raises(JournalError, match="no group ends in the 2048 slots from 0 on"):
        read_all(tmp_path)


# --- quarantine --------------------------------------------------------------------------------


def test_quarantined_slots_are_told_and_not_given(tmp_path: Path) -> None:
    slots = bite(0, [2, 3, 2])
    write(tmp_path, slots)
    quarantine.add(tmp_path, SHARD, 2, 5, "it killed two workers", NOW_NS)
    found, reader = read_all(tmp_path)
    for row in (2, 3, 4):
        assert_told(found[row], row, 1, 0, f"slot {row} is quarantined")
    assert_same(found[[0, 1, 5, 6]], slots[[0, 1, 5, 6]])
    assert (reader.quarantined_slots, reader.damaged_slots, reader.damage) == (3, 0, [])


def test_stamps_are_never_taken_from_a_quarantined_slot(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [1, 1, 1, 1]))
    quarantine.add(tmp_path, SHARD, 1, 2, "why", NOW_NS)
    flip(path, offset_of(2))
    found, _ = read_all(tmp_path, from_seq=2)
    assert_told(found[0], 2, 0, 0, "slot 2 of the journal is damaged")


def test_a_quarantine_of_today_is_seen_when_asked(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [1]), bite(1, [1]))
    reader, batch = JournalReader(tmp_path, SHARD), new_batch()
    assert reader.read(batch, 1) == 1
    quarantine.add(tmp_path, SHARD, 1, 2, "why", NOW_NS)
    reader.reload_quarantine()
    assert reader.read(batch, 2) == 1
    assert reader.quarantined_slots == 1


# --- the same slots, however they are read -------------------------------------------------------

groups = st.lists(st.integers(1, 5), min_size=1, max_size=12)


@given(groups, st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)), st.data())
def test_replacements_do_not_depend_on_where_reading_began(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    damaged: set[int],
    banned: set[int],
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("day")
    count = sum(sizes)
    slots = bite(0, sizes)
    introduce(slots, 0, FEED_ID, Instrument.FEED)
    path = write(folder, slots)
    for row in damaged:
        if row < count:
            flip(path, offset_of(row) + 77)
    for seq in banned:
        if seq < count:
            quarantine.add(folder, SHARD, seq, seq + 1, "why", NOW_NS)
    whole, reader = read_all(folder)
    assert whole["seq"].tolist() == list(range(count))
    lost = {seq for seq in damaged | banned if seq < count}
    assert reader.damaged_slots == len([seq for seq in damaged if seq < count])
    assert reader.damaged_slots + reader.quarantined_slots == len(lost)
    ends = [0, *(np.flatnonzero(whole["flags"] & SlotFlag.LAST) + 1).tolist()]
    cuts = sorted(data.draw(st.sets(st.sampled_from(ends))) | {0, count})
    parts = []
    for first, end in pairwise(cuts):
        again = JournalReader(folder, SHARD, from_seq=first)
        again.feed_symbol_id = FEED_ID if first and 0 not in lost else 0
        batch = new_batch()
        assert again.read(batch, end) == end - first
        parts.append(batch[: end - first])
    assert_same(np.concatenate(parts), whole)

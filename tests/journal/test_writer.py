"""Appending, going on, and a disk that refuses at every place it can."""

import errno
from pathlib import Path

import numpy as np
import pytest

from engine.journal.disk import REAL_DISK
from engine.journal.layout import HEADER_BYTES, JournalError, JournalPath, file_name, read_header
from engine.journal.records import RECORD_BYTES
from engine.journal.survey import survey
from engine.journal.writer import CHUNK_SLOTS, RETRY_NS
from tests.journal.faulty import FaultyDisk
from tests.journal.helpers import (
    DAY,
    EPOCH_NS,
    NOW_NS,
    SHARD,
    assert_same,
    bite,
    flip,
    new_writer,
    offset_of,
    read_all,
    write,
)

LATER_NS = NOW_NS + RETRY_NS


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    bites = [bite(0, [1]), bite(1, [3, 4]), bite(8, [CHUNK_SLOTS // 4] * 9)]
    write(tmp_path, *bites)
    found, reader = read_all(tmp_path)
    assert_same(found, np.concatenate(bites))
    assert (reader.damage, reader.hole, reader.next_seq) == ([], None, len(found))


def test_words_are_as_good_as_slots(tmp_path: Path) -> None:
    slots = bite(0, [5])
    assert new_writer(tmp_path).append(slots.view(np.int64).reshape(5, 24), 5, NOW_NS)
    assert_same(read_all(tmp_path)[0], slots)


def test_only_the_first_count_are_written_from_a_buffer_that_is_used_again(tmp_path: Path) -> None:
    writer, buffer = new_writer(tmp_path), bite(0, [8])
    buffer[:3] = bite(0, [3])
    assert writer.append(buffer, 3, NOW_NS)
    buffer[:2] = bite(3, [2])
    assert writer.append(buffer, 2, NOW_NS)
    assert writer.append(buffer, 0, NOW_NS)
    assert_same(read_all(tmp_path)[0], np.concatenate([bite(0, [3]), bite(3, [2])]))


def test_it_counts_what_it_wrote(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    writer.append(bite(0, [5]), 5, NOW_NS)
    assert (writer.next_seq, writer.slots, writer.lost_slots) == (5, 5, 0)
    assert writer.bytes == (tmp_path / file_name(SHARD, 0)).stat().st_size == offset_of(5)
    assert (writer.failing, writer.error) == (False, "")


def test_the_header_says_whose_and_when(tmp_path: Path) -> None:
    file = JournalPath(3, write(tmp_path, bite(3, [1])))
    header = read_header(REAL_DISK, file, SHARD)
    assert header is not None
    assert (header.day, header.epoch, header.first_seq, header.created_ns) == (
        DAY,
        EPOCH_NS,
        3,
        NOW_NS,
    )


def test_a_new_writer_goes_on_in_the_same_file(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [5]))
    writer = new_writer(tmp_path, 5)
    assert writer.append(bite(5, [2]), 2, NOW_NS)
    assert [path.name for path in tmp_path.iterdir()] == [file_name(SHARD, 0)]
    assert_same(read_all(tmp_path)[0], np.concatenate([bite(0, [5]), bite(5, [2])]))


def test_beyond_the_end_it_begins_a_new_file(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [5]))
    assert new_writer(tmp_path, 9).append(bite(9, [2]), 2, NOW_NS)
    assert survey(tmp_path, SHARD).holes == [(5, 9)]


def test_a_number_in_the_middle_is_refused(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [5]), bite(5, [2]))
    with pytest.raises(JournalError, match=r"whole bites up to slot 7.*go on at 5"):
        new_writer(tmp_path, 5)
    assert len(read_all(tmp_path)[0]) == 7


@pytest.mark.parametrize("extra_bytes", [1, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1])
def test_a_torn_tail_nobody_has_cut_is_cut_by_the_writer(tmp_path: Path, extra_bytes: int) -> None:
    path = write(tmp_path, bite(0, [5]), bite(5, [3]))
    path.write_bytes(path.read_bytes()[: offset_of(5) + extra_bytes])
    assert new_writer(tmp_path, 5).append(bite(5, [1], seed=9), 1, NOW_NS)
    assert_same(read_all(tmp_path)[0], np.concatenate([bite(0, [5]), bite(5, [1], seed=9)]))


def test_a_torn_tail_that_cannot_be_cut_is_not_written_behind(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [5]), bite(5, [1, 3]))
    path.write_bytes(path.read_bytes()[: offset_of(7)])
    disk = FaultyDisk()
    disk.refused, disk.error = {"truncate", "open"}, errno.EROFS
    writer = new_writer(tmp_path, 5, disk=disk)
    assert writer.failing
    assert not writer.append(bite(5, [4]), 4, LATER_NS)
    disk.refused = set()
    assert writer.append(bite(9, [2]), 2, LATER_NS + RETRY_NS)
    found, _ = read_all(tmp_path, skip_holes=True)
    assert_same(found, np.concatenate([bite(0, [5]), bite(9, [2])]))


def test_a_file_without_a_header_is_removed(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [5]))
    scrap = tmp_path / file_name(SHARD, 5)
    scrap.write_bytes(b"VNTJ")
    assert new_writer(tmp_path, 5).append(bite(5, [1]), 1, NOW_NS)
    assert not scrap.exists()
    assert len(read_all(tmp_path)[0]) == 6


@pytest.mark.parametrize("room_bytes", range(0, HEADER_BYTES + 4 * RECORD_BYTES, 61))
def test_a_disk_full_at_any_byte_costs_whole_bites_only(tmp_path: Path, room_bytes: int) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    writer.append(bite(0, [2]), 2, NOW_NS)
    disk.room_bytes = room_bytes
    assert not writer.append(bite(2, [1, 4]), 5, NOW_NS)
    assert writer.failing
    assert "No space left" in writer.error
    assert file_name(SHARD, 0) in writer.error
    assert (tmp_path / file_name(SHARD, 0)).stat().st_size == offset_of(2)
    disk.room_bytes = None
    assert not writer.append(bite(7, [1]), 1, LATER_NS - 1)  # not yet
    assert writer.append(bite(8, [3]), 3, LATER_NS)
    assert (writer.failing, writer.error) == (False, "")
    assert (writer.slots, writer.lost_slots, writer.next_seq) == (5, 6, 11)
    found = survey(tmp_path, SHARD)
    assert (found.holes, found.torn, found.damage, found.end_seq) == ([(2, 8)], None, [], 11)
    slots, _ = read_all(tmp_path, skip_holes=True)
    assert_same(slots, np.concatenate([bite(0, [2]), bite(8, [3])]))


@pytest.mark.parametrize("room_bytes", [0, 1, 63, 64, 65, 300])
def test_a_disk_full_from_the_start(tmp_path: Path, room_bytes: int) -> None:
    disk = FaultyDisk()
    disk.room_bytes = room_bytes
    writer = new_writer(tmp_path, disk=disk)
    if room_bytes < HEADER_BYTES:
        assert writer.failing  # said at once, not at the first slot
    assert not writer.append(bite(0, [9]), 9, NOW_NS)
    assert list(tmp_path.iterdir()) == []
    disk.room_bytes = None
    assert writer.append(bite(9, [1]), 1, LATER_NS)
    assert survey(tmp_path, SHARD).holes == [(0, 9)]


def test_a_disk_that_takes_small_pieces_is_fine(tmp_path: Path) -> None:
    disk = FaultyDisk()
    disk.piece_bytes = 7
    write(tmp_path, bite(0, [3]), disk=disk)
    assert_same(read_all(tmp_path)[0], bite(0, [3]))


def test_a_disk_that_takes_nothing_and_says_nothing_is_refused(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    disk.piece_bytes = 0
    assert not writer.append(bite(0, [1]), 1, NOW_NS)
    assert writer.failing


@pytest.mark.parametrize("refused", ["create", "list"])
def test_a_read_only_folder_is_told_and_tried_again(tmp_path: Path, refused: str) -> None:
    disk = FaultyDisk()
    disk.refused, disk.error = {refused}, errno.EROFS
    writer = new_writer(tmp_path, disk=disk)
    assert writer.failing
    for seq in range(3):
        assert not writer.append(bite(seq, [1]), 1, NOW_NS + seq)
    disk.refused = set()
    assert writer.append(bite(3, [1]), 1, LATER_NS)
    assert writer.lost_slots == 3
    assert survey(tmp_path, SHARD).holes == [(0, 3)]


def test_a_folder_that_could_not_be_made_when_the_day_began_is_made_later(tmp_path: Path) -> None:
    folder, disk = tmp_path / "journal" / "day", FaultyDisk()
    disk.refused, disk.error = {"make_folder"}, errno.EROFS
    writer = new_writer(folder, disk=disk)
    assert not writer.append(bite(0, [1]), 1, NOW_NS)
    assert file_name(SHARD, 0) in writer.error
    disk.refused = set()
    assert writer.append(bite(1, [2]), 2, LATER_NS)
    assert not writer.failing
    assert survey(folder, SHARD).holes == [(0, 1)]


@pytest.mark.parametrize("step_ns", [-3_600 * RETRY_NS, -RETRY_NS, RETRY_NS])
def test_a_clock_that_is_set_back_costs_no_more_than_a_second(tmp_path: Path, step_ns: int) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    disk.room_bytes = 0
    assert not writer.append(bite(0, [1]), 1, NOW_NS)
    disk.room_bytes = None
    assert not writer.append(bite(1, [1]), 1, NOW_NS - RETRY_NS + 1)
    assert writer.append(bite(2, [1]), 1, NOW_NS + step_ns)


def test_a_part_that_cannot_be_taken_back_is_cut_at_the_next_try(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    writer.append(bite(0, [2]), 2, NOW_NS)
    disk.room_bytes = 450
    disk.refused = {"truncate"}
    assert not writer.append(bite(2, [1, 1, 3]), 5, NOW_NS)
    path = tmp_path / file_name(SHARD, 0)
    assert path.stat().st_size == offset_of(2) + 450
    disk.room_bytes = None
    assert not writer.append(bite(7, [1]), 1, LATER_NS)
    disk.refused = set()
    assert writer.append(bite(8, [1]), 1, LATER_NS + RETRY_NS)
    assert path.stat().st_size == offset_of(2)
    slots, _ = read_all(tmp_path, skip_holes=True)
    assert slots["seq"].tolist() == [0, 1, 8]


def test_a_first_file_that_cannot_be_removed_is_emptied_at_the_next_try(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    disk.room_bytes = RECORD_BYTES
    disk.refused = {"remove"}
    assert not writer.append(bite(0, [1, 1]), 2, NOW_NS)  # the first of two slots is there
    disk.refused, disk.room_bytes = set(), None
    assert writer.append(bite(2, [1]), 1, LATER_NS)
    slots, _ = read_all(tmp_path, skip_holes=True)
    assert slots["seq"].tolist() == [2]
    assert survey(tmp_path, SHARD).holes == [(0, 2)]


def test_a_failed_sync_is_told_and_the_file_is_left(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk, fsync="interval")
    writer.append(bite(0, [2]), 2, NOW_NS)
    disk.refused = {"sync"}
    assert not writer.sync()
    assert writer.failing
    disk.refused = set()
    assert not writer.sync()  # what the system says now about this file means nothing
    assert writer.append(bite(2, [1]), 1, NOW_NS)
    assert writer.failing  # nothing was synced since
    assert writer.sync()
    assert not writer.failing
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        file_name(SHARD, 0),
        file_name(SHARD, 2),
    ]
    slots, _ = read_all(tmp_path)  # nothing is lost, no hole
    assert slots["seq"].tolist() == [0, 1, 2]
    assert writer.lost_slots == 0


def test_always_syncs_before_it_comes_back(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk, fsync="always")
    assert disk.calls == ["sync_folder"]
    writer.append(bite(0, [2]), 2, NOW_NS)
    writer.append(bite(2, [2]), 2, NOW_NS)
    assert disk.calls == ["sync_folder", "sync", "sync"]


def test_none_never_syncs(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk, fsync="none")
    writer.append(bite(0, [2]), 2, NOW_NS)
    writer.close()
    assert disk.calls == []


def test_nothing_new_is_synced_for_nothing(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    writer.append(bite(0, [2]), 2, NOW_NS)
    assert [writer.sync(), writer.sync()] == [True, True]
    assert disk.calls == ["sync"]


def test_what_was_lost_is_not_safe(tmp_path: Path) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    disk.room_bytes = 0
    writer.append(bite(0, [2]), 2, NOW_NS)
    assert not writer.sync()


@pytest.mark.parametrize("refused", [set[str](), {"sync"}])
@pytest.mark.parametrize("when", ["sync", "synced"])
def test_a_file_that_is_left_during_its_sync_proves_nothing(
    tmp_path: Path, refused: set[str], when: str
) -> None:
    disk = FaultyDisk()
    writer = new_writer(tmp_path, disk=disk)
    writer.append(bite(0, [2]), 2, NOW_NS)

    def other_thread() -> None:
        disk.room_bytes = 0
        assert not writer.append(bite(2, [2]), 2, NOW_NS)
        disk.room_bytes = None
        assert writer.append(bite(4, [2]), 2, LATER_NS)
        disk.refused = refused

    disk.on[when] = other_thread
    assert not writer.sync()
    assert not writer.failing
    disk.refused = set()
    assert writer.sync()


def test_a_closed_file_may_be_synced_by_the_other_thread(tmp_path: Path) -> None:
    writer = new_writer(tmp_path)
    writer.append(bite(0, [2]), 2, NOW_NS)
    writer.close()
    assert not writer.sync()
    assert not writer.failing


@pytest.mark.parametrize(
    ("first_seq", "count", "flags", "why"),
    [
        (1, 3, 3, "1, 0"),
        (0, 3, 1, "LAST and BITE"),
        (0, 3, 2, "LAST and BITE"),
    ],
)
def test_slots_that_were_not_stamped_are_a_bug(
    tmp_path: Path, first_seq: int, count: int, flags: int, why: str
) -> None:
    slots = bite(first_seq, [count])
    slots["flags"][-1] = flags
    with pytest.raises(AssertionError, match=why):
        new_writer(tmp_path).append(slots, count, NOW_NS)


def test_numbers_with_a_jump_are_a_bug(tmp_path: Path) -> None:
    slots = bite(0, [3])
    slots["seq"][2] = 3
    with pytest.raises(AssertionError, match="consecutive"):
        new_writer(tmp_path).append(slots, 3, NOW_NS)


def test_a_damaged_header_does_not_stop_the_writer(tmp_path: Path) -> None:
    flip(write(tmp_path, bite(0, [2])), 10)
    assert new_writer(tmp_path, 2).append(bite(2, [1]), 1, NOW_NS)
    assert len(read_all(tmp_path)[0]) == 3

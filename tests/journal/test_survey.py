"""What is there, proved; and the torn tail, cut at every byte."""

from pathlib import Path

import numpy as np
import pytest

from engine.journal.layout import HEADER_BYTES, file_name
from engine.journal.records import RECORD_BYTES, words_of
from engine.journal.survey import CHUNK_SLOTS, cut_tail, introduced, survey
from engine.schema.codes import Instrument
from tests.journal.helpers import (
    NOW_NS,
    SHARD,
    assert_same,
    bite,
    flip,
    introduce,
    new_writer,
    offset_of,
    read_all,
    write,
)


def test_no_folder_and_an_empty_one_have_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        found = survey(folder, SHARD)
        assert (found.first_seq, found.end_seq, found.holes, found.torn) == (0, 0, [], None)
        assert len(found.symbols) == 0
        cut_tail(found)


def test_a_whole_journal_has_no_fault(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [3, 2]), bite(5, [CHUNK_SLOTS // 5] * 11))
    found = survey(tmp_path, SHARD)
    assert (found.first_seq, found.end_seq) == (0, 5 + CHUNK_SLOTS // 5 * 11)
    assert (found.holes, found.damage, found.torn, found.scraps) == ([], [], None, [])


def test_a_tail_torn_at_any_byte_is_told_and_cut(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [1, 4]), bite(5, [2, 1]))
    whole = path.read_bytes()
    for extra_bytes in (*range(1, RECORD_BYTES + 2), 2 * RECORD_BYTES, 3 * RECORD_BYTES - 1):
        path.write_bytes(whole[: offset_of(5) + extra_bytes])
        found = survey(tmp_path, SHARD)
        assert found.end_seq == 5
        assert found.torn is not None
        assert (found.torn.file, found.torn.offset) == (path, offset_of(5))
        assert (found.torn.bytes, found.torn.slots) == (extra_bytes, extra_bytes // RECORD_BYTES)
        assert f"byte {offset_of(5)}: {extra_bytes} bytes" in str(found.torn)
        cut_tail(found)
        assert path.read_bytes() == whole[: offset_of(5)]
    assert survey(tmp_path, SHARD).torn is None
    assert new_writer(tmp_path, 5).append(bite(5, [1]), 1, NOW_NS)
    assert len(read_all(tmp_path)[0]) == 6


def test_a_first_bite_that_is_torn_leaves_an_empty_file(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [4]))
    path.write_bytes(path.read_bytes()[: offset_of(2)])
    cut_tail(survey(tmp_path, SHARD))
    assert path.stat().st_size == HEADER_BYTES
    assert survey(tmp_path, SHARD).end_seq == 0


def test_a_file_without_a_header_is_a_scrap(tmp_path: Path) -> None:
    write(tmp_path, bite(0, [4]))
    scrap = tmp_path / file_name(SHARD, 9)
    scrap.write_bytes(b"VN")
    found = survey(tmp_path, SHARD)
    assert (found.scraps, found.end_seq, found.holes) == ([scrap], 4, [])
    cut_tail(found)
    assert not scrap.exists()


def test_holes_lie_between_files_and_before_the_first(tmp_path: Path) -> None:
    write(tmp_path, bite(3, [2]))
    torn = write(tmp_path, bite(9, [1]), bite(10, [2, 3]))
    torn.write_bytes(torn.read_bytes()[: offset_of(5)])  # one slot of the last group is missing
    write(tmp_path, bite(20, [1]))
    found = survey(tmp_path, SHARD)
    assert (found.first_seq, found.end_seq) == (3, 21)
    assert found.holes == [(0, 3), (5, 9), (12, 20)]
    slots, _ = read_all(tmp_path, skip_holes=True)
    assert slots["seq"].tolist() == [3, 4, 9, 10, 11, 20]


@pytest.mark.parametrize("row", range(5))
def test_a_flipped_byte_anywhere_is_told_and_nothing_is_cut(tmp_path: Path, row: int) -> None:
    path = write(tmp_path, bite(0, [2]), bite(2, [1, 2]))
    for byte in range(0, RECORD_BYTES, 7):
        flip(path, offset_of(row) + byte)
        found = survey(tmp_path, SHARD)
        flip(path, offset_of(row) + byte)
        assert (found.end_seq, found.torn) == (5, None)
        assert [(damage.seq, damage.offset) for damage in found.damage] == [(row, offset_of(row))]


def test_damage_in_a_torn_tail_goes_with_it(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [2]), bite(2, [5]))
    path.write_bytes(path.read_bytes()[: offset_of(6)])
    flip(path, offset_of(3))
    found = survey(tmp_path, SHARD)
    assert (found.end_seq, found.damage) == (2, [])


def test_zeros_at_the_end_are_a_tail(tmp_path: Path) -> None:
    path = write(tmp_path, bite(0, [2]), bite(2, [1, 4]))
    whole = path.read_bytes()
    for kept in range(offset_of(2), offset_of(7) - 1, 33):  # pages that never reached the disk
        path.write_bytes(whole[:kept].ljust(len(whole), b"\0"))
        found = survey(tmp_path, SHARD)
        assert found.torn is not None or found.damage
        cut_tail(found)
        assert survey(tmp_path, SHARD).torn is None


@pytest.mark.parametrize("rest_bytes", [0, 3])
def test_nothing_but_zeros_is_cut_whole(tmp_path: Path, rest_bytes: int) -> None:
    path = write(tmp_path, bite(0, [2]))
    path.write_bytes(path.read_bytes() + bytes(9 * RECORD_BYTES + rest_bytes))
    found = survey(tmp_path, SHARD)
    assert found.torn is not None
    assert (found.end_seq, found.torn.slots, found.damage) == (2, 9, [])


def test_a_damaged_header_is_told(tmp_path: Path) -> None:
    flip(write(tmp_path, bite(0, [2])), 12)
    found = survey(tmp_path, SHARD)
    assert [damage.slots for damage in found.damage] == [0]
    assert found.end_seq == 2


def test_symbols_come_in_order_and_none_of_a_torn_tail(tmp_path: Path) -> None:
    first, second = bite(0, [6]), bite(6, [3])
    introduce(first, 1, 1, Instrument.STOCK)
    introduce(first, 3, 2, Instrument.INDEX)
    introduce(first, 4, 3, Instrument.STOCK)
    introduce(second, 0, 4, Instrument.STOCK)
    path = write(tmp_path, first, second)
    flip(path, offset_of(3) + 50)
    whole = survey(tmp_path, SHARD).symbols
    assert whole["symbol_id"].tolist() == [1, 3, 4]
    assert_same(whole[:2], first[[1, 4]])
    assert_same(introduced(tmp_path, SHARD, 9), whole)
    assert introduced(tmp_path, SHARD, 6)["symbol_id"].tolist() == [1, 3]
    assert introduced(tmp_path, SHARD, 1)["symbol_id"].tolist() == []
    path.write_bytes(path.read_bytes()[: offset_of(8)])
    assert survey(tmp_path, SHARD).symbols["symbol_id"].tolist() == [1, 3]


def test_a_survey_of_many_chunks_agrees_with_a_reader(tmp_path: Path) -> None:
    slots = bite(0, [100] * 101)
    for row in (CHUNK_SLOTS - 1, CHUNK_SLOTS, 2 * CHUNK_SLOTS + 5):
        introduce(slots, row, row, Instrument.STOCK)
    path = write(tmp_path, slots)
    for row in (CHUNK_SLOTS - 2, CHUNK_SLOTS + 1, len(slots) - 1):
        flip(path, offset_of(row))
    found = survey(tmp_path, SHARD)
    read, reader = read_all(tmp_path)
    assert found.end_seq == len(read) == len(slots)
    assert [damage.seq for damage in found.damage] == [damage.seq for damage in reader.damage]
    assert np.array_equal(found.symbols["seq"], slots["seq"][slots["kind"] == 8])
    assert words_of(found.symbols).shape == (3, 24)

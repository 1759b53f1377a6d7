"""The checksum against a twin in plain integers, and the kernels against plain loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.journal.records import (
    RECORD_WORDS,
    SLOT_WORDS,
    checksum,
    find_symbols,
    inspect,
    new_records,
    open_records,
    seal,
    whole_groups,
    words_of,
)
from engine.schema.codes import Instrument, SlotFlag, SlotKind
from tests.journal.helpers import bite, introduce

ALL = 2**64 - 1
ODD = 0xD6E82B4F1C93A57B
SEEDS = (0x76746170652D6A31, 0x1F83D9AB53C706E5, 0xA4C162E98B705D3F, 0x3B97E40DC6A81259)
words = st.lists(st.integers(0, ALL), min_size=24, max_size=24)


def stir(state: int, word: int) -> int:
    mixed = (state ^ word) * ODD % 2**64
    return mixed ^ (mixed >> 29)


def naive_checksum(slot: list[int]) -> int:
    lanes = list(SEEDS)
    for i, word in enumerate(slot):
        lanes[i % 4] = stir(lanes[i % 4], word)
    total = lanes[0]
    for lane in lanes[1:]:
        total = stir(total, lane)
    return total


def sum_of(slot: list[int]) -> int:
    return int(checksum(np.array([slot], np.uint64), 0))


def sealed(slots: NDArray[np.void]) -> NDArray[np.uint64]:
    records = new_records(len(slots))
    seal(words_of(slots), 0, len(slots), records)
    return records


@given(words)
def test_the_checksum_is_its_twins(slot: list[int]) -> None:
    assert sum_of(slot) == naive_checksum(slot)


def test_the_checksum_of_files_that_exist_does_not_change() -> None:
    assert sum_of(list(range(24))) == 0x43D6_051D_B1CE_86AE


@given(words, st.integers(0, 23), st.integers(1, ALL))
def test_any_change_of_one_word_is_noticed(slot: list[int], at: int, change: int) -> None:
    other = list(slot)
    other[at] ^= change
    assert sum_of(slot) != sum_of(other)


@given(words, st.integers(0, 23), st.integers(0, 23))
def test_words_that_change_places_are_noticed(slot: list[int], one: int, two: int) -> None:
    other = list(slot)
    other[one], other[two] = slot[two], slot[one]
    assert (sum_of(slot) == sum_of(other)) == (slot == other)


def test_every_bit_of_a_record_matters() -> None:
    slots = bite(5, [1])
    good = sealed(slots)
    back, bad = slots.copy(), np.zeros(1, np.int64)
    for bit in range(64 * RECORD_WORDS):
        spoilt = good.copy()
        spoilt[0, bit // 64] ^= np.uint64(1 << bit % 64)
        assert open_records(spoilt, 1, 5, words_of(back), bad) == 1, f"bit {bit}"


def test_zeros_are_no_record() -> None:
    slots = bite(0, [1])
    assert open_records(new_records(1), 1, 0, words_of(slots), np.zeros(1, np.int64)) == 1


def test_slots_come_back_as_they_were() -> None:
    slots = bite(1_000, [3, 1, 5])
    records, back, bad = sealed(slots), np.zeros_like(slots), np.full(9, -1)
    assert open_records(records, 9, 1_000, words_of(back), bad) == 0
    assert np.array_equal(words_of(back), words_of(slots))


def test_sealing_a_part_begins_at_row_0() -> None:
    slots = bite(0, [5])
    records = new_records(2)
    seal(words_of(slots), 3, 2, records)
    assert np.array_equal(records, sealed(slots)[3:])


def test_bad_ones_are_named_and_the_others_kept() -> None:
    slots = bite(10, [6])
    records, back, bad = sealed(slots), np.zeros_like(slots), np.full(6, -1)
    records[1, 7] ^= np.uint64(4)
    records[4, 24] ^= np.uint64(1 << 63)
    assert open_records(records, 6, 10, words_of(back), bad) == 2
    assert bad[:2].tolist() == [1, 4]
    assert words_of(back)[[0, 2, 3, 5]].tolist() == words_of(slots)[[0, 2, 3, 5]].tolist()


def test_a_whole_slot_in_the_wrong_place_is_bad() -> None:
    slots = bite(10, [2])
    bad = np.zeros(2, np.int64)
    assert open_records(sealed(slots), 2, 11, words_of(slots.copy()), bad) == 2


@given(st.lists(st.integers(0, 3), max_size=8), st.data())
def test_groups_are_cut_at_the_last_last(flags: list[int], data: Any) -> None:
    slots = bite(0, [8])
    slots["flags"][: len(flags)] = flags
    count = data.draw(st.integers(0, len(flags)))
    ends = [i + 1 for i, flag in enumerate(flags[:count]) if flag & SlotFlag.LAST]
    assert whole_groups(words_of(slots), count) == max(ends, default=0)


kinds = st.sampled_from([SlotKind.TRADE, SlotKind.QUOTE, SlotKind.SYMBOL, SlotKind.CONTROL])
states = st.sampled_from(["good", "good", "good", "flipped", "zero", "elsewhere"])


@given(st.lists(st.tuples(kinds, st.integers(0, 3), states), max_size=12))
def test_an_inspection_is_a_plain_loop(rows: list[tuple[int, int, str]]) -> None:
    slots = bite(50, [max(1, len(rows))])
    for i, (kind, flags, state) in enumerate(rows):
        slots["kind"][i], slots["flags"][i] = kind, flags
        slots["seq"][i] += state == "elsewhere"
    records = sealed(slots)
    for i, (_, _, state) in enumerate(rows):
        if state == "flipped":
            records[i, i % SLOT_WORDS] ^= np.uint64(1 << 40)
        elif state == "zero":
            records[i] = 0
    good = [state == "good" for _, _, state in rows]

    def ends(wanted: list[bool]) -> int:
        return max((i + 1 for i, yes in enumerate(wanted) if yes), default=0)

    bad, symbols = np.full(12, -1), np.full(12, -1)
    bad_count, symbol_count, group_end, bite_end, solid_end = inspect(
        records, len(rows), 50, bad, symbols
    )
    assert bad[:bad_count].tolist() == [i for i, yes in enumerate(good) if not yes]
    assert symbols[:symbol_count].tolist() == [
        i for i, row in enumerate(rows) if row[0] == SlotKind.SYMBOL and good[i]
    ]
    assert group_end == ends(
        [not ok or bool(row[1] & 1) for ok, row in zip(good, rows, strict=True)]
    )
    assert bite_end == ends([ok and bool(row[1] & 2) for ok, row in zip(good, rows, strict=True)])
    assert solid_end == ends([row[2] != "zero" for row in rows])


def test_symbols_are_found_and_proved_alone() -> None:
    slots = bite(0, [6])
    for row in (0, 2, 5):
        introduce(slots, row, row + 1, Instrument.STOCK)
    records, found = sealed(slots), np.full(6, -1)
    records[2, 9] ^= np.uint64(1)
    records[3, 9] ^= np.uint64(1)  # no symbol: nobody looks
    assert find_symbols(records, 6, found) == 2
    assert found[:2].tolist() == [0, 5]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_nothing(count: int) -> None:
    assert whole_groups(words_of(bite(0, [1])), count) == count

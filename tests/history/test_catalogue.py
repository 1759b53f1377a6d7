"""Commit records: packed and read again, whichever byte is damaged."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.history.catalogue import (
    Catalogue,
    Commit,
    Damage,
    File,
    commit_folder,
    end_of_chain,
    pack,
    unpack,
)
from engine.market.days import day_text, parse_day
from tests.history.days import DAY

FILE = File("trades", "trades/day=2026-11-20/a.parquet", 3, 99, (1, 2), ("symbol", "seq"), 5, 6)
COMMIT = Commit("a", DAY, 0, {0: (0, 10), 3: (5, 7)}, (FILE,), ("b", "c"))


def test_days_have_one_name():
    assert day_text(DAY) == "2026-11-20"
    assert parse_day("2026-11-20") == DAY
    assert [parse_day(text) for text in ("2026-11", "spill", "", "2026-13-01")] == [None] * 4


def test_a_record_says_what_was_packed():
    assert unpack(pack(COMMIT)) == COMMIT


def test_any_flipped_byte_costs_nothing():
    data = pack(COMMIT)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        assert unpack(bytes(damaged)) == COMMIT, place


def test_any_cut_leaves_all_or_nothing():
    data = pack(COMMIT)
    assert {unpack(data[:length]) == COMMIT for length in range(len(data))} == {True, False}
    assert all(unpack(data[:length]) in (COMMIT, None) for length in range(len(data)))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=8))
def test_the_chain_ends_at_the_first_slot_nobody_has(pairs):
    ranges = [(first, first + length) for first, length in pairs]
    held = {slot for first, last in ranges for slot in range(first, last)}
    expected = next(slot for slot in range(100) if slot not in held)
    assert end_of_chain(ranges) == expected


def written(root, *commits, damaged=()):
    folder = commit_folder(root, DAY)
    folder.mkdir(parents=True, exist_ok=True)
    for commit in commits:
        (folder / f"{commit.name}.json").write_bytes(pack(commit))
    for name in damaged:
        (folder / f"{name}.json").write_bytes(b"00000000 {}\n" * 2)
    return Catalogue(root)


def test_replaced_commits_do_not_count(tmp_path):
    old = [Commit(name, DAY, 0, {0: seqs}, ()) for name, seqs in (("b", (0, 5)), ("d", (10, 12)))]
    merged = Commit("m", DAY, 1, {0: (0, 10)}, (), ("b", "c"))
    listing = written(tmp_path, *old, merged).read()
    assert [commit.name for commit in listing.commits] == ["m", "d"]
    assert [commit.name for commit in listing.replaced] == ["b"]
    assert listing.committed_seq(DAY, 0) == 12
    assert listing.committed_seq(DAY, 1) == listing.committed_seq(DAY + 1, 0) == 0


def test_a_record_that_cannot_be_read_is_told_unless_it_is_replaced(tmp_path):
    catalogue = written(tmp_path, Commit("a", DAY, 0, {0: (0, 5)}, ()), damaged=("x", "y"))
    listing = catalogue.read()
    assert listing.damaged_names == ["x", "y"]
    assert all("both copies are damaged" in str(damage) for damage in listing.damage)
    written(tmp_path, Commit("b", DAY, 0, {0: (5, 6)}, (), ("x",)))
    assert catalogue.read().damaged_names == ["y"]


def test_a_changed_record_is_read_again(tmp_path):
    commit = Commit("a", DAY, 0, {0: (0, 5)}, ())
    catalogue = written(tmp_path, commit)
    assert catalogue.read().committed_seq(DAY, 0) == 5
    written(tmp_path, replace(commit, seqs={0: (0, 12_345)}))
    assert catalogue.read().committed_seq(DAY, 0) == 12_345


def test_nothing_is_no_error(tmp_path):
    assert Catalogue(tmp_path / "none").read().commits == ()
    assert Catalogue(tmp_path / "none").days() == []


@pytest.mark.parametrize("offset", [0, 7])
def test_damage_says_where(offset, tmp_path):
    assert str(Damage(tmp_path / "f", offset, "why")) == f"{tmp_path}/f, byte {offset}: why"

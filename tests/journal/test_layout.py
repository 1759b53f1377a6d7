"""Names and heads: what they say, and the refusal of every other one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.ring.layout
from engine.errors import SchemaMismatch
from engine.journal import layout
from engine.journal.disk import REAL_DISK
from engine.journal.layout import (
    HEADER_BYTES,
    Header,
    JournalError,
    JournalPath,
    all_files,
    file_name,
    journal_files,
    pack_header,
    parse_file_name,
    read_header,
    slots_in,
)
from engine.schema import SCHEMA_U64
from engine.schema.journal import JOURNAL_HEADER
from tests.journal.helpers import flip

HEADER = Header(shard=3, day=20_777, epoch=-5, first_seq=1_234, created_ns=99)


def written(folder: Path, header: Header = HEADER, *, name: str = "") -> JournalPath:
    path = folder / (name or file_name(header.shard, header.first_seq))
    path.write_bytes(pack_header(header))
    parsed = parse_file_name(path.name)
    assert parsed is not None
    return JournalPath(parsed[1], path)


def test_groups_are_the_rings() -> None:
    assert layout.GROUP_SLOTS_MAX == engine.ring.layout.GROUP_SLOTS_MAX


@given(st.integers(0, 999), st.integers(0, 2**62))
def test_a_name_says_shard_and_first_slot(shard: int, first_seq: int) -> None:
    assert parse_file_name(file_name(shard, first_seq)) == (shard, first_seq)


def test_a_name_looks_like_this() -> None:
    assert file_name(0, 42) == "shard-0.000000000042.vnj"


@pytest.mark.parametrize(
    "name",
    ["about.json", "shard-0.42.vnj", "shard-0.000000000042.vnj.new", "shard-x.000000000042.vnj"],
)
def test_other_names_are_nothing(name: str) -> None:
    assert parse_file_name(name) is None


def test_slots_lie_one_behind_the_other() -> None:
    file = JournalPath(100, Path("x"))
    assert (file.offset(100), file.offset(101), file.offset(110)) == (64, 264, 2064)
    assert [slots_in(size) for size in (0, 64, 263, 264, 464)] == [0, 0, 0, 1, 2]


def test_files_are_listed_in_order_and_by_shard(tmp_path: Path) -> None:
    for shard, first_seq in ((3, 70), (3, 5), (13, 1), (3, 600)):
        written(tmp_path, Header(shard, 1, 1, first_seq, 1))
    (tmp_path / file_name(3, 800)).write_bytes(bytes(HEADER_BYTES - 1))  # just being made
    (tmp_path / "about.json").write_text("{}")
    assert [file.first_seq for file in journal_files(REAL_DISK, tmp_path, 3)] == [5, 70, 600]
    assert [file.first_seq for file in all_files(REAL_DISK, tmp_path, 3)] == [5, 70, 600, 800]
    assert journal_files(REAL_DISK, tmp_path / "none", 3) == []


def test_a_header_says_what_was_put_in(tmp_path: Path) -> None:
    assert read_header(REAL_DISK, written(tmp_path), 3) == HEADER


def test_every_byte_of_a_header_is_proved(tmp_path: Path) -> None:
    file = written(tmp_path)
    for offset in range(HEADER_BYTES):
        flip(file.path, offset, 0x10)
        assert read_header(REAL_DISK, file, 3) is None, f"byte {offset}"
        flip(file.path, offset, 0x10)
    assert read_header(REAL_DISK, file, 3) == HEADER


def test_another_schema_is_refused_naming_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SCHEMA_U64", 0xBEEF)
    file = written(tmp_path)
    monkeypatch.setattr(layout, "SCHEMA_U64", SCHEMA_U64)
    with pytest.raises(SchemaMismatch) as refusal:
        read_header(REAL_DISK, file, 3)
    assert f"{0xBEEF:#018x}" in str(refusal.value)
    assert f"{SCHEMA_U64:#018x}" in str(refusal.value)


@pytest.mark.parametrize("name", [file_name(3, 1_235), file_name(2, 1_234)])
def test_a_renamed_file_is_refused_with_its_right_name(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, name=name)
    shard = int(name[6])
    with pytest.raises(JournalError, match=r"shard-3\.000000001234\.vnj"):
        read_header(REAL_DISK, file, shard)


def test_the_header_fills_its_64_bytes() -> None:
    assert len(pack_header(HEADER)) == HEADER_BYTES == 64
    assert np.frombuffer(pack_header(HEADER), JOURNAL_HEADER)["magic"][0] == b"VNTJRNL1"

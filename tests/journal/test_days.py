"""Which day a moment belongs to, what a day says of itself, and how long it stays."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal.days import (
    About,
    day_folder,
    day_start_ns,
    journal_day,
    journal_root,
    list_days,
    read_about,
    sweep,
    write_about,
)
from engine.journal.layout import JournalError
from engine.market.days import day_text, parse_day
from tests.journal.faulty import FaultyDisk

ICT = dt.timezone(dt.timedelta(hours=7))
ABOUT = About(
    day=20_777,
    epoch=1_795_000_000_000_000_000,
    schema="sha256:00",
    shards=2,
    symbols_max=64,
    settings={"side_precedence": ["EXCHANGE"], "alerts": {"repeat_s": 60}, "rules": []},
    vntape="0.1.0",
)


def ns_at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ICT).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-20T06:00:00", "2026-11-20"),
        ("2026-11-20T09:15:00", "2026-11-20"),
        ("2026-11-20T23:59:59", "2026-11-20"),
        ("2026-11-21T00:00:00", "2026-11-20"),
        ("2026-11-21T05:59:59", "2026-11-20"),
        ("2026-11-21T06:00:00", "2026-11-21"),
    ],
)
def test_a_day_begins_at_six(moment: str, day: str) -> None:
    assert day_text(journal_day(ns_at(moment))) == day


@given(st.integers(0, 4 * 10**18))
def test_a_moment_lies_in_its_day(now_ns: int) -> None:
    day = journal_day(now_ns)
    assert day_start_ns(day) <= now_ns < day_start_ns(day + 1)


@given(st.integers(0, 60_000))
def test_a_day_is_what_its_folder_says(day: int) -> None:
    assert parse_day(day_folder(Path("x"), day).name) == day


@pytest.mark.parametrize("name", ["20261120", "2026-11-20x", "about.json", "2026-02-30"])
def test_other_names_are_no_days(name: str) -> None:
    assert parse_day(name) is None


def test_days_are_listed_oldest_first(tmp_path: Path) -> None:
    root = journal_root(tmp_path)
    assert list_days(root) == []
    for day in (20_779, 20_777, 20_778):
        day_folder(root, day).mkdir(parents=True)
    (root / "lost+found").mkdir()
    assert list_days(root) == [20_777, 20_778, 20_779]


def test_about_comes_back(tmp_path: Path) -> None:
    assert read_about(tmp_path) is None
    write_about(tmp_path, ABOUT)
    assert read_about(tmp_path) == ABOUT
    write_about(tmp_path, About(1, 2, "s", 1, 64, {}, "0.2.0"))
    assert read_about(tmp_path) == About(1, 2, "s", 1, 64, {}, "0.2.0")
    assert [path.name for path in tmp_path.iterdir()] == ["about.json"]


def test_an_about_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_about(tmp_path, ABOUT)
    disk = FaultyDisk()
    for refused in ("create", "append", "sync", "rename"):
        disk.refused = {refused}
        with pytest.raises(OSError, match="refused"):
            write_about(tmp_path, About(1, 2, "s", 1, 64, {}, "0.2.0"), disk)
        assert read_about(tmp_path) == ABOUT
    disk.refused = set()
    write_about(tmp_path, About(1, 2, "s", 1, 64, {}, "0.2.0"), disk)  # over what was left behind
    assert read_about(tmp_path) != ABOUT


@pytest.mark.parametrize("text", ["", "{", "[]", '{"day": 1}', "\xff"])
def test_an_about_that_is_spoilt_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "about.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(JournalError, match=r"about\.json cannot be read .*move its folder away"):
        read_about(tmp_path)


def test_an_about_with_a_word_for_a_number_is_spoilt(tmp_path: Path) -> None:
    write_about(tmp_path, About("x", 2, "s", 1, 64, {}, "0.2.0"))  # type: ignore[arg-type]
    with pytest.raises(JournalError, match="must be numbers"):
        read_about(tmp_path)


def make_days(root: Path, *days: int) -> None:
    for day in days:
        folder = day_folder(root, day)
        folder.mkdir(parents=True)
        (folder / "about.json").write_text("{}")
        (folder / "shard-0.000000000000.vnj").write_bytes(b"x")


@pytest.mark.parametrize(
    ("keep_days", "removed"),
    [(1, [10, 11, 14]), (2, [10, 11]), (3, [10]), (4, []), (99, [])],
)
def test_the_oldest_days_go(tmp_path: Path, keep_days: int, removed: list[int]) -> None:
    make_days(tmp_path, 10, 11, 14, 15)
    assert sweep(tmp_path, keep_days, 15) == removed
    assert list_days(tmp_path) == [day for day in (10, 11, 14, 15) if day not in removed]


def test_today_counts_before_it_has_a_folder(tmp_path: Path) -> None:
    make_days(tmp_path, 10, 11, 12)
    assert sweep(tmp_path, 2, 15) == [10, 11]


def test_a_clock_that_jumps_does_not_empty_the_disk(tmp_path: Path) -> None:
    make_days(tmp_path, 10, 11, 12)
    assert sweep(tmp_path, 3, 9_999) == [10]
    assert sweep(tmp_path, 1, 5) == []  # days to come are not touched


def test_a_day_that_cannot_be_removed_stays(tmp_path: Path) -> None:
    make_days(tmp_path, 10, 11)
    disk = FaultyDisk()
    disk.refused = {"remove"}
    assert sweep(tmp_path, 1, 15, disk) == []
    disk.refused = set()
    assert sweep(tmp_path, 1, 15, disk) == [10, 11]

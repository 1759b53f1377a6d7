"""The list of slots that are not folded."""

from pathlib import Path

import pytest

from engine.journal import quarantine
from engine.journal.layout import JournalError
from engine.journal.quarantine import Quarantined
from tests.journal.faulty import FaultyDisk


def test_nothing_is_quarantined_at_first(tmp_path: Path) -> None:
    assert quarantine.read(tmp_path, 0) == []


def test_what_is_put_there_stays_in_order(tmp_path: Path) -> None:
    quarantine.add(tmp_path, 0, 50, 60, "signal 11", 7)
    quarantine.add(tmp_path, 0, 5, 6, "ValueError", 8)
    quarantine.add(tmp_path, 1, 1, 2, "another shard's", 9)
    assert quarantine.read(tmp_path, 0) == [
        Quarantined(50, 60, "signal 11", 7),
        Quarantined(5, 6, "ValueError", 8),
    ]
    assert quarantine.read(tmp_path, 1) == [Quarantined(1, 2, "another shard's", 9)]


def test_the_same_slots_twice_are_once(tmp_path: Path) -> None:
    quarantine.add(tmp_path, 0, 50, 60, "signal 11", 7)
    quarantine.add(tmp_path, 0, 50, 60, "signal 6", 8)
    quarantine.add(tmp_path, 0, 52, 53, "signal 6", 8)
    assert quarantine.read(tmp_path, 0) == [Quarantined(50, 60, "signal 11", 7)]


def test_a_disk_that_refuses_leaves_the_list_as_it_was(tmp_path: Path) -> None:
    quarantine.add(tmp_path, 0, 1, 2, "why", 7)
    disk = FaultyDisk()
    disk.refused = {"append"}
    with pytest.raises(OSError, match="refused"):
        quarantine.add(tmp_path, 0, 3, 4, "why", 7, disk)
    assert quarantine.read(tmp_path, 0) == [Quarantined(1, 2, "why", 7)]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"ranges": 3}', '{"ranges": [{"first_seq": 1}]}', '{"ranges": [[1, 2]]}']
)
def test_a_spoilt_list_is_never_taken_for_an_empty_one(tmp_path: Path, text: str) -> None:
    path = quarantine.quarantine_file(tmp_path, 0)
    path.write_text(text)
    with pytest.raises(JournalError, match=r"quarantine-0\.json cannot be read"):
        quarantine.read(tmp_path, 0)
    with pytest.raises(JournalError):
        quarantine.add(tmp_path, 0, 1, 2, "why", 7)
    assert path.read_text() == text


def test_an_empty_range_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        quarantine.add(tmp_path, 0, 2, 2, "why", 7)

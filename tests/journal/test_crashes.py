"""Any sequence of appends, restarts, full disks and crashes gives back exactly whole bites."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.journal.survey import cut_tail, survey
from engine.journal.writer import RETRY_NS, JournalWriter
from tests.journal.faulty import FaultyDisk
from tests.journal.helpers import NOW_NS, SHARD, assert_same, bite, new_writer, read_all

sizes = st.lists(st.integers(1, 6), min_size=1, max_size=3)
steps = st.one_of(
    st.tuples(st.just("append"), sizes, st.just(0)),
    st.tuples(st.just("full"), sizes, st.integers(0, 3_000)),
    st.tuples(st.just("full, cannot be undone"), sizes, st.integers(0, 3_000)),
    st.tuples(st.just("crash"), sizes, st.integers(0, 3_700)),
    st.tuples(st.just("sync fails"), sizes, st.just(0)),
    st.tuples(st.just("restart"), st.just([1]), st.just(0)),
)


@given(st.lists(steps, max_size=14))
def test_a_journal_gives_back_whole_bites_and_says_what_is_missing(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, list[int], int]]
) -> None:
    folder = tmp_path_factory.mktemp("day")
    disk = FaultyDisk()
    writer = new_writer(folder, disk=disk)
    kept: list[NDArray[np.void]] = [bite(0, [1])[:0]]
    given_seq, now_ns = 0, NOW_NS
    lost: list[tuple[int, int]] = []
    for number, (event, groups, amount) in enumerate(script):
        now_ns += RETRY_NS
        slots = bite(given_seq, groups, seed=number)
        if event == "restart":
            writer.close()
            writer = _start(folder, given_seq, disk, now_ns)
            continue
        if event == "sync fails":
            disk.refused = {"sync"}
            writer.sync()
            disk.refused = set()
        if event == "crash":  # dies in the middle of its write: nobody has seen these slots
            path = _newest(folder)
            whole_bytes = path.stat().st_size if path else 0
            writer.append(slots, len(slots), now_ns)
            path = _newest(folder)
            if path is not None:
                data = path.read_bytes()
                path.write_bytes(data[: min(len(data) - 1, max(64, whole_bytes) + amount)])
            writer = _start(folder, given_seq, disk, now_ns)
            continue
        disk.room_bytes = amount if event.startswith("full") else None
        if event == "full, cannot be undone":
            disk.refused = {"truncate", "remove"}
        if writer.append(slots, len(slots), now_ns):
            kept.append(slots)
        else:
            lost.append((given_seq, given_seq + len(slots)))
        given_seq += len(slots)
        disk.room_bytes, disk.refused = None, set()
    _start(folder, given_seq, disk, now_ns).close()
    found = survey(folder, SHARD)
    slots, reader = read_all(folder, until_seq=given_seq, skip_holes=True)
    assert_same(slots, np.concatenate(kept))
    assert reader.next_seq == given_seq == found.end_seq
    assert (reader.damage, found.damage, found.torn) == ([], [], None)
    assert _merged(found.holes) == _merged(lost)


def _start(folder: Path, next_seq: int, disk: FaultyDisk, now_ns: int) -> JournalWriter:
    """Begin as ingest does: look, cut, go on behind what was given."""
    found = survey(folder, SHARD)
    cut_tail(found)
    assert survey(folder, SHARD).torn is None
    assert found.end_seq <= next_seq
    return new_writer(folder, next_seq, disk=disk, now_ns=now_ns)


def _newest(folder: Path) -> Path | None:
    return max(folder.iterdir(), default=None)


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that touch."""
    joined: list[tuple[int, int]] = []
    for first, end in ranges:
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined

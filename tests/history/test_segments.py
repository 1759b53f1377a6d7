"""Segments: all or nothing, whatever fails and wherever it dies; damage is found and told."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.history.catalogue import BLOCK_BYTES, commit_folder, data_folder
from engine.history.query import History
from engine.history.segments import SegmentStore, in_order
from engine.history.tables import TRADES
from tests.history.days import DAY, bar_table, filled, seqs_of, trade_table
from tests.history.faults import Crash, failing_at, full

STEPS = 12  # fsyncs and renames of one commit of two tables, and some to spare


def files_of(store: SegmentStore) -> list:
    return [file for commit in store.listing(DAY).commits for file in commit.files]


def visible(root) -> list[int]:
    history = History(root)
    try:
        return seqs_of(history.sql("SELECT seq FROM trades"))
    finally:
        history.close()


def test_what_is_committed_is_read_again_sorted(tmp_path):
    store = filled(tmp_path, commits=1, each=500)
    (file, _) = files_of(store)
    rows = pq.read_table(tmp_path / file.path, partitioning=None).to_pylist()
    key = [(row["symbol"], row["time"], row["seq"]) for row in rows]
    assert key == sorted(key)
    assert [row["seq"] for row in sorted(rows, key=lambda row: row["seq"])] == list(range(500))
    assert store.committed_seq(DAY, 0) == 500
    assert store.committed_seq(DAY, 1) == 0
    assert (store.written_files, store.written_bytes) == (
        2,
        sum(file.size_bytes for file in files_of(store)),
    )


def test_order_is_that_of_the_key_for_late_rows_too():
    late = trade_table(0, 300).take(np.random.default_rng(1).permutation(300))
    rows = in_order(TRADES, late).to_pylist()
    naive = sorted(late.to_pylist(), key=lambda row: (row["symbol"], row["time"], row["seq"]))
    assert rows == naive


def test_a_range_without_rows_is_committed_without_files(tmp_path):
    store = SegmentStore(tmp_path)
    store.commit(DAY, 0, 0, 7, {"trades": trade_table(0, 0)})
    assert files_of(store) == []
    assert SegmentStore(tmp_path).committed_seq(DAY, 0) == 7


@pytest.mark.parametrize(("first", "last"), [(99, 200), (101, 200), (100, 100)])
def test_a_range_that_does_not_go_on_is_a_bug(tmp_path, first, last):
    store = filled(tmp_path, commits=1)
    with pytest.raises(AssertionError, match="commit "):
        store.commit(DAY, 0, first, last, {})


@pytest.mark.parametrize("step", range(STEPS))
def test_a_disk_that_refuses_commits_nothing_and_the_next_try_all(tmp_path, monkeypatch, step):
    store = filled(tmp_path, commits=2)
    rows = {"trades": trade_table(200, 50), "bars": bar_table(200, {(1, 9): 1})}
    with failing_at(monkeypatch, step, full()) as done:
        try:
            store.commit(DAY, 0, 200, 250, rows)
        except OSError:
            assert len(done) == step
    seen = visible(tmp_path)
    assert seen in (list(range(200)), list(range(250)))
    assert store.committed_seq(DAY, 0) == len(seen)
    assert not list(tmp_path.rglob("*.part"))
    # Also when it is committed: the disk may have refused behind the rename that made it count.
    assert store.commit(DAY, 0, 200, 250, rows).seqs == {0: (200, 250)}
    assert visible(tmp_path) == list(range(250))
    assert store.check(DAY) == []


@pytest.mark.parametrize("step", range(STEPS))
def test_a_crash_leaves_all_or_nothing_and_a_restart_goes_on(tmp_path, monkeypatch, step):
    store = filled(tmp_path, commits=2)
    rows = {"trades": trade_table(200, 50), "bars": bar_table(200, {(1, 9): 1})}
    with failing_at(monkeypatch, step, Crash()):
        try:
            store.commit(DAY, 0, 200, 250, rows)
        except Crash:
            pass
    again = SegmentStore(tmp_path)
    again.recover(DAY)
    seen = visible(tmp_path)
    assert seen == list(range(again.committed_seq(DAY, 0)))
    named = {tmp_path / file.path for file in files_of(again)}
    assert set(tmp_path.rglob("*.parquet")) == named
    assert not list(tmp_path.rglob("*.part"))
    if len(seen) == 200:
        again.commit(DAY, 0, 200, 250, rows)
    assert visible(tmp_path) == list(range(250))


def test_a_retry_removes_what_the_refused_commit_replaced(tmp_path, monkeypatch):
    store = filled(tmp_path, commits=3)
    (commit_folder(tmp_path, DAY) / "shard-0.000000000000-000000000100.json").write_bytes(b"?")
    store = SegmentStore(tmp_path)
    rows = {"trades": trade_table(0, 150)}
    with monkeypatch.context() as patched:
        patched.setattr(SegmentStore, "recover", refused)
        with pytest.raises(OSError, match="No space"):
            store.commit(DAY, 0, 0, 150, rows)
    files_before = store.written_files
    store.commit(DAY, 0, 0, 150, rows)
    assert visible(tmp_path) == list(range(150))
    assert store.recover(DAY) == []
    assert store.written_files == files_before + 1  # and counted once


def refused(*_):
    raise full()


def test_recover_says_what_it_removed(tmp_path):
    store = filled(tmp_path)
    strays = [
        data_folder(tmp_path, "trades", DAY) / "stray.parquet",
        data_folder(tmp_path, "bars", DAY) / "x.parquet.part",
        commit_folder(tmp_path, DAY) / "shard-0.json.part",
    ]
    for path in strays:
        path.write_bytes(b"x")
    assert sorted(store.recover(DAY)) == sorted(strays)
    assert store.recover(DAY) == []
    assert visible(tmp_path) == list(range(300))


@pytest.mark.parametrize("cut", [0, 1, 4, 1_000])
def test_a_truncated_file_is_told_and_left_out_alone(tmp_path, cut):
    store = filled(tmp_path)
    file = files_of(store)[2]
    assert file.table == "trades"
    path = tmp_path / file.path
    kept = file.size_bytes - cut - 1 if cut else 0
    path.write_bytes(path.read_bytes()[:kept])
    (damage,) = store.check(DAY)
    assert (damage.path, damage.offset) == (path, kept)
    assert f"{kept} bytes, {file.size_bytes} were written" in damage.why
    history = History(tmp_path)
    assert seqs_of(history.sql("SELECT seq FROM trades")) == [*range(100), *range(200, 300)]
    assert history.damage == (damage,)
    assert history.sql("SELECT * FROM bars").num_rows == 3
    assert history.damage == ()
    history.close()


def test_a_flipped_byte_anywhere_is_told_with_its_block(tmp_path, seed):
    store = filled(tmp_path, commits=2, each=30_000)
    file = max(files_of(store), key=lambda file: file.size_bytes)
    assert file.size_bytes > BLOCK_BYTES
    path = tmp_path / file.path
    sound = path.read_bytes()
    for place in np.random.default_rng(seed).integers(0, len(sound), 12).tolist():
        damaged = bytearray(sound)
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
        (damage,) = store.check(DAY)
        assert damage.path == path
        assert damage.offset == place // BLOCK_BYTES * BLOCK_BYTES
        history = History(tmp_path)
        assert history.sql("SELECT * FROM trades").num_rows == 30_000
        assert history.damage == (damage,)
        history.close()
    path.write_bytes(sound)
    assert store.check(DAY) == []


def test_a_vanished_file_is_told(tmp_path):
    store = filled(tmp_path)
    (tmp_path / files_of(store)[0].path).unlink()
    (damage,) = store.check(DAY)
    assert "the file is gone; 100 rows of trades" in damage.why
    assert visible(tmp_path) == list(range(100, 300))


def test_a_lost_record_is_told_and_its_slots_are_written_again(tmp_path):
    filled(tmp_path, commits=4)
    record = commit_folder(tmp_path, DAY) / "shard-0.000000000100-000000000200.json"
    record.write_bytes(b"rubbish")
    again = SegmentStore(tmp_path)
    assert again.committed_seq(DAY, 0) == 100
    assert [damage.path for damage in again.check(DAY)] == [record]
    assert visible(tmp_path) == [*range(100), *range(200, 400)]
    assert again.recover(DAY) == []  # its files stay until the rows are written again
    again.commit(DAY, 0, 100, 350, {"trades": trade_table(100, 250)})
    assert again.check(DAY) == []
    assert visible(tmp_path) == list(range(350))
    assert again.committed_seq(DAY, 0) == 350
    assert not record.exists()


def test_shards_are_committed_apart(tmp_path):
    store = filled(tmp_path, commits=2, shards=2)
    assert [store.committed_seq(DAY, shard) for shard in (0, 1, 2)] == [200, 200, 0]
    assert len(visible(tmp_path)) == 400


def test_old_days_go_whole(tmp_path):
    store = filled(tmp_path)
    store.commit(DAY + 5, 0, 0, 10, {"trades": trade_table(0, 10)})
    assert store.sweep(0, DAY + 100) == []
    assert store.sweep(6, DAY + 5) == []
    assert store.sweep(5, DAY + 5) == [DAY]
    assert store.days() == [DAY + 5]
    assert visible(tmp_path) == list(range(10))
    assert not data_folder(tmp_path, "bars", DAY).exists()

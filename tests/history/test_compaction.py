"""Merges: the same rows in fewer files, or nothing changed."""

import pyarrow.parquet as pq
import pytest

from engine.history.catalogue import TIER_DAY
from engine.history.compaction import FAN, Compactor
from engine.history.query import History
from engine.history.segments import SegmentStore
from tests.history.days import DAY, bar_table, filled, trade_table
from tests.history.faults import Crash, failing_at, full


def told(root) -> tuple[list, list]:
    """Return all trades and bars, in order."""
    history = History(root)
    try:
        return tuple(
            history.sql(f"SELECT * FROM {table} ORDER BY ALL").to_pylist()
            for table in ("trades", "bars")
        )
    finally:
        history.close()


def test_a_compact_day_is_one_sorted_file_per_table_with_the_same_rows(tmp_path):
    store = filled(tmp_path, commits=5, shards=2)
    before = told(tmp_path)
    compactor = Compactor(store)
    assert not compactor.is_compact(DAY)
    merged = compactor.compact_day(DAY)
    assert compactor.is_compact(DAY)
    assert told(tmp_path) == before
    assert {path.name for path in tmp_path.rglob("*.parquet")} == {"day.0001.parquet"}
    assert (merged.tier, merged.seqs) == (TIER_DAY, {0: (0, 500), 1: (0, 500)})
    assert [store.committed_seq(DAY, shard) for shard in (0, 1)] == [500, 500]
    rows = pq.read_table(tmp_path / merged.files[0].path, partitioning=None).to_pylist()
    key = [(row["symbol"], row["time"], row["seq"]) for row in rows]
    assert key == sorted(key)
    assert store.check(DAY) == []
    assert compactor.compact_day(DAY) is None


def test_what_comes_after_the_close_is_merged_too(tmp_path):
    store = filled(tmp_path)
    compactor = Compactor(store)
    compactor.compact_day(DAY)
    store.commit(DAY, 0, 300, 310, {"trades": trade_table(300, 10)})
    assert not compactor.is_compact(DAY)
    before = told(tmp_path)
    assert compactor.compact_day(DAY).name == "day.0002"
    assert told(tmp_path) == before
    assert len(before[0]) == 310


def test_of_a_bar_that_was_told_again_the_last_counts(tmp_path):
    store = SegmentStore(tmp_path)
    compactor = Compactor(store)
    store.commit(DAY, 0, 0, 10, {"bars": bar_table(5, {(1, 0): 10, (2, 0): 20})})
    store.commit(DAY, 0, 10, 20, {"bars": bar_table(15, {(1, 0): 11, (1, 1): 30})})
    expected = [("FPT", 11), ("FPT", 30), ("HPG", 20)]

    def closes():
        return [(row["symbol"], row["close_price_e2"]) for row in told(tmp_path)[1]]

    assert closes() == expected
    compactor.compact_day(DAY)
    assert closes() == expected
    store.commit(DAY, 0, 20, 30, {"bars": bar_table(25, {(2, 0): 21})})
    assert closes() == [*expected[:2], ("HPG", 21)]
    compactor.compact_day(DAY)
    assert closes() == [*expected[:2], ("HPG", 21)]


def test_small_commits_are_merged_tier_by_tier(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.history.compaction.FAN", 3)
    store = SegmentStore(tmp_path)
    compactor = Compactor(store)
    tiers = []
    for number in range(27):
        store.commit(DAY, 0, number, number + 1, {"trades": trade_table(number, 1)})
        while compactor.merge_small(DAY, 0):
            pass
        tiers.append([commit.tier for commit in store.listing(DAY).commits])
        assert store.committed_seq(DAY, 0) == number + 1
    assert tiers[0] == [0]
    assert tiers[2] == [1]
    assert tiers[7] == [1, 1, 0, 0]
    assert tiers[8] == [2]
    assert tiers[26] == [3]
    assert [row["seq"] for row in sorted(told(tmp_path)[0], key=lambda r: r["seq"])] == list(
        range(27)
    )
    assert FAN > 3


def test_shards_are_not_merged_before_the_close(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.history.compaction.FAN", 2)
    store = filled(tmp_path, commits=2, shards=2)
    compactor = Compactor(store)
    assert compactor.merge_small(DAY, 1).seqs == {1: (0, 200)}
    assert compactor.merge_small(DAY, 1) is None
    assert len(store.listing(DAY).commits) == 3


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("kind", ["full", "crash"])
def test_a_merge_that_fails_has_changed_nothing(tmp_path, monkeypatch, step, kind):
    store = filled(tmp_path)
    before = told(tmp_path)
    with failing_at(monkeypatch, step, full() if kind == "full" else Crash()):
        try:
            Compactor(store).compact_day(DAY)
        except (OSError, Crash):
            pass
    assert told(tmp_path) == before
    again = SegmentStore(tmp_path)
    again.recover(DAY)
    assert told(tmp_path) == before
    assert not list(tmp_path.rglob("*.part"))
    assert again.committed_seq(DAY, 0) == 300
    Compactor(again).compact_day(DAY)
    assert Compactor(again).is_compact(DAY)
    assert told(tmp_path) == before


def test_a_merge_that_needs_more_memory_than_it_may_use_is_refused_and_changes_nothing(tmp_path):
    store = filled(tmp_path)
    before = told(tmp_path)
    with pytest.raises(OSError, match=r"merging \w+ of .*[Mm]emory"):
        Compactor(store, memory_bytes=100_000).compact_day(DAY)
    assert told(tmp_path) == before
    assert not list(tmp_path.rglob("*.part"))
    Compactor(store).compact_day(DAY)
    assert told(tmp_path) == before


def test_a_damaged_file_is_not_merged_and_not_removed(tmp_path):
    store = filled(tmp_path)
    damaged = store.listing(DAY).commits[1]
    path = tmp_path / damaged.files[0].path
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    compactor = Compactor(store)
    compactor.compact_day(DAY)
    (damage,) = compactor.damage
    assert damage.path == path
    assert path.exists()
    assert [commit.name for commit in store.listing(DAY).commits][1] == damaged.name
    trades, bars = told(tmp_path)
    assert sorted(row["seq"] for row in trades) == [*range(100), *range(200, 300)]
    assert len(bars) == 3  # the damaged commit's other file is read
    assert compactor.compact_day(DAY) is None or compactor.damage


def test_nothing_is_compact(tmp_path):
    compactor = Compactor(SegmentStore(tmp_path))
    assert compactor.is_compact(DAY)
    assert compactor.compact_day(DAY) is None
    assert compactor.merge_small(DAY, 0) is None

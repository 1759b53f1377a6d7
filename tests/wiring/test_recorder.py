"""The recorder: killed, starved of disk and lied to, it tells every row of the journal once."""

import errno
import random
import threading

import numpy as np
import pytest

from engine.history import files
from engine.history.catalogue import TIER_DAY, commit_folder
from engine.history.compaction import Compactor
from engine.history.query import History
from engine.history.segments import SegmentStore
from engine.history.tables import TABLES
from engine.history.tail import TailClient
from engine.journal import quarantine
from engine.journal.days import About, write_about
from engine.journal.disk import RealDisk
from engine.journal.layout import HEADER_BYTES, file_name
from engine.journal.records import RECORD_BYTES
from engine.wiring import recorder as recorder_module
from engine.wiring.after_close import is_over
from engine.wiring.recorder import history_root
from engine.wiring.replay_journal import replay_shard
from tests.wiring.recording import (
    LAST,
    MORNING_NS,
    TODAY,
    Rig,
    day_slots,
    expected,
    in_order,
    with_loss,
    without_tellers,
)

HOUR_NS = 3_600_000_000_000
NAMES = [table.name for table in TABLES]
INTRODUCED = 30  # bites: no symbol is introduced behind them


@pytest.fixture
def new_rig(tmp_path):
    made = []

    def make(shards=1, **history):
        made.append(Rig(tmp_path, shards, **history))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(new_rig):
    return new_rig()


def told_slots(rig):
    return [slots[:end] for slots, end in zip(rig.slots, rig.published, strict=True)]


def assert_told(rig, *, tail=True, names=NAMES):
    """What queries see is what one fold of the published slots says: no row less, none twice."""
    wanted = expected(rig.about, told_slots(rig))
    for name in names:
        seen = rig.rows(name, tail=tail)
        if name == "bars":
            assert without_tellers(seen).equals(without_tellers(wanted[name])), name
        else:
            assert seen.equals(wanted[name]), name


def store(rig):
    return SegmentStore(history_root(rig.data_dir))


# --- a day ---------------------------------------------------------------------------------------


def test_the_day_is_in_the_history_before_it_is_in_any_segment(rig):
    rig.start()
    rig.publish()
    rig.settle()
    assert rig.cell["slots"] == len(day_slots()[0])
    assert rig.cell["tail_rows"] > 0
    assert store(rig).listing(TODAY).commits == ()
    assert_told(rig)


@pytest.mark.parametrize("shards", [1, 2])
def test_segments_and_tail_are_the_whole_day_at_any_time(new_rig, shards):
    rig = new_rig(shards)
    rig.start()
    while rig.publish(15):
        rig.settle()
        assert_told(rig, names=["trades", "bars"])
    assert_told(rig)
    assert len(store(rig).listing(TODAY).commits) >= 2
    assert rig.cell["segments"] > 2
    assert rig.cell["rows"] > 100
    assert rig.cell["segment_bytes"] > 0


def test_a_segment_is_due_when_its_time_is_over(new_rig):
    rig = new_rig(segment_rows_max=100_000)
    rig.start()
    rig.publish(5)
    rig.settle()
    rig.turn(step_ns=9_999_000_000)
    rig.publish(5)
    rig.settle()
    assert rig.cell["committed_seq"][0] == 0
    rig.turn(step_ns=2_000_000)
    rig.publish(1)
    rig.settle()
    assert 0 < rig.cell["committed_seq"][0] < rig.published[0]
    assert rig.cell["committed_ns"] == rig.clock.now_ns()
    assert_told(rig)


def test_slots_that_were_not_published_are_not_read(rig):
    rig.start()
    rig.publish(10)
    rig.settle()
    before = rig.cell["slots"]
    rig.publish(10, to_ring=False)
    rig.settle()
    assert rig.cell["slots"] == before
    assert rig.cell["lag_slots"] == 0


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_killed_at_any_moment_it_goes_on_with_the_rows_that_would_have_come(new_rig, seed, number):
    dice = random.Random(seed * 1_000 + number)
    rig = new_rig(dice.choice([1, 2]), segment_rows_max=dice.choice([10, 40, 200]))
    rig.start()
    while rig.publish(dice.randint(1, 25)):
        for _ in range(dice.randint(0, 4)):
            rig.turn(step_ns=dice.choice([0, 20_000_000_000]))
        if dice.random() < 0.4:
            rig.start()
        if dice.random() < 0.3:
            rig.settle()
            assert_told(rig, names=["trades", "bars"])
    rig.settle()
    rig.start().close()
    assert_told(rig, tail=False)


def test_while_it_folds_again_it_does_not_know_the_tail(rig):
    rig.start()
    rig.publish(40)
    rig.settle()
    rig.publish(40)
    rig.settle()
    assert rig.cell["committed_seq"][0] > 0
    agent = rig.start()
    assert agent._tail(NAMES) is None  # it has not even begun
    agent._record = agent._begin()
    assert agent._tail(NAMES) is None
    history = rig.history()
    assert history.sql("SELECT count(*) FROM trades").num_rows == 1
    assert history.tail_missing == 1
    rig.settle()
    assert_told(rig)


def test_a_commit_that_was_cut_short_is_removed_and_written_again(rig):
    rig.start()
    rig.publish(40)
    rig.settle()
    left = history_root(rig.data_dir) / "trades" / "day=2021-07-15"
    left.mkdir(parents=True, exist_ok=True)
    (left / "shard-0.000000000000-000000000099.parquet").write_bytes(b"half a file")
    rig.start()
    rig.publish()
    rig.settle()
    assert_told(rig)
    assert not (left / "shard-0.000000000000-000000000099.parquet").exists()


def test_a_stop_leaves_nothing_in_memory(rig):
    agent = rig.start()
    rig.publish(30)
    agent.close()
    assert rig.cell["committed_seq"][0] == rig.published[0]
    assert_told(rig, tail=False)


def test_after_a_stop_in_mid_day_bars_go_on_and_are_one(rig):
    rig.start()
    rig.publish(30)
    rig.settle()
    rig.agent.close()
    rig.start()
    rig.publish()
    rig.settle()
    assert_told(rig)
    rig.agent.close()
    assert_told(rig, tail=False)


# --- trouble -------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_outlived_with_bounded_memory(rig, monkeypatch):
    rig.start()
    rig.publish(5)
    rig.settle()

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", full)
        while rig.publish(5):
            rig.turn(3)
        assert rig.cell["failing"] == 1
        assert rig.cell["lag_slots"] > 0  # the journal keeps them
        most = 4 * rig.settings.segment_rows_max
        assert most <= rig.cell["tail_rows"] < most + 200
        folded = rig.agent._record.shards[0].next_seq
        wanted = expected(rig.about, [rig.slots[0][:folded]])
        assert rig.rows("trades").equals(wanted["trades"])
        rig.turn(step_ns=1_000_000)  # not again at once
        assert rig.cell["failing"] == 1
    rig.turn(step_ns=recorder_module.RETRY_NS)
    rig.settle()
    assert rig.cell["failing"] == 0
    assert rig.cell["lag_slots"] == 0
    assert_told(rig)


def test_holes_and_damage_are_counted_and_cost_nothing_else(rig):
    rig.publish(20)
    rig.lose(9)
    rig.heal()
    rig.publish()
    spoilt = rig.folder / file_name(0, 0)
    data = bytearray(spoilt.read_bytes())
    data[HEADER_BYTES + 30 * RECORD_BYTES + 60] ^= 4
    spoilt.write_bytes(data)
    rig.start()
    rig.settle()
    assert rig.cell["missing_slots"] == 9 + 1
    assert rig.cell["lag_slots"] == 0
    assert rig.cell["failing"] == 0
    assert rig.rows("quotes").num_rows > 100


def test_the_same_holes_and_damage_after_a_restart_give_the_same_history(rig):
    test_holes_and_damage_are_counted_and_cost_nothing_else(rig)
    before = {name: rig.rows(name) for name in NAMES}
    rig.agent.close()
    rig.start()
    rig.settle()
    assert rig.cell["missing_slots"] == 9 + 1
    assert all(rig.rows(name).equals(before[name]) for name in NAMES if name != "bars")


def assert_told_with(rig, first, end):
    """The history is what a fold says that knows of the hole; so is the memory it ends with."""
    wanted = expected(rig.about, [with_loss(rig.slots[0][: rig.published[0]], first, end)])
    for name in NAMES:
        seen = rig.rows(name)
        if name == "bars":
            assert without_tellers(seen).equals(without_tellers(wanted[name]))
        else:
            assert seen.equals(wanted[name]), name
    assert_state_of_a_replay(rig)


def assert_state_of_a_replay(rig):
    state = rig.agent._record.shards[0]._fold.digest().state
    assert state == replay_shard(rig.folder, 0, rig.about).fold.digest().state


@pytest.mark.parametrize("slots", [9, 60])
def test_a_hole_is_told_where_the_shard_and_a_replay_tell_it(rig, slots):
    rig.publish(INTRODUCED)
    first = rig.lose(slots)
    rig.heal()
    rig.start()
    while rig.publish(10):
        rig.settle()
    assert_told_with(rig, first, first + slots)
    untold = np.delete(rig.slots[0], range(first, first + slots))
    assert any(not rig.rows(name).equals(expected(rig.about, [untold])[name]) for name in NAMES)
    assert rig.cell["missing_slots"] == slots
    rig.start()  # and so again
    rig.settle()
    assert_told_with(rig, first, first + slots)


def test_a_hole_without_a_journal_behind_it_waits_and_its_numbers_are_given_again(rig):
    rig.start()
    rig.publish(INTRODUCED)
    rig.settle()
    first = rig.lose(9)
    rig.turn(3, step_ns=10_000_000_000)  # time for a segment, but nothing is known behind it
    rig.settle()
    assert rig.agent._record.shards[0].next_seq == first
    assert rig.cell["committed_seq"][0] < first
    assert (rig.cell["lag_slots"], rig.cell["missing_slots"]) == (9, 0)
    assert rig.cell["failing"] == 0
    rig.agent.close()
    rig.published[0] = first  # the machine starts again: the journal's end is the tape's
    rig.heal()
    rig.start()
    rig.publish()
    rig.settle()
    assert_told(rig)


def test_a_file_that_got_no_slot_yet_ends_no_hole(rig):
    rig.start()
    rig.publish(INTRODUCED)
    first = rig.lose(9)
    rig.heal()  # the file is made ...
    rig.settle()
    assert rig.agent._record.shards[0].next_seq == first
    rig.lose(5)  # ... and taken back, because its first bite is refused
    (rig.folder / file_name(0, first + 9)).unlink()
    rig.settle()
    assert rig.agent._record.shards[0].next_seq == first
    rig.heal()
    rig.publish()
    rig.settle()
    assert_told_with(rig, first, first + 14)


def test_a_file_that_never_got_a_slot_ends_a_hole_once_there_is_another(rig):
    rig.start()
    rig.publish(INTRODUCED)
    first = rig.lose(9)
    rig.heal()
    rig.lose(5)
    rig.settle()
    assert rig.agent._record.shards[0].next_seq == first  # it may still be removed
    rig.heal()
    rig.publish()
    rig.settle()
    assert rig.cell["missing_slots"] == 14
    assert rig.agent._record.shards[0].next_seq == rig.published[0] > first + 14
    assert_state_of_a_replay(rig)


def test_a_hole_is_told_once_though_the_shard_is_in_the_middle_of_it(rig):
    rig.publish(INTRODUCED)
    first = rig.lose(9)
    rig.heal()
    rig.publish()
    rig.start()
    for rig.folded in (first + 4, first + 9):
        rig.settle()
        assert rig.agent._record.shards[0].next_seq == first
    rig.folded = None
    rig.settle()
    assert_told_with(rig, first, first + 9)


@pytest.mark.parametrize("file", [True, False])
def test_a_day_that_ends_in_a_hole_is_finished_in_front_of_it(rig, file):
    rig.start()
    rig.publish(INTRODUCED)
    rig.settle()
    first = rig.lose(9)
    if file:
        rig.heal()
    rig.turn(3, step_ns=10_000_000_000)
    wanted = expected(rig.about, [rig.slots[0][:first]])
    rig.begin_day(TODAY + 1)  # the recorder of yesterday was killed: open bars are in its memory
    rig.start()
    rig.settle()
    assert is_compact(rig, TODAY)
    assert store(rig).committed_seq(TODAY, 0) == first
    for name in ("trades", "bars"):
        seen, told = rig.rows(name), wanted[name]
        assert without_tellers(seen).equals(without_tellers(told)), name


# --- slots that kill -----------------------------------------------------------------------------


def group_from(rig, seq):
    """Return the first slot at or behind `seq` that begins a group, and the end of the group."""
    ends = np.flatnonzero(rig.slots[0]["flags"] & LAST) + 1
    at = int(np.searchsorted(ends, seq))
    return int(ends[at]), int(ends[at + 1])


def test_slots_that_kill_the_shard_are_not_folded_here_either(rig):
    rig.publish()
    first, end = group_from(rig, 150)
    rig.folded = first  # as far as the shard came
    rig.start()
    rig.settle()
    record = rig.agent._record
    assert record.shards[0].next_seq == first
    assert rig.cell["lag_slots"] == rig.published[0] - first
    quarantine.add(rig.folder, 0, first, end, "killed 2 workers", MORNING_NS)
    rig.quarantined += end - first
    rig.settle()
    assert record.shards[0].next_seq == first
    rig.folded = None
    rig.settle()
    assert rig.cell["lag_slots"] == 0
    assert record.shards[0]._reader.quarantined_slots == end - first
    assert_state_of_a_replay(rig)


def test_a_list_of_such_slots_that_cannot_be_read_is_asked_for_again(rig, capsys):
    rig.publish(20)
    rig.start()
    rig.settle()
    first, end = rig.published[0], rig.published[0] + 1
    quarantine.quarantine_file(rig.folder, 0).write_text("{")
    rig.quarantined = 1
    rig.publish(20)
    rig.turn(3)
    assert rig.cell["failing"] == 1
    assert "remove it to fold" in capsys.readouterr().err
    assert rig.agent._record.shards[0].next_seq == first
    quarantine.quarantine_file(rig.folder, 0).unlink()
    quarantine.add(rig.folder, 0, first, end, "killed 2 workers", MORNING_NS)
    rig.turn(step_ns=recorder_module.RETRY_NS)
    rig.settle()
    assert rig.agent._record.shards[0]._reader.quarantined_slots == 1


def test_a_shard_that_is_away_makes_it_wait(rig):
    rig.publish(40)
    rig.start().close()
    committed = int(rig.cell["committed_seq"][0])
    assert committed == rig.published[0]
    rig.folded = 0  # a blank shard after a start of the machine: this is no other journal
    rig.start()
    rig.turn(5)
    assert (rig.cell["failing"], rig.agent._record.shards[0].next_seq) == (0, 0)
    assert rig.cell["committed_seq"][0] == committed
    rig.turn(3, step_ns=recorder_module.IDLE_NS)
    assert rig.agent._record.shards[0].next_seq == 0
    rig.folded = None
    rig.publish()
    rig.settle()
    assert_told(rig)


# --- other trouble -------------------------------------------------------------------------------


def test_a_compaction_that_is_refused_does_not_keep_commits_waiting(rig, monkeypatch, capsys):
    rig.publish(40)
    rig.begin_day(TODAY + 1)
    yesterday = store(rig)

    def refused(self, day):
        raise OSError(errno.ENOMEM, "not enough memory")

    rig.start()
    with monkeypatch.context() as patched:
        patched.setattr(Compactor, "compact_day", refused)
        rig.settle()
        rig.publish()
        rig.settle()
        rig.agent.close()
    assert "is not compact" in capsys.readouterr().err
    assert yesterday.committed_seq(TODAY, 0) > 0
    assert rig.cell["committed_seq"][0] == rig.published[0]
    assert not is_compact(rig)
    rig.start()  # here it is made up for
    rig.settle()
    assert is_compact(rig)


def test_without_a_journal_it_waits_and_says_so(rig, capsys):
    (rig.folder / "about.json").rename(rig.folder / "away.json")
    rig.start()
    rig.turn(3)
    assert rig.cell["failing"] == 1
    assert "no about.json" in capsys.readouterr().err
    (rig.folder / "away.json").rename(rig.folder / "about.json")
    rig.publish()
    rig.turn(step_ns=recorder_module.RETRY_NS)
    rig.settle()
    assert rig.cell["failing"] == 0
    assert_told(rig)


def test_a_history_of_another_journal_is_not_mixed_with_this_one(rig, capsys):
    rig.publish(40)
    rig.start().close()
    rig.published[0] = 3  # the journal was moved away and begun anew
    rig.start()
    rig.turn(3)
    assert rig.cell["failing"] == 1
    assert "of another journal" in capsys.readouterr().err
    assert store(rig).committed_seq(TODAY, 0) > 3


def test_the_journal_is_on_disk_before_the_history_knows_it(rig, monkeypatch):
    order = []

    class Watched(RealDisk):
        def open(self, path):
            order.append("journal")
            return super().open(path)

    agent = rig.start()
    agent._writer._disk = Watched()
    commit = SegmentStore.commit
    monkeypatch.setattr(
        SegmentStore, "commit", lambda *args: order.append("history") or commit(*args)
    )
    rig.publish(30)
    agent.close()
    assert order == ["journal", "history"]


def test_damaged_segments_are_told_at_the_start_each_with_its_place(rig, capsys):
    rig.start()
    while rig.publish(30):
        rig.settle()
    rig.agent.close()
    spoilt = sorted((history_root(rig.data_dir) / "trades").rglob("*.parquet"))[:2]
    assert len(spoilt) == 2
    for file in spoilt:
        file.write_bytes(file.read_bytes()[:-7])
    capsys.readouterr()
    rig.start()
    rig.settle()
    said = capsys.readouterr().err
    for file in spoilt:
        assert f"{file}, byte {file.stat().st_size}" in said
    assert rig.rows("trades").num_rows < expected(rig.about, rig.slots)["trades"].num_rows
    assert rig.rows("quotes").equals(expected(rig.about, rig.slots)["quotes"])


# --- the end of a day ----------------------------------------------------------------------------


def is_compact(rig, day=TODAY):
    commits = store(rig).listing(day).commits
    return len(commits) == 1 and commits[0].tier == TIER_DAY


def test_after_the_close_the_day_is_one_file_a_table(rig):
    rig.start()
    while rig.publish(40):
        rig.settle()
    rig.turn(3, step_ns=recorder_module.IDLE_NS // 3 - 1)
    assert not is_compact(rig)  # something may still come
    rig.clock.advance_ns(3)
    rig.settle()
    assert is_compact(rig)
    assert rig.cell["committed_seq"][0] == rig.published[0]
    assert rig.cell["tail_rows"] == 0
    assert_told(rig, tail=False)
    assert_told(rig, names=["trades", "bars"])


def test_a_quiet_tape_at_noon_is_no_close(rig):
    rig.start()
    rig.publish(40)
    rig.settle()
    slot = rig.slots[0][rig.published[0] - 1]
    rig.clock.advance_ns(int(slot["recv_ns"]) - rig.clock.now_ns())
    rig.turn(5, step_ns=recorder_module.IDLE_NS)
    assert rig.cell["committed_seq"][0] < rig.published[0]


def test_a_day_is_compacted_once(rig, monkeypatch):
    rig.start()
    rig.publish()
    rig.settle()
    rig.clock.advance_ns(recorder_module.IDLE_NS)
    rig.settle()
    assert is_compact(rig)
    done = []
    monkeypatch.setattr(rig.agent._writer, "compact", done.append)
    rig.turn(10, step_ns=HOUR_NS)
    assert done == []


def test_what_was_left_unfinished_is_finished_at_the_next_start(rig):
    rig.start()
    rig.publish(40)
    rig.settle()
    rig.publish()
    yesterday = expected(rig.about, told_slots(rig))
    rig.begin_day(TODAY + 1)
    rig.publish(20)
    rig.start()
    rig.settle()
    assert is_compact(rig, TODAY)
    day = f"day = DATE '{np.datetime64(TODAY, 'D')}'"
    for name in NAMES:
        seen = rig.history().sql(f"SELECT * EXCLUDE day FROM {name} WHERE {day}")
        seen = in_order(seen, name)
        if name == "bars":
            assert without_tellers(seen).equals(without_tellers(yesterday[name]))
        else:
            assert seen.equals(yesterday[name]), name
    assert rig.cell["committed_seq"][0] == 0
    commits = store(rig).listing(TODAY).commits
    rig.start()
    rig.settle()
    assert store(rig).listing(TODAY).commits == commits  # and never again


def test_a_day_of_another_version_is_told_and_left(rig, capsys):
    rig.publish(10)
    about = rig.about
    foreign = About(about.day, about.epoch, "sha256:other", 1, 64, about.settings, "0.0.9")
    write_about(rig.folder, foreign)
    rig.begin_day(TODAY + 1)
    rig.start()
    rig.settle()
    assert "vntape 0.0.9, which can finish it" in capsys.readouterr().err
    assert store(rig).listing(TODAY).commits == ()


def test_old_days_go_when_the_operator_wants_it(new_rig):
    rig = new_rig(keep_days=2)
    rig.publish(10)
    rig.start().close()
    rig.begin_day(TODAY + 2)
    rig.start()
    rig.settle()
    assert not commit_folder(history_root(rig.data_dir), TODAY).exists()


@pytest.mark.parametrize(
    ("exch", "later_s", "over"),
    [
        ("14:59:59", 0, False),
        ("15:00:00", 0, True),
        ("14:30:00", 1_799, False),
        ("14:30:00", 1_800, True),
        ("08:00:00", 0, False),
        ("20:00:00", 12 * 3_600, True),  # midnight has passed
        ("11:45:00", 0, False),
    ],
)
def test_the_market_s_own_clock_says_when_the_day_is_over(exch, later_s, over):
    exch_s = int(np.datetime64(f"2025-07-15T{exch}", "s").astype(np.int64)) - 7 * 3_600
    recv_ns = 5_000_000_000
    assert is_over(exch_s, recv_ns, recv_ns + later_s * 10**9) is over


def test_where_nothing_was_heard_nothing_is_over():
    assert not is_over(0, 0, 10**18)


# --- the wire ------------------------------------------------------------------------------------


def test_a_query_in_another_process_sees_the_last_slot(rig):
    rig.start()
    rig.publish()
    rig.settle()
    client = TailClient(rig.context, f"ipc://{rig.data_dir}/tail.ipc", timeout_ms=30_000)
    answers = []
    history = History(history_root(rig.data_dir), client)
    asking = threading.Thread(
        target=lambda: answers.append(history.sql("SELECT count(*) AS n FROM trades"))
    )
    asking.start()
    while asking.is_alive():
        rig.turn()
        rig.agent.on_idle(1)
    asking.join()
    client.close()
    assert answers[0]["n"].to_pylist() == [expected(rig.about, rig.slots)["trades"].num_rows]
    assert rig.cell["tail_requests"] == 1
    assert history.tail_missing == 0

"""Time travel: from a moment on, the rows a shard gave then, at a speed, up to the live edge."""

import json
import subprocess
import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from engine import segment
from engine.bus.wire import HEADER_BYTES as HEADER
from engine.bus.wire import SECTION_BYTES as SECTION
from engine.bus.wire import decode
from engine.clock import DAY_S, ICT_OFFSET_S
from engine.journal import quarantine
from engine.journal.layout import HEADER_BYTES, JournalError, file_name
from engine.journal.records import RECORD_BYTES
from engine.process import EX_CONFIG
from engine.ring.layout import RING_SLOTS_MIN, format_ring, ring_bytes
from engine.ring.layout import view_ring as checked
from engine.rundir import RunDir
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, FEED, QUOTE, STATS, TRADE
from engine.schema.counters import SHARD_COUNTERS
from engine.schema.slots import rows_over
from engine.wiring import shard_past, travel
from engine.wiring.replay_journal import replay_shard
from engine.wiring.shard_past import ShardPast, Source
from engine.wiring.stages import fold_of
from engine.wiring.time_travel import exchange_day
from engine.wiring.travel import STEP_NS, Refused, Request, TimeTravel
from engine.wiring.upstream import Upstream
from tests.wiring.days import settings
from tests.wiring.recording import EPOCH_NS, LAST, TODAY, Rig, day_slots

EVERYTHING = {channel.code: None for channel in CHANNELS[1:] if not channel.board}
MIDNIGHT_S = TODAY * DAY_S - ICT_OFFSET_S
OPEN, LATE, NIGHT = 9 * 3_600 + 900, 14 * 3_600 + 2_100, 23 * 3_600  # 09:15, 14:35, 23:00
LIVE_EPOCH = EPOCH_NS + 7


class FakeTimer:
    """Time that passes when somebody sleeps."""

    def __init__(self):
        self.time_ns = 1_000
        self.on_sleep = lambda: None

    def now_ns(self):
        return self.time_ns

    def sleep_ns(self, duration_ns):
        assert duration_ns > 0
        self.time_ns += duration_ns
        self.on_sleep()


class Desk:
    """Who asked: keeps what it is told, and when."""

    def __init__(self, rig, from_s, speed=0.0, wanted=EVERYTHING):
        self.timer = FakeTimer()
        self.told = []  # time, frame
        self.on_write = lambda frame: None
        self.epoch, self.today = LIVE_EPOCH, True
        self.shards = [
            ShardPast(
                rig.folder, shard, rig.about, Source(rig._upstream(shard), lambda: self.epoch)
            )
            for shard in range(len(rig.slots))
        ]
        self.travel = TimeTravel(
            self.shards,
            Request(from_s, speed, wanted),
            MIDNIGHT_S + from_s,
            rig.about.symbols_max,
            self._write,
            lambda: self.today,
            self.timer,
        )

    def _write(self, message):
        frame = decode(message)
        self.told.append((self.timer.time_ns, frame))
        self.on_write(frame)

    def run(self):
        self.travel.run()
        return self

    @property
    def kinds(self):
        return [frame.kind for _, frame in self.told]

    def rows(self, kind):
        """Return (channel, symbol) -> its rows as bytes, in the order told."""
        found = {}
        for _, frame in self.told:
            for channel, rows in frame.sections if frame.kind is kind else ():
                for row in rows:
                    key = channel.name, int(row["symbol_id"])
                    found.setdefault(key, []).append(row.tobytes())
        return found

    def deltas(self):
        """Return (when told, rows) of every DELTA section."""
        return [
            (when, rows)
            for when, frame in self.told
            if frame.kind is BusKind.DELTA
            for _, rows in frame.sections
        ]


@pytest.fixture
def new_rig(tmp_path):
    made = []

    def make(shards=1):
        made.append(Rig(tmp_path, shards))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(new_rig):
    rig = new_rig()
    rig.publish()
    return rig


@cache
def undisturbed(shards):
    """Fold each shard's slots group by group, all day: (when it came, its rows) by group."""
    told = []
    for slots in day_slots(shards):
        fold = fold_of(Rig.about.fget(SimpleNamespace(day=TODAY, slots=(slots,) * shards)), 4_096)
        groups, start = [], 0
        for end in (np.flatnonzero(slots["flags"] & LAST) + 1).tolist():
            part = slots[start:end].copy()
            rows = [
                ((channel.name, int(row["symbol_id"])), row.tobytes())
                for channel, rows in fold.fold(rows_over(part, end - start))
                if channel.code in EVERYTHING
                for row in rows
            ]
            groups.append((int(part["recv_ns"].max()), rows))
            start = end
        told.append(groups)
    return told


def moment(slots, from_s):
    """When the first slot at or after an exchange time came."""
    found = [part["recv_ns"][part["exch_s"] >= MIDNIGHT_S + from_s] for part in slots]
    return min(int(times[0]) for times in found if len(times))


def wanted_of(shards, from_s):
    """What must be told: the latest row of each key before the moment, and all rows after it."""
    begin_ns = moment(day_slots(shards), from_s)
    snapshot, later = {}, {}
    for groups in undisturbed(shards):
        for came_ns, rows in groups:
            for key, row in rows:
                if came_ns < begin_ns:
                    snapshot[key] = [row]
                else:
                    later.setdefault(key, []).append(row)
    return snapshot, later


# --- the rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("from_s", [OPEN, LATE])
@pytest.mark.parametrize("speed", [0, 500])
def test_state_of_the_moment_then_every_row_since_as_the_shard_gave_it(
    new_rig, shards, from_s, speed
):
    rig = new_rig(shards)
    rig.publish()
    desk = Desk(rig, from_s, speed).run()
    snapshot, later = wanted_of(shards, from_s)
    assert desk.rows(BusKind.SNAPSHOT) == snapshot
    assert desk.rows(BusKind.DELTA) == later
    assert len(snapshot) > 10
    assert sum(map(len, later.values())) > 20


def test_a_snapshot_its_end_news_and_the_live_edge_in_this_order_under_the_live_epoch(rig):
    desk = Desk(rig, LATE).run()
    first_end = desk.kinds.index(BusKind.SNAPSHOT_END)
    assert set(desk.kinds[:first_end]) == {BusKind.SNAPSHOT}
    assert set(desk.kinds[first_end + 1 : -1]) == {BusKind.DELTA}
    assert desk.kinds[-1] is BusKind.SNAPSHOT_END
    assert {frame.epoch for _, frame in desk.told} == {LIVE_EPOCH}
    numbers = [frame.frame_seq for _, frame in desk.told if frame.kind is BusKind.DELTA]
    assert numbers == list(range(1, len(numbers) + 1))


def test_only_what_is_wanted_is_told(rig):
    everything = wanted_of(1, LATE)
    traded = next(symbol for name, symbol in everything[1] if name == "trade")
    desk = Desk(rig, LATE, wanted={TRADE.code: [traded, 60_000], QUOTE.code: None}).run()

    def mine(rows):
        return {
            key: told for key, told in rows.items() if key == ("trade", traded) or "quote" in key
        }

    assert desk.rows(BusKind.SNAPSHOT) == mine(everything[0])
    assert desk.rows(BusKind.DELTA) == mine(everything[1])
    assert ("trade", traded) in desk.rows(BusKind.DELTA)


def test_much_at_once_becomes_several_messages(rig, monkeypatch):
    limit = max(channel.dtype.itemsize for channel in CHANNELS) + HEADER + SECTION
    whole = Desk(rig, LATE).run()
    monkeypatch.setattr(travel, "FRAME_BYTES_MAX", limit)
    desk = Desk(rig, LATE).run()
    assert desk.rows(BusKind.SNAPSHOT) == whole.rows(BusKind.SNAPSHOT)
    assert desk.rows(BusKind.DELTA) == whole.rows(BusKind.DELTA)
    assert len(desk.told) > len(whole.told)
    assert max(frame.size_bytes for _, frame in desk.told) <= limit


def read_a_few(rig, monkeypatch, groups):
    """Let journals give only so many groups at a time."""
    read = shard_past.JournalReader.read
    ends = np.flatnonzero(rig.slots[0]["flags"] & LAST) + 1

    def few(reader, batch, until_seq):
        later = ends[ends > reader.next_seq][:groups]
        return read(reader, batch, int(later[-1]) if len(later) else until_seq)

    monkeypatch.setattr(shard_past.JournalReader, "read", few)


@pytest.mark.parametrize("groups", [1, 7])
def test_batches_do_not_show(rig, monkeypatch, groups):
    read_a_few(rig, monkeypatch, groups)
    desk = Desk(rig, LATE).run()
    assert (desk.rows(BusKind.SNAPSHOT), desk.rows(BusKind.DELTA)) == wanted_of(1, LATE)


def test_a_moment_that_is_yet_to_come_is_now(rig):
    desk = Desk(rig, NIGHT).run()
    assert desk.kinds.count(BusKind.SNAPSHOT_END) == 2
    assert BusKind.DELTA not in desk.kinds
    latest = desk.shards[0].fold.latest["stats"]
    told = [row for (name, _), (row,) in desk.rows(BusKind.SNAPSHOT).items() if name == "stats"]
    assert told == [row.tobytes() for row in latest[latest["seq"] > 0]]


def test_a_day_without_a_slot_is_live_at_once(new_rig):
    desk = Desk(new_rig(2), OPEN).run()
    assert desk.kinds == [BusKind.SNAPSHOT_END] * 2


# --- the pace ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2])
def test_a_row_is_told_when_it_is_due_and_all_shards_have_one_clock(new_rig, shards):
    rig = new_rig(shards)
    rig.publish()
    speed = 60
    desk = Desk(rig, LATE, speed).run()
    began_ns, came_ns = desk.told[0][0], moment(rig.slots, LATE)
    assert len(desk.deltas()) > 20
    for when_ns, rows in desk.deltas():
        due_ns = began_ns + (rows["recv_ns"] - came_ns) // speed
        assert (due_ns <= when_ns).all()
        assert (when_ns <= due_ns + STEP_NS).all()


def test_late_is_late_and_makes_nothing_else_late(rig):
    speed = 600
    punctual = Desk(rig, LATE, speed).run()
    slow = Desk(rig, LATE, speed)
    began_ns, came_ns = punctual.told[0][0], moment(rig.slots, LATE)
    slept_ns = 2_000_000_000  # 20 minutes of the tape
    written = []

    def stuck(frame):
        written.append(frame)
        if len(written) == len(punctual.told) // 2:
            slow.timer.time_ns += slept_ns

    slow.on_write = stuck
    slow.run()
    assert slow.rows(BusKind.DELTA) == punctual.rows(BusKind.DELTA)
    lag_ns = [
        int(when_ns - began_ns - (rows["recv_ns"][0] - came_ns) / speed)
        for when_ns, rows in slow.deltas()
    ]
    assert max(lag_ns) > slept_ns // 2
    assert lag_ns[-1] <= STEP_NS
    assert slow.told[-1][0] - punctual.told[-1][0] <= STEP_NS


@pytest.mark.parametrize("groups", [3, 100])
def test_a_clock_that_was_set_back_stands_still(new_rig, monkeypatch, groups):
    rig = new_rig()
    slots = rig.slots[0].copy()
    ends = np.flatnonzero(slots["flags"] & LAST) + 1
    for start, end in zip(ends[:-1:2], ends[1::2], strict=False):
        slots["recv_ns"][start:end] -= 3_600_000_000_000
    rig.slots = (slots,)
    rig.publish()
    read_a_few(rig, monkeypatch, groups)
    past = Desk(rig, OPEN).shards[0]
    times = []
    past.fetch()
    while past.waiting:
        times.append(past.next_ns)
        past.fold_until(past.next_ns)
        past.fetch()
    standing = np.maximum.accumulate(slots["recv_ns"][ends - 1])
    assert sorted(set(times)) == list(dict.fromkeys(times)) == np.unique(standing).tolist()
    assert times[-1] == past.newest_ns == slots["recv_ns"].max()
    assert past.fold.counts.slots == len(slots)


# --- the live edge -------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0, 300])
def test_what_comes_meanwhile_is_told_too_and_no_slot_before_its_shard_folded_it(new_rig, speed):
    rig = new_rig(2)
    rig.publish(40)
    rig.folded = 90
    desk = Desk(rig, OPEN, speed)

    def live_goes_on(*_frame):
        if all(shard._reader.next_seq <= rig.folded for shard in desk.shards):
            rig.publish(3)
            rig.folded += 9

    def folded_at_last():
        assert all(shard._reader.next_seq <= rig.folded for shard in desk.shards)
        live_goes_on()

    desk.on_write, desk.timer.on_sleep = live_goes_on, folded_at_last
    desk.run()
    later = wanted_of(2, OPEN)[1]
    told = desk.rows(BusKind.DELTA)
    for key, rows in told.items():
        assert rows == later[key][: len(rows)]
    reached = [shard._reader.next_seq for shard in desk.shards]
    assert all(
        reach == min(rig.folded, end) for reach, end in zip(reached, rig.published, strict=True)
    )


def test_the_edge_waits_for_a_shard_that_is_far_behind(rig):
    far = rig.published[0] + 10_000
    live = SimpleNamespace(published=far, folded=100)
    desk = Desk(rig, LATE)
    desk.shards[0]._source = Source(
        Upstream(lambda: live.published, lambda: live.folded, lambda: 0), lambda: LIVE_EPOCH
    )
    looks = []

    def on_sleep():
        looks.append(desk.kinds)
        if len(looks) == 20:
            live.published = live.folded = rig.published[0]

    desk.timer.on_sleep = on_sleep
    desk.run()
    assert looks[-1] == []
    assert desk.rows(BusKind.DELTA) == wanted_of(1, LATE)[1]


@pytest.mark.parametrize("what", ["epoch", "today"])
def test_a_tape_that_started_over_is_not_joined(rig, what):
    desk = Desk(rig, LATE)

    def start_over(frame):
        if frame.kind is BusKind.DELTA:
            desk.epoch, desk.today = (1, True) if what == "epoch" else (LIVE_EPOCH, False)

    desk.on_write = start_over
    with pytest.raises(Refused, match="started over"):
        desk.run()
    assert desk.kinds.count(BusKind.SNAPSHOT_END) == 1
    assert desk.rows(BusKind.DELTA) == wanted_of(1, LATE)[1]


# --- what the journal lacks ----------------------------------------------------------------------


def refusal(desk):
    with pytest.raises(Refused) as refused:
        desk.run()
    assert desk.kinds.count(BusKind.SNAPSHOT_END) == 1
    assert "/" not in str(refused.value)
    return str(refused.value)


def assert_folds_as_a_replay(rig, desk):
    again = replay_shard(rig.folder, 0, rig.about).fold
    ours = desk.shards[0].fold
    for name, latest in again.latest.items():
        assert ours.latest[name].tobytes() == latest.tobytes(), name


def test_a_damaged_slot_is_named_folded_as_lost_and_not_joined(rig, capsys):
    file = rig.folder / file_name(0, 0)
    data = bytearray(file.read_bytes())
    data[HEADER_BYTES + 100 * RECORD_BYTES + 60] ^= 4
    file.write_bytes(data)
    desk = Desk(rig, OPEN, wanted={FEED.code: None, STATS.code: None})
    assert "not whole" in (said := refusal(desk))
    assert "shard-0: damaged slots: 1" in said
    assert_folds_as_a_replay(rig, desk)
    assert f"byte {HEADER_BYTES + 100 * RECORD_BYTES}" in capsys.readouterr().err


def test_a_hole_is_named_folded_as_lost_and_not_joined(new_rig):
    rig = new_rig()
    rig.publish(40)
    first = rig.lose(9)
    rig.heal()
    rig.publish()
    desk = Desk(rig, OPEN, wanted={FEED.code: None})
    assert f"slots {first} to {first + 8} were not written" in refusal(desk)
    assert_folds_as_a_replay(rig, desk)


def test_a_disk_that_refuses_now_leaves_one_hole_that_grows(new_rig):
    rig = new_rig()
    rig.publish(60)
    first = rig.lose(3)
    desk = Desk(rig, OPEN, 300)
    desk.on_write = lambda frame: rig.lose(3) if rig.published[0] < first + 9 else None
    said = refusal(desk)
    assert f"(shard-0: slots {first} to {rig.published[0] - 1} were not written)" in said


def test_quarantined_slots_are_left_out_as_the_shard_left_them_out(rig):
    quarantine.add(rig.folder, 0, 100, 101, "killed 2 workers", 1)
    desk = Desk(rig, LATE).run()
    assert desk.kinds[-1] is BusKind.SNAPSHOT_END  # the shard lacks them too: it joins
    assert_folds_as_a_replay(rig, desk)


def test_slots_quarantined_meanwhile_are_left_out(new_rig):
    rig = new_rig()
    rig.publish()
    rig.folded = 100
    desk = Desk(rig, OPEN, 0)
    desk.shards[0].fetch()
    quarantine.add(rig.folder, 0, 100, 101, "killed 2 workers", 1)
    rig.quarantined, rig.folded = 1, None
    desk.run()
    assert_folds_as_a_replay(rig, desk)


def test_a_spoilt_list_of_quarantined_slots_ends_it(rig):
    quarantine.quarantine_file(rig.folder, 0).write_text("{")
    with pytest.raises(JournalError):
        Desk(rig, OPEN)


# --- the request ---------------------------------------------------------------------------------


def test_a_request():
    line = b'{"from_s": 33300, "speed": 20.0, "wanted": {"1": [4, 7], "2": null}}\n'
    assert Request.parse(line) == Request(OPEN, 20.0, {1: [4, 7], 2: None})


@pytest.mark.parametrize(
    "change",
    [
        {"from_s": -1},
        {"from_s": DAY_S},
        {"from_s": "09:15"},
        {"from_s": True},
        {"speed": -1},
        {"speed": "fast"},
        {"speed": None},
        {"speed": 1e999},
        {"wanted": {"trade": None}},
        {"wanted": {"99": None}},
        {"wanted": {"-1": None}},
        {"wanted": {"23": None}},  # the board's: no fold of a journal has it
        {"wanted": {"1": [0]}},
        {"wanted": {"1": ["FPT"]}},
        {"wanted": {"1": 7}},
        {"wanted": [1]},
    ],
    ids=str,
)
def test_a_bad_request_is_refused_whole(change):
    good = {"from_s": OPEN, "speed": 1, "wanted": {"1": [1]}}
    with pytest.raises(Refused):
        Request.parse(json.dumps(good | change).encode())


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b"null", b'"x"'])
def test_what_is_no_request_is_refused(line):
    with pytest.raises(Refused, match="from_s, speed and wanted"):
        Request.parse(line)


@pytest.mark.parametrize(
    ("last_exch_s", "day"),
    [
        (0, TODAY),  # nothing was heard yet
        (MIDNIGHT_S + OPEN, TODAY),
        (MIDNIGHT_S - 5 * DAY_S, TODAY - 5),  # a simulated feed
        (MIDNIGHT_S + DAY_S + 60, TODAY),  # a wrong stamp
    ],
)
def test_times_are_of_the_day_the_exchange_has(last_exch_s, day):
    assert exchange_day(TODAY, last_exch_s) == day


# --- the process ---------------------------------------------------------------------------------


@pytest.fixture
def instance(tmp_path):
    """A run directory of an instance whose one shard has folded all of a small day."""
    config = settings(tmp_path)
    rig = Rig(RunDir.data_dir(config))
    rig.publish()
    run = RunDir.of(config)
    run.path.mkdir()
    run.write_config(config)
    run.write_manifest({"day": TODAY, "epoch": EPOCH_NS})
    ring = segment.create(run.ring_file(0), ring_bytes(RING_SLOTS_MIN))
    format_ring(ring.memory, RING_SLOTS_MIN, EPOCH_NS, rig.published[0])
    assert checked(ring.memory).write_seq == rig.published[0]
    segment.create(run.counters_file("shard", 0), SHARD_COUNTERS.itemsize)
    cell = run.open_counters("shard", 0, writable=True)[0]
    cell["folded_seq"], cell["epoch"] = rig.published[0], LIVE_EPOCH
    cell["last_exch_s"] = MIDNIGHT_S + LATE
    yield run
    rig.close()


def process(run, line):
    """Run it; return its exit code, the frames and what it said."""
    code = (
        "import os, subprocess, sys; sys.exit(subprocess.call([*sys.argv[1:], str(os.getpid())]))"
    )
    argv = ["-m", "engine.wiring.time_travel", "--run-dir", str(run.path), "--parent"]
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, *argv],
        input=line,
        capture_output=True,
        check=False,
    )
    frames, rest = [], done.stdout
    while rest:
        size = int.from_bytes(rest[:4], "little")
        frames.append(decode(rest[4 : 4 + size]))
        rest = rest[4 + size :]
    return done.returncode, frames, done.stderr.decode().strip()


def request(**change):
    asked = {"from_s": LATE, "speed": 0, "wanted": {str(TRADE.code): None}}
    return json.dumps(asked | change).encode() + b"\n"


def test_the_process_speaks_bus_messages_behind_their_lengths(instance):
    code, frames, said = process(instance, request())
    assert (code, said) == (0, "")
    assert frames[-1].kind is BusKind.SNAPSHOT_END
    assert {frame.epoch for frame in frames} == {LIVE_EPOCH}
    told = [
        row.tobytes()
        for frame in frames
        if frame.kind is BusKind.DELTA
        for _, rows in frame.sections
        for row in rows
    ]
    wanted = wanted_of(1, LATE)[1]
    assert sorted(told) == sorted(
        row for key, rows in wanted.items() if "trade" in key for row in rows
    )


def test_the_process_refuses_in_words_for_clients(instance):
    code, frames, said = process(instance, request(speed=-1))
    assert (code, frames) == (EX_CONFIG, [])
    assert said == "speed is -1.0: it is a number, 0 for as fast as it is read"


def test_without_a_journal_there_is_no_past(instance, tmp_path):
    instance.write_config(settings(tmp_path, "journal.write=off"))
    code, frames, said = process(instance, request())
    assert (code, frames) == (EX_CONFIG, [])
    assert "journal.write is off" in said


def test_what_is_the_operators_is_said_with_another_code(instance):
    instance.manifest_file.unlink()
    code, frames, said = process(instance, request())
    assert (code, frames) == (1, [])
    assert "is no run directory" in said

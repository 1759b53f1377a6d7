"""The board process: shards in and a gateway out over real ipc sockets, on a clock of its own."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import zmq

from engine import segment
from engine.board.keys import KEYS
from engine.bus.publisher import Publisher
from engine.bus.subscriber import Subscriber
from engine.clock import ManualClock
from engine.config import load
from engine.errors import ConfigError
from engine.log import Log
from engine.rundir import RunDir
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, STATS, TRADE
from engine.schema.counters import BOARD_COUNTERS
from engine.wiring import board as board_module
from engine.wiring.supervisor import Supervisor
from tests.board.feed import CAPACITY, Feed
from tests.e2e.running import Process

WATCHDOG_S = 60.0
STEP_NS = 1_000_000
INTERVAL_MS = 100
SHARDS = 2
START_NS = 10**18


class Shards(Feed):
    """Two shards with real endpoints; what they say also goes to a board in this process."""

    def __init__(self, context, run_dir):
        super().__init__()
        self.context, self.run_dir = context, run_dir
        self.publishers, self.held = {}, {}
        for shard in range(SHARDS):
            self.open(shard, epoch=1)

    def open(self, shard, epoch):
        self.publishers[shard] = Publisher(
            self.context,
            self.run_dir.delta_endpoint(shard),
            self.run_dir.snapshot_endpoint(shard),
            shard,
            epoch,
        )
        self.held[shard] = {c.name: np.zeros(CAPACITY, c.dtype) for c in CHANNELS if not c.board}

    def tell(self, channel, rows, shard):
        super().tell(channel, rows, shard)
        self.publishers[shard].add(channel, rows)
        for row in rows:
            self.held[shard][channel.name][row["symbol_id"]] = row

    def restart(self, shard, epoch):
        self.publishers[shard].close()
        self.start_over(shard)
        self.open(shard, epoch)

    def turn(self, now_ns):
        for shard, publisher in self.publishers.items():
            publisher.flush(now_ns)
            publisher.serve(self.held[shard])


class Rig:
    """Shards, a board agent, and what a gateway would hear of the board."""

    def __init__(self, folder: Path):
        self.context = zmq.Context()
        self.run_dir = RunDir(folder)
        self.config = load(
            environ={},
            overrides=[
                f"engine.shards={SHARDS}",
                f"engine.symbols_max={CAPACITY}",
                f"board.interval_ms={INTERVAL_MS}",
            ],
        )
        segment.create(self.run_dir.counters_file("board", 0), BOARD_COUNTERS.itemsize)
        self.clock = ManualClock(START_NS)
        self.shards = Shards(self.context, self.run_dir)
        self.agent = self.start()
        self.gateway = self.listen()
        self.rows, self.frames = {}, []

    def start(self):
        return board_module.build(self.run_dir, self.config, self.context, self.clock)

    def listen(self):
        sources = range(SHARDS + 1)
        return Subscriber(
            self.context,
            [(self.run_dir.delta_endpoint(n), self.run_dir.snapshot_endpoint(n)) for n in sources],
        )

    def restart_board(self):
        self.agent._publisher.close()
        self.agent._subscriber.close()
        self.clock.advance_ns(STEP_NS)
        self.agent = self.start()

    def connect(self):
        """Until every stream is heard and nobody waits for a snapshot: nothing comes twice then."""
        heard = set()
        links = [*self.agent._subscriber._links, *self.gateway._links]
        for link in links:
            link.on_delta = self._hearing(heard, link)
        self.until(
            lambda: (
                len(heard) == len(links) and self.agent._subscriber.whole() and self.gateway.whole()
            ),
            "everybody is connected",
        )
        for link in links:
            del link.on_delta
        return self

    @staticmethod
    def _hearing(heard, link):
        listen = link.on_delta
        return lambda frame: heard.add(id(link)) or listen(frame)

    def turn(self, *, shards=True):
        """One round of everybody's loop; return whether anything moved."""
        self.clock.advance_ns(STEP_NS)
        if shards:
            self.shards.turn(self.clock.now_ns())
        done = self.agent.do_work()
        frames = [
            frame for frame in self.gateway.drain(100, self.clock.now_ns()) if frame.shard == SHARDS
        ]
        for frame in frames:
            for channel, rows in frame.sections:
                for row in rows:
                    self.rows[channel.name, KEYS[row["symbol_id"] - CAPACITY]] = row.copy()
        self.frames += frames
        return done or frames

    def until(self, condition, what, **how):
        """Turn until it is so; the watchdog speaks up if it never is."""
        end = time.monotonic() + WATCHDOG_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}"
            if not self.turn(**how):
                time.sleep(0.0005)  # sockets live on threads of their own

    def settle(self):
        """Until the gateway has what a board in one process says of the same rows."""
        self.shards.board.summarise()

        def equal():
            wanted = {
                (name, KEYS[row["symbol_id"] - CAPACITY]): body(row)
                for name, rows in self.shards.board.latest().items()
                for row in rows[rows["seq"] > 0]
            }
            return {key: body(row) for key, row in self.rows.items()} == wanted

        self.until(equal, "the gateway has what the shards add up to")

    @property
    def counters(self):
        return self.run_dir.open_counters("board", 0)[0]

    def close(self):
        self.gateway.close()
        self.context.destroy(linger=0)


def body(row):
    """Return what a row says, without its number and stamps."""
    return row.tobytes()[28:]


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig.connect()
    rig.close()


def two_shares(rig, last=11_000):
    rig.shards.introduce("AAA", shard=0)
    rig.shards.introduce("BBB", shard=1)
    for code in ("AAA", "BBB"):
        rig.shards.quoted(code, last, 10_000)


def market(rig, key="ALL"):
    return rig.rows.get(("market", key))


def test_sums_over_all_shards_reach_a_gateway(rig):
    two_shares(rig)
    rig.settle()
    assert market(rig)["symbol_count"] == 2
    assert market(rig)["advances"] == 2
    first = next(frame for frame in rig.frames if frame.sections)
    assert first.shard == SHARDS
    assert first.sections[0][0].name == "symbol"  # a row needs a name
    cell = rig.counters
    assert cell["bus_rows_read"] == 4
    assert cell["passes"] >= 1
    assert cell["bus_frames"] >= 1
    assert cell["bus_rows"] >= len(rig.rows)
    assert cell["epoch"] == first.epoch == START_NS
    assert cell["heartbeat_ns"] == rig.clock.now_ns()
    assert cell["pid"] > 0


def test_changes_within_the_interval_are_one_summary(rig):
    two_shares(rig)
    rig.settle()
    passes, read = int(rig.counters["passes"]), int(rig.counters["bus_rows_read"])
    began_ns = int(rig.agent._last_pass_ns)
    for last in (9_000, 10_500, 12_000):
        rig.shards.quoted("AAA", last, 10_000)
    rig.until(lambda: rig.counters["bus_rows_read"] == read + 3, "the board has read them")
    rig.settle()
    assert rig.counters["passes"] == passes + 1
    assert rig.agent._last_pass_ns - began_ns >= INTERVAL_MS * 1_000_000


def test_a_quiet_market_costs_beacons_and_no_summary(rig):
    two_shares(rig)
    rig.settle()
    passes, frame_seq = int(rig.counters["passes"]), int(rig.counters["bus_frames"])
    heard = []
    link = rig.gateway._links[SHARDS]
    listen = link.on_delta
    link.on_delta = lambda frame: heard.append(frame) or listen(frame)
    rig.until(lambda: len(heard) >= 2, "two beacons came")
    assert not any(frame.sections for frame in heard)
    assert rig.counters["passes"] == passes
    assert rig.counters["bus_frames"] == frame_seq
    rig.shards.put(TRADE, "AAA")  # goes into no summary
    read = int(rig.counters["bus_rows_read"])
    rig.until(lambda: rig.counters["bus_rows_read"] > read, "the trade was read")
    rig.clock.advance_ns(10**9)
    rig.turn()
    assert rig.counters["passes"] == passes


def test_a_late_gateway_gets_everything_said_last(rig):
    two_shares(rig)
    rig.settle()
    said = {key: (int(row["seq"]), body(row)) for key, row in rig.rows.items()}
    rig.gateway.close()
    rig.rows.clear()
    rig.frames.clear()
    rig.gateway = rig.listen()
    rig.until(rig.gateway.whole, "the snapshot came")
    assert {key: (int(row["seq"]), body(row)) for key, row in rig.rows.items()} == said
    assert BusKind.SNAPSHOT_END in {frame.kind for frame in rig.frames}
    assert rig.counters["snapshots"] >= 1


def test_a_restarted_board_sums_up_anew_in_a_new_epoch(rig):
    two_shares(rig)
    rig.settle()
    rig.restart_board()
    rig.rows.clear()
    rig.shards.quoted("AAA", 9_000, 10_000)
    rig.settle()
    assert rig.frames[-1].epoch > START_NS
    assert market(rig)["declines"] == 1
    assert market(rig)["seq"] <= 2


def test_a_shard_that_starts_over_is_counted_once(rig):
    two_shares(rig)
    for _ in range(3):
        rig.shards.quoted("BBB", 12_000, 10_000)
    rig.settle()
    rig.shards.restart(1, epoch=2)
    rig.shards.introduce("BBB", shard=1)
    rig.shards.quoted("BBB", 9_000, 10_000)  # seq 1 again, and the old seq 4 is void
    rig.settle()
    assert (market(rig)["symbol_count"], market(rig)["declines"]) == (2, 1)


def test_lost_frames_are_healed_by_a_snapshot(rig):
    two_shares(rig)
    rig.settle()
    publisher = rig.shards.publishers[1]
    sockets, publisher._deltas = publisher._deltas, Nowhere()
    rig.shards.quoted("BBB", 9_000, 10_000)
    publisher.flush(rig.clock.now_ns())
    publisher._deltas = sockets
    rig.settle()
    assert market(rig)["declines"] == 1
    assert rig.counters["bus_gaps"] == 1


class Nowhere:
    def send(self, *args, **kwargs):
        pass


def test_half_a_market_is_not_summed_up_before_the_wait_is_over(tmp_path):
    rig = Rig(tmp_path)
    try:
        two_shares(rig)
        rig.shards.publishers.pop(1).close()  # never says a word
        rig.until(lambda: rig.counters["bus_rows_read"] >= 2, "one shard was read")
        wait_ns = board_module.WHOLE_WAIT_NS
        while rig.clock.now_ns() - START_NS < wait_ns - 100 * STEP_NS:
            rig.clock.advance_ns(50 * STEP_NS)
            rig.turn()
            assert rig.counters["passes"] == 0
        rig.until(lambda: market(rig) is not None, "it does not wait for ever")
        assert market(rig)["symbol_count"] == 1
    finally:
        rig.close()


def test_the_agent_sleeps_until_the_next_summary_and_no_longer(rig, monkeypatch):
    two_shares(rig)
    rig.settle()
    waits = []

    class Poll:
        def register(self, fd, events):
            pass

        def poll(self, timeout_ms):
            waits.append(timeout_ms)

    monkeypatch.setattr(board_module.select, "poll", Poll)
    rig.until(lambda: not rig.agent.do_work(), "nothing is left")
    rig.agent._subscriber.pending = lambda: False
    rig.agent.on_idle(100)
    assert waits == [100]
    rig.agent._board.take(*news(rig))
    rig.agent._last_pass_ns = rig.clock.now_ns() - 40_000_000
    rig.agent.on_idle(100)
    assert waits[1:] == [61]
    rig.agent._subscriber.pending = lambda: True
    rig.agent.on_idle(100)
    assert len(waits) == 2


def news(rig):
    return STATS, rig.shards.row(STATS, "AAA", last_price_e2=1), 0


def test_what_came_before_a_stop_is_still_said(rig):
    two_shares(rig)
    rig.settle()
    rig.shards.quoted("AAA", 9_000, 10_000)
    rig.shards.turn(rig.clock.now_ns())
    # Nobody turns meanwhile: a turn would take the frame, and the close would have nothing to do.
    end = time.monotonic() + WATCHDOG_S
    while not rig.agent._subscriber.pending():
        assert time.monotonic() < end, "waited in vain until the frame is there"
        time.sleep(0.0005)
    rig.agent.close()
    rig.shards.board.summarise()
    assert rig.agent._board.latest()["market"]["declines"][0] == 1
    assert rig.agent._publisher.pending_bytes == 0


def test_a_bad_weights_file_is_refused_before_anything_starts(tmp_path):
    weights = tmp_path / "w.csv"
    weights.write_text("index,code,weight_pct\nVN30,FPT,lots\n")
    config = load(environ={}, overrides=[f"board.weights_file={weights}"])
    with pytest.raises(ConfigError, match=r"w\.csv, line 2: weight_pct"):
        Supervisor(config)


def test_a_board_restarted_on_a_file_gone_bad_goes_on_without_weights(tmp_path, capsys):
    config = load(environ={}, overrides=["board.weights_file=/nowhere/w.csv"])
    assert board_module.weights_or_none(config, Log("board", ManualClock(1))) == {}
    assert "board.weights_file /nowhere/w.csv cannot be read" in capsys.readouterr().err


def test_no_file_is_no_weights_and_a_missing_one_is_refused(tmp_path):
    assert board_module.read_weights("") == {}
    with pytest.raises(ConfigError, match="cannot be read"):
        board_module.read_weights(str(tmp_path / "none.csv"))
    path = tmp_path / "w.csv"
    path.write_bytes(b"\xef\xbb\xbfindex,code,weight_pct\r\nVN30,ACB,5\r\n")  # as Excel saves it
    assert board_module.read_weights(str(path)) == {"VN30": {"ACB": 5_000_000}}
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UnicodeDecodeError"):
        board_module.read_weights(str(path))


def process(folder):
    argv = ["-m", "engine.wiring.board", "--run-dir", str(folder), "--parent", str(os.getpid())]
    return Process(argv)


@pytest.mark.e2e
def test_the_process_serves_until_it_is_told_to_stop(rig):
    """The real command, in place of the agent; its clock is the machine's."""
    rig.agent._publisher.close()
    rig.agent._subscriber.close()
    rig.agent.do_work = lambda: 0
    rig.run_dir.write_manifest({})
    rig.run_dir.write_config(rig.config)
    board = process(rig.run_dir.path)
    try:
        two_shares(rig)
        rig.settle()
        assert market(rig)["advances"] == 2
        assert rig.counters["pid"] == board.popen.pid
    finally:
        code = board.stop(signal.SIGTERM)
    assert code == 0, board.text
    assert '"event": "stopped"' in board.text

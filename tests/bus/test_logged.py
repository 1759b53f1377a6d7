"""Publishers with a delta log: it has what the bus has, earlier, and never stops the tape."""

import numpy as np
import pytest
import zmq

from engine import segment
from engine.bus.delta_log import DeltaLogWriter, open_log, read_log
from engine.bus.wire import encode
from engine.clock import ManualClock
from engine.config import load
from engine.log import Log
from engine.rundir import RunDir
from engine.schema.bus import BusKind
from engine.schema.channels import QUOTE, TRADE
from engine.schema.counters import BOARD_COUNTERS
from engine.wiring import board
from tests.bus.bus import Bus

PLENTY_BYTES = 1 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deltas-1"


def read(path):
    return [frame.frame_seq for frame in read_log(path)]


class _Wire:
    """A delta socket that looks into the log at the moment of sending."""

    def __init__(self, path):
        self.path, self.sent, self.logged = path, 0, []

    def send(self, *args, **kwargs):
        self.sent += 1
        self.logged.append(read(self.path))


def test_a_frame_is_in_the_log_before_it_is_on_the_wire(tmp_path, path):
    bus = Bus(tmp_path, log=DeltaLogWriter(path, PLENTY_BYTES))
    try:
        socket, bus.publisher._deltas = bus.publisher._deltas, _Wire(path)
        for _ in range(2):
            bus.put(TRADE, 1)
            bus.put(QUOTE, 2)
            bus.publisher.flush(bus.now_ns)
        bus.publisher.flush(bus.now_ns + 10**9)  # a beacon is no news
        wire, bus.publisher._deltas = bus.publisher._deltas, socket
        assert wire.logged == [[1], [1, 2], [1, 2]]
    finally:
        bus.close()


def content(frame):
    return [(channel.name, rows.tobytes()) for channel, rows in frame.sections]


def test_the_log_says_what_the_bus_said(tmp_path, path):
    bus = Bus(tmp_path, log=DeltaLogWriter(path, PLENTY_BYTES))
    try:
        bus.connect()
        for _ in range(20):
            bus.put(TRADE, 1)
            bus.put(QUOTE, 3)
            bus.turn()
        bus.until(lambda: bus.subscriber._links[0].frame_seq == 20, "all frames came")
        heard = [frame for frame in bus.frames if frame.kind is BusKind.DELTA and frame.sections]
        kept = list(read_log(path))
        assert [frame.frame_seq for frame in kept] == list(range(1, 21))
        assert [
            [(channel.name, rows.tobytes()) for channel, rows in frame.sections] for frame in kept
        ] == [
            [(channel.name, rows.tobytes()) for channel, rows in frame.sections] for frame in heard
        ]
    finally:
        bus.close()


def test_publishing_goes_on_without_a_log(tmp_path):
    bus = Bus(tmp_path, log=DeltaLogWriter(tmp_path / "gone" / "deltas-0", PLENTY_BYTES))
    try:
        bus.connect()
        bus.put(TRADE, 1)
        bus.until(lambda: any(frame.sections for frame in bus.frames), "the trade came")
    finally:
        bus.close()


def test_the_sources_share_the_budget_and_none_means_no_log(tmp_path, capsys):
    run = RunDir(tmp_path)
    log = Log("shard-0", ManualClock(1))
    for resume_bytes, kept in ((12 << 20, 4 << 20), (0, None)):
        settings = [f"gateway.resume_bytes={resume_bytes}", "engine.shards=2"]
        writer = open_log(run, load(environ={}, overrides=settings), 2, log)
        assert (writer and writer._budget_bytes) == kept
        if writer is not None:
            for rows in (1, 60_000):  # the second is larger than the log
                trades = [(TRADE, np.zeros(rows, TRADE.dtype))]
                writer.append(memoryview(encode(BusKind.DELTA, 2, 1, 1, 1, trades)))
            writer.close()
    assert {file.name.split(".")[0] for file in tmp_path.iterdir()} == {"deltas-2"}
    assert capsys.readouterr().err.count("updates are not kept for gateways that start later") == 1


def test_the_board_keeps_a_log_as_the_source_after_the_shards(tmp_path):
    run = RunDir(tmp_path)
    segment.create(run.counters_file("board", 0), BOARD_COUNTERS.itemsize)
    with zmq.Context() as context:
        agent = board.build(run, load(environ={}, overrides=["engine.shards=3"]), context)
        agent._publisher.add(QUOTE, np.zeros(1, QUOTE.dtype))
        agent._publisher.flush(1)
        assert read(run.delta_log(3)) == [1]
        agent._publisher.close()
        agent._subscriber.close()

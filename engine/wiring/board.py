"""The board process: what all shards publish in, summaries over all of them out on the bus.

In: bus frames of every shard, as a gateway gets them. Out: bus frames and snapshots, as source
number ``engine.shards``. Owner of the memory: Board. May lose: a bus frame, when it is too slow
(counted; the snapshot that follows makes it whole). Counts: BOARD_COUNTERS.

A summary is made at most every ``board.interval_ms`` and only after something changed. While rows
of a shard are known to be missing it waits for them, `WHOLE_WAIT_NS` at most: half a market is no
market, but a shard that stays away must not silence the others. Every start is a new epoch: the
sums are made anew from the shards' snapshots, and gateways drop what an earlier board said.
"""

import argparse
import os
import select
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from engine.agent import choose_idle, run
from engine.board.board import Board
from engine.board.weights import Weights, parse_weights
from engine.bus.delta_log import open_log
from engine.bus.publisher import Publisher
from engine.bus.subscriber import Subscriber
from engine.bus.wire import BusFrame
from engine.clock import Clock, SystemClock
from engine.config import Config
from engine.errors import ConfigError
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.rundir import RunDir
from engine.schema.bus import BusKind

FRAMES_PER_TURN = 64  # of each shard
WHOLE_WAIT_NS = 5_000_000_000


class BoardAgent:
    """Reads the bus, sums up, publishes; `do_work` is one turn.

    Parameters
    ----------
    board
        What is known and said.
    subscriber
        All shards.
    publisher
        The board's own endpoints.
    counters
        BOARD_COUNTERS, shape (1,).
    interval_ns
        Least time between two summaries.
    """

    def __init__(
        self,
        board: Board,
        subscriber: Subscriber,
        publisher: Publisher,
        counters: NDArray[np.void],
        interval_ns: int,
        clock: Clock,
        log: Log,
    ) -> None:
        self._board = board
        self._subscriber = subscriber
        self._publisher = publisher
        self._cell = counters[0]
        self._interval_ns = interval_ns
        self._clock = clock
        self._log = log
        self._epochs: dict[int, int] = {}
        self._last_pass_ns = 0
        self._whole_ns = clock.now_ns()  # when nothing was missing, last
        self._cell["pid"], self._cell["started_ns"] = os.getpid(), clock.now_ns()
        self._cell["epoch"] = publisher.epoch

    def do_work(self) -> int:
        """Read what has come, sum up if it is time, answer snapshots. Return how much was done."""
        now_ns = self._clock.now_ns()
        frames = self._subscriber.drain(FRAMES_PER_TURN, now_ns)
        for frame in frames:
            self._take(frame)
        if self._due(now_ns):
            self._pass(now_ns)
        self._publisher.flush(now_ns)  # with nothing to send: a beacon now and then
        answered = self._publisher.serve(self._board.latest())
        self._heartbeat(answered)
        return len(frames) + answered

    def on_idle(self, timeout_ms: int) -> None:
        """Sleep until a message, the next summary or the timeout."""
        if self._subscriber.pending():  # descriptors are edge-triggered: what is here rings no more
            return
        if self._board.changed and self._subscriber.whole():
            left_ns = self._last_pass_ns + self._interval_ns - self._clock.now_ns()
            timeout_ms = min(timeout_ms, max(0, left_ns // 1_000_000 + 1))
        poll = select.poll()
        for fd in (*self._subscriber.fds(), self._publisher.snapshot_fd):
            poll.register(fd, select.POLLIN)
        poll.poll(timeout_ms)

    def _take(self, frame: BusFrame) -> None:
        if self._epochs.get(frame.shard, frame.epoch) != frame.epoch:
            self._board.start_over(frame.shard)
            self._log.write("info", "a shard starts over", shard=frame.shard)
        self._epochs[frame.shard] = frame.epoch
        self._cell["bus_frames_read"] += frame.kind is BusKind.DELTA and bool(frame.sections)
        for channel, rows in frame.sections:
            self._cell["bus_rows_read"] += len(rows)
            self._board.take(channel, rows, frame.shard)

    def _due(self, now_ns: int) -> bool:
        """Return whether to sum up now."""
        if self._subscriber.whole():
            self._whole_ns = now_ns
        if not self._board.changed or now_ns - self._last_pass_ns < self._interval_ns:
            return False
        return self._whole_ns == now_ns or now_ns - self._whole_ns >= WHOLE_WAIT_NS

    def _pass(self, now_ns: int) -> None:
        self._last_pass_ns = now_ns
        for channel, rows in self._board.summarise():
            self._publisher.add(channel, rows)
            self._cell["bus_rows"] += len(rows)
        self._cell["passes"] += 1
        self._cell["pass_ns"] += self._clock.now_ns() - now_ns

    def _heartbeat(self, answered: int) -> None:
        cell = self._cell
        cell["heartbeat_ns"] = self._clock.now_ns()
        cell["bus_gaps"] = self._subscriber.lost_frames
        cell["bus_frames"] = self._publisher.frame_seq
        cell["snapshots"] += answered

    def close(self) -> None:
        """Say what the last frames made of the sums."""
        now_ns = self._clock.now_ns()
        while frames := self._subscriber.drain(FRAMES_PER_TURN, now_ns):
            for frame in frames:
                self._take(frame)
        self._pass(now_ns)
        self._publisher.flush(now_ns)
        self._heartbeat(0)
        self._log.write("info", "stopped", passes=int(self._cell["passes"]))


def read_weights(path: str) -> Weights:
    """Read and check ``board.weights_file``; an empty path is no file and no weights.

    Raises
    ------
    ConfigError
        The file cannot be read, or a line cannot be.
    """
    if not path:
        return {}
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"board.weights_file {path} cannot be read ({type(error).__name__})"
        ) from None
    return parse_weights(text, f"board.weights_file {path}")


def weights_or_none(config: Config, log: Log) -> Weights:
    """Return the operator's weights; without them when the file has gone bad since the start.

    The supervisor refuses a bad file before anything runs. A board that is restarted in mid-day
    must not take the tape down with it.
    """
    try:
        return read_weights(config.board.weights_file)
    except ConfigError as error:
        event = "no weights file: baskets and weights are those of REST"
        log.write("error", event, reason=str(error))
        return {}


def build(
    run_dir: RunDir,
    config: Config,
    context: "zmq.Context[zmq.Socket[bytes]]",
    clock: Clock | None = None,
) -> BoardAgent:
    """Open counters and sockets and put the process together.

    Raises
    ------
    ConfigError
        An endpoint cannot be bound.
    """
    clock = clock or SystemClock()
    log = Log("board", clock)
    board = Board(config.engine.symbols_max, weights_or_none(config, log))
    shards = config.engine.shards
    publisher = Publisher(
        context,
        run_dir.delta_endpoint(shards),
        run_dir.snapshot_endpoint(shards),
        shard=shards,
        epoch=clock.now_ns(),
        log=open_log(run_dir, config, shards, log),
    )

    def report(text: str) -> None:
        log.write("warning", "bus frame refused", detail=text)

    subscriber = Subscriber(
        context,
        [
            (run_dir.delta_endpoint(shard), run_dir.snapshot_endpoint(shard))
            for shard in range(shards)
        ],
        report=report,
    )
    return BoardAgent(
        board,
        subscriber,
        publisher,
        run_dir.open_counters("board", 0, writable=True),
        config.board.interval_ms * 1_000_000,
        clock,
        log,
    )


def main() -> None:
    """Run the board: ``python -m engine.wiring.board`` as the supervisor starts it."""
    parser = argparse.ArgumentParser(prog="vntape-board")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    stop = StopFlag()
    die_with_parent(args.parent)
    run_dir = RunDir(args.run_dir)
    config = run_dir.read_config()
    with zmq.Context() as context:
        agent = build(run_dir, config, context)
        roles = 2 + config.engine.shards + config.gateway.count
        run(agent, choose_idle(config.engine.wait, roles, os.cpu_count() or 1), stop)
        agent.close()


if __name__ == "__main__":
    run_main("board", main)

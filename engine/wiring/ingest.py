"""The ingest process: SSI's socket in, rings out.

In: SignalR frames. Out: groups of slots, one ring per shard. Owner of the memory: the supervisor.
May lose: nothing once a frame was received; what the feed skipped shows as missed volume.
Counts: INGEST_COUNTERS. The socket is read whenever it has something: decoding happens at the
end of each loop turn over everything that turn brought, so load makes batches, not queues.
"""

import argparse
import asyncio
import os
import random
import signal
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from engine import segment
from engine.clock import Clock, SystemClock
from engine.config import Config, load_credentials
from engine.decode.symbols import SymbolTable
from engine.feed.source import Source
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from engine.log import Log
from engine.process import die_with_parent, run_main
from engine.ring.writer import RingWriter
from engine.rundir import RunDir
from engine.schema.codes import ControlOp, FeedState
from engine.wiring.intake import Intake
from engine.wiring.shard_map import shard_rule

HEARTBEAT_S = 0.1
PACE_POLL_S = 0.001
PACE_RESUME_SHARE = 4  # a paused source resumes once its readers are within ring/8


class IngestProcess:
    """Glues a Source to an Intake inside one event loop."""

    def __init__(
        self,
        source: Source,
        intake: Intake,
        writers: list[RingWriter],
        counters: NDArray[np.void],
        clock: Clock,
        log: Log,
        *,
        lossless: bool,
    ) -> None:
        self._source = source
        self._intake = intake
        self._writers = writers
        self._counters = counters
        self._clock = clock
        self._log = log
        self._lossless = lossless
        self._flush_due = False
        self._paused = False
        self._rejected_seen = 0

    # Sink -----------------------------------------------------------------------------------

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Collect a frame; decode once this loop turn has delivered all it had."""
        self._intake.on_frame(frame, recv_ns)
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def on_state(self, state: FeedState, detail: str) -> None:
        """Record a change of the feed's state: in the data, the counters and the log."""
        cell = self._counters[0]
        was = FeedState(int(cell["feed_state"]))
        if was <= FeedState.CONNECTING and state is FeedState.LIVE:
            cell["connects"] += 1
        if was > FeedState.CONNECTING and state <= FeedState.CONNECTING:  # STALE is no disconnect
            cell["disconnects"] += 1
        cell["feed_state"] = state
        self._intake.control(ControlOp.FEED_STATE, self._clock.now_ns(), int(state))
        self._log.write(
            "info" if state >= FeedState.CONNECTING else "warning",
            "feed",
            state=state.name,
            detail=detail,
        )

    # Loop -----------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flush_due = False
        self._intake.flush()
        if self._lossless and not self._paused and self._backlog_share() > 0.5:
            self._paused = True
            self._source.pause()
            asyncio.get_running_loop().call_later(PACE_POLL_S, self._resume_when_drained)

    def _backlog_share(self) -> float:
        return max(1 - writer.free_slots / writer.ring.capacity for writer in self._writers)

    def _resume_when_drained(self) -> None:
        if self._backlog_share() > 1 / (2 * PACE_RESUME_SHARE):
            asyncio.get_running_loop().call_later(PACE_POLL_S, self._resume_when_drained)
            return
        self._paused = False
        self._source.resume()

    def _heartbeat(self) -> None:
        cell = self._counters[0]
        cell["heartbeat_ns"] = self._clock.now_ns()
        rejected = int(cell["rejected"].sum())
        if rejected != self._rejected_seen:
            samples = {
                reason.name: sample[:200].decode("utf-8", "replace")
                for reason, sample in self._intake.decoder.samples.items()
            }
            if self._log.write("warning", "messages rejected", total=rejected, samples=samples):
                self._rejected_seen = rejected
        asyncio.get_running_loop().call_later(HEARTBEAT_S, self._heartbeat)

    async def run(self) -> None:
        """Read the feed until SIGTERM."""
        cell = self._counters[0]
        cell["pid"], cell["started_ns"] = os.getpid(), self._clock.now_ns()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._source.stop)
        self._heartbeat()
        await self._source.run(self)


def build(run: RunDir, config: Config, doorbells: list[int]) -> IngestProcess:
    """Open the shared memory and put the process together."""
    credentials = load_credentials(config)
    clock, feed = SystemClock(), config.feed
    counters = run.open_counters("ingest", 0, writable=True)
    symbols = SymbolTable(
        segment.open_writable(run.symbols_file).memory, shard_rule(config.engine.shards)
    )
    writers = [
        RingWriter(segment.open_writable(run.ring_file(shard)).memory, doorbell)
        for shard, doorbell in enumerate(doorbells)
    ]
    settings = FeedSettings(
        url=feed.url,
        stream_url=feed.stream_url,
        channels=feed.channels,
        consumer_id=credentials.consumer_id,
        consumer_secret=credentials.consumer_secret,
        reconnect_base_ms=feed.reconnect_base_ms,
        reconnect_cap_ms=feed.reconnect_cap_ms,
        connect_timeout_ms=feed.connect_timeout_ms,
    )
    source = SsiV2Source(settings, clock, random.Random())
    return IngestProcess(
        source,
        Intake(symbols, writers, counters),
        writers,
        counters,
        clock,
        Log("ingest", clock),
        lossless=config.engine.pace == "lossless",
    )


def main() -> None:
    """Run the ingest process: ``python -m engine.wiring.ingest`` as the supervisor starts it."""
    parser = argparse.ArgumentParser(prog="vntape-ingest")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--doorbells", required=True, help="eventfds of the rings, by shard")
    args = parser.parse_args()
    die_with_parent(args.parent)
    run = RunDir(args.run_dir)
    doorbells = [int(fd) for fd in args.doorbells.split(",")]
    process = build(run, run.read_config(), doorbells)
    uvloop.run(process.run())


if __name__ == "__main__":
    run_main("ingest", main)

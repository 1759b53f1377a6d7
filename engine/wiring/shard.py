"""A shard process: its ring in, stages over every batch, deltas out on the bus.

In: groups of slots. Out: bus frames and snapshots. Owner of the memory: ring by the supervisor,
state and outs by Fold. May lose: slots the ring overwrote (counted, flagged by the volume they
leave missing). Counts: SHARD_COUNTERS.

A restarted shard folds again what its ring still holds. If that is everything since the ring was
made, it arrives at the very sequence numbers it had and keeps its epoch; receivers drop what they
already know. If the ring was lapped, the past is gone: it takes a new epoch and its symbols start
from baselines.
"""

import argparse
import os
import select
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from engine import segment
from engine.agent import choose_idle, run
from engine.bus.publisher import Publisher
from engine.clock import Clock, SystemClock
from engine.config import Config
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.ring.reader import RingReader
from engine.rundir import RunDir
from engine.schema.channels import ALERTS
from engine.schema.segments import RING_HEADER
from engine.schema.slots import SLOT, rows_over
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from engine.wiring.accounts import Accounts
from engine.wiring.stages import make_fold

BATCH_SLOTS = 4_096
FLUSH_BYTES = 128 * 1024  # a full frame leaves at once; a smaller one when the ring is empty
LOSSLESS_SLEEP_MS = 1  # how long a paced shard waits for its gateways before it looks again
RESTART_JUMP = 1_000  # bus frames a killed shard may have sent after its last counter update;
#                       a jump in frame_seq makes every gateway ask for a snapshot
GAPS_WAITING_MAX = 10_000  # questions to an ingest that is away
CLOSE_LIMIT_NS = 1_000_000_000  # for what the ring still holds at a stop
LIVE_GATEWAY_NS = 2_000_000_000
LOSSLESS_FRAMES_MAX = 64  # bus frames a gateway may be behind in a paced run


class ShardAgent:
    """Folds its ring and publishes; `do_work` is one turn."""

    def __init__(
        self,
        shard: int,
        reader: RingReader,
        fold: Fold,
        publisher: Publisher,
        counters: NDArray[np.void],
        gateways: Sequence[NDArray[np.void]],
        clock: Clock,
        log: Log,
        accounts: Accounts,
        *,
        lossless: bool,
    ) -> None:
        self._accounts = accounts
        self._shard = shard
        self._reader = reader
        self._fold = fold
        self._publisher = publisher
        self._cell = counters[0]
        self._gateways = gateways
        self._clock = clock
        self._log = log
        self._lossless = lossless
        self._batch = np.zeros(BATCH_SLOTS, SLOT)
        self._rows = rows_over(self._batch, 0)
        self._lapped_seen = reader.lapped_slots
        self._cell["pid"], self._cell["started_ns"] = os.getpid(), clock.now_ns()
        self._cell["epoch"] = publisher.epoch
        self._cell["alerts"] = 0  # told anew from the ring, like everything the fold counts
        self._held = False

    def do_work(self) -> int:
        """Fold and publish one batch, or answer snapshots. Return how much was done."""
        self._held = self._lossless and self._gateways_lag() > LOSSLESS_FRAMES_MAX
        count = 0 if self._held else self._reader.poll(self._batch)
        if count:
            self._fold_batch(count)
        if count == 0 or self._publisher.pending_bytes >= FLUSH_BYTES:
            self._flush()
        if count == 0:
            self._accounts.when_idle(self._clock.now_ns())
        answered = self._publisher.serve(self._fold.latest)
        self._cell["snapshots"] += answered
        return count + answered

    def on_idle(self, timeout_ms: int) -> None:
        """Sleep until the doorbell, a snapshot request or the timeout."""
        if self._held:  # the ring has data, so its doorbell would not let us sleep
            select.poll().poll(LOSSLESS_SLEEP_MS)
        else:
            self._reader.park(timeout_ms, (self._publisher.snapshot_fd,))

    def _fold_batch(self, count: int) -> None:
        start_ns = self._clock.now_ns()
        sections = self._fold.fold(self._rows._replace(count=count))
        cell = self._cell
        cell["slots"] += count
        cell["last_exch_s"] = max(int(cell["last_exch_s"]), int(self._batch["exch_s"][count - 1]))
        kernel_ns = self._clock.now_ns()
        cell["kernel_ns"] += kernel_ns - start_ns
        for channel, rows in sections:
            self._publisher.add(channel, rows)
            cell["bus_rows"] += len(rows)
            if channel is ALERTS:
                cell["alerts"] += len(rows)
        self._accounts.take(sections)
        cell["publish_ns"] += self._clock.now_ns() - kernel_ns
        if self._reader.lapped_slots != self._lapped_seen:
            lost = self._reader.lapped_slots - self._lapped_seen
            self._lapped_seen += lost
            self._log.write("error", "ring overran this shard", lost_slots=lost)

    def _flush(self) -> None:
        start_ns = self._clock.now_ns()
        self._cell["bus_bytes"] += self._publisher.pending_bytes
        self._publisher.flush(start_ns)  # with nothing to send: a beacon now and then
        self._heartbeat()
        self._cell["publish_ns"] += self._clock.now_ns() - start_ns

    def _heartbeat(self) -> None:
        cell, counts = self._cell, self._fold.counts
        cell["heartbeat_ns"] = self._clock.now_ns()
        cell["bus_frames"] = self._publisher.frame_seq
        cell["lag_slots"] = self._reader.lag_slots
        cell["lapped_slots"] = self._reader.lapped_slots
        cell["matches"], cell["repeats"] = counts.matches, counts.repeats
        cell["corrections"], cell["baselines"] = counts.corrections, counts.baselines
        cell["missed_volume_shares"] = counts.missed_volume_shares
        cell["late"] = counts.late
        cell["gaps"], cell["gaps_open"] = self._accounts.gap_counts

    def close(self) -> None:
        """Fold what is left, leave the certificate and the digest that a replay must end on."""
        deadline_ns = self._clock.now_ns() + CLOSE_LIMIT_NS
        while self._reader.lag_slots and self._clock.now_ns() < deadline_ns:
            self.do_work()
        self._flush()
        self._accounts.write(self._clock.now_ns())
        self._log.write(
            "info", "stopped", slots=self._fold.counts.slots, digest=self._fold.digest()
        )

    def _gateways_lag(self) -> int:
        """Return how many bus frames the slowest live gateway is behind."""
        horizon_ns = self._clock.now_ns() - LIVE_GATEWAY_NS
        done = [
            int(cell[0]["done_bus_frame"][self._shard])
            for cell in self._gateways
            if cell[0]["heartbeat_ns"] > horizon_ns
        ]
        return self._publisher.frame_seq - min(done) if done else 0


def build(
    run_dir: RunDir,
    config: Config,
    shard: int,
    doorbell: int,
    context: "zmq.Context[zmq.Socket[bytes]]",
) -> ShardAgent:
    """Open the shared memory and put the process together."""
    clock = SystemClock()
    log = Log(f"shard-{shard}", clock)
    counters = run_dir.open_counters("shard", shard, writable=True)
    memory = segment.open_writable(run_dir.ring_file(shard)).memory
    reader = RingReader(memory, doorbell, start="oldest")
    complete = reader.read_seq == 0
    created_ns = int(segment.record_view(memory, RING_HEADER)[0]["created_ns"])
    # Bound before the kernels are loaded, so that gateways have found a restarted shard by the
    # time it publishes again what they may have missed.
    publisher = Publisher(
        context,
        run_dir.delta_endpoint(shard),
        run_dir.snapshot_endpoint(shard),
        shard=shard,
        epoch=created_ns if complete else clock.now_ns(),
    )
    if counters[0]["bus_frames"]:
        publisher.frame_seq = int(counters[0]["bus_frames"]) + RESTART_JUMP
    if not complete:
        log.write(
            "warning", "ring was lapped before this start: new epoch", oldest_seq=reader.read_seq
        )
    fold = make_fold(config.engine.symbols_max, BATCH_SLOTS, StageSettings.of(config), config.rules)
    fold.warm()
    gateways = [run_dir.open_counters("gateway", index) for index in range(config.gateway.count)]
    gaps: zmq.Socket[bytes] = context.socket(zmq.PUSH)
    gaps.set(zmq.SNDHWM, GAPS_WAITING_MAX)
    gaps.set(zmq.LINGER, 0)
    gaps.connect(run_dir.gaps_endpoint)
    accounts = Accounts(
        fold,
        shard,
        config.engine.shards,
        run_dir.data_dir(config),
        gaps,
        run_dir.open_counters("ingest", 0),
        log,
        clock.now_ns(),
    )
    return ShardAgent(
        shard,
        reader,
        fold,
        publisher,
        counters,
        gateways,
        clock,
        log,
        accounts,
        lossless=config.engine.pace == "lossless",
    )


def main() -> None:
    """Run a shard process: ``python -m engine.wiring.shard`` as the supervisor starts it."""
    parser = argparse.ArgumentParser(prog="vntape-shard")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--doorbell", type=int, required=True, help="eventfd of the ring")
    args = parser.parse_args()
    stop = StopFlag()
    die_with_parent(args.parent)
    run_dir = RunDir(args.run_dir)
    config = run_dir.read_config()
    with zmq.Context() as context:
        agent = build(run_dir, config, args.index, args.doorbell, context)
        roles = 2 + config.engine.shards + config.gateway.count  # and ingest and the board
        run(agent, choose_idle(config.engine.wait, roles, os.cpu_count() or 1), stop)
        agent.close()


if __name__ == "__main__":
    run_main("shard", main)

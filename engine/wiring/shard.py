"""A shard process: slots in, stages over every batch, deltas out on the bus.

In: groups of slots, from the ring or the journal. Out: bus frames and snapshots. Owner of the
memory: ring by the supervisor, state and outs by Fold. May lose: without a journal, slots the ring
overwrote (counted, flagged by the volume they leave missing). Counts: SHARD_COUNTERS.

A restarted shard goes on where its state was saved (`worker`), arrives at the very sequence numbers
it had and keeps its epoch; it says again what may not have reached everybody, and receivers drop
what they already know. Without a journal it folds again what the ring holds; if that is not
everything, or if the journal is damaged, it takes a new epoch and its symbols start from baselines.
"""

import argparse
import os
import select
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import numpy as np
import zmq
from numpy.typing import NDArray

from engine import segment
from engine.agent import choose_idle, run
from engine.bus.delta_log import open_log
from engine.bus.publisher import Publisher
from engine.clock import Clock, SystemClock
from engine.config import Config
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.ring.reader import RingReader
from engine.rundir import RunDir
from engine.schema.channels import ALERTS
from engine.schema.segments import RING_HEADER
from engine.shard.fold import Fold, Sections
from engine.shard.stage import StageSettings
from engine.wiring import last_words
from engine.wiring.accounts import Accounts
from engine.wiring.day_books import Ledger
from engine.wiring.recovery import begin_worker
from engine.wiring.stages import make_fold
from engine.wiring.worker import BATCH_SLOTS, Worker

FLUSH_BYTES = 128 * 1024  # a full frame leaves at once; a smaller one when the ring is empty
LOSSLESS_SLEEP_MS = 1  # how long a paced shard waits for its gateways before it looks again
RESTART_JUMP = 1_000  # bus frames a killed shard may have sent after its last counter update;
#                       a jump in frame_seq makes every gateway ask for a snapshot
GAPS_WAITING_MAX = 10_000  # questions to an ingest that is away
CLOSE_LIMIT_NS = 1_000_000_000  # for what the ring still holds at a stop
LIVE_GATEWAY_NS = 2_000_000_000
LOSSLESS_FRAMES_MAX = 64  # bus frames a gateway may be behind in a paced run
HEARTBEAT_NS = 100_000_000
SETTLE_NS = 1_000_000_000  # what was handed to the bus so long ago has left this process


class ShardAgent:
    """Turns a worker's rows into bus frames; `do_work` is one turn."""

    def __init__(
        self,
        shard: int,
        publisher: Publisher,
        counters: NDArray[np.void],
        gateways: Sequence[NDArray[np.void]],
        clock: Clock,
        log: Log,
        accounts: Accounts,
        make_worker: Callable[[Callable[[Sections, bool], None]], Worker],
        *,
        lossless: bool,
    ) -> None:
        self._accounts = accounts
        self._shard = shard
        self._publisher = publisher
        self._cell = counters[0]
        self._gateways = gateways
        self._clock = clock
        self._log = log
        self._lossless = lossless
        self._held = False
        self._digest_wanted = False
        self._worker = worker = make_worker(self._take)
        self._lost_seen = 0
        self._settling = (clock.now_ns(), worker.follower.next_seq)
        publisher.epoch = worker.epoch
        cell = self._cell
        cell["pid"], cell["started_ns"] = os.getpid(), clock.now_ns()
        cell["epoch"] = worker.epoch
        cell["slots"] = worker.fold.counts.slots
        cell["alerts"] = int(worker.fold.latest[ALERTS.name]["seq"].sum())

    def do_work(self) -> int:
        """Fold and publish one batch, or answer snapshots. Return how much was done."""
        worker, now_ns = self._worker, self._clock.now_ns()
        was_live = worker.live
        self._held = self._lossless and was_live and self._gateways_lag() > LOSSLESS_FRAMES_MAX
        count = 0 if self._held else self._step(now_ns)
        if worker.live and not was_live:
            self._went_live()
        if count == 0 or self._publisher.pending_bytes >= FLUSH_BYTES:
            self._flush()
        elif now_ns - int(self._cell["heartbeat_ns"]) >= HEARTBEAT_NS:
            self._heartbeat()  # long and quiet: a day is folded again
        idle = count == 0 and not self._held
        if idle:
            self._accounts.when_idle(now_ns)
        if worker.live and worker.save_if_due(now_ns, idle=idle):
            self._cell["state_ns"] += self._clock.now_ns() - now_ns
        if self._digest_wanted:
            self._say_digest()
        # Not before it is what was there at our start: nobody may see an older state than before.
        answered = self._publisher.serve(worker.fold.latest) if worker.live else 0
        self._cell["snapshots"] += answered
        return count + answered

    def on_idle(self, timeout_ms: int) -> None:
        """Sleep until the doorbell, a snapshot request or the timeout."""
        if self._held:  # the ring has data, so its doorbell would not let us sleep
            select.poll().poll(LOSSLESS_SLEEP_MS)
        else:
            self._worker.follower.park(timeout_ms, (self._publisher.snapshot_fd,))

    def want_digest(self, _signal: int, _frame: FrameType | None) -> None:
        """Log the digest after the present batch: the handler of SIGUSR1."""
        self._digest_wanted = True

    def _step(self, now_ns: int) -> int:
        cell, worker = self._cell, self._worker
        before_ns = int(cell["publish_ns"])
        count = worker.step(now_ns)
        if count:
            took_ns = self._clock.now_ns() - now_ns
            cell["kernel_ns"] += took_ns - (int(cell["publish_ns"]) - before_ns)
            cell["last_exch_s"] = max(
                int(cell["last_exch_s"]), int(worker.batch["exch_s"][count - 1])
            )
        follower = worker.follower
        if follower.lost_slots + follower.damaged_slots != self._lost_seen:
            self._report_losses()
        return count

    def _take(self, sections: Sections, publish: bool) -> None:
        """Hand on what one fold gave."""
        start_ns = self._clock.now_ns()
        cell, publisher = self._cell, self._publisher
        if publish and publisher.epoch != self._worker.epoch:
            publisher.epoch = cell["epoch"] = self._worker.epoch
        for channel, rows in sections:
            if channel is ALERTS:
                cell["alerts"] += len(rows)
            if publish:
                publisher.add(channel, rows)
                cell["bus_rows"] += len(rows)
        self._accounts.take(sections, news=publish)
        cell["publish_ns"] += self._clock.now_ns() - start_ns

    def _went_live(self) -> None:
        worker, cell = self._worker, self._cell
        self._publisher.epoch = cell["epoch"] = worker.epoch
        self._accounts.ask_again()
        if cell["replayed_slots"]:
            self._log.write(
                "info",
                "caught up",
                folded_slots=int(cell["replayed_slots"]),
                at_seq=worker.follower.next_seq,
                took_ms=(int(cell["live_ns"]) - int(cell["started_ns"])) // 1_000_000,
            )

    def _report_losses(self) -> None:
        follower, cell = self._worker.follower, self._cell
        self._lost_seen = follower.lost_slots + follower.damaged_slots
        cell["damaged_slots"] = follower.damaged_slots
        first = follower.damage[-1] if follower.damage else None
        self._log.write(
            "error",
            "slots could not be had: the tape goes on without them",
            overwritten=follower.lost_slots,
            damaged=follower.damaged_slots,
            last=str(first or follower.error),
        )

    def _flush(self) -> None:
        start_ns = self._clock.now_ns()
        cell, follower = self._cell, self._worker.follower
        cell["bus_bytes"] += self._publisher.pending_bytes
        self._publisher.flush(start_ns)  # with nothing to send: a beacon now and then
        cell["folded_seq"] = follower.next_seq
        since_ns, seq = self._settling
        if start_ns - since_ns >= SETTLE_NS:
            cell["settled_seq"] = seq
            self._worker.settle(seq)
            self._settling = (start_ns, follower.next_seq)
        self._heartbeat()
        cell["publish_ns"] += self._clock.now_ns() - start_ns

    def _heartbeat(self) -> None:
        cell, counts, follower = self._cell, self._worker.fold.counts, self._worker.follower
        cell["heartbeat_ns"] = self._clock.now_ns()
        cell["bus_frames"] = self._publisher.frame_seq
        cell["lag_slots"] = follower.lag_slots
        cell["lapped_slots"] = follower.lost_slots
        cell["caught_up_slots"] = follower.journal_slots
        cell["matches"], cell["repeats"] = counts.matches, counts.repeats
        cell["corrections"], cell["baselines"] = counts.corrections, counts.baselines
        cell["missed_volume_shares"] = counts.missed_volume_shares
        cell["late"] = counts.late
        cell["gaps"], cell["gaps_open"] = self._accounts.gap_counts

    def _say_digest(self) -> None:
        self._digest_wanted = False
        fold: Fold = self._worker.fold
        self._log.write(
            "info", "digest", digest=str(fold.digest()), seq=self._worker.follower.next_seq
        )

    def close(self) -> None:
        """Fold what is left, leave the certificate and the digest that a replay must end on."""
        deadline_ns = self._clock.now_ns() + CLOSE_LIMIT_NS
        while self._worker.follower.lag_slots and self._clock.now_ns() < deadline_ns:
            self.do_work()
        self._flush()
        self._accounts.write(self._clock.now_ns())
        fold = self._worker.fold
        self._log.write("info", "stopped", slots=fold.counts.slots, digest=str(fold.digest()))

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
    # Bound before the kernels are loaded, so that gateways have found a restarted shard by the
    # time it publishes again what they may have missed.
    publisher = Publisher(
        context,
        run_dir.delta_endpoint(shard),
        run_dir.snapshot_endpoint(shard),
        shard=shard,
        epoch=int(segment.record_view(memory, RING_HEADER)[0]["created_ns"]),
        log=open_log(run_dir, config, shard, log),
    )
    if counters[0]["bus_frames"]:
        publisher.frame_seq = int(counters[0]["bus_frames"]) + RESTART_JUMP
    fold = make_fold(
        config.engine.symbols_max,
        BATCH_SLOTS,
        StageSettings.of(config),
        config.rules,
        hash_deltas=True,
    )
    fold.warm()
    ledger = Ledger(fold)
    gateways = [run_dir.open_counters("gateway", index) for index in range(config.gateway.count)]
    gaps: zmq.Socket[bytes] = context.socket(zmq.PUSH)
    gaps.set(zmq.SNDHWM, GAPS_WAITING_MAX)
    gaps.set(zmq.LINGER, 0)
    gaps.connect(run_dir.gaps_endpoint)
    accounts = Accounts(
        ledger,
        shard,
        config.engine.shards,
        run_dir.data_dir(config),
        gaps,
        run_dir.open_counters("ingest", 0),
        log,
        clock.now_ns(),
    )

    def make_worker(take: Callable[[Sections, bool], None]) -> Worker:
        return begin_worker(
            run_dir, config, shard, reader, fold, ledger, counters[0], take, clock.now_ns(), log
        )

    return ShardAgent(
        shard,
        publisher,
        counters,
        gateways,
        clock,
        log,
        accounts,
        make_worker,
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
        last_words.keep(run_dir.crash_file(args.index))  # those of the last life are read by now
        signal.signal(signal.SIGUSR1, agent.want_digest)
        roles = 2 + config.engine.shards + config.gateway.count  # and ingest and the board
        run(agent, choose_idle(config.engine.wait, roles, os.cpu_count() or 1), stop)
        agent.close()


if __name__ == "__main__":
    run_main("shard", main)

"""The recorder process: the day's journals in, the history out.

In: journals of all shards, as far as these have folded them. Out: Parquet segments; over a local
socket, the rows that are in none yet. Owner of the memory: folds and rows of its own. May lose:
what the journals do not have (`missing_slots`). Counts: RECORDER_COUNTERS.

It reads what others write, and nobody waits for it: it runs at low priority, falls behind when the
machine is busy, and catches up. What it commits is a function of the journals, so one that is
killed goes on where the history ends. When the disk refuses it tries for ever, with bounded memory.

After the close of the market the day is committed to its end and compacted. Days that were left
unfinished are finished when there is nothing else to do.
"""

import argparse
import os
import select
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zmq

from engine import segment
from engine.agent import park, run
from engine.clock import Clock, SystemClock
from engine.config import Config, HistoryConfig
from engine.errors import ConfigError, SchemaMismatch
from engine.history.catalogue import commit_folder
from engine.history.compaction import Compactor
from engine.history.segments import SegmentStore
from engine.history.tail import Tail, TailServer
from engine.journal.days import journal_root, read_about
from engine.journal.layout import JournalError
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.ring.layout import view_ring
from engine.rundir import RunDir
from engine.wiring.after_close import is_over
from engine.wiring.day_record import DayRecord, Pace
from engine.wiring.past_days import Finisher, past_days
from engine.wiring.segment_writer import RETRY_NS, SegmentWriter
from engine.wiring.today import Today
from engine.wiring.upstream import Upstream

NICE = 10  # the tape comes first
IDLE_NS = 60_000_000_000  # so long nothing was published, and the market is closed: the day is over
AGAIN_NS = 3_600_000_000_000  # late news compacts a day again, but not more often than this
CLOSE_LIMIT_S = 2.5  # what a stop may take; the journal has what is not committed by then
NAP_S = 0.002


def history_root(data_dir: Path) -> Path:
    """Return the folder of the history of an instance."""
    return data_dir / "history"


class RecorderAgent:
    """Records today, finishes other days, answers for what is not written; see `do_work`.

    Parameters
    ----------
    today
        The trading day that the rings are of.
    data_dir
        Where the instance keeps its files.
    upstreams
        By shard: how far its journal may be read.
    settings
        Section [history].
    tails
        Where questions come in.
    cell
        RECORDER_COUNTERS, one record.
    executor
        Has one thread for the disk.
    """

    def __init__(
        self,
        today: Today,
        data_dir: Path,
        upstreams: Sequence[Upstream],
        settings: HistoryConfig,
        tails: TailServer,
        cell: np.void,
        executor: Executor,
        clock: Clock,
        log: Log,
    ) -> None:
        self._today = today
        self._upstreams = upstreams
        self._settings = settings
        self._tails = tails
        self._cell = cell
        self._clock = clock
        self._log = log
        self._pace = Pace(settings.segment_ms * 1_000_000, settings.segment_rows_max)
        self._store = SegmentStore(history_root(data_dir))
        compactor = Compactor(
            self._store, threads=settings.threads, memory_bytes=settings.memory_bytes
        )
        self._writer = SegmentWriter(self._store, compactor, executor, cell, log)
        found = past_days(
            journal_root(data_dir), self._store, compactor, today.day, settings.keep_days, log
        )
        self._finisher = Finisher(found, self._writer, self._pace, log)
        self._looked_after = False
        self._record: DayRecord | None = None
        self._trouble = ""  # why today's journal cannot be read
        self._retry_ns = 0
        self._news_ns = clock.now_ns()  # when something was last folded
        self._compacted_ns = 0
        self._compacted_seqs: list[int] = []
        self._requests_before = int(cell["tail_requests"])
        cell["pid"], cell["started_ns"] = os.getpid(), clock.now_ns()
        self._heartbeat()

    def do_work(self) -> int:
        """Record a piece, finish a piece, answer. Return how much was done."""
        now_ns = self._clock.now_ns()
        self._writer.poll(now_ns)
        done = self._fold(now_ns)
        if not self._looked_after:
            self._looked_after = True
            self._writer.look_after(self._today.day, self._settings.keep_days)
        if not done:
            done = self._end_day(now_ns) or self._finisher.turn(now_ns)
        answered = self._tails.serve(self._tail)
        self._heartbeat()
        return done + answered

    def on_idle(self, timeout_ms: int) -> None:
        """Sleep until a question comes, or the timeout: then the rings are looked at again."""
        poll = select.poll()
        poll.register(self._tails.fd, select.POLLIN)
        poll.poll(timeout_ms)

    def _fold(self, now_ns: int) -> int:
        """Fold what is new today; a journal that cannot be read is tried again."""
        if now_ns < self._retry_ns:
            return 0
        try:
            if self._record is None:
                self._record = self._begin()
            count = self._record.turn(now_ns)
        except (ConfigError, JournalError, SchemaMismatch, OSError) as error:
            self._trouble = str(error)
            self._retry_ns = now_ns + RETRY_NS
            self._log.write("error", "the journal is not recorded", reason=self._trouble)
            return 0
        self._trouble = ""
        self._cell["slots"] += count
        if count:
            self._news_ns = now_ns
        return count

    def _begin(self) -> DayRecord:
        """Return today's record, standing before its first slot.

        Raises
        ------
        ConfigError, JournalError
            The journal is not there, cannot be folded, or is not the one the history is of.
        """
        day, folder = self._today.day, self._today.folder
        about = read_about(folder) if folder is not None else None
        if folder is None or about is None:
            raise JournalError(f"{folder} has no about.json: there is no journal to record")
        self._store.recover(day)
        committed_seqs = [self._store.committed_seq(day, shard) for shard in range(about.shards)]
        for shard, (committed, upstream) in enumerate(
            zip(committed_seqs, self._upstreams, strict=True)
        ):
            if committed > upstream.published():
                raise JournalError(
                    f"the history of shard-{shard} knows {committed} slots, its journal "
                    f"{upstream.published()}: it is of another journal. To record this one, move "
                    f"{commit_folder(self._store.root, day)} away"
                )
        return DayRecord(
            day, folder, about, committed_seqs, self._upstreams, self._writer, self._pace
        )

    def _end_day(self, now_ns: int) -> int:
        """Commit and compact today's rows once the market is closed and nothing comes any more."""
        record = self._record
        if record is None or self._writer.busy or record.lag_slots:
            return 0
        seqs = [shard.next_seq for shard in record.shards]
        newest = max(record.shards, key=lambda shard: shard.last_exch_s)
        if (
            seqs == self._compacted_seqs
            or now_ns - self._news_ns < IDLE_NS
            or (self._compacted_ns and now_ns - self._compacted_ns < AGAIN_NS)
            or not is_over(newest.last_exch_s, newest.last_recv_ns, now_ns)
        ):
            return 0
        if record.commit_rest():
            self._compacted_seqs, self._compacted_ns = seqs, now_ns
            self._writer.compact(record.day)
        return 1

    def _tail(self, names: list[str]) -> Tail | None:
        """Return what no commit has; None while that is not known, shortly after a start."""
        return None if self._record is None else self._record.tail(names)

    def _heartbeat(self) -> None:
        cell, record = self._cell, self._record
        cell["heartbeat_ns"] = self._clock.now_ns()
        cell["failing"] = bool(self._writer.failing or self._trouble)
        cell["tail_requests"] = self._requests_before + self._tails.requests
        if record is None:
            return
        cell["lag_slots"], cell["tail_rows"] = record.lag_slots, record.rows
        for shard in record.shards:
            cell["committed_seq"][shard.shard] = shard.committed_seq
        missing_slots = sum(shard.missing_slots for shard in record.shards)
        if missing_slots != cell["missing_slots"]:
            cell["missing_slots"] = missing_slots
            last = next((text for shard in record.shards if (text := shard.trouble)), "")
            self._log.write(
                "error", "slots are missing in the journal", slots=missing_slots, example=last
            )

    def close(self) -> None:
        """Commit what there is, as far as the time allows."""
        deadline = time.monotonic() + CLOSE_LIMIT_S
        while time.monotonic() < deadline:
            now_ns = self._clock.now_ns()
            self._writer.poll(now_ns)
            if self._fold(now_ns):
                continue
            if self._record is None or self._writer.failing or self._record.commit_rest():
                break
            time.sleep(NAP_S)
        self._heartbeat()
        self._tails.close()
        self._log.write("info", "stopped", slots=int(self._cell["slots"]))


def build(
    run_dir: RunDir,
    config: Config,
    context: "zmq.Context[zmq.Socket[bytes]]",
    executor: Executor,
    clock: Clock | None = None,
) -> RecorderAgent:
    """Open counters, rings and the socket and put the process together.

    Raises
    ------
    ConfigError
        The endpoint cannot be bound.
    """
    clock = clock or SystemClock()
    upstreams = [
        Upstream.live(
            view_ring(segment.open_readonly(run_dir.ring_file(shard)).memory),
            run_dir.open_counters("shard", shard)[0],
        )
        for shard in range(config.engine.shards)
    ]
    return RecorderAgent(
        Today.of(run_dir, config),
        run_dir.data_dir(config),
        upstreams,
        config.history,
        TailServer(context, run_dir.tail_endpoint),
        run_dir.open_counters("recorder", 0, writable=True)[0],
        executor,
        clock,
        Log("recorder", clock),
    )


def main() -> None:
    """Run the recorder: ``python -m engine.wiring.recorder`` as the supervisor starts it."""
    parser = argparse.ArgumentParser(prog="vntape-recorder")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    stop = StopFlag()
    die_with_parent(args.parent)
    os.nice(NICE)
    run_dir = RunDir(args.run_dir)
    config = run_dir.read_config()
    executor = ThreadPoolExecutor(1, "segments")  # inherits our priority
    with zmq.Context() as context:
        agent = build(run_dir, config, context, executor)
        run(agent, park, stop)
        agent.close()
    executor.shutdown(wait=False)


if __name__ == "__main__":
    run_main("recorder", main)

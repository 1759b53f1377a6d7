"""The path bench's stand-in for ingest: frames come from memory instead of a socket.

Started by the supervisor with ingest's own arguments, so everything behind the frames is what
production runs. It renders the workload, waits until a client has subscribed, and plays it as
fast as the rings take it: a replay source may wait for its readers, so nothing may be lost.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from bench.workload import build
from engine import segment
from engine.clock import SystemClock
from engine.decode.symbols import SymbolTable
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.ring.writer import RingWriter
from engine.rundir import RunDir
from engine.schema.codes import FeedState
from engine.wiring.intake import SCRATCH_SLOTS, Intake
from engine.wiring.journaling import open_journals
from engine.wiring.shard_map import shard_rule
from engine.wiring.today import Today

POLL_S = 0.002
FULL_POLL_S = 0.0002
START_FILE = "bench-start-ns"


def main() -> None:
    """Play the workload named by BENCH_SIZE once."""
    parser = argparse.ArgumentParser(prog="bench-frame-source")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--doorbells", required=True)
    args = parser.parse_args()
    stop, clock = StopFlag(), SystemClock()
    die_with_parent(args.parent)
    run = RunDir(args.run_dir)
    config = run.read_config()
    counters = run.open_counters("ingest", 0, writable=True)
    gateway = run.open_counters("gateway", 0)
    symbols = SymbolTable(
        segment.open_writable(run.symbols_file).memory, shard_rule(config.engine.shards)
    )
    writers = [
        RingWriter(segment.open_writable(run.ring_file(shard)).memory, int(fd))
        for shard, fd in enumerate(args.doorbells.split(","))
    ]
    log, journals, today = Log("source", clock), None, Today.of(run, config)
    if today.folder is not None:
        journals, _ = open_journals(
            config.journal, today, writers, counters[0], log, clock.now_ns()
        )
    intake = Intake(symbols, writers, counters, journals=journals)
    work = build(os.environ["BENCH_SIZE"], int(os.environ["BENCH_MESSAGES_PER_FRAME"]))
    room_slots = min(SCRATCH_SLOTS, writers[0].ring.capacity // 2)
    counters[0]["pid"], counters[0]["feed_state"] = os.getpid(), FeedState.LIVE
    counters[0]["heartbeat_ns"] = clock.now_ns()
    while not (gateway[0]["subscriptions"] or stop()):
        time.sleep(POLL_S)
    start_ns = clock.now_ns()
    for batch in work.batches:
        while min(writer.free_slots for writer in writers) < room_slots and not stop():
            time.sleep(FULL_POLL_S)
        intake.flush_batch(batch)
    played_ns = clock.now_ns()
    rejected = int(counters[0]["rejected"].sum())
    (run.path / START_FILE).write_text(
        f"{start_ns} {played_ns} {work.message_count} {work.frame_bytes} {rejected}\n",
        encoding="ascii",
    )
    print(f"bench: played {work.message_count} messages", file=sys.stderr, flush=True)
    while not stop():
        if journals is not None:
            journals.report()
        counters[0]["heartbeat_ns"] = clock.now_ns()
        time.sleep(0.05)


if __name__ == "__main__":
    run_main("bench-frame-source", main)

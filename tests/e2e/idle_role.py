"""An ingest or a shard that does nothing but live: ``python -m tests.e2e.idle_role``.

It notes in the run directory which trading day it found at its start.
"""

import argparse
import os
import time
from pathlib import Path

from engine.clock import SystemClock
from engine.process import StopFlag, die_with_parent, run_main
from engine.rundir import RunDir
from engine.wiring.today import Today


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--index", type=int, help="given to a shard")
    parser.add_argument("--doorbell", type=int)
    parser.add_argument("--doorbells")
    args = parser.parse_args()
    stop, clock, run = StopFlag(), SystemClock(), RunDir(args.run_dir)
    die_with_parent(args.parent)
    role, index = ("ingest", 0) if args.index is None else ("shard", args.index)
    today = Today.of(run, run.read_config())
    with (run.path / f"starts-{role}-{index}").open("a", encoding="ascii") as starts:
        starts.write(f"{today.day} {today.epoch} {os.getpid()}\n")
    cell = run.open_counters(role, index, writable=True)[0]
    cell["pid"] = os.getpid()
    while not stop():
        cell["heartbeat_ns"] = clock.now_ns()
        time.sleep(0.01)


if __name__ == "__main__":
    run_main("idle", main)

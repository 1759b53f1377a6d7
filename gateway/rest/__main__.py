"""A REST process as the supervisor starts it: ``python -m gateway.rest --run-dir DIR``."""

import argparse
import os
from pathlib import Path

import uvloop

from engine.clock import SystemClock
from engine.process import die_with_parent, run_main
from engine.rundir import RunDir
from engine.status import Sources
from gateway.rest.serve import serve
from gateway.rest.settings import settings_of


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="vntape-rest")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    die_with_parent(args.parent)
    run_dir, clock = RunDir(args.run_dir), SystemClock()
    config = run_dir.read_config()
    sources = Sources.of(run_dir, config)
    sources.rest = run_dir.open_counters("rest", 0, writable=True)
    cell = sources.rest[0]
    cell["pid"], cell["started_ns"] = os.getpid(), clock.now_ns()

    def ready(port: int) -> None:
        cell["port"] = port

    uvloop.run(serve(settings_of(run_dir, config, int(cell["port"])), sources, clock, ready))


if __name__ == "__main__":
    run_main("rest", main)

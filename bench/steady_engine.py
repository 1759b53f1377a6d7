"""A whole instance fed by `bench.steady_source`, as a process that can be killed like any other.

python -m bench.steady_engine --frames FOLDER --rate FILE --set run.dir=... --set ...
"""

import argparse
from pathlib import Path

import uvloop

from engine import config as configuration
from engine.process import run_main
from engine.wiring.supervisor import Supervisor


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="bench-steady-engine")
    parser.add_argument("--frames", type=Path, required=True, help="what `render` wrote")
    parser.add_argument(
        "--rate", type=Path, required=True, help="messages a second, see bench.pace"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    supervisor = Supervisor(
        configuration.load(environ={}, overrides=args.set),
        ingest_module="bench.steady_source",
        ingest_args=["--frames", str(args.frames), "--rate", str(args.rate)],
    )
    uvloop.run(supervisor.run())


if __name__ == "__main__":
    run_main("bench-steady-engine", main)

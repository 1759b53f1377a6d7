"""``make run``: the whole tape on one machine, without an account and without a network.

Starts the simulator of SSI's server as one more child, points the engine at it, and keeps the
status line going until Ctrl-C. The day repeats the market of 15 July 2021 unless told otherwise.
"""

import argparse
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from engine import config as configuration
from engine.config import ENV_CONSUMER_ID, ENV_CONSUMER_SECRET, ENV_OTP, Config
from engine.errors import ConfigError
from engine.process import EX_CONFIG
from engine.rundir import RunDir
from engine.wiring.children import ChildSpec
from engine.wiring.supervisor import Supervisor

SIMULATOR_ID = (
    "0123456789abcdef0123456789abcdef"  # the simulator's own key, worth nothing elsewhere
)
SIMULATOR_SECRET = "fedcba9876543210fedcba9876543210"  # noqa: S105
SIMULATOR_OTP = "000000"  # it takes any
NAME = "demo"
ORIGIN_FILE = "day-began-ns"  # beside the shared memory: it must not outlive this run
BAR_COMPLETE_MS = 65_000  # of market time: a minute, and a little
FIRST_MOMENT = "08:59:45"  # a quarter of a minute before the bell: something happens at once


def free_port() -> int:
    """Return a loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bars_complete_ms(speed: str) -> int:
    """Return how long REST's bar of a minute takes to be complete, in our time."""
    return 100 if speed == "max" else round(BAR_COMPLETE_MS / float(speed))


def simulator(args: argparse.Namespace, port: int, run_dir: RunDir) -> ChildSpec:
    """Return how to start the simulator; a restarted one resumes where the day is by then."""
    argv = [
        sys.executable,
        "-m",
        "tools.simulator",
        "--port",
        str(port),
        "--seed",
        str(args.seed),
        "--speed",
        args.speed,
        "--consumer-id",
        SIMULATOR_ID,
        "--consumer-secret",
        SIMULATOR_SECRET,
        "--parent",
        str(os.getpid()),
    ]
    if args.speed != "max":
        argv += ["--start", args.start, "--origin-file", str(run_dir.path / ORIGIN_FILE)]
    for flag, value in (
        ("--table", args.table),
        ("--futures", args.futures),
        ("--trades-max", args.trades_max),
        ("--faults", args.faults),
        ("--truth-file", args.truth_file),
        ("--keepalive-s", args.keepalive_s),
    ):
        if value is not None:
            argv += [flag, str(value)]
    return ChildSpec("simulator", argv)


def forget_last_day(config: Config) -> None:
    """Remove what the last demo kept of its day: this one is played from its beginning.

    Unless that one died and left its shared memory: then the engine goes on with both.
    """
    run_dir = RunDir.of(config)
    if config.run.name == NAME and not run_dir.path.exists():
        for folder in ("journal", "history"):
            shutil.rmtree(run_dir.data_dir(config) / folder, ignore_errors=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--speed", default="10", help="times real time, or max (default 10)")
    parser.add_argument("--start", default=FIRST_MOMENT, help="where in the day to begin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, help="another day's published figures")
    parser.add_argument("--futures", type=Path, help="its future's 15-minute bars")
    parser.add_argument("--trades-max", type=int, help="size of the day, in trades")
    parser.add_argument(
        "--protocol", choices=["v2", "v3"], default="v2", help="which of SSI's feeds"
    )
    parser.add_argument(
        "--faults", type=Path, help="what goes wrong, see tools/simulator/scripts/*.faults"
    )
    parser.add_argument(
        "--truth-file", type=Path, help="write here what nobody could see, once the day is over"
    )
    parser.add_argument("--keepalive-s", type=float, help="the simulator's keep-alives")
    parser.add_argument("--config", type=Path, help="TOML configuration on top")
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="SECTION.KEY=VALUE"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C."""
    args = parse(argv)
    port = free_port()
    os.environ[ENV_CONSUMER_ID], os.environ[ENV_CONSUMER_SECRET] = SIMULATOR_ID, SIMULATOR_SECRET
    os.environ[ENV_OTP] = SIMULATOR_OTP
    overrides = [
        f"feed.protocol={args.protocol}",
        f"feed.url=http://127.0.0.1:{port}/",
        f"feed.stream_url=http://127.0.0.1:{port}/",
        f"feed.v3_url=http://127.0.0.1:{port}/",
        f"feed.v3_stream_url=ws://127.0.0.1:{port}/ws/v3",
        "feed.reconnect_cap_ms=500",
        "feed.rest_interval_ms=10",
        f"feed.backfill_delay_ms={bars_complete_ms(args.speed)}",
        f"run.name={NAME}",
    ]
    if args.speed == "max":  # the simulator can wait, so nothing needs to be dropped
        overrides.append("engine.pace=lossless")
    try:
        config = configuration.load(args.config, overrides=[*overrides, *args.overrides])
        forget_last_day(config)
        print(
            f"vntape: simulator of SSI's server on 127.0.0.1:{port}, day at speed {args.speed}; "
            "Ctrl-C stops everything"
        )
        uvloop.run(Supervisor(config, companions=[simulator(args, port, RunDir.of(config))]).run())
    except ConfigError as error:
        print(f"vntape: {error}", file=sys.stderr)
        return EX_CONFIG
    print("vntape: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())

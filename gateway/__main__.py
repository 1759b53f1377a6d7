"""A gateway process as the supervisor starts it: ``python -m gateway --run-dir DIR --index N``."""

import argparse
import os
from pathlib import Path

from engine.clock import SystemClock
from engine.config import Config
from engine.process import die_with_parent, run_main
from engine.rundir import RunDir
from engine.schema.codes import FeedState
from gateway.settings import GatewaySettings
from gateway.wiring import run


def settings_of(run_dir: RunDir, config: Config, index: int, last_port: int) -> GatewaySettings:
    """Translate the configuration: gateway `index` listens on its own port.

    A port picked freely is kept over a restart (`last_port`), or clients would not find it again.
    """
    gateway = config.gateway
    return GatewaySettings(
        endpoints=tuple(
            (run_dir.delta_endpoint(shard), run_dir.snapshot_endpoint(shard))
            for shard in range(config.engine.shards + 1)  # the last source is the board
        ),
        host=gateway.host,
        port=gateway.port + index if gateway.port else last_port,
        symbols_max=config.engine.symbols_max,
        conflate_ms=gateway.conflate_ms,
        heartbeat_ms=gateway.heartbeat_ms,
        client_budget_bytes=gateway.client_budget_bytes,
        clients_max=gateway.clients_max,
        topics_max=gateway.topics_max,
        lossless=config.engine.pace == "lossless",
    )


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="vntape-gateway")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--index", type=int, required=True)
    args = parser.parse_args()
    die_with_parent(args.parent)
    run_dir, clock = RunDir(args.run_dir), SystemClock()
    config = run_dir.read_config()
    counters = run_dir.open_counters("gateway", args.index, writable=True)
    ingest = run_dir.open_counters("ingest", 0)
    counters[0]["pid"], counters[0]["started_ns"] = os.getpid(), clock.now_ns()

    def ready(port: int) -> None:
        counters[0]["port"], counters[0]["heartbeat_ns"] = port, clock.now_ns()

    last_port = abs(int(counters[0]["port"]))  # negative: of a gateway whose supervisor died
    run(
        settings_of(run_dir, config, args.index, last_port),
        counters,
        clock,
        ready,
        feed_state=lambda: FeedState(int(ingest[0]["feed_state"])),
    )


if __name__ == "__main__":
    run_main("gateway", main)

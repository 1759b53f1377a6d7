"""A gateway process as the supervisor starts it: ``python -m gateway --run-dir DIR --index N``."""

import argparse
import gc
import os
import resource
from pathlib import Path

from engine.clock import SystemClock
from engine.config import Config
from engine.process import die_with_parent, run_main
from engine.rundir import RunDir
from engine.schema.codes import FeedState
from gateway.replays import command
from gateway.settings import GatewaySettings
from gateway.wiring import run

GC_OBJECTS, GC_YOUNG, GC_OLD = 50_000, 20, 100  # thresholds of gc: see there


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
        tokens_file=gateway.tokens_file,
        tls_cert_file=gateway.tls_cert_file,
        tls_key_file=gateway.tls_key_file,
        origins=tuple(gateway.origins),
        trusted_proxies=tuple(gateway.trusted_proxies),
        address_clients_max=gateway.address_clients_max,
        address_messages_max=gateway.address_messages_max,
        auth_ms=gateway.auth_ms,
        silence_ms=gateway.silence_ms,
        resume_bytes=gateway.resume_bytes,
        replays_max=gateway.replays_max if config.journal.write == "on" else 0,
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
    # Two descriptors a client: the transport's, and ours (gateway.connection.Line).
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    run_dir, clock = RunDir(args.run_dir), SystemClock()
    config = run_dir.read_config()
    counters = run_dir.open_counters("gateway", args.index, writable=True)
    ingest = run_dir.open_counters("ingest", 0)
    counters[0]["pid"], counters[0]["started_ns"] = os.getpid(), clock.now_ns()

    def ready(port: int) -> None:
        counters[0]["port"], counters[0]["heartbeat_ns"] = port, clock.now_ns()

    # Nothing of a pass needs the collector, and a full collection is a pause for every client.
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, GC_YOUNG, GC_OLD)
    last_port = abs(int(counters[0]["port"]))  # negative: of a gateway whose supervisor died
    run(
        settings_of(run_dir, config, args.index, last_port),
        counters,
        clock,
        ready,
        feed_state=lambda: FeedState(int(ingest[0]["feed_state"])),
        past=[run_dir.delta_log(source) for source in range(config.engine.shards + 1)],
        travel_command=command(args.run_dir),
    )


if __name__ == "__main__":
    run_main("gateway", main)

"""The ingest process: SSI's socket in, rings out. Which parts it is made of, for each protocol."""

import argparse
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
import zmq

from engine import segment
from engine.clock import Clock, SystemClock
from engine.config import Config, Credentials, load_credentials
from engine.decode.symbols import SymbolTable
from engine.errors import ConfigError
from engine.feed import backfill, reference
from engine.feed.recording import Recorder
from engine.feed.rest_v2 import RestSettings, RestV2
from engine.feed.rest_v3 import RestV3
from engine.feed.source import FeedError, Source
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from engine.feed.ssi_v3 import SsiV3Source, V3Settings
from engine.log import Log
from engine.process import die_with_parent, run_main
from engine.ring.writer import RingWriter
from engine.rundir import RunDir
from engine.wiring.ingest_loop import IngestProcess
from engine.wiring.intake import Intake
from engine.wiring.journaling import open_journals
from engine.wiring.rest_data import FetchBars, FetchReference, RestCounts, RestData
from engine.wiring.shard_map import shard_rule
from engine.wiring.today import Today, fold_settings

HORIZON_S = 86_400  # a message from further in the future than this is refused, not believed
GAPS_WAITING_MAX = 100_000  # rows that shards may push while we are busy

Feed = tuple[Source, RestCounts, FetchReference, FetchBars]


def build(run: RunDir, config: Config, doorbells: list[int], clock: Clock) -> IngestProcess:
    """Open the shared memory and put the process together.

    Raises
    ------
    ConfigError
        The feed's settings cannot be used.
    """
    feed, log = config.feed, Log("ingest", clock)
    counters = run.open_counters("ingest", 0, writable=True)
    symbols = SymbolTable(
        segment.open_writable(run.symbols_file).memory, shard_rule(config.engine.shards)
    )
    writers = [
        RingWriter(segment.open_writable(run.ring_file(shard)).memory, doorbell)
        for shard, doorbell in enumerate(doorbells)
    ]
    journals, resumed = None, 0
    today = Today.of(run, config)
    if today.folder is not None:
        journals, introductions = open_journals(
            config.journal, today, writers, counters[0], log, clock.now_ns()
        )
        resumed = symbols.resume(introductions)
    recorder = None
    if feed.record == "on":
        recorder = _recorder(run.data_dir(config), config, clock, resumed=bool(resumed))
    intake = Intake(
        symbols,
        writers,
        counters,
        protocol=feed.protocol,
        horizon_s=HORIZON_S,
        backlog_bytes=feed.backlog_bytes,
        recorder=recorder,
        journals=journals,
    )
    make = {"v2": _v2, "v3": _v3}[feed.protocol]
    try:
        source, rest, fetch_reference, fetch_bars = make(
            config, load_credentials(config), run.data_dir(config), clock
        )
    except FeedError as error:  # a topic that is none, for example: no restart will mend it
        raise ConfigError(f"feed: {error}") from None
    process = IngestProcess(
        source,
        intake,
        writers,
        counters,
        feed,
        clock,
        log,
        lossless=config.engine.pace == "lossless",
        recorder=recorder,
        journals=journals,
    )
    gaps: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PULL)
    gaps.set(zmq.RCVHWM, GAPS_WAITING_MAX)
    gaps.set(zmq.LINGER, 0)
    gaps.bind(run.gaps_endpoint)
    process.rest_data = RestData(
        feed,
        rest,
        fetch_reference,
        fetch_bars,
        intake,
        symbols,
        counters,
        run.data_dir(config) / "reference",
        gaps,
        clock,
        log,
        process.wake,
    )
    return process


def _recorder(folder: Path, config: Config, clock: Clock, *, resumed: bool) -> Recorder:
    now_ns = clock.now_ns()
    moment = datetime.fromtimestamp(now_ns / 1e9, UTC)
    about: dict[str, Any] = {
        "protocol": config.feed.protocol,
        "horizon_s": HORIZON_S,
        "backlog_bytes": config.feed.backlog_bytes,
        "shards": config.engine.shards,
        "symbols_max": config.engine.symbols_max,
        **fold_settings(config),
        "resumed": resumed,  # symbols that the journal knows are not introduced again
    }
    day, name = f"{moment:%Y-%m-%d}", f"{moment:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}"
    return Recorder(folder / "recordings" / day, name, about, now_ns)


def _v2(config: Config, credentials: Credentials, _folder: Path, clock: Clock) -> Feed:
    feed = config.feed
    rest = RestV2(
        RestSettings(
            url=feed.url,
            consumer_id=credentials.consumer_id,
            consumer_secret=credentials.consumer_secret,
            timeout_s=feed.connect_timeout_ms / 1_000,
            interval_s=feed.rest_interval_ms / 1_000,
            token_margin_s=feed.token_margin_ms / 1_000,
        ),
        clock,
    )
    settings = FeedSettings(
        url=feed.url,
        stream_url=feed.stream_url,
        channels=feed.channels,
        consumer_id=credentials.consumer_id,
        consumer_secret=credentials.consumer_secret,
        reconnect_base_ms=feed.reconnect_base_ms,
        reconnect_cap_ms=feed.reconnect_cap_ms,
        connect_timeout_ms=feed.connect_timeout_ms,
        token_margin_ms=feed.token_margin_ms,
    )
    return (
        SsiV2Source(settings, clock, random.Random(), rest),
        rest,
        lambda http, _today: reference.fetch_v2(rest, http),
        lambda http: backfill.bars_v2(rest, http),
    )


def _v3(config: Config, credentials: Credentials, folder: Path, clock: Clock) -> Feed:
    feed = config.feed
    settings = V3Settings(
        url=feed.v3_url,
        stream_url=feed.v3_stream_url,
        consumer_id=credentials.consumer_id,
        consumer_secret=credentials.consumer_secret,
        otp=credentials.otp,
        token_file=folder / "tokens" / "v3.json",
        topics=tuple(feed.v3_topics),
        reconnect_base_ms=feed.reconnect_base_ms,
        reconnect_cap_ms=feed.reconnect_cap_ms,
        connect_timeout_ms=feed.connect_timeout_ms,
        token_margin_ms=feed.token_margin_ms,
        rest_interval_ms=feed.rest_interval_ms,
    )
    rest = RestV3(settings.rest(), clock)
    return (
        SsiV3Source(settings, clock, random.Random(), rest),
        rest,
        lambda http, today: reference.fetch_v3(rest, http, today),
        lambda http: backfill.bars_v3(rest, http),
    )


def main() -> None:
    """Run the ingest process: ``python -m engine.wiring.ingest`` as the supervisor starts it."""
    parser = argparse.ArgumentParser(prog="vntape-ingest")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--doorbells", required=True, help="eventfds of the rings, by shard")
    args = parser.parse_args()
    die_with_parent(args.parent)
    run = RunDir(args.run_dir)
    doorbells = [int(fd) for fd in args.doorbells.split(",")]
    process = build(run, run.read_config(), doorbells, SystemClock())
    uvloop.run(process.run())


if __name__ == "__main__":
    run_main("ingest", main)

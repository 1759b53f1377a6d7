"""``vntape replay``: a recording through the engine again, at any speed.

    vntape replay FILE... --digest          in this process, as fast as it goes; prints the digest
    vntape replay FILE... --speed 10        as a running instance that clients connect to

Both play the records into the same `Intake` a live ingest has. The second one runs as the ingest
child of an ordinary supervisor; at speed max it waits for its readers, so that nothing is dropped.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop
from numpy.typing import NDArray

from engine import segment
from engine.clock import Clock, SystemClock
from engine.config import AlertsConfig, Config, RuleConfig
from engine.decode.symbols import SymbolTable
from engine.errors import ConfigError
from engine.feed.recording import Kind, Record, RecordingError, read_records, recording_files
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.ring.writer import RingWriter
from engine.rundir import RunDir
from engine.schema.codes import FeedState
from engine.shard.stage import StageSettings
from engine.wiring.intake import Intake
from engine.wiring.local import LocalTape
from engine.wiring.recorded import play, records_of
from engine.wiring.shard_map import shard_rule
from engine.wiring.supervisor import Supervisor

HEARTBEAT_NS = 100_000_000
NAP_S = 0.001
BACKLOG_SHARE_MAX = 0.5  # of a ring may wait for its reader
LINGER_S = 0.05


def parse_speed(text: str) -> float | None:
    """Return times real time, or None for ``max``.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ConfigError(f"--speed {text!r} is neither a positive number nor max")
    return value


def about(files: list[Path]) -> dict[str, Any]:
    """Return what the first file says about the process that recorded it.

    Raises
    ------
    ConfigError
        It is empty.
    """
    try:
        for record in read_records(files[0]):
            found: dict[str, Any] = orjson.loads(record.payload)
            return found
    except RecordingError as error:
        raise ConfigError(str(error)) from None
    raise ConfigError(f"{files[0]} holds no record at all")


def find_files(paths: list[Path]) -> list[Path]:
    """Return the files to play; see `recording_files`. Refuses in the words of an operator."""
    try:
        return recording_files(paths)
    except RecordingError as error:
        raise ConfigError(str(error)) from None


def as_recorded(config: Config, head: dict[str, Any]) -> Config:
    """Return the configuration with all that decides the state as it was when recorded."""
    names = ("shards", "symbols_max", "side_precedence")
    return replace(
        config,
        journal=replace(config.journal, write="off"),  # it is no trading day of ours
        engine=replace(config.engine, **{name: head[name] for name in names}),
        alerts=AlertsConfig(**head["alerts"]),
        rules=tuple(RuleConfig(**rule) for rule in head["rules"]),
    )


def replay_local(files: list[Path], config: Config) -> LocalTape:
    """Play recordings through the local tape and return it.

    Raises
    ------
    ConfigError
        A file is no recording.
    """
    head = about(files)
    recorded = as_recorded(config, head)
    engine = recorded.engine
    tape = LocalTape(
        shards=engine.shards,
        ring_slots=engine.ring_slots,
        symbols_max=engine.symbols_max,
        settings=StageSettings.of(recorded),
        rules=recorded.rules,
        hash_deltas=True,  # as a shard does: the digests are compared
        protocol=head["protocol"],
        horizon_s=head["horizon_s"],
        backlog_bytes=head["backlog_bytes"],
    )
    starts = 0

    def begun(about: dict[str, Any]) -> None:
        nonlocal starts
        starts += 1
        if starts > 1:
            tape.restart_intake(resumed=about.get("resumed", False))

    try:
        for record in records_of(files, begun):
            play(record, tape.intake)
            tape.drain()
    except RecordingError as error:
        raise ConfigError(str(error)) from None
    tape.intake.flush()
    tape.drain()
    return tape


def run_digest(paths: list[Path], config: Config) -> int:
    """Print what a recording holds and the digest of every shard after it."""
    files = find_files(paths)
    tape = replay_local(files, config)
    cell = tape.counters[0]
    print(
        f"frames {int(cell['frames'])}  messages {int(cell['messages'])}  "
        f"rejected {int(cell['rejected'].sum())}  slots {int(cell['slots'])}"
    )
    for index, shard in enumerate(tape.shards):
        print(f"shard-{index} {shard.fold.digest()}")
    return 0


def run_instance(paths: list[Path], config: Config, speed: str) -> int:
    """Run an instance that plays recordings instead of a feed, until it is stopped."""
    files = find_files(paths)
    parse_speed(speed)
    supervisor = Supervisor(
        as_recorded(config, about(files)),
        ingest_module="engine.wiring.replay",
        ingest_args=["--speed", speed, *(str(file.resolve()) for file in files)],
    )
    uvloop.run(supervisor.run())
    return 0


class ReplayProcess:
    """Plays records into an intake at a speed, with the counters of a live ingest."""

    def __init__(
        self,
        intake: Intake,
        writers: list[RingWriter],
        counters: NDArray[np.void],
        clock: Clock,
        speed: float | None,
    ) -> None:
        self.intake = intake
        self._writers = writers
        self._cell = counters[0]
        self._clock = clock
        self._speed = speed
        self._origin: tuple[int, int] | None = None  # our clock and the recording's, at the start
        self._beat_ns = 0

    def give(self, record: Record, stop: StopFlag) -> None:
        """Wait until the record is due and there is room for it, then play it."""
        self._pace(record.time_ns, stop)
        self.beat()
        if record.kind is Kind.STATE:
            self._cell["feed_state"] = orjson.loads(record.payload)["state"]
        play(record, self.intake)

    def beat(self) -> None:
        """Show that we live."""
        now_ns = self._clock.now_ns()
        if now_ns - self._beat_ns > HEARTBEAT_NS:
            self._beat_ns = now_ns
            self._cell["heartbeat_ns"] = now_ns

    def _pace(self, time_ns: int, stop: StopFlag) -> None:
        if self._speed is None:
            while not stop() and self._backlog_share() > BACKLOG_SHARE_MAX:
                self.beat()
                time.sleep(NAP_S)
            return
        now_ns = self._clock.now_ns()
        if self._origin is None:
            self._origin = now_ns, time_ns
        due_ns = self._origin[0] + int((time_ns - self._origin[1]) / self._speed)
        while not stop() and (wait_ns := due_ns - self._clock.now_ns()) > 0:
            self.beat()
            time.sleep(min(wait_ns / 1e9, LINGER_S))

    def _backlog_share(self) -> float:
        return max(1 - writer.free_slots / writer.ring.capacity for writer in self._writers)


def main() -> None:
    """Run as the ingest child: ``python -m engine.wiring.replay``, started by a supervisor."""
    parser = argparse.ArgumentParser(prog="vntape-replay")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--doorbells", required=True, help="eventfds of the rings, by shard")
    parser.add_argument("--speed", required=True)
    parser.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    stop = StopFlag()
    die_with_parent(args.parent)
    run = RunDir(args.run_dir)
    config, clock = run.read_config(), SystemClock()
    log = Log("replay", clock)
    counters = run.open_counters("ingest", 0, writable=True)
    head = about(args.files)
    writers = [
        RingWriter(segment.open_writable(run.ring_file(shard)).memory, int(fd))
        for shard, fd in enumerate(args.doorbells.split(","))
    ]

    def intake() -> Intake:
        symbols = SymbolTable(
            segment.open_writable(run.symbols_file).memory, shard_rule(config.engine.shards)
        )
        return Intake(
            symbols,
            writers,
            counters,
            protocol=head["protocol"],
            horizon_s=head["horizon_s"],
            backlog_bytes=head["backlog_bytes"],
        )

    cell = counters[0]
    cell["pid"], cell["started_ns"] = os.getpid(), clock.now_ns()
    cell["feed_state"] = FeedState.CONNECTING
    process = ReplayProcess(intake(), writers, counters, clock, parse_speed(args.speed))

    def begun(about: dict[str, Any]) -> None:
        process.intake.flush()
        before, process.intake = process.intake, intake()
        if about.get("resumed", False):
            process.intake.symbols.take_over(before.symbols)

    try:
        for record in records_of(args.files, begun):
            if stop():
                return
            process.give(record, stop)
    except RecordingError as error:  # not of the first file, which the supervisor has looked at
        raise ConfigError(str(error)) from None
    process.intake.flush()
    log.write("info", "the recording is over", frames=int(cell["frames"]))
    while not stop():
        process.beat()
        time.sleep(LINGER_S)


if __name__ == "__main__":
    run_main("replay", main)

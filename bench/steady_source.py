"""An ingest stand-in that plays steady frames, and after any death goes on where the journal ends.

Started by the supervisor with ingest's own arguments. Everything behind the frames is what
production runs: decoder, symbol table, journal, ring. Each chunk is published at once, so a journal
whose torn tail was cut ends with a chunk's last frame, and that frame's receive time says which.

For one shard: with several a death may leave a chunk in one journal and not in the other.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Final

import numpy as np

from bench.pace import Pace, RateFile
from bench.steady_frames import SteadyFrames
from engine import segment
from engine.clock import Clock, SystemClock
from engine.decode.symbols import SymbolTable
from engine.errors import ConfigError
from engine.journal.reader import JournalReader
from engine.log import Log
from engine.process import StopFlag, die_with_parent, run_main
from engine.ring.writer import RingWriter
from engine.rundir import RunDir
from engine.schema.codes import FeedState
from engine.schema.slots import SLOT
from engine.wiring.intake import Intake
from engine.wiring.journaling import Journals, open_journals
from engine.wiring.shard_map import shard_rule
from engine.wiring.today import Today

BEAT_NS: Final = 50_000_000
NAP_NS: Final = 1_000_000  # shorter waits are not slept: the timer is no finer
HOLD_S: Final = 0.002
BATCH_SLOTS: Final = 4_096


def play(
    intake: Intake,
    journals: Journals,
    frames: SteadyFrames,
    chunk: int,
    rate: RateFile,
    cell: np.void,
    clock: Clock,
    stop: StopFlag,
) -> None:
    """Play from chunk number `chunk` on until `stop`, at whatever rate is asked for."""
    pace = Pace(clock.now_ns())
    beat_ns = 0
    while not stop():
        now_ns = clock.now_ns()
        if now_ns - beat_ns >= BEAT_NS:
            beat_ns = now_ns
            cell["heartbeat_ns"] = now_ns
            journals.report()
        messages_per_s = rate.get()
        if not messages_per_s:
            pace.hold(now_ns)
            time.sleep(HOLD_S)
            continue
        wait_ns = pace.wait_ns(now_ns)
        if wait_ns >= NAP_NS:
            time.sleep(wait_ns / 1e9)
            continue
        batch, messages = frames.chunk(chunk)
        intake.flush_batch(batch)
        chunk += 1
        pace.sent(messages, messages_per_s)
        cell["last_frame_ns"] = now_ns


def last_recv_ns(folder: Path, end_seq: int) -> int | None:
    """Return when the frame of the journal's last slot was received; None of an empty journal."""
    if end_seq == 0:
        return None
    batch = np.zeros(BATCH_SLOTS, SLOT)
    reader = JournalReader(folder, 0, from_seq=end_seq - 1)
    assert reader.read(batch) == 1, f"the journal in {folder} does not end at slot {end_seq}"
    return int(batch["recv_ns"][0])


def main() -> None:
    """Run as the ingest child of a supervisor."""
    parser = argparse.ArgumentParser(prog="bench-steady-source")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--doorbells", required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--rate", type=Path, required=True)
    args = parser.parse_args()
    stop, clock = StopFlag(), SystemClock()
    die_with_parent(args.parent)
    run = RunDir(args.run_dir)
    config = run.read_config()
    if config.engine.shards != 1:
        raise ConfigError(f"a steady source feeds 1 shard, engine.shards is {config.engine.shards}")
    counters = run.open_counters("ingest", 0, writable=True)
    cell, log = counters[0], Log("ingest", clock)
    cell["pid"], cell["started_ns"], cell["feed_state"] = (
        os.getpid(),
        clock.now_ns(),
        FeedState.LIVE,
    )
    symbols = SymbolTable(segment.open_writable(run.symbols_file).memory, shard_rule(1))
    ring = RingWriter(
        segment.open_writable(run.ring_file(0)).memory, int(args.doorbells.partition(",")[0])
    )
    today = Today.of(run, config)
    if today.folder is None:
        raise ConfigError(
            "a steady source goes on where the journal ends: journal.write must be on"
        )
    journals, introduced = open_journals(
        config.journal, today, [ring], counters[0], log, clock.now_ns()
    )
    symbols.resume(introduced)
    frames = SteadyFrames.open(args.frames)
    last_ns = last_recv_ns(today.folder, ring.write_seq)
    chunk = 0 if last_ns is None else frames.chunk_after(last_ns)
    log.write("info", "steady frames", from_chunk=chunk, at_seq=ring.write_seq)
    intake = Intake(symbols, [ring], counters, journals=journals)
    play(intake, journals, frames, chunk, RateFile(args.rate), cell, clock, stop)
    journals.close()


if __name__ == "__main__":
    run_main("bench-steady-source", main)

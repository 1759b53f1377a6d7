"""A time travel: the day's journals folded once more from their start, told from a moment on.

    python -m engine.wiring.time_travel --run-dir DIR --parent PID

In: one line of JSON on stdin (`Request`), and the journals of today. Out, on stdout: bus messages,
each behind its length (u4, little-endian). Owner of the memory: folds of our own. May lose:
nothing; what a journal lacks is refused at the live edge. Counts: nothing.

    SNAPSHOT ...  SNAPSHOT_END      the state of the wanted keys at the moment asked for
    DELTA ...                       every row since, numbered as live ones, at the speed asked for
    SNAPSHOT_END                    the live edge: behind it live rows go on, then exit code 0

It reads what others write and nobody waits for it. A reader that stops reading stops it: the pipe
is full, and what is due meanwhile is told late. Exit code 78: the last line on stderr says why, in
words that a client may read. Exit code 1: stderr says what went wrong, for the operator.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from engine import segment
from engine.clock import DAY_S, ICT_OFFSET_S, trade_day
from engine.errors import ConfigError, SchemaMismatch
from engine.journal.layout import JournalError
from engine.process import EX_CONFIG, die_with_parent
from engine.ring.layout import view_ring
from engine.rundir import RunDir
from engine.wiring.replay_journal import about_of
from engine.wiring.shard_past import ShardPast, Source
from engine.wiring.today import Today
from engine.wiring.travel import MonotonicTimer, Refused, Request, Timer, TimeTravel
from engine.wiring.upstream import Upstream

NICE: Final = 10  # the tape comes first
REQUEST_BYTES_MAX: Final = 4_194_304
STDOUT: Final = 1


def write_stdout(message: bytes) -> None:
    """Write a message behind its length; waits while the pipe is full.

    Raises
    ------
    BrokenPipeError
        Nobody reads any more.
    """
    rest = memoryview(len(message).to_bytes(4, "little") + message)
    while rest:
        rest = rest[os.write(STDOUT, rest) :]


def exchange_day(about_day: int, last_exch_s: int) -> int:
    """Return the day (since 1970, ICT) that stamps of the exchange have now.

    That of the feed, which a simulated one may have in the past; a stamp of tomorrow is a mistake
    of the feed's.
    """
    return min(about_day, trade_day(last_exch_s)) if last_exch_s else about_day


def travel(run: RunDir, request: Request, timer: Timer) -> None:
    """Find the day of a run directory and travel through it, on stdout.

    Raises
    ------
    Refused
        There is no journal, or what was told does not join live.
    ConfigError, SchemaMismatch, JournalError, OSError
        This is no run directory, or a journal cannot be read.
    """
    config = run.read_config()
    today = Today.of(run, config)
    if today.folder is None:
        raise Refused("this instance writes no journal (journal.write is off): nothing to replay")
    about = about_of(today.folder)
    cells = [run.open_counters("shard", shard)[0] for shard in range(about.shards)]

    def source(shard: int) -> Source:
        ring = view_ring(segment.open_readonly(run.ring_file(shard)).memory)
        return Source(Upstream.live(ring, cells[shard]), lambda: int(cells[shard]["epoch"]))

    folder = today.folder
    shards = [ShardPast(folder, shard, about, source(shard)) for shard in range(about.shards)]
    day = exchange_day(about.day, max(int(cell["last_exch_s"]) for cell in cells))
    TimeTravel(
        shards,
        request,
        day * DAY_S - ICT_OFFSET_S + request.from_s,
        about.symbols_max,
        write_stdout,
        lambda: Today.of(run, config).epoch == today.epoch,
        timer,
    ).run()


def main() -> int:
    """Run as a gateway starts it; return the exit code."""
    parser = argparse.ArgumentParser(prog="vntape-time-travel")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    die_with_parent(args.parent)
    os.nice(NICE)
    try:
        request = Request.parse(sys.stdin.buffer.readline(REQUEST_BYTES_MAX))
        travel(RunDir(args.run_dir), request, MonotonicTimer())
    except BrokenPipeError:
        pass  # who asked has gone
    except Refused as refused:
        print(refused, file=sys.stderr)
        return EX_CONFIG
    except (ConfigError, SchemaMismatch, JournalError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

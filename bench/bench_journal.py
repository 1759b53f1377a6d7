"""What it costs to keep every slot: appending, proving, reading again; and how the disk holds up.

Append: bites of two sizes, as ingest publishes them, with each policy of `journal.fsync`. The
files lie in the folder for temporary files: TMPDIR chooses the disk. Read: the whole journal
through `JournalReader`, as a restarted worker does; survey: as a start does. The page cache is
warm, as it is after a process died; what is read is summed up and compared with what was written.

    python -m bench.bench_journal [--small] [--json PATH]
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cli import Size, main
from engine.journal.reader import JournalReader
from engine.journal.records import RECORD_BYTES, words_of
from engine.journal.survey import introduced, survey
from engine.journal.sync import SyncThread
from engine.journal.writer import Fsync, JournalWriter
from engine.schema.codes import SlotFlag, SlotKind
from engine.schema.slots import SLOT

SEED = 20210715
GROUP_SLOTS = 16
BATCH_SLOTS = 4_096  # of the reader, as a worker has it
SYNC_INTERVAL_NS = 200_000_000  # journal.fsync_interval_ms
NOW_NS = 1_795_000_000_000_000_000

SIZES: dict[str, dict[str, int]] = {
    "small": {"slots": 16_384, "always_slots": 2_048, "rounds": 1},
    "full": {"slots": 5_000_000, "always_slots": 262_144, "rounds": 3},
}


class Source:
    """Bites of one size: the same payloads again and again, stamped anew."""

    def __init__(self, bite_slots: int) -> None:
        self.slots = np.zeros(bite_slots, SLOT)
        words = words_of(self.slots)
        words[:] = np.random.default_rng(SEED).integers(1, 1 << 40, words.shape, np.uint64)
        self.slots["kind"] = SlotKind.TRADE
        self.slots["flags"] = 0
        self.slots["flags"][GROUP_SLOTS - 1 :: GROUP_SLOTS] = SlotFlag.LAST
        self.slots["flags"][-1] = SlotFlag.LAST | SlotFlag.BITE
        self._numbers = np.arange(bite_slots)

    def bite(self, first_seq: int) -> NDArray[np.void]:
        """Return the next bite; the array is used again."""
        self.slots["seq"] = self._numbers + first_seq
        return self.slots

    def sum_of(self, slot_count: int) -> int:
        """Return what all words of `slot_count` slots add up to, modulo 2**64."""
        self.slots["seq"] = 0
        one = int(words_of(self.slots).sum())
        return (one * (slot_count // len(self.slots)) + slot_count * (slot_count - 1) // 2) % 2**64


def append(folder: Path, fsync: Fsync, bite_slots: int, slot_count: int) -> dict[str, Any]:
    """Write a journal; return what an append took."""
    folder.mkdir()
    source = Source(bite_slots)
    writer = JournalWriter(folder, 0, 20_777, NOW_NS, 0, fsync=fsync, now_ns=NOW_NS)
    sync = SyncThread([writer], SYNC_INTERVAL_NS) if fsync == "interval" else None
    took_ns = []
    begin_ns = time.perf_counter_ns()
    while writer.next_seq < slot_count:
        slots = source.bite(writer.next_seq)
        start_ns = time.perf_counter_ns()
        if not writer.append(slots, bite_slots, NOW_NS):
            raise RuntimeError(f"the disk refused: {writer.error}")
        took_ns.append(time.perf_counter_ns() - start_ns)
    all_ns = time.perf_counter_ns() - begin_ns
    if sync is not None:
        sync.stop()
    writer.close()
    took = sorted(took_ns)
    return {
        "slots": writer.slots,
        "slots_per_s": round(writer.slots * 1e9 / all_ns),
        "slot_ns": round(sum(took) / writer.slots, 1),
        "append_p50_us": took[len(took) // 2] / 1e3,
        "append_p99_us": took[len(took) * 99 // 100] / 1e3,
        "append_max_us": took[-1] / 1e3,
        "bytes_per_slot": round(writer.bytes / writer.slots, 3),
    }


def read(folder: Path, expected_sum: int, slot_count: int) -> float:
    """Read a journal to its end and check it; return the seconds it took."""
    reader, batch = JournalReader(folder, 0), np.zeros(BATCH_SLOTS, SLOT)
    words = words_of(batch)
    total, took_ns = 0, 0
    while True:
        start_ns = time.perf_counter_ns()
        count = reader.read(batch)
        took_ns += time.perf_counter_ns() - start_ns
        if not count:
            break
        words[:count, 3] &= ~np.uint64(SlotFlag.BITE << 8 | SlotFlag.LAST << 8)
        total += int(words[:count].sum())
    if (reader.next_seq, total % 2**64, reader.damage) != (slot_count, expected_sum, []):
        raise RuntimeError(f"{folder}: read {reader.next_seq} of {slot_count} slots, or others")
    return took_ns / 1e9


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    start_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start_ns) / 1e9


def again(folder: Path, source: Source, slot_count: int, rounds: int) -> dict[str, Any]:
    """Read and survey a journal a few times; medians."""
    flags = int(source.slots["flags"].astype(np.int64).sum()) << 8
    expected = (source.sum_of(slot_count) - flags * (slot_count // len(source.slots))) % 2**64
    found = survey(folder, 0)
    if (found.end_seq, found.damage, found.torn, found.holes) != (slot_count, [], None, []):
        raise RuntimeError(f"{folder}: a survey finds {found}")
    read_s = statistics.median(read(folder, expected, slot_count) for _ in range(rounds))
    survey_s = statistics.median(timed(lambda: survey(folder, 0)) for _ in range(rounds))
    symbols_s = statistics.median(
        timed(lambda: introduced(folder, 0, slot_count)) for _ in range(rounds)
    )
    return {
        "slots": slot_count,
        "read_s": round(read_s, 4),
        "read_slots_per_s": round(slot_count / read_s),
        "survey_s": round(survey_s, 4),
        "introduced_s": round(symbols_s, 4),
        "bytes": slot_count * RECORD_BYTES,
    }


def run(size: Size = "full") -> dict[str, Any]:
    """Measure everything; what is read is checked before a figure is given.

    Returns
    -------
    dict
        ``append``: per policy and bite size slots/s, ns per slot, microseconds per append;
        ``again``: seconds to read and to survey one of these journals;
        ``bytes_per_million_slots``.
    """
    setting = SIZES[size]
    appended: dict[str, dict[str, Any]] = {}
    result: dict[str, Any] = {}
    policies: tuple[Fsync, ...] = ("none", "interval", "always")
    with tempfile.TemporaryDirectory(prefix="vntape-bench-") as scratch:
        _warm(Path(scratch) / "warm")
        for fsync in policies:
            appended[fsync] = {}
            for bite_slots in (64, 1_024):
                folder = Path(scratch) / f"{fsync}-{bite_slots}"
                slots = setting["always_slots" if fsync == "always" else "slots"]
                count = -(-slots // bite_slots) * bite_slots
                appended[fsync][f"bite_{bite_slots}"] = append(folder, fsync, bite_slots, count)
                if (fsync, bite_slots) == ("interval", 1_024):
                    result = again(folder, Source(bite_slots), count, setting["rounds"])
                shutil.rmtree(folder)
    return {
        "append": appended,
        "again": result,
        "bytes_per_million_slots": 1_000_000 * RECORD_BYTES,
    }


def _warm(folder: Path) -> None:
    """Compile every kernel before a clock runs."""
    append(folder, "none", 64, 128)
    again(folder, Source(64), 128, 1)


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

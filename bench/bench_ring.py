"""How fast slots cross from one process to another.

    writer process -- ring in /dev/shm --> reader process

Throughput: the writer publishes a known pattern in batches and paces itself on read_seq, as a
replay does, so nothing may be lost. The reader checks every sequence number and sums every word
of every slot; a wrong answer is an error, not a figure. Two ways of reading:

    copy      `poll` into the reader's own batch, then sum the batch (what a shard worker does)
    in_place  `claim`, sum the slots where they lie, `confirm`

Latency: one slot at a time, from just before `publish` to just after `poll`, with a reader that
spins and one that sleeps on its doorbell. Reported, no floor.

    python -m bench.bench_ring [--small] [--json PATH]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cli import Size, report
from engine import segment
from engine.jit import kernel
from engine.ring import doorbell
from engine.ring.layout import (
    GROUP_SLOTS_MAX,
    LAST_BIT,
    WORDS_PER_SLOT,
    format_ring,
    ring_bytes,
    words_of,
)
from engine.ring.reader import BATCH_SLOTS_MIN, RingReader
from engine.ring.writer import RingWriter
from engine.schema.slots import SLOT

FLOOR_SLOTS_PER_S = 50_000_000
SEED = 20210715
WORD_MAX = 1 << 20  # sums of 2**30 slots still fit in 64 bits: exact with the JIT on and off
PARK_MS = 100
WATCHDOG_S = 120.0

SIZES: dict[str, dict[str, int]] = {
    # 8,192 slots are 1.5 MB and stay in a core's L2; the default ring (50 MB) does not
    "small": {"round_slots": 8_192, "rounds": 3, "pings": 20, "capacity": 4_096, "batch": 1_024},
    "full": {
        "round_slots": 10_240_000,
        "rounds": 7,
        "pings": 5_000,
        "capacity": 8_192,
        "batch": 2_048,
    },
}
DEFAULT_CAPACITY = 262_144  # engine.ring_slots, reported beside the best case


@kernel
def sum_words(words: NDArray[np.int64], first_seq: int, count: int, seq: int) -> tuple[int, int]:
    """Sum `count` slots from sequence number `first_seq` on; second value 0 if they are in order.

    `words` is (n, WORDS_PER_SLOT), n a power of two; `seq` is the number the first must carry.
    """
    mask = len(words) - 1
    total = 0
    wrong = 0
    for i in range(count):
        index = (first_seq + i) & mask
        for word in range(WORDS_PER_SLOT):
            total += words[index, word]
        wrong |= words[index, 0] ^ (seq + i)
    return total, wrong


def pattern(batch: int) -> NDArray[np.void]:
    """Make the slots every batch repeats: small seeded numbers in every byte position used."""
    slots = np.zeros(batch, SLOT)
    words = words_of(slots)
    words[:] = np.random.default_rng(SEED).integers(1, WORD_MAX, words.shape)
    words[:, 3] = 0  # kind, flags, ...: the writer sets LAST in here
    words[:, 0] = 0  # seq
    return slots


def expected_sum(slot_count: int, batch: int) -> int:
    """Return what all words of `slot_count` slots must add up to."""
    groups = slot_count // batch * -(-batch // GROUP_SLOTS_MAX)
    return (
        int(words_of(pattern(batch)).sum()) * (slot_count // batch)
        + slot_count * (slot_count - 1) // 2
        + groups * LAST_BIT
    )


# --- the two processes -------------------------------------------------------------------------


def write_stream(path: Path, slot_count: int, batch: int) -> dict[str, Any]:
    """Publish `slot_count` slots, waiting for room; count the waits."""
    writer = RingWriter(segment.open_writable(path).memory, None)
    slots = pattern(batch)
    waits, sent = 0, 0
    while sent < slot_count:
        if writer.free_slots < batch:
            waits += 1
            os.sched_yield()
            continue
        writer.publish(slots, batch)
        sent += batch
    return {"waits": waits}


def read_stream(path: Path, slot_count: int, rounds: int, mode: str) -> dict[str, Any]:
    """Read until `slot_count` slots came; time every round."""
    reader = RingReader(segment.open_writable(path).memory, None, start=0)
    room = BATCH_SLOTS_MIN
    slots = np.zeros(room, SLOT)
    words = words_of(slots)
    sum_words(words, 0, 0, 0)  # compiled before the clock starts
    print("ready", flush=True)
    marks = [(0, 0)]
    total, wrong, seen, waits = 0, 0, 0, 0
    while seen < slot_count:
        if mode == "copy":
            count = reader.poll(slots)
            if count:
                part, bad = sum_words(words, 0, count, seen)
        else:
            first, end = reader.claim(room)
            count = end - first
            if count:
                part, bad = sum_words(reader.ring.words, first, count, seen)
                assert reader.confirm(end), "a paced writer overtook its reader"
        if not count:
            waits += 1
            os.sched_yield()
            continue
        total += part
        wrong |= bad
        if seen == 0:
            marks[0] = (count, time.perf_counter_ns())  # the first batch starts the clock
        seen += count
        if seen - marks[-1][0] >= slot_count // rounds or seen == slot_count:
            marks.append((seen, time.perf_counter_ns()))
    rates = [(b[0] - a[0]) * 1e9 / (b[1] - a[1]) for a, b in pairwise(marks)]
    return {
        "sum": int(total),
        "wrong": int(wrong),
        "lapped": reader.lapped_slots,
        "seen": seen,
        "rates": rates,
        "waits": waits,
    }


def write_pings(path: Path, pings: int, doorbell_fd: int, mode: str) -> dict[str, Any]:
    """Publish one slot at a time, each after the reader took the one before and waits again."""
    writer = RingWriter(segment.open_writable(path).memory, doorbell_fd)
    slots = np.zeros(1, SLOT)
    for _ in range(pings):
        while writer.free_slots < writer.ring.capacity or (
            mode == "park" and not writer.ring.parked
        ):
            os.sched_yield()
        slots[0]["recv_ns"] = time.perf_counter_ns()
        writer.publish(slots, 1)
    return {}


def read_pings(path: Path, pings: int, doorbell_fd: int, mode: str) -> dict[str, Any]:
    """Take one slot at a time and note how old it is."""
    reader = RingReader(segment.open_writable(path).memory, doorbell_fd, start=0)
    slots = np.zeros(BATCH_SLOTS_MIN, SLOT)
    print("ready", flush=True)
    ages: list[int] = []
    while len(ages) < pings:
        if reader.poll(slots):
            ages.append(time.perf_counter_ns() - int(slots[0]["recv_ns"]))
        elif mode == "park":
            reader.park(PARK_MS)
    ages = sorted(ages[pings // 10 :])  # the first tenth warms up
    return {"p50_us": ages[len(ages) // 2] / 1e3, "p99_us": ages[len(ages) * 99 // 100] / 1e3}


def _child(arguments: argparse.Namespace) -> None:
    """Run one side and print its result."""
    path, mode, numbers = Path(arguments.path), arguments.mode, arguments.numbers
    match arguments.role:
        case "write-stream":
            slot_count, _, batch = numbers
            result = write_stream(path, slot_count, batch)
        case "read-stream":
            slot_count, rounds, _ = numbers
            result = read_stream(path, slot_count, rounds, mode)
        case "write-pings":
            pings, bell = numbers
            result = write_pings(path, pings, bell, mode)
        case _:
            pings, bell = numbers
            result = read_pings(path, pings, bell, mode)
    print(json.dumps(result), flush=True)


# --- the measurement ---------------------------------------------------------------------------


def _spawn(
    role: str, path: Path, mode: str, numbers: list[int], fds: tuple[int, ...] = ()
) -> subprocess.Popen[str]:
    """Start one side."""
    command = [
        sys.executable,
        "-m",
        "bench.bench_ring",
        "--role",
        role,
        "--path",
        str(path),
        "--mode",
        mode,
        "--numbers",
        *map(str, numbers),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=fds)


def _measure(
    kind: str, capacity: int, mode: str, numbers: list[int], fds: tuple[int, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run writer against reader on a fresh ring; return both results."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="vntape-bench-", dir=shm) as folder:
        path = Path(folder) / "ring"
        with segment.create(path, ring_bytes(capacity)) as ring:
            format_ring(ring.memory, capacity, 1)
        with _spawn(f"read-{kind}", path, mode, numbers, fds) as reader:
            assert reader.stdout is not None
            if reader.stdout.readline() != "ready\n":
                raise RuntimeError("the reader did not start")
            with _spawn(f"write-{kind}", path, mode, numbers, fds) as writer:
                try:
                    read_out, _ = reader.communicate(timeout=WATCHDOG_S)
                    write_out, _ = writer.communicate(timeout=WATCHDOG_S)
                except subprocess.TimeoutExpired:
                    reader.kill()
                    writer.kill()
                    raise
    if reader.returncode or writer.returncode:
        raise RuntimeError(f"reader ended with {reader.returncode}, writer {writer.returncode}")
    return json.loads(write_out), json.loads(read_out)


def throughput(
    mode: str, capacity: int, batch: int, round_slots: int, rounds: int
) -> dict[str, Any]:
    """Measure one way of reading; raise if a single word arrived wrong."""
    slot_count = round_slots // batch * batch * rounds
    wrote, read = _measure("stream", capacity, mode, [slot_count, rounds, batch])
    expected = expected_sum(slot_count, batch)
    if (read["sum"], read["wrong"], read["lapped"], read["seen"]) != (expected, 0, 0, slot_count):
        raise RuntimeError(f"ring {mode}: expected sum {expected} of {slot_count} slots, {read}")
    rates = sorted(read["rates"])
    return {
        "slots_per_s": round(statistics.median(rates)),
        "slots_per_s_min": round(rates[0]),
        "slots_per_s_max": round(rates[-1]),
        "above_floor": statistics.median(rates) >= FLOOR_SLOTS_PER_S,
        "slots": slot_count,
        "capacity": capacity,
        "batch": batch,
        "checksum": expected,
        # times a side found nothing to do: where they differ much, the busier side is the limit
        "writer_waits": wrote["waits"],
        "reader_waits": read["waits"],
    }


def memory_copy(capacity: int) -> int:
    """Copy a batch over a ring-sized buffer round and round, alone on a core; slots per second."""
    source = words_of(np.ones(SIZES["full"]["batch"], SLOT)).ravel()
    target = words_of(np.ones(capacity, SLOT)).ravel()
    copied, begin_ns = 0, time.perf_counter_ns()
    while copied < 4 * target.size:
        at = copied % target.size
        target[at : at + source.size] = source
        copied += source.size
    return round(copied // WORDS_PER_SLOT * 1e9 / (time.perf_counter_ns() - begin_ns))


def latency(mode: str, capacity: int, pings: int) -> dict[str, Any]:
    """Measure single slots against a reader that spins or parks."""
    bell = doorbell.new_doorbell()
    try:
        _, read = _measure("pings", capacity, mode, [pings, bell], (bell,))
    finally:
        os.close(bell)
    return read


def run(size: Size = "full") -> dict[str, Any]:
    """Measure everything; the answer is checked before a figure is given.

    Returns
    -------
    dict
        ``in_place``, ``copy`` and (full size) ``copy_default_ring``: slots/s as median, min and
        max of the rounds, who waited, the checked sum; ``ping``: microseconds;
        ``memory_copy_slots_per_s``: what one core's plain copy of a ring of that size reaches,
        with nobody at the other end.
    """
    s = SIZES[size]
    stream = {key: s[key] for key in ("capacity", "batch", "round_slots", "rounds")}
    result: dict[str, Any] = {
        "floor_slots_per_s": FLOOR_SLOTS_PER_S,
        "slot_bytes": SLOT.itemsize,
        "in_place": throughput("in_place", **stream),
        "copy": throughput("copy", **stream),
        "ping": {mode: latency(mode, s["capacity"], s["pings"]) for mode in ("spin", "park")},
    }
    capacities = [s["capacity"]]
    if size == "full":
        result["copy_default_ring"] = throughput("copy", **{**stream, "capacity": DEFAULT_CAPACITY})
        capacities.append(DEFAULT_CAPACITY)
    result["memory_copy_slots_per_s"] = {str(n): memory_copy(n) for n in capacities}
    return result


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="slots per second across two processes")
    parser.add_argument("--small", action="store_true", help="a second, for tests")
    parser.add_argument("--json", type=Path, help="also write the result here")
    for hidden in ("--role", "--path", "--mode"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", type=int, nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        _child(arguments)
        return
    report(run("small" if arguments.small else "full"), arguments.json)


if __name__ == "__main__":
    main()

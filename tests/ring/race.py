"""One side of a race on a real ring, in a process of its own; started by test_race.py.

    python -m tests.ring.race ROLE PATH SLOTS SEED DOORBELL_FD

Slot number n carries words derived from n, so that the reader can tell every slot by itself.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from engine import segment
from engine.jit import kernel
from engine.ring.layout import FLAGS_WORD, LAST_BIT, SEQ_WORD, WORDS_PER_SLOT, words_of
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.slots import SLOT

PUBLISH_MAX = 1500  # more than a group: some publishes are two
BATCH_SLOTS = 4096
SLEEP_MS = 30_000  # a sleep this long is ended by a wake-up or is a lost one


@kernel
def fill(words, first_seq, count):
    for i in range(count):
        for word in range(WORDS_PER_SLOT):
            words[i, word] = (first_seq + i) * 64 + word
        words[i, FLAGS_WORD] = 0


@kernel
def judge(words, count, expected_seq):
    """Return how many slots are torn, how many out of sequence, and whether the end is LAST."""
    torn = 0
    astray = 0
    for i in range(count):
        seq = words[i, SEQ_WORD]
        if seq != expected_seq + i:
            astray += 1
        for word in range(1, WORDS_PER_SLOT):
            if word != FLAGS_WORD and words[i, word] != seq * 64 + word:
                torn += 1
                break
    return torn, astray, words[count - 1, FLAGS_WORD] & LAST_BIT != 0


def write(path, slot_count, seed, _bell, *, paced=False):
    """Publish as fast as possible, in groups of random size; `paced`: only into free slots."""
    writer = RingWriter(segment.open_writable(path).memory, None)
    rng = np.random.default_rng(seed)
    slots = np.zeros(PUBLISH_MAX, SLOT)
    words = words_of(slots)
    seq = 0
    while seq < slot_count:
        count = min(int(rng.integers(1, PUBLISH_MAX + 1)), slot_count - seq)
        while paced and writer.free_slots < count:
            os.sched_yield()
        fill(words, seq, count)
        writer.publish(slots, count)
        seq += count
    return {"published": writer.write_seq}


def read(path, slot_count, seed, _bell, *, slow=False):
    """Judge everything; `slow`: now and then fall behind by more than the ring holds."""
    reader = RingReader(segment.open_writable(path).memory, None, start=0)
    rng = np.random.default_rng(seed + 1)
    batch = np.zeros(BATCH_SLOTS, SLOT)
    words = words_of(batch)
    found = {"torn": 0, "astray": 0, "partial": 0, "received": 0, "miscounted": 0}
    print("ready", flush=True)
    while reader.read_seq < slot_count:
        before, lapped_before = reader.read_seq, reader.lapped_slots
        count = reader.poll(batch)
        first = reader.read_seq - count
        found["miscounted"] += first - before != reader.lapped_slots - lapped_before
        if count == 0:
            os.sched_yield()
            continue
        torn, astray, ends = judge(words, count, first)
        found["torn"] += int(torn)
        found["astray"] += int(astray)
        found["partial"] += not ends
        found["received"] += count
        if slow and rng.random() < 0.1:
            goal = min(slot_count, reader.read_seq + 2 * reader.ring.capacity)
            while reader.ring.write_seq < goal:
                os.sched_yield()
    return {**found, "lapped": reader.lapped_slots}


def ring_when_taken(path, slot_count, _seed, bell):
    """Publish one slot the moment the one before was taken: while the reader falls asleep."""
    writer = RingWriter(segment.open_writable(path).memory, bell)
    slots = np.zeros(1, SLOT)
    for seq in range(slot_count):
        while writer.free_slots < writer.ring.capacity:
            os.sched_yield()
        fill(words_of(slots), seq, 1)
        writer.publish(slots, 1)
    return {"published": writer.write_seq}


def sleep_between(path, slot_count, _seed, bell):
    """Park after every slot."""
    reader = RingReader(segment.open_writable(path).memory, bell, start=0)
    batch = np.zeros(BATCH_SLOTS, SLOT)
    overslept = received = 0
    reader.poll(batch)
    print("ready", flush=True)
    while received < slot_count:
        received += reader.poll(batch)
        if received < slot_count and not reader.park(SLEEP_MS):
            overslept += 1  # woken for nothing would also end up here, with nothing to take
    return {"received": received, "lapped": reader.lapped_slots, "overslept": overslept}


ROLES = {
    "write": write,
    "write-paced": lambda *a: write(*a, paced=True),
    "read": read,
    "read-slow": lambda *a: read(*a, slow=True),
    "ring-when-taken": ring_when_taken,
    "sleep-between": sleep_between,
}

if __name__ == "__main__":
    role, path, slot_count, seed, bell = sys.argv[1:]
    print(json.dumps(ROLES[role](Path(path), int(slot_count), int(seed), int(bell))), flush=True)

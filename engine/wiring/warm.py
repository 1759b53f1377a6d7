"""Compile every kernel into the shared cache: ``python -m engine.wiring.warm v2``.

Plays a frame of a protocol through the local tape, and slots through a journal, which calls every
kernel with the types production uses.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from engine.journal.reader import JournalReader
from engine.journal.survey import introduced, survey
from engine.journal.writer import JournalWriter
from engine.ring.layout import RING_SLOTS_MIN, format_ring, ring_bytes
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.codes import SlotKind
from engine.schema.slots import SLOT
from engine.shard.digest import hash_bytes
from engine.wiring.local import LocalTape
from engine.wiring.worker import BATCH_SLOTS

FRAMES = {
    "v2": b'{"C":"d-0","M":[{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\\"DataType\\":\\"F\\",'
    b'\\"Content\\":\\"{\\\\\\"RType\\\\\\":\\\\\\"F\\\\\\"}\\"}"]}]}',
    "v3": b'{"channel":"DATA","topic":"trade.A","data":{"t":"2021/07/15 09:15:00","s":"A"}}',
}


def warm_tape(protocol: str) -> None:
    """Run one frame through intake, ring and stages; `Fold.warm` covers the stages it skips."""
    tape = LocalTape(ring_slots=8_192, protocol=protocol)
    for shard in tape.shards:
        shard.fold.warm()
    tape.play([(1, FRAMES[protocol])])
    tape.digest()
    hash_bytes(np.zeros(64, np.uint8))


def warm_journal(folder: Path) -> None:
    """Write a slot to a ring and a journal in `folder`, and read it everywhere."""
    memory = np.zeros(ring_bytes(RING_SLOTS_MIN), np.uint8)
    format_ring(memory, RING_SLOTS_MIN, created_ns=0)
    ring, reader = RingWriter(memory, None), RingReader(memory, None)
    slots, batch = np.zeros(1, SLOT), np.zeros(BATCH_SLOTS, SLOT)
    slots["kind"] = SlotKind.SYMBOL
    journal = JournalWriter(folder, 0, 0, 0, 0, fsync="none", now_ns=0)
    journal.append(ring.stamp(slots, 1), 1, 0)
    journal.close()
    ring.publish(slots, 1)
    reader.poll_held(batch)
    JournalReader(folder, 0).read(batch)
    survey(folder, 0)
    introduced(folder, 0, 1)


def main(protocol: str) -> None:
    """Compile."""
    warm_tape(protocol)
    with tempfile.TemporaryDirectory() as folder:
        warm_journal(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])

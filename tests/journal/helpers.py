"""Bites to write, journals to read whole, and bytes to spoil; shared by the tests of this room."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.journal.disk import REAL_DISK, Disk
from engine.journal.layout import HEADER_BYTES, file_name
from engine.journal.reader import BATCH_SLOTS_MIN, JournalReader
from engine.journal.records import RECORD_BYTES, words_of
from engine.journal.writer import JournalWriter
from engine.schema.codes import ControlOp, Instrument, SlotFlag, SlotKind
from engine.schema.slots import CONTROL, SLOT, SYMBOL

SHARD = 0
DAY = 20_777
EPOCH_NS = 1_795_000_000_000_000_000
NOW_NS = EPOCH_NS + 1_000_000_000
RECV_NS = EPOCH_NS + 5_000_000_000
EXCH_S = RECV_NS // 1_000_000_000
FEED_ID = 7


def bite(first_seq: int, groups: list[int], seed: int = 1) -> NDArray[np.void]:
    """Slots as ingest stamps them: groups of these sizes, published at once."""
    count = sum(groups)
    slots = np.zeros(count, SLOT)
    seqs = np.arange(first_seq, first_seq + count)
    dice = np.random.default_rng(seed + first_seq)
    words_of(slots)[:] = dice.integers(0, 1 << 63, (count, 24), dtype=np.uint64)
    slots["seq"] = seqs
    slots["recv_ns"] = RECV_NS + seqs
    slots["exch_s"] = EXCH_S + seqs
    slots["symbol_id"] = 1
    slots["kind"] = SlotKind.TRADE
    slots["flags"] = 0
    slots["flags"][np.cumsum(groups) - 1] = SlotFlag.LAST
    slots["flags"][-1] = SlotFlag.LAST | SlotFlag.BITE
    return slots


def introduce(slots: NDArray[np.void], row: int, symbol_id: int, instrument: Instrument) -> None:
    """Make a row of a bite a SYMBOL slot."""
    slot = slots.view(SYMBOL)[row : row + 1]
    slot["symbol_id"] = symbol_id
    slot["kind"] = SlotKind.SYMBOL
    slot["code"] = f"S{symbol_id}".encode()
    slot["instrument"] = instrument


def new_writer(folder: Path, next_seq: int = 0, **options: Any) -> JournalWriter:
    options.setdefault("fsync", "none")
    options.setdefault("now_ns", NOW_NS)
    return JournalWriter(folder, SHARD, DAY, EPOCH_NS, next_seq, **options)


def write(folder: Path, *bites: NDArray[np.void], disk: Disk = REAL_DISK) -> Path:
    """Write bites in a row into one file; return it."""
    writer = new_writer(folder, int(bites[0]["seq"][0]), disk=disk)
    for slots in bites:
        assert writer.append(slots, len(slots), NOW_NS)
    writer.close()
    return folder / file_name(SHARD, int(bites[0]["seq"][0]))


def read_all(
    folder: Path, *, from_seq: int = 0, until_seq: int | None = None, skip_holes: bool = False
) -> tuple[NDArray[np.void], JournalReader]:
    """Read until there is no more; return everything and the reader as it ended."""
    reader = JournalReader(folder, SHARD, from_seq=from_seq)
    batch = np.zeros(BATCH_SLOTS_MIN, SLOT)
    parts = [batch[:0].copy()]
    while True:
        count = reader.read(batch, until_seq)
        parts.append(batch[:count].copy())
        if count == 0 and reader.hole is not None and skip_holes:
            reader.skip_hole()
        elif count == 0:
            return np.concatenate(parts), reader


def offset_of(row: int) -> int:
    """Where the record of a row of a file lies."""
    return HEADER_BYTES + row * RECORD_BYTES


def flip(path: Path, offset: int, bits: int = 1) -> None:
    """Spoil one byte."""
    data = bytearray(path.read_bytes())
    data[offset] ^= bits
    path.write_bytes(data)


def assert_same(found: NDArray[np.void], expected: NDArray[np.void]) -> None:
    """Compare slots byte for byte."""
    assert found["seq"].tolist() == expected["seq"].tolist()
    assert np.array_equal(words_of(found), words_of(expected))


def assert_told(slot: np.void, seq: int, stamps_of: int, symbol_id: int, detail: str) -> None:
    """Check a replacement: it tells of slot `seq` with the stamps of another one."""
    control = np.array([slot]).view(CONTROL)[0]
    assert control["seq"] == seq
    assert (control["recv_ns"], control["exch_s"]) == (RECV_NS + stamps_of, EXCH_S + stamps_of)
    assert (control["kind"], control["flags"]) == (SlotKind.CONTROL, SlotFlag.LAST)
    assert (control["op"], control["arg0"], control["arg1"]) == (ControlOp.LOST, 1, 0)
    assert control["symbol_id"] == symbol_id
    assert control["detail"].decode() == detail

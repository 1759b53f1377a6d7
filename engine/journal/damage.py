"""What stands in for a slot that cannot be given back, and how its loss is put in words.

The replacement must be the same for every reader, wherever it began: a fold of the journal has to
give the same state each time. So it depends on the file alone, on its intact slots before it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.journal.disk import Disk
from engine.journal.layout import HEADER_BYTES, JournalPath
from engine.journal.records import RECORD_BYTES, bytes_of, new_records, open_records, words_of
from engine.schema.codes import ControlOp, SlotFlag, SlotKind
from engine.schema.slots import SLOT

LOOK_AHEAD_SLOTS: Final = 2_048  # a file that begins with more damage than that has no stamps
NS_PER_S: Final = 1_000_000_000

Stamps = tuple[int, int]  # recv_ns, exch_s


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a journal that are not what was written.

    Attributes
    ----------
    seq
        Number of the first slot that is lost by it; the first slot of the file when it is the
        header that is damaged.
    file, offset
        Where, in bytes.
    why
        In words.
    slots
        How many slots in a row; 0 when only a header is damaged.
    """

    seq: int
    file: Path
    offset: int
    why: str
    slots: int = 1

    def __str__(self) -> str:
        """Say it all in one line."""
        return f"{self.file}, byte {self.offset}: {self.why}"


def damaged_header(file: JournalPath) -> Damage:
    """Return what is said of a file whose header is not right."""
    why = f"the header ({HEADER_BYTES} bytes) is damaged; the slots behind it are read"
    return Damage(file.first_seq, file.path, 0, why, 0)


def damaged_slots(file: JournalPath, first_seq: int, rows: NDArray[np.int64]) -> list[Damage]:
    """Return what is said of bad records, neighbours together.

    Parameters
    ----------
    file
        Where they lie.
    first_seq
        Number of the slot of row 0.
    rows : int64, shape (n,)
        The bad ones, in order.
    """
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []
    found = []
    for run in runs:
        seq, count = first_seq + int(run[0]), len(run)
        what = f"slot {seq}" if count == 1 else f"slots {seq} to {seq + count - 1}"
        why = f"the checksum of {what} is wrong ({count * RECORD_BYTES} bytes)"
        found.append(Damage(seq, file.path, file.offset(seq), why, count))
    return found


def replace(
    controls: NDArray[np.void],
    row: int,
    seq: int,
    stamps: Stamps,
    symbol_id: int,
    detail: str,
    *,
    slots: int = 1,
) -> None:
    """Put a CONTROL slot that tells of lost ones in a row.

    Parameters
    ----------
    controls
        The batch, dtype CONTROL.
    row, seq
        Where, and the number it carries.
    stamps
        ``recv_ns, exch_s`` of the slot before.
    symbol_id
        The feed's pseudo symbol, or 0.
    detail
        One line for a human, cut to what the slot has room for.
    slots
        How many are lost.
    """
    slot = controls[row : row + 1]
    slot[:] = np.zeros(1, slot.dtype)
    slot["seq"] = seq
    slot["recv_ns"], slot["exch_s"] = stamps
    slot["symbol_id"] = symbol_id
    slot["kind"] = SlotKind.CONTROL
    slot["flags"] = SlotFlag.LAST
    slot["op"] = ControlOp.LOST
    slot["arg0"] = slots
    slot["detail"] = detail.encode()


def stamps_before(
    disk: Disk, file: JournalPath, seq: int, left_out: Callable[[int], bool], created_ns: int
) -> Stamps:
    """Return the stamps for a replacement of slot `seq`: of the nearest good slot before it.

    At the beginning of a file there may be none: then of the nearest one after it, and if that
    is far away too, the file's own time.

    Parameters
    ----------
    disk, file
        Where to look: never beyond one file.
    seq
        The slot to be replaced.
    left_out
        Whether a slot is quarantined: its stamps may be what is wrong with it.
    created_ns
        When the file was begun, UTC ns.
    """
    before = range(seq - 1, file.first_seq - 1, -1)
    after = range(seq + 1, seq + 1 + LOOK_AHEAD_SLOTS)
    for look in (before, after):
        for other in look:
            if not left_out(other):
                found, stamps = _stamps_of(disk, file, other)
                if stamps is not None:
                    return stamps
                if not found:
                    break
    return created_ns, created_ns // NS_PER_S


def _stamps_of(disk: Disk, file: JournalPath, seq: int) -> tuple[bool, Stamps | None]:
    """Return whether there is such a record, and its stamps if it is good."""
    record, slot = new_records(1), np.zeros(1, SLOT)
    size_bytes = disk.read(file.path, file.offset(seq), bytes_of(record))
    if size_bytes < RECORD_BYTES:
        return False, None
    if open_records(record, 1, seq, words_of(slot), np.zeros(1, np.int64)):
        return True, None
    return True, (int(slot["recv_ns"][0]), int(slot["exch_s"][0]))

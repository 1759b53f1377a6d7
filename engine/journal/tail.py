"""The knife for what lies behind the last whole bite of a file."""

from typing import Final

import numpy as np

from engine.journal.disk import Disk
from engine.journal.layout import JournalError, JournalPath, slots_in
from engine.journal.records import RECORD_BYTES, bytes_of, inspect, new_records

LOOK_SLOTS: Final = 65_536  # no bite is that long


def cut_file(disk: Disk, file: JournalPath, seq: int) -> int:
    """Remove everything from slot `seq` on, and a part of a slot before it; for good.

    Returns
    -------
    int
        Number of the slot behind the last one in the file: `seq`, unless it ends earlier.

    Raises
    ------
    OSError
        The disk refused.
    """
    size_bytes = disk.size(file.path)
    end_seq = min(seq, file.first_seq + slots_in(size_bytes))
    if size_bytes != file.offset(end_seq):
        opened = disk.open(file.path)
        try:
            opened.truncate(file.offset(end_seq))
            opened.sync()
        finally:
            opened.close()
    return end_seq


def refuse_bites(disk: Disk, file: JournalPath, seq: int) -> None:
    """Make sure that nothing whole would be cut away from slot `seq` on.

    Raises
    ------
    JournalError
        A bite ends there: somebody was told the wrong number to go on with.
    OSError
        The disk cannot be read.
    """
    count = min(LOOK_SLOTS, file.first_seq + slots_in(disk.size(file.path)) - seq)
    if count <= 0:
        return
    records, rows = new_records(count), np.zeros(count, np.int64)
    count = disk.read(file.path, file.offset(seq), bytes_of(records)) // RECORD_BYTES
    bite_end = inspect(records, count, seq, rows, rows.copy())[3]
    if bite_end:
        raise JournalError(
            f"{file.path} has whole bites up to slot {seq + bite_end}, its writer would go on at "
            f"{seq}: two writers, or a wrong number"
        )

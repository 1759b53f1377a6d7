"""What a shard's journal holds, proved in one pass; and the knife for its torn tail.

A process that dies while it appends leaves half a bite at the end of the last file. Nobody has
seen those slots: a bite is published after it is written. They are cut away, so that the next
writer goes on behind a whole bite. Everything else is kept, damaged or not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.journal.damage import Damage, damaged_header, damaged_slots
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.layout import (
    JournalPath,
    all_files,
    journal_files,
    parse_file_name,
    read_header,
    slots_in,
)
from engine.journal.records import (
    RECORD_BYTES,
    SLOT_WORDS,
    Words,
    bytes_of,
    find_symbols,
    inspect,
    new_records,
)
from engine.journal.tail import cut_file
from engine.schema.slots import SLOT

CHUNK_SLOTS: Final = 4_096


assert SLOT.fields is not None
ID_WORD, ID_SHIFT = divmod(SLOT.fields["symbol_id"][1] * 8, 64)  # in a slot seen as words
assert ID_SHIFT == 32, "symbol_id is the upper half of its word"


@dataclass(frozen=True, slots=True)
class Torn:
    """The end of the last file, behind its last whole bite.

    Attributes
    ----------
    file, offset
        Where it begins, in bytes.
    bytes, slots
        How long it is, and how many whole slots are in it.
    """

    file: Path
    offset: int
    bytes: int
    slots: int

    def __str__(self) -> str:
        """Say it all in one line."""
        return (
            f"{self.file}, byte {self.offset}: {self.bytes} bytes ({self.slots} whole slots) of "
            "an append that was cut short"
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """A shard's journal of one day.

    Attributes
    ----------
    shard
        Whose.
    first_seq, end_seq
        From the first slot there is to behind the last whole bite; both 0 without a journal.
    holes
        ``(first, end)``: slots that were never written, before `end_seq`.
    damage
        What is not as it was written, before `end_seq`.
    torn
        What `cut_tail` removes.
    scraps
        Files that got no header: their writer died while making them. `cut_tail` removes them.
    symbols
        All SYMBOL slots before `end_seq`, in order; dtype SLOT.
    ids_end
        Every whole slot's symbol_id is below this, also of those whose SYMBOL slot is lost.
    """

    shard: int
    first_seq: int
    end_seq: int
    holes: list[tuple[int, int]]
    damage: list[Damage]
    torn: Torn | None
    scraps: list[Path]
    symbols: NDArray[np.void]
    ids_end: int = 1


def survey(folder: Path, shard: int, disk: Disk = REAL_DISK, from_seq: int = 0) -> Survey:
    """Read a shard's journal from end to end and prove every slot.

    Parameters
    ----------
    folder, shard, disk
        Whose journal, and where.
    from_seq
        Slots before this one are believed: they were published, so they were written whole.

    Raises
    ------
    SchemaMismatch
        A file was written with other layouts.
    JournalError
        A file is not what its name says.
    OSError
        The disk cannot be read.
    """
    files = journal_files(disk, folder, shard)
    whole = {file.path for file in files}
    scraps = [item.path for item in all_files(disk, folder, shard) if item.path not in whole]
    holes: list[tuple[int, int]] = []
    damage: list[Damage] = []
    symbols: list[NDArray[np.void]] = []
    torn = None
    end_seq, ids_end = 0, 1
    for file in files:
        if file.first_seq > end_seq:
            holes.append((end_seq, file.first_seq))
        if read_header(disk, file, shard) is None:
            damage.append(damaged_header(file))
        found = _walk(disk, file, from_seq)
        if file is files[-1]:
            end_seq = found.bite_end_seq
            torn = _torn(disk, file, end_seq)
        else:
            end_seq = found.group_end_seq
        ids_end = max(ids_end, found.ids_end)
        damage += [item for item in found.damage if item.seq < end_seq]
        symbols += [part[part["seq"] < end_seq] for part in found.symbols]
    return Survey(
        shard,
        files[0].first_seq if files else 0,
        end_seq,
        holes,
        damage,
        torn,
        scraps,
        np.concatenate([np.zeros(0, SLOT), *symbols]),
        ids_end,
    )


def cut_tail(found: Survey, disk: Disk = REAL_DISK) -> None:
    """Cut away what is behind the last whole bite; remove files without a header.

    Raises
    ------
    OSError
        The disk refused.
    """
    for scrap in found.scraps:
        disk.remove(scrap)
    if found.torn is not None:
        name = parse_file_name(found.torn.file.name)
        assert name is not None
        cut_file(disk, JournalPath(name[1], found.torn.file), found.end_seq)


def introduced(
    folder: Path, shard: int, until_seq: int, disk: Disk = REAL_DISK
) -> NDArray[np.void]:
    """Return the SYMBOL slots before `until_seq`, in order, proving nothing else.

    Returns
    -------
    numpy.ndarray
        dtype SLOT.

    Raises
    ------
    OSError
        The disk cannot be read.
    """
    found: list[NDArray[np.void]] = [np.zeros(0, SLOT)]
    rows = np.zeros(CHUNK_SLOTS, np.int64)
    for file in journal_files(disk, folder, shard):
        for seq, count, records in _chunks(disk, file, file.first_seq):
            slots = _slots(records, rows[: find_symbols(records, count, rows)])
            found.append(slots[slots["seq"] < until_seq])
            if seq + count >= until_seq:
                break
    return np.concatenate(found)


@dataclass(slots=True)
class _Walk:
    """What is in one file."""

    group_end_seq: int
    bite_end_seq: int
    damage: list[Damage]
    symbols: list[NDArray[np.void]]
    ids_end: int = 1


def _walk(disk: Disk, file: JournalPath, from_seq: int) -> _Walk:
    """Prove a file from `from_seq` on, which ends a bite if it lies in the file."""
    file_end_seq = file.first_seq + slots_in(disk.size(file.path))
    begin_seq = min(max(from_seq, file.first_seq), file_end_seq)
    found = _Walk(begin_seq, begin_seq, [], [])
    bad, symbols = np.zeros(CHUNK_SLOTS, np.int64), np.zeros(CHUNK_SLOTS, np.int64)
    end_seq = solid_end_seq = begin_seq
    last_is_bad = False
    for seq, count, records in _chunks(disk, file, begin_seq):
        bad_count, symbol_count, group_end, bite_end, solid_end = inspect(
            records, count, seq, bad, symbols
        )
        end_seq = seq + count
        if group_end:
            found.group_end_seq = seq + group_end
        if bite_end:
            found.bite_end_seq = seq + bite_end
        if solid_end:
            solid_end_seq = seq + solid_end
        last_is_bad = bad_count > 0 and int(bad[bad_count - 1]) == count - 1
        found.damage += damaged_slots(file, seq, bad[:bad_count])
        ids = records[:count, ID_WORD] >> ID_SHIFT
        ids[bad[:bad_count]] = 0
        found.ids_end = max(found.ids_end, int(ids.max()) + 1)
        if symbol_count:
            found.symbols.append(_slots(records, symbols[:symbol_count]))
    # A last record that is complete and wrong is damage, not a tear: what was appended before it
    # stays, and it may have ended the bite. Zeros are what a power cut leaves where data should be.
    complete = disk.size(file.path) == file.offset(end_seq) and solid_end_seq == end_seq
    if last_is_bad and complete:
        found.bite_end_seq = end_seq
    return found


def _torn(disk: Disk, file: JournalPath, end_seq: int) -> Torn | None:
    """Return what lies behind the last whole bite of a file."""
    offset, size_bytes = file.offset(end_seq), disk.size(file.path)
    if size_bytes == offset:
        return None
    rest_bytes = size_bytes - offset
    return Torn(file.path, offset, rest_bytes, rest_bytes // RECORD_BYTES)


def _chunks(disk: Disk, file: JournalPath, seq: int) -> Iterator[tuple[int, int, Words]]:
    """Yield ``(seq of row 0, count, records)`` from a slot to the file's end; one buffer."""
    records = new_records(CHUNK_SLOTS)
    buffer = bytes_of(records)
    end_seq = file.first_seq + slots_in(disk.size(file.path))
    while seq < end_seq:
        wanted = min(CHUNK_SLOTS, end_seq - seq)
        room = buffer[: wanted * RECORD_BYTES]
        count = disk.read(file.path, file.offset(seq), room) // RECORD_BYTES
        if count == 0:
            return
        yield seq, count, records
        seq += count


def _slots(records: Words, rows: NDArray[np.int64]) -> NDArray[np.void]:
    """Copy the slots of some records."""
    return np.ascontiguousarray(records[rows, :SLOT_WORDS]).view(SLOT).reshape(len(rows))

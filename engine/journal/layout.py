"""Names and heads of journal files: what they say, and the refusal of every other one.

    shard-<n>.<first_seq, 12 digits>.vnj      header, then records; see schema.journal

The name says what the header says as well, so a damaged header costs nothing but a message.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engine.errors import SchemaMismatch, VntapeError
from engine.journal.disk import Disk
from engine.journal.records import RECORD_BYTES, SLOT_WORDS, WORD_BYTES, checksum
from engine.schema import SCHEMA_U64
from engine.schema.journal import JOURNAL_HEADER, JOURNAL_MAGIC

FILE_SUFFIX: Final = ".vnj"
HEADER_BYTES: Final = JOURNAL_HEADER.itemsize
GROUP_SLOTS_MAX: Final = 1024  # of the ring, which this room does not know; tests compare them
_HEADER_WORDS: Final = HEADER_BYTES // WORD_BYTES - 1  # without the checksum
_NAME = re.compile(rf"shard-(\d{{1,3}})\.(\d{{12,19}}){re.escape(FILE_SUFFIX)}")


class JournalError(VntapeError):
    """A journal cannot be read or gone on with; says which file and why."""


@dataclass(frozen=True, slots=True, order=True)
class JournalPath:
    """A file of a shard's journal, by what its name says."""

    first_seq: int
    path: Path

    def offset(self, seq: int) -> int:
        """Return where the record of a slot lies, in bytes."""
        return HEADER_BYTES + (seq - self.first_seq) * RECORD_BYTES


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a journal file says; see schema.journal."""

    shard: int
    day: int
    epoch: int
    first_seq: int
    created_ns: int


def file_name(shard: int, first_seq: int) -> str:
    """Return the name of the file that begins with slot `first_seq`."""
    return f"shard-{shard}.{first_seq:012d}{FILE_SUFFIX}"


def parse_file_name(name: str) -> tuple[int, int] | None:
    """Return ``(shard, first_seq)``, or None for the name of anything else."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def journal_files(disk: Disk, folder: Path, shard: int) -> list[JournalPath]:
    """Return a shard's files in order; a folder that is missing has none.

    A file shorter than its header is not there yet: its writer is just making it, or died doing so.
    """
    return [item for item in all_files(disk, folder, shard) if _has_header(disk, item.path)]


def all_files(disk: Disk, folder: Path, shard: int) -> list[JournalPath]:
    """Return a shard's files in order, those without a whole header too."""
    try:
        names = disk.list(folder)
    except FileNotFoundError:
        return []
    parsed = ((parse_file_name(name), name) for name in names)
    return sorted(
        JournalPath(name[1], folder / text) for name, text in parsed if name and name[0] == shard
    )


def _has_header(disk: Disk, path: Path) -> bool:
    """Return whether a file is long enough; one that was removed meanwhile is not."""
    try:
        return disk.size(path) >= HEADER_BYTES
    except FileNotFoundError:
        return False


def slots_in(size_bytes: int) -> int:
    """Return how many whole records a file of this size holds."""
    return max(0, size_bytes - HEADER_BYTES) // RECORD_BYTES


def pack_header(header: Header) -> bytes:
    """Return the 64 bytes a file begins with."""
    row = np.zeros(1, JOURNAL_HEADER)
    row["magic"] = JOURNAL_MAGIC
    row["schema"] = SCHEMA_U64
    for name in ("shard", "day", "epoch", "first_seq", "created_ns"):
        row[name] = getattr(header, name)
    row["checksum"] = _header_checksum(row.tobytes())
    return row.tobytes()


def read_header(disk: Disk, file: JournalPath, shard: int) -> Header | None:
    """Read and check the head of a file.

    Returns
    -------
    Header or None
        None: its bytes are damaged. The records can be read nevertheless: the file's name says
        where they begin.

    Raises
    ------
    SchemaMismatch
        The file was written with other layouts.
    JournalError
        The head is whole and says that this is another file than its name does.
    """
    data = bytearray(HEADER_BYTES)
    disk.read(file.path, 0, memoryview(data))
    row = np.frombuffer(data, JOURNAL_HEADER)[0]
    if bytes(row["magic"]) != JOURNAL_MAGIC or int(row["checksum"]) != _header_checksum(data):
        return None
    if int(row["schema"]) != SCHEMA_U64:
        raise SchemaMismatch(
            f"{file.path} was written with schema {int(row['schema']):#018x}, this program has "
            f"{SCHEMA_U64:#018x}: read it with the version that wrote it, or move it away"
        )
    said = Header(*(int(row[name]) for name in Header.__slots__))
    if (said.shard, said.first_seq) != (shard, file.first_seq):
        raise JournalError(
            f"{file.path} holds slots from {said.first_seq} on of shard {said.shard}: "
            f"it was renamed; its name was {file_name(said.shard, said.first_seq)}"
        )
    return said


def _header_checksum(data: bytes | bytearray) -> int:
    """Return the checksum of a header's first 56 bytes."""
    row = np.zeros((1, SLOT_WORDS), np.uint64)
    row[0, :_HEADER_WORDS] = np.frombuffer(data, np.uint64, _HEADER_WORDS)
    return int(checksum(row, 0))

"""Slots that must not be folded: those that killed a worker twice.

    <day folder>/quarantine-<shard>.json

A reader puts a CONTROL slot in their place, so every fold of the day leaves them out alike.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.journal.disk import REAL_DISK, Disk, read_whole, write_whole
from engine.journal.layout import JournalError


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A range of slots and why it is not folded."""

    first_seq: int
    end_seq: int
    why: str
    since_ns: int


def quarantine_file(folder: Path, shard: int) -> Path:
    """Return where a shard's quarantined slots of a day are listed."""
    return folder / f"quarantine-{shard}.json"


def read(folder: Path, shard: int, disk: Disk = REAL_DISK) -> list[Quarantined]:
    """Return what is quarantined, in the order in which it was put there.

    Raises
    ------
    JournalError
        The list is there and cannot be read. Folding on without it could kill again.
    """
    path = quarantine_file(folder, shard)
    try:
        ranges = json.loads(read_whole(disk, path))["ranges"]
        return [_quarantined(item) for item in ranges]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{path} cannot be read ({type(error).__name__}: {error}): remove it to fold "
            "every slot of the day again"
        ) from None


def add(
    folder: Path,
    shard: int,
    first_seq: int,
    end_seq: int,
    why: str,
    now_ns: int,
    disk: Disk = REAL_DISK,
) -> None:
    """Put slots [first_seq, end_seq) on the list; those that are on it already stay once.

    Raises
    ------
    OSError
        The disk refused; the list is as it was.
    JournalError
        The list that is there cannot be read.
    """
    assert 0 <= first_seq < end_seq, f"slots [{first_seq}, {end_seq})"
    ranges = read(folder, shard, disk)
    if any(item.first_seq <= first_seq and end_seq <= item.end_seq for item in ranges):
        return
    ranges.append(Quarantined(first_seq, end_seq, why, now_ns))
    text = json.dumps({"ranges": [asdict(item) for item in ranges]}, indent=1)
    write_whole(disk, quarantine_file(folder, shard), text.encode())


def _quarantined(item: dict[str, Any]) -> Quarantined:
    """Turn one entry of the list into what it says."""
    first_seq, end_seq, since_ns = (int(item[key]) for key in ("first_seq", "end_seq", "since_ns"))
    return Quarantined(first_seq, end_seq, str(item["why"]), since_ns)

"""Files that are either whole and durable, or not there."""

import os
import zlib
from pathlib import Path

from engine.history.catalogue import BLOCK_BYTES, Damage, File

PART = ".part"


def make_folder(folder: Path) -> None:
    """Create a folder and what is above it; make its entry durable."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync(path: Path) -> None:
    """Make what is in a file durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file under a temporary name, sync it, give it its name; the folder is not synced.

    Raises
    ------
    OSError
        The disk refused. Nothing has the name, and the temporary file is gone.
    """
    part = path.with_name(path.name + PART)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def checksums_of(data: bytes | memoryview) -> tuple[int, ...]:
    """Return the CRC-32 of each block."""
    view = memoryview(data)
    return tuple(
        zlib.crc32(view[first : first + BLOCK_BYTES])
        for first in range(0, view.nbytes, BLOCK_BYTES)
    )


def checksums_of_file(path: Path) -> tuple[int, ...]:
    """Return the CRC-32 of each block of a file."""
    with path.open("rb") as file:
        return tuple(zlib.crc32(block) for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def size_damage(root: Path, file: File) -> Damage | None:
    """Return what is wrong with a file's length; None when nothing is."""
    path = root / file.path
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        why = f"the file is gone; {file.rows} rows of {file.table} are missing from the history"
        return Damage(path, 0, why)
    if found == file.size_bytes:
        return None
    return Damage(
        path,
        min(found, file.size_bytes),
        f"the file has {found} bytes, {file.size_bytes} were written; "
        f"{file.rows} rows of {file.table} are left out",
    )


def damage_of(root: Path, file: File) -> Damage | None:
    """Read a whole file and compare it with its checksums; None when all is well."""
    damage = size_damage(root, file)
    if damage is not None:
        return damage
    path = root / file.path
    try:
        found = checksums_of_file(path)
    except OSError as error:
        return Damage(path, 0, f"the file cannot be read ({error.strerror}); it is left out")
    for block, (expected, actual) in enumerate(zip(file.checksums, found, strict=True)):
        if expected != actual:
            first = block * BLOCK_BYTES
            return Damage(
                path,
                first,
                f"bytes {first} to {min(first + BLOCK_BYTES, file.size_bytes)} have checksum "
                f"{actual:08x}, {expected:08x} was written; "
                f"{file.rows} rows of {file.table} are left out",
            )
    return None

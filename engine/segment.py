"""The only opener of shared memory: files under a run directory, mapped by every process.

A segment is a plain file, normally below /dev/shm. Its room is reserved at creation, so that
"no space" is an error with numbers at start and not a SIGBUS in the middle of the day. Nobody
but the supervisor creates or unlinks one; a process that dies takes nothing with it.

This module knows bytes only. What lies in them is said by schema.segments and schema.counters;
what order they are touched in, by the room that owns them.
"""

import errno
import mmap
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

OWNER_ONLY = 0o600
CELL_BYTES = 8  # every record of ours starts with, or contains, 8-byte cells


class Segment:
    """One mapped file.

    Attributes
    ----------
    memory
        The whole file as bytes, ``uint8`` of shape (size_bytes,); read-only when opened so.
        Views of it (`record_view`) stay valid after `close`: the mapping ends with the last one.
    path
        Where the file is.
    """

    def __init__(self, path: Path, mapping: mmap.mmap) -> None:
        self.path = path
        self.memory: NDArray[np.uint8] = np.frombuffer(mapping, dtype=np.uint8)
        self._mapping = mapping

    def close(self) -> None:
        """Let go of the mapping. May be called twice; the file stays."""
        self.memory = np.empty(0, dtype=np.uint8)
        try:
            self._mapping.close()
        except BufferError:
            pass  # somebody still holds a view; the mapping is unmapped when that view dies

    def __enter__(self) -> Self:
        """Return the segment itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def create(path: Path, size_bytes: int) -> Segment:
    """Make a new file of zeros, reserve all of its room, and map it for writing.

    Parameters
    ----------
    path
        A file that must not exist; its folder must.
    size_bytes
        Size in bytes, at least 1.

    Raises
    ------
    ConfigError
        The file exists, the folder does not or is not ours, or there is no room for
        `size_bytes`. Nothing is left behind.
    """
    assert size_bytes > 0, f"a segment of {size_bytes} bytes"
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, OWNER_ONLY)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists already: another run owns it, or one died without cleaning up. "
            f"Stop that run, or remove the file when no process uses it"
        ) from None
    except FileNotFoundError:
        raise ConfigError(f"{path.parent} does not exist: create the run directory first") from None
    except PermissionError:
        raise ConfigError(
            f"this user may not write to {path.parent}: choose another run.dir"
        ) from None
    try:
        if size_bytes > _free_bytes(path):  # do not fill the memory up to find out
            raise OSError(errno.ENOSPC, "no room")
        os.posix_fallocate(fd, 0, size_bytes)
        mapping = _map(fd, size_bytes, writable=True)
    except OSError as error:
        path.unlink()
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise ConfigError(_no_room(path, size_bytes)) from None
        raise
    finally:
        os.close(fd)
    return Segment(path, mapping)


def check_room(folder: Path, size_bytes: int) -> None:
    """Refuse before anything is made when all segments together cannot fit.

    Raises
    ------
    ConfigError
        `folder` has less than `size_bytes` free: both numbers and the remedy.
    """
    if size_bytes > _free_bytes(folder / "any"):
        raise ConfigError(_no_room(folder / "all segments", size_bytes))


def open_writable(path: Path) -> Segment:
    """Map an existing file for reading and writing.

    Raises
    ------
    ConfigError
        There is no such file, it is empty, or it is another user's.
    """
    return _open(path, writable=True)


def open_readonly(path: Path) -> Segment:
    """Map an existing file for reading; its memory refuses every store.

    Raises
    ------
    ConfigError
        There is no such file, it is empty, or it is another user's.
    """
    return _open(path, writable=False)


def record_view(
    memory: NDArray[np.uint8], dtype: np.dtype[Any], offset: int = 0, count: int = 1
) -> NDArray[np.void]:
    """See `count` records of `dtype` at byte `offset` of a segment; no copy.

    Parameters
    ----------
    memory
        A segment's bytes, ``uint8`` of shape (size_bytes,).
    dtype
        A packed record of the schema.
    offset
        Where the first record starts, in bytes; a multiple of 8, so that every 8-byte cell of a
        record is aligned and its loads and stores cannot tear.
    count
        How many records.

    Returns
    -------
    numpy.ndarray
        Shape (count,), dtype `dtype`; read-only when `memory` is.
    """
    end = offset + dtype.itemsize * count
    assert offset % CELL_BYTES == 0, f"offset {offset} is not a multiple of {CELL_BYTES}"
    assert 0 <= offset <= end <= memory.size, (
        f"bytes {offset}..{end} of a segment of {memory.size} bytes"
    )
    return memory[offset:end].view(dtype)


def _open(path: Path, *, writable: bool) -> Segment:
    """Map an existing file."""
    try:
        fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ConfigError(f"no shared memory at {path}: is the supervisor running?") from None
    except PermissionError:
        raise ConfigError(f"this user may not open {path}: run as the one who made it") from None
    try:
        size_bytes = os.fstat(fd).st_size
        if size_bytes == 0:
            raise ConfigError(f"{path} is empty (0 bytes): its creation was cut short; remove it")
        return Segment(path, _map(fd, size_bytes, writable=writable))
    finally:
        os.close(fd)


def _map(fd: int, size_bytes: int, *, writable: bool) -> mmap.mmap:
    """Map the file shared and touch its pages now, so that no hot path takes a page fault."""
    return mmap.mmap(
        fd,
        size_bytes,
        flags=mmap.MAP_SHARED | mmap.MAP_POPULATE,
        prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0),
    )


def _free_bytes(path: Path) -> int:
    """Return the room on the file system of a path."""
    place = os.statvfs(path.parent)
    return place.f_bavail * place.f_frsize


def _no_room(path: Path, size_bytes: int) -> str:
    """Say how much was asked, how much there is, and what to do."""
    return (
        f"{path} needs {size_bytes} bytes and {path.parent} has {_free_bytes(path)} free: "
        f"make the file system larger (docker: --shm-size; or mount -o remount,size=...), "
        f"or lower engine.ring_slots or engine.symbols_max"
    )

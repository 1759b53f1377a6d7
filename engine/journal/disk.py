"""The file system as the journal sees it: a seam, so that tests can tear, fill and forget.

Everything this room does with a disk goes through a `Disk`. The real one is a handful of system
calls. A simulated one may take half of an append, be full, be read-only, or lose on a power cut
whatever was not synced.
"""

import errno
import os
from pathlib import Path
from typing import Final, Protocol

OWNER_ONLY = 0o600
FOLDER_MODE = 0o700


class JournalFile(Protocol):
    """A file open for appending. Every method may raise OSError."""

    def append(self, data: memoryview) -> int:
        """Write at the end; return how many bytes were taken, which may be fewer than given."""
        ...

    def sync(self) -> None:
        """Come back when everything appended so far survives a power cut."""
        ...

    def truncate(self, size_bytes: int) -> None:
        """Cut the end away."""
        ...

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        ...

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        ...


class Disk(Protocol):
    """What the journal asks of a file system. Every method may raise OSError."""

    def create(self, path: Path) -> JournalFile:
        """Make a new file; FileExistsError when there is one."""
        ...

    def open(self, path: Path) -> JournalFile:
        """Open an existing file for appending."""
        ...

    def read(self, path: Path, offset: int, into: memoryview) -> int:
        """Fill `into` with what lies at `offset`; return how many bytes there were."""
        ...

    def size(self, path: Path) -> int:
        """Return a file's size in bytes."""
        ...

    def list(self, folder: Path) -> list[str]:
        """Return the names in a folder, in any order; FileNotFoundError when it is missing."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it; one that is there is fine."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Come back when the names in a folder survive a power cut."""
        ...

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name, at once replacing what has it."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file."""
        ...

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        ...


class RealFile:
    """An appending file descriptor."""

    def __init__(self, path: Path, flags: int) -> None:
        mode = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, mode | flags, OWNER_ONLY)

    def append(self, data: memoryview) -> int:
        """Write at the end; return how many bytes were taken."""
        return os.write(self._fd, data)

    def sync(self) -> None:
        """Flush the data, and the size; not the times."""
        fd = self._fd
        if fd < 0:
            raise OSError(errno.EBADF, "closed meanwhile")
        os.fdatasync(fd)

    def truncate(self, size_bytes: int) -> None:
        """Cut the end away."""
        os.ftruncate(self._fd, size_bytes)

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1  # a thread that syncs right now has its sync, or an OSError
        if fd >= 0:
            os.close(fd)


class RealDisk:
    """The machine's file systems."""

    def create(self, path: Path) -> RealFile:
        """Make a new file, readable by its owner only."""
        return RealFile(path, os.O_CREAT | os.O_EXCL)

    def open(self, path: Path) -> RealFile:
        """Open an existing file for appending."""
        return RealFile(path, 0)

    def read(self, path: Path, offset: int, into: memoryview) -> int:
        """Read until `into` is full or the file ends."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = 0
            while done < len(into):
                count = os.preadv(fd, [into[done:]], offset + done)
                if count == 0:
                    break
                done += count
            return done
        finally:
            os.close(fd)

    def size(self, path: Path) -> int:
        """Return a file's size in bytes."""
        return path.stat().st_size

    def list(self, folder: Path) -> list[str]:
        """Return the names in a folder."""
        return [path.name for path in folder.iterdir()]

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it."""
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Flush a folder."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, path: Path, to: Path) -> None:
        """Rename, replacing."""
        path.replace(to)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()


REAL_DISK: Final = RealDisk()


def write_whole(disk: Disk, path: Path, data: bytes) -> None:
    """Write a small file so that readers, and a power cut, find the old one or the new one.

    Raises
    ------
    OSError
        The disk refused; the old file is as it was.
    """
    new = path.with_name(path.name + ".new")
    try:
        disk.remove(new)  # of one who died here
    except FileNotFoundError:
        pass
    file = disk.create(new)
    try:
        rest = memoryview(data)
        while rest:
            taken = file.append(rest)
            rest = rest[taken:]
        file.sync()
    finally:
        file.close()
    disk.rename(new, path)
    disk.sync_folder(path.parent)


def read_whole(disk: Disk, path: Path) -> bytes:
    """Read a small file; FileNotFoundError when there is none."""
    data = bytearray(disk.size(path))
    return bytes(data[: disk.read(path, 0, memoryview(data))])

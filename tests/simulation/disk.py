"""A disk that tears, fills up, turns read-only, flips bits and forgets what was never synced.

It keeps its files in a real folder, so that whoever opens them without this layer (a survey, a
reader in another test, a human after a failure) sees the same bytes. On top of it lies what a
real disk only does on bad days. What is durable is remembered per file: at `power_loss` every
byte that no `sync` covered may be there, be zero, or be gone with the end of its file.
"""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

PAGE_BYTES = 4096  # what a kernel writes back at once; pages come to the disk in any order
Tear = Callable[[Path, int], int | None]


class SimFile:
    """One file open for appending; `engine.journal.disk.JournalFile` in shape.

    No descriptor is kept: a process that dies here leaves nothing open.
    """

    def __init__(self, disk: "SimDisk", path: Path) -> None:
        self.path = path
        self._disk = disk

    @property
    def size_bytes(self) -> int:
        """Bytes in the file now."""
        return self.path.stat().st_size

    def append(self, data: memoryview) -> int:
        """Take all of it, or what there is room for; tear it when the disk is told to."""
        self._disk.refuse_when_read_only(self.path)
        view = memoryview(data).cast("B")
        taken = len(view)
        tear = self._disk.on_append(self.path, taken) if self._disk.on_append else None
        if tear is not None:
            taken = min(taken, tear)
        room = self._disk.room_bytes
        if room is not None:
            if taken and room == 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(self.path))
            taken = min(taken, room)
            self._disk.room_bytes = room - taken
        with self.path.open("ab") as file:
            file.write(view[:taken])
        if tear is not None:
            self._disk.torn(self.path)
        return taken

    def sync(self) -> None:
        """Make everything in the file durable."""
        self._disk.refuse_when_read_only(self.path)
        self._disk.durable[self.path] = self.path.read_bytes()

    def truncate(self, size_bytes: int) -> None:
        """Cut the end off; the room comes back."""
        self._disk.refuse_when_read_only(self.path)
        cut = self.size_bytes - size_bytes
        os.truncate(self.path, size_bytes)
        if self._disk.room_bytes is not None:
            self._disk.room_bytes += max(0, cut)

    def close(self) -> None:
        """Let go of the file; what was not synced stays in danger."""


class SimDisk:
    """A folder with bad days; `engine.journal.disk.Disk` in shape.

    Attributes
    ----------
    room_bytes
        Bytes until the disk is full, None: there is no end to it.
    read_only
        Every change raises EROFS.
    on_append
        ``(path, bytes) -> bytes taken or None``: a number makes the append stop there and
        `torn` be called, which is how a process dies in the middle of a write.
    durable
        What each file holds after a power loss at the least: its bytes as of the last sync.
    """

    def __init__(self) -> None:
        self.room_bytes: int | None = None
        self.read_only = False
        self.on_append: Tear | None = None
        self.durable: dict[Path, bytes] = {}
        self._known: set[Path] = set()  # files whose name is durable

    # What the journal asks for ---------------------------------------------------------------

    def create(self, path: Path) -> SimFile:
        """Make a file that must not exist."""
        self.refuse_when_read_only(path)
        if self.room_bytes == 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.open("xb").close()
        self.durable[path] = b""
        return SimFile(self, path)

    def open(self, path: Path) -> SimFile:
        """Open a file for appending."""
        self.refuse_when_read_only(path)
        self.durable.setdefault(path, path.read_bytes())
        return SimFile(self, path)

    def read(self, path: Path, offset: int, into: memoryview) -> int:
        """Fill `into` from `offset` on; return how many bytes there were."""
        with path.open("rb", buffering=0) as file:
            return os.preadv(file.fileno(), [memoryview(into).cast("B")], offset)

    def size(self, path: Path) -> int:
        """Return the bytes of a file."""
        return path.stat().st_size

    def list(self, folder: Path) -> list[str]:
        """Return the names in a folder."""
        return sorted(path.name for path in folder.iterdir())

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        self.refuse_when_read_only(path)
        self._known |= set(path.iterdir())

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self.refuse_when_read_only(path)
        path.unlink()
        self.durable.pop(path, None)
        self._known.discard(path)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name."""
        self.refuse_when_read_only(path)
        path.replace(to)
        self.durable[to] = self.durable.pop(path, b"")

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it."""
        self.refuse_when_read_only(path)
        path.mkdir(parents=True, exist_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        self.refuse_when_read_only(path)
        path.rmdir()

    def sync_all(self) -> None:
        """Do what `SyncThread` does every interval: have every file that was written durable."""
        if not self.read_only:
            self.durable.update({path: path.read_bytes() for path in self.durable})

    # Bad days --------------------------------------------------------------------------------

    def refuse_when_read_only(self, path: Path) -> None:
        """Raise EROFS while the disk is read-only."""
        if self.read_only:
            raise OSError(errno.EROFS, "Read-only file system", str(path))

    def torn(self, path: Path) -> None:
        """Be told that an append was cut short; replaced by who wants the process to die of it."""

    def flip(self, path: Path, offset: int, bit: int) -> None:
        """Change one bit of a file, now and for ever."""
        data = bytearray(path.read_bytes())
        data[offset] ^= 1 << bit
        path.write_bytes(data)
        durable = bytearray(self.durable.get(path, b""))
        if offset < len(durable):
            durable[offset] ^= 1 << bit
            self.durable[path] = bytes(durable)

    def power_loss(self, dice: random.Random) -> None:
        """Forget: each file keeps what was synced, and of the rest whatever chance leaves.

        Half of the time the rest is cut at any byte; else its pages were written back in no
        order, and those that were not are zeros. A file whose name was never synced may vanish.
        """
        for path, kept in sorted(self.durable.items()):
            if not path.exists():
                continue
            now = path.read_bytes()
            if path not in self._known and not kept and dice.random() < 0.5:
                path.unlink()
                del self.durable[path]
                continue
            after = _after_power_loss(now, kept, dice)
            path.write_bytes(after)
            self.durable[path] = after
        self.room_bytes, self.read_only, self.on_append = None, False, None


def _after_power_loss(now: bytes, kept: bytes, dice: random.Random) -> bytes:
    """Return what is left of a file that holds `now`, of which `kept` was synced."""
    if not now.startswith(kept):  # truncated since: either both happened, or neither
        return now if dice.random() < 0.5 else kept
    size = dice.randint(len(kept), len(now))
    if dice.random() < 0.5:
        return now[:size]
    after = bytearray(kept)
    for page in range(len(kept) - len(kept) % PAGE_BYTES, size, PAGE_BYTES):
        first, end = max(page, len(kept)), min(page + PAGE_BYTES, size)
        after += now[first:end] if dice.random() < 0.7 else bytes(end - first)
    return bytes(after)

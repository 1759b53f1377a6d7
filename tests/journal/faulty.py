"""A disk that refuses on command; what it holds lies in real files."""

import errno
from collections.abc import Callable
from pathlib import Path

from engine.journal.disk import RealDisk, RealFile

Hook = Callable[[], object]


class FaultyFile:
    """A real file whose disk may refuse."""

    def __init__(self, disk: "FaultyDisk", file: RealFile) -> None:
        self._disk = disk
        self._file = file

    def append(self, data: memoryview) -> int:
        """Take what there is room for; refuse when there is none."""
        disk = self._disk
        disk.refuse("append")
        room = len(data) if disk.room_bytes is None else min(len(data), disk.room_bytes)
        room = min(room, disk.piece_bytes)
        if data and room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        if disk.room_bytes is not None:
            disk.room_bytes -= room
        return self._file.append(data[:room])

    def sync(self) -> None:
        self._disk.calls.append("sync")
        self._disk.refuse("sync")
        self._file.sync()
        self._disk.refuse("synced")

    def truncate(self, size_bytes: int) -> None:
        self._disk.refuse("truncate")
        self._file.truncate(size_bytes)

    @property
    def size_bytes(self) -> int:
        return self._file.size_bytes

    def close(self) -> None:
        self._file.close()


class FaultyDisk(RealDisk):
    """Refuses the operations named in `refused`, and bytes beyond `room_bytes`."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.room_bytes: int | None = None
        self.piece_bytes = 1 << 30  # most that one append takes
        self.error = errno.EIO
        self.calls: list[str] = []
        self.on: dict[str, Hook] = {}  # done once, in the middle of the operation

    def refuse(self, what: str) -> None:
        if what in self.on:
            self.on.pop(what)()
        if what in self.refused:
            raise OSError(self.error, "refused")

    def make_folder(self, path: Path) -> None:
        self.refuse("make_folder")
        super().make_folder(path)

    def create(self, path: Path) -> FaultyFile:  # type: ignore[override]
        self.refuse("create")
        return FaultyFile(self, super().create(path))

    def open(self, path: Path) -> FaultyFile:  # type: ignore[override]
        self.refuse("open")
        return FaultyFile(self, super().open(path))

    def list(self, folder: Path) -> list[str]:
        self.refuse("list")
        return super().list(folder)

    def remove(self, path: Path) -> None:
        self.refuse("remove")
        super().remove(path)

    def rename(self, path: Path, to: Path) -> None:
        self.refuse("rename")
        super().rename(path, to)

    def sync_folder(self, path: Path) -> None:
        self.calls.append("sync_folder")
        super().sync_folder(path)

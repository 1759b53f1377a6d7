"""What one source published last, in files that outlive the source and every gateway.

A gateway that starts reads here what was said before it listened, so that clients of the gateway
before it, or of another one, can go on where they were. Files lie in the run directory:

    deltas-<source>.<n>   n = 0, 1, 2 ...; the highest is being written
    [u4 length][message] [u4 length][message] ...   little-endian; messages as they went out

All files of a source together stay within a budget, the oldest goes first; all are of one epoch.
Only whole records count: a writer that died in the middle of one leaves a tail that readers do not
see, and its successor cuts it off. May lose: records the file system had no room for, and what the
budget pushed out. Neither is marked here: rows have sequence numbers.
"""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from engine.bus import wire
from engine.bus.wire import HEADER_BYTES, MESSAGE_BYTES_MAX, BusFrame
from engine.config import Config
from engine.log import Log
from engine.rundir import RunDir
from engine.schema.bus import BUS_HEADER, BusKind

FILES: Final = 8  # a file is this part of the budget: the grain in which the past is dropped
LENGTH_BYTES: Final = 4
_LENGTH: Final = struct.Struct("<I")
_EPOCH: Final = struct.Struct("<q")
_EPOCH_OFFSET: Final[int] = BUS_HEADER.fields["epoch"][1]  # type: ignore[index]  # it has fields


class DeltaLogWriter:
    """Appends what one source publishes. Never raises for the disk: the tape goes on without.

    Parameters
    ----------
    path
        ``RunDir.delta_log(source)``; the files' names begin with it. What an earlier writer of
        the same epoch left is gone on with.
    budget_bytes
        Most bytes of all files together.
    report
        Told one sentence when records begin to be lost, once until they are kept again.

    Attributes
    ----------
    failing
        The last record could not be written. The next one is tried again.
    records, lost_records
        Written, and not, since the start.
    """

    def __init__(
        self, path: Path, budget_bytes: int, report: Callable[[str], None] | None = None
    ) -> None:
        self._path = path
        self._budget_bytes = budget_bytes
        self._file_bytes = budget_bytes // FILES
        self._report = report
        self.failing = False
        self.records = 0
        self.lost_records = 0
        self._epoch: int | None = None  # of all that is in the files
        self._sizes: dict[int, int] = {}  # number of a file -> its bytes; the last is written
        self._last_number = -1
        self._fd: int | None = None
        try:
            self._go_on()
        except OSError as error:
            self._fail(error.strerror or str(error))

    def append(self, message: memoryview) -> None:
        """Write one DELTA message; a new epoch removes what was said in the old one.

        Call it before the message is sent: then whoever saw a message finds it here.
        """
        size_bytes = LENGTH_BYTES + len(message)
        epoch = _EPOCH.unpack_from(message, _EPOCH_OFFSET)[0]
        try:
            if epoch != self._epoch:
                while self._sizes:
                    self._remove_oldest()
                self._epoch = epoch
            self._make_room(size_bytes)
            self._write(message, size_bytes)
        except OSError as error:
            self.lost_records += 1
            self._fail(error.strerror or str(error))
        else:
            self.records += 1
            self.failing = False

    def close(self) -> None:
        """Close the file; what was written stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _go_on(self) -> None:
        """Open what an earlier writer left, behind its last whole record."""
        numbers = _numbers(self._path)
        for number in numbers:
            self._sizes[number] = _file(self._path, number).stat().st_size
        if not numbers:
            return
        self._last_number = numbers[-1]
        for number in reversed(numbers):
            first = _first_frame(_file(self._path, number))
            if first is not None:
                self._epoch = first.epoch
                break
        newest = _file(self._path, numbers[-1])
        self._fd = os.open(newest, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        whole_bytes = _whole_bytes(newest.read_bytes())
        os.ftruncate(self._fd, whole_bytes)
        self._sizes[numbers[-1]] = whole_bytes

    def _make_room(self, size_bytes: int) -> None:
        """See to a file that may take a record, within the budget."""
        if size_bytes > self._budget_bytes:
            raise OSError(f"a record has {size_bytes} bytes, the log {self._budget_bytes}")
        while sum(self._sizes.values()) + size_bytes > self._budget_bytes:
            self._remove_oldest()
        used_bytes = self._sizes.get(self._last_number, 0)
        if self._fd is None or (used_bytes and used_bytes + size_bytes > self._file_bytes):
            self.close()
            self._last_number += 1
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd = os.open(_file(self._path, self._last_number), flags, 0o600)
            self._sizes[self._last_number] = 0

    def _write(self, message: memoryview, size_bytes: int) -> None:
        assert self._fd is not None, "no file was made for this record"
        written_bytes = os.writev(self._fd, (_LENGTH.pack(len(message)), message))
        if written_bytes < size_bytes:
            # A part of a record would hide all that follows it in this file.
            os.ftruncate(self._fd, self._sizes[self._last_number])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._sizes[self._last_number] += size_bytes

    def _remove_oldest(self) -> None:
        number = next(iter(self._sizes))
        if number == self._last_number:
            self.close()
        del self._sizes[number]
        _file(self._path, number).unlink(missing_ok=True)

    def _fail(self, why: str) -> None:
        if not self.failing and self._report is not None:
            self._report(f"{self._path.name}: {why}")
        self.failing = True


def open_log(run_dir: RunDir, config: Config, source: int, log: Log) -> DeltaLogWriter | None:
    """Open the log of a source; None when ``gateway.resume_bytes`` is 0 and nothing is kept.

    All sources, the shards and the board, share that budget.
    """
    budget_bytes = config.gateway.resume_bytes // (config.engine.shards + 1)
    if not budget_bytes:
        return None

    def report(text: str) -> None:
        log.write("error", "updates are not kept for gateways that start later", reason=text)

    return DeltaLogWriter(run_dir.delta_log(source), budget_bytes, report)


def read_log(path: Path) -> Iterator[BusFrame]:
    """Read what a source published last, oldest first, while it may be writing.

    Parameters
    ----------
    path
        ``RunDir.delta_log(source)``.

    Yields
    ------
    BusFrame
        DELTA messages, checked. There may be holes (the disk was full, a damaged record hides the
        rest of its file), repeats (a restarted shard says again what it said last) and a change
        of epoch; sequence numbers and epochs tell. Nothing is raised for what is not there.
    """
    number: int | None = _next_number(path, -1)
    while number is not None:
        try:
            fd = os.open(_file(path, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # pushed out since it was listed
            number = _next_number(path, number)
            continue
        try:
            at = 0
            while True:
                # Asked first: a file with a successor does not grow any more, so it is read to its
                # end. Without one its end is the end, unless a successor has come meanwhile.
                following = _next_number(path, number)
                for frame in _frames(fd, at):
                    at += LENGTH_BYTES + frame.size_bytes
                    yield frame
                if following is not None or _next_number(path, number) is None:
                    break
        finally:
            os.close(fd)
        number = following


def _frames(fd: int, at: int) -> Iterator[BusFrame]:
    """Read whole records from a place on; an unfinished or a bad one is the end."""
    # Not through a buffer: a writer may cut off and write again what is behind the last record.
    while len(head := os.pread(fd, LENGTH_BYTES, at)) == LENGTH_BYTES:
        (length_bytes,) = _LENGTH.unpack(head)
        if not _possible(length_bytes):
            return
        message = os.pread(fd, length_bytes, at + LENGTH_BYTES)
        if len(message) < length_bytes:
            return
        frame = wire.decode(message)
        if not isinstance(frame, BusFrame) or frame.kind is not BusKind.DELTA:
            return
        yield frame
        at += LENGTH_BYTES + length_bytes


def _first_frame(path: Path) -> BusFrame | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return next(_frames(fd, 0), None)
    finally:
        os.close(fd)


def _whole_bytes(data: bytes) -> int:
    """Return how many bytes of a file are whole records."""
    at = 0
    while at + LENGTH_BYTES <= len(data):
        (length_bytes,) = _LENGTH.unpack_from(data, at)
        if not _possible(length_bytes) or at + LENGTH_BYTES + length_bytes > len(data):
            break
        at += LENGTH_BYTES + length_bytes
    return at


def _possible(length_bytes: int) -> bool:
    return HEADER_BYTES <= length_bytes <= MESSAGE_BYTES_MAX


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _numbers(path: Path) -> list[int]:
    """Return the numbers of the files there are, ascending."""
    prefix = f"{path.name}."
    try:
        names = [file.name for file in path.parent.iterdir()]
    except FileNotFoundError:
        return []
    ends = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return sorted(int(end) for end in ends if end.isascii() and end.isdecimal())


def _next_number(path: Path, after: int) -> int | None:
    return next((number for number in _numbers(path) if number > after), None)

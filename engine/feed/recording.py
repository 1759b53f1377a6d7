"""Raw recording: everything that enters the engine, in order, to compressed files and back.

A recording is what a bug report needs and a replay plays: every frame with its receive time, every
change of the feed's state, what REST told, and where the decoder took what had been collected
(CUT). Fed back in this order (`engine.wiring.replay`), it gives the same slots in the same groups,
so the same state to the byte.

A file is one zstandard stream of records: a head of 16 bytes, then the payload.

    kind u1 | 3 bytes 0 | payload length u4 | time i8, UTC ns (little-endian)

The first record is a START whose payload is JSON: who wrote it, for which protocol, with which
settings of the intake. What a dying process had not handed to the disk yet is lost; a torn tail
reads as the end of the file.

The tape never waits for the disk: a thread compresses and writes, and what it cannot take in time
is dropped, counted, and told in the recording itself by a HOLE record.
"""

import struct
import threading
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple

import orjson
import zstandard

from engine.errors import VntapeError

VERSION = 1
SUFFIX = ".vnrec"
HEAD = struct.Struct("<B3xIq")
LEVEL = 1  # 10:1 on this text already; higher levels cost time the tape may want
CHUNK_BYTES = 256 * 1024  # handed to the thread at once, or when `hand_over` is called
WAITING_BYTES_MAX = 64 * 1024 * 1024  # what may wait for the disk before records are dropped
SEGMENT_BYTES = 256 * 1024 * 1024  # compressed; then a new file is begun
READ_BYTES = 1024 * 1024


class RecordingError(VntapeError):
    """A recording cannot be read; says which file and why."""


class Kind(IntEnum):
    """What a record holds. On disk: append, never renumber."""

    START = 1  # JSON: the first record of every file; `first` is false where a file continues one
    FRAME = 2  # a frame as the socket gave it
    CUT = 3  # the decoder took one bite of what had been collected
    STATE = 4  # JSON: the feed's state changed
    REFERENCE = 5  # JSON: reference data
    BACKFILL = 6  # JSON: what REST told about a gap
    HOLE = 7  # JSON: records missing here, because the disk was too slow


class Record(NamedTuple):
    """One entry of a recording."""

    kind: Kind
    time_ns: int  # receive time of a frame; when the rest happened
    payload: bytes


class Recorder:
    """Writes recordings. Never waits, never raises for a disk's sake.

    Parameters
    ----------
    folder
        Where files go; made when missing.
    name
        Their common first part; ``-0000.vnrec`` and so on follow.
    about
        What the START record says, JSON-able.
    now_ns
        When the recording begins.
    segment_bytes, waiting_bytes_max
        Size of a file, and what may wait for the disk.

    Attributes
    ----------
    frame_count, lost_frame_count
        Frames taken, and frames that did not fit.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        about: dict[str, Any],
        now_ns: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self.frame_count = 0
        self.lost_frame_count = 0
        self._about = {"version": VERSION, **about}
        self._waiting_bytes_max = waiting_bytes_max
        self._chunk = bytearray()
        self._handed_bytes = 0
        self._hole_frames = 0
        self._writer = _Writer(folder, name, segment_bytes, self._start_record(now_ns, first=False))
        self._write(self._start_record(now_ns, first=True))

    def _start_record(self, now_ns: int, *, first: bool) -> bytes:
        payload = orjson.dumps({**self._about, "first": first})
        return HEAD.pack(Kind.START, len(payload), now_ns) + payload

    @property
    def error(self) -> str:
        """Why nothing is written any more, in words; empty while all is well."""
        return self._writer.error

    @property
    def written_bytes(self) -> int:
        """Compressed bytes on disk."""
        return self._writer.written_bytes

    def frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Record one frame."""
        if self._full(recv_ns):
            self.lost_frame_count += 1
            self._hole_frames += 1
            return
        self.frame_count += 1
        self._chunk += HEAD.pack(Kind.FRAME, len(frame), recv_ns)
        self._chunk += frame
        if len(self._chunk) >= CHUNK_BYTES:
            self.hand_over()

    def note(self, kind: Kind, time_ns: int, facts: dict[str, Any] | None = None) -> None:
        """Record anything but a frame."""
        if not self._full(time_ns):
            payload = b"" if facts is None else orjson.dumps(facts)
            self._write(HEAD.pack(kind, len(payload), time_ns) + payload)

    def hand_over(self) -> None:
        """Give the thread what has been collected; call this now and then."""
        if self._chunk:
            self._handed_bytes += len(self._chunk)
            self._writer.queue.put(bytes(self._chunk))
            self._chunk.clear()

    def close(self) -> None:
        """Write everything out and end the file."""
        self.hand_over()
        self._writer.queue.put(None)
        self._writer.thread.join()

    def _write(self, record: bytes) -> None:
        self._chunk += record
        if len(self._chunk) >= CHUNK_BYTES:
            self.hand_over()

    def _full(self, time_ns: int) -> bool:
        """Return whether a record must be dropped; note the hole once there is room again."""
        waiting = self._handed_bytes - self._writer.taken_bytes
        if self._writer.error or waiting > self._waiting_bytes_max:
            return True
        if self._hole_frames:
            payload = orjson.dumps({"frames": self._hole_frames})
            self._hole_frames = 0
            self._write(HEAD.pack(Kind.HOLE, len(payload), time_ns) + payload)
        return False


class _Writer:
    """The thread: takes chunks, compresses, writes, begins new files.

    A chunk ends with a whole record, so a new file begins with one.
    """

    def __init__(self, folder: Path, name: str, segment_bytes: int, start: bytes) -> None:
        self.queue: SimpleQueue[bytes | None] = SimpleQueue()
        self.taken_bytes = 0
        self.written_bytes = 0
        self.error = ""
        self._folder = folder
        self._name = name
        self._segment_bytes = segment_bytes
        self._start = start
        self._earlier_bytes = 0  # of files already full
        self.thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            number = 0
            while self._write_file(number):
                number += 1
        except OSError as error:
            self.error = f"{self._folder}: {error.strerror or error}"
            while self.queue.get() is not None:
                pass

    def _write_file(self, number: int) -> bool:
        """Fill one file. Return whether another one is wanted."""
        path = self._folder / f"{self._name}-{number:04d}{SUFFIX}"
        with path.open("xb") as file:
            with zstandard.ZstdCompressor(level=LEVEL).stream_writer(file, closefd=False) as stream:
                if number:
                    stream.write(self._start)
                full = self._fill(file, stream)
            self._count(file)
            self._earlier_bytes = self.written_bytes
            return full

    def _fill(self, file: BinaryIO, stream: zstandard.ZstdCompressionWriter) -> bool:
        """Write chunks until the file is full or the recording ends; return whether it is full."""
        while (chunk := self.queue.get()) is not None:
            stream.write(chunk)
            # Every chunk can be read back, whatever happens to us next.
            stream.flush(zstandard.FLUSH_BLOCK)
            self.taken_bytes += len(chunk)
            if self._count(file) >= self._segment_bytes:
                return True
        return False

    def _count(self, file: BinaryIO) -> int:
        """Return the size of the file so far."""
        file.flush()
        size = file.tell()
        self.written_bytes = self._earlier_bytes + size
        return size


def recording_files(paths: list[Path]) -> list[Path]:
    """Return the recording files that `paths` name, folders searched, in order of their names.

    Raises
    ------
    RecordingError
        A path does not exist, or there is no recording at all.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(path.rglob(f"*{SUFFIX}"))
        elif path.exists():
            files.append(path)
        else:
            raise RecordingError(f"{path} does not exist")
    if not files:
        raise RecordingError(f"no *{SUFFIX} file in {', '.join(map(str, paths))}")
    return files


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of one file; a torn tail ends it quietly.

    Raises
    ------
    RecordingError
        The file is no recording, or one of a newer version.
    """
    pending = bytearray()
    at = 0
    first = True
    for block in _blocks(path):
        pending += block
        while len(pending) - at >= HEAD.size:
            kind, length, time_ns = HEAD.unpack_from(pending, at)
            if len(pending) - at - HEAD.size < length:
                break
            at += HEAD.size
            record = _record(path, kind, time_ns, bytes(pending[at : at + length]), first=first)
            at += length
            first = False
            yield record
        del pending[:at]
        at = 0


def _record(path: Path, kind: int, time_ns: int, payload: bytes, *, first: bool) -> Record:
    try:
        record = Record(Kind(kind), time_ns, payload)
    except ValueError:
        raise RecordingError(f"{path} holds a record of kind {kind}: not a recording") from None
    if first:
        if record.kind is not Kind.START:
            raise RecordingError(f"{path} does not begin like a recording")
        version = orjson.loads(payload).get("version")
        if version != VERSION:
            raise RecordingError(f"{path} has version {version}, this program reads {VERSION}")
    return record


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield what the file decompresses to, as far as it is whole."""
    try:
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            while block := reader.read(READ_BYTES):
                yield block
    except zstandard.ZstdError as error:
        if path.stat().st_size and not _is_zstandard(path):
            raise RecordingError(f"{path} is no recording: {error}") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None


def _is_zstandard(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x28\xb5\x2f\xfd"

"""Appending to a shard's journal. The tape never stops for a disk.

What one `append` is given is a bite: it is in the journal whole, or not at all. When the disk
refuses, the bite is taken back, its slots are counted as lost, and the file is left for good. Once
a second the next bite begins a new file; the numbers missing between the two are a hole that
every reader sees.

One thread appends. Another may call `sync` (`sync.SyncThread` does). They share a few attributes,
each of which is written by one of the two only.
"""

import errno
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.journal.disk import REAL_DISK, Disk, JournalFile
from engine.journal.layout import (
    HEADER_BYTES,
    Header,
    all_files,
    file_name,
    journal_files,
    pack_header,
)
from engine.journal.records import (
    FLAGS_WORD,
    RECORD_BYTES,
    SEQ_WORD,
    Words,
    bytes_of,
    new_records,
    seal,
    words_of,
)
from engine.journal.tail import cut_file, refuse_bites
from engine.schema.codes import SlotFlag

Fsync = Literal["none", "interval", "always"]

RETRY_NS: Final = 1_000_000_000
CHUNK_SLOTS: Final = 2_048  # sealed and written at once: 400 KB, which a core's cache holds
BITE_END: Final = int(SlotFlag.LAST | SlotFlag.BITE) << 8  # in the word of the flags


class JournalWriter:
    """Writes one shard's journal of one trading day.

    Parameters
    ----------
    folder
        The day's folder.
    shard, day, epoch
        What the headers of new files say.
    next_seq
        Number of the first slot to come. At the end of an existing file that file is gone on with;
        beyond it, a new one is begun.
    fsync
        ``always``: `append` comes back when the bite survives a power cut. Otherwise somebody
        calls `sync`, or nobody does.
    disk
        Where to write.
    now_ns
        The time, UTC ns.

    Raises
    ------
    JournalError
        The journal already has whole bites from `next_seq` on.

    Attributes
    ----------
    next_seq
        Number of the next slot, whether it will be written or lost.
    slots, bytes
        Written by this object; `bytes` with headers.
    lost_slots
        Not written: the disk refused.
    """

    def __init__(
        self,
        folder: Path,
        shard: int,
        day: int,
        epoch: int,
        next_seq: int,
        *,
        fsync: Fsync = "interval",
        disk: Disk = REAL_DISK,
        now_ns: int,
    ) -> None:
        self.next_seq = next_seq
        self.slots = 0
        self.bytes = 0
        self.lost_slots = 0
        self._folder = folder
        self._shard, self._day, self._epoch = shard, day, epoch
        self._fsync = fsync
        self._disk = disk
        self._kept_seq = next_seq  # what the last file holds of slots from here on is cut away
        self._path = folder
        self._file: JournalFile | None = None
        self._file_bytes = 0  # up to the end of the last whole bite
        self._refused_ns = now_ns
        self._write_error = ""
        # Written by whoever calls `sync`.
        self._synced_seq = next_seq
        self._unsynced: JournalFile | None = None  # sync failed on it: it is to be left
        self._sync_error = ""
        self._records = new_records(CHUNK_SLOTS)
        self._buffer = bytes_of(self._records)
        self._source: NDArray[np.generic] | None = None
        self._words: Words = np.zeros((0, 0), np.uint64)
        try:
            self._open(now_ns)
        except OSError as error:
            self._refused(error, now_ns)

    @property
    def error(self) -> str:
        """What the disk said when it last refused, with the file's name; empty while all is well.

        A refused append is over when one works again, a refused sync when one does.
        """
        return self._write_error or self._sync_error

    @property
    def failing(self) -> bool:
        """Whether the disk refuses at the moment."""
        return bool(self.error)

    def append(self, slots: NDArray[np.generic], count: int, now_ns: int) -> bool:
        """Write the first `count` slots, which are one bite.

        Parameters
        ----------
        slots
            dtype SLOT or a view of it, shape (n,), or their words, int64 (n, 24); contiguous. They
            carry `seq` from `next_seq` on, and the last one carries LAST and BITE.
        count
            How many of them, from the first.
        now_ns
            The time, UTC ns.

        Returns
        -------
        bool
            Whether they are in the journal. Never an OSError.
        """
        if slots is not self._source:
            self._source, self._words = slots, _as_words(slots)
        if count == 0:
            return True
        words, last = self._words, count - 1
        assert int(words[0, SEQ_WORD]) == self.next_seq, (int(words[0, SEQ_WORD]), self.next_seq)
        assert int(words[last, SEQ_WORD]) == self.next_seq + last, "slots are not consecutive"
        assert int(words[last, FLAGS_WORD]) & BITE_END == BITE_END, "a bite ends with LAST and BITE"
        written = self._try(count, now_ns)
        self.next_seq += count
        if not written:
            self.lost_slots += count
            return False
        self._kept_seq = self.next_seq
        self.slots += count
        if self._fsync == "always":
            self.sync()
        return True

    def sync(self) -> bool:
        """Make what was appended so far survive a power cut; may be called by another thread.

        When that does not work the next append leaves the file and begins a new one: after a
        failed fsync the system may report success for data that it has thrown away.

        Returns
        -------
        bool
            Whether everything appended before the call is safe now. Never an OSError.
        """
        file, end = self._file, self.next_seq
        if end == self._synced_seq:
            return True
        if file is None or file is self._unsynced:
            return False
        try:
            file.sync()
        except OSError as error:
            if self._file is file:  # else it was closed meanwhile, for a reason that was said
                self._sync_error = _text(error, self._path)
                self._unsynced = file
            return False
        if self._file is not file:
            return False
        self._synced_seq, self._sync_error = end, ""
        return True

    def close(self) -> None:
        """Sync, unless nobody wants it, and let go of the file."""
        if self._fsync != "none":
            self.sync()
        self._leave()

    def _try(self, count: int, now_ns: int) -> bool:
        """Write a bite, or nothing of it; begin a file when there is none and it is time."""
        try:
            if self._file is not None and self._file is self._unsynced:
                self._leave()
                self._begin(now_ns)
            elif self._file is None:
                # Either way: a clock that was set back must not cost an hour of slots.
                if abs(now_ns - self._refused_ns) < RETRY_NS:
                    return False
                self._open(now_ns)
            self._write(count)
        except OSError as error:
            self._refused(error, now_ns)
            return False
        self._write_error = ""
        return True

    def _open(self, now_ns: int) -> None:
        """Open the last file if the next slot belongs to its end, else begin a new one."""
        for item in all_files(self._disk, self._folder, self._shard):
            if self._disk.size(item.path) < HEADER_BYTES:  # one who died while making it
                self._disk.remove(item.path)
        files = journal_files(self._disk, self._folder, self._shard)
        if not files:
            self._begin(now_ns)
            return
        last = files[-1]
        kept_seq = max(self._kept_seq, last.first_seq)
        if last.path != self._path:  # not ours
            refuse_bites(self._disk, last, kept_seq)
        # As long as this does not work nothing else is tried: the numbers of a torn bite are
        # given again, and readers would find the wrong slots under them.
        end_seq = cut_file(self._disk, last, kept_seq)
        if self.next_seq > end_seq:
            self._begin(now_ns)
        else:
            self._path, self._file_bytes = last.path, last.offset(end_seq)
            self._file = self._disk.open(last.path)

    def _begin(self, now_ns: int) -> None:
        """Begin a file with the next slot."""
        path = self._folder / file_name(self._shard, self.next_seq)
        head = Header(self._shard, self._day, self._epoch, self.next_seq, now_ns)
        self._path = path
        self._kept_seq = self.next_seq
        self._file_bytes = 0
        self._disk.make_folder(self._folder)  # it may have been refused when the day began
        self._file = self._disk.create(path)
        self._put(memoryview(pack_header(head)))
        self._file_bytes = HEADER_BYTES
        self.bytes += HEADER_BYTES
        if self._fsync != "none":
            self._disk.sync_folder(self._folder)

    def _write(self, count: int) -> None:
        """Append a bite; an OSError may leave a part of it."""
        for first in range(0, count, CHUNK_SLOTS):
            some = min(CHUNK_SLOTS, count - first)
            seal(self._words, first, some, self._records)
            self._put(self._buffer[: some * RECORD_BYTES])
        self._file_bytes += count * RECORD_BYTES
        self.bytes += count * RECORD_BYTES

    def _put(self, data: memoryview) -> None:
        """Append all of `data`, in as many pieces as the disk likes."""
        assert self._file is not None
        while data:
            taken = self._file.append(data)
            if taken == 0:
                raise OSError(errno.EIO, "the disk takes nothing")
            data = data[taken:]

    def _refused(self, error: OSError, now_ns: int) -> None:
        """Take back what is not a whole bite, leave the file, and try again later."""
        self._write_error = _text(error, self._path)
        self._refused_ns = now_ns
        if self._file is None:
            return
        try:
            if self._file_bytes > HEADER_BYTES:
                self._file.truncate(self._file_bytes)
            else:
                self._disk.remove(self._path)  # it holds nothing
        except OSError:
            pass  # the next attempt begins with this
        self._leave()

    def _leave(self) -> None:
        """Close the file, if there is one."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass


def _as_words(slots: NDArray[np.generic]) -> Words:
    """See slots, or their signed words, as unsigned words."""
    assert slots.flags.c_contiguous
    return words_of(slots) if slots.ndim == 1 else slots.view(np.uint64)


def _text(error: OSError, path: Path) -> str:
    """Say what the disk said."""
    return f"{path}: {error.strerror or error}"

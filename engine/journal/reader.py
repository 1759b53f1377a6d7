"""Reading a shard's journal: the slots as published, whole groups at a time.

What cannot be given back is told, never skipped. A damaged or quarantined slot is replaced by a
CONTROL slot (LOST) with the same number, so whoever folds it knows that something is missing there.
A hole between two files stops the reader until its caller has seen it.

The reader follows a file that grows, and new files. It shares nothing with the writer but the disk.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.journal import quarantine
from engine.journal.damage import (
    Damage,
    Stamps,
    damaged_header,
    damaged_slots,
    replace,
    stamps_before,
)
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.layout import (
    GROUP_SLOTS_MAX,
    JournalError,
    JournalPath,
    journal_files,
    read_header,
    slots_in,
)
from engine.journal.records import (
    RECORD_BYTES,
    bytes_of,
    new_records,
    open_records,
    whole_groups,
    words_of,
)
from engine.schema.codes import Instrument, SlotKind
from engine.schema.slots import CONTROL, SLOT, SYMBOL

BATCH_SLOTS_MIN = 2 * GROUP_SLOTS_MAX


class JournalReader:
    """Reads one shard's journal of one trading day, from any group on.

    Parameters
    ----------
    folder
        The day's folder; it and its files may appear later.
    shard
        Whose journal.
    from_seq
        The first slot wanted; the first of a group.
    disk
        Where to read.

    Raises
    ------
    JournalError
        The list of quarantined slots cannot be read.

    Attributes
    ----------
    next_seq
        The next slot to be read.
    hole
        ``(first, end)``: these slots were never written. `read` returns 0 until `skip_hole`.
    damage
        What was found so far, in the order of reading.
    damaged_slots, quarantined_slots
        Slots that were replaced, so far.
    feed_symbol_id
        Symbol of the replacements. Learned when the feed's pseudo symbol is introduced; a caller
        that starts later in the day sets it.
    """

    def __init__(
        self, folder: Path, shard: int, *, from_seq: int = 0, disk: Disk = REAL_DISK
    ) -> None:
        self.next_seq = from_seq
        self.hole: tuple[int, int] | None = None
        self.damage: list[Damage] = []
        self.damaged_slots = 0
        self.quarantined_slots = 0
        self.feed_symbol_id = 0
        self._folder = folder
        self._shard = shard
        self._disk = disk
        self._file: JournalPath | None = None
        self._created_ns = 0  # of this file
        self._stamps: Stamps | None = None  # of the slot before, in this file
        self._files_seen: set[Path] = set()
        self._records = new_records(0)
        self._take_batch(np.zeros(BATCH_SLOTS_MIN, SLOT))
        self.reload_quarantine()

    def reload_quarantine(self) -> None:
        """Look again which slots are quarantined."""
        ranges = quarantine.read(self._folder, self._shard, self._disk)
        self._quarantined = [(item.first_seq, item.end_seq) for item in ranges]

    def read(self, batch: NDArray[np.void], until_seq: int | None = None) -> int:
        """Copy the next whole groups into `batch`.

        Parameters
        ----------
        batch
            dtype SLOT, contiguous, at least BATCH_SLOTS_MIN long; the caller's. Beyond the
            returned count its content is undefined.
        until_seq
            Do not read this slot or later ones. Says that all slots before it were published, so
            those that are not in the journal never will be: they are a hole. None: read what is
            there, the rest may come.

        Returns
        -------
        int
            Slots copied: consecutive, whole groups. 0: nothing more now, or a hole.

        Raises
        ------
        SchemaMismatch
            A file was written with other layouts.
        JournalError
            A file is not what its name says, or no group ends in a whole batch.
        OSError
            The disk cannot be read.
        """
        if batch is not self._batch:
            self._take_batch(batch)
        try:
            return self._read(until_seq)
        except FileNotFoundError:
            self._file = None  # a writer removes a file that got no slot; look again next time
            return 0

    def skip_hole(self) -> None:
        """Go on behind the hole, which the caller has seen."""
        assert self.hole is not None, "there is no hole"
        self.next_seq = self.hole[1]
        self.hole = None
        self._file = None

    def _take_batch(self, batch: NDArray[np.void]) -> None:
        """Make room for as many records as the caller has for slots."""
        assert len(batch) >= BATCH_SLOTS_MIN, (
            f"batch of {len(batch)} slots; whole groups need {BATCH_SLOTS_MIN}"
        )
        self._batch, self._words = batch, words_of(batch)
        self._controls, self._symbols = batch.view(CONTROL), batch.view(SYMBOL)
        if len(self._records) == len(batch):
            return
        self._records = new_records(len(batch))
        self._buffer = bytes_of(self._records)
        self._bad = np.zeros(len(batch), np.int64)

    def _read(self, until_seq: int | None) -> int:
        """Read from the file that has the next slot, looking for it when need be."""
        room = len(self._batch)
        while self.hole is None:
            wanted = room if until_seq is None else min(room, until_seq - self.next_seq)
            if wanted <= 0:
                return 0
            found = self._fetch(wanted)
            count = self._give(found)
            if count:
                return count
            if found == room:
                raise JournalError(
                    f"{self._folder}, shard {self._shard}: no group ends in the {room} slots "
                    f"from {self.next_seq} on"
                )
            if found == wanted or not self._look_on(found, until_seq):
                return 0
        return 0

    def _fetch(self, wanted: int) -> int:
        """Read up to `wanted` records of this file from the next slot on; return how many."""
        if self._file is None:
            return 0
        room = self._buffer[: wanted * RECORD_BYTES]
        offset = self._file.offset(self.next_seq)
        return self._disk.read(self._file.path, offset, room) // RECORD_BYTES

    def _give(self, found: int) -> int:
        """Turn the records fetched into slots; return how many are whole groups."""
        if found == 0:
            return 0
        bad_count = open_records(self._records, found, self.next_seq, self._words, self._bad)
        rows = self._to_replace(found, self._bad[:bad_count])
        feeds = self._feed_rows(found)
        for row, detail in rows.items():
            earlier = feeds[feeds < row]
            self._replace(row, detail, self._symbol_of(earlier))
        count = int(whole_groups(self._words, found))
        if count == 0:
            return 0
        self.feed_symbol_id = self._symbol_of(feeds)
        last = self._batch[count - 1]
        self._stamps = int(last["recv_ns"]), int(last["exch_s"])
        self.next_seq += count
        return count

    # --- what cannot be given back ---------------------------------------------------------

    def _to_replace(self, found: int, bad: NDArray[np.int64]) -> dict[int, str]:
        """Return the rows that must be replaced, in order, and what to say in each.

        A replacement ends a group, so each of them is given to the caller by this very read and
        can be counted here.
        """
        if not len(bad) and not self._quarantined:
            return {}
        first, end = self.next_seq, self.next_seq + found
        rows = {int(row): f"slot {first + int(row)} of the journal is damaged" for row in bad}
        if rows:
            assert self._file is not None
            self.damage += damaged_slots(self._file, first, bad)
            self.damaged_slots += len(rows)
        for from_seq, to_seq in self._quarantined:
            for seq in range(max(first, from_seq), min(end, to_seq)):
                if seq - first not in rows:
                    rows[seq - first] = f"slot {seq} is quarantined"
                    self.quarantined_slots += 1
        return dict(sorted(rows.items()))

    def _feed_rows(self, found: int) -> NDArray[np.int64]:
        """Return the rows that introduce the feed's pseudo symbol.

        One that will be replaced may stay among them: by the time somebody asks for its symbol it
        is that of the introduction before it.
        """
        rows = np.flatnonzero(self._batch["kind"][:found] == SlotKind.SYMBOL)
        feeds: NDArray[np.int64] = rows[self._symbols["instrument"][rows] == Instrument.FEED]
        return feeds

    def _symbol_of(self, feeds: NDArray[np.int64]) -> int:
        """Return the feed's pseudo symbol as the last of these rows introduced it."""
        return int(self._symbols["symbol_id"][feeds[-1]]) if len(feeds) else self.feed_symbol_id

    def _replace(self, row: int, detail: str, symbol_id: int) -> None:
        """Put a CONTROL slot in a row."""
        seq = self.next_seq + row
        if row:
            before = self._batch[row - 1]
            stamps = int(before["recv_ns"]), int(before["exch_s"])
        else:
            stamps = self._stamps or self._stamps_before(seq)
        replace(self._controls, row, seq, stamps, symbol_id, detail)

    def _stamps_before(self, seq: int) -> Stamps:
        """Return the stamps for a replacement in the first row that is read of a file."""
        assert self._file is not None
        return stamps_before(self._disk, self._file, seq, self._is_quarantined, self._created_ns)

    def _is_quarantined(self, seq: int) -> bool:
        """Return whether a slot is on the list."""
        return any(first <= seq < end for first, end in self._quarantined)

    # --- files -----------------------------------------------------------------------------

    def _look_on(self, found: int, until_seq: int | None) -> bool:
        """Look where the next slot may be, its file having only `found` more.

        Returns
        -------
        bool
            Whether to read again. If not, it is not there yet, or `hole` says that it never
            will be.
        """
        files = journal_files(self._disk, self._folder, self._shard)
        at = max((item for item in files if item.first_seq <= self.next_seq), default=None)
        if at is not None and at != self._file:
            self._enter(at)
            return True
        later = [item.first_seq for item in files if item.first_seq > self.next_seq]
        ends = later if until_seq is None else [*later, until_seq]
        if not ends:
            return False
        # Nobody appends to a file once the next one is begun. But this one may have grown
        # between our look at it and the listing.
        if at is not None:
            end_seq = at.first_seq + slots_in(self._disk.size(at.path))
            if end_seq > self.next_seq + found:
                return True
        self.hole = (self.next_seq, min(ends))
        return False

    def _enter(self, file: JournalPath) -> None:
        """Begin to read a file."""
        header = read_header(self._disk, file, self._shard)
        if header is None and file.path not in self._files_seen:
            self.damage.append(damaged_header(file))
        self._files_seen.add(file.path)
        self._file, self._stamps = file, None
        self._created_ns = header.created_ns if header else 0

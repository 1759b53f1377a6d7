"""One shard's trading day on its way from the journal into tables.

In: slots of the journal, as far as they were published. Out: rows of the tables of the history, in
ranges of slots. Owner of the memory: a fold of our own, and rows until they are committed. May
lose: what the journal does not have (`missing_slots`). Counts: attributes.

Everything here is a function of the journal: a recorder that starts again folds the day from its
first slot, quietly up to what is committed, and goes on with the very rows that would have come.
In the place of a hole it folds the slot that a replay folds there (`follow.tell_loss`).

A range is cut only where later slots of the journal are known: what was published and not written
gives its numbers to others after a reboot. So there is always one slot left that is not
committed, until `freeze_all` commits it together with the bars that are open then: a day whose last
slot is committed is finished.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.history.tables import BARS, OF_CHANNEL, TABLES, join, to_arrow
from engine.journal.days import About
from engine.journal.disk import REAL_DISK, Disk
from engine.journal.layout import journal_files, slots_in
from engine.journal.reader import JournalReader
from engine.schema import channels
from engine.schema.slots import SLOT, rows_over
from engine.shard.fold import Sections
from engine.wiring.finished_bars import FinishedBars
from engine.wiring.follow import tell_loss
from engine.wiring.stages import fold_of
from engine.wiring.waiting_rows import WaitingRows

BATCH_SLOTS = 4_096


@dataclass(frozen=True, slots=True)
class Frozen:
    """Rows of a range of slots, ready to be committed.

    Attributes
    ----------
    from_seq, to_seq
        The slots, to_seq not included.
    tables
        Table name -> rows; every table is there.
    rows
        Their sum.
    """

    from_seq: int
    to_seq: int
    tables: Mapping[str, pa.Table]
    rows: int


class ShardDay:
    """Folds one shard's journal of one day and keeps the rows that are in no segment yet.

    Parameters
    ----------
    folder
        The day's journal.
    shard
        Which.
    about
        What about.json says.
    committed_seq
        Slots below this are in segments: their rows are not kept.
    disk
        Where the journal is.

    Attributes
    ----------
    committed_seq
        As given, then as `committed` says.
    next_seq
        The next slot to fold.
    last_exch_s, last_recv_ns
        The latest time of the exchange; when the newest slot came.
    """

    def __init__(
        self,
        folder: Path,
        shard: int,
        about: About,
        committed_seq: int,
        disk: Disk = REAL_DISK,
    ) -> None:
        self.shard = shard
        self.committed_seq = committed_seq
        self.next_seq = 0
        self.last_exch_s = self.last_recv_ns = 0
        self._folder, self._disk = folder, disk
        self._fold = fold_of(about, BATCH_SLOTS)
        self._reader = JournalReader(folder, shard, disk=disk)
        self._holes_slots = 0
        self._trouble = ""
        self._batch = np.zeros(BATCH_SLOTS, SLOT)
        self._batch_rows = rows_over(self._batch, 0)
        self._fetched = 0  # slots in `_batch` that are not folded yet
        self._stamps = (0, 0)  # recv_ns and exch_s of the last slot folded
        self._bars = {channel.name: FinishedBars(about.symbols_max) for channel in channels.BARS}
        self._waiting = _no_rows()
        self._first_seq = committed_seq  # of the rows in `_waiting`
        self._frozen: Frozen | None = None

    @property
    def quiet(self) -> bool:
        """Is what is folded now in segments already."""
        return self.next_seq < self.committed_seq

    @property
    def waiting(self) -> int:
        """Rows that are not even frozen; open bars are not counted."""
        return sum(waiting.count for waiting in self._waiting.values())

    @property
    def rows(self) -> int:
        """Rows in memory."""
        return self.waiting + (self._frozen.rows if self._frozen else 0)

    @property
    def missing_slots(self) -> int:
        """Slots the journal does not have: holes, and records that were spoilt."""
        return self._holes_slots + self._reader.damaged_slots

    @property
    def trouble(self) -> str:
        """What is missing last, in words; empty when nothing is."""
        return self._trouble or (str(self._reader.damage[-1]) if self._reader.damage else "")

    @property
    def frozen(self) -> Frozen | None:
        """Rows that are being committed."""
        return self._frozen

    def reload_quarantine(self) -> None:
        """Look again which slots are not to be folded.

        Raises
        ------
        JournalError
            The list cannot be read.
        """
        self._reader.reload_quarantine()

    def fetch(self, until_seq: int) -> int:
        """Read the next batch below `until_seq`, which was published, unless there is one already.

        Returns
        -------
        int
            Its slots; the one that tells of a hole counts as one. 0: there is nothing yet.

        Raises
        ------
        SchemaMismatch, JournalError, OSError
            The journal cannot be read, see `JournalReader.read`.
        """
        if not self._fetched:
            bound = min(until_seq, self.committed_seq) if self.quiet else until_seq
            self._fetched = self._reader.read(self._batch, bound) or self._over_hole(until_seq)
        return self._fetched

    def fold(self) -> int:
        """Fold the batch that was fetched. Return its slots."""
        count, self._fetched = self._fetched, 0
        was_quiet = self.quiet
        sections = self._fold.fold(self._batch_rows._replace(count=count))
        last = self._batch[count - 1]
        self._stamps = int(last["recv_ns"]), int(last["exch_s"])
        self.last_recv_ns = self._stamps[0]
        self.last_exch_s = max(self.last_exch_s, self._stamps[1])
        self.next_seq = self._reader.next_seq
        self._keep(sections, was_quiet)
        return count

    def freeze(self) -> Frozen:
        """Set the waiting rows apart for a commit; later slots were fetched.

        Only when nothing is frozen, and something was folded since.
        """
        assert self._frozen is None, "the last range is not committed yet"
        assert self.next_seq > self._first_seq, "a range without a slot"
        codes = self._codes()
        tables = {name: waiting.columns(codes) for name, waiting in self._waiting.items()}
        self._frozen = Frozen(self._first_seq, self.next_seq, tables, self.waiting)
        self._first_seq = self.next_seq
        self._waiting = _no_rows()
        return self._frozen

    def freeze_all(self) -> Frozen:
        """Set everything apart, with the bars that are open: no later slots are expected."""
        for channel in channels.BARS:
            rows = self._bars[channel.name].close()
            if len(rows):
                self._waiting[BARS.name].add(channel, rows)
        return self.freeze()

    def committed(self) -> None:
        """Drop what was frozen: it is in segments now."""
        assert self._frozen is not None
        self.committed_seq = self._frozen.to_seq
        self._frozen = None

    def tail(self, name: str) -> pa.Table:
        """Return the rows of a table that are in no segment; of bars, also the open ones.

        Not while `quiet`: then it is not known which rows these are.
        """
        codes = self._codes()
        parts = [self._waiting[name].columns(codes)]
        if self._frozen is not None:
            parts.insert(0, self._frozen.tables[name])
        if name == BARS.name:
            parts += [
                to_arrow(BARS, channel, self._bars[channel.name].open_bars(), codes)
                for channel in channels.BARS
            ]
        return join(parts)

    def _codes(self) -> NDArray[np.bytes_]:
        codes: NDArray[np.bytes_] = self._fold.latest["symbol"]["code"].copy()
        return codes

    def _keep(self, sections: Sections, quiet: bool) -> None:
        for channel, emitted in sections:
            table = OF_CHANNEL.get(channel.name)
            if table is None:
                continue
            rows = self._bars[channel.name].take(emitted) if table is BARS else emitted
            if len(rows) and not quiet:
                self._waiting[table.name].add(channel, rows)

    def _over_hole(self, until_seq: int) -> int:
        """Go on behind slots that were never written; return the slots that tell of it: 1 or 0."""
        hole = self._reader.hole
        if hole is None:
            return 0
        if not self._is_for_good(hole[1], until_seq):
            self._reader.hole = None  # look again next time
            return 0
        self._reader.skip_hole()
        self._holes_slots += hole[1] - hole[0]
        self._trouble = f"shard-{self.shard}: slots {hole[0]} to {hole[1] - 1} were never written"
        return tell_loss(self._batch, hole, self._stamps, self._reader.feed_symbol_id)

    def _is_for_good(self, end_seq: int, until_seq: int) -> bool:
        """Return whether a hole will always end at `end_seq`: the journal goes on from there.

        A file without a slot proves nothing as long as it is the last: it may be removed again.
        """
        files = journal_files(self._disk, self._folder, self.shard)
        return (
            until_seq > end_seq
            and any(file.first_seq == end_seq for file in files)
            and any(
                file.first_seq >= end_seq and slots_in(self._disk.size(file.path)) for file in files
            )
        )


def _no_rows() -> dict[str, WaitingRows]:
    return {table.name: WaitingRows(table) for table in TABLES}

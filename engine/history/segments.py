"""Segments: rows on disk, committed whole, checked, and never half visible."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from engine.history import files
from engine.history.catalogue import (
    SUFFIX,
    Catalogue,
    Commit,
    Damage,
    File,
    Listing,
    commit_folder,
    data_folder,
    pack,
)
from engine.history.tables import BY_NAME, TABLES, Table

ROW_GROUP_ROWS: Final = 131_072
COMPRESSION: Final = "zstd"


class SegmentStore:
    """Writes the history under one root. One process writes, any number reads.

    Parameters
    ----------
    root
        ``<data_dir>/history``; made when first written to.

    Attributes
    ----------
    written_files, written_bytes
        What was committed since the start, for counters.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written_files = 0
        self.written_bytes = 0
        self._catalogue = Catalogue(root)

    def listing(self, day: int) -> Listing:
        """Return what counts of a day."""
        return self._catalogue.read([day])

    def days(self) -> list[int]:
        """Return all days there is something of, oldest first."""
        return self._catalogue.days()

    def committed_seq(self, day: int, shard: int) -> int:
        """Return the first slot of a shard's day that is in no segment: go on from there."""
        return self.listing(day).committed_seq(day, shard)

    def commit(
        self,
        day: int,
        shard: int,
        from_seq: int,
        to_seq: int,
        rows: Mapping[str, pa.Table],
    ) -> Commit:
        """Write the rows of a range of slots: all of them, or none.

        Parameters
        ----------
        day
            Trading day, days since 1970-01-01.
        shard
            Whose slots.
        from_seq, to_seq
            The rows are those of slots from_seq to to_seq - 1. from_seq is `committed_seq`.
            Commits of the shard that begin later (behind a lost record) are replaced.
        rows
            Table name -> rows, any order, columns as ``tables.to_arrow`` gives them. Empty
            tables are left out; with no rows at all only the range is committed.

        Returns
        -------
        Commit
            What was committed.

        Raises
        ------
        OSError
            The disk refused; try again with the same range.
        """
        listing = self.listing(day)
        expected = listing.committed_seq(day, shard)
        name = f"shard-{shard}.{from_seq:012d}-{to_seq:012d}"
        if to_seq == expected:  # the disk may have refused behind the rename of the record
            for known in listing.commits:
                if known.name == name:
                    self._settle(known)
                    return known
        assert from_seq == expected, f"commit from slot {from_seq}, committed are {expected}"
        assert to_seq > from_seq, f"commit of slots {from_seq} to {to_seq}"
        written = tuple(
            self._write(day, BY_NAME[table], name, part)
            for table, part in rows.items()
            if part.num_rows
        )
        late = [
            other.name
            for other in listing.commits
            if shard in other.seqs and other.seqs[shard][0] >= from_seq
        ]
        lost = [other for other in listing.damaged_names if other.startswith(f"shard-{shard}.")]
        replaces = tuple(other for other in (*late, *lost) if other != name)
        commit = Commit(name, day, 0, {shard: (from_seq, to_seq)}, written, replaces)
        self.switch(commit)
        return commit

    def _write(self, day: int, table: Table, name: str, rows: pa.Table) -> File:
        """Write one Parquet file, sorted; it counts when a commit names it."""
        rows = in_order(table, rows)
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, **encodings(rows))
        data = memoryview(sink.getvalue())
        folder = data_folder(self.root, table.name, day)
        files.make_folder(folder)
        path = folder / f"{name}.parquet"
        files.write_whole(path, data)
        first_us, last_us = time_range_us(rows["time"])
        return File(
            table.name,
            str(path.relative_to(self.root)),
            rows.num_rows,
            data.nbytes,
            files.checksums_of(data),
            tuple(rows.column_names),
            first_us,
            last_us,
        )

    def switch(self, commit: Commit) -> None:
        """Make a commit count, and those it replaces not; then remove what they had.

        Raises
        ------
        OSError
            The disk refused: nothing has changed, or everything has and something is left of
            what was replaced.
        """
        for table in {file.table for file in commit.files}:
            files.sync_folder(data_folder(self.root, table, commit.day))
        folder = commit_folder(self.root, commit.day)
        files.make_folder(folder)
        files.write_whole(folder / (commit.name + SUFFIX), pack(commit))
        self._settle(commit)

    def _settle(self, commit: Commit) -> None:
        """Have a commit that counts survive a power cut, and remove what it replaces."""
        files.sync_folder(commit_folder(self.root, commit.day))
        if commit.replaces:
            self.recover(commit.day)
        self.written_files += len(commit.files)
        self.written_bytes += sum(file.size_bytes for file in commit.files)

    def recover(self, day: int) -> list[Path]:
        """Remove what a crash or a merge left of a day: files that no commit names.

        A record that cannot be read keeps its files, for a person to look at, until the rows are
        written again.

        Returns
        -------
        list of Path
            What was removed.
        """
        listing = self.listing(day)
        keep = {self.root / file.path for commit in listing.commits for file in commit.files}
        names = {commit.name for commit in listing.commits}
        unread = set(listing.damaged_names)
        removed = []
        folder = commit_folder(self.root, day)
        for path in sorted(folder.glob("*")):  # records first: a file without one is no file
            if path.name.removesuffix(SUFFIX) not in names | unread:
                removed.append(path)
                path.unlink()
        for table in TABLES:
            for path in sorted(data_folder(self.root, table.name, day).glob("*")):
                if path not in keep and path.name.removesuffix(".parquet") not in unread:
                    removed.append(path)
                    path.unlink()
        return removed

    def check(self, day: int) -> list[Damage]:
        """Read every file of a day and compare it with what was written; return what differs."""
        listing = self.listing(day)
        found = [
            files.damage_of(self.root, file) for commit in listing.commits for file in commit.files
        ]
        return [*listing.damage, *(damage for damage in found if damage is not None)]

    def remove_day(self, day: int) -> None:
        """Remove a day: its commits first, so that no query sees half of it."""
        shutil.rmtree(commit_folder(self.root, day), ignore_errors=True)
        for table in TABLES:
            shutil.rmtree(data_folder(self.root, table.name, day), ignore_errors=True)

    def sweep(self, keep_days: int, today: int) -> list[int]:
        """Remove days older than `keep_days` before `today`; 0 keeps all. Return those removed."""
        if keep_days <= 0:
            return []
        old = [day for day in self.days() if day <= today - keep_days]
        for day in old:
            self.remove_day(day)
        return old


def in_order(table: Table, rows: pa.Table) -> pa.Table:
    """Return rows in the order of the table's key."""
    rows = rows.unify_dictionaries().combine_chunks()
    keys = [_order_of(rows[name]) for name in reversed(table.key)]
    return rows.take(pa.array(np.lexsort(keys)))


def _order_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return numbers that sort as a column does; text by its dictionary, which is short."""
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        numbers: NDArray[np.int64] = array.cast(pa.int64()).fill_null(0).to_numpy()
        return numbers
    words = array.dictionary.to_numpy(zero_copy_only=False).astype(str)
    ranks = np.empty(len(words), np.int64)
    ranks[np.argsort(words)] = np.arange(len(words))
    order: NDArray[np.int64] = ranks[array.indices.to_numpy()]
    return order


def encodings(rows: pa.Table) -> dict[str, Any]:
    """Return how columns are written: those that grow as differences, the rest as dictionaries.

    A quarter less bytes than dictionaries for all, and half the time.
    """
    growing = [
        name
        for name in rows.column_names
        if name in ("seq", "time") or name.endswith(("_ns", "_vnd")) or name.startswith("total_")
    ]
    return {
        "compression": COMPRESSION,
        "row_group_size": ROW_GROUP_ROWS,
        "use_dictionary": [name for name in rows.column_names if name not in growing],
        "column_encoding": dict.fromkeys(growing, "DELTA_BINARY_PACKED"),
    }


def time_range_us(times: pa.ChunkedArray) -> tuple[int, int]:
    """Return the least and the greatest time, microseconds; 0, 0 when all are null."""
    least = pc.min_max(times.cast(pa.int64())).as_py()
    return (least["min"] or 0, least["max"] or 0)

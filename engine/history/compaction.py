"""Many small segments become few large ones, and after the close one per table and day.

The recorder commits every few seconds, so a day has thousands of files; a query would spend its
time opening them. Each FAN commits of one tier are merged into one of the next, and the whole day
into one when it is over. DuckDB sorts, with bounded memory. A merge is a commit that replaces
others: until its rename nothing has changed, after it everything has.

A commit with a damaged file is never merged: it stays as it is, and only that file is missing.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from engine.history import duck, files
from engine.history.catalogue import (
    TIER_DAY,
    Commit,
    Damage,
    File,
    Listing,
    data_folder,
)
from engine.history.segments import COMPRESSION, ROW_GROUP_ROWS, SegmentStore, time_range_us
from engine.history.tables import BARS, TABLES, Table
from engine.market.days import day_text

FAN: Final = 32


class Compactor:
    """Merges what a `SegmentStore` has written; belongs to the same process.

    Parameters
    ----------
    store
        Where.
    threads, memory_bytes
        What a merge may use; what needs more memory goes to disk.

    Attributes
    ----------
    damage
        What the last merge left out.
    """

    def __init__(
        self, store: SegmentStore, *, threads: int = 1, memory_bytes: int = 512 * 1024**2
    ) -> None:
        self.store = store
        self.damage: tuple[Damage, ...] = ()
        self._threads = threads
        self._memory_bytes = memory_bytes

    def merge_small(self, day: int, shard: int) -> Commit | None:
        """Merge the first FAN neighbours of one tier, if there are so many; else return None.

        Call it after each commit: a day's number of files then stays below a hundred or so.

        Raises
        ------
        OSError
            The disk refused, or the memory did not suffice; nothing has changed.
        """
        listing = self.store.listing(day)
        own = [commit for commit in listing.commits if set(commit.seqs) == {shard}]
        for tier in range(TIER_DAY - 1):
            chosen = _neighbours([commit for commit in own if commit.tier == tier], shard)
            if len(chosen) >= FAN:
                return self._merge(listing, day, chosen[:FAN], tier + 1)
        return None

    def compact_day(self, day: int) -> Commit | None:
        """Make one file per table of a day that is over; None when that is done already.

        Raises
        ------
        OSError
            The disk refused, or the memory did not suffice; nothing has changed.
        """
        if self.is_compact(day):
            return None
        listing = self.store.listing(day)
        return self._merge(listing, day, listing.commits, TIER_DAY)

    def is_compact(self, day: int) -> bool:
        """Return whether all that is committed of a day is in one commit (or in none at all)."""
        commits = self.store.listing(day).commits
        return not commits or (len(commits) == 1 and commits[0].tier == TIER_DAY)

    def _merge(
        self, listing: Listing, day: int, chosen: Sequence[Commit], tier: int
    ) -> Commit | None:
        root = self.store.root
        sound, damage = [], []
        for commit in chosen:
            found = [files.damage_of(root, file) for file in commit.files]
            damage += [each for each in found if each is not None]
            if not any(found):
                sound.append(commit)
        self.damage = tuple(damage)
        if not sound or (len(sound) == 1 and sound[0].tier == tier):
            return None
        name = _name(listing, sound, tier)
        written = tuple(
            self._write(day, table, name, paths)
            for table in TABLES
            if (paths := [f for commit in sound for f in commit.files if f.table == table.name])
        )
        replaces = tuple(commit.name for commit in sound)
        merged = Commit(name, day, tier, _joined(sound), written, replaces)
        self.store.switch(merged)
        return merged

    def _write(self, day: int, table: Table, name: str, parts: Sequence[File]) -> File:
        """Write the rows of several files into one, in the order of the key."""
        root = self.store.root
        path = data_folder(root, table.name, day) / f"{name}.parquet"
        part = path.with_name(path.name + files.PART)
        source = duck.union_of(root, parts)
        if table is BARS:
            source = duck.newest_bars(source)
        key = ", ".join(duck.name(column) for column in table.key)
        try:
            with closing(duck.connect(root, self._threads, self._memory_bytes)) as connection:
                connection.execute(
                    f"COPY (SELECT * EXCLUDE day FROM ({source}) ORDER BY {key}) "  # noqa: S608
                    f"TO {duck.text(str(part.absolute()))} "
                    f"(FORMAT parquet, PARQUET_VERSION 'V2', COMPRESSION {COMPRESSION}, "
                    f"ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
                )
            file = _described(root, table, path, part)
            files.sync(part)
            part.rename(path)
        except (duckdb.Error, OSError) as error:  # the disk, or not enough memory
            part.unlink(missing_ok=True)
            raise OSError(f"merging {table.name} of {day_text(day)}: {error}") from error
        return file


def _described(root: Path, table: Table, path: Path, part: Path) -> File:
    """Return what a commit says of a new file that will be called `path`."""
    with pq.ParquetFile(part) as parquet:
        rows, names = parquet.metadata.num_rows, tuple(parquet.schema_arrow.names)
        first_us, last_us = time_range_us(parquet.read(["time"])["time"])
    return File(
        table.name,
        str(path.relative_to(root)),
        rows,
        part.stat().st_size,
        files.checksums_of_file(part),
        names,
        first_us,
        last_us,
    )


def _neighbours(commits: Sequence[Commit], shard: int) -> list[Commit]:
    """Return the longest beginning of the commits that has no hole."""
    chosen: list[Commit] = []
    for commit in commits:
        if chosen and commit.seqs[shard][0] != chosen[-1].seqs[shard][1]:
            break
        chosen.append(commit)
    return chosen


def _joined(commits: Sequence[Commit]) -> dict[int, tuple[int, int]]:
    """Return what the commits cover together, by shard."""
    seqs: dict[int, tuple[int, int]] = {}
    for commit in commits:
        for shard, (first, last) in commit.seqs.items():
            known = seqs.get(shard, (first, last))
            seqs[shard] = (min(known[0], first), max(known[1], last))
    return seqs


def _name(listing: Listing, chosen: Sequence[Commit], tier: int) -> str:
    """Return a name that no commit of the day has or had."""
    if tier == TIER_DAY:
        taken = {commit.name for commit in (*listing.commits, *listing.replaced)}
        numbers = [int(name.partition(".")[2]) for name in taken if name.startswith("day.")]
        return f"day.{max(numbers, default=0) + 1:04d}"
    (shard,) = chosen[0].seqs
    first, last = chosen[0].seqs[shard][0], chosen[-1].seqs[shard][1]
    return f"shard-{shard}.{first:012d}-{last:012d}.tier-{tier}"

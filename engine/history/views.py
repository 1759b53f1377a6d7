"""One moment of the history as DuckDB views: committed files, and what is not written yet."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from engine.history import duck
from engine.history.catalogue import TIER_DAY, Commit, File, Listing
from engine.history.tables import BARS, Table, empty
from engine.history.tail import Tail
from engine.market.days import day_text


def up_to(listing: Listing, tail: Tail) -> Listing | None:
    """Return the commits that a tail continues.

    The tail was read first. What was committed since then is in both, and the tail's is taken.

    Returns
    -------
    Listing or None
        None when a merge has joined commits of before and after: ask the tail again.
    """
    kept = []
    for commit in listing.commits:
        shards = set(commit.seqs) & set(tail.seqs) if commit.day == tail.day else set()
        beyond = {shard for shard in shards if commit.seqs[shard][1] > tail.seqs[shard][0]}
        if not beyond:
            kept.append(commit)
        elif beyond != set(commit.seqs) or any(
            commit.seqs[shard][0] < tail.seqs[shard][0] for shard in beyond
        ):
            return None
    return Listing(tuple(kept), listing.replaced, listing.damage)


def make_view(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    table: Table,
    settled: Sequence[File],
    loose: Sequence[File],
    tail: Tail | None,
) -> None:
    """Make the view of one table, for this connection alone.

    Parameters
    ----------
    connection
        Of this question.
    root
        ``<data_dir>/history``.
    table
        Which one.
    settled, loose
        Files of days that are compact, and of others: there a bar may have been told twice.
    tail
        Unwritten rows, if they are asked for and known.
    """
    rows = None if tail is None else tail.tables.get(table.name)
    day = day_text(0 if tail is None else tail.day)
    connection.register(f"tail_{table.name}", empty(table) if rows is None else rows)
    # First, so that its columns give the order; old files may lack some.
    parts = [f"SELECT *, DATE '{day}' AS day FROM tail_{table.name}"]  # noqa: S608
    if loose:
        parts.append(duck.union_of(root, loose))
    if table is BARS and (loose or rows is not None):
        parts = [f"({duck.newest_bars(duck.union(parts))})"]
    if settled:
        parts.append(duck.union_of(root, settled))
    connection.execute(f"CREATE TEMP VIEW {table.name} AS {duck.union(parts)}")


def by_settled(
    commits: Iterable[Commit], tail: Tail | None, files: Iterable[File]
) -> tuple[list[File], list[File]]:
    """Tell files of days that are compact, and have no tail, from those of days still open."""
    commits = list(commits)
    open_days = {commit.day for commit in commits if commit.tier != TIER_DAY}
    if tail is not None:
        open_days.add(tail.day)
    open_paths = {
        file.path for commit in commits if commit.day in open_days for file in commit.files
    }
    settled: list[File] = []
    loose: list[File] = []
    for file in files:
        (loose if file.path in open_paths else settled).append(file)
    return settled, loose

"""What is committed: small records that name files, and the rule which of them count.

    <root>/commits/<YYYY-MM-DD>/<name>.json     one commit: its files, checksums, sequence numbers
    <root>/<table>/day=<YYYY-MM-DD>/<name>.parquet

A file counts only when a commit names it, and a commit appears by one rename: so rows are there
wholly or not at all. A commit may replace others (a merge of small files, a range written again);
from its rename on they do not count, whether or not they have been removed yet. The text of a
record is in the file twice, each time with its checksum: one flipped byte costs nothing.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.market.days import day_text, parse_day

COMMITS: Final = "commits"
SUFFIX: Final = ".json"
BLOCK_BYTES: Final = 262_144  # a checksum for each: a damage is known to this precision
TIER_DAY: Final = 9  # of the one commit that holds a whole day


@dataclass(frozen=True, slots=True)
class File:
    """One Parquet file of a commit.

    Attributes
    ----------
    table, path
        Its table; where it is, relative to the root.
    rows, size_bytes
        How much is in it.
    checksums
        CRC-32 of each BLOCK_BYTES of it.
    columns
        Names of its columns, in order.
    first_us, last_us
        Least and greatest ``time``, microseconds since 1970 in wall clock; 0, 0: it has none.
    """

    table: str
    path: str
    rows: int
    size_bytes: int
    checksums: tuple[int, ...]
    columns: tuple[str, ...]
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Rows of one trading day that appeared together.

    Attributes
    ----------
    name
        Of its record, and of its files.
    day
        Trading day, days since 1970-01-01.
    tier
        0 as the recorder wrote it, +1 for each merge, TIER_DAY when it holds the whole day.
    seqs
        Shard -> (from_seq, to_seq): the rows are those of these slots, to_seq not included.
    files
        At most one per table.
    replaces
        Names of commits of the day that count no more.
    """

    name: str
    day: int
    tier: int
    seqs: Mapping[int, tuple[int, int]]
    files: tuple[File, ...]
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Damage:
    """Something on disk that is not what was written.

    Attributes
    ----------
    path
        The file.
    offset
        Byte from which on it is wrong: its block, or where it ends too early.
    why
        In words, with the numbers expected and found.
    """

    path: Path
    offset: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}, byte {self.offset}: {self.why}"


@dataclass(frozen=True, slots=True)
class Listing:
    """All that counts at one moment.

    Attributes
    ----------
    commits
        By day, then in the order of their sequence numbers.
    replaced
        Records that are still on disk and count no more.
    damage
        Records that cannot be read.
    """

    commits: tuple[Commit, ...]
    replaced: tuple[Commit, ...]
    damage: tuple[Damage, ...]

    @property
    def damaged_names(self) -> list[str]:
        """Names of the commits whose records cannot be read."""
        return [damage.path.name.removesuffix(SUFFIX) for damage in self.damage]

    def committed_seq(self, day: int, shard: int) -> int:
        """Return the first slot of a shard's day that is in no commit."""
        return end_of_chain(
            commit.seqs[shard]
            for commit in self.commits
            if commit.day == day and shard in commit.seqs
        )


def end_of_chain(ranges: Iterable[tuple[int, int]]) -> int:
    """Return how far ranges reach from 0 on without a hole."""
    end = 0
    for first, last in sorted(ranges):
        if first > end:
            break
        end = max(end, last)
    return end


def commit_folder(root: Path, day: int) -> Path:
    """Return where the records of a day are."""
    return root / COMMITS / day_text(day)


def data_folder(root: Path, table: str, day: int) -> Path:
    """Return where the files of a table and day are."""
    return root / table / f"day={day_text(day)}"


def pack(commit: Commit) -> bytes:
    """Return the bytes of a record."""
    seqs = {str(shard): list(seq) for shard, seq in commit.seqs.items()}
    line = json.dumps({**asdict(commit), "seqs": seqs}, separators=(",", ":")).encode()
    copy = b"%08x %s\n" % (zlib.crc32(line), line)
    return copy + b"\n" + copy  # two line ends: one flipped cannot join the copies


def unpack(data: bytes) -> Commit | None:
    """Return what a record says; None when neither of its two copies is whole."""
    for copy in data.split(b"\n"):
        checksum, _, line = copy.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(line) or not line:
            continue
        told = json.loads(line)
        files = tuple(
            File(
                **{
                    **file,
                    "checksums": tuple(file["checksums"]),
                    "columns": tuple(file["columns"]),
                }
            )
            for file in told["files"]
        )
        seqs = {int(shard): (first, last) for shard, (first, last) in told["seqs"].items()}
        return Commit(**{**told, "seqs": seqs, "files": files, "replaces": tuple(told["replaces"])})
    return None


class Catalogue:
    """Reads the commit records under a root; remembers those that have not changed.

    Parameters
    ----------
    root
        ``<data_dir>/history``; need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[tuple[int, int], Commit | None]] = {}

    def days(self) -> list[int]:
        """Return all days that have a commit folder, oldest first."""
        try:
            names = [path.name for path in (self.root / COMMITS).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(day for name in names if (day := parse_day(name)) is not None)

    def read(self, days: Collection[int] | None = None) -> Listing:
        """Return what counts now, of some days or of all.

        Records that vanish while they are read have been replaced: reading begins again.
        """
        while True:
            known: dict[Path, tuple[tuple[int, int], Commit | None]] = {}
            try:
                for day in self.days() if days is None else days:
                    self._read_day(day, known)
            except FileNotFoundError:
                continue
            if days is not None:  # of other days keep what is known, of these only what is there
                read = {day_text(day) for day in days}
                others = {p: v for p, v in self._known.items() if p.parent.name not in read}
                self._known = {**others, **known}
            else:
                self._known = known
            return _listing(known)

    def _read_day(self, day: int, known: dict[Path, tuple[tuple[int, int], Commit | None]]) -> None:
        try:
            paths = list(commit_folder(self.root, day).iterdir())
        except FileNotFoundError:
            return
        for path in paths:
            if path.suffix != SUFFIX:
                continue
            stat = path.stat()
            stamp = (stat.st_size, stat.st_mtime_ns)
            old = self._known.get(path)
            known[path] = old if old and old[0] == stamp else (stamp, unpack(path.read_bytes()))


def _listing(known: Mapping[Path, tuple[tuple[int, int], Commit | None]]) -> Listing:
    commits: list[Commit] = []
    damage: list[tuple[str, Damage]] = []
    for path, ((size_bytes, _), commit) in sorted(known.items()):
        if commit is None:
            why = f"the commit record ({size_bytes} bytes) cannot be read: both copies are damaged"
            told = Damage(path, 0, f"{why}; its rows are missing from the history")
            damage.append((path.parent.name, told))
        else:
            commits.append(commit)
    gone = {(commit.day, name) for commit in commits for name in commit.replaces}
    gone_paths = {f"{day_text(day)}/{name}{SUFFIX}" for day, name in gone}
    counting = [commit for commit in commits if (commit.day, commit.name) not in gone]
    return Listing(
        tuple(sorted(counting, key=lambda commit: (commit.day, sorted(commit.seqs.items())))),
        tuple(commit for commit in commits if (commit.day, commit.name) in gone),
        tuple(told for folder, told in damage if f"{folder}/{told.path.name}" not in gone_paths),
    )

"""Trading days on disk: their folders, what about.json says of one, and how long they stay.

    <data_dir>/journal/            the root: `journal_root`
        2026-11-20/                one trading day: `day_folder`
            about.json             how it was recorded: `About`
            shard-0.000000000000.vnj ...

A trading day is a calendar date of our receive clock in Vietnam and begins at 06:00: what comes at
night still belongs to the evening before it.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.journal.disk import REAL_DISK, Disk, read_whole, write_whole
from engine.journal.layout import JournalError
from engine.market.days import day_text, parse_day

DAY_STARTS_S: Final = 6 * 3_600  # of the calendar date, ICT
ABOUT_NAME: Final = "about.json"
NS_PER_S: Final = 1_000_000_000
_NUMBERS: Final = ("day", "epoch", "shards", "symbols_max")


@dataclass(frozen=True, slots=True)
class About:
    """What must be the same for a day's journal to be gone on with, or folded again.

    Attributes
    ----------
    day
        Days since 1970 (ICT).
    epoch
        UTC ns; whatever publishes the fold of this journal does so under this epoch.
    schema
        SCHEMA_ID.
    shards, symbols_max
        As configured.
    settings
        What a fold depends on besides: side_precedence, alerts, rules.
    vntape
        The version that began it.
    """

    day: int
    epoch: int
    schema: str
    shards: int
    symbols_max: int
    settings: dict[str, Any]
    vntape: str


def journal_day(now_ns: int) -> int:
    """Return the trading day of a receive time (UTC ns): days since 1970-01-01."""
    return (now_ns // NS_PER_S + ICT_OFFSET_S - DAY_STARTS_S) // DAY_S


def day_start_ns(day: int) -> int:
    """Return when a trading day begins, UTC ns; the one before it ends there."""
    return (day * DAY_S - ICT_OFFSET_S + DAY_STARTS_S) * NS_PER_S


def journal_root(data_dir: Path) -> Path:
    """Return the folder of all days of an instance."""
    return data_dir / "journal"


def day_folder(root: Path, day: int) -> Path:
    """Return a day's folder below the root (`journal_root`); it need not exist."""
    return root / day_text(day)


def list_days(root: Path, disk: Disk = REAL_DISK) -> list[int]:
    """Return the days that have a folder, oldest first."""
    try:
        names = disk.list(root)
    except FileNotFoundError:
        return []
    return sorted(day for day in map(parse_day, names) if day is not None)


def read_about(folder: Path, disk: Disk = REAL_DISK) -> About | None:
    """Read a day's about.json; None when there is none.

    Raises
    ------
    JournalError
        It is there and does not say what it must.
    """
    path = folder / ABOUT_NAME
    try:
        tree = json.loads(read_whole(disk, path))
        about = About(**{field.name: tree[field.name] for field in fields(About)})
        if not all(isinstance(getattr(about, name), int) for name in _NUMBERS):
            raise TypeError(f"{', '.join(_NUMBERS)} must be numbers")
        return about
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{path} cannot be read ({type(error).__name__}: {error}): move its folder away, or "
            "restore it from a backup"
        ) from None


def write_about(folder: Path, about: About, disk: Disk = REAL_DISK) -> None:
    """Write a day's about.json, at once and for good; the folder must exist.

    Raises
    ------
    OSError
        The disk refused; what was there is as it was.
    """
    write_whole(disk, folder / ABOUT_NAME, json.dumps(asdict(about), indent=1).encode())


def sweep(root: Path, keep_days: int, today: int, disk: Disk = REAL_DISK) -> list[int]:
    """Remove the oldest days so that `keep_days` stay, today among them.

    Days are counted, not subtracted: a clock that jumps a year ahead removes one day, not all.
    A folder that cannot be removed stays and is tried again next time.

    Returns
    -------
    list of int
        The days removed, oldest first.
    """
    assert keep_days >= 1, f"journal.keep_days is {keep_days}"
    past = [day for day in list_days(root, disk) if day < today]
    removed = []
    for day in past[: max(0, len(past) - (keep_days - 1))]:
        folder = day_folder(root, day)
        try:
            for name in disk.list(folder):
                disk.remove(folder / name)
            disk.remove_folder(folder)
        except OSError:
            continue
        removed.append(day)
    return removed

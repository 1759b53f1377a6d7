"""Opening a trading day: is its journal ours to go on with, how far does it reach, what is wrong.

In: the configuration and the day's folder. Out: an `OpenDay`, and messages for the operator.
May lose: nothing; what a journal has lost before is told, with its position. Counts: nothing.

    about.json  missing: the day begins. Other shards or layouts: refused. Other settings of the
                fold: the same slots make other rows from now on, so they get a new epoch.
    open.json   there while the day is open: of which boot, under which epoch. One of an earlier
                boot means that the machine went down under a running tape; one of this boot without
                its shared memory, that a container did. Slots that clients saw may not have reached
                the disk, and the numbers of their rows would be given again. So the epoch is new as
                well; also with fsync = always, because a disk that refused has not what was
                published meanwhile.

A disk that refuses is told and the day is open all the same: the journal tries again by itself, and
`write_again` is for the two files above.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import engine
from engine.config import Config
from engine.errors import ConfigError
from engine.journal.days import (
    About,
    journal_day,
    journal_root,
    read_about,
    sweep,
    write_about,
)
from engine.journal.disk import REAL_DISK, Disk, read_whole, write_whole
from engine.journal.layout import JournalError
from engine.journal.survey import Survey, cut_tail, survey
from engine.market.days import day_text
from engine.process import boot_id
from engine.schema import SCHEMA_ID
from engine.schema.slots import SLOT
from engine.wiring.today import Today, fold_settings, journal_folder

MARK_NAME = "open.json"
SAMPLES_MAX = 3  # of holes and damaged slots that are named one by one


class Message(NamedTuple):
    """Something the operator must hear."""

    level: Literal["info", "warning", "error"]
    text: str


class _Life(NamedTuple):
    """What this start is: on which boot, and whether the one before it left its shared memory."""

    boot: str
    has_memory: bool


@dataclass(frozen=True, slots=True)
class OpenDay(Today):
    """A day that may be gone on with.

    Attributes
    ----------
    next_seqs
        By shard: the number of the next slot.
    symbols
        SYMBOL slots of all shards, dtype SLOT, each shard's in order.
    messages
        What was found and done.
    boot
        Of which run of the machine, see `process.boot_id`.
    unwritten
        What about.json must say and may not: the disk refused. See `write_again`.
    ids_end
        Symbol ids from here on are in no slot of the journal.
    """

    next_seqs: tuple[int, ...]
    symbols: NDArray[np.void]
    messages: tuple[Message, ...]
    boot: str = ""
    unwritten: About | None = None
    ids_end: int = 1


def open_day(
    config: Config,
    data_dir: Path,
    now_ns: int,
    *,
    published: Sequence[int] = (),
    boot: str | None = None,
    disk: Disk = REAL_DISK,
) -> OpenDay:
    """Open the trading day of a moment.

    Parameters
    ----------
    config
        Checked configuration.
    data_dir
        Where this instance keeps its files.
    now_ns
        UTC ns: which day it is, and a new epoch if one is due.
    published
        By shard: slots below this are known to be published, whether the journal has them or not.
        Their numbers are not given again; what is missing becomes a hole that readers are told of.
        Empty: nothing is known, the shared memory is gone.
    boot
        This run of the machine, see `process.boot_id`.
    disk
        Where the journal is.

    Raises
    ------
    ConfigError
        The day was begun with another number of shards or symbols, or by another version's
        layouts, or its about.json is spoilt: says how to go on.
    """
    day = journal_day(now_ns)
    folder = journal_folder(config, data_dir, day)
    shards = config.engine.shards
    reached = [*published, *[0] * shards][:shards]
    nothing = np.zeros(0, SLOT)
    if folder is None:
        return OpenDay(day, now_ns, None, (0,) * shards, nothing, ())
    messages: list[Message] = []
    life = _Life(boot or boot_id(), has_memory=bool(published))
    about, written = _begin(config, folder, day, now_ns, life, disk, messages)
    symbols, next_seqs, ids_end = [nothing], [], 1
    for shard in range(shards):
        found = _survey(folder, shard, disk, messages)
        symbols.append(found.symbols)
        ids_end = max(ids_end, found.ids_end)
        missing = reached[shard] - found.end_seq
        if missing > 0:
            text = f"shard-{shard}: the last {missing} slots published are not in the journal"
            messages.append(Message("error", text))
        next_seqs.append(max(found.end_seq, reached[shard]))
    messages += _retention(config, data_dir, day, disk)
    return OpenDay(
        day,
        about.epoch,
        folder,
        tuple(next_seqs),
        np.concatenate(symbols),
        tuple(messages),
        life.boot,
        None if written else about,
        ids_end,
    )


def write_again(opened: OpenDay, disk: Disk = REAL_DISK) -> OpenDay:
    """Write what the disk refused when the day was opened; without it nobody reads the journal.

    Returns
    -------
    OpenDay
        The day; with nothing unwritten if it worked.
    """
    if opened.folder is None or opened.unwritten is None:
        return opened
    try:
        disk.make_folder(opened.folder)
        _write(opened.folder, opened.unwritten, opened.boot, disk)
    except OSError:
        return opened
    return replace(opened, unwritten=None)


def close_day(opened: Today, disk: Disk = REAL_DISK) -> None:
    """Note that everything published is in the journal, and its writers have let go of it."""
    if opened.folder is not None:
        try:
            disk.remove(opened.folder / MARK_NAME)
        except OSError:
            pass  # never written, or it stays: a boot later that costs an epoch, and no data


def _begin(
    config: Config,
    folder: Path,
    day: int,
    now_ns: int,
    life: _Life,
    disk: Disk,
    messages: list[Message],
) -> tuple[About, bool]:
    """Make about.json right; return what it must say, and whether it does."""
    wanted = About(
        day=day,
        epoch=now_ns,
        schema=SCHEMA_ID,
        shards=config.engine.shards,
        symbols_max=config.engine.symbols_max,
        settings=fold_settings(config),
        vntape=engine.__version__,
    )
    try:
        disk.make_folder(folder)
        known = _read_about(folder, disk)
        why = _why_new_epoch(folder, known, wanted, life, disk)
        if known is not None:
            _refuse_others(folder, known, wanted)
        if known is not None and not why:
            wanted = replace(wanted, epoch=known.epoch, vntape=known.vntape)
        if why:
            messages.append(Message("warning", f"journal of {day_text(day)}: new epoch: {why}"))
        _write(folder, wanted, life.boot, disk)
    except OSError as error:
        messages.append(_refused(folder, error))
        if not _is_marked(folder, wanted, life.boot, disk):
            # The next start could not tell that this one went down under its tape. So it finds an
            # epoch of which nothing was told since.
            wanted = replace(wanted, epoch=now_ns)
        return wanted, False
    return wanted, True


def _is_marked(folder: Path, about: About, boot: str, disk: Disk) -> bool:
    """Return whether the disk knows already that the day is open, by whom and under which epoch."""
    try:
        mark = json.loads(read_whole(disk, folder / MARK_NAME))
        return bool(mark == {"boot": boot, "epoch": about.epoch})
    except (OSError, ValueError):
        return False


def _write(folder: Path, about: About, boot: str, disk: Disk) -> None:
    """Write about.json and, before it, the mark: who finds only that knows that one is missing."""
    mark = {"boot": boot, "epoch": about.epoch}
    write_whole(disk, folder / MARK_NAME, json.dumps(mark).encode())
    write_about(folder, about, disk)


def _read_about(folder: Path, disk: Disk) -> About | None:
    try:
        return read_about(folder, disk)
    except JournalError as error:
        raise ConfigError(str(error)) from None


def _refuse_others(folder: Path, known: About, wanted: About) -> None:
    """Refuse a journal that this configuration, or this version, cannot go on with."""
    away = f"move {folder} away to begin the day anew"
    for key, was, now in (
        ("engine.shards", known.shards, wanted.shards),
        ("engine.symbols_max", known.symbols_max, wanted.symbols_max),
    ):
        if was != now:
            raise ConfigError(
                f"{key} is {now}, the journal of {day_text(known.day)} was begun with {was}: set "
                f"it back until the next trading day (06:00), or {away}"
            )
    if known.schema != wanted.schema:
        raise ConfigError(
            f"the journal of {day_text(known.day)} was begun by vntape {known.vntape} with schema "
            f"{known.schema}, this program has {wanted.schema}: start that version until the next "
            f"trading day (06:00), or {away}"
        )


def _why_new_epoch(
    folder: Path, known: About | None, wanted: About, life: _Life, disk: Disk
) -> str:
    """Say why rows of this day need a new epoch; empty when they do not, or the day is new."""
    if known is None:
        has_files = any(name.startswith("shard-") for name in disk.list(folder))
        return "about.json is missing beside its files" if has_files else ""
    if known.settings != wanted.settings:
        changed = [
            name for name, value in wanted.settings.items() if known.settings.get(name) != value
        ]
        return f"other settings: {', '.join(changed)}"
    try:
        mark = json.loads(read_whole(disk, folder / MARK_NAME))
        boot, epoch = mark["boot"], mark.get("epoch", known.epoch)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""
    if boot != life.boot:
        return "the machine went down while the tape was running"
    if not life.has_memory:
        return "the shared memory went while the tape was running"
    if epoch != known.epoch:
        return "the last one could not be written into about.json"
    return ""


def _survey(folder: Path, shard: int, disk: Disk, messages: list[Message]) -> Survey:
    """Look through a shard's journal and cut its torn tail.

    What cannot be written can wait. What cannot be read cannot: we would give numbers again.
    """
    try:
        found = survey(folder, shard, disk)
    except JournalError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(
            f"the journal of shard-{shard} in {folder} cannot be read ({error.strerror or error}): "
            "repair it, or move that folder away to begin the day anew"
        ) from None
    messages += _findings(shard, found)
    try:
        cut_tail(found, disk)
    except OSError as error:
        messages.append(_refused(folder, error))
    return found


def _findings(shard: int, found: Survey) -> Iterator[Message]:
    """Say what is in a journal, and what is not."""
    name = f"journal of shard-{shard}"
    if found.end_seq:
        yield Message("info", f"{name}: goes on at slot {found.end_seq}")
    if found.torn is not None:
        yield Message("warning", f"{name}: cut off {found.torn}")
    for first, end in found.holes[:SAMPLES_MAX]:
        yield Message("error", f"{name}: slots {first} to {end - 1} were never written")
    for damage in found.damage[:SAMPLES_MAX]:
        yield Message("error", f"{name}: {damage}")
    if len(found.holes) > SAMPLES_MAX or len(found.damage) > SAMPLES_MAX:
        missing = sum(end - first for first, end in found.holes)
        damaged = sum(damage.slots for damage in found.damage)
        yield Message(
            "error",
            f"{name}: {missing} slots in {len(found.holes)} holes and {damaged} damaged slots in "
            f"{len(found.damage)} places in all",
        )


def _retention(config: Config, data_dir: Path, day: int, disk: Disk) -> Iterator[Message]:
    """Remove journals that are older than the operator wants to keep."""
    try:
        removed = sweep(journal_root(data_dir), config.journal.keep_days, day, disk)
    except OSError as error:
        yield _refused(journal_root(data_dir), error)
        return
    if removed:
        text = ", ".join(map(day_text, removed))
        yield Message("info", f"journals removed (journal.keep_days): {text}")


def _refused(path: Path, error: OSError) -> Message:
    return Message(
        "error",
        f"the journal in {path} cannot be used ({error.strerror or error}): the tape runs without "
        "it, and tries again",
    )

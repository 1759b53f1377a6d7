"""``vntape shm``: which run directories there are, whose they are, and removing the dead ones.

    vntape shm ls     every instance below run.dir: owner, size, trading day, age
    vntape shm gc     remove those whose owner is dead; never one that is in use

The next start of an instance adopts or sweeps its own; this is for those never started again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from engine.clock import Clock, SystemClock
from engine.config import Config
from engine.market.days import day_text
from engine.rundir import PREFIX, RunDir, size_bytes
from engine.schema import SCHEMA_ID

Say = Callable[[str], None]
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


class Instance(NamedTuple):
    """One run directory as an operator sees it."""

    run: RunDir
    owner: str
    dead: bool
    size_bytes: int
    day: str
    age: str


def instances(folder: Path, now_ns: int) -> list[Instance]:
    """Return every run directory in a folder, by name."""
    return [
        _look(RunDir(path), now_ns)
        for path in sorted(folder.glob(f"{PREFIX}*"))
        if path.is_dir() and not path.is_symlink()
    ]


def _look(run: RunDir, now_ns: int) -> Instance:
    try:
        owner, dead = _owner(run)
        facts = run.manifest()
        day = day_text(facts["day"]) if "day" in facts else "-"
        age_s = (now_ns - facts["created_ns"]) // 10**9 if "created_ns" in facts else -1
        return Instance(run, owner, dead, size_bytes(run.path), day, age_text(age_s))
    except PermissionError:
        return Instance(run, "another user's", False, 0, "-", "-")


def _owner(run: RunDir) -> tuple[str, bool]:
    """Return who has it in words, and whether that one is dead."""
    locked = run.is_locked()
    pid, alive = run.owner()
    if alive or run.maker_lives():
        return f"pid {pid or run.manifest()['pid']}", False
    if locked:
        return f"children of pid {pid}, which is dead", False
    return f"dead (pid {pid})" if pid else "dead", True


def age_text(age_s: int) -> str:
    """Return an age in its two largest units; ``-`` when it is not known."""
    if age_s < 0:
        return "-"
    if age_s < HOUR_S:
        return f"{age_s // MINUTE_S} min {age_s % MINUTE_S} s"
    if age_s < DAY_S:
        return f"{age_s // HOUR_S} h {age_s % HOUR_S // MINUTE_S} min"
    return f"{age_s // DAY_S} d {age_s % DAY_S // HOUR_S} h"


def list_instances(folder: Path, now_ns: int, say: Say = print) -> None:
    """Print a table of what there is."""
    rows = [
        (item.run.path.name, item.owner, f"{item.size_bytes:,}", item.day, item.age)
        for item in instances(folder, now_ns)
    ]
    if not rows:
        say(f"no instance in {folder}")
        return
    table = [("instance", "owner", "bytes", "day", "age"), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def collect(folder: Path, now_ns: int, say: Say = print) -> int:
    """Remove what dead owners left, and say what. Return the bytes freed."""
    freed_bytes = 0
    for item in instances(folder, now_ns):
        name = item.run.path.name
        if not item.dead:
            say(f"{name}: {item.owner}: left alone")
        elif _holds_unwritten(item.run):
            say(
                f"{name}: dead, but it holds slots that the journal lacks: start the instance, or "
                f"remove {item.run.path} yourself"
            )
        else:
            freed_bytes += _remove(item, say)
    say(f"{freed_bytes:,} bytes freed")
    return freed_bytes


def _remove(item: Instance, say: Say) -> int:
    name = item.run.path.name
    try:
        freed_bytes = item.run.collect()
    except OSError as error:
        say(f"{name}: not removed: {error}")
        return 0
    if freed_bytes is None:
        say(f"{name}: somebody has started it just now: left alone")
        return 0
    say(f"{name}: {item.owner}: removed, {freed_bytes:,} bytes")
    return freed_bytes


def _holds_unwritten(run: RunDir) -> bool:
    """Return whether the disk refused the journal when this run ended."""
    if run.manifest().get("schema") != SCHEMA_ID or not run.counters_file("ingest", 0).exists():
        return False
    return bool(run.open_counters("ingest", 0)[0]["journal_failing"])


def run(config: Config, word: str, clock: Clock | None = None) -> int:
    """Run ``vntape shm WORD``."""
    folder, now_ns = Path(config.run.dir), (clock or SystemClock()).now_ns()
    if word == "gc":
        collect(folder, now_ns)
    else:
        list_instances(folder, now_ns)
    return 0

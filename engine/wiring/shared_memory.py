"""The shared memory of an instance: made for a trading day, or taken over from a dead supervisor.

A supervisor that was killed leaves rings, symbols, counters and saved states behind. They are
adopted when they are what this start would make, only further on: then a restarted shard has its
saved state, and numbers go on. Else everything is swept; with a journal nothing but time is lost.
"""

import os
from collections.abc import Mapping
from typing import Any

from engine import segment
from engine.config import Config
from engine.decode.symbols import SymbolTable, format_symbols, restore_symbols, symbols_bytes
from engine.errors import ConfigError, SchemaMismatch
from engine.process import boot_id, start_ticks
from engine.ring.layout import format_ring, ring_bytes, view_ring
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID
from engine.schema.codes import Venue
from engine.schema.counters import COUNTER_LAYOUTS
from engine.schema.segments import RING_HEADER
from engine.status import counted_roles
from engine.wiring import shard_map
from engine.wiring.open_day import OpenDay
from engine.wiring.today import fold_settings, settings_hash

# What must be the same in two manifests, and what is said when it is not.
SAME = {
    "boot": "the machine was started anew since",
    "schema": "it is of another version of vntape",
    "shard_map": "it had other shards",
    "ring_slots": "its engine.ring_slots was another",
    "symbols_max": "its engine.symbols_max was another",
    "day": "it is of another trading day",
    "epoch": "the trading day has a new epoch",
    "settings": "it had other alerts, rules or side_precedence",
}
SYMBOLS_SHARE_MAX = 0.75  # of the table in use: a day's new listings still fit
SIGTERM_EXIT = -15  # as Popen.returncode says it: how children of a dead supervisor ended
# Where a shard was in its day, or why the worker before it died: of no meaning on the next day.
OF_THE_DAY = (
    *("lag_slots", "folded_seq", "settled_seq", "fold_first_seq", "fold_end_seq", "last_exit"),
    *("suspect_first_seq", "suspect_end_seq", "suspect_deaths", "live_ns", "state_seq"),
    *("quarantined_slots", "damaged_slots", "replayed_slots", "caught_up_slots"),
)
STATE_BYTES = 40 << 20  # room for one shard's saved state and the one that replaces it


def manifest_facts(config: Config, opened: OpenDay, now_ns: int) -> dict[str, Any]:
    """Return what the manifest says of a directory whose segments are all there."""
    engine = config.engine
    return {
        "complete": True,
        "pid": os.getpid(),
        "pid_start": start_ticks(os.getpid()),
        "boot": boot_id(),
        "created_ns": now_ns,
        "day": opened.day,
        "epoch": opened.epoch,
        "ring_slots": engine.ring_slots,
        "symbols_max": engine.symbols_max,
        "settings": settings_hash(fold_settings(config)),
        "shard_map": {
            "version": shard_map.VERSION,
            "rule": shard_map.RULE,
            "shards": engine.shards,
        },
    }


def why_not_adopt(run: RunDir, facts: Mapping[str, Any], opened: OpenDay) -> str:
    """Say why what a dead run left cannot be taken over; empty when it can.

    Parameters
    ----------
    run
        The run directory; its manifest is the dead run's.
    facts
        What this start would write into the manifest.
    opened
        The trading day.
    """
    old = run.manifest()
    if opened.folder is None:
        return "without a journal nothing can be gone on with"
    if not old.get("complete"):
        return "it was not finished"
    for key, text in SAME.items():
        if old.get(key) != {"schema": SCHEMA_ID, **facts}[key]:
            return text
    for shard in range(facts["shard_map"]["shards"]):
        path = run.ring_file(shard)
        if not path.exists() or path.stat().st_size != ring_bytes(facts["ring_slots"]):
            return f"{path.name} is missing or damaged"
        header = segment.record_view(segment.open_readonly(path).memory, RING_HEADER)[0]
        if header["created_ns"] != facts["epoch"]:
            return f"{path.name} is of another epoch"
    size_bytes = symbols_bytes(facts["symbols_max"])
    if not run.symbols_file.exists() or run.symbols_file.stat().st_size != size_bytes:
        return "its table of symbols is missing or damaged"
    return ""


def published_seqs(run: RunDir, day: int) -> list[int]:
    """Return how far the rings of a dead run were published, by shard; empty if not of this day."""
    facts = run.manifest()
    same = facts.get("complete") and facts.get("boot") == boot_id() and facts.get("day") == day
    if not same or facts.get("schema") != SCHEMA_ID:
        return []
    rings = [run.ring_file(shard) for shard in range(facts["shard_map"]["shards"])]
    try:
        return [view_ring(segment.open_readonly(path).memory).write_seq for path in rings]
    except (ConfigError, SchemaMismatch):  # missing, or damaged: nothing is known
        return []


def adopt(run: RunDir, config: Config) -> None:
    """Take over what a dead run left. Its sockets go; who is asked how he is must live again.

    A port turns negative: nobody listens there now, but who picked it freely picks it again, or
    clients would not find it.
    """
    for path in run.path.iterdir():
        if path.suffix == ".ipc" or path.name.startswith("crash-"):
            path.unlink()
    make_counters(run, config)
    for role, count in counted_roles(config):
        for index in range(count):
            cell = run.open_counters(role, index, writable=True)[0]
            cell["pid"] = cell["heartbeat_ns"] = 0
            if "port" in COUNTER_LAYOUTS[role].names:  # type: ignore[operator]  # it has fields
                cell["port"] = -abs(int(cell["port"]))
            if role == "shard":
                cell["last_exit"] = SIGTERM_EXIT
                # Gateways are new too: nobody waits for rows to be said again, and a client that
                # comes back must not be shown what it knows already.
                ring = segment.open_readonly(run.ring_file(index))
                cell["settled_seq"] = view_ring(ring.memory).write_seq


def make_counters(run: RunDir, config: Config) -> None:
    """Make the counters that are not there, and remove those of processes that will not be."""
    wanted = {
        run.counters_file(role, index): COUNTER_LAYOUTS[role].itemsize
        for role, count in counted_roles(config)
        for index in range(count)
    }
    for path in run.path.glob("counters-*"):
        if path not in wanted or path.stat().st_size != wanted[path]:
            path.unlink()
    for path, size_bytes in wanted.items():
        if not path.exists():
            segment.create(path, size_bytes)


def check_start(run: RunDir, config: Config) -> None:
    """Refuse a start without room for all segments and for what is written beside them later.

    Saved states grow with the symbols seen, logs of deltas with what is published: `STATE_BYTES`
    per shard and `gateway.resume_bytes` are counted, nothing is reserved. Not asked at 06:00: a
    tape that runs is not ended for a saved state.

    Raises
    ------
    ConfigError
        There is no room.
    """
    states_bytes = config.engine.shards * STATE_BYTES
    past_bytes = config.gateway.resume_bytes
    try:
        segment.check_room(run.path, _day_bytes(config) + states_bytes + past_bytes)
    except ConfigError as error:
        raise ConfigError(
            f"{error}; {states_bytes} of these bytes are for the saved states of "
            f"{config.engine.shards} shards, {past_bytes} for gateway.resume_bytes"
        ) from None


def can_keep_symbols(run: RunDir, config: Config, opened: OpenDay) -> bool:
    """Return whether a running instance can go on with its ids on a new trading day.

    Not when that day has a journal already, because the clock went back meanwhile: its slots have
    ids of their own. And not when the table is nearly full of what is listed no more.
    """
    table = _symbol_table(run, config)
    return not len(opened.symbols) and table.count <= SYMBOLS_SHARE_MAX * table.capacity


def make_day(run: RunDir, config: Config, opened: OpenDay, *, keep_symbols: bool = False) -> None:
    """Make rings and symbols for a trading day, in place of those of the day before.

    Nobody may have them open who would go on with them.

    Parameters
    ----------
    keep_symbols
        On a roll: every code keeps its id for the life of the instance. Gateways stay, and know
        codes by id, shard by shard: were the ids given in another order they would mix up names
        between the first shard that told them and the last. Where a symbol is listed is forgotten,
        as it may have moved; every symbol is introduced anew, as the day's journal knows none.

    Raises
    ------
    ConfigError
        There is no room.
    """
    engine = config.engine
    old = [] if keep_symbols else [run.symbols_file]
    for pattern in ("ring-*", "state-*", "crash-*", "deltas-*"):
        old += run.path.glob(pattern)
    for path in old:
        path.unlink(missing_ok=True)
    segment.check_room(run.path, _day_bytes(config))
    for shard, next_seq in enumerate(opened.next_seqs):
        ring = segment.create(run.ring_file(shard), ring_bytes(engine.ring_slots))
        format_ring(ring.memory, engine.ring_slots, created_ns=opened.epoch, first_seq=next_seq)
    if keep_symbols:
        _symbol_table(run, config).rows["venue"] = Venue.UNKNOWN
    else:
        symbols = segment.create(run.symbols_file, symbols_bytes(engine.symbols_max))
        format_symbols(symbols.memory, engine.symbols_max)
        restore_symbols(
            symbols.memory,
            opened.symbols,
            shard_map.shard_rule(engine.shards),
            ids_end=opened.ids_end,
        )
    for shard in range(engine.shards):
        cell = run.open_counters("shard", shard, writable=True)[0]
        for name in OF_THE_DAY:
            cell[name] = 0


def _day_bytes(config: Config) -> int:
    """Return what rings and symbols take."""
    engine = config.engine
    return engine.shards * ring_bytes(engine.ring_slots) + symbols_bytes(engine.symbols_max)


def _symbol_table(run: RunDir, config: Config) -> SymbolTable:
    memory = segment.open_writable(run.symbols_file).memory
    return SymbolTable(memory, shard_map.shard_rule(config.engine.shards))

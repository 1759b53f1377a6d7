"""What the counters say of an instance: who is there, who is silent, what is wrong. Pure.

The supervisor's status line and the health pages are made of the same facts, so they agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.clock import trade_day
from engine.config import Config
from engine.market.sessions import ict_second, phase_at
from engine.rundir import RunDir
from engine.schema.codes import Venue

VENUES_SHOWN = (Venue.HOSE, Venue.HNX, Venue.UPCOM, Venue.DERIVATIVES)
HEALTHY = {"LIVE": "OK", "CLOSED": "CLOSED"}  # nothing is expected outside trading hours
SILENT_NS = 2_000_000_000  # a process whose loop has not turned for this long is stalled
HISTORY_LAG_SLOTS = 1_000_000  # what the recorder may be behind: seconds of its work


def has_history(config: Config) -> bool:
    """Return whether there is a recorder, and so a history to ask."""
    return config.journal.write == "on" and config.history.record == "on"


def counted_roles(config: Config) -> list[tuple[str, int]]:
    """Return every role that keeps counters, and how many processes play it."""
    lone = ["ingest", "board", "rest", *(("recorder",) if has_history(config) else ())]
    return [
        ("shard", config.engine.shards),
        ("gateway", config.gateway.count),
        *((role, 1) for role in lone),
    ]


def phases(exch_s: int) -> dict[str, str]:
    """Return venue -> phase at an exchange time; empty when there is none yet (0)."""
    if exch_s <= 0:
        return {}
    day, second = trade_day(exch_s), ict_second(exch_s)
    return {venue.name: phase_at(venue, day, second).name for venue in VENUES_SHOWN}


def session_text(exch_s: int) -> str:
    """Return the phase of each venue at an exchange time: ``CONTINUOUS:HOSE+HNX BREAK:...``."""
    venues: dict[str, list[str]] = {}
    for venue, phase in phases(exch_s).items():
        venues.setdefault(phase, []).append(venue)
    if not venues:
        return "no exchange time yet"
    return " ".join(
        f"{phase}:{'+'.join(names)}" if len(venues) > 1 else phase
        for phase, names in venues.items()
    )


def total(cells: Sequence[NDArray[np.void]], name: str) -> int:
    """Return a counter summed over processes of one role."""
    return sum(int(cell[0][name]) for cell in cells)


@dataclass(frozen=True, slots=True)
class Process:
    """One process's counters, and what operators know it by.

    Attributes
    ----------
    role, index
        ``shard``, 0.
    counters
        Shape (1,), dtype of the role.
    """

    role: str
    index: int
    counters: NDArray[np.void]

    @property
    def name(self) -> str:
        """What operators call it: those of which there may be several have a number."""
        return f"{self.role}-{self.index}" if self.role in ("shard", "gateway") else self.role


@dataclass(slots=True)
class Sources:
    """The counters of everybody, as mapped from shared memory; None: no such process."""

    ingest: NDArray[np.void]
    shards: Sequence[NDArray[np.void]]
    board: NDArray[np.void]
    gateways: Sequence[NDArray[np.void]]
    rest: NDArray[np.void]
    recorder: NDArray[np.void] | None = None

    @classmethod
    def of(cls, run: RunDir, config: Config) -> "Sources":
        """Map the counters of everybody there is."""
        cells = {
            role: [run.open_counters(role, index) for index in range(count)]
            for role, count in counted_roles(config)
        }
        return cls(
            cells["ingest"][0],
            cells["shard"],
            cells["board"][0],
            cells["gateway"],
            cells["rest"][0],
            cells["recorder"][0] if "recorder" in cells else None,
        )

    def processes(self) -> list[Process]:
        """Return everybody, in the order of the path."""
        found = [Process("ingest", 0, self.ingest)]
        found += [Process("shard", i, cell) for i, cell in enumerate(self.shards)]
        found.append(Process("board", 0, self.board))
        found += [Process("gateway", i, cell) for i, cell in enumerate(self.gateways)]
        if self.recorder is not None:
            found.append(Process("recorder", 0, self.recorder))
        found.append(Process("rest", 0, self.rest))
        return found

    def named(self) -> list[tuple[str, NDArray[np.void]]]:
        """Return every process's counters with the name that operators know it by."""
        return [(process.name, process.counters) for process in self.processes()]


def problems(sources: Sources, now_ns: int) -> list[str]:
    """Return what is wrong, in words: who is silent, then what counters say."""
    return [*_silent(sources, now_ns), *_counted(sources), *_recorded(sources)]


def _silent(sources: Sources, now_ns: int) -> list[str]:
    return [
        f"{name} silent for {(now_ns - int(cell[0]['heartbeat_ns'])) / 1e9:.0f} s"
        for name, cell in sources.named()
        if cell[0]["heartbeat_ns"] and now_ns - int(cell[0]["heartbeat_ns"]) > SILENT_NS
    ]


def _counted(sources: Sources) -> list[str]:
    """Return what counters say is wrong."""
    ingest, shards = sources.ingest[0], sources.shards
    counted = [
        (int(ingest["rejected"].sum()), "messages rejected"),
        (total(shards, "lapped_slots"), "slots lost to a full ring"),
        (int(ingest["lost_frames"]), "frames lost: decoding fell behind"),
        (int(ingest["record_lost_frames"]), "frames not recorded"),
        (total(shards, "damaged_slots"), "slots damaged in the journal"),
        (total(shards, "quarantined_slots"), "slots in quarantine"),
    ]
    lost = int(ingest["journal_lost_slots"])
    found = [f"{count} {text}" for count, text in counted if count]
    if ingest["journal_failing"]:
        found.append(f"{lost} slots not in the journal: its disk refuses")
    elif lost:
        found.append(f"{lost} slots not in the journal")
    return found


def _recorded(sources: Sources) -> list[str]:
    """Return what is wrong with the history."""
    if sources.recorder is None:
        return []
    cell = sources.recorder[0]
    found = []
    if cell["failing"]:
        found.append(f"{int(cell['tail_rows'])} rows wait: the history's disk refuses")
    if cell["lag_slots"] > HISTORY_LAG_SLOTS:
        found.append(f"{int(cell['lag_slots'])} slots not in the history yet")
    return found

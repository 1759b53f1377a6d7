"""The supervisor's status line: can an operator trust the tape, in one glance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.clock import iso_ict, trade_day
from engine.config import Config
from engine.market.sessions import ict_second, phase_at
from engine.rundir import RunDir
from engine.schema.codes import FeedState, Venue
from engine.wiring.roles import counted_roles

VENUES_SHOWN = (Venue.HOSE, Venue.HNX, Venue.UPCOM, Venue.DERIVATIVES)
HEALTHY = {"LIVE": "OK", "CLOSED": "CLOSED"}  # nothing is expected outside trading hours
SILENT_NS = 2_000_000_000  # a process whose loop has not turned for this long is stalled
HISTORY_LAG_SLOTS = 1_000_000  # what the recorder may be behind: seconds of its work


def session_text(exch_s: int) -> str:
    """Return the phase of each venue at an exchange time: ``HOSE CONTINUOUS  HNX ...``."""
    if exch_s <= 0:
        return "no exchange time yet"
    phases: dict[str, list[str]] = {}
    for venue in VENUES_SHOWN:
        phase = phase_at(venue, trade_day(exch_s), ict_second(exch_s)).name
        phases.setdefault(phase, []).append(venue.name)
    return " ".join(
        f"{phase}:{'+'.join(venues)}" if len(phases) > 1 else phase
        for phase, venues in phases.items()
    )


def _sum(cells: Sequence[NDArray[np.void]], name: str) -> int:
    """Return a counter summed over processes of one role."""
    return sum(int(cell[0][name]) for cell in cells)


@dataclass(slots=True)
class Sources:
    """The counters the line is made of, as mapped from shared memory; None: no such process."""

    ingest: NDArray[np.void]
    shards: Sequence[NDArray[np.void]]
    board: NDArray[np.void]
    gateways: Sequence[NDArray[np.void]]
    recorder: NDArray[np.void] | None = None
    history: NDArray[np.void] | None = None

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
            *(cells[role][0] if role in cells else None for role in ("recorder", "history")),
        )

    def named(self) -> list[tuple[str, NDArray[np.void]]]:
        """Return every process's counters with the name that operators know it by."""
        found = [("ingest", self.ingest)]
        found += [(f"shard-{i}", cell) for i, cell in enumerate(self.shards)]
        found.append(("board", self.board))
        found += [(f"gateway-{i}", cell) for i, cell in enumerate(self.gateways)]
        found += [
            (name, cell)
            for name, cell in (("recorder", self.recorder), ("history", self.history))
            if cell is not None
        ]
        return found


class StatusLine:
    """Turns counters into one line; remembers the last counts to give rates."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._messages = 0
        self._now_ns = 0

    def render(self, now_ns: int, troubles: Sequence[str]) -> str:
        """Return the line. `troubles` are said first: they are what the operator must see."""
        ingest = self._sources.ingest[0]
        messages = int(ingest["messages"])
        elapsed_s = max(now_ns - self._now_ns, 1) / 1e9
        rate = (messages - self._messages) / elapsed_s if self._now_ns else 0.0
        self._messages, self._now_ns = messages, now_ns
        exch_s = int(ingest["last_exch_s"])
        feed = FeedState(int(ingest["feed_state"])).name
        shards, gateways = self._sources.shards, self._sources.gateways
        problems = [*troubles, *self._silent(now_ns), *self._counted()]
        gaps_open = _sum(shards, "gaps_open")
        if problems and feed not in HEALTHY:
            problems.append(f"feed {feed}")
        parts = [
            "PROBLEM: " + "; ".join(problems) if problems else HEALTHY.get(feed, f"feed {feed}"),
            iso_ict(exch_s)[:19].replace("T", " ") if exch_s else "-",
            session_text(exch_s),
            f"{rate:,.0f} msg/s",
            f"lag {_sum(shards, 'lag_slots')} slots",
            f"{int(ingest['symbols'])} symbols",
            f"{_sum(shards, 'matches'):,} trades",
            f"{_sum(shards, 'missed_volume_shares'):,} missed"
            + (f" ({gaps_open} gaps open)" if gaps_open else ""),
            f"{_sum(shards, 'alerts'):,} alerts",
            f"{_sum(gateways, 'clients')} clients",
        ]
        return " | ".join(parts)

    def _counted(self) -> list[str]:
        """Return what counters say is wrong."""
        ingest, shards = self._sources.ingest[0], self._sources.shards
        counted = [
            (int(ingest["rejected"].sum()), "messages rejected"),
            (_sum(shards, "lapped_slots"), "slots lost to a full ring"),
            (int(ingest["lost_frames"]), "frames lost: decoding fell behind"),
            (int(ingest["record_lost_frames"]), "frames not recorded"),
            (_sum(shards, "damaged_slots"), "slots damaged in the journal"),
            (_sum(shards, "quarantined_slots"), "slots in quarantine"),
        ]
        lost = int(ingest["journal_lost_slots"])
        found = [f"{count} {text}" for count, text in counted if count]
        if ingest["journal_failing"]:
            found.append(f"{lost} slots not in the journal: its disk refuses")
        elif lost:
            found.append(f"{lost} slots not in the journal")
        return found + self._recorded()

    def _recorded(self) -> list[str]:
        """Return what is wrong with the history."""
        if self._sources.recorder is None:
            return []
        cell = self._sources.recorder[0]
        found = []
        if cell["failing"]:
            found.append(f"{int(cell['tail_rows'])} rows wait: the history's disk refuses")
        if cell["lag_slots"] > HISTORY_LAG_SLOTS:
            found.append(f"{int(cell['lag_slots'])} slots not in the history yet")
        return found

    def _silent(self, now_ns: int) -> list[str]:
        return [
            f"{name} silent for {(now_ns - int(cell[0]['heartbeat_ns'])) / 1e9:.0f} s"
            for name, cell in self._sources.named()
            if cell[0]["heartbeat_ns"] and now_ns - int(cell[0]["heartbeat_ns"]) > SILENT_NS
        ]

"""What happens to a running instance in `bench_recovery`, and how one sees that it is over.

Everything is seen from outside: processes in /proc, counters and ring headers as files of the run
directory. They are read anew at every look, because a restart of the supervisor may replace them.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.rundir import RunDir
from engine.schema.counters import COUNTER_LAYOUTS
from engine.schema.segments import RING_HEADER

ROLE_OF: Final = {
    "bench.steady_source": "ingest",
    "engine.wiring.shard": "shard",
    "engine.wiring.board": "board",
    "gateway": "gateway",
    "engine.wiring.recorder": "recorder",
    "gateway.rest": "rest",
}
ROLES: Final = tuple(ROLE_OF.values())
SUPERVISOR: Final = "supervisor"
STOP_S: Final = 5.0
LAG_SLOTS: Final = 10_000  # a shard this close behind is current: 50 ms at 200 k messages/s
LAG_FRAMES: Final = 50  # of the bus, for a gateway


def children(pid: int, role_of: Mapping[str, str] = ROLE_OF) -> dict[str, int]:
    """Return role -> pid of a supervisor's children; those of other modules are left out."""
    found: dict[str, int] = {}
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return found
    for child in text.split():
        try:
            argv = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if len(argv) > 2 and argv[1] == "-m" and argv[2] in role_of:
            found[role_of[argv[2]]] = int(child)
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an instance. Read in the order of the path, so that nothing seems done early."""

    write_seq: int = 0  # slots published
    folded_seq: int = 0
    bus_frames: int = 0
    done_bus_frames: int = 0  # of those, by the gateway
    subscriptions: int = 0
    recorder_lag_slots: int = 0
    pids: Mapping[str, int] = field(default_factory=dict)  # as the processes wrote them
    heartbeats_ns: Mapping[str, int] = field(default_factory=dict)


def _cell(run_dir: RunDir, role: str) -> Any:
    """Return a copy of one process's counters."""
    return np.fromfile(run_dir.counters_file(role, 0), COUNTER_LAYOUTS[role], 1)[0]


def look(run_dir: RunDir, roles: tuple[str, ...] = ROLES) -> Look | None:
    """Look at an instance; None while there is nothing whole to look at."""
    try:
        ring = np.fromfile(run_dir.ring_file(0), RING_HEADER, 1)[0]
        cells = {role: _cell(run_dir, role) for role in roles}
    except (FileNotFoundError, IndexError):
        return None
    shard, gateway = cells["shard"], cells["gateway"]
    return Look(
        write_seq=int(ring["write_seq"]),
        folded_seq=int(shard["folded_seq"]),
        bus_frames=int(shard["bus_frames"]),
        done_bus_frames=int(gateway["done_bus_frame"][0]),
        subscriptions=int(gateway["subscriptions"]),
        recorder_lag_slots=int(cells["recorder"]["lag_slots"]) if "recorder" in cells else 0,
        pids={role: int(cell["pid"]) for role, cell in cells.items()},
        heartbeats_ns={role: int(cell["heartbeat_ns"]) for role, cell in cells.items()},
    )


def waiting_for(now: Look, before: Look, since_ns: int, hit: Mapping[str, int]) -> list[str]:
    """Say who has not caught up yet; nobody: the instance is as it was.

    Parameters
    ----------
    now, before
        A look now, and one before the incident.
    since_ns
        When the incident was over.
    hit
        Role -> pid of who was killed, 0 of who was stopped: it, or its successor, must have shown
        since that it lives.

    Returns
    -------
    list of str
        Roles, in the order of the path.
    """
    late = {
        role
        for role, pid in hit.items()
        if role != SUPERVISOR and (now.heartbeats_ns[role] <= since_ns or now.pids[role] == pid)
    }
    if now.write_seq <= before.write_seq:
        late.add("ingest")
    if now.folded_seq < now.write_seq - LAG_SLOTS:
        late.add("shard")
    if now.done_bus_frames < now.bus_frames - LAG_FRAMES or not now.subscriptions:
        late.add("gateway")
    if now.recorder_lag_slots:
        late.add("recorder")
    return [role for role in ROLES if role in late]


def victims(incident: str, processes: Mapping[str, int]) -> dict[str, int]:
    """Return who is killed by an incident: role -> pid.

    Parameters
    ----------
    incident
        A role, ``supervisor``, or ``all``.
    processes
        Role -> pid of everybody, the supervisor among them.
    """
    if incident == "all":
        return dict(processes)
    return {incident: processes[incident]}


def expected_dead(incident: str, processes: Mapping[str, int]) -> dict[str, int]:
    """Return who lives no longer after an incident: a supervisor takes its children along."""
    return victims("all" if incident == SUPERVISOR else incident, processes)


def kill(pids: Mapping[str, int]) -> None:
    """Kill at once, without a word. Who has died by itself meanwhile is dead as well."""
    for pid in pids.values():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

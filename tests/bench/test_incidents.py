"""Who is waited for after an incident, seen from outside."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.incidents import (
    LAG_FRAMES,
    LAG_SLOTS,
    ROLES,
    Look,
    children,
    expected_dead,
    kill,
    look,
    victims,
    waiting_for,
)
from engine.ring.layout import format_ring, ring_bytes
from engine.rundir import RunDir
from engine.schema.counters import COUNTER_LAYOUTS

SINCE_NS = 1_000
BEFORE = Look(write_seq=100, folded_seq=100, bus_frames=5, done_bus_frames=5, subscriptions=2)
AFTER = replace(
    BEFORE,
    write_seq=150,
    folded_seq=150,
    pids={role: 20 + i for i, role in enumerate(ROLES)},
    heartbeats_ns=dict.fromkeys(ROLES, SINCE_NS + 1),
)
PIDS = {"supervisor": 1, **{role: 10 + i for i, role in enumerate(ROLES)}}


def test_who_has_caught_up_is_not_waited_for() -> None:
    assert waiting_for(AFTER, BEFORE, SINCE_NS, PIDS) == []


@pytest.mark.parametrize(
    ("change", "late"),
    [
        ({"write_seq": 100, "folded_seq": 100}, "ingest"),  # the tape has not moved on
        ({"folded_seq": 149 - LAG_SLOTS}, "shard"),
        ({"done_bus_frames": 4 - LAG_FRAMES}, "gateway"),
        ({"subscriptions": 0}, "gateway"),
        ({"recorder_lag_slots": 1}, "recorder"),
    ],
)
def test_who_has_not_is(change: Any, late: str) -> None:
    assert waiting_for(replace(AFTER, **change), BEFORE, SINCE_NS, {}) == [late]


def test_a_sign_of_life_is_asked_of_who_was_hit_only() -> None:
    silent = replace(AFTER, heartbeats_ns=dict.fromkeys(ROLES, SINCE_NS))
    assert waiting_for(silent, BEFORE, SINCE_NS, {}) == []
    assert waiting_for(silent, BEFORE, SINCE_NS, {"board": 0}) == ["board"]
    assert waiting_for(silent, BEFORE, SINCE_NS, PIDS) == list(ROLES)


def test_who_was_killed_and_is_still_dying_does_not_count_as_its_successor() -> None:
    dying = replace(AFTER, pids={**AFTER.pids, "shard": PIDS["shard"]})
    assert waiting_for(dying, BEFORE, SINCE_NS, PIDS) == ["shard"]
    assert waiting_for(dying, BEFORE, SINCE_NS, {"shard": 0}) == []  # stopped: it is the same one


def test_victims_and_who_dies_with_them() -> None:
    assert victims("shard", PIDS) == {"shard": PIDS["shard"]}
    assert victims("supervisor", PIDS) == {"supervisor": 1}
    assert victims("all", PIDS) == expected_dead("all", PIDS) == PIDS
    assert expected_dead("supervisor", PIDS) == PIDS
    assert expected_dead("board", PIDS) == {"board": PIDS["board"]}


def test_a_look_reads_ring_and_counters_as_files(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert look(run) is None
    memory = np.zeros(ring_bytes(4_096), np.uint8)
    format_ring(memory, 4_096, created_ns=1, first_seq=77)
    memory.tofile(run.ring_file(0))
    for role in ROLES:
        cell = np.zeros(1, COUNTER_LAYOUTS[role])
        cell["heartbeat_ns"], cell["pid"] = 5, 6
        if role == "shard":
            cell["folded_seq"], cell["bus_frames"] = 70, 9
        if role == "gateway":
            cell["done_bus_frame"][0, 0], cell["subscriptions"] = 8, 3
        if role == "recorder":
            cell["lag_slots"] = 4
        assert look(run) is None  # not whole yet
        cell.tofile(run.counters_file(role, 0))
    pids, beats = dict.fromkeys(ROLES, 6), dict.fromkeys(ROLES, 5)
    assert look(run) == Look(77, 70, 9, 8, 3, 4, pids, beats)


def test_children_are_known_by_their_module_and_killed_at_once(tmp_path: Path) -> None:
    (tmp_path / "gateway.py").write_text("import sys; sys.stdin.read()", encoding="ascii")
    argv = [sys.executable, "-m", "gateway"]
    child = subprocess.Popen(argv, cwd=tmp_path, stdin=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert children(os.getpid())["gateway"] == child.pid
        assert other.pid not in children(os.getpid()).values()
        kill({"gateway": child.pid})
        assert child.wait() == -signal.SIGKILL
        kill({"gateway": child.pid})  # who is dead already is no error
        assert children(child.pid) == {}
    finally:
        for each in (child, other):
            each.kill()
            each.communicate()

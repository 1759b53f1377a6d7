"""A writer process against a reader process. Outcomes, after jcstress:

forbidden    torn slot; slot out of sequence; batch that ends within a group; a skip that is
             not in `lapped_slots`, or is there twice; a slot published over a sleeping reader
acceptable   slots skipped and counted (the reader was lapped)
expected     everything received (the writer paced itself, or the reader kept up)
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import segment
from engine.ring import doorbell
from engine.ring.layout import format_ring, ring_bytes

WATCHDOG_S = 240
CLEAN = {"torn": 0, "astray": 0, "partial": 0, "miscounted": 0}

pytestmark = [
    pytest.mark.race,
    pytest.mark.skipif(
        os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"),
        reason="the interpreter orders memory by itself: there is no race to lose",
    ),
]


def contest(
    folder: Path, writer: str, reader: str, slot_count: int, capacity: int, seed: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Run two roles of tests.ring.race on a fresh ring; return what each reports."""
    path = folder / "ring"
    format_ring(segment.create(path, ring_bytes(capacity)).memory, capacity, 0)
    bell = doorbell.new_doorbell()

    def start(role: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "tests.ring.race",
            role,
            str(path),
            str(slot_count),
            str(seed),
            str(bell),
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=(bell,))

    try:
        with start(reader) as reading:
            try:
                assert reading.stdout is not None
                assert reading.stdout.readline() == "ready\n"
                with start(writer) as writing:
                    try:
                        wrote, _ = writing.communicate(timeout=WATCHDOG_S)
                        read, _ = reading.communicate(timeout=WATCHDOG_S)
                    finally:
                        writing.kill()
            finally:
                reading.kill()
    finally:
        os.close(bell)
    assert (writing.returncode, reading.returncode) == (0, 0)
    wrote_report, read_report = json.loads(wrote), json.loads(read)
    assert wrote_report["published"] == slot_count
    assert read_report["received"] + read_report["lapped"] == slot_count
    return wrote_report, read_report


def test_full_speed_two_million_slots(tmp_path: Path, seed: int) -> None:
    _, read = contest(tmp_path, "write", "read", 2_000_000, 4096, seed)
    assert {key: read[key] for key in CLEAN} == CLEAN


def test_a_slow_reader_is_lapped_and_never_torn(tmp_path: Path, seed: int) -> None:
    _, read = contest(tmp_path, "write", "read-slow", 2_000_000, 4096, seed)
    assert {key: read[key] for key in CLEAN} == CLEAN
    assert read["lapped"] > 0


def test_a_pacing_writer_loses_nothing(tmp_path: Path, seed: int) -> None:
    _, read = contest(tmp_path, "write-paced", "read", 2_000_000, 4096, seed)
    assert read == {**CLEAN, "received": 2_000_000, "lapped": 0}


def test_no_wake_up_is_lost(tmp_path: Path, seed: int) -> None:
    _, read = contest(tmp_path, "ring-when-taken", "sleep-between", 20_000, 4096, seed)
    assert read == {"received": 20_000, "lapped": 0, "overslept": 0}

"""How long the past takes: five million slots folded again, and a shard that comes back to them.

    replay    `vntape replay DIR --digest` of the day's journal: read, proved, folded, one process
    blank     a shard killed with -9 that finds no saved state: it folds the whole day again
    saved     a shard killed with -9 that does
    machine   everything killed and the shared memory gone, as after a reboot: survey, rings and
              symbols made anew, the whole day folded

Times of a shard run from the kill until it has folded all that had been published: its process,
imports and kernels included. Every end must have the digest of the replay.

    python -m bench.bench_resume [--small] [--json PATH]
"""

import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.cli import main
from bench.steady_frames import render
from bench.steady_instance import Instance, stay_in_one_day, wait_for
from engine.journal.days import day_folder, list_days
from engine.wiring import warm
from engine.wiring.replay_journal import about_of, replay_shard

SLOTS: Final = {"small": 200_000, "full": 5_000_000}
KILLS: Final = {"small": 1, "full": 5}
TRADES: Final = {"small": 20_000, "full": 100_000}
RATE: Final = 200_000
LIMITS_S: Final = {"replay": 10.0, "saved": 3.0}
NEEDED_S: Final = 900


def _fill(instance: Instance, slots: int) -> int:
    """Play until the journal has so many slots; return how many it has at rest."""
    instance.rate.set(RATE)

    def enough() -> bool:
        now = instance.look()
        return now is not None and now.write_seq >= slots

    wait_for("a long day", enough, instance.trouble)
    return instance.settle().write_seq


def _back(instance: Instance, seq: int, since: float) -> float:
    """Wait until the shard stands at `seq` once more; return the seconds since `since`."""

    def there() -> bool:
        now = instance.look()
        return now is not None and now.folded_seq == seq and "shard" in instance.processes()

    wait_for("the shard to come back", there, instance.trouble)
    return time.monotonic() - since


def _killed(instance: Instance, seq: int, before: Callable[[], None]) -> float:
    """Kill the shard; return the seconds until another one stands where it did."""
    cell = instance.run_dir.open_counters("shard", 0, writable=True)[0]
    pid = instance.processes()["shard"]
    os.kill(pid, signal.SIGKILL)
    since = time.monotonic()
    before()
    cell["folded_seq"] = 0  # what the dead one said of itself
    return _back(instance, seq, since)


def _machine(instance: Instance, seq: int) -> float:
    """Kill everybody, take the shared memory away, start anew."""
    for pid in instance.processes().values():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(instance.run_dir.path)
    since = time.monotonic()
    instance.start()
    return _back(instance, seq, since)


def run(size: str) -> dict[str, Any]:
    """Run the bench; raises when a digest differs.

    Returns
    -------
    dict
        Seconds of each way back, median and worst, and what they went back to.
    """
    warm.main("v2")
    stay_in_one_day(NEEDED_S)
    folder = Path(tempfile.mkdtemp(prefix="vntape-resume-"))
    shared = Path(tempfile.mkdtemp(prefix="vx-", dir="/dev/shm"))
    frames = folder / "frames"
    frames.mkdir()
    render(frames, TRADES[size])
    # A shard that dies again and again is started later and later: not what is measured here.
    at_once = ("supervisor.restart_cap_ms=50", "supervisor.crash_loop_max=100")
    instance = Instance(folder, shared, frames, *at_once)
    try:
        return _measure(instance, size)
    finally:
        instance.remove()


def _measure(instance: Instance, size: str) -> dict[str, Any]:
    instance.start()
    instance.wait_ready()
    seq = _fill(instance, SLOTS[size])
    digest = instance.digest(seq)
    state = instance.run_dir.state_file(0)
    assert size == "small" or state.exists(), "no state was saved in five million slots"
    saved = []
    for _ in range(KILLS[size] if state.exists() else 0):
        saved.append(_killed(instance, seq, lambda: None))
        assert instance.digest(seq) == digest, "the saved state went on to another digest"
        instance.settle()
    blank = []
    for _ in range(KILLS[size]):
        blank.append(_killed(instance, seq, lambda: state.unlink(missing_ok=True)))
        assert instance.digest(seq) == digest, "a whole day folded again has another digest"
        instance.settle()
    machine = [_machine(instance, seq)]
    journal = instance.data_dir / "journal"
    (day,) = list_days(journal)
    folder = day_folder(journal, day)
    began = time.perf_counter()
    again = replay_shard(folder, 0, about_of(folder))
    replayed_s = time.perf_counter() - began
    assert str(again.fold.digest()) == digest, "a replay ends on another digest"
    instance.stop()
    return {
        "slots": seq,
        "journal_bytes": sum(path.stat().st_size for path in folder.glob("*.vnj")),
        "limits_s": LIMITS_S,
        "replay_s": replayed_s,
        "replay_slots_per_s": seq / replayed_s,
        **{
            name: {"median_s": statistics.median(some), "worst_s": max(some), "kills": len(some)}
            for name, some in (("blank", blank), ("saved", saved), ("machine", machine))
            if some
        },
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

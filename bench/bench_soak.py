"""Half an hour at a busy day's rate: does any process grow, and what does a million messages cost.

A whole instance plays a steady tape of 50,000 messages/s while a client follows every topic; nobody
is killed. Memory of every process is read every 10 s; how fast it grows is fitted to the samples
after the warm-up. `anonymous` is what a leak grows, `rss` counts what is mapped as well.
The client is the bench's own and not judged.

    python -m bench.bench_soak [--small] [--json PATH]
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.cli import main
from bench.memory import MB, Growth, measure
from bench.steady_frames import render
from bench.steady_instance import CheckingClient, Instance, stay_in_one_day, wait_for
from engine.schema.counters import COUNTER_LAYOUTS
from engine.wiring import warm

RATE: Final = 50_000  # messages a second
SOAK_S: Final = {"small": 60, "full": 1_800}
WARM_S: Final = {"small": 20, "full": 300}
SAMPLE_S: Final = {"small": 2, "full": 10}
TRADES: Final = {"small": 20_000, "full": 100_000}
SLOPE_MAX_MB_PER_H: Final = 5.0
OWN: Final = frozenset({"client"})  # it keeps the last row of every topic: the bench's own
JOURNAL_BYTES_PER_MESSAGE: Final = 210  # to refuse a disk that is too small; 200 a slot


def folder_bytes(folder: Path) -> int:
    """Return what the files below a folder hold."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _check_room(folder: Path, seconds: int) -> None:
    """Refuse before half an hour is spent."""
    free, needed = shutil.disk_usage(folder).free, seconds * RATE * JOURNAL_BYTES_PER_MESSAGE
    if free < 1.2 * needed:
        raise RuntimeError(
            f"{folder} has {free / 1e9:.0f} GB free, the soak writes {needed / 1e9:.0f} GB"
        )


def _counters(instance: Instance, role: str) -> np.void:
    """Return a copy of one process's counters."""
    found: np.void = np.fromfile(instance.run_dir.counters_file(role, 0), COUNTER_LAYOUTS[role], 1)[
        0
    ]
    return found


def soak(instance: Instance, size: str) -> dict[str, Any]:
    """Play, watch, and say what there was to see."""
    instance.start()
    instance.wait_ready()
    client = CheckingClient(instance.url)
    growth = Growth()
    try:
        wait_for("the client", lambda: client.ask()["subscribed_ns"], instance.trouble)
        pids = {**instance.processes(), "client": client.pid}
        instance.rate.set(RATE)
        began_s = time.monotonic()
        lag_slots = 0
        while (elapsed_s := time.monotonic() - began_s) < SOAK_S[size]:
            growth.add(elapsed_s, measure(pids))
            lag_slots = max(lag_slots, int(_counters(instance, "shard")["lag_slots"]))
            time.sleep(SAMPLE_S[size])
        played_s = time.monotonic() - began_s
        instance.settle()
        now = {**instance.processes(), "client": client.pid}
        assert now == pids, f"somebody died: {pids} are now {now}\n{instance.trouble()}"
        told = client.ask()
        assert not told["fault_count"], told["faults"]
        ingest, recorder = _counters(instance, "ingest"), _counters(instance, "recorder")
        messages = int(ingest["messages"])
        facts = {
            "seconds": round(played_s),
            "messages": messages,
            "messages_per_s": round(messages / played_s),
            "slots": int(ingest["journal_slots"]),
            "journal_worst_ms": round(int(ingest["journal_worst_ns"]) / 1e6, 2),
            "worst_lag_slots_seen": lag_slots,
            "history_rows": int(recorder["rows"]),
            "client_rows": told["rows"],
            "client_connects": told["connects"],
            "client_lost_rows": told["lost_rows"],
        }
        assert ingest["journal_lost_slots"] == 0, (
            f"{ingest['journal_lost_slots']} slots not written"
        )
    finally:
        client.close()
        instance.stop()  # the recorder commits what it has
    millions = messages / 1e6
    sizes = {name: folder_bytes(instance.data_dir / name) for name in ("journal", "history")}
    for name, size_bytes in sizes.items():
        facts[f"{name}_mb_per_million_messages"] = round(size_bytes / MB / millions, 2)
    memory = growth.figures(WARM_S[size])
    return {
        **facts,
        "memory": memory,
        "steady": {
            role: figures["anonymous"]["slope_mb_per_h"] < SLOPE_MAX_MB_PER_H
            for role, figures in memory.items()
            if role not in OWN
        },
    }


def run(size: str) -> dict[str, Any]:
    """Run the bench; raises when anybody dies, or a row is lost or wrong.

    Returns
    -------
    dict
        Per process: memory at the end and its slope with the error of the fit, MB and MB/h; disk
        cost per million messages; whether each process stays below SLOPE_MAX_MB_PER_H.
    """
    warm.main("v2")  # kernels are compiled, or loaded, before anything is measured
    with tempfile.TemporaryDirectory(prefix="vntape-bench-") as place:
        frames = Path(place) / "frames"
        frames.mkdir()
        _check_room(frames, SOAK_S[size])
        print("rendering frames ...", file=sys.stderr, flush=True)
        render(frames, TRADES[size])
        stay_in_one_day(SOAK_S[size] + 120)
        folder = Path(tempfile.mkdtemp(prefix="vntape-soak-"))
        instance = Instance(folder, Path(tempfile.mkdtemp(prefix="vs-", dir="/dev/shm")), frames)
        try:
            return soak(instance, size)
        finally:
            instance.remove()


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

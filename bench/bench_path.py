"""The whole path: how many messages a second reach a client that checks every one of them.

    frames in memory -> decode -> ring -> shard -> ZeroMQ -> gateway -> WebSocket -> client

Everything between the frames and the client is production code in its production processes; only
the socket to SSI is left out. Nothing may be lost: the client fails the bench unless every trade
arrived once and in order, and every symbol's statistics end on the planned volume. The figure is
messages divided by the time from the first frame decoded to the last update received.

Journal and recorder run beside it as in production, writing to a real disk. With ten messages a
frame the bench also runs without the recorder, and without both: what they cost.

    python -m bench.bench_path [--small] [--json PATH]
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.cli import main
from bench.frame_source import START_FILE
from engine import config as configuration
from engine.config import Config
from engine.wiring.supervisor import Supervisor

FLOOR_MESSAGES_PER_S = 500_000
RUNS = {"small": 1, "full": 5}
READY_LIMIT_S = 120
WRITERS = ("rest.port=0",)
JOURNAL = ("history.record=off",)
NOTHING = ("history.record=off", "journal.write=off")
SHAPES = {  # name -> messages a frame, settings
    "1_per_frame": (1, WRITERS),
    "10_per_frame": (10, WRITERS),
    "10_per_frame_no_history": (10, JOURNAL),
    "10_per_frame_no_journal": (10, NOTHING),
}
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
SHAPES_OF = {"small": ["1_per_frame", "10_per_frame"], "full": list(SHAPES)}


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def settings(folder: Path, data_dir: Path, name: str, more: Sequence[str]) -> Config:
    """Return the configuration of a bench run: paced, on a free port, silent."""
    return configuration.load(
        environ={},
        overrides=[
            f"run.name={name}",
            f"run.dir={folder}",
            f"run.data_dir={data_dir}",
            "gateway.port=0",
            "engine.pace=lossless",
            "supervisor.status_ms=0",
            *more,
        ],
    )


async def one_run(size: str, messages_per_frame: int, more: Sequence[str]) -> dict[str, Any]:
    """Start the engine, play the workload once, return what it took."""
    os.environ["BENCH_SIZE"] = size
    os.environ["BENCH_MESSAGES_PER_FRAME"] = str(messages_per_frame)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vb-") as folder,
        tempfile.TemporaryDirectory(prefix="vb-data-") as data_dir,
    ):
        supervisor = Supervisor(
            settings(Path(folder), Path(data_dir), "path", more),
            say=lambda _text: None,
            ingest_module="bench.frame_source",
        )
        task = asyncio.create_task(supervisor.run())
        try:
            return await _measure(supervisor, task, size)
        finally:
            supervisor.request_stop()
            await task


async def _measure(supervisor: Supervisor, task: "asyncio.Task[None]", size: str) -> dict[str, Any]:
    run_dir = supervisor.run_dir
    deadline = time.monotonic() + READY_LIMIT_S
    while not (run_dir.manifest_file.exists() and run_dir.open_counters("gateway", 0)[0]["port"]):
        if task.done() or time.monotonic() > deadline:
            raise RuntimeError("the engine did not come up; its log says why")
        await asyncio.sleep(0.05)
    port = int(run_dir.open_counters("gateway", 0)[0]["port"])
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.path_client",
        f"ws://127.0.0.1:{port}/ws",
        size,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await client.communicate()
    if client.returncode:
        raise RuntimeError(f"the client ended with code {client.returncode}; its reason is above")
    received = orjson.loads(out)
    start_ns, played_ns, messages, frame_bytes, rejected = map(
        int, (run_dir.path / START_FILE).read_text(encoding="ascii").split()
    )
    assert rejected == 0, f"{rejected} messages of the workload were rejected"
    shard = run_dir.open_counters("shard", 0)[0]
    assert shard["lapped_slots"] == 0, f"{shard['lapped_slots']} slots were lapped"
    ingest = run_dir.open_counters("ingest", 0)[0]
    seconds = (received["end_ns"] - start_ns) / 1e9
    return {
        "messages": messages,
        "seconds": seconds,
        "messages_per_s": messages / seconds,
        "frame_bytes_per_s": frame_bytes / seconds,
        "journal_s": int(ingest["journal_ns"]) / 1e9,
        "journal_bytes": int(ingest["journal_bytes"]),
        "decode_to_ring_s": (played_ns - start_ns) / 1e9,
        "client_frames": received["frames"],
        "client_bytes": received["bytes"],
        "trades": received["trades"],
        "bus_bytes": int(shard["bus_bytes"]),
        "shard_kernel_s": int(shard["kernel_ns"]) / 1e9,
        "shard_publish_s": int(shard["publish_ns"]) / 1e9,
        "cpu_s": {child.spec.name: cpu_s(child.pid) for child in supervisor.children},
    }


def run(size: str) -> dict[str, Any]:
    """Run the bench; raises when anything was lost or wrong.

    Returns
    -------
    dict
        Per shape (one message a frame; ten a frame, what a busy SignalR server sends; and these
        without writers): median messages/s with its spread, and the runs behind it.
    """
    result: dict[str, Any] = {"floor_messages_per_s": FLOOR_MESSAGES_PER_S}
    shapes = {name: SHAPES[name] for name in SHAPES_OF[size]}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in shapes}
    for _ in range(RUNS[size]):  # taken in turn, so that a noisy minute is everybody's
        for name, (messages_per_frame, more) in shapes.items():
            runs[name].append(uvloop.run(one_run(size, messages_per_frame, more)))
    for name, some in runs.items():
        rates = [each["messages_per_s"] for each in some]
        result[name] = {
            "messages_per_s_median": statistics.median(rates),
            "messages_per_s_min": min(rates),
            "messages_per_s_max": max(rates),
            "runs": some,
        }
    return result


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

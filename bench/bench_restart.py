"""kill -9 of each process in turn: how long until it does its work again.

A running demo (simulator, engine, gateway), one process killed at a time:

    shard      until another process has folded the ring to its end and says so
    gateway    until another process accepts a client and answers its first message
    ingest     until another process is subscribed to the feed again
    simulator  until ingest is subscribed to its successor

The other processes must still be the same ones afterwards, or the bench fails.

    python -m bench.bench_restart [--small] [--json PATH]
"""

import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
from numpy.typing import NDArray

from bench import incidents
from bench.cli import main
from engine import config as configuration
from engine.rundir import RunDir
from engine.schema.codes import FeedState

if TYPE_CHECKING:
    import numpy as np

KILLS = {"small": 1, "full": 5}
POLL_S = 0.002
WATCHDOG_S = 60.0
SETTLE_S = 1.0  # between kills, so that each finds a healthy engine
ROLE_OF = {
    "engine.wiring.shard": "shard",
    "gateway": "gateway",
    "engine.wiring.ingest": "ingest",
    "tools.simulator": "simulator",
}
ROLES = tuple(ROLE_OF.values())


def children(pid: int) -> dict[str, int]:
    """Return role -> pid of a demo's children."""
    return incidents.children(pid, ROLE_OF)


def wait_until(what: str, true: Callable[[], bool]) -> None:
    """Wait for a condition; a hang is an error, not a figure."""
    deadline = time.monotonic() + WATCHDOG_S
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {WATCHDOG_S:.0f} s for {what}")
        time.sleep(POLL_S)


async def _greets(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=("vntape.v1.json",)) as socket,
        ):
            await socket.receive_json(timeout=1.0)
            return True
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


class Engine:
    """A demo in a run directory of its own."""

    def __init__(self, folder: str) -> None:
        argv = ["-m", "tools.demo", "--speed", "20", "--trades-max", "50000", "--start", "13:30"]
        argv += ["--set", f"run.dir={folder}", "--set", f"run.data_dir={folder}/data"]
        argv += ["--set", "gateway.port=0", "--set", "rest.port=0"]
        self.process = subprocess.Popen(
            [sys.executable, *argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        found = None
        while not found:
            line = self.process.stdout.readline()
            assert line, "the demo ended before it was ready"
            found = re.search(r"clients connect to (ws://\S+)", line)
        self.url = found[1]
        config = configuration.load(environ={}, overrides=[f"run.dir={folder}", "run.name=demo"])
        run_dir = RunDir.of(config)
        self.cells: dict[str, NDArray[np.void]] = {
            role: run_dir.open_counters(role, 0) for role in ("ingest", "shard", "gateway")
        }
        wait_until("the feed", self._is_live)

    def _is_live(self) -> bool:
        return int(self.cells["ingest"][0]["feed_state"]) == FeedState.LIVE

    def kill(self, role: str) -> float:
        """Kill one process; return the seconds until its successor works."""
        before = children(self.process.pid)
        connects = int(self.cells["ingest"][0]["connects"])
        start_ns = time.monotonic_ns()
        os.kill(before[role], signal.SIGKILL)
        if role == "gateway":
            wait_until("the gateway", lambda: asyncio.run(_greets(self.url)))
        elif role == "shard":
            cell = self.cells["shard"]
            wait_until(
                "the shard",
                lambda: (
                    int(cell[0]["pid"]) != before["shard"]
                    and int(cell[0]["heartbeat_ns"]) > int(cell[0]["started_ns"])
                    and int(cell[0]["lag_slots"]) == 0
                ),
            )
        else:
            wait_until(
                "the feed",
                lambda: int(self.cells["ingest"][0]["connects"]) > connects and self._is_live(),
            )
        seconds = (time.monotonic_ns() - start_ns) / 1e9
        after = children(self.process.pid)
        moved = [other for other in ROLES if other != role and after[other] != before[other]]
        assert not moved, f"killing {role} also stopped {', '.join(moved)}"
        return seconds

    def stop(self) -> None:
        """Stop it as Ctrl-C would."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=WATCHDOG_S)


def run(size: str) -> dict[str, Any]:
    """Run the bench.

    Returns
    -------
    dict
        Role -> seconds from kill to work: median, worst, all.
    """
    seconds: dict[str, list[float]] = {role: [] for role in ROLES}
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vb-") as folder:
        engine = Engine(folder)
        try:
            for _ in range(KILLS[size]):
                for role in ROLES:
                    time.sleep(SETTLE_S)
                    seconds[role].append(engine.kill(role))
        finally:
            engine.stop()
    return {
        role: {"median_s": statistics.median(each), "worst_s": max(each), "all_s": each}
        for role, each in seconds.items()
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

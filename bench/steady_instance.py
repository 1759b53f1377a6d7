"""A running instance with a client that checks it, for the benches that last."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from bench.incidents import ROLES, SUPERVISOR, Look, children, look
from bench.pace import RateFile
from engine import config as configuration
from engine.clock import SystemClock
from engine.journal.days import day_start_ns, journal_day
from engine.rundir import RunDir

POLL_S: Final = 0.002
WATCHDOG_S: Final = 180.0
DIGEST_AGAIN_S: Final = 1.2  # a log writes the same event once a second at most
CLIENT_BUDGET_BYTES: Final = 256 << 20  # to check what a shard tells, not who reads slowly
TAIL_LINES: Final = 30

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], trouble: Callable[[], str]) -> T:
    """Return the first truthy answer; a hang is an error that says all that is known."""
    deadline = time.monotonic() + WATCHDOG_S
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {WATCHDOG_S:.0f} s for {what}\n{trouble()}")
        time.sleep(POLL_S)
    return answer


def day_left_s(now_ns: int) -> int:
    """Return how long the journal's trading day still lasts."""
    return (day_start_ns(journal_day(now_ns) + 1) - now_ns) // 1_000_000_000


def stay_in_one_day(needed_s: int) -> None:
    """Wait for the next trading day if this one would end in the middle of what comes."""
    left_s = day_left_s(SystemClock().now_ns())
    if left_s < needed_s:
        print(f"waiting {left_s} s for the next trading day", file=sys.stderr, flush=True)
        time.sleep(left_s + 1)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Instance:
    """The engine in processes of its own, below one folder.

    Parameters
    ----------
    folder
        Of this instance, on a disk: log, journal, history.
    shared
        Of this instance, in memory: the run directory.
    frames
        What `steady_frames.render` wrote.
    """

    def __init__(self, folder: Path, shared: Path, frames: Path, *overrides: str) -> None:
        self.folder = folder
        self.shared = shared
        self.log_file = folder / "log"
        self.rate = RateFile(folder / "rate")
        self.port = free_port()
        self._overrides = [
            "run.name=steady",
            f"run.dir={shared}",
            f"run.data_dir={folder / 'data'}",
            f"gateway.port={self.port}",
            f"gateway.client_budget_bytes={CLIENT_BUDGET_BYTES}",
            "rest.port=0",
            "supervisor.status_ms=0",
            *overrides,
        ]
        self.config = configuration.load(environ={}, overrides=self._overrides)
        self.run_dir = RunDir.of(self.config)
        self.data_dir = self.run_dir.data_dir(self.config)
        self._argv = ["-m", "bench.steady_engine", "--frames", str(frames)]
        self._argv += ["--rate", str(folder / "rate")]
        self._argv += [word for each in self._overrides for word in ("--set", each)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def start(self) -> None:
        """Start a supervisor; what an earlier one left is its to find."""
        if self._process is not None:
            self._process.wait()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, *self._argv], stdout=log, stderr=log)

    def processes(self) -> dict[str, int]:
        """Return role -> pid of everybody, the supervisor included."""
        assert self._process is not None
        return {SUPERVISOR: self._process.pid, **children(self._process.pid)}

    def look(self) -> Look | None:
        """Look at it from outside; None while it is not whole, an error when it has ended."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None and code != -signal.SIGKILL:
            raise RuntimeError(f"the instance ended with code {code}\n{self.trouble()}")
        return look(self.run_dir)

    def wait_ready(self) -> None:
        """Wait until everybody lives and is one of the supervisor's children."""

        def ready() -> bool:
            now = self.look()
            return (
                now is not None
                and all(now.heartbeats_ns.values())
                and (self.processes().keys() >= set(ROLES))
            )

        wait_for("everybody to be ready", ready, self.trouble)

    def settle(self) -> Look:
        """Hold the tape and wait until everybody has done everything; return how it stands."""
        self.rate.set(0)
        last: list[Look | None] = [None]

        def still() -> Look | None:
            time.sleep(0.1)
            before, last[0] = last[0], self.look()
            now = last[0]
            if before is None or now is None or now.write_seq != before.write_seq:
                return None
            done = (
                now.folded_seq == now.write_seq
                and now.done_bus_frames >= now.bus_frames
                and now.recorder_lag_slots == 0
            )
            return now if done else None

        return wait_for("the tape to come to rest", still, self.trouble)

    def digest(self, seq: int) -> str:
        """Ask the shard for its digest, which it must give at slot `seq`."""
        start = self.log_file.stat().st_size
        asked_s = 0.0

        def said() -> str | None:
            nonlocal asked_s
            if time.monotonic() - asked_s > DIGEST_AGAIN_S:
                asked_s = time.monotonic()
                os.kill(self.processes()["shard"], signal.SIGUSR1)
            with self.log_file.open("rb") as log:
                log.seek(start)
                for line in log.read().splitlines():
                    if b'"event": "digest"' in line:
                        facts = json.loads(line)
                        assert facts["seq"] == seq, f"asked at slot {seq}, told {facts}"
                        return str(facts["digest"])
            return None

        return wait_for("the shard's digest", said, self.trouble)

    def trouble(self) -> str:
        """Return the end of the log."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [str(look(self.run_dir)), f"log {self.log_file}, last lines:"]
        return "\n".join([*told, *lines[-TAIL_LINES:]])

    def stop(self) -> None:
        """Stop it in order; it must leave no run directory behind."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(WATCHDOG_S)
        assert code == 0, f"stopped with code {code}\n{self.trouble()}"
        assert not self.run_dir.path.exists(), f"left behind: {self.run_dir.path}"

    def remove(self) -> None:
        """Kill whoever lives and remove all files."""
        if self._process is not None and self._process.poll() is None:
            pids = self.processes()
            for pid in pids.values():
                os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self.rate.close()
        shutil.rmtree(self.shared, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class CheckingClient:
    """`bench.verifying_client` in a process of its own."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.verifying_client", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid

    def ask(self, command: str = "status") -> dict[str, Any]:
        """Give a command and return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()
        answer: dict[str, Any] = orjson.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

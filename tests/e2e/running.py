"""Start the whole thing as an operator would, and talk to it as a client would."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bench.bench_restart import children

ROOT = Path(__file__).resolve().parents[2]
SHM = Path("/dev/shm")
WATCHDOG_S = 120.0  # a hang becomes a failure; no test measures by it
POLL_S = 0.02

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T | None], watchdog_s: float = WATCHDOG_S) -> T:
    """Return the first truthy answer of a probe, or fail saying what never came."""
    deadline = time.monotonic() + watchdog_s
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {watchdog_s:.0f} s for {what}")
        time.sleep(POLL_S)
    return answer


class Process:
    """A command of ours, its output collected line by line."""

    def __init__(self, argv: list[str], environ: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.popen = subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        self.lines.extend(iter(self._line, None))

    def _line(self) -> str | None:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        return line.rstrip("\n") if line else None

    @property
    def text(self) -> str:
        """Everything said so far."""
        return "\n".join(self.lines)

    def line(self, pattern: str) -> re.Match[str]:
        """Return the first line that matches, now or later; fail if the process ends first."""

        def probe() -> re.Match[str] | None:
            ended = self.popen.poll() is not None
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            assert not ended, f"ended with {self.popen.returncode} before {pattern!r}:\n{self.text}"
            return None

        return wait_for(f"a line like {pattern!r}", probe)

    def wait(self) -> int:
        """Return the exit code, all output read."""
        code = self.popen.wait(WATCHDOG_S)
        self._reader.join(WATCHDOG_S)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop and return its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.wait()


class Engine(Process):
    """A running instance: anything that ends up in a supervisor."""

    def __init__(
        self, argv: list[str], run_dir: Path, environ: dict[str, str] | None = None
    ) -> None:
        self.run_dir = run_dir
        super().__init__(argv, environ)

    @property
    def url(self) -> str:
        """Where clients connect, once they can."""
        return self.line(r"clients connect to (ws://\S+)")[1]

    def children(self) -> dict[str, int]:
        """Return role -> pid of the supervisor's children."""
        return children(self.popen.pid)

    def status(self, pattern: str) -> re.Match[str]:
        """Return the first status line from now on that matches."""
        start = len(self.lines)

        def probe() -> re.Match[str] | None:
            assert self.popen.poll() is None, self.text
            return next(
                (found for line in self.lines[start:] if (found := re.search(pattern, line))), None
            )

        return wait_for(f"a status like {pattern!r}", probe)


class Tape(Engine):
    """A running demo: simulator, engine and gateway, in a run directory of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(
            [
                "-m",
                "tools.demo",
                "--set",
                f"run.dir={folder}",
                "--set",
                f"run.data_dir={folder}/data",
                "--set",
                "gateway.port=0",
                "--set",
                "rest.port=0",
                "--set",
                "history.record=off",  # two processes that few tests look at
                *arguments,
            ],
            folder / "vntape-demo",
        )


@contextmanager
def tape(*arguments: str) -> Iterator[Tape]:
    """Run a demo and make sure that nothing of it is left afterwards."""
    with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as folder:
        running = Tape(Path(folder), *arguments)
        try:
            yield running
        finally:
            pids = running.children() if running.popen.poll() is None else {}
            running.stop()
            for role, pid in pids.items():
                assert not Path(f"/proc/{pid}").exists(), f"{role} ({pid}) is still there"
            assert not running.run_dir.exists(), f"left behind: {list(running.run_dir.iterdir())}"


def verify_day(url: str, *arguments: str, wait_s: int = 100) -> tuple[int, str]:
    """Run ``vntape verify-day`` against a gateway; return its exit code and what it said."""
    process = Process(
        ["-m", "engine", "verify-day", "--url", url, "--wait-s", str(wait_s), *arguments]
    )
    return process.wait(), process.text


async def receive(socket: Any, op: str) -> dict[str, Any]:
    """Return the next frame with this op."""
    async with asyncio.timeout(WATCHDOG_S):
        async for text in socket:
            frame: dict[str, Any] = json.loads(text)
            if frame["op"] == op:
                return frame
    raise AssertionError(f"the gateway closed before {op}")

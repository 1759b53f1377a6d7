"""``tools/vntape-supervisor`` as an operator uses it, in a project folder of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import ROOT, SHM, Process, wait_for

CONSUMER = {"VNTAPE_CONSUMER_ID": "0" * 32, "VNTAPE_CONSUMER_SECRET": "1" * 32}
TABLE = """\
symbol,exchange,prior_close_vnd,open_vnd,high_vnd,low_vnd,close_vnd,volume_shares,name
AAA,HOSE,20000,20100,20500,19900,20300,125000,round lots
BBB,HNX,9900,10000,10300,9800,9900,33333,odd volume
"""
WATCHDOG_S = 240


class Project:
    """The script in a folder that looks like the project, so that no real run is touched."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.script = folder / "tools" / "vntape-supervisor"
        self.script.parent.mkdir()
        shutil.copy(ROOT / "tools" / "vntape-supervisor", self.script)
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        clean = {name: v for name, v in os.environ.items() if not name.startswith("TESTS_")}
        self.environ = {**clean, "PYTHONPATH": str(ROOT), **environ}

    def run(self, *words: str) -> tuple[int, str]:
        """Run the script; return its exit code and what it said."""
        done = subprocess.run(
            [str(self.script), *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=WATCHDOG_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def pid_file(self) -> Path:
        """Where the script keeps the pid."""
        return self.folder / "var" / "vntape.pid"

    @property
    def pid(self) -> int:
        """What the pid file says."""
        return int(self.pid_file.read_text(encoding="ascii"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path, CONSUMER)
    yield made
    made.run("stop")


def test_it_is_executable_and_knows_its_words(project: Project) -> None:
    assert os.access(ROOT / "tools" / "vntape-supervisor", os.X_OK)
    for words in ((), ("begin",)):
        code, text = project.run(*words)
        assert code == 2
        assert "usage" in text


def test_nothing_runs_at_first(project: Project) -> None:
    assert project.run("status") == (3, "vntape-supervisor: not running\n")
    assert project.run("stop") == (0, "vntape-supervisor: not running\n")
    assert project.run("logs")[0] == 1


def test_without_an_environment_it_says_what_to_run(project: Project) -> None:
    shutil.rmtree(project.folder / ".venv")
    code, text = project.run("start")
    assert code == 1
    assert "make setup" in text


def test_it_signals_nobody_else(project: Project) -> None:
    """A pid that was given to another process since is left alone."""
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            project.pid_file.parent.mkdir()
            project.pid_file.write_text(f"{stranger.pid}\n", encoding="ascii")
            assert project.run("status")[0] == 3
            assert project.run("stop") == (0, "vntape-supervisor: not running\n")
            assert stranger.poll() is None
        finally:
            stranger.kill()
    project.pid_file.write_text("no number\n", encoding="ascii")
    assert project.run("status")[0] == 3


@pytest.mark.e2e
def test_a_refused_configuration_is_handed_on(project: Project) -> None:
    code, text = project.run("start", "--set", "gateway.prot=1")
    assert code == 78
    assert "did you mean gateway.port" in text
    assert not project.pid_file.exists()
    assert project.run("status")[0] == 3


@pytest.mark.e2e
def test_the_life_of_an_engine(project: Project, tmp_path: Path) -> None:
    table, port_file = tmp_path / "day-2026-03-02.csv", tmp_path / "port"
    table.write_text(TABLE, encoding="utf-8")
    day = ("--table", str(table), "--start", "09:20", "--speed", "60")
    simulator = Process(["-m", "tools.simulator", "--port-file", str(port_file), *day])
    try:
        wait_for("the simulator", port_file.exists)
        url = f"http://127.0.0.1:{port_file.read_text(encoding='ascii').strip()}/"
        with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as folder:
            keys = (f"feed.url={url}", f"feed.stream_url={url}", f"run.dir={folder}")
            keys += ("run.name=script", "gateway.port=0", "supervisor.status_ms=100")
            keys += (f"run.data_dir={tmp_path}", "history.record=off")
            arguments = [word for key in keys for word in ("--set", key)]
            check_life(project, arguments)
            assert not list(Path(folder).iterdir()), "left something behind"
    finally:
        simulator.stop()


def alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits for its parent to look does not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return re.search(r"^State:\s[ZX]", status, re.MULTILINE) is None


def check_life(project: Project, arguments: list[str]) -> None:
    """Start, refuse to start twice, restart, die, start again and stop."""
    code, text = project.run("start", *arguments)
    assert code == 0, text
    assert re.search(r"clients connect to ws://127\.0\.0\.1:\d+/ws", text)
    first = project.pid
    assert project.run("start", *arguments)[0] == 1
    assert project.pid == first

    wait_for("a status line", lambda: " | " in project.run("status")[1])
    code, text = project.run("status")
    assert code == 0
    assert re.match(rf"vntape-supervisor: running \(pid {first}\)\n\S.* \| .* clients\n$", text)

    code, text = project.run("restart")
    assert code == 0, text
    second = project.pid
    assert second != first
    assert not alive(first)
    assert (project.folder / "var" / "vntape.log.1").exists(), "the log before is kept"

    os.kill(second, signal.SIGKILL)
    wait_for("its end", lambda: project.run("status")[0] == 3)
    code, text = project.run("start", *arguments)
    assert code == 0, text
    third = project.pid
    code, text = project.run("stop")
    assert (code, text) == (0, f"vntape-supervisor: stopped (pid {third})\n")
    assert not project.pid_file.exists()
    assert project.run("status")[0] == 3

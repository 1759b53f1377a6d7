"""The run directory: one owner at a time, leftovers swept, foreign schemas refused."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine import config as configuration
from engine import rundir
from engine.errors import ConfigError, SchemaMismatch
from engine.process import start_ticks
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID

DEAD_PID = "999999"


def run_dir(tmp_path: Path) -> RunDir:
    """Return the run directory of a fresh configuration."""
    return RunDir.of(configuration.load(environ={}, overrides=[f"run.dir={tmp_path}"]))


def test_second_owner_is_refused_with_the_first_one_s_pid(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    lock = run.acquire()
    with pytest.raises(ConfigError, match=r"already running \(pid \d+\)"):
        run.acquire()
    run.release(lock)
    assert not run.path.exists()
    run.release(run.acquire())


def test_leftovers_of_a_dead_run_stay_until_they_are_swept(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    run.path.mkdir()
    run.ring_file(0).write_bytes(bytes(8192))
    run.state_file(0).write_bytes(b"kept")
    (run.path / "folder").mkdir()
    lock = run.acquire()
    assert run.ring_file(0).exists()
    assert run.sweep(keep=["state-0"]) >= 8192
    assert sorted(path.name for path in run.path.iterdir()) == ["lock", "state-0"]
    run.release(lock, keep=True)
    assert run.state_file(0).exists()
    assert not run.is_locked()


ORPHAN = """
import signal, sys
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
signal.pause()
"""


def orphan(run: RunDir, manner: str) -> "subprocess.Popen[bytes]":
    """Return a child that holds the lock of a run directory whose supervisor is dead."""
    lock = run.acquire()
    child = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, manner, "--parent", DEAD_PID, "--more"],
        pass_fds=[lock],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    run.lock_file.write_text(f"{DEAD_PID} 5\n")
    os.close(lock)
    return child


def test_children_of_a_dead_supervisor_are_waited_for(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    with orphan(run, "willing") as child:
        assert run.is_locked()
        assert run.owner() == (int(DEAD_PID), False)
        threading.Timer(0.2, child.send_signal, [signal.SIGUSR1]).start()
        lock = run.acquire(patience_s=60)
        assert child.wait() == -signal.SIGUSR1, "nobody killed it"
    assert run.owner() == (os.getpid(), True)
    run.release(lock)


def test_children_that_do_not_end_are_killed(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    with orphan(run, "deaf") as child:
        child.send_signal(signal.SIGSTOP)
        lock = run.acquire(patience_s=0.1)
        assert child.wait() == -signal.SIGKILL
    run.release(lock)


def test_a_stranger_that_holds_the_lock_is_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rundir, "KILL_PATIENCE_S", 0.1)
    run = run_dir(tmp_path)
    with orphan(run, "willing") as child:
        run.lock_file.write_text("999998 5\n")  # not the parent that its command line names
        with pytest.raises(ConfigError, match=r"no child of ours.*pid 999998"):
            run.acquire()
        assert child.poll() is None
        child.send_signal(signal.SIGUSR1)


def test_a_lock_removed_by_its_last_owner_is_no_lock(tmp_path: Path) -> None:
    """Two starts at once: the second opened the file that the first one removed."""
    run = run_dir(tmp_path)
    first = run.acquire()
    flock, calls = fcntl.flock, []

    def late(fd: int, how: int) -> None:
        if not calls:
            calls.append(fd)
            run.release(first)
        flock(fd, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.rundir.fcntl.flock", late)
        second = run.acquire()
    assert run.lock_file.exists()
    assert os.fstat(second).st_ino == run.lock_file.stat().st_ino
    run.release(second)


def test_a_manifest_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    assert run.manifest() == {}
    lock = run.acquire()
    run.write_manifest({"pid": 1})
    assert run.manifest() == {"schema": SCHEMA_ID, "pid": 1}
    assert [path.name for path in run.path.glob("manifest*")] == ["manifest.json"]
    for spoilt in ("", "[]"):
        run.manifest_file.write_text(spoilt)
        assert run.manifest() == {}
    run.release(lock)


def test_a_process_is_known_by_its_start() -> None:
    assert start_ticks(os.getpid()) > 0
    assert start_ticks(int(DEAD_PID)) == 0
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert start_ticks(child.pid) == 0, "a zombie is no process any more"


def test_a_directory_of_another_schema_is_refused(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    lock = run.acquire()
    run.write_config(configuration.load(environ={}))
    run.write_manifest({"pid": 1})
    assert run.read_config() == configuration.load(environ={})
    run.manifest_file.write_text(json.dumps({"schema": "sha256:00"}), encoding="utf-8")
    with pytest.raises(SchemaMismatch) as refusal:
        run.read_config()
    assert "sha256:00" in str(refusal.value)
    assert SCHEMA_ID in str(refusal.value)
    run.release(lock)


def test_no_run_directory_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vntape up"):
        RunDir(tmp_path / "none").read_config()


def test_socket_paths_that_cannot_be_are_refused(tmp_path: Path) -> None:
    config = configuration.load(environ={}, overrides=[f"run.dir={tmp_path / ('x' * 120)}"])
    with pytest.raises(ConfigError, match="107"):
        RunDir.of(config)

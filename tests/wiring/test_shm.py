"""``vntape shm``: says whose the shared memory is, and never removes what is in use."""

import os
import subprocess
import sys

import pytest

from engine.__main__ import main
from engine.clock import ManualClock
from engine.process import boot_id, start_ticks
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID
from engine.schema.counters import INGEST_COUNTERS
from engine.wiring import shm
from engine.wiring.shm import age_text
from tests.wiring.days import settings

NOW_NS = 1_700_000_000_000_000_000
HOLDER = """
import fcntl, sys
fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""
GONE = "999999 5\n"  # beyond any pid of a default kernel, and no such start


def dead_run(folder, name="dead", **facts):
    """Make what a killed instance leaves."""
    run = RunDir.of(settings(folder, f"run.name={name}"))
    run.path.mkdir(parents=True)
    run.lock_file.write_text(GONE)
    run.ring_file(0).write_bytes(bytes(8192))
    run.write_manifest({"pid": 999999, "pid_start": 5, "day": 20777, "created_ns": NOW_NS} | facts)
    return run


def said(tmp_path, word, capsys):
    assert shm.run(settings(tmp_path), word, ManualClock(NOW_NS + 3_700 * 10**9)) == 0
    return capsys.readouterr().out


def test_a_list_says_owner_size_day_and_age(tmp_path, capsys):
    live = RunDir.of(settings(tmp_path, "run.name=live"))
    lock = live.acquire()
    dead_run(tmp_path)
    (tmp_path / "vntape-bare").mkdir()
    (tmp_path / "other").mkdir()
    text = said(tmp_path, "ls", capsys)
    assert [line.split()[0] for line in text.splitlines()] == [
        "instance",
        "vntape-bare",
        "vntape-dead",
        "vntape-live",
    ]
    assert f"vntape-live  pid {os.getpid()}" in text
    assert "dead (pid 999999)" in text
    assert "2026-11-20  1 h 1 min" in text
    live.release(lock)


def test_nothing_to_list(tmp_path, capsys):
    assert said(tmp_path, "ls", capsys) == f"no instance in {tmp_path}\n"


def test_gc_removes_the_dead_and_counts(tmp_path, capsys):
    live = RunDir.of(settings(tmp_path, "run.name=live"))
    lock = live.acquire()
    run = dead_run(tmp_path)
    (tmp_path / "vntape-bare").mkdir()
    text = said(tmp_path, "gc", capsys)
    assert not run.path.exists()
    assert not (tmp_path / "vntape-bare").exists()
    assert live.lock_file.exists()
    assert "vntape-dead: dead (pid 999999): removed, " in text
    assert f"vntape-live: pid {os.getpid()}: left alone" in text
    assert int(text.splitlines()[-1].split()[0].replace(",", "")) >= 8192
    live.release(lock)


def test_gc_leaves_what_children_still_use(tmp_path, capsys):
    run = dead_run(tmp_path)
    lock = os.open(run.lock_file, os.O_RDWR)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        pass_fds=[lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    os.close(lock)
    with child:
        child.stdout.readline()
        text = said(tmp_path, "gc", capsys)
        assert "children of pid 999999, which is dead: left alone" in text
        assert run.path.exists()
    said(tmp_path, "gc", capsys)
    assert not run.path.exists()


def test_gc_leaves_a_maker_that_lost_its_lock(tmp_path, capsys):
    run = dead_run(tmp_path)
    lock = run.acquire()
    os.close(lock)
    assert "left alone" in said(tmp_path, "gc", capsys), "the lock's taker lives"
    run.lock_file.unlink()
    run.write_manifest(
        {"pid": os.getpid(), "pid_start": start_ticks(os.getpid()), "boot": boot_id()}
    )
    assert "left alone" in said(tmp_path, "gc", capsys), "the manifest's maker lives"
    assert run.collect() is None
    assert run.path.exists()


def test_gc_leaves_slots_that_the_journal_lacks(tmp_path, capsys):
    run = dead_run(tmp_path)
    run.counters_file("ingest", 0).write_bytes(bytes(INGEST_COUNTERS.itemsize))
    run.open_counters("ingest", 0, writable=True)["journal_failing"] = 1
    assert run.manifest()["schema"] == SCHEMA_ID
    assert "the journal lacks" in said(tmp_path, "gc", capsys)
    assert run.path.exists()
    run.open_counters("ingest", 0, writable=True)["journal_failing"] = 0
    said(tmp_path, "gc", capsys)
    assert not run.path.exists()


def test_a_link_is_not_followed(tmp_path, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "vntape-link").symlink_to(tmp_path / "precious")
    said(tmp_path, "gc", capsys)
    assert (tmp_path / "precious").exists()


def test_what_cannot_be_removed_is_said(tmp_path, capsys, monkeypatch):
    run = dead_run(tmp_path)

    def refuse(_path):
        raise PermissionError(1, "Operation not permitted", str(run.path))

    monkeypatch.setattr("engine.rundir.shutil.rmtree", refuse)
    text = said(tmp_path, "gc", capsys)
    assert "vntape-dead: not removed: [Errno 1] Operation not permitted" in text
    assert text.endswith("0 bytes freed\n")


@pytest.mark.parametrize(
    ("age_s", "text"),
    [(-1, "-"), (61, "1 min 1 s"), (7_320, "2 h 2 min"), (90_000, "1 d 1 h")],
)
def test_ages_in_words(age_s, text):
    assert age_text(age_s) == text


def test_the_command(tmp_path, capsys):
    run = dead_run(tmp_path)
    assert main(["shm", "ls", "--set", f"run.dir={tmp_path}"]) == 0
    assert main(["shm", "gc", "--set", f"run.dir={tmp_path}"]) == 0
    assert "vntape-dead" in capsys.readouterr().out
    assert not run.path.exists()

"""The run directory: one owner at a time, leftovers swept, foreign schemas refused."""

import json
from pathlib import Path

import pytest

from engine import config as configuration
from engine.errors import ConfigError, SchemaMismatch
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID


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


def test_leftovers_of_a_dead_run_are_swept(tmp_path: Path) -> None:
    run = run_dir(tmp_path)
    run.path.mkdir()
    run.ring_file(0).write_bytes(b"torn")
    lock = run.acquire()
    assert not run.ring_file(0).exists()
    run.release(lock)


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

"""The run directory: where one instance keeps its shared memory, sockets and manifest.

    <run.dir>/vntape-<run.name>/
        lock           held (flock) by the supervisor as long as it lives
        manifest.json  who made it: pid, start, SCHEMA_ID, epoch, shard map
        config.json    the resolved configuration, without secrets
        ring-N symbols counters-<role>-N       shared memory
        delta-N.ipc snapshot-N.ipc             ZeroMQ endpoints of shard N
        gaps.ipc                               where shards tell ingest of gaps, for REST to explain

Only the supervisor creates and removes; every other process opens what it is told to.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import config as configuration
from engine import segment
from engine.config import Config
from engine.errors import ConfigError, SchemaMismatch
from engine.schema import SCHEMA_ID
from engine.schema.counters import COUNTER_LAYOUTS

SOCKET_PATH_BYTES_MAX = 107  # sun_path of a unix socket, less its terminating zero


class RunDir:
    """Paths of one instance. Holds no resources itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock_file = path / "lock"
        self.manifest_file = path / "manifest.json"
        self.config_file = path / "config.json"
        self.symbols_file = path / "symbols"

    @classmethod
    def of(cls, config: Config) -> "RunDir":
        """Name the run directory a configuration asks for; refuse one whose sockets cannot be."""
        run = cls(Path(config.run.dir) / f"vntape-{config.run.name}")
        longest = len(run.snapshot_endpoint(99).removeprefix("ipc://").encode())
        if longest > SOCKET_PATH_BYTES_MAX:
            raise ConfigError(
                f"run.dir and run.name give socket paths of {longest} bytes, the "
                f"system allows {SOCKET_PATH_BYTES_MAX}: choose shorter ones"
            )
        return run

    def ring_file(self, shard: int) -> Path:
        """Return the ring segment of a shard."""
        return self.path / f"ring-{shard}"

    def counters_file(self, role: str, index: int) -> Path:
        """Return the counters segment of a process."""
        return self.path / f"counters-{role}-{index}"

    def delta_endpoint(self, shard: int) -> str:
        """Return where a shard publishes its deltas."""
        return f"ipc://{self.path}/delta-{shard}.ipc"

    def snapshot_endpoint(self, shard: int) -> str:
        """Return where a shard answers snapshot requests."""
        return f"ipc://{self.path}/snapshot-{shard}.ipc"

    @property
    def gaps_endpoint(self) -> str:
        """Return where shards tell ingest of gaps."""
        return f"ipc://{self.path}/gaps.ipc"

    @staticmethod
    def data_dir(config: Config) -> Path:
        """Return where this instance keeps files that outlive it; nothing is created."""
        return Path(config.run.data_dir).expanduser() / config.run.name

    def acquire(self) -> int:
        """Create the directory, take its lock, sweep what a dead run left. Return the lock's fd.

        Raises
        ------
        ConfigError
            Another live supervisor holds the lock, or the directory cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"run.dir: {self.path} cannot be created ({error.strerror}); "
                "choose a folder this user may write to"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(fd, 32, 0).decode().strip() or "unknown"
            os.close(fd)
            raise ConfigError(
                f"instance {self.path.name} is already running (pid {pid}): stop it "
                "or choose another run.name"
            ) from None
        for leftover in self.path.iterdir():
            if leftover != self.lock_file:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def release(self, lock_fd: int) -> None:
        """Remove the directory, then let the lock go."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(lock_fd)

    def write_config(self, config: Config) -> None:
        """Store the resolved configuration for the children."""
        self.config_file.write_text(configuration.to_json(config), encoding="utf-8")

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        """Store who made this directory; SCHEMA_ID is added."""
        text = json.dumps({"schema": SCHEMA_ID, **facts}, indent=1)
        self.manifest_file.write_text(text, encoding="utf-8")

    def read_config(self) -> Config:
        """Load what the supervisor resolved, refusing one of another schema."""
        try:
            schema = json.loads(self.manifest_file.read_text(encoding="utf-8"))["schema"]
            text = self.config_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigError(f"{self.path} is no run directory: start `vntape up` first") from None
        if schema != SCHEMA_ID:
            raise SchemaMismatch(
                f"{self.path} was made with {schema}, this program has "
                f"{SCHEMA_ID}: stop the old instance and start it anew"
            )
        return configuration.from_json(text)

    def open_counters(self, role: str, index: int, *, writable: bool = False) -> NDArray[np.void]:
        """Map one process's counters; shape (1,), dtype of its role."""
        opener = segment.open_writable if writable else segment.open_readonly
        memory = opener(self.counters_file(role, index)).memory
        return segment.record_view(memory, COUNTER_LAYOUTS[role])

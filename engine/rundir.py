"""The run directory: where one instance keeps its shared memory, sockets and manifest.

    <run.dir>/vntape-<run.name>/
        lock           held (flock) by the supervisor and its children, as long as one of them lives
        manifest.json  who made it and for what: SCHEMA_ID, pid, boot, day, epoch, shard map
        config.json    the resolved configuration, without secrets
        ring-N symbols counters-<role>-N       shared memory
        delta-N.ipc snapshot-N.ipc             ZeroMQ endpoints of shard N
        deltas-N.0 deltas-N.1 ...              what shard N published last, for gateways that start
        gaps.ipc                               where shards tell ingest of gaps, for REST to explain
        tail.ipc                               where the recorder answers what is in no segment yet
        state-N                                saved state of shard N, a restart begins from it
        crash-N                                what a dying shard N said last (faulthandler)

Only the supervisor creates and removes; every other process opens what it is told to.

The children inherit the lock, because a supervisor may be killed: theirs is the memory as long as
they end, and the next supervisor waits until the last one has let go.
"""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import config as configuration
from engine import segment
from engine.config import Config
from engine.errors import ConfigError, SchemaMismatch
from engine.process import boot_id, start_ticks
from engine.schema import SCHEMA_ID
from engine.schema.counters import COUNTER_LAYOUTS

SOCKET_PATH_BYTES_MAX = 107  # sun_path of a unix socket, less its terminating zero
PREFIX = "vntape-"
LOCK_POLL_S = 0.02
KILL_PATIENCE_S = 2.0  # a killed process is gone sooner


def size_bytes(path: Path) -> int:
    """Return what a file, or a folder with all its files, takes of its file system."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    total = 0
    for file in files:
        try:
            total += file.lstat().st_blocks * 512
        except FileNotFoundError:
            pass  # removed while we looked
    return total


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
        run = cls(Path(config.run.dir) / f"{PREFIX}{config.run.name}")
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

    def delta_log(self, source: int) -> Path:
        """Return how the files begin in which a source keeps what it published last."""
        return self.path / f"deltas-{source}"

    @property
    def gaps_endpoint(self) -> str:
        """Return where shards tell ingest of gaps."""
        return f"ipc://{self.path}/gaps.ipc"

    @property
    def tail_endpoint(self) -> str:
        """Return where the recorder answers for rows that are in no segment yet."""
        return f"ipc://{self.path}/tail.ipc"

    def state_file(self, shard: int) -> Path:
        """Return where a shard saves its state, for its own restart."""
        return self.path / f"state-{shard}"

    def crash_file(self, shard: int) -> Path:
        """Return where the interpreter writes the stacks of a shard that dies of a signal."""
        return self.path / f"crash-{shard}"

    @staticmethod
    def data_dir(config: Config) -> Path:
        """Return where this instance keeps files that outlive it; nothing is created."""
        return Path(config.run.data_dir).expanduser() / config.run.name

    def acquire(self, patience_s: float = 0.0) -> int:
        """Create the directory and take its lock. Return the lock's fd, for the children too.

        What a dead run left stays as it is; see `manifest` and `sweep`.

        Parameters
        ----------
        patience_s
            How long children of a dead supervisor may take to end. Their SIGTERM is on its way;
            who still holds the lock by then is killed.

        Raises
        ------
        ConfigError
            Another live supervisor holds the lock, or the directory cannot be made.
        """
        patience_end = time.monotonic() + patience_s
        while True:
            fd = self._take_lock()
            if fd is not None:
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()} {start_ticks(os.getpid())}\n".encode(), 0)
                return fd
            pid, alive = self.owner()
            if alive:
                raise ConfigError(
                    f"instance {self.path.name} is already running (pid {pid}): stop it "
                    "or choose another run.name"
                )
            if time.monotonic() > patience_end:
                self._kill_orphans(pid)
            if time.monotonic() > patience_end + KILL_PATIENCE_S:
                raise ConfigError(
                    f"{self.lock_file} is held by a process that is no child of ours, and pid "
                    f"{pid}, which took it, has ended: see `fuser {self.lock_file}`"
                )
            time.sleep(LOCK_POLL_S)

    def _take_lock(self) -> int | None:
        """Return the locked file of the directory that is there now, or None if others hold it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # removed between the two lines, by its last owner
            return None
        except OSError as error:
            raise ConfigError(
                f"run.dir: {self.path} cannot be created ({error.strerror}); "
                "choose a folder this user may write to"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == self.lock_file.stat().st_ino:
                return fd
        except OSError:
            pass  # held, or the file was removed while we waited
        os.close(fd)
        return None

    def owner(self) -> tuple[int, bool]:
        """Return the pid that took the lock last (0: nobody), and whether that process lives."""
        try:
            words = self.lock_file.read_text(encoding="ascii").split()
            pid, began = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            return 0, False
        return pid, began != 0 and start_ticks(pid) == began

    def _kill_orphans(self, parent_pid: int) -> None:
        """End children of a dead supervisor that still hold the lock: stopped or hung ones."""
        parent, lock = f"\0--parent\0{parent_pid}\0".encode(), self.lock_file.resolve()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                pidfd = os.pidfd_open(int(process.name))
            except OSError:
                continue
            try:
                files = [fd.readlink() for fd in (process / "fd").iterdir()]
                if lock in files and parent in (process / "cmdline").read_bytes():
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except OSError:
                pass  # another user's, or it has ended
            finally:
                os.close(pidfd)

    def is_locked(self) -> bool:
        """Return whether somebody holds the lock; nothing is created."""
        try:
            fd = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False

    def sweep(self, keep: Container[str] = ()) -> int:
        """Remove everything but the lock and the names in `keep`. Return the bytes that held.

        Only for who holds the lock.
        """
        freed_bytes = 0
        for leftover in self.path.iterdir():
            if leftover != self.lock_file and leftover.name not in keep:
                freed_bytes += size_bytes(leftover)
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        return freed_bytes

    def collect(self) -> int | None:
        """Remove the whole directory of a dead run. Return the bytes freed; None: it is in use.

        Raises
        ------
        OSError
            It cannot be removed, or not all of it.
        """
        fd = self._take_lock()
        if fd is None:
            return None
        try:
            if self.owner()[1] or self.maker_lives():
                return None
            freed_bytes = size_bytes(self.path)
            shutil.rmtree(self.path)
        finally:
            os.close(fd)
        return freed_bytes

    def maker_lives(self) -> bool:
        """Return whether the process that the manifest names lives, whoever holds the lock."""
        facts = self.manifest()
        began = start_ticks(int(facts.get("pid", 0)))
        return facts.get("boot") == boot_id() and began != 0 and began == facts.get("pid_start")

    def release(self, lock_fd: int, *, keep: bool = False) -> None:
        """Remove the directory, unless it is to be kept for the next start; let the lock go."""
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(lock_fd)

    def write_config(self, config: Config) -> None:
        """Store the resolved configuration for the children."""
        self.config_file.write_text(configuration.to_json(config), encoding="utf-8")

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        """Store what this directory is for, at once or not at all; SCHEMA_ID is added."""
        text = json.dumps({"schema": SCHEMA_ID, **facts}, indent=1)
        unfinished = self.manifest_file.with_suffix(".new")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.manifest_file)

    def manifest(self) -> dict[str, Any]:
        """Return what `write_manifest` stored, of whatever schema; empty when there is none."""
        try:
            facts = json.loads(self.manifest_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

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

"""A disk that refuses, or a process that dies, at the n-th step of a write."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STEPS = (("fsync", os), ("rename", Path))


class Crash(BaseException):
    """The machine is gone: nobody cleans up, and what was not synced may be there in part."""


@contextmanager
def failing_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> Iterator[list]:
    """Raise `error` instead of the step-th fsync or rename; yield the list of steps done."""
    done: list[str] = []

    def wrapped(name, original):
        def call(*args, **kwargs):
            if len(done) == step:
                if isinstance(error, Crash) and name == "fsync":
                    lose_most(args[0])
                raise error
            done.append(name)
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name, owner in STEPS:
            patched.setattr(owner, name, wrapped(name, getattr(owner, name)))
        yield done


def lose_most(fd: int) -> None:
    """Cut a file that was being written; a folder, or a file opened for reading, stays."""
    writing = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    if writing:
        os.ftruncate(fd, os.fstat(fd).st_size // 3)


def full() -> OSError:
    """Return what a full disk says."""
    return OSError(28, "No space left on device")

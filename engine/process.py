"""What every child process does the same way: stop on SIGTERM, die with its parent, say why.

And who a process is: a pid alone is used again, a pid with its start time is not.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from engine.errors import ConfigError, SchemaMismatch

EX_CONFIG = 78  # sysexits.h: the supervisor does not restart what refused its configuration
PR_SET_PDEATHSIG = 1  # linux/prctl.h
START_FIELD = 22 - 3  # of /proc/<pid>/stat, counted behind the name, which may hold spaces


def boot_id() -> str:
    """Name this run of the machine: another word after every boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_ticks(pid: int) -> int:
    """Return when a process began, in clock ticks since the boot; 0 when it is no more.

    A dead process that its parent has not looked at yet is no more, too.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    facts = stat.rpartition(")")[2].split()
    return 0 if facts[0] in ("Z", "X") else int(facts[START_FIELD])


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, however it dies.

    The supervisor may have died before the request took effect, hence the second look.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit("the supervisor is gone")


class StopFlag:
    """Becomes true when SIGTERM or SIGINT arrives."""

    def __init__(self) -> None:
        self.is_set = False
        signal.signal(signal.SIGTERM, self._set)
        signal.signal(signal.SIGINT, self._set)

    def _set(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_set = True

    def __call__(self) -> bool:
        """Return whether it is time to stop."""
        return self.is_set


def run_main(role: str, main: Callable[[], None]) -> None:
    """Run a process body; a refused configuration becomes one sentence and exit code 78."""
    try:
        main()
    except (ConfigError, SchemaMismatch) as error:
        print(f"vntape {role}: {error}", file=sys.stderr, flush=True)
        raise SystemExit(EX_CONFIG) from None

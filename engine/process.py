"""What every child process does the same way: stop on SIGTERM, die with its parent, say why."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from engine.errors import ConfigError, SchemaMismatch

EX_CONFIG = 78  # sysexits.h: the supervisor does not restart what refused its configuration
PR_SET_PDEATHSIG = 1  # linux/prctl.h


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

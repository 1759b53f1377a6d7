"""What a dying process says last, in a file that its successor reads.

A native crash (SIGSEGV, SIGABRT, SIGBUS ...) leaves the stacks of all threads, as far as the
interpreter knows them; an exception nobody caught leaves its traceback. Both also go where they
always went: stderr.
"""

import faulthandler
import sys
import traceback
from pathlib import Path
from types import TracebackType

TEXT_BYTES_MAX = 64 * 1024  # of a file that is read; what is said last is at its end


def take(path: Path) -> str:
    """Return what the last process said, and clear it; empty when it said nothing."""
    try:
        raw = path.read_bytes()
        path.unlink()
    except FileNotFoundError:
        return ""
    return raw[-TEXT_BYTES_MAX:].decode(errors="replace").strip()


def keep(path: Path) -> None:
    """From now on have this process's last words written to `path`; call it once, early."""
    file = path.open("ab", buffering=0)  # stays open: a dying process opens nothing
    faulthandler.enable(file)
    say = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        file.write("".join(traceback.format_exception(kind, error, trace)).encode())
        say(kind, error, trace)

    sys.excepthook = hook

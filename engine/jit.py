"""The door to numba: `kernel` compiles, caches and keeps the cache honest.

numba's own cache notices a change in the function's file only. A constant imported from another
module is frozen into the machine code and a change to it loads the stale code silently, so the
cache lives in a folder named after a hash of all engine sources, the mode and the versions.

Kernels never raise, allocate or read a clock; wrappers validate before they call.
With NUMBA_DISABLE_JIT=1 a kernel is the plain Python function.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

config: Any = numba.config  # its settings are made at run time: no type checker knows them

CACHE_FOLDERS_KEPT = 16  # a few checkouts times three test lanes
ROOMS_WITHOUT_KERNELS = (
    "wiring",
    "feed",
    "bus",
    "board",
    "history",
)  # editing these compiles nothing anew


def _cache_root() -> Path:
    """Where compiled kernels live: VNTAPE_CACHE_DIR, else the user's cache folder."""
    home = os.environ.get("VNTAPE_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return Path(home) / "vntape-jit" if home else Path.home() / ".cache" / "vntape-jit"


def _sources_hash() -> str:
    """Hash everything a compiled kernel may depend on."""
    digest = hashlib.sha256()
    engine = Path(__file__).parent
    for path in sorted(engine.rglob("*.py")):
        if path.relative_to(engine).parts[0] not in ROOMS_WITHOUT_KERNELS:
            digest.update(path.read_bytes())
    digest.update(
        repr(
            (
                sys.version_info[:3],
                numba.__version__,
                llvm.get_host_cpu_name(),
                config.DISABLE_JIT,
                config.BOUNDSCHECK,
            )
        ).encode()
    )
    return digest.hexdigest()[:16]


def _open_cache() -> Path:
    """Point numba at this source tree's folder and drop the oldest of the others."""
    root = _cache_root()
    folder = root / _sources_hash()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for stale in sorted(root.iterdir(), key=_used_at, reverse=True)[CACHE_FOLDERS_KEPT:]:
        shutil.rmtree(stale, ignore_errors=True)
    return folder


def _used_at(folder: Path) -> float:
    """Return when a cache folder was last opened; 0 when another process is just removing it."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


CACHE_FOLDER = _open_cache()
config.CACHE_DIR = str(CACHE_FOLDER)


def kernel(function: F) -> F:
    """Compile a hot function: cached, GIL released, C division, no fast math.

    A compiled kernel keeps exact integer arithmetic; the bounds-checked test lane sets
    NUMBA_BOUNDSCHECK=1, which numba reads here.
    """
    compile_one = numba.njit(cache=True, nogil=True, error_model="numpy")
    return cast("F", compile_one(function))


# Casts for arithmetic that wraps around. Numba promises LLVM that signed sums and products never
# overflow, so one that does is undefined: right today, wrong after the next optimisation. Unsigned
# ones wrap. With the JIT off they are Python's integers, which grow: mask before using the result.
U64: Any = int if config.DISABLE_JIT else np.uint64
I64: Any = int if config.DISABLE_JIT else np.int64

# Numba knows the option and mypy does not.
_LEAN: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}


def lean_kernel(function: F) -> F:
    """Compile like `kernel`, without reference counting.

    For kernels that hand arrays on to other kernels: numba counts references at every such call
    and loop turn, which cost the decoder more than half its speed. The caller of the outermost
    kernel keeps the arrays alive. A lean kernel cannot allocate; numba refuses one that tries.
    """
    return cast("F", numba.njit(**_LEAN)(function))


def inlined_kernel(function: F) -> F:
    """Compile like `lean_kernel`, to be copied into every kernel that calls it."""
    return cast("F", numba.njit(**_LEAN, forceinline=True)(function))

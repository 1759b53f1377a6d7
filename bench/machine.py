"""What a figure was measured on: without it a figure means nothing."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.schema import SCHEMA_ID

PACKAGES = ("numpy", "numba", "uvloop", "picows", "pyzmq", "orjson", "pyarrow", "duckdb")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return result.stdout.strip() or "unknown"


def stamp() -> dict[str, Any]:
    """Return the machine, the versions and the code a figure belongs to."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "packages": {name: version(name) for name in PACKAGES},
        "schema": SCHEMA_ID,
        "commit": _commit(),
    }

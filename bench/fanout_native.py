"""The compiled halves of the fan-out benches, built where a C compiler exists.

A load client written in Python would be the limit of what it measures, and a reference server
written in Python would be no reference. Without a compiler there are stand-ins in Python, and the
figures say so.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "native"
COMPILERS: Final = ("cc", "gcc", "clang")
FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True)
class Programs:
    """How to start the two programs, and what they are."""

    load_client: tuple[str, ...]
    reference_server: tuple[str, ...]
    kind: str  # the compiler, or "python"


def build(folder: Path) -> Programs:
    """Compile both programs into a folder.

    Parameters
    ----------
    folder
        Where the programs go; it must outlive them.

    Returns
    -------
    Programs
        The stand-ins in Python when there is no compiler.

    Raises
    ------
    RuntimeError
        There is a compiler and it refused a program; with its words.
    """
    compiler = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if compiler is None:
        return stand_ins()
    programs = {name: folder / name for name in ("load_client", "reference_server")}
    for name, program in programs.items():
        source = SOURCES / f"{name}.c"
        done = subprocess.run(
            [compiler, *FLAGS, "-o", str(program), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{source.name} was refused by {compiler}:\n{done.stderr}")
    return Programs(
        (str(programs["load_client"]),),
        (str(programs["reference_server"]),),
        Path(compiler).name,
    )


def stand_ins() -> Programs:
    """Return the same two programs in Python: slower, and good enough to try things out."""
    return Programs(
        (sys.executable, "-m", "bench.fanout_client"),
        (sys.executable, "-m", "bench.fanout_reference"),
        "python",
    )

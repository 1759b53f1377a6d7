"""The front door for working on vntape: one script, standard library only.

    python3 tools/dev.py setup      build .venv from the hashed locks (instant when up to date)
    python3 tools/dev.py check      format, lint, types, contracts, then the tests with the JIT off
    python3 tools/dev.py test       all three lanes, most of it side by side; --lane
                                    nojit|bounds|native picks one, and anything else on the
                                    line goes to pytest
    python3 tools/dev.py format     rewrite the sources in the house style
    python3 tools/dev.py style | lint | types | contracts      one part of check
    python3 tools/dev.py lock       compile requirements/*.lock from pyproject.toml

Any Python from 3.11 on may start it, inside .venv or outside: every command first makes sure that
.venv is what the locks say, then runs its tool with the interpreter in there.

The three lanes find different mistakes. `nojit` runs kernels as plain Python, so that coverage
sees them and numpy warns when a number wraps. `bounds` compiles them with index checks. `native`
is what runs in production, with the tests that need processes, sockets and real speed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK_VENV = ROOT / ".venv-lock"  # pip-tools and the pip it wants, away from everything else
REQUIREMENTS = ROOT / "requirements"
WORKING_LOCKS = ("run", "test", "lint", "build")
NO_TESTS_COLLECTED = 5  # pytest's exit status


@dataclass(frozen=True)
class Lane:
    """One way of running the tests."""

    environment: dict[str, str]
    marks: str
    coverage: bool = False
    skips: tuple[str, ...] = ()  # folders that have nothing to say here


# No kernel runs in these: compiled or not, bounds-checked or not, they are the same tests.
KERNEL_FREE = (
    *("tests/client", "tests/feed", "tests/gateway", "tests/house"),
    *("tests/market", "tests/schema", "tests/tools"),
)

LANES = {
    "nojit": Lane({"NUMBA_DISABLE_JIT": "1"}, "not (jit or race or e2e or slow)", coverage=True),
    "bounds": Lane({"NUMBA_BOUNDSCHECK": "1"}, "not (race or e2e or slow)", skips=KERNEL_FREE),
    "native": Lane({}, ""),
    # The native lane in parts, for a run of everything. What keeps no core busy for long: processes
    # that mostly wait for each other; what does; and the rest, which minds no neighbour at all.
    "native-processes": Lane({}, "e2e and not (race or slow)"),
    "native-busy": Lane({}, "race or slow"),
    "native-beside": Lane({}, "not (race or e2e or slow)", skips=KERNEL_FREE),
}


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    if sys.version_info < OLDEST_PYTHON:  # whatever `python3` means here
        give_up(
            f"vntape needs Python 3.11 or newer and was started by {sys.version.split()[0]} "
            f"({sys.executable}). Name another one: make setup PYTHON=python3.12"
        )
    options, rest = parse(arguments)
    os.chdir(ROOT)
    if options.command == "test":
        setup()
        return test(options.lane, rest)
    if options.command == "lock":
        return lock()
    setup()
    return {
        "setup": lambda: 0,
        "format": format_sources,
        "style": style,
        "lint": lint,
        "types": types,
        "contracts": contracts,
        "check": check,
    }[options.command]()


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Split the command line into our options and, for `test`, what belongs to pytest."""
    parser = argparse.ArgumentParser(
        prog="tools/dev.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in ("setup", "check", "format", "style", "lint", "types", "contracts", "lock"):
        commands.add_parser(name)
    testing = commands.add_parser("test", allow_abbrev=False)
    testing.add_argument("--lane", choices=[*LANES, "all"], default="all")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "test":
        parser.error(f"{options.command} takes no arguments, got: {shlex.join(rest)}")
    return options, rest


def give_up(sentence: str) -> NoReturn:
    """Stop with one clear sentence instead of a traceback."""
    sys.exit(f"tools/dev.py: {sentence}")


# -- the environment ----------------------------------------------------------------------------


def setup() -> None:
    """Make .venv hold exactly the locked versions, with vntape itself installed in place."""
    if (VENV / "stamp").is_file() and (VENV / "stamp").read_text() == fingerprint(VENV):
        return
    install(VENV, WORKING_LOCKS)
    pip(VENV, "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    (VENV / "stamp").write_text(fingerprint(VENV))
    print("-- .venv is ready", flush=True)


def fingerprint(venv: Path) -> str:
    """Hash what the content of an environment follows from: the locks, its Python, its place."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in [*sorted(REQUIREMENTS.glob("*.lock")), ROOT / "pyproject.toml"]:
        digest.update(path.read_bytes())
    digest.update((venv / "pyvenv.cfg").read_bytes())
    return digest.hexdigest()


def install(venv: Path, locks: tuple[str, ...]) -> None:
    """Install locks into an environment, building it first where there is none that works."""
    if not works(venv):
        build(venv)
    print(f"-- installing {', '.join(locks)} into {venv.name}", flush=True)
    files = [f"--requirement={REQUIREMENTS / lock}.lock" for lock in locks]
    pip(venv, "install", "--require-hashes", *files)


def works(venv: Path) -> bool:
    """Tell whether an environment starts and is new enough; one whose Python went away is not."""
    probe = f"import pip, sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        return subprocess.run([venv / "bin/python", "-c", probe], check=False).returncode == 0
    except OSError:
        return False


def build(venv: Path) -> None:
    """Create an empty environment with the Python that runs this script."""
    version = ".".join(map(str, sys.version_info[:3]))
    if importlib.util.find_spec("ensurepip") is None:
        give_up(
            f"Python {version} ({sys.executable}) came without venv. Install it "
            "(Debian and Ubuntu: apt-get install python3-venv) or name another Python: "
            "make setup PYTHON=python3.12"
        )
    print(f"-- creating {venv.name} with Python {version}", flush=True)
    python = getattr(sys, "_base_executable", sys.executable)  # not the environment being replaced
    must([python, "-m", "venv", "--clear", str(venv)])


def pip(venv: Path, *arguments: str) -> None:
    """Run pip quietly; it still prints errors."""
    must([str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "-qq", *arguments])


def lock() -> int:
    """Compile one hashed lock per purpose from pyproject.toml.

    Done with the oldest Python we support: only there are all backports needed, and a package
    too many does no harm on a newer one. Pins already in a lock stay unless pyproject.toml
    excludes them; delete a lock to take the newest of everything below the direct pins.
    """
    import tomllib  # not at the top: absent from the old Pythons that main() answers

    if sys.version_info[:2] != OLDEST_PYTHON:
        give_up("locks are compiled with Python 3.11, the oldest supported: use PYTHON=python3.11")
    install(LOCK_VENV, ("lock",))
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    purposes = {"run": project["project"]["dependencies"], **project["dependency-groups"]}
    done: list[str] = []
    for purpose, requirements in purposes.items():
        print(f"-- requirements/{purpose}.lock", flush=True)
        compile_lock(purpose, requirements, done)
        done.append(purpose)
    return 0


def compile_lock(purpose: str, requirements: list[str], constraints: list[str]) -> None:
    """Compile one lock that agrees with the ones before it and names no index and no path."""
    source = REQUIREMENTS / f"{purpose}.in"
    source.write_text("\n".join(requirements) + "\n")
    try:
        must(
            [
                str(LOCK_VENV / "bin/python"),
                *("-m", "piptools", "compile", "--quiet", "--no-config", "--generate-hashes"),
                *("--allow-unsafe", "--strip-extras", "--no-header", "--no-annotate"),
                *("--no-emit-options", "--no-emit-index-url", "--no-emit-find-links"),
                *(f"--constraint=requirements/{name}.lock" for name in constraints),
                f"--output-file=requirements/{purpose}.lock",
                f"requirements/{purpose}.in",
            ]
        )
    finally:
        source.unlink()


# -- the checks ---------------------------------------------------------------------------------


def format_sources() -> int:
    """Sort imports and rewrite everything in the house style."""
    sorted_imports = python("ruff", "check", "--select=I", "--fix", "--quiet", ".")
    return python("ruff", "format", ".") or sorted_imports


def style() -> int:
    """Check what `format` would change."""
    return python("ruff", "format", "--check", ".")


def lint() -> int:
    """Check the rules chosen in pyproject.toml."""
    return python("ruff", "check", ".")


def types() -> int:
    """Check the types, strictly, of everything but the tests."""
    return python("mypy")


def contracts() -> int:
    """Check the import contracts of setup.cfg."""
    return run([str(VENV / "bin/lint-imports"), "--no-logo"])


def check() -> int:
    """Everything quick, each part to its end; then the tests with the JIT off, if all was well."""
    parts = [style, lint, types, contracts]
    failures = sum(part() != 0 for part in parts)
    if failures:
        print(f"-- {failures} of {len(parts)} checks failed; the tests were not run", flush=True)
        return 1
    return test("nojit", [])


def test(lane: str, pytest_arguments: list[str]) -> int:
    """Run one lane, or all three; processes and sockets only when everything else was well."""
    if lane != "all":
        return run_lane(lane, pytest_arguments)
    return side_by_side("nojit", ("bounds", "native-beside"), pytest_arguments) or side_by_side(
        "native-busy", ("native-processes",), pytest_arguments
    )


def side_by_side(beside: str, others: tuple[str, ...], pytest_arguments: list[str]) -> int:
    """Run one lane beside others, which take turns, and show what it said afterwards.

    Each keeps one core busy at most, and no test asserts that it was quick.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        command = [sys.executable, __file__, "test", "--lane", beside, *pytest_arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=subprocess.STDOUT)
        status = 0
        for name in others:
            status = status or run_lane(name, pytest_arguments)
        failed = process.wait()
        told.seek(0)
        print(told.read(), flush=True)
    return failed or status


def run_lane(name: str, pytest_arguments: list[str]) -> int:
    """Run pytest as one lane does. A whole run of the coverage lane ends with its report."""
    lane = LANES[name]
    whole = not pytest_arguments
    measured = lane.coverage and whole
    runner = ["coverage", "run", "-m", "pytest"] if measured else ["pytest"]
    marks = [f"-m={lane.marks}"] if lane.marks else []
    skips = [f"--ignore={folder}" for folder in lane.skips] if whole else []
    print(f"-- lane {name}", flush=True)
    status = python(*runner, *marks, *skips, *pytest_arguments, environment=lane.environment)
    if measured and status == 0:
        status = python("coverage", "report")
    # A selection by hand may well have nothing for one of the lanes.
    return 0 if status == NO_TESTS_COLLECTED and not whole else status


# -- processes ----------------------------------------------------------------------------------


def python(module: str, *arguments: str, environment: dict[str, str] | None = None) -> int:
    """Run a module with the interpreter of .venv and return its exit status."""
    return run([str(VENV / "bin/python"), "-m", module, *arguments], environment)


def run(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Show a command, run it in the repository, return its exit status."""
    shown = [f"{name}={value}" for name, value in (environment or {}).items()]
    shown += [Path(command[0]).name, *map(shlex.quote, command[1:])]
    print("-- " + " ".join(shown), flush=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK", "PYTHONOPTIMIZE")
    }
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **(environment or {})}, check=False
    ).returncode


def must(command: list[str]) -> None:
    """Run a command that has to succeed."""
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        give_up(f"this failed with status {status}: {shlex.join(command)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

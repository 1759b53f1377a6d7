"""Prove the alarm: each import contract of setup.cfg must break when somebody breaks it.

One copy of the sources per violation, one import appended, and the contract that forbids it has to
notice. That the real sources keep all contracts is `make check`'s business; the copy without a
violation is here as the control.
"""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

pytestmark = pytest.mark.slow

HOUSES = ("engine", "gateway", "tools", "bench", "tests")

# contract, file somebody edits, line they add
VIOLATIONS = [
    ("houses", "engine/errors.py", "import gateway"),
    ("houses", "gateway/__init__.py", "import tools.dev"),
    ("houses", "bench/__init__.py", "import tools.dev"),
    ("rooms", "engine/schema/codes.py", "import engine.market"),
    ("rooms", "engine/ring/__init__.py", "import engine.shard"),
    ("rooms", "engine/feed/__init__.py", "import engine.decode"),
    ("rooms", "engine/trackers/__init__.py", "import engine.alerts"),
    ("rooms", "engine/board/__init__.py", "import engine.shard"),
    ("rooms", "engine/brand_new_room.py", "import engine.errors"),
    ("gateway-sees-deltas", "gateway/__init__.py", "import engine.jit"),
    ("gateway-sees-deltas", "gateway/__init__.py", "import engine.ring"),
    ("gateway-sees-deltas", "gateway/__init__.py", "import numba"),
    ("gateway-sees-deltas", "engine/alerts/sentences.py", "import engine.jit"),
    ("numba-doors", "engine/shard/__init__.py", "import numba"),
    ("numba-doors", "engine/decode/__init__.py", "from llvmlite import ir"),
    ("pure-rooms", "engine/decode/__init__.py", "import socket"),
    ("pure-rooms", "engine/market/__init__.py", "import asyncio"),
    ("pure-rooms", "engine/shard/__init__.py", "import zmq"),
    ("time-is-data", "engine/shard/__init__.py", "import time"),
    ("time-is-data", "engine/alerts/__init__.py", "import time"),
]


def copy_sources(target: Path) -> None:
    """Copy every house, as the contracts see it, and nothing more."""
    for house in HOUSES:
        shutil.copytree(
            ROOT / house, target / house, ignore=shutil.ignore_patterns("__pycache__", "data")
        )
    shutil.copy(ROOT / "setup.cfg", target)


def lint_imports(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    """Check one contract, on the sources of `folder` and not on the installed ones."""
    return subprocess.run(
        [
            str(Path(sys.executable).parent / "lint-imports"),
            *("--no-logo", "--no-cache", "--contract", contract),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def contracts() -> list[str]:
    """Names of all contracts in setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return [name.split(":")[2] for name in parser.sections() if name.startswith("importlinter:")]


def test_every_contract_has_a_violation_that_proves_it():
    assert {contract for contract, _, _ in VIOLATIONS} == set(contracts())


@pytest.mark.parametrize("contract", contracts())
def test_the_untouched_copy_keeps(contract, tmp_path):
    copy_sources(tmp_path)
    result = lint_imports(tmp_path, contract)
    assert "1 kept, 0 broken" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_violation_breaks(contract, file, line, tmp_path):
    copy_sources(tmp_path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(tmp_path, contract)
    assert "0 kept, 1 broken" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 1

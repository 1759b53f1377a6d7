"""``vntape capsule``: what is in a crash capsule, and whether it still kills.

Exit codes: 0 the group still kills a fold, or there was only something to look at; 1 it folds well
now; 78 the capsule cannot be read here.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.wiring.capsule import FOLDING, FOLDS, Capsule, CapsuleError, Case, read_capsule
from engine.wiring.slot_words import codes_of, describe

SLOTS_SHOWN = 20
FOLD_LIMIT_S = 600.0  # it may have to compile the kernels first
REPRODUCED, NOT_REPRODUCED = 0, 1


def summary(case: Case) -> list[str]:
    """Return what a case is about, for people."""
    return [
        f"slots {case.first_seq} to {case.end_seq - 1} of shard {case.shard}, day {case.day}: "
        f"quarantined after {case.deaths} deaths, the last by {case.how}",
        f"written {np.datetime64(case.written_ns, 'ns').astype('datetime64[s]')}Z by vntape "
        f"{case.vntape}, schema {case.schema}",
        f"fold: symbols_max {case.symbols_max}, side_precedence "
        f"{','.join(case.side_precedence)}, {len(case.rules)} rules of its own",
    ]


def lines(capsule: Capsule, slots_shown: int = SLOTS_SHOWN) -> list[str]:
    """Return all there is to see, at most `slots_shown` slots of either part."""
    case = capsule.case
    codes = {**case.codes, **codes_of(capsule.before), **codes_of(capsule.group)}
    state_bytes = sum(array.nbytes for array in capsule.image.values())
    return [
        *summary(case),
        f"state just before: {len(capsule.image)} arrays, {state_bytes:,} bytes",
        "",
        f"before ({len(capsule.before)} slots)",
        *_shown(capsule.before[-slots_shown:], len(capsule.before), codes),
        "",
        f"the group ({len(capsule.group)} slots)",
        *_shown(capsule.group[:slots_shown], len(capsule.group), codes),
        "",
        "what the worker said last",
        *(f"  {line}" for line in (case.stack or "nothing").splitlines()),
    ]


def _shown(slots: NDArray[np.void], count: int, codes: Mapping[int, str]) -> list[str]:
    text = [f"  {line}" for line in describe(slots, codes)]
    if len(slots) < count:
        text.append(f"  {count - len(slots)} more: --slots {count}")
    return text


def fold_in_child(path: Path, folds: str = FOLDS) -> tuple[bool, str]:
    """Fold a capsule in a process of its own.

    Returns
    -------
    tuple of (bool, str)
        Whether the group did to it what it did to the workers, and how it ended, in words.

    Raises
    ------
    ConfigError
        It did not come as far as folding the group.
    """
    argv = [sys.executable, "-m", "engine.wiring.capsule", str(path), "--folds", folds]
    try:
        ended = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=FOLD_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return True, f"did not return within {FOLD_LIMIT_S:.0f} s"
    said = ended.stdout.splitlines()
    if not said or said[0] != FOLDING:
        raise ConfigError(f"{path} could not be folded:\n{ended.stderr.strip()}")
    if ended.returncode == 0:
        return False, f"returned {said[1]} rows"
    if ended.returncode < 0:
        return True, f"signal {signal.Signals(-ended.returncode).name}\n{ended.stderr.strip()}"
    error = ended.stderr.strip()
    return True, f"raised {error.rsplit(chr(10), 1)[-1]}\n{error}"


def run(path: Path, *, fold: bool, slots_shown: int = SLOTS_SHOWN, folds: str = FOLDS) -> int:
    """Print a capsule and, if asked, fold it; return the exit code.

    Raises
    ------
    ConfigError
        It cannot be read or folded here.
    SchemaMismatch
        It was written by another version, which is named.
    """
    try:
        capsule = read_capsule(path)
    except CapsuleError as error:
        raise ConfigError(str(error)) from None
    print("\n".join(lines(capsule, slots_shown)))
    if not fold:
        return 0
    reproduced, how = fold_in_child(path, folds)
    print(f"\nfolded again: {how}")
    return REPRODUCED if reproduced else NOT_REPRODUCED

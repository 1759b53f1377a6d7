"""The intrinsics do what their plain twins do, are really atomic in LLVM, and refuse the rest."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.jit import kernel
from engine.ring import atomics
from engine.ring.atomics import (
    copy_row,
    fence_acquire,
    fence_release,
    fence_seq_cst,
    load_acquire,
    store_release,
)
from engine.schema.slots import SLOT_BYTES

WORDS = SLOT_BYTES // 8
JIT_OFF = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
needs_jit = pytest.mark.skipif(JIT_OFF, reason="there is no machine code to look at")


@kernel
def exercise(cells, index, value):
    before = load_acquire(cells, index)
    fence_release()
    store_release(cells, index, value)
    fence_seq_cst()
    fence_acquire()
    return before


@kernel
def move(target, to, source, at):
    copy_row(target, to, source, at)


@kernel
def wait_for(cells, index, value, turns):
    while load_acquire(cells, index) != value and turns > 0:
        turns -= 1
    return turns


def test_a_cell_is_loaded_and_stored_and_its_neighbours_are_not() -> None:
    cells = np.arange(5, dtype=np.int64)
    assert exercise(cells, 3, -(2**62)) == 3
    assert cells.tolist() == [0, 1, 2, -(2**62), 4]


def test_plain_twins_agree() -> None:
    cells = np.arange(5, dtype=np.int64)
    atomics.plain_store(cells, 2, 9)
    assert atomics.plain_load(cells, 2) == 9
    assert atomics.plain_fence() is None


def test_one_row_moves_and_no_other() -> None:
    rng = np.random.default_rng(1)
    source = rng.integers(-(2**63), 2**63 - 1, (4, WORDS))
    for move_row in (move, atomics.plain_copy_row):
        target = np.zeros((3, WORDS), np.int64)
        move_row(target, 1, source, 3)
        assert (target[1] == source[3]).all()
        assert not target[0].any()
        assert not target[2].any()


@needs_jit
@pytest.mark.jit
def test_the_orderings_reach_llvm() -> None:
    exercise(np.zeros(1, np.int64), 0, 0)
    exercise.recompile()  # a kernel from the cache keeps no text to look at
    text = next(iter(exercise.inspect_llvm().values()))
    for instruction in (
        "load atomic i64",
        "store atomic i64",
        "fence release",
        "fence seq_cst",
        "fence acquire",
    ):
        assert instruction in text, instruction
    assert 'syncscope("singlethread")' not in text


@needs_jit
@pytest.mark.race
def test_a_load_in_a_loop_is_not_hoisted() -> None:
    """A hoisted load never sees the store: the loop would use up its turns."""
    cells = np.zeros(1, np.int64)
    assert wait_for(cells, 0, 1, 3) == 0
    with ThreadPoolExecutor(1) as threads:
        turns_left = threads.submit(wait_for, cells, 0, 1, 10**11)
        exercise(cells, 0, 1)
        assert turns_left.result() > 0


@needs_jit
@pytest.mark.jit
@pytest.mark.parametrize("cells", [np.zeros(4, np.int32), np.zeros((2, 2), np.int64)])
def test_other_widths_and_shapes_do_not_compile(cells) -> None:
    with pytest.raises(atomics.numba.TypingError):
        exercise(cells, 0, 1)


@needs_jit
@pytest.mark.jit
def test_a_store_to_readonly_memory_does_not_compile() -> None:
    cells = np.zeros(4, np.int64)
    cells.flags.writeable = False
    with pytest.raises(atomics.numba.TypingError):
        exercise(cells, 0, 1)

"""Ordered loads and stores on 64-bit cells of shared memory, and fences.

A plain load in a loop is hoisted by LLVM and a plain store may move: everything two processes
agree on goes through here. A cell is ``cells[index]`` of an int64 array, 8-byte aligned.

    load_acquire(cells, index)          nothing after it moves before it
    store_release(cells, index, value)  nothing before it moves after it
    fence_acquire()                     loads before it stay before everything after it
    fence_release()                     everything before it stays before stores after it
    fence_seq_cst()                     stores before it are seen before loads after it run

Beside them stands `copy_row`, one slot's worth of plain words moved by vector instructions: the
same loop written in a kernel is left scalar by LLVM and costs a third of the ring's speed.

They work inside kernels only. With the JIT off they are their plain twins, which keep the order
of the program text because the interpreter does (and tests can watch them); CPython on a
weakly ordered machine gives no more than that, so the JIT-off lane tests logic, not memory.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba.core import cgutils as untyped_cgutils
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from engine.schema.slots import SLOT_BYTES

cgutils: Any = untyped_cgutils  # numba is typed in parts only
config: Any = numba.config

CELL_ALIGN_BYTES = 8
COPY_ROW_BYTES = SLOT_BYTES  # a constant, so that LLVM writes the moves out

Cells = NDArray[Any]  # int64, shape (n,)
Rows = NDArray[Any]  # int64, shape (n, words), contiguous


def plain_load(cells: Cells, index: int) -> int:
    """Twin of `load_acquire` for the interpreter."""
    return int(cells[index])


def plain_store(cells: Cells, index: int, value: int) -> None:
    """Twin of `store_release` for the interpreter."""
    cells[index] = value


def plain_fence() -> None:
    """Twin of every fence: the interpreter reorders nothing."""


def plain_copy_row(target: Rows, to: int, source: Rows, at: int) -> None:
    """Twin of `copy_row` for the interpreter."""
    target[to] = source[at]


def _cell_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Emit the address of ``array[index]``; bounds are checked in the bounds-checked lane."""
    view = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, view, [index], boundscheck=True)


def _row_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Emit the address of ``array[index, 0]``."""
    view = context.make_array(array_type)(context, builder, array)
    at = [index, context.get_constant(types.intp, 0)]
    return cgutils.get_item_pointer(context, builder, array_type, view, at, boundscheck=True)


def _is_cells(array_type: Any) -> bool:
    """Accept int64 cells and nothing else: another width would not be one atomic access."""
    return (
        isinstance(array_type, types.Array)
        and array_type.ndim == 1
        and array_type.dtype == types.int64
    )


def _is_rows(array_type: Any) -> bool:
    """Accept contiguous rows of int64."""
    return (
        isinstance(array_type, types.Array)
        and array_type.ndim == 2
        and array_type.dtype == types.int64
        and array_type.layout == "C"
    )


def _load_acquire(_typing: Any, cells: Any, index: Any) -> Any:
    """Type and emit an acquire load."""
    if not (_is_cells(cells) and isinstance(index, types.Integer)):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = _cell_pointer(context, builder, signature.args[0], args[0], at)
        return builder.load_atomic(pointer, "acquire", CELL_ALIGN_BYTES)

    return types.int64(cells, index), emit


def _store_release(_typing: Any, cells: Any, index: Any, value: Any) -> Any:
    """Type and emit a release store."""
    if not (
        _is_cells(cells)
        and cells.mutable
        and isinstance(index, types.Integer)
        and isinstance(value, types.Integer)
    ):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = context.cast(builder, args[1], signature.args[1], types.intp)
        word = context.cast(builder, args[2], signature.args[2], types.int64)
        pointer = _cell_pointer(context, builder, signature.args[0], args[0], at)
        builder.store_atomic(word, pointer, "release", CELL_ALIGN_BYTES)
        return context.get_dummy_value()

    return types.void(cells, index, value), emit


def _fence(ordering: str) -> Callable[..., Any]:
    """Build the typing function of one fence."""

    def typed(_typing: Any) -> Any:
        def emit(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
            builder.fence(ordering)  # of LLVM's default scope, which spans processes
            return context.get_dummy_value()

        return types.void(), emit

    return typed


def _copy_row(_typing: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
    """Type and emit ``target[to] = source[at]`` for rows of one slot each."""
    if not (
        _is_rows(target)
        and target.mutable
        and _is_rows(source)
        and isinstance(to, types.Integer)
        and isinstance(at, types.Integer)
    ):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [
            _row_pointer(
                context,
                builder,
                signature.args[i],
                args[i],
                context.cast(builder, args[i + 1], signature.args[i + 1], types.intp),
            )
            for i in (0, 2)
        ]
        size = context.get_constant(types.intp, COPY_ROW_BYTES)
        cgutils.raw_memcpy(builder, *pointers, size, 1)
        return context.get_dummy_value()

    return types.void(target, to, source, at), emit


load_acquire: Any
store_release: Any
fence_acquire: Any
fence_release: Any
fence_seq_cst: Any
copy_row: Any

if config.DISABLE_JIT:
    load_acquire = plain_load
    store_release = plain_store
    fence_acquire = fence_release = fence_seq_cst = plain_fence
    copy_row = plain_copy_row
else:
    load_acquire = intrinsic(_load_acquire)
    store_release = intrinsic(_store_release)
    fence_acquire = intrinsic(_fence("acquire"))
    fence_release = intrinsic(_fence("release"))
    fence_seq_cst = intrinsic(_fence("seq_cst"))
    copy_row = intrinsic(_copy_row)

"""Codes as clients read them: words, lists of words, and true or false."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.schema.words import FLAGS, TRUTHS, WORDS
from gateway.texts import Texts

KEY_BITS: Final = 62  # of one remembered text: what an int64 holds


def is_code(name: str) -> bool:
    """Return whether a field is written as words rather than as a number."""
    return name in WORDS or name in FLAGS or name in TRUTHS


def code_run(names: list[str], dtype: np.dtype[Any]) -> list[str]:
    """Return the leading names that are all codes and fit one key: they share a text."""
    run: list[str] = []
    bits = 0
    for name in names:
        bits += 8 * dtype[name].itemsize
        if not is_code(name) or bits > KEY_BITS:
            break
        run.append(name)
    return run


def code_column(
    run: list[str], dtype: np.dtype[Any]
) -> Callable[[NDArray[np.void]], Iterable[object]]:
    """Write several codes at once: their bytes make one key, the text of a key is remembered."""
    bits = [8 * dtype[name].itemsize for name in run]
    shifts = [sum(bits[:i]) for i in range(len(bits))]

    def render(key: int) -> str:
        return ",".join(
            f'"{name}":{_said(name, key >> shift & (1 << width) - 1)}'
            for name, shift, width in zip(run, shifts, bits, strict=True)
        )

    written = Texts(render).__getitem__

    def column(rows: NDArray[np.void]) -> Iterable[object]:
        key = rows[run[0]].astype(np.int64)
        for name, shift in zip(run[1:], shifts[1:], strict=True):
            key |= rows[name].astype(np.int64) << shift
        return map(written, key.tolist())

    return column


def _said(name: str, value: int) -> str:
    if name in TRUTHS:
        return "true" if value else "false"
    if name in FLAGS:
        words = [flag.name for flag in FLAGS[name] if flag and value & flag]
        return orjson.dumps(words).decode()
    return f'"{_word(WORDS[name], value)}"'


def _word(kind: type[IntEnum], value: int) -> str:
    try:
        return kind(value).name
    except ValueError:
        return str(value)  # a newer writer's code: say the number rather than lie

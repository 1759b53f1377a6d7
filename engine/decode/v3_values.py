"""Single values of a v3 frame: words, codes and numbers as JSON writes them, one layer deep.

Each reader takes where a value starts and how far words may be loaded, and returns where the value
ends, or DECLINED for a spelling that is left to the oracle.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.numbers import DECLINED, read_number, skip_number
from engine.decode.scanner import code_of, plain_end
from engine.decode.words import eight, lowest_bits, not_plain, text_word
from engine.jit import inlined_kernel

NULL = text_word(b"null")
FOUR_BYTES = 0xFFFFFFFF
_TRUE, _FALSE = text_word(b"true"), text_word(b"fals")
_MARK = ord('"')


@inlined_kernel
def byte_at(words: NDArray[np.void], at: int) -> int:
    """Return one byte."""
    return eight(words, at) & 0xFF


@inlined_kernel
def read_word(words: NDArray[np.void], at: int, end: int) -> tuple[int, int, int]:
    """Read up to 15 plain bytes between quotes: two words, zero-padded, and where it ends."""
    if at + 17 > end or byte_at(words, at) != _MARK:
        return 0, 0, DECLINED
    at += 1
    low = eight(words, at)
    marks = not_plain(low)
    if marks != 0:
        bits = lowest_bits(marks)
        low &= (1 << bits) - 1
        high = 0
        at += bits >> 3
    else:
        high = eight(words, at + 8)
        marks = not_plain(high)
        if marks == 0:
            return 0, 0, DECLINED
        bits = lowest_bits(marks)
        high &= (1 << bits) - 1
        at += 8 + (bits >> 3)
    if at + 8 > end or byte_at(words, at) != _MARK:
        return 0, 0, DECLINED
    return low, high, at + 1


@inlined_kernel
def read_v3_code(
    words: NDArray[np.void],
    at: int,
    end: int,
    vocabulary: NDArray[np.void],
    unknown: int,
    none: int,
) -> tuple[int, int]:
    """Read one word of a vocabulary: its code (`none` for null and "") and where it ends."""
    if at + 8 <= end and eight(words, at) & FOUR_BYTES == NULL:
        return none, at + 4
    low, high, stop = read_word(words, at, end)
    if low == 0:
        return none, stop
    return code_of(vocabulary, low, high, unknown), stop


@inlined_kernel
def read_either(words: NDArray[np.void], at: int, end: int, decimals: int) -> tuple[int, int]:
    """Read an unsigned number, bare or quoted, as `read_number` does."""
    quoted = 1 if at + 8 <= end and byte_at(words, at) == _MARK else 0
    value, stop = read_number(words, at + quoted, end, decimals)
    if quoted != 0 and stop >= 0:
        if stop + 8 > end or byte_at(words, stop) != _MARK:
            return 0, DECLINED
        stop += 1
    return value, stop


@inlined_kernel
def skip_scalar(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where a scalar ends (number, plain text, null, true, false), or DECLINED."""
    if at + 8 > end:
        return DECLINED
    word = eight(words, at)
    if word & 0xFF == _MARK:
        at = plain_end(words, at + 1, end)
        if at < 0 or at + 8 > end or byte_at(words, at) != _MARK:
            return DECLINED
        return at + 1
    if word & FOUR_BYTES in (NULL, _TRUE):
        return at + 4
    if word & FOUR_BYTES == _FALSE:
        return at + 5 if (word >> 32) & 0xFF == ord("e") else DECLINED
    return skip_number(words, at, end)

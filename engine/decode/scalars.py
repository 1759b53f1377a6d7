"""Single values inside a frame: text, codes, numbers and what to skip, whatever the quotes.

In v3 a record's text stands between plain quotes; in v2 the record is a string in a string, so its
quotes are four bytes long. All else is the same JSON.

Each reader takes where a value starts and how far words may be loaded, and returns where the value
ends, or DECLINED for a spelling that is left to the oracle.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decode.numbers import DECLINED, read_number, skip_number
from engine.decode.words import eight, lowest_bits, not_plain, text_word
from engine.jit import inlined_kernel

_NULL, _TRUE, _FALSE = text_word(b"null"), text_word(b"true"), text_word(b"fals")
_FOUR_BYTES = 0xFFFFFFFF
_MARK, _E = ord('"'), ord("e")


class Quote(NamedTuple):
    """How a protocol writes a quote; a constant of the kernel that passes it on."""

    word: int
    mask: int  # of its bytes
    length: int


def quote_of(text: bytes) -> Quote:
    """Return a quote spelled as `text`."""
    return Quote(text_word(text), (1 << 8 * len(text)) - 1, len(text))


@inlined_kernel
def byte_at(words: NDArray[np.void], at: int) -> int:
    """Return one byte."""
    return eight(words, at) & 0xFF


@inlined_kernel
def is_null(words: NDArray[np.void], at: int) -> bool:
    """Whether the value at `at` is null."""
    return eight(words, at) & _FOUR_BYTES == _NULL


@inlined_kernel
def plain_end(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where the run of plain bytes that starts at `at` ends, or DECLINED."""
    while at + 8 <= end:
        marks = not_plain(eight(words, at))
        if marks != 0:
            return at + (lowest_bits(marks) >> 3)
        at += 8
    return DECLINED


@inlined_kernel
def is_quoted(words: NDArray[np.void], at: int, end: int, length: int, quote: Quote) -> bool:
    """Whether quotes stand around the `length` bytes of text that a value at `at` would have."""
    return (
        at + 2 * quote.length + length + 8 <= end
        and eight(words, at) & quote.mask == quote.word
        and eight(words, at + quote.length + length) & quote.mask == quote.word
    )


@inlined_kernel
def read_text(words: NDArray[np.void], at: int, end: int, quote: Quote) -> tuple[int, int, int]:
    """Read up to 15 plain bytes between quotes.

    Returns
    -------
    tuple[int, int, int]
        The text zero-padded to 16 bytes as two words, and where the closing quote ends; DECLINED
        as the last when it is no such text.
    """
    if at + quote.length + 8 > end or eight(words, at) & quote.mask != quote.word:
        return 0, 0, DECLINED
    at += quote.length
    low = eight(words, at)
    high = 0
    marks = not_plain(low)
    if marks != 0:
        bits = lowest_bits(marks)
        low &= (1 << bits) - 1
        at += bits >> 3
    else:
        if at + 16 > end:
            return 0, 0, DECLINED
        high = eight(words, at + 8)
        marks = not_plain(high)
        if marks == 0:
            return 0, 0, DECLINED
        bits = lowest_bits(marks)
        high &= (1 << bits) - 1
        at += 8 + (bits >> 3)
    if at + 8 > end or eight(words, at) & quote.mask != quote.word:
        return 0, 0, DECLINED
    return low, high, at + quote.length


@inlined_kernel
def code_of(vocabulary: NDArray[np.void], low: int, high: int, unknown: int) -> int:
    """Return the code of a word, or `unknown`."""
    for i in range(len(vocabulary)):
        if low == int(vocabulary[i]["low"]) and high == int(vocabulary[i]["high"]):
            return int(vocabulary[i]["code"])
    return unknown


@inlined_kernel
def read_code(
    words: NDArray[np.void],
    at: int,
    end: int,
    quote: Quote,
    vocabulary: NDArray[np.void],
    unknown: int,
    none: int,
) -> tuple[int, int]:
    """Read one word of a vocabulary: its code (`none` for null and "") and where it ends."""
    if at + 8 <= end and is_null(words, at):
        return none, at + 4
    low, high, stop = read_text(words, at, end, quote)
    if low == 0:
        return none, stop
    return code_of(vocabulary, low, high, unknown), stop


@inlined_kernel
def skip_scalar(words: NDArray[np.void], at: int, end: int, quote: Quote) -> int:
    """Return where a scalar ends (number, plain text, null, true, false), or DECLINED."""
    if at + 8 > end:
        return DECLINED
    word = eight(words, at)
    if word & quote.mask == quote.word:
        at = plain_end(words, at + quote.length, end)
        if at < 0 or at + 8 > end or eight(words, at) & quote.mask != quote.word:
            return DECLINED
        return at + quote.length
    if word & _FOUR_BYTES in (_NULL, _TRUE):
        return at + 4
    if word & _FOUR_BYTES == _FALSE:
        return at + 5 if (word >> 32) & 0xFF == _E else DECLINED
    return skip_number(words, at, end)


@inlined_kernel
def read_either(words: NDArray[np.void], at: int, end: int, decimals: int) -> tuple[int, int]:
    """Read an unsigned number, bare or between plain quotes (v3 only), as `read_number` does."""
    quoted = 1 if at + 8 <= end and byte_at(words, at) == _MARK else 0
    value, stop = read_number(words, at + quoted, end, decimals)
    if quoted != 0 and stop >= 0:
        if stop + 8 > end or byte_at(words, stop) != _MARK:
            return 0, DECLINED
        stop += 1
    return value, stop

"""Eight bytes at a time: what the scanner knows about text in a register.

A word is eight bytes of a frame as one little-endian int64: the first byte is the lowest. Sums and
products that wrap around are unsigned inside (see jit.U64), and masked back to bits below 64 before
anything depends on them, so that they mean the same with the JIT off.
"""

import numpy as np
from numpy.typing import NDArray

from engine.jit import I64, U64, inlined_kernel

# One packed field, so that a compiled load makes no assumption about alignment.
WORD = np.dtype([("eight", "<i8")])

_ONES = U64(0x0101010101010101)
_LOW_SEVEN = U64(0x7F7F7F7F7F7F7F7F)
_ZERO_DIGITS = U64(0x3030303030303030)
_ABOVE_NINE = U64(0x7676767676767676)  # + 10 or more reaches bit 7 of the byte
_LOW_NIBBLES = U64(0x0F0F0F0F0F0F0F0F)
_SPACES = U64(0x2020202020202020)
_QUOTES = U64(0x2222222222222222)
_BACKSLASHES = U64(0x5C5C5C5C5C5C5C5C)
_UP_TO_A = U64(0x1F1F1F1F1F1F1F1F)  # + 'a' or more reaches bit 7
_UP_TO_BRACE = U64(0x0505050505050505)  # + '{' or more reaches bit 7
_BIT_COUNTS = U64(0x0008101820283038)  # byte 7 - n holds 8 n
_PAIR, _PAIRS = U64(2561), U64(0x00FF00FF00FF00FF)
_FOUR, _FOURS = U64(6553601), U64(0x0000FFFF0000FFFF)
_EIGHT, _LOW_HALF = U64(42949672960001), U64(0xFFFFFFFF)
_BYTE = U64(0xFF)
_5, _7, _8, _16, _32, _56 = (U64(bits) for bits in (5, 7, 8, 16, 32, 56))


def text_word(text: bytes) -> int:
    """Return up to eight bytes as a word, zero-padded: the constants scanners compare with."""
    assert len(text) <= 8, f"{text!r} does not fit a word"
    return int.from_bytes(text.ljust(8, b"\0"), "little", signed=True)


def text_words(text: bytes) -> NDArray[np.int64]:
    """Return a text of eight bytes or more as words; the last one may overlap the one before."""
    starts = [*range(0, len(text) - 8, 8), len(text) - 8]
    return np.array([text_word(text[at : at + 8]) for at in starts], np.int64)


def words_over(data: NDArray[np.uint8]) -> NDArray[np.void]:
    """Return a view of `data` (1-D, contiguous) whose element p is the eight bytes at p.

    Its length is ``len(data) - 7``, so a bounds-checked index proves the whole load.
    """
    return np.ndarray((max(len(data) - 7, 0),), WORD, data, strides=(1,))


@inlined_kernel
def eight(words: NDArray[np.void], at: int) -> int:
    """Return the word at `at`, of a view made by `words_over`.

    The stride is always 1; asking lets the compiler drop the multiplication by it. An unsigned
    index needs no wrap-around. Plainly: ``int(words[at]["eight"])``.
    """
    if words.strides[0] != 1:
        return 0
    return int(words[np.uint64(at)]["eight"])


@inlined_kernel
def is_text(words: NDArray[np.void], at: int, text: NDArray[np.int64], length: int) -> bool:
    """Whether the text of `length` bytes, as `text_words` writes it, stands at `at`."""
    count = len(text)
    for i in range(count):
        offset = 8 * i if i < count - 1 else length - 8
        if eight(words, at + offset) != int(text[i]):
            return False
    return True


@inlined_kernel
def lowest_bits(marks: int) -> int:
    """Return 8 n for the lowest marked byte n; `marks` has bit 0 of marked bytes, not 0."""
    # Multiplying by 256**n moves byte 7 - n of the constant to the top.
    return int(I64(((U64(marks & -marks) * _BIT_COUNTS) >> _56) & _BYTE))


@inlined_kernel
def not_digits(word: int) -> int:
    """Mark bytes that are not '0'..'9'."""
    flipped = U64(word) ^ _ZERO_DIGITS
    return int(I64(((((flipped & _LOW_SEVEN) + _ABOVE_NINE) | flipped) >> _7) & _ONES))


@inlined_kernel
def not_plain(word: int) -> int:
    """Mark bytes that end or complicate a JSON string: quote, backslash, control, non-ASCII.

    Exact up to and including the lowest mark, which is all a scan asks for.
    """
    text = U64(word)
    quote = text ^ _QUOTES
    backslash = text ^ _BACKSLASHES
    return int(
        I64(
            (
                (
                    ((quote - _ONES) & ~quote)
                    | ((backslash - _ONES) & ~backslash)
                    | ((text - _SPACES) & ~text)
                    | text
                )
                >> _7
            )
            & _ONES
        )
    )


@inlined_kernel
def same_bytes(word: int, other: int) -> int:
    """Mark bytes that are the same in both; exact up to and including the lowest mark."""
    differs = U64(word) ^ U64(other)
    return int(I64((((differs - _ONES) & ~differs) >> _7) & _ONES))


@inlined_kernel
def upper_case(word: int) -> int:
    """Return the word with 'a'..'z' made upper-case; its bytes are ASCII."""
    text = U64(word)
    letters = (((text + _UP_TO_A) & ~(text + _UP_TO_BRACE)) >> _7) & _ONES
    return int(I64(text - (letters << _5)))


@inlined_kernel
def eight_digits(word: int) -> int:
    """Return the number that eight digit bytes spell; bytes of value 0 count as '0'."""
    pairs = (((U64(word) & _LOW_NIBBLES) * _PAIR) >> _8) & _PAIRS  # 10 a + b
    fours = ((pairs * _FOUR) >> _16) & _FOURS  # 100 a + b
    return int(I64(((fours * _EIGHT) >> _32) & _LOW_HALF))  # 10,000 a + b


@inlined_kernel
def digits(word: int, bits: int) -> int:
    """Return the number that the first `bits` / 8 (1..8) bytes spell."""
    return eight_digits(int(I64((U64(word) << U64(64 - bits)) & _LOW_NIBBLES)))

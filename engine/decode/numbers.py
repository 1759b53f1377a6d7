"""Numbers without floats: the decimal text of the wire to fixed point, the same in both decoders.

Rounding: to the nearest unit, halves away from zero (24642.228 -> 2464223 e2; 0.5 -> 1). Stored
numbers are never negative, and their range is checked after rounding.

The wire's text is a double's shortest form (ssi-wire 1.4), and the oracle sees that double. The
scanner sees the text, and accepts it only when both must round alike: up to 15 digits always (a
double holds them exactly enough to print them back); longer text only when it is not near a half.
"""

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import numpy as np
from numpy.typing import NDArray

from engine.decode.words import digits, eight, eight_digits, lowest_bits, not_digits, text_word
from engine.jit import inlined_kernel
from engine.schema.codes import Reject

DECLINED = -1

_POWERS_OF_TEN = np.array([10**n for n in range(10)], np.int64)
_EXACT_DIGITS = 15
_LONG_INTEGER_DIGITS = 13  # doubles below 10**13 lie less than 0.002 apart: far from a tenth
_FRACTION_DIGITS_MAX = 24
_COMMA, _BRACE, _DOT, _MINUS, _ZERO = (ord(c) for c in ",}.-0")
_NULL_LEVEL = text_word(b"0.0,")
_LOW_FOUR = 0xFFFFFFFF


@inlined_kernel
def digits_end(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where the run of digits that starts at `at` ends, or DECLINED near the frame's end."""
    while at + 8 <= end:
        marks = not_digits(eight(words, at))
        if marks != 0:
            return at + (lowest_bits(marks) >> 3)
        at += 8
    return DECLINED


@inlined_kernel
def skip_number(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where a plain JSON number (no exponent) ends, or DECLINED."""
    if at + 8 > end:
        return DECLINED
    if eight(words, at) & 0xFF == _MINUS:
        at += 1
    stop = digits_end(words, at, end)
    if stop <= at or stop - at > _EXACT_DIGITS:
        return DECLINED
    if stop - at > 1 and eight(words, at) & 0xFF == _ZERO:
        return DECLINED
    if stop + 8 > end:
        return DECLINED
    if eight(words, stop) & 0xFF != _DOT:
        return stop
    at = stop + 1
    stop = digits_end(words, at, end)
    if stop <= at or stop - at > _FRACTION_DIGITS_MAX:
        return DECLINED
    return stop


@inlined_kernel
def read_number(words: NDArray[np.void], at: int, end: int, decimals: int) -> tuple[int, int]:
    """Read an unsigned JSON number as fixed point.

    Parameters
    ----------
    words
        WORD view of the batch; [at, end) is what is left of the frame.
    decimals
        2 for hundredths, 0 for whole numbers.

    Returns
    -------
    tuple[int, int]
        The value rounded to `decimals`, and where the text ends; (0, DECLINED) when it is no plain
        number, is near the frame's end, or could round differently as a double.
    """
    if at + 8 > end:
        return 0, DECLINED
    word = eight(words, at)
    if word & _LOW_FOUR == _NULL_LEVEL:  # most levels of most books
        return 0, at + 3
    marks = not_digits(word)
    if marks != 0:
        bits = lowest_bits(marks)
        if bits == 0 or (word & 0xFF == _ZERO and bits > 8):
            return 0, DECLINED
        integer_digits = bits >> 3
        value = digits(word, bits)
    else:
        if at + 16 > end or word & 0xFF == _ZERO:
            return 0, DECLINED
        value = eight_digits(word)
        word = eight(words, at + 8)
        marks = not_digits(word)
        if marks == 0:
            return 0, DECLINED  # 16 digits or more
        bits = lowest_bits(marks)
        integer_digits = 8 + (bits >> 3)
        if bits != 0:
            value = value * int(_POWERS_OF_TEN[bits >> 3]) + digits(word, bits)
    at += integer_digits
    if at + 9 > end:
        return 0, DECLINED
    if eight(words, at) & 0xFF != _DOT:
        return (value * 100 if decimals else value), at
    word = eight(words, at + 1)
    marks = not_digits(word)
    first = (word & 0xFF) - _ZERO
    if marks != 0 and lowest_bits(marks) == 8:  # one decimal: nearly every number
        if decimals:
            return value * 100 + first * 10, at + 2
        return value + (1 if first >= 5 else 0), at + 2
    stop = digits_end(words, at + 1, end)
    fraction_digits = stop - at - 1
    if fraction_digits < 1 or fraction_digits > _FRACTION_DIGITS_MAX:
        return 0, DECLINED
    deciding = first
    if decimals:
        value = value * 100 + first * 10 + ((word >> 8) & 0xFF) - _ZERO
        deciding = ((word >> 16) & 0xFF) - _ZERO if fraction_digits > 2 else 0
    if integer_digits + fraction_digits > _EXACT_DIGITS and (
        deciding in (4, 5) or integer_digits > _LONG_INTEGER_DIGITS
    ):
        return 0, DECLINED
    return value + (1 if deciding >= 5 else 0), stop


class BadValueError(Exception):
    """A value the oracle refuses, with the reason to count."""

    def __init__(self, reason: Reject) -> None:
        super().__init__(reason.name)
        self.reason = reason


_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_TEXT_MAX = 64
_EXACT_MAX = 2**53
_MAGNITUDE_MAX = 20  # a power of ten beyond the range of every field


def is_absent(raw: object) -> bool:
    """Whether a value says "nothing": absent, null, empty text, or NaN as the feed writes it."""
    return raw is None or (isinstance(raw, str) and raw in ("", "NaN"))


def fixed_point(raw: object, decimals: int, maximum: int) -> int:
    """Return a JSON value (int, float or numeric text) as fixed point: read_number's plain twin.

    Raises
    ------
    BadValueError
        BAD_NUMBER if it is no number, OUT_OF_RANGE if it rounds to less than 0 or more than
        `maximum`.
    """
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadValueError(Reject.BAD_NUMBER)
    if not isinstance(raw, str) and -_EXACT_MAX < raw < _EXACT_MAX and raw == (whole := int(raw)):
        value: int = whole * 10**decimals  # nearly every number: whole, exact as a double
        if not 0 <= value <= maximum:
            raise BadValueError(Reject.OUT_OF_RANGE)
        return value
    text = raw if isinstance(raw, str) else repr(raw)
    if len(text) > _TEXT_MAX or _JSON_NUMBER.fullmatch(text) is None:
        raise BadValueError(Reject.BAD_NUMBER)
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent beyond all reason
        raise BadValueError(Reject.OUT_OF_RANGE) from None
    # Arithmetic waits until the size is known: a hostile exponent overflows even a comparison.
    if exact.is_zero() or exact.adjusted() < -_MAGNITUDE_MAX:
        return 0
    if exact.adjusted() > _MAGNITUDE_MAX:
        raise BadValueError(Reject.OUT_OF_RANGE)
    value = int(exact.scaleb(decimals).to_integral_value(ROUND_HALF_UP))
    if not 0 <= value <= maximum:
        raise BadValueError(Reject.OUT_OF_RANGE)
    return value


def signed_fixed_point(raw: object, decimals: int, maximum: int) -> int:
    """Return a JSON value that may be negative as fixed point, of at most `maximum` either way.

    Raises
    ------
    BadValueError
        As `fixed_point`.
    """
    if isinstance(raw, str):
        negative = raw.startswith("-") and not raw.startswith("--")
        return (-1 if negative else 1) * fixed_point(raw[negative:], decimals, maximum)
    if isinstance(raw, int | float) and raw < 0:
        return -fixed_point(-raw, decimals, maximum)
    return fixed_point(raw, decimals, maximum)

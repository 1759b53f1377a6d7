"""Conditions over rows with three outcomes: known to hold, known not to, and not known.

A number may have no value: no price yet, a measure without meaning, a division by zero, anything
that is not finite. A comparison with it is neither true nor false. ``and``, ``or`` and ``not``
keep that apart, so that ``not x > 5`` does not hold either when x has no value.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.alerts.fields import Column, Multiplier, Rows

Bools = NDArray[np.bool_]
Operation = Callable[[Any, Any], Any]


class Truth(NamedTuple):
    """Where a condition is known to hold, and where it is known not to."""

    yes: Bools
    no: Bools


Judge = Callable[[Rows, Multiplier], Truth]


def joined(how: Literal["and", "or"], parts: Sequence[Judge]) -> Judge:
    """Return the judge of several conditions joined by one word."""
    if len(parts) == 1:
        return parts[0]
    ufuncs: tuple[Operation, Operation] = (np.logical_and, np.logical_or)
    both, either = ufuncs if how == "and" else reversed(ufuncs)

    def judge(rows: Rows, multiplier: Multiplier) -> Truth:
        yes, no = parts[0](rows, multiplier)
        for part in parts[1:]:
            other = part(rows, multiplier)
            yes, no = both(yes, other.yes), either(no, other.no)
        return Truth(yes, no)

    return judge


def negated(inner: Judge) -> Judge:
    """Return the judge of ``not inner``."""

    def judge(rows: Rows, multiplier: Multiplier) -> Truth:
        yes, no = inner(rows, multiplier)
        return Truth(no, yes)

    return judge


def numbers_compared(compare: Operation, left: Column, right: Column) -> Judge:
    """Return the judge of a comparison of two numbers, either of which may have no value."""

    def judge(rows: Rows, multiplier: Multiplier) -> Truth:
        a, b = left(rows, multiplier), right(rows, multiplier)
        known = ~(np.isnan(a) | np.isnan(b))
        said = compare(a, b)
        return Truth(known & said, known & ~said)

    return judge


def same(left: Column, right: Column) -> Judge:
    """Return the judge of ``left == right`` for words and texts, which always have a value."""

    def judge(rows: Rows, multiplier: Multiplier) -> Truth:
        yes = left(rows, multiplier) == right(rows, multiplier)
        return Truth(yes, ~yes)

    return judge


def has_bit(flags: Column, bit: int) -> Judge:
    """Return the judge of one bit of a set of flags."""

    def judge(rows: Rows, multiplier: Multiplier) -> Truth:
        yes = (flags(rows, multiplier) & bit) != 0
        return Truth(yes, ~yes)

    return judge


def constant(value: Any) -> Column:
    """Return the column that says the same of every row."""

    def column(rows: Rows, multiplier: Multiplier) -> Any:  # noqa: ARG001
        return value

    return column


def computed(operation: Operation, left: Column, right: Column) -> Column:
    """Return the column of a sum, difference, product or quotient.

    Whatever is not finite has no value, or 1 / (x / 0) would be a number again.
    """

    def column(rows: Rows, multiplier: Multiplier) -> Any:
        number = operation(left(rows, multiplier), right(rows, multiplier))
        return np.where(np.isfinite(number), number, np.nan)

    return column


COMPARISONS: Final[dict[str, Operation]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Eq": operator.eq,
    "NotEq": operator.ne,
}
ARITHMETIC: Final[dict[str, Operation]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mult": np.multiply,
    "Div": np.divide,
}

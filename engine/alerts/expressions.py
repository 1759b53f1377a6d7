"""Conditions of the operator's own rules: text to a function over rows, checked at start.

    stats.active_buy_ratio > 0.8 and stats.value_vnd > 5e9
    quote.phase == 'CONTINUOUS' and not quote.spread <= 100
    0 < bar.1m.close_price < bar.1m.prev_close_price and 'SUSPECT' not in bar.1m.bar_flags

Python's parser reads the text (``syntax``), and only what is named here is let through; nothing
is ever run as Python:

* ``and or not``, parentheses, comparisons ``< <= > >= == !=`` and chains of them;
* ``+ - * /`` of numbers, unary minus;
* numbers; a word or text in quotes, compared by ``== !=`` with a field of that kind; a word ``in``
  or ``not in`` a field of flags;
* ``channel.field`` (``fields`` says which). All fields of one condition are of one channel.

What has no value makes a condition "not known" (``truth``), and such a condition does not hold.
"""

import ast
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from engine.alerts import truth
from engine.alerts.fields import (
    OFFERED,
    Field,
    FlagsField,
    Multiplier,
    NumberField,
    Rows,
    TextField,
    TruthField,
    WordField,
    fields_of,
)
from engine.alerts.syntax import Fault, Source
from engine.alerts.truth import Bools, Judge
from engine.errors import ConfigError
from engine.schema.channels import BY_NAME, Channel

MADE_OF: Final = (
    "a condition is made of channel.field, numbers, words in quotes, + - * /, comparisons, "
    "and, or, not"
)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A word or a text in quotes."""

    text: str


Value = Field | Quoted


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition.

    Attributes
    ----------
    channel
        Whose rows it judges.
    judge
        Says where it is known to hold and where it is known not to; `holds` asks it.
    """

    channel: Channel
    judge: Judge

    def holds(self, rows: Rows, multiplier: Multiplier) -> Bools:
        """Return for which rows the condition holds.

        Parameters
        ----------
        rows
            Rows of `channel`, shape (n,).
        multiplier
            int64, shape (n,): ``value_multiplier`` of each row's symbol.

        Returns
        -------
        ndarray
            bool, shape (n,). Never warns: what cannot be computed does not hold.
        """
        with np.errstate(all="ignore"):
            return self.judge(rows, multiplier).yes


def compile_condition(name: str, text: str) -> Condition:
    """Check a condition against the channels and return it ready to be asked.

    Parameters
    ----------
    name
        Of the rule, for the error.
    text
        See the module.

    Raises
    ------
    ConfigError
        What is wrong, the text, and a caret under the column.
    """
    shown = re.sub(r"\s", " ", text)
    try:
        return _Compiler(Source(shown)).condition()
    except Fault as fault:
        column = min(fault.column, len(shown))
        raise ConfigError(
            f"rules.{name}, column {column + 1}: {fault.message}\n    {shown}\n    {' ' * column}^"
        ) from None


def _near(word: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest known word was meant, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]}?" if near else "."


class _Compiler:
    """Turns one tree into a Condition."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._channel: Channel | None = None

    def condition(self) -> Condition:
        tree = self._source.tree
        judge = self._truth(tree)
        if self._channel is None:
            raise self._fault(tree, "it asks about no field, so nothing can ever change it")
        return Condition(self._channel, judge)

    def _fault(self, node: ast.expr, message: str) -> Fault:
        return Fault(message, self._source.column(node))

    # --- conditions ---------------------------------------------------------------------------

    def _truth(self, node: ast.expr) -> Judge:
        if isinstance(node, ast.BoolOp):
            parts = [self._truth(each) for each in node.values]
            return truth.joined("and" if isinstance(node.op, ast.And) else "or", parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return truth.negated(self._truth(node.operand))
        if isinstance(node, ast.Compare):
            nodes = [node.left, *node.comparators]
            values = [self._value(each) for each in nodes]
            return truth.joined(
                "and",
                [
                    self._compared(op, values[i], values[i + 1], nodes[i + 1])
                    for i, op in enumerate(node.ops)
                ],
            )
        value = self._value(node)
        if isinstance(value, TruthField):
            return truth.has_bit(value.column, 1)
        raise self._fault(node, "a value alone is no condition: compare it with something")

    def _compared(self, op: ast.cmpop, left: Value, right: Value, node: ast.expr) -> Judge:
        """Return the judge of one comparison; `node` is its right side, where faults point."""
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(left, Quoted) or not isinstance(right, FlagsField):
                raise self._fault(node, "in asks a field of flags: 'CROSSED' in quote.flags")
            there = truth.has_bit(right.column, self._code(right.words, left.text, node))
            return there if isinstance(op, ast.In) else truth.negated(there)
        compare = truth.COMPARISONS.get(type(op).__name__)
        if compare is None:
            raise self._fault(node, "compare with < <= > >= == != or in")
        if isinstance(left, NumberField) and isinstance(right, NumberField):
            return truth.numbers_compared(compare, left.column, right.column)
        equal = self._equal(left, right, node)
        if isinstance(op, ast.Eq):
            return equal
        if isinstance(op, ast.NotEq):
            return truth.negated(equal)
        raise self._fault(node, "words and texts are compared with == or != only")

    def _equal(self, left: Value, right: Value, node: ast.expr) -> Judge:
        """Return the judge of left == right where at least one is no number."""
        if isinstance(left, Quoted):
            left, right = right, left
        if isinstance(left, FlagsField):
            raise self._fault(node, "flags are asked with in: 'CROSSED' in quote.flags")
        if isinstance(left, TruthField) or isinstance(right, TruthField):
            raise self._fault(node, "what is true or false is no number: ask it by itself, or not")
        if isinstance(left, WordField) and isinstance(right, Quoted):
            code = self._code(left.words, right.text, node)
            return truth.same(left.column, truth.constant(code))
        if isinstance(left, WordField) and isinstance(right, WordField):
            if left.words == right.words:
                return truth.same(left.column, right.column)
            raise self._fault(node, "the two fields do not have the same words")
        if isinstance(left, TextField) and isinstance(right, Quoted):
            return truth.same(left.column, truth.constant(right.text.encode()))
        raise self._fault(node, "both sides must be numbers, or a field and a word in quotes")

    def _code(self, words: Mapping[str, int], word: str, node: ast.expr) -> int:
        if word not in words:
            raise self._fault(
                node, f"unknown word {word!r}{_near(word, words)} Known are {', '.join(words)}"
            )
        return words[word]

    # --- values -------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._named(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._number(node.operand)
            return NumberField(truth.computed(np.subtract, truth.constant(0.0), inner.column))
        if isinstance(node, ast.BinOp) and type(node.op).__name__ in truth.ARITHMETIC:
            left, right = self._number(node.left), self._number(node.right)
            operation = truth.ARITHMETIC[type(node.op).__name__]
            return NumberField(truth.computed(operation, left.column, right.column))
        if isinstance(node, ast.BoolOp | ast.Compare) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            raise self._fault(node, "a condition is no value: it is not computed or compared")
        raise self._fault(node, f"not allowed; {MADE_OF}")

    def _number(self, node: ast.expr) -> NumberField:
        value = self._value(node)
        if not isinstance(value, NumberField):
            raise self._fault(node, "only numbers can be computed with")
        return value

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, str):
            return Quoted(node.value)
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self._fault(node, "write a number, or a word in quotes")
        try:
            number = float(node.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._fault(node, "the number is too large")
        return NumberField(truth.constant(np.float64(number)))

    def _named(self, node: ast.expr) -> Field:
        dotted = self._source.dotted(node)
        if not re.fullmatch(r"\w+(\.\w+)*", dotted):
            raise self._fault(node, "write channel.field")
        name, _, field_name = dotted.rpartition(".")
        if not name:
            homes = [each for each, channel in OFFERED.items() if dotted in fields_of(channel)]
            hint = f", such as {homes[0]}.{dotted}" if homes else ""
            raise self._fault(node, f"{dotted} says no channel: write channel.field{hint}")
        channel = self._channel_of(name, dotted, node)
        found = fields_of(channel)
        if field_name not in found:
            raise Fault(
                f"{name} has no field {field_name} that a rule can ask for"
                f"{_near(field_name, found)} It has {', '.join(found)}",
                self._source.last_column(node, field_name),
            )
        if self._channel is not None and self._channel is not channel:
            raise self._fault(
                node, f"a rule looks at one channel: {dotted} is not of {self._channel.name}"
            )
        self._channel = channel
        return found[field_name]

    def _channel_of(self, name: str, dotted: str, node: ast.expr) -> Channel:
        if name in OFFERED:
            return OFFERED[name]
        if dotted in OFFERED:
            raise self._fault(node, f"{dotted} is a channel: name one of its fields")
        what = (
            f"channel {name} is not for rules, which see what one worker publishes of its symbols."
            if name in BY_NAME
            else f"unknown channel {name}{_near(name, OFFERED)}"
        )
        raise self._fault(node, f"{what} Channels are {', '.join(OFFERED)}")

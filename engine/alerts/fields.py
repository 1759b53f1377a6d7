"""What a rule can ask about a row: the fields of each channel, under the names clients see.

==================  ==============================================================================
field of the row    what a rule sees
==================  ==============================================================================
``last_price_e2``   ``last_price``, in real units; 0 is no price, hence no value
``basis_e2``        ``basis``, in points; no value while basis_state is NONE
a code              its word, such as ``phase == 'ATO'``
flags               a set of words, such as ``'CROSSED' in quote.flags``
0 or 1              a condition by itself: ``limits.locked``
bytes               text
any other integer   itself
a derived measure   itself (market/measures); NaN is no value
==================  ==============================================================================

Not offered: times and dates, arrays, and what a frame does not show either (seq, symbol_id,
updates, reserve). Rules look at what a shard publishes for clients, so not at `alerts`, nor at the
board's channels, which another process makes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.market.measures import MEASURES, PRICE_SCALE
from engine.schema.channels import ALERTS, CHANNELS, Channel
from engine.schema.codes import BasisState
from engine.schema.words import FLAGS, TRUTHS, WORDS

Rows = NDArray[np.void]
Multiplier = NDArray[np.int64]  # value_multiplier of each row's symbol
Column = Callable[[Rows, Multiplier], Any]  # one value per row, or one for all of them

OFFERED: Final[Mapping[str, Channel]] = {
    each.name: each for each in CHANNELS if each.public and not each.board and each is not ALERTS
}
_NOT_SHOWN: Final = {"seq", "symbol_id", "updates", "series_count"}
_TIMES: Final = ("exch_s", "_ns", "_day")


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number: float64, NaN where there is no value."""

    column: Column


@dataclass(frozen=True, slots=True)
class WordField:
    """A code, and the bit that stands for each of its words."""

    words: Mapping[str, int]
    column: Column


@dataclass(frozen=True, slots=True)
class FlagsField:
    """A set of words, one bit each."""

    words: Mapping[str, int]
    column: Column


@dataclass(frozen=True, slots=True)
class TextField:
    """Bytes, UTF-8."""

    column: Column


@dataclass(frozen=True, slots=True)
class TruthField:
    """True or false: 1 or 0."""

    column: Column


Field = NumberField | WordField | FlagsField | TextField | TruthField


@cache
def fields_of(channel: Channel) -> dict[str, Field]:
    """Return the fields of a channel that rules can use, by public name, in the row's order."""
    found: dict[str, Field] = {}
    for name in channel.dtype.names or ():
        if name in _NOT_SHOWN or "reserved" in name or name.endswith(_TIMES):
            continue
        if channel.dtype[name].shape == ():
            public, field = _field(name, channel.dtype[name])
            found[public] = field
    for measure in MEASURES.get(channel.name, ()):
        found[measure.name] = NumberField(measure.compute)
    return found


def _field(name: str, dtype: np.dtype[Any]) -> tuple[str, Field]:
    def raw(rows: Rows, _: Multiplier) -> NDArray[Any]:
        column: NDArray[Any] = rows[name]
        return column

    if name in WORDS:
        return name, WordField({word.name: word.value for word in WORDS[name]}, raw)
    if name in FLAGS:
        return name, FlagsField({flag.name or "": flag.value for flag in FLAGS[name] if flag}, raw)
    if name in TRUTHS:
        return name, TruthField(raw)
    if dtype.kind == "S":
        return name, TextField(raw)
    if name == "basis_e2":
        return "basis", NumberField(_basis)
    if name.endswith("_e2"):
        return name.removesuffix("_e2"), NumberField(_price(name))
    return name, NumberField(lambda rows, _: rows[name].astype(np.float64))


def _price(name: str) -> Column:
    def column(rows: Rows, _: Multiplier) -> NDArray[Any]:
        price = rows[name] / PRICE_SCALE
        price[rows[name] == 0] = np.nan
        return price

    return column


def _basis(rows: Rows, _: Multiplier) -> NDArray[Any]:
    unknown = rows["basis_state"] == BasisState.NONE
    return np.where(unknown, np.nan, rows["basis_e2"] / PRICE_SCALE)

"""What follows from a row and is not in it: measures, and of an alert its id and its sentences.

The formulas are those of engine.market.measures, the sentences those of engine.alerts.sentences;
here they are only written down. Measures are the only floats: a ratio is rounded to its decimals, a
price and a count are exact, and what has no meaning is null.

Channel quote is told without its measures: it is the busiest there is, they would cost six times
as much to write as the row, and book tells them. Alert rules may still use them.
"""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.alerts import sentences
from engine.market.measures import MEASURES, Measure
from engine.schema.channels import ALERTS, QUOTE, Channel
from engine.schema.codes import AlertType
from gateway.directory import Directory
from gateway.plan import Column, Member
from gateway.texts import PRICES, string

BARE: Final = frozenset({QUOTE.name})
SPOKEN: Final = {int(kind) for kind in AlertType if kind}  # a newer writer may know more types


def told_measures(channel: Channel) -> tuple[Measure, ...]:
    """Return the measures that clients are told with a channel's rows."""
    return () if channel.name in BARE else MEASURES.get(channel.name, ())


def derived_members(channel: Channel, directory: Directory) -> list[Member]:
    """Return the members of `data` that follow the channel's own fields."""
    found: list[Member] = [
        (f'"{measure.name}":%s', _measure_column(measure, directory))
        for measure in told_measures(channel)
    ]
    if channel is ALERTS:
        found += [
            ('"id":%s', _alert_column(directory, _id)),
            ('"text_en":%s', _alert_column(directory, sentences.sentence_en)),
            ('"text_vi":%s', _alert_column(directory, sentences.sentence_vi)),
        ]
    return found


def _measure_column(measure: Measure, directory: Directory) -> Column:
    compute, decimals, unit = measure.compute, measure.decimals, measure.unit

    def values(rows: NDArray[np.void]) -> list[float]:
        found: list[float] = compute(rows, directory.multiplier[rows["symbol_id"]]).tolist()
        return found

    # x == x: not NaN
    if unit == "price":
        return lambda rows: [PRICES[round(100 * x)] if x == x else "null" for x in values(rows)]
    if unit == "count":
        return lambda rows: [round(x) if x == x else "null" for x in values(rows)]
    return lambda rows: [repr(round(x, decimals)) if x == x else "null" for x in values(rows)]


def _id(row: np.void, code: str, _multiplier: int) -> str:
    return sentences.alert_id(row, code)


def _alert_column(directory: Directory, say: Callable[[np.void, str, int], str]) -> Column:
    """Write a text about an alert; alerts are few, so one at a time."""

    def column(rows: NDArray[np.void]) -> Iterable[object]:
        ids = rows["symbol_id"]
        return [
            string(say(row, directory.code(symbol_id), multiplier))
            if int(row["alert_type"]) in SPOKEN
            else "null"
            for row, symbol_id, multiplier in zip(
                rows, ids.tolist(), directory.multiplier[ids].tolist(), strict=True
            )
        ]

    return column

"""Which constituents moved an index: channel ``attribution``, one key per index.

Source: market-behaviour section 7. Rules:

* A constituent gives ``prior value x weight x (last - reference) / reference`` points, to a
  ten-thousandth, halves away from zero; one without both prices today gives none.
* Weights are, in this order: those of ``board.weights_file`` for this index; else listed shares x
  reference price, once nine in ten constituents have told both (no free float is known, hence
  their name LISTED); else there are none, and no points are claimed.
* Constituents are the members as ``view`` decides them: the codes of the file, else the basket of
  today's reference rows or the shares of the venue, as far as they have said anything today.
* Without the index's own row of today its values are 0, and so are the points.
* The top has points above 0 only, the bottom below 0 only, equals in order of their code. The sum
  is of all constituents, each as rounded.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from engine.board.keys import INDICES
from engine.board.view import Mask, Rows, View, stamp
from engine.board.weights import WEIGHT_UNIT, Weights
from engine.schema.codes import WeightsSource
from engine.schema.deltas import ATTRIBUTION_DELTA, TOP_COUNT

POINTS_MAX_E4: Final = 2**31 - 1  # what an entry can hold; prices that give more are no prices
TOLD_NUMERATOR, TOLD_DENOMINATOR = 9, 10  # constituents that must have told their listed shares


class Share(NamedTuple):
    """One constituent with its weight, ``weight / unit`` of the index."""

    code: bytes
    weight: int
    last_e2: int
    reference_e2: int


def attribution_rows(view: View, weights: Weights) -> Rows:
    """Return one row per index, in the order of keys.INDICES; as for ``market_rows``."""
    rows: Rows = np.zeros(len(INDICES), ATTRIBUTION_DELTA)
    for row, index in zip(rows, INDICES, strict=True):
        _fill(row, index, view, weights.get(index))
    return rows


def points_e4(prior_e2: int, unit: int, share: Share) -> int:
    """Return the points x 10,000 one share gives to its index, exactly rounded."""
    numerator = prior_e2 * 100 * share.weight * (share.last_e2 - share.reference_e2)
    denominator = unit * share.reference_e2
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return min(size, POINTS_MAX_E4) * (1 if numerator > 0 else -1)


def _fill(row: np.void, index: str, view: View, told: dict[str, int] | None) -> None:
    """Write the row of one index."""
    stats, members = view.stats, view.members[index]
    if told is None:
        members = members & ((stats["seq"] > 0) | (view.reference["seq"] > 0))
    stamp(row, index, view, members, stats, view.reference)
    own = view.indices.get(index)
    prior_e2 = 0
    if own is not None:
        prior_e2 = int(own["prior_value_e2"])
        row["value_e2"], row["prior_value_e2"] = own["value_e2"], prior_e2
        row["recv_ns"] = max(int(row["recv_ns"]), int(own["recv_ns"]))
        row["exch_s"] = max(int(row["exch_s"]), int(own["exch_s"]))
    priced = members & (stats["last_price_e2"] > 0) & (stats["reference_price_e2"] > 0)
    row["constituent_count"] = np.count_nonzero(members) if told is None else len(told)
    row["priced_count"] = np.count_nonzero(priced)
    if told is not None:
        source, unit = WeightsSource.CONFIG, WEIGHT_UNIT
        weighed = [told[code.decode()] for code in view.codes[priced].tolist()]
    else:
        listed = view.reference["listed_shares"]
        both = members & (listed > 0) & (stats["reference_price_e2"] > 0)
        enough = np.count_nonzero(both) * TOLD_DENOMINATOR >= (
            np.count_nonzero(members) * TOLD_NUMERATOR
        )
        unit = sum(_worths(view, both)) if enough else 0
        source = WeightsSource.LISTED if unit else WeightsSource.NONE
        weighed = list(_worths(view, priced)) if unit else []
    row["weights_source"] = source
    if unit and prior_e2 > 0:
        _rank(row, prior_e2, unit, _shares(view, priced, weighed))


def _worths(view: View, which: Mask) -> Iterator[int]:
    """Yield listed shares x reference price; as Python integers, which cannot overflow."""
    listed = view.reference["listed_shares"][which].tolist()
    references = view.stats["reference_price_e2"][which].tolist()
    return (shares * price for shares, price in zip(listed, references, strict=True))


def _shares(view: View, which: Mask, weighed: list[int]) -> Iterator[Share]:
    last = view.stats["last_price_e2"][which].tolist()
    references = view.stats["reference_price_e2"][which].tolist()
    return map(Share, view.codes[which].tolist(), weighed, last, references)


def _rank(row: np.void, prior_e2: int, unit: int, shares: Iterator[Share]) -> None:
    """Write the sum and both ends; `shares` come in order of their code."""
    given = [(points_e4(prior_e2, unit, share), share.code) for share in shares]
    row["points_e4"] = sum(points for points, _ in given)
    for end, sign in (("top", 1), ("bottom", -1)):
        best = sorted((pair for pair in given if sign * pair[0] > 0), key=lambda p: -sign * p[0])
        for place, (points, code) in enumerate(best[:TOP_COUNT]):
            row[f"{end}_code"][place], row[f"{end}_points_e4"][place] = code, points
        row[f"{end}_count"] = len(best[:TOP_COUNT])

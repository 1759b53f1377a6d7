"""Rankings of a market or a basket: channel ``movers``, one key per scope and list.

Source: market-behaviour section 6 for the foreign lists, issue 4 for the others. Rules, at most
TOP_COUNT entries each, equals in order of their code:

=======  ==================================  ====================================================
list     measure                             who is in it
=======  ==================================  ====================================================
VALUE    matched value, VND                  shares with any, largest first
GAIN     change against reference, ppm       traded shares above their reference, most first
LOSS     change against reference, ppm       traded shares below their reference, most first
BUYING   active buying of active buying      shares with matches seen worth ACTIVE_VALUE_MIN_VND
         and selling, by volume, ppm         and an active side, largest share of buying first
SELLING  the same                            the same, smallest share of buying first
FBUY     foreign net value, VND              net buying only, most first
FSELL    foreign net value, VND (negative)   net selling only, most first
=======  ==================================  ====================================================

Changes and shares are rounded down to one part per million. Volume and value of an entry are the
exchange's totals for the main board, which know of matches we missed; where it tells no value, it
is that of the matches seen.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.board.keys import LISTS, SCOPES
from engine.board.view import Mask, Rows, View, stamp
from engine.schema.codes import Side
from engine.schema.deltas import MOVERS_DELTA, TOP_COUNT

PPM: Final = 1_000_000
ACTIVE_VALUE_MIN_VND: Final = 1_000_000_000

Column = NDArray[np.int64]


class Ranking(NamedTuple):
    """One list before it is cut to a scope."""

    measure: Column
    eligible: Mask
    largest_first: bool

    def order(self) -> NDArray[np.intp]:
        """Return the places of eligible shares, best first; shares are in order of their code."""
        key = -self.measure if self.largest_first else self.measure
        best: NDArray[np.intp] = np.argsort(key, kind="stable")
        return best[self.eligible[best]]


def movers_rows(view: View) -> Rows:
    """Return one row per scope and list, in the order of keys.MOVERS; as for ``market_rows``."""
    stats, foreign = view.stats, view.foreign
    value_vnd = matched_value_vnd(stats)
    rankings = _rankings(view, value_vnd)
    orders = {name: rankings[name].order() for name in LISTS}
    rows: Rows = np.zeros(len(SCOPES) * len(LISTS), MOVERS_DELTA)
    keys = [(scope, name) for scope in SCOPES for name in LISTS]
    for row, (scope, name) in zip(rows, keys, strict=True):
        members, order = view.members[scope], orders[name]
        stamp(row, scope, view, members, stats, *([foreign] if name in ("FBUY", "FSELL") else []))
        top = order[members[order]][:TOP_COUNT]
        count = len(top)
        row["top_count"] = count
        row["top_code"][:count] = view.codes[top]
        row["top_price_e2"][:count] = stats["last_price_e2"][top]
        row["top_reference_price_e2"][:count] = stats["reference_price_e2"][top]
        row["top_volume_shares"][:count] = stats["total_volume_shares"][top]
        row["top_value_vnd"][:count] = value_vnd[top]
        row["top_measure"][:count] = rankings[name].measure[top]
    return rows


def matched_value_vnd(stats: Rows) -> Column:
    """Return the main board's value by share: the exchange's, else that of the matches seen."""
    told: Column = stats["total_value_vnd"]
    return np.where(told > 0, told, stats["value_vnd"])


def _rankings(view: View, value_vnd: Column) -> dict[str, Ranking]:
    stats = view.stats
    last = stats["last_price_e2"].astype(np.int64)
    reference = stats["reference_price_e2"].astype(np.int64)
    moved = (stats["total_volume_shares"] > 0) & (last > 0) & (reference > 0)
    change = (last - reference) * PPM // np.maximum(reference, 1)
    volumes = stats["phase_side_volume_shares"]
    buys, sells = volumes[:, :, Side.BUY].sum(axis=1), volumes[:, :, Side.SELL].sum(axis=1)
    active = (stats["value_vnd"] >= ACTIVE_VALUE_MIN_VND) & (buys + sells > 0)
    buying = buys * PPM // np.maximum(buys + sells, 1)
    net_vnd = view.foreign["buy_value_vnd"] - view.foreign["sell_value_vnd"]
    return {
        "VALUE": Ranking(value_vnd, value_vnd > 0, largest_first=True),
        "GAIN": Ranking(change, moved & (last > reference), largest_first=True),
        "LOSS": Ranking(change, moved & (last < reference), largest_first=False),
        "BUYING": Ranking(buying, active, largest_first=True),
        "SELLING": Ranking(buying, active, largest_first=False),
        "FBUY": Ranking(net_vnd, net_vnd > 0, largest_first=True),
        "FSELL": Ranking(net_vnd, net_vnd < 0, largest_first=False),
    }

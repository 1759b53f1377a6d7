"""A market or a basket summed up: channel ``market``, one key per scope.

Sources: market-behaviour sections 3, 4 and 7. Rules:

* A share counts when it has statistics of the day. It traded when the exchange counts volume of
  the main board for it, whether we saw that or not; the others are `untraded` and in no direction.
* A traded share advances, declines or is unchanged by its last price against its reference price;
  without one of the two it is in none of the three. One that advances and is at its ceiling is
  also among `ceilings`, one that declines and is at its floor among `floors`.
* Volume and value are of the matches seen, buying and selling by the active side; what was missed
  stands beside them. Put-through is the exchange's own total, apart from the main board.
* Shares only: no ETF, no covered warrant, no future.
"""

import numpy as np

from engine.board.keys import SCOPES
from engine.board.view import Mask, Rows, View, stamp
from engine.schema.codes import Side
from engine.schema.deltas import MARKET_DELTA


def market_rows(view: View) -> Rows:
    """Return one row per scope, in the order of SCOPES; seq, updates and symbol_id are 0."""
    stats, put_through = view.stats, view.put_through
    counts = _counts(view)
    volumes, values = stats["phase_side_volume_shares"], stats["phase_side_value_vnd"]
    sums = {
        "volume_shares": stats["volume_shares"],
        "value_vnd": stats["value_vnd"],
        "buy_volume_shares": volumes[:, :, Side.BUY].sum(axis=1),
        "sell_volume_shares": volumes[:, :, Side.SELL].sum(axis=1),
        "buy_value_vnd": values[:, :, Side.BUY].sum(axis=1),
        "sell_value_vnd": values[:, :, Side.SELL].sum(axis=1),
        "missed_volume_shares": stats["missed_volume_shares"],
        "put_through_volume_shares": put_through["total_volume_shares"],
        "put_through_value_vnd": put_through["total_value_vnd"],
    }
    rows: Rows = np.zeros(len(SCOPES), MARKET_DELTA)
    for row, scope in zip(rows, SCOPES, strict=True):
        members = view.members[scope]
        stamp(row, scope, view, members, stats, put_through)
        for name, counted in counts.items():
            row[name] = np.count_nonzero(counted & members)
        for name, column in sums.items():
            row[name] = column[members].sum()
    return rows


def _counts(view: View) -> dict[str, Mask]:
    """Say of every share in which counters it is."""
    stats = view.stats
    last, reference = stats["last_price_e2"], stats["reference_price_e2"]
    today = stats["seq"] > 0
    traded = stats["total_volume_shares"] > 0
    priced = traded & (last > 0) & (reference > 0)
    up, down = priced & (last > reference), priced & (last < reference)
    return {
        "advances": up,
        "unchanged": priced & (last == reference),
        "declines": down,
        "ceilings": up & (last == stats["ceiling_price_e2"]),
        "floors": down & (last == stats["floor_price_e2"]),
        "untraded": today & ~traded,
        "symbol_count": today,
    }

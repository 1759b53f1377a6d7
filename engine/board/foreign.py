"""Foreign flow of a market or a basket: channel ``foreign.summary``, one key per scope.

Source: market-behaviour section 6. Rules:

* A share counts when it has foreign figures of the day; its figures are added up.
* Its five-minute sums are added up as long as they can be true: those of now while its row is
  younger than five minutes of market time (``view.exch_s``), those of one minute before while it is
  younger than six. A share that falls silent has no row that takes them back, so what others say
  later does.
* A net buyer is a share that foreigners bought for more than they sold it for; a net seller the
  other way round; equal values are neither.
"""

from typing import Final

import numpy as np

from engine.board.keys import SCOPES
from engine.board.view import Rows, View, stamp
from engine.schema.deltas import FOREIGN_SUMMARY_DELTA

FIGURES: Final = ("buy_volume_shares", "sell_volume_shares", "buy_value_vnd", "sell_value_vnd")
GOOD_FOR_S: Final[dict[str, int]] = {  # age from which on a row's sum is over
    "net_volume_5m_shares": 300,
    "net_value_5m_vnd": 300,
    "net_volume_5m_before_shares": 360,
    "net_value_5m_before_vnd": 360,
}


def foreign_rows(view: View) -> Rows:
    """Return one row per scope, in the order of SCOPES; seq, updates and symbol_id are 0."""
    foreign = view.foreign
    net_vnd = foreign["buy_value_vnd"] - foreign["sell_value_vnd"]
    age_s = view.exch_s - foreign["exch_s"].astype(np.int64)
    sums = {name: foreign[name] for name in FIGURES} | {
        name: np.where(age_s < good_for_s, foreign[name], 0)
        for name, good_for_s in GOOD_FOR_S.items()
    }
    rows: Rows = np.zeros(len(SCOPES), FOREIGN_SUMMARY_DELTA)
    for row, scope in zip(rows, SCOPES, strict=True):
        members = view.members[scope]
        stamp(row, scope, view, members, foreign)
        for name, column in sums.items():
            row[name] = column[members].sum()
        row["symbol_count"] = np.count_nonzero(foreign["seq"][members])
        row["net_buyer_count"] = np.count_nonzero(net_vnd[members] > 0)
        row["net_seller_count"] = np.count_nonzero(net_vnd[members] < 0)
    return rows

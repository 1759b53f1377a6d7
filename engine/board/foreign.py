"""Foreign flow of a market or a basket: channel ``foreign.summary``, one key per scope.

Source: market-behaviour section 6. Rules:

* A share counts when it has foreign figures of the day; figures and five-minute sums are added up.
* A net buyer is a share that foreigners bought for more than they sold it for; a net seller the
  other way round; equal values are neither.
"""

import numpy as np

from engine.board.keys import SCOPES
from engine.board.view import Rows, View, stamp
from engine.schema.deltas import FOREIGN_SUMMARY_DELTA

SUMMED = (
    "buy_volume_shares",
    "sell_volume_shares",
    "buy_value_vnd",
    "sell_value_vnd",
    "net_volume_5m_shares",
    "net_value_5m_vnd",
    "net_volume_5m_before_shares",
    "net_value_5m_before_vnd",
)


def foreign_rows(view: View) -> Rows:
    """Return one row per scope, in the order of SCOPES; seq, updates and symbol_id are 0."""
    foreign = view.foreign
    net_vnd = foreign["buy_value_vnd"] - foreign["sell_value_vnd"]
    rows: Rows = np.zeros(len(SCOPES), FOREIGN_SUMMARY_DELTA)
    for row, scope in zip(rows, SCOPES, strict=True):
        members = view.members[scope]
        stamp(row, scope, view, members, foreign)
        for name in SUMMED:
            row[name] = foreign[name][members].sum()
        row["symbol_count"] = np.count_nonzero(foreign["seq"][members])
        row["net_buyer_count"] = np.count_nonzero(net_vnd[members] > 0)
        row["net_seller_count"] = np.count_nonzero(net_vnd[members] < 0)
    return rows

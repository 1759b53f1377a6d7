"""A seeded trading day that ends on published figures, and its messages as SSI would send them.

In: a table of published closing figures, fifteen-minute bars of the future, a seed.
Out: a Day (arrays of events), rendered lazily to SSI v2 hub messages and SignalR frames.
Owner of the memory: the Day owns its arrays; messages are fresh bytes.
May lose: nothing. Counts: nothing.

    table    read and refuse tables and bars, line by line
    ladder   the prices a symbol can have: rungs between floor and ceiling
    hours    when a venue matches, when prints arrive
    walk     one symbol's prices and print sizes, exact at open, high, low, close and volume
    tape     one symbol's trades and books in order
    flows    foreign flow, odd lots and indices, derived from the trades
    day      the arrays of a whole day and their digest
    plan     all symbols together: `plan_day`
    render   events to bytes: `iter_messages`, `iter_zero_messages`, `frames`

The same table, seed and arguments give the same bytes. Every symbol draws from a generator seeded
by its own code, only additions, multiplications, divisions and square roots touch the draws, and
symbols are kept in order of their codes: the order of the table's lines does not matter.
"""

from engine.feed.synthetic.day import Day, EventKind
from engine.feed.synthetic.plan import LARGE, NORMAL, SMALL, Size, plan_day
from engine.feed.synthetic.render import (
    ALL_TYPES,
    PAIR_TYPES,
    X_TYPES,
    frames,
    iter_messages,
    iter_zero_messages,
)
from engine.feed.synthetic.table import (
    SHIPPED_FUTURES,
    SHIPPED_TABLE,
    FuturesTable,
    Listing,
    MarketTable,
    read_day,
    read_futures,
    read_members,
    read_table,
)

__all__ = [
    "ALL_TYPES",
    "LARGE",
    "NORMAL",
    "PAIR_TYPES",
    "SHIPPED_FUTURES",
    "SHIPPED_TABLE",
    "SMALL",
    "X_TYPES",
    "Day",
    "EventKind",
    "FuturesTable",
    "Listing",
    "MarketTable",
    "Size",
    "frames",
    "iter_messages",
    "iter_zero_messages",
    "plan_day",
    "read_day",
    "read_futures",
    "read_members",
    "read_table",
]

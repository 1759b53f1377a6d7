"""How the slots of one group become one row: small kernels that the stages share.

A stage with a channel keeps its latest row per symbol in ``state["row"]`` and, where rows are
merged, the place of that row in the out buffer in ``state["out_row"]``. `publish` claims a new out
row when the symbol has none in the current group, else it writes over the one it has, so nothing
needs to be flushed at the end of a group and no list of dirty symbols is kept.
"""

from typing import Any

import numpy as np

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.jit import kernel
from engine.schema.codes import NoteFlag, SlotFlag

LAST = int(SlotFlag.LAST)
STALE_DAY = int(NoteFlag.STALE_DAY)

NO_PARAMS = np.dtype([("reserved", "<i8")])  # of a stage without settings


@kernel
def trade_day(exch_s: Any) -> Any:
    """Return days since 1970 in ICT of an exchange stamp: ``clock.trade_day`` for kernels."""
    return (np.int64(exch_s) + ICT_OFFSET_S) // DAY_S


@kernel
def stamp(row: Any, head: Any, phase: Any, flags: Any) -> None:
    """Write the head of a delta row, except seq and updates, from the slot that changed it."""
    row["recv_ns"] = head["recv_ns"]
    row["exch_s"] = head["exch_s"]
    row["symbol_id"] = head["symbol_id"]
    row["phase"] = phase
    row["venue"] = head["venue"]
    row["flags"] = flags


@kernel
def blank_row(state: Any, symbol_id: Any, day: Any) -> None:
    """Blank the symbol's row for a trading date; its place in the stream goes on.

    `state` is written and has a ``row`` with ``trade_day``; its row 0 is blank for ever, because 0
    is never a symbol.
    """
    own = state[symbol_id]
    row = own["row"]
    seq, updates = row["seq"], row["updates"]
    own["row"] = state[0]["row"]
    row["seq"] = seq
    row["updates"] = updates
    row["trade_day"] = day


@kernel
def in_group(own: Any, symbol_id: Any, out: Any, base: Any, count: Any) -> Any:
    """Return whether the symbol has a row of the current group already; see `publish`."""
    place = own["out_row"]
    return base <= place < count and out[place]["symbol_id"] == symbol_id


@kernel
def publish(state: Any, symbol_id: Any, out: Any, base: Any, count: Any) -> Any:
    """Put the symbol's row into the current group's part of `out`; return the new count.

    Parameters
    ----------
    state
        The stage's state, written: ``row["seq"]``, ``row["updates"]``, ``out_row``.
        ``row["symbol_id"]`` must be set.
    symbol_id
        Whose row.
    out
        Rows of the stage's channel, written at one place in [base, count].
    base
        First out row of the current group.
    count
        Out rows in use.

    Notes
    -----
    ``out_row`` may be left over from an earlier group or batch. It is believed only when it lies
    in [base, count) and that row names this symbol; such a row can only be the one this symbol
    claimed in this group, because nobody else writes the symbol's rows.
    """
    own = state[symbol_id]
    row = own["row"]
    place = own["out_row"]
    if not in_group(own, symbol_id, out, base, count):
        place = count
        count += 1
        own["out_row"] = place
        row["seq"] += 1
        row["updates"] = 0
    row["updates"] += 1
    out[place] = row
    return count

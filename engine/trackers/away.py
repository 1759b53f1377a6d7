"""Was the feed away since a symbol was last heard of? For what no note says.

A note tells a symbol's first trade or quote after an outage. Foreign figures and index values need
the same: what they show then was found, not seen happening. ``shard.outages`` says what an outage
is. They are numbered in row 0, which is no symbol; whoever wants to know compares numbers.
"""

from typing import Any

from engine.jit import kernel
from engine.schema.codes import SlotKind
from engine.shard.outages import OUTAGE_FIELDS, watch_feed

CONTROL = int(SlotKind.CONTROL)
TRADE, QUOTE = int(SlotKind.TRADE), int(SlotKind.QUOTE)

FIELDS: list[Any] = [*OUTAGE_FIELDS]


@kernel
def watch_outages(state: Any, head: Any, control: Any) -> None:
    """Let a slot say whether the feed is here: a CONTROL, or any trade or quote."""
    kind = head["kind"]
    if kind == CONTROL:
        watch_feed(state[0], control)
    elif kind in (TRADE, QUOTE):
        state[0]["feed_here"] = 1

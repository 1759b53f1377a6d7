"""Messages as plain dicts, and the slots they become: what table, twin and fold are all fed with.

A message is what decode would emit for one slot: kind, symbol_id, venue, exch_s, recv_ns, session,
status, side and the payload fields of its kind. Fields left out are 0.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from engine.clock import ICT_OFFSET_S
from engine.schema.codes import SlotFlag, SlotKind
from engine.schema.slots import SLOT, Rows, rows_over

VIEW_OF_KIND = {
    SlotKind.TRADE: "trade",
    SlotKind.QUOTE: "quote",
    SlotKind.INDEX: "index",
    SlotKind.FOREIGN: "foreign",
    SlotKind.STATUS: "status",
    SlotKind.BAR: "bar",
    SlotKind.ODD_LOT: "odd_lot",
    SlotKind.SYMBOL: "symbol",
    SlotKind.CONTROL: "control",
    SlotKind.PUT_THROUGH: "put_through",
    SlotKind.REFERENCE: "reference",
    SlotKind.BACKFILL: "backfill",
    SlotKind.NONE: "head",
}

Message = dict[str, Any]


def exch_s(day: str, time: str) -> int:
    """UTC seconds of an exchange stamp: ISO date and HH:MM:SS in ICT."""
    hours, minutes, seconds = (int(part) for part in time.split(":"))
    days = date.fromisoformat(day).toordinal() - date(1970, 1, 1).toordinal()
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds - ICT_OFFSET_S


def levels(*pairs: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Ten prices and ten volumes from the first few."""
    padded = list(pairs) + [(0, 0)] * (10 - len(pairs))
    return [price for price, _ in padded], [volume for _, volume in padded]


def rows_of(groups: Sequence[Sequence[Message]]) -> Rows:
    """One batch: the slots of all groups, LAST on the last slot of each."""
    messages = [message for group in groups for message in group]
    rows = rows_over(np.zeros(max(1, len(messages)), SLOT), len(messages))
    for i, message in enumerate(messages):
        view = getattr(rows, VIEW_OF_KIND[SlotKind(message["kind"])])
        for name, value in message.items():
            view[i][name] = value
    ends = np.cumsum([len(group) for group in groups]) - 1
    for end, group in zip(ends, groups, strict=True):
        if group:
            rows.head[end]["flags"] = SlotFlag.LAST
    return rows

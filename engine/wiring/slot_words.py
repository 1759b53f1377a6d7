"""Slots in words, one line each, for people who look at what went through a ring.

    1234  2026-11-20 09:15:02  TRADE  FPT  HOSE LO  last_price_e2=12010000 ... [LAST]

Every number of a layout is named as the schema names it; what is zero is left out. Nothing is
assumed about the slot: a kind that does not exist is shown as its number and its bytes.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.schema.codes import (
    ControlOp,
    FeedSession,
    Instrument,
    Side,
    SlotFlag,
    SlotKind,
    SourceType,
    TradingStatus,
    Venue,
)
from engine.schema.slots import HEAD_BYTES, HEAD_FIELDS, SLOT, SLOT_BYTES, SLOT_LAYOUTS

LAYOUTS = {kind: SLOT_LAYOUTS[kind.name.lower()] for kind in SlotKind if kind}
HEAD = {name for name, *_ in HEAD_FIELDS}
WORDS: dict[str, type[IntEnum]] = {
    "instrument": Instrument,
    "op": ControlOp,
    "odd_lot_session": FeedSession,
}  # payload fields that hold a code
HEAD_WORDS: dict[str, type[IntEnum]] = {
    "venue": Venue,
    "session": FeedSession,
    "status": TradingStatus,
    "side": Side,
    "source_type": SourceType,
}


def word(codes: type[IntEnum], value: int) -> str:
    """Return a code's name, or the number itself when it has none."""
    return codes(value).name if value in codes._value2member_map_ else str(value)


def codes_of(slots: NDArray[np.void]) -> dict[int, str]:
    """Return symbol_id -> code, of the symbols that introduce themselves in `slots` (SLOT)."""
    named = slots[slots["kind"] == SlotKind.SYMBOL].view(LAYOUTS[SlotKind.SYMBOL])
    return {int(row["symbol_id"]): row["code"].decode(errors="replace") for row in named}


def describe(slots: NDArray[np.void], codes: Mapping[int, str]) -> list[str]:
    """Return one line per slot.

    Parameters
    ----------
    slots
        SLOT rows, shape (n,), contiguous.
    codes
        symbol_id -> code; an id without one is shown as ``#id``.
    """
    assert slots.dtype == SLOT, f"slots of dtype {slots.dtype}"
    return [_line(slots[i : i + 1], codes) for i in range(len(slots))]


def _line(slot: NDArray[np.void], codes: Mapping[int, str]) -> str:
    head = slot[0]
    kind, symbol_id = int(head["kind"]), int(head["symbol_id"])
    when = np.datetime64(int(head["exch_s"]) + ICT_OFFSET_S, "s").item()
    flags = "|".join(flag.name or "" for flag in SlotFlag if flag and head["flags"] & flag)
    parts = [
        f"{int(head['seq'])}",
        f"{when:%Y-%m-%d %H:%M:%S}" if head["exch_s"] > DAY_S else "-",
        word(SlotKind, kind),
        codes.get(symbol_id) or f"#{symbol_id}",
        " ".join(word(names, int(head[name])) for name, names in HEAD_WORDS.items() if head[name]),
        _payload(slot, kind),
        f"[{flags}]" if flags else "",
    ]
    return "  ".join(part for part in parts if part)


def _payload(slot: NDArray[np.void], kind: int) -> str:
    if kind not in LAYOUTS:
        raw = slot.view(np.uint8)[HEAD_BYTES:SLOT_BYTES]
        return f"bytes {raw.tobytes().rstrip(bytes(1)).hex()}"
    row = slot.view(LAYOUTS[SlotKind(kind)])[0]
    assert row.dtype.names is not None
    return " ".join(
        f"{name}={_value(name, row[name])}"
        for name in row.dtype.names
        if name not in HEAD and not name.startswith("reserved") and np.any(row[name])
    )


def _value(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return ",".join(str(item) for item in np.trim_zeros(value, "b").tolist())
    if isinstance(value, bytes):
        return repr(value.decode(errors="replace"))
    return word(WORDS[name], int(value)) if name in WORDS else str(int(value))

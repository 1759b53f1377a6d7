"""Every record, code and channel of vntape. The single source of truth; numpy only.

In: nothing. Out: dtypes, codes, the channel table, SCHEMA_ID.

SCHEMA_ID is a hash of every layout and code. Rings, bus frames and binary clients carry it (or
its first eight bytes, SCHEMA_U64): two processes of different schemas refuse to talk instead
of misreading each other.
"""

import hashlib
from enum import Enum

from engine.schema import (
    bus,
    channels,
    codes,
    counters,
    deltas,
    journal,
    notes,
    segments,
    slots,
)
from engine.schema.record import describe


def _schema_text() -> str:
    """Every layout and code as text, in a fixed order."""
    layouts = {
        **{f"slot.{k}": v for k, v in slots.SLOT_LAYOUTS.items()},
        **{f"counters.{k}": v for k, v in counters.COUNTER_LAYOUTS.items()},
        **{f"channel.{c.code}.{c.name}": c.dtype for c in channels.CHANNELS},
        "note": notes.NOTE,
        "bus.header": bus.BUS_HEADER,
        "bus.section": bus.BUS_SECTION,
        "ring.header": segments.RING_HEADER,
        "symbols.header": segments.SYMBOLS_HEADER,
        "symbols.row": segments.SYMBOL_ROW,
        "journal.header": journal.JOURNAL_HEADER,
        "journal.record": journal.JOURNAL_RECORD,
    }
    lines = [f"{name} {describe(dtype)}" for name, dtype in layouts.items()]
    named = [*vars(codes).values(), *vars(bus).values()]
    enums = sorted(
        (e for e in named if isinstance(e, type) and issubclass(e, Enum) and len(e)),
        key=lambda e: e.__name__,
    )
    lines += [f"{e.__name__} " + ",".join(f"{m.name}={m.value}" for m in e) for e in enums]
    return "\n".join(lines)


SCHEMA_ID: str = "sha256:" + hashlib.sha256(_schema_text().encode()).hexdigest()
SCHEMA_U64: int = int.from_bytes(bytes.fromhex(SCHEMA_ID.removeprefix("sha256:"))[:8], "little")

__all__ = [
    "SCHEMA_ID",
    "SCHEMA_U64",
    "bus",
    "channels",
    "codes",
    "counters",
    "deltas",
    "journal",
    "notes",
    "segments",
    "slots",
]

"""Layouts of the shared-memory segments: ring header and symbol table.

A ring segment is RING_HEADER then `capacity` slots. Writer's and reader's cells lie on cache
lines of their own. Who stores what, and what it pairs with, is written in ring/.
"""

from engine.schema.record import record
from engine.schema.slots import CODE_BYTES

CACHE_LINE_BYTES = 64

RING_HEADER = record(
    "ring_header",
    [
        ("schema", "u8"),  # first eight bytes of SCHEMA_ID
        ("capacity", "i8"),  # slots, a power of two
        ("slot_bytes", "i8"),
        ("created_ns", "i8"),
        ("first_seq", "i8"),  # slots below this were published before the ring was made
        ("reserved_const", "u1", (24,)),
        # writer: slots below this may be about to be overwritten (+ capacity)
        ("intent_seq", "i8"),
        ("reserved_intent", "u1", (56,)),
        ("write_seq", "i8"),  # writer: slots below this are published
        ("reserved_write", "u1", (56,)),
        ("read_seq", "i8"),  # reader: slots below this were taken (telemetry and pacing only)
        ("reserved_read", "u1", (56,)),
        ("parked", "i8"),  # reader: 1 while it sleeps on the doorbell
        ("reserved_park", "u1", (56,)),
    ],
    size_bytes=5 * CACHE_LINE_BYTES,
)

# The symbol table outlives ingest restarts, so that ids never change under running shards.
# Row 0 is unused; `count` rows, including row 0, are in use.
SYMBOLS_HEADER = record(
    "symbols_header",
    [
        ("schema", "u8"),
        ("capacity", "i8"),
        ("count", "i8"),
        ("reserved", "u1", (40,)),
    ],
    size_bytes=CACHE_LINE_BYTES,
)

SYMBOL_ROW = record(
    "symbol_row",
    [
        ("code", f"S{CODE_BYTES}"),
        ("value_multiplier", "i8"),
        ("venue", "u1"),
        ("instrument", "u1"),
        ("shard", "u2"),
        ("expiry_day", "u4"),  # of a future: see the SYMBOL slot
        ("underlying", "u1"),
        ("reserved", "u1", (7,)),
    ],
    size_bytes=40,
)

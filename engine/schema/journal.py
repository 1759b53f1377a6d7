"""Layout of a journal file: one header, then records of equal size, one per slot.

    byte 0      JOURNAL_HEADER, 64 bytes
    byte 64     record of slot first_seq | of first_seq + 1 | ...

Slot `seq` lies at 64 + (seq - first_seq) * 200, so a reader finds any slot without an index, a
torn tail is a file whose length does not end on a record, and a damaged slot costs itself alone.
"""

from engine.schema.record import record
from engine.schema.slots import SLOT_BYTES

JOURNAL_MAGIC = b"VNTJRNL1"

JOURNAL_HEADER = record(
    "journal_header",
    [
        ("magic", "S8"),
        ("schema", "u8"),  # first eight bytes of SCHEMA_ID
        ("first_seq", "i8"),  # seq of the file's first slot
        ("epoch", "i8"),  # of the trading day's journal: when it was begun, UTC ns
        ("created_ns", "i8"),  # when this file was
        ("day", "u4"),  # trading day, days since 1970-01-01 (ICT)
        ("shard", "u2"),
        ("reserved", "u1", (10,)),
        ("checksum", "u8"),  # of the 56 bytes before it
    ],
    size_bytes=64,
)

JOURNAL_RECORD = record(
    "journal_record",
    [
        ("words", "i8", (SLOT_BYTES // 8,)),  # the slot as it stands in the ring
        ("checksum", "u8"),  # of the slot's 192 bytes
    ],
    size_bytes=SLOT_BYTES + 8,
)

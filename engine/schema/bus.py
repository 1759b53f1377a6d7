"""The bus: one ZeroMQ message is one header, then sections of delta rows.

    BUS_HEADER | SECTION rows... | SECTION rows... | ...

Kinds: DELTA (published), SNAPSHOT and SNAPSHOT_END (answers to a request), see BusKind.
All integers little-endian; rows are the channel's dtype, byte for byte.
"""

from enum import IntEnum

from engine.schema.record import record


class BusKind(IntEnum):
    """What a bus message is."""

    DELTA = 1
    SNAPSHOT = 2  # latest row per key; a snapshot may take several messages
    SNAPSHOT_END = 3  # no sections: everything up to frame_seq has been said


BUS_HEADER = record(
    "bus_header",
    [
        ("schema", "u8"),  # first eight bytes of SCHEMA_ID: another value is refused
        ("epoch", "i8"),  # changes when a shard could not continue its sequences
        ("frame_seq", "i8"),  # DELTA: 1, 2, 3 ... per shard; SNAPSHOT: the last DELTA it includes
        ("publish_ns", "i8"),
        ("shard", "u2"),
        ("kind", "u2"),  # BusKind
        ("section_count", "u4"),
    ],
    size_bytes=40,
)

BUS_SECTION = record(
    "bus_section",
    [
        ("channel", "u4"),  # Channel.code
        ("count", "u4"),  # rows that follow
    ],
    size_bytes=8,
)

SNAPSHOT_REQUEST = b"snapshot"

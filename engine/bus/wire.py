"""One bus message as bytes and back: header, then sections of rows (schema/bus.py). Pure.

A message is refused whole with a reason; nothing in it is believed before everything is checked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.schema import SCHEMA_U64
from engine.schema.bus import BUS_HEADER, BUS_SECTION, BusKind
from engine.schema.channels import CHANNELS, Channel
from engine.schema.counters import SOURCE_MAX

HEADER_BYTES: int = BUS_HEADER.itemsize
SECTION_BYTES: int = BUS_SECTION.itemsize
FRAME_BYTES_MAX = 256 * 1024  # what a publisher fills; large enough to amortise, small to copy
MESSAGE_BYTES_MAX = 4 * FRAME_BYTES_MAX  # what a reader believes

Sections = list[tuple[Channel, NDArray[np.void]]]


class Refusal(IntEnum):
    """Why a bus message was refused."""

    SHORT = 0  # not even a header
    TOO_LARGE = 1
    SCHEMA = 2  # built from other layouts
    KIND = 3
    SHARD = 4
    CHANNEL = 5
    LENGTH = 6  # sections do not add up to the message


@dataclass(frozen=True, slots=True)
class Refused:
    """A message nobody will read, and one sentence about it."""

    reason: Refusal
    text: str


@dataclass(frozen=True, slots=True)
class BusFrame:
    """One message, checked. Rows are read-only views over the message's bytes.

    `lost_frames` is the subscriber's: DELTA frames missing just before this one.
    """

    kind: BusKind
    shard: int
    epoch: int
    frame_seq: int
    publish_ns: int
    sections: Sections
    size_bytes: int
    lost_frames: int = 0


def write_header(
    buffer: bytearray | memoryview,
    *,
    kind: BusKind,
    shard: int,
    epoch: int,
    frame_seq: int,
    publish_ns: int,
    section_count: int,
) -> None:
    """Write a BUS_HEADER into the first bytes of `buffer`."""
    header: NDArray[np.void] = np.frombuffer(buffer, BUS_HEADER, 1)
    header[0] = (SCHEMA_U64, epoch, frame_seq, publish_ns, shard, int(kind), section_count)


def encode(
    kind: BusKind,
    shard: int,
    epoch: int,
    frame_seq: int,
    publish_ns: int,
    sections: Iterable[tuple[Channel, NDArray[np.void]]] = (),
) -> bytes:
    """Build one message. The plain form of what Publisher does in place."""
    parts: list[bytes] = []
    for channel, rows in sections:
        assert rows.dtype == channel.dtype, f"{channel.name}: rows of another dtype"
        parts += [np.array([(channel.code, len(rows))], BUS_SECTION).tobytes(), rows.tobytes()]
    header = bytearray(HEADER_BYTES)
    write_header(
        header,
        kind=kind,
        shard=shard,
        epoch=epoch,
        frame_seq=frame_seq,
        publish_ns=publish_ns,
        section_count=len(parts) // 2,
    )
    return bytes(header) + b"".join(parts)


def decode(message: bytes) -> BusFrame | Refused:
    """Check and open one message.

    Parameters
    ----------
    message
        What ZeroMQ delivered; the returned rows are views over it.

    Returns
    -------
    BusFrame or Refused
        Never an exception: a peer's bytes are input, not a bug of ours.
    """
    size = len(message)
    if size < HEADER_BYTES:
        return Refused(Refusal.SHORT, f"message of {size} bytes, a header has {HEADER_BYTES}")
    if size > MESSAGE_BYTES_MAX:
        return Refused(Refusal.TOO_LARGE, f"message of {size} bytes, limit {MESSAGE_BYTES_MAX}")
    schema, epoch, frame_seq, publish_ns, shard, kind, section_count = np.frombuffer(
        message, BUS_HEADER, 1
    ).tolist()[0]
    if schema != SCHEMA_U64:
        return Refused(
            Refusal.SCHEMA,
            f"schema {schema:016x} meets schema {SCHEMA_U64:016x}: "
            "restart both sides from one version",
        )
    if not BusKind.DELTA <= kind <= BusKind.SNAPSHOT_END:
        return Refused(Refusal.KIND, f"unknown kind {kind}")
    if shard >= SOURCE_MAX:
        return Refused(Refusal.SHARD, f"shard {shard}, there are at most {SOURCE_MAX}")
    sections = _sections(message, section_count)
    if isinstance(sections, Refused):
        return sections
    if kind == BusKind.SNAPSHOT_END and sections:
        return Refused(Refusal.LENGTH, f"a snapshot's end carries {len(sections)} sections")
    return BusFrame(BusKind(kind), shard, epoch, frame_seq, publish_ns, sections, size)


def _sections(message: bytes, section_count: int) -> Sections | Refused:
    """Walk the sections; every length is checked against what is left."""
    found: Sections = []
    offset, size = HEADER_BYTES, len(message)
    for _ in range(section_count):
        if size - offset < SECTION_BYTES:
            return Refused(Refusal.LENGTH, f"section {len(found)} of {section_count} is cut off")
        code = int.from_bytes(message[offset : offset + 4], "little")
        count = int.from_bytes(message[offset + 4 : offset + 8], "little")
        offset += SECTION_BYTES
        if code >= len(CHANNELS):
            return Refused(Refusal.CHANNEL, f"unknown channel code {code}")
        dtype: np.dtype[Any] = CHANNELS[code].dtype
        if count * dtype.itemsize > size - offset:
            return Refused(
                Refusal.LENGTH,
                f"{CHANNELS[code].name}: {count} rows of "
                f"{dtype.itemsize} bytes in {size - offset} bytes",
            )
        found.append((CHANNELS[code], np.frombuffer(message, dtype, count, offset)))
        offset += count * dtype.itemsize
    if offset != size:
        return Refused(Refusal.LENGTH, f"{size - offset} bytes after the last section")
    return found

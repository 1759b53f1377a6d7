"""Rows to binary frames: the sub-protocol `vntape.v1.bin`.

One WebSocket binary frame holds a HEADER and `count` rows of one key, byte for byte as the
channel's dtype lays them out. A `snap` has a KEY in between, which says what its `ch` means; a
frame with the flag MERGED has the aggregates of the trades it stands for. Everything is
little-endian and packed, and every part begins at a multiple of 8 of the payload:

    d                  HEADER  rows
    snap               HEADER  KEY  rows
    with flag MERGED   HEADER [KEY] MERGED  rows

``first_seq`` is the seq of the first row the frame is news of: ``n = seq of the last row -
first_seq + 1``, so a state that was asked for has ``first_seq = seq + 1``.

Frames of a batch are built as one array of equal records, WebSocket header included. Nothing is
done per row as long as all of them are alike, which is the rule. A few rows are faster without an
array, and so are written one by one: updates mostly come alone.
"""

import struct
from itertools import compress, count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS, Channel
from engine.schema.record import record
from engine.schema.slots import CODE_BYTES
from gateway.directory import Directory
from gateway.frames import HEADERS
from gateway.merge import MergedPart
from gateway.rows import opaque, pick
from gateway.settings import CH_SYMBOL_BITS

VERSION: Final = 1
SNAP: Final = 1  # values of HEADER's type
DELTA: Final = 2
FLAG_MERGED: Final = 1  # bit of HEADER's flags
WITH_MERGED: Final = 4  # with SNAP or DELTA: the kind of a frame, by which it is laid out
BINARY_FRAME: Final = 0x82  # FIN and opcode 2
TOPIC_BYTES: Final = 56
FEW: Final = 8  # rows that are sooner written one by one

HEADER: Final = record(
    "binary_header",
    [
        ("version", "u1"),
        ("type", "u1"),
        ("flags", "u1"),
        ("count", "u1"),  # rows that follow
        ("ch", "u4"),
        ("first_seq", "i8"),
    ],
    size_bytes=16,
)
KEY: Final = record(
    "binary_key",
    [("epoch", "i8"), ("topic", f"S{TOPIC_BYTES}")],
    size_bytes=64,
)
MERGED: Final = record(
    "binary_merged",
    [
        ("count", "i8"),
        ("open_e2", "i8"),
        ("high_e2", "i8"),
        ("low_e2", "i8"),
        ("volume_shares", "i8"),
        ("value_vnd", "i8"),
        ("buy_volume_shares", "i8"),
        ("sell_volume_shares", "i8"),
        ("missed_volume_shares", "i8"),
    ],
    size_bytes=72,
)
_KEY_OF_D: Final = struct.Struct("<Iq").pack  # ch and first_seq
_SUMS: Final = {  # field of MERGED -> sum of gateway.merge
    "volume_shares": "volume",
    "value_vnd": "value",
    "buy_volume_shares": "buy",
    "sell_volume_shares": "sell",
    "missed_volume_shares": "missed",
}


class BinaryFrames:
    """The frames of one batch, one per row.

    Parameters
    ----------
    frames
        Opaque bytes (``V``), shape (n,): all of one size.
    """

    __slots__ = ("_array", "_whole")

    def __init__(self, frames: NDArray[np.void]) -> None:
        self._array = frames
        self._whole: bytes | None = None

    def select(self, keep: NDArray[np.bool_] | None) -> bytes:
        """Return the frames of the rows that a mask keeps, joined; None keeps all."""
        if keep is not None:
            return self._array[keep].tobytes()
        if self._whole is None:
            self._whole = self._array.tobytes()
        return self._whole

    def frames(self) -> list[bytes]:
        """Return the frames one by one."""
        whole, size = self.select(None), self._array.itemsize
        return [whole[at : at + size] for at in range(0, len(whole), size)]


class ListedFrames:
    """As BinaryFrames, one object per frame: a few, or frames that differ in size, which is rare.

    Parameters
    ----------
    frames
        One per row.
    """

    __slots__ = ("_frames",)

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = frames

    def select(self, keep: NDArray[np.bool_] | None) -> bytes:
        """Return the frames of the rows that a mask keeps, joined; None keeps all."""
        if keep is None:
            return b"".join(self._frames)
        return b"".join(compress(self._frames, keep.tolist()))

    def frames(self) -> list[bytes]:
        """Return the frames one by one."""
        return self._frames


class BinaryCodec:
    """Encodes rows of one channel as binary frames.

    Parameters
    ----------
    channel
        Whose rows.
    directory
        Codes for the topics of `snap` frames.
    """

    def __init__(self, channel: Channel, directory: Directory) -> None:
        self.channel = channel
        self._directory = directory
        self._ch = channel.code << CH_SYMBOL_BITS
        self._kinds = {
            number: _Kind(channel.dtype, number)
            for number in (SNAP, DELTA, SNAP | WITH_MERGED, DELTA | WITH_MERGED)
        }

    def encode(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None = None,
    ) -> BinaryFrames | ListedFrames:
        """Encode one frame per row.

        Parameters
        ----------
        rows
            Rows of this channel, shape (n,), contiguous.
        prev
            int64, shape (n,): the seq the receivers have. The frame is a `d`; when it is 0 they
            have never heard of the key, and when it is negative (gateway.encode.REQUESTED) they
            asked for the state: then the frame is a `snap`, of `seq` rows or of none.
        epochs
            Epoch of each row's shard, a decimal number; read for snaps only, may be empty without
            any.
        merged
            Aggregates of the trades a conflated frame stands for, one per row. A state that was
            asked for has none.

        Returns
        -------
        gateway.encode.Encoded
            Whole WebSocket frames in the order of rows.
        """
        if len(rows) <= FEW and merged is None and min(seqs := prev.tolist(), default=1) > 0:
            return self._few(rows, seqs)
        kinds = np.where(prev <= 0, SNAP, DELTA)
        if merged is not None:
            kinds |= np.where(prev >= 0, WITH_MERGED, 0)
        if len(rows) and (kinds == kinds[0]).all():
            return BinaryFrames(self._alike(int(kinds[0]), rows, prev, epochs, merged))
        frames: list[bytes] = [b""] * len(rows)
        for kind in set(kinds.tolist()):
            chosen = kinds == kind
            at = np.flatnonzero(chosen).tolist()
            part = self._alike(
                kind,
                pick(rows, chosen),
                prev[chosen],
                [epochs[i] for i in at] if kind & SNAP else [],
                merged.select(chosen) if merged is not None else None,
            )
            for i, frame in zip(at, BinaryFrames(part).frames(), strict=True):
                frames[i] = frame
        return ListedFrames(frames)

    def _few(self, rows: NDArray[np.void], prev: list[int]) -> ListedFrames:
        """Encode rows that are all `d` without merged, one by one."""
        kind, ch = self._kinds[DELTA], self._ch
        data, size = rows.tobytes(), rows.dtype.itemsize
        keys = zip(rows["symbol_id"].tolist(), prev, strict=True)
        return ListedFrames(
            [
                kind.head_bytes + _KEY_OF_D(ch | symbol_id, before + 1) + data[at : at + size]
                for at, (symbol_id, before) in zip(count(0, size), keys, strict=False)
            ]
        )

    def _alike(
        self,
        number: int,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None,
    ) -> NDArray[np.void]:
        """Encode rows whose frames are all of one kind; return them as opaque bytes."""
        kind = self._kinds[number]
        out = np.empty(len(rows), kind.dtype)
        out["head"] = kind.head
        out["ch"] = rows["symbol_id"] | np.uint32(self._ch)
        out["first_seq"] = np.where(prev < 0, rows["seq"], prev) + 1
        out["row"] = opaque(rows)
        if number & SNAP:
            out["key"]["epoch"] = [int(epoch) for epoch in epochs]
            out["key"]["topic"] = [self._topic(i) for i in rows["symbol_id"].tolist()]
        if number & WITH_MERGED:
            assert merged is not None
            _write_merged(out["merged"], merged)
        return out.view(f"V{kind.dtype.itemsize}")

    def _topic(self, symbol_id: int) -> bytes:
        # Not remembered per id: a symbol may get another id's code after an epoch change.
        return f"{self.channel.name}.{self._directory.code(symbol_id)}".encode()


class _Kind:
    """Layout of one kind of frame with its WebSocket header, and the bytes that never change."""

    def __init__(self, row: np.dtype[Any], number: int) -> None:
        parts: list[Any] = [("ch", "<u4"), ("first_seq", "<i8")]
        if number & SNAP:
            parts.append(("key", KEY))
        if number & WITH_MERGED:
            parts.append(("merged", MERGED))
        parts.append(("row", f"V{row.itemsize}"))
        payload_bytes = 4 + np.dtype(parts).itemsize
        # The same lengths as of text frames (gateway.frames), another opcode.
        websocket = bytes((BINARY_FRAME,)) + HEADERS[payload_bytes].encode("latin-1")[1:]
        flags = FLAG_MERGED if number & WITH_MERGED else 0
        head = websocket + bytes((VERSION, number & (SNAP | DELTA), flags, 1))
        self.head_bytes, self.head = head, np.void(head)
        self.dtype = np.dtype([("head", f"V{len(head)}"), *parts])


def _write_merged(out: NDArray[np.void], part: MergedPart) -> None:
    """Fill MERGED records. Without any trade they are zeros: a low of nothing is no number."""
    out["count"] = part.count
    for name, values in (
        ("open_e2", part.open_e2),
        ("high_e2", part.high_e2),
        ("low_e2", part.low_e2),
        *((name, part.sums[of]) for name, of in _SUMS.items()),
    ):
        out[name] = np.where(part.count > 0, values, 0)


# The longest topic has room in KEY.
assert max(len(channel.name) for channel in CHANNELS) + 1 + CODE_BYTES <= TOPIC_BYTES

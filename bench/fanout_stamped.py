"""A synthetic day on disk whose quotes carry the moment they were sent.

The volume of the best bid becomes STAMP_FROM plus microseconds modulo STAMP_FROM: a number that
decoder, shard and gateway hand on untouched, so a client knows how old the news is that it reads.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

STAMP_FROM: Final = 1_000_000_000  # ten digits, below what a level's volume may be
DIGITS: Final = 10
NO_STAMP: Final = -1
_BID: Final = re.compile(rb"\bBidVol1\W{1,12}([0-9]+)")
_QUOTED: Final = re.compile(rb"\bSymbol\W{1,12}([A-Z0-9]+)\W{1,12}RType\W{1,12}X-QUOTE")
FILES: Final = ("frames", "ends.npy", "stamps.npy")


def stamp_of(now_ns: int) -> int:
    """Return the stamp of a moment."""
    return STAMP_FROM + now_ns // 1_000 % STAMP_FROM


def framed(payload: bytes) -> bytes:
    """Return a text frame as a server sends it (RFC 6455)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


def with_room(payload: bytes) -> tuple[bytes, int]:
    """Return a hub frame with room for a stamp, and where it is; NO_STAMP when it has no bid."""
    match = _BID.search(payload)
    if match is None or match[1] == b"0":  # an empty side stays empty
        return payload, NO_STAMP
    room = b"%d" % STAMP_FROM
    return payload[: match.start(1)] + room + payload[match.end(1) :], match.start(1)


def render(frames: Iterable[bytes], folder: Path) -> list[str]:
    """Write hub frames of one message each, ready to be sent.

    Returns
    -------
    list of str
        Symbols that are quoted, in the order of their first quotes.
    """
    ends: list[int] = []
    stamps: list[int] = []
    symbols: dict[str, None] = {}
    at = 0
    with (folder / FILES[0]).open("wb") as file:
        for frame in frames:
            payload, stamp_at = with_room(frame)
            data = framed(payload)
            if stamp_at != NO_STAMP:
                stamp_at += at + len(data) - len(payload)
            if quoted := _QUOTED.search(payload):
                symbols[quoted[1].decode()] = None
            file.write(data)
            at += len(data)
            ends.append(at)
            stamps.append(stamp_at)
    np.save(folder / FILES[1], np.array(ends, np.int64))
    np.save(folder / FILES[2], np.array(stamps, np.int64))
    return list(symbols)


class Stamped:
    """What `render` wrote.

    Attributes
    ----------
    count
        Frames there are.
    """

    def __init__(self, folder: Path) -> None:
        self._data: NDArray[np.uint8] = np.memmap(folder / FILES[0], np.uint8, "r")
        self._ends: NDArray[np.int64] = np.load(folder / FILES[1])
        self._stamps: NDArray[np.int64] = np.load(folder / FILES[2])
        self.count = len(self._ends)

    def take(self, first: int, count: int, now_ns: int) -> bytes:
        """Return frames `first` to `first + count` as sent now."""
        start = int(self._ends[first - 1]) if first else 0
        data = bytearray(self._data[start : self._ends[first + count - 1]])
        text = b"%d" % stamp_of(now_ns)
        for at in self._stamps[first : first + count].tolist():
            if at != NO_STAMP:
                data[at - start : at - start + DIGITS] = text
        return bytes(data)

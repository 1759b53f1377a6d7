"""Binary frames: 16 bytes of header, then records that numpy reads where they lie.

The only module that needs numpy. Layouts are learnt from the gateway (verb `schema`), so a field
that is added to a record needs no new client.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final, Literal

import numpy as np

from gateway.client.ledger import Data

HEADER: Final = Struct("<BBBBIq")  # version, type, flags, count, ch, first_seq
VERSION: Final = 1
SNAP, UPDATE = 1, 2
MERGED: Final = 1  # flag


def dtype_of(layout: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the dtype that a layout of `schema_ok` describes."""
    fields = layout["fields"]
    return np.dtype(
        {
            "names": [field["name"] for field in fields],
            "formats": [("<" + field["type"], tuple(field["shape"])) for field in fields],
            "offsets": [field["offset"] for field in fields],
            "itemsize": layout["bytes"],
        }
    )


class Layouts:
    """Reads binary frames.

    Parameters
    ----------
    schema
        The gateway's `schema_ok`.
    channel_of
        The channel that a `ch` of an update belongs to, "" when nobody introduced it.
    """

    def __init__(self, schema: Mapping[str, Any], channel_of: Callable[[int], str]) -> None:
        self._key = dtype_of(schema["key"])
        self._merged = dtype_of(schema["merged"])
        self._channels = {
            name: dtype_of(channel["layout"]) for name, channel in schema["channels"].items()
        }
        self._channel_of = channel_of

    def read(self, frame: bytes) -> list[Data]:
        """Return a frame's rows: ``numpy.void`` views of its bytes.

        Raises
        ------
        ValueError
            The frame is of another version, or cut off.
        """
        version, kind, flags, count, ch, first_seq = HEADER.unpack_from(frame)
        if version != VERSION or kind not in (SNAP, UPDATE):
            raise ValueError(f"a binary frame of version {version}, type {kind}")
        at = HEADER.size
        topic = epoch = ""
        if kind == SNAP:
            key = np.frombuffer(frame, self._key, 1, at)[0]
            at += self._key.itemsize
            topic, epoch = key["topic"].decode(), str(key["epoch"])
        merged = None
        if flags & MERGED:
            merged = np.frombuffer(frame, self._merged, 1, at)[0]
            at += self._merged.itemsize
        dtype = self._channels.get(topic.rpartition(".")[0] if topic else self._channel_of(ch))
        if dtype is None:  # the ledger will say so
            return [Data("d", ch, first_seq, 1, None)]
        rows = np.frombuffer(frame, dtype, count, at)
        word: Literal["snap", "d"] = "snap" if kind == SNAP else "d"
        found = []
        before = first_seq - 1
        for row, seq in zip(rows, rows["seq"].tolist(), strict=True):
            found.append(Data(word, ch, seq, seq - before, row, merged, topic, epoch))
            before = seq
        return found

"""Rows to JSON frames. What is in `data` is said in gateway.plan and gateway.derived.

A frame is text of latin-1: the WebSocket header, then ASCII JSON (gateway.frames says why).
"""

from collections.abc import Iterable
from itertools import compress
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS, Channel
from gateway.derived import derived_members
from gateway.directory import Directory
from gateway.frames import HEADERS
from gateway.merge import MergedPart
from gateway.plan import members_of
from gateway.rows import pick
from gateway.settings import CH_SYMBOL_BITS
from gateway.texts import PRICES, Texts, string

REQUESTED: Final = -2  # instead of a seq: the receiver asked for the state


def ch_of(channel: Channel, symbol_id: int) -> int:
    """Return the number that names a channel key in frames: the same for all clients."""
    return channel.code << CH_SYMBOL_BITS | symbol_id


class Encoded(Protocol):
    """Frames of one batch of rows, one per row."""

    def select(self, keep: NDArray[np.bool_] | None) -> bytes:
        """Return the frames of the rows that a mask keeps, joined; None keeps all."""
        ...

    def frames(self) -> list[bytes]:
        """Return the frames one by one."""
        ...


class Codec(Protocol):
    """Encodes rows of one channel in one format."""

    def encode(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None = None,
    ) -> Encoded:
        """Encode one frame per row; see JsonCodec.texts for what the arguments mean."""
        ...


class JsonFrames:
    """Encoded rows as latin-1 text; joined once when everybody wants everything."""

    __slots__ = ("_texts", "_whole")

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts
        self._whole: bytes | None = None

    def select(self, keep: NDArray[np.bool_] | None) -> bytes:
        """Return the frames of the rows that a mask keeps, joined; None keeps all."""
        if keep is not None:
            return "".join(compress(self._texts, keep.tolist())).encode("latin-1")
        if self._whole is None:
            self._whole = "".join(self._texts).encode("latin-1")
        return self._whole

    def frames(self) -> list[bytes]:
        """Return the frames one by one."""
        return [text.encode("latin-1") for text in self._texts]


class JsonCodec:
    """Encodes rows of one channel as JSON.

    Parameters
    ----------
    channel
        Whose rows.
    directory
        Codes for topics, and multipliers for what is derived.
    """

    def __init__(self, channel: Channel, directory: Directory) -> None:
        self.channel = channel
        self._directory = directory
        members = [*members_of(channel), *derived_members(channel, directory)]
        self._columns = [column for _, column in members]
        data = '"data":{' + ",".join([text for text, _ in members]) + "}}"
        self._delta = '%s%s,"n":%s,' + data
        self._snap = '%s%s,"epoch":"%s","n":%s,' + data
        self._state = '{"topic":%s,"seq":%s,' + data
        self._heads = Texts(lambda i: f'{{"op":"d","ch":{ch_of(channel, i)},"seq":')

    def encode(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None = None,
    ) -> JsonFrames:
        """Encode one frame per row (see `texts`)."""
        return JsonFrames(self.texts(rows, prev, epochs, merged))

    def texts(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None = None,
    ) -> list[str]:
        """Encode one frame per row.

        Parameters
        ----------
        rows
            Rows of this channel.
        prev
            int64, the seq the receivers have: the frame is ``d`` with ``n = seq - prev``. When it
            is 0 they have never heard of this key's `ch`, and the frame is a `snap` with ``n =
            seq``; REQUESTED makes it a `snap` with ``n = 0``: a state asked for, no news.
        epochs
            Epoch text of each row's shard; read for snaps only, may be empty without any.
        merged
            Aggregates of the trades a conflated frame stands for, one per row.

        Returns
        -------
        list of str
            Whole WebSocket text frames as latin-1 text, in the order of rows.
        """
        first = prev <= 0
        if not first.any():
            return self._deltas(rows, prev, merged)
        if first.all():
            return self._snaps(rows, prev, epochs, merged)
        later = ~first
        snaps = iter(
            self._snaps(
                pick(rows, first),
                prev[first],
                [e for e, f in zip(epochs, first.tolist(), strict=True) if f],
                merged.select(first) if merged else None,
            )
        )
        deltas = iter(
            self._deltas(pick(rows, later), prev[later], merged.select(later) if merged else None)
        )
        return [next(snaps) if is_first else next(deltas) for is_first in first.tolist()]

    def states(self, rows: NDArray[np.void]) -> list[str]:
        """Write rows as JSON objects with topic, seq and data: parts of an answer, no frames."""
        topics = [string(self.topic(i)) for i in rows["symbol_id"].tolist()]
        columns = (column(rows) for column in self._columns)
        values = zip(topics, rows["seq"].tolist(), *columns, strict=True)
        return list(map(self._state.__mod__, values))

    def topic(self, symbol_id: int) -> str:
        """Return the exact topic of a key."""
        return f"{self.channel.name}.{self._directory.code(symbol_id)}"

    def _deltas(
        self, rows: NDArray[np.void], prev: NDArray[np.int64], merged: MergedPart | None
    ) -> list[str]:
        n = _with_merged((rows["seq"] - prev).tolist(), merged)
        heads = map(self._heads.__getitem__, rows["symbol_id"].tolist())
        values = zip(
            heads, rows["seq"].tolist(), n, *(column(rows) for column in self._columns), strict=True
        )
        return [HEADERS[len(text)] + text for text in map(self._delta.__mod__, values)]

    def _snaps(
        self,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        epochs: list[str],
        merged: MergedPart | None,
    ) -> list[str]:
        n = _with_merged(np.where(prev == REQUESTED, 0, rows["seq"]).tolist(), merged)
        # Not remembered per id: a symbol may get another id's code after an epoch change.
        heads = [
            f'{{"op":"snap","ch":{ch_of(self.channel, i)},"topic":{string(self.topic(i))},"seq":'
            for i in rows["symbol_id"].tolist()
        ]
        values = zip(
            heads,
            rows["seq"].tolist(),
            epochs,
            n,
            *(column(rows) for column in self._columns),
            strict=True,
        )
        return [HEADERS[len(text)] + text for text in map(self._snap.__mod__, values)]


def json_codecs(directory: Directory) -> dict[int, JsonCodec]:
    """Return a codec for every public channel, by channel code."""
    return {channel.code: JsonCodec(channel, directory) for channel in CHANNELS if channel.public}


def _with_merged(n: list[int], merged: MergedPart | None) -> Iterable[object]:
    """Write `n` and, where a frame is news of several trades, their aggregates."""
    if merged is None:
        return n
    return [
        f'{count},"merged":{text}' if count else "0"
        for count, text in zip(n, _merged_texts(merged), strict=True)
    ]


def _merged_texts(part: MergedPart) -> list[str]:
    """Return the `merged` object of each row."""
    sums = part.sums
    return [
        f'{{"count":{count},"open":{PRICES[open_]},"high":{PRICES[high]},"low":{PRICES[low]},'
        f'"volume_shares":{volume},"value_vnd":{value},"buy_volume_shares":{buy},'
        f'"sell_volume_shares":{sell},"missed_volume_shares":{missed}}}'
        if count
        else '{"count":0}'
        for count, open_, high, low, volume, value, buy, sell, missed in zip(
            part.count.tolist(),
            part.open_e2.tolist(),
            part.high_e2.tolist(),
            part.low_e2.tolist(),
            sums["volume"].tolist(),
            sums["value"].tolist(),
            sums["buy"].tolist(),
            sums["sell"].tolist(),
            sums["missed"].tolist(),
            strict=True,
        )
    ]

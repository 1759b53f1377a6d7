"""The latest row of every channel and key, as of the bus. Index: symbol_id.

The market-wide board is one more source beside the shards; its keys have ids above all symbols.

Whatever the bus loses, repeats or overtakes, a row replaces only an older one of the same
epoch, so the mirror is right as soon as the newest row has arrived once.
"""

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS, Channel
from engine.schema.counters import SOURCE_MAX
from gateway.rows import opaque, pick


class Mirror:
    """Rows by channel code.

    Attributes
    ----------
    rows
        Channel code -> array of the channel's dtype, shape (capacity,).
    seq
        Channel code -> int64 (capacity,), the rows' seq again, dense; 0 means no row.
    shard
        int16 (capacity,), which source a key came from, -1 unknown.
    epochs
        Epoch of each source as text (an int64 is too large for a browser's number), "" before its
        first frame.
    refused_rows
        Rows whose symbol_id does not fit.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows = [np.zeros(capacity, channel.dtype) for channel in CHANNELS]
        self._opaque = [opaque(rows) for rows in self.rows]
        self.seq = [np.zeros(capacity, np.int64) for _ in CHANNELS]
        self.shard: NDArray[np.int16] = np.full(capacity, -1, np.int16)
        self.epochs = [""] * SOURCE_MAX
        self.refused_rows = 0
        # numpy sorts 16-bit keys by radix, ten times faster than wider ones
        self._key_dtype = np.dtype(np.uint16 if capacity <= 1 << 16 else np.uint32)

    def starts_over(self, shard: int, epoch: int) -> bool:
        """Return whether a frame of this epoch means that the shard's rows are void."""
        return self.epochs[shard] not in ("", str(epoch))

    def meet(self, shard: int, epoch: int) -> NDArray[np.int64]:
        """Note a shard's epoch; if it starts over, forget its rows and return their ids."""
        before, self.epochs[shard] = self.epochs[shard], str(epoch)
        if before in ("", self.epochs[shard]):
            return np.zeros(0, np.int64)
        ids = np.flatnonzero(self.shard == shard)
        for rows, seq in zip(self.rows, self.seq, strict=True):
            rows[ids] = np.zeros((), rows.dtype)
            seq[ids] = 0
        self.shard[ids] = -1
        return ids

    def epoch(self) -> str:
        """Return the epochs of all sources heard so far as one opaque text."""
        return "-".join(epoch for epoch in self.epochs if epoch)

    def epochs_of(self, rows: NDArray[np.void]) -> list[str]:
        """Return the epoch text of each row's source."""
        return [self.epochs[shard] for shard in self.shard[rows["symbol_id"]].tolist()]

    def take(self, code: int, ids: NDArray[np.int64]) -> NDArray[np.void]:
        """Return copies of a channel's rows for these ids."""
        return pick(self.rows[code], ids)

    def apply(
        self, channel: Channel, rows: NDArray[np.void], shard: int
    ) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Take what is newer than what is known.

        Parameters
        ----------
        channel
            Whose rows these are.
        rows
            Rows in the order they were published; several per symbol are allowed.
        shard
            Where they came from.

        Returns
        -------
        fresh
            The rows that were news, in order.
        prev
            int64, for each fresh row the seq before it: 0 when its symbol had none. ``seq - prev``
            is 1 unless the bus lost something.
        """
        ids, seq = rows["symbol_id"], rows["seq"]
        good = (ids > 0) & (ids < self.capacity) & (seq > 0)
        if not good.all():
            self.refused_rows += int(len(rows) - good.sum())
            rows = pick(rows, good)
            ids, seq = rows["symbol_id"], rows["seq"]
        known = self.seq[channel.code]
        prev = known[ids]
        order = np.argsort(ids.astype(self._key_dtype), kind="stable")
        runs = ids[order]
        same = np.flatnonzero(runs[1:] == runs[:-1]) + 1  # rows whose symbol came just before
        if len(same):
            sorted_seq = seq[order]
            before = sorted_seq[same - 1]
            if (sorted_seq[same] <= before).any():
                prev = _running_newest(ids.tolist(), seq.tolist(), prev.tolist())
            else:
                at = order[same]
                prev[at] = np.maximum(prev[at], before)
        fresh = seq > prev
        if not fresh.all():
            rows, prev = pick(rows, fresh), prev[fresh]
            ids, seq = rows["symbol_id"], rows["seq"]
        # Of several rows for one index numpy keeps the last, which is the newest.
        self._opaque[channel.code][ids] = opaque(rows)
        known[ids] = seq
        self.shard[ids] = shard
        return rows, prev


def _running_newest(ids: list[int], seqs: list[int], known: list[int]) -> NDArray[np.int64]:
    """Return the newest seq before each row when a batch repeats or reorders: rare, so plain."""
    newest: dict[int, int] = {}
    prev = np.empty(len(ids), np.int64)
    for i, (symbol_id, seq, start) in enumerate(zip(ids, seqs, known, strict=True)):
        prev[i] = newest.setdefault(symbol_id, start)
        newest[symbol_id] = max(int(prev[i]), seq)
    return prev

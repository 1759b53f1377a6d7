"""Past rows of every channel, for clients that come back: what they missed, or that it is gone.

Owner of the memory: Backlog, a fixed budget. May lose: the oldest rows, when newer ones need the
room; whoever asks for them is told that it is not complete. The latest row is the mirror's.

Rows lie in chunks, per channel, in the order they were published, with their ids and sequence
numbers beside them as dense columns: a search reads a few bytes of a row, not the row. What is
complete is known without a search: each key has the first of its rows from which none is missing.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS, Channel
from gateway.rows import joined_rows, opaque

PENDING_SHARE: Final = 32  # this part of the budget waits to be put in place, many rows at once
PENDING_BYTES_MAX: Final = 262_144
CHUNK_BYTES_MIN: Final = 16_384  # of a channel that says little
CHUNK_SHARE: Final = 32  # the largest chunk is this part of its half: the grain of forgetting
FEW_KEYS: Final = 8  # so many are looked for one by one, which is faster than a table

Ids = NDArray[np.unsignedinteger]


class _Chunk:
    """A run of rows of one channel; id 0 marks a row that was forgotten."""

    __slots__ = ("count", "ids", "rows", "seqs", "size_bytes", "turn")

    def __init__(self, dtype: np.dtype[np.void], ids: np.dtype[Any], room: int) -> None:
        self.ids: Ids = np.empty(room, ids)
        self.seqs: NDArray[np.int64] = np.empty(room, np.int64)
        self.rows: NDArray[np.void] = np.empty(room, f"V{dtype.itemsize}")
        self.size_bytes = self.ids.nbytes + self.seqs.nbytes + self.rows.nbytes
        self.count = 0
        self.turn = 0  # when its last row came

    def fill(self, ids: Ids, seqs: NDArray[np.int64], rows: NDArray[np.void]) -> int:
        """Copy as many rows as there is room for; return how many."""
        start, stop = self.count, min(len(self.ids), self.count + len(ids))
        taken = stop - start
        self.ids[start:stop] = ids[:taken]
        self.seqs[start:stop] = seqs[:taken]
        self.rows[start:stop] = rows[:taken]
        self.count = stop
        return taken


class _Half:
    """A part of the budget that some channels share."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self.shelves: list[_Shelf] = []

    def make_room(self, size_bytes: int) -> None:
        """Drop the chunks that are longest without a new row until so much is free."""
        while self.used_bytes + size_bytes > self.budget_bytes:
            filled = [shelf for shelf in self.shelves if shelf.chunks]
            min(filled, key=lambda shelf: shelf.chunks[0].turn).drop_oldest()


class _Shelf:
    """All that is kept of one channel."""

    def __init__(self, channel: Channel, capacity: int, half: _Half) -> None:
        self.channel = channel
        self.chunks: list[_Chunk] = []
        self.newest: NDArray[np.int64] = np.zeros(capacity, np.int64)  # of each key, 0: none
        # From this seq on, up to the newest, no row of the key is missing.
        self.first: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self._half = half
        # numpy sorts 16-bit keys by radix, ten times faster than wider ones
        self._id_dtype: np.dtype[Any] = np.dtype(np.uint16 if capacity <= 1 << 16 else np.uint32)
        self._row_bytes = channel.dtype.itemsize + 8 + self._id_dtype.itemsize
        half.shelves.append(self)

    def put(self, rows: NDArray[np.void], turn: int) -> None:
        """Take those rows that are newer than the newest of their key."""
        ids, seqs = rows["symbol_id"], rows["seq"].astype(np.int64)
        packed = opaque(rows)
        good = (ids > 0) & (ids < len(self.newest)) & (seqs > 0)
        if not good.all():
            ids, seqs, packed = ids[good], seqs[good], packed[good]
        ids = ids.astype(self._id_dtype)
        before = self._before(ids, seqs)
        fresh = seqs > before
        if not fresh.all():
            ids, seqs, packed, before = ids[fresh], seqs[fresh], packed[fresh], before[fresh]
        jumps = seqs != before + 1
        # Of several values for one index numpy keeps the last, which is the newest.
        self.first[ids[jumps]] = seqs[jumps]
        self.newest[ids] = seqs
        while len(ids):
            chunk = self._chunk_with_room()
            if chunk is None:  # not one row fits into the budget
                self.first[ids] = seqs + 1
                return
            taken = chunk.fill(ids, seqs, packed)
            chunk.turn = turn
            ids, seqs, packed = ids[taken:], seqs[taken:], packed[taken:]

    def _before(self, ids: Ids, seqs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the newest seq of its key before each row, rows of the same batch included."""
        before = self.newest[ids]
        order = np.argsort(ids, kind="stable")
        runs = ids[order]
        same = np.flatnonzero(runs[1:] == runs[:-1]) + 1  # rows whose key came just before
        if not len(same):
            return before
        earlier = seqs[order[same - 1]]
        if (seqs[order[same]] <= earlier).any():
            newest: dict[int, int] = {}  # the batch repeats or reorders: rare, so plain
            for i, (key, seq) in enumerate(zip(ids.tolist(), seqs.tolist(), strict=True)):
                before[i] = newest.setdefault(key, int(before[i]))
                newest[key] = max(newest[key], seq)
            return before
        before[order[same]] = np.maximum(before[order[same]], earlier)
        return before

    def _chunk_with_room(self) -> _Chunk | None:
        """Return the chunk being filled, or the next; None when the half is smaller than a row."""
        if self.chunks and self.chunks[-1].count < len(self.chunks[-1].ids):
            return self.chunks[-1]
        half = self._half
        if self._row_bytes > half.budget_bytes:
            return None
        # As much again as there is: a quiet channel takes little, a busy one is few chunks.
        held_bytes = sum(chunk.size_bytes for chunk in self.chunks)
        wanted_bytes = min(max(held_bytes, CHUNK_BYTES_MIN), half.budget_bytes // CHUNK_SHARE)
        room = max(1, wanted_bytes // self._row_bytes)
        half.make_room(room * self._row_bytes)
        chunk = _Chunk(self.channel.dtype, self._id_dtype, room)
        half.used_bytes += chunk.size_bytes
        self.chunks.append(chunk)
        return chunk

    def drop_oldest(self) -> None:
        """Free the oldest chunk; its keys begin behind it."""
        chunk = self.chunks.pop(0)
        self._half.used_bytes -= chunk.size_bytes
        ids = chunk.ids[: chunk.count]
        self.first[ids] = np.maximum(self.first[ids], chunk.seqs[: chunk.count] + 1)

    def forget(self, gone: NDArray[np.bool_]) -> None:
        """Drop all rows of these keys; memory is free once nothing else is in its chunk."""
        self.newest[gone] = 0
        self.first[gone] = 0
        kept = []
        for chunk in self.chunks:
            ids = chunk.ids[: chunk.count]
            ids[gone[ids]] = 0
            if ids.any():
                kept.append(chunk)
            else:
                self._half.used_bytes -= chunk.size_bytes
        self.chunks = kept

    def complete(self, since: NDArray[np.int64], upto: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for which keys all of since < seq <= upto is there."""
        there = (since < upto) & (upto <= self.newest) & (since >= self.first - 1)
        whole: NDArray[np.bool_] = (since >= 0) & (there | (since == upto))
        return whole

    def find(
        self, wanted: NDArray[np.bool_], since: NDArray[np.int64], upto: NDArray[np.int64]
    ) -> NDArray[np.void]:
        """Return since < seq <= upto of keys that have all of it, in order."""
        keys = np.flatnonzero(wanted)
        missing = int((upto[keys] - since[keys]).sum())
        parts: list[NDArray[np.void]] = []
        for chunk in reversed(self.chunks):
            if not missing:
                break
            at = _places(chunk.ids[: chunk.count], keys, wanted)
            ids, seqs = chunk.ids[at], chunk.seqs[at]
            at = at[(seqs > since[ids]) & (seqs <= upto[ids])]
            missing -= len(at)
            parts.append(chunk.rows[at])
        assert not missing, f"{self.channel.name}: rows are missing of keys that had them all"
        if not parts:
            return np.zeros(0, self.channel.dtype)
        return joined_rows(parts[::-1]).view(self.channel.dtype)


def _places(ids: Ids, keys: NDArray[np.intp], wanted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return where ids are among the keys; `wanted` says the same as a table."""
    if len(keys) > FEW_KEYS:
        return np.flatnonzero(wanted[ids])
    mask = ids == keys[0]
    for key in keys[1:]:
        mask |= ids == key
    return np.flatnonzero(mask)


class Backlog:
    """Rows by channel in the order they were published, each once.

    Parameters
    ----------
    capacity
        Ids are 1 .. capacity - 1; rows of others are ignored, as are those of private channels.
    budget_bytes
        Most memory of rows. Channels of events (default mode `all`) have one half of it, the
        others the other: a storm of statistics cannot push trades out.
    """

    def __init__(self, capacity: int, budget_bytes: int) -> None:
        self.capacity = capacity
        self._pending: list[list[NDArray[np.void]]] = [[] for _ in CHANNELS]
        self._pending_bytes = 0
        self._pending_bytes_max = min(PENDING_BYTES_MAX, budget_bytes // PENDING_SHARE)
        share_bytes = (budget_bytes - self._pending_bytes_max) // 2
        self._halves = {"all": _Half(share_bytes), "conflate": _Half(share_bytes)}
        self._shelves = {
            channel.code: _Shelf(channel, capacity, self._halves[channel.default_mode])
            for channel in CHANNELS
            if channel.public
        }
        self._turn = 0

    @property
    def used_bytes(self) -> int:
        """Memory of rows in use, at most the budget."""
        return self._pending_bytes + sum(half.used_bytes for half in self._halves.values())

    def add(self, channel: Channel, rows: NDArray[np.void]) -> None:
        """Keep rows (the channel's dtype, in the order they were published).

        A row that is not newer than the newest of its key is known already and not taken.
        """
        assert rows.dtype == channel.dtype, f"{channel.name}: rows of another dtype"
        if channel.code not in self._shelves:
            return
        if self._pending_bytes + rows.nbytes > self._pending_bytes_max:
            self._settle()
            if rows.nbytes > self._pending_bytes_max:
                self._shelves[channel.code].put(rows, self._turn)
                return
        self._pending[channel.code].append(opaque(rows).copy())
        self._pending_bytes += rows.nbytes

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop all rows of these keys: their source starts over."""
        self._settle()
        gone = np.zeros(self.capacity, np.bool_)
        gone[ids] = True
        for shelf in self._shelves.values():
            shelf.forget(gone)

    def after(
        self, code: int, since: NDArray[np.int64], upto: NDArray[np.int64]
    ) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        """Return what receivers missed.

        Parameters
        ----------
        code
            Of a public channel.
        since
            int64 (capacity,): seq the receiver has, -1 where it does not ask.
        upto
            int64 (capacity,): newest seq there is (``mirror.seq[code]``).

        Returns
        -------
        rows
            Those with since < seq <= upto, in the order they were published, each once; only of
            keys that are complete. A copy.
        complete
            bool (capacity,): asked, and all of these rows are there; also when since == upto.
            False when the receiver says that it has more than there is.
        """
        self._settle()
        shelf = self._shelves[code]
        complete = shelf.complete(since, upto)
        return shelf.find(complete & (since < upto), since, upto), complete

    def _settle(self) -> None:
        """Put pending rows in their place: one pass for many small batches."""
        self._turn += 1
        for code, shelf in self._shelves.items():
            if parts := self._pending[code]:
                shelf.put(joined_rows(parts).view(shelf.channel.dtype), self._turn)
                parts.clear()
        self._pending_bytes = 0

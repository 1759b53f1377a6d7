"""What one interval of conflated delivery remembers between two flushes, and what a laggard misses.

The rule that keeps everything exact: right after a flush, `last` equals the mirror for every key.
Whoever joins, leaves or catches up does so right after a flush, so that ``n = seq - last`` and the
merged aggregates speak of exactly what the receiver has not seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import TRADE, Channel
from gateway.audience import Audience
from gateway.encode import REQUESTED
from gateway.merge import Merged, MergedPart
from gateway.mirror import Mirror
from gateway.rows import pick

CLEAN: Final = -1  # in Lag: nothing is owed; 0 means "has never seen the key", REQUESTED "asked"


@dataclass(frozen=True, slots=True)
class Flush:
    """Changed keys of one channel, as of now."""

    code: int
    ids: NDArray[np.int64]
    rows: NDArray[np.void]
    prev: NDArray[np.int64]
    merged: MergedPart | None


class Conflation:
    """All groups that share one interval.

    Attributes
    ----------
    audience
        Who wants what at this interval. After a change of it call `watch`.
    flushed_ns
        When the interval was flushed last.
    wake
        Set it when somebody who lagged can take data again.
    """

    def __init__(self, interval_ms: int, mirror: Mirror) -> None:
        self.interval_ms = interval_ms
        self.interval_ns = interval_ms * 1_000_000
        self.audience = Audience(mirror.capacity)
        self.flushed_ns = 0
        self.wake = False
        self._mirror = mirror
        self._watched: dict[int, NDArray[np.bool_]] = {}
        self._dirty: dict[int, NDArray[np.bool_]] = {}
        self._any_dirty = False
        self._last: dict[int, NDArray[np.int64]] = {}
        self._merged: Merged | None = None

    def due_ns(self) -> int | None:
        """Return when the next flush is due, None when nothing waits for one."""
        return self.flushed_ns + self.interval_ns if self._any_dirty or self.wake else None

    def watch(self) -> None:
        """Recompute which keys matter, after the audience changed. Call right after `take`."""
        assert not self._any_dirty, "watch before take: changes would be forgotten"
        self._watched = {}
        for code in self.audience.codes():
            watched = self.audience.watched(code)
            assert watched is not None
            self._watched[code] = watched
            if code not in self._dirty:
                self._dirty[code] = np.zeros(self._mirror.capacity, np.bool_)
                self._last[code] = np.zeros(self._mirror.capacity, np.int64)
            np.copyto(self._last[code], self._mirror.seq[code])
        for code in [code for code in self._dirty if code not in self._watched]:
            del self._dirty[code], self._last[code]
        if TRADE.code not in self._watched:
            self._merged = None
        elif self._merged is None:
            self._merged = Merged(self._mirror.capacity)

    def note(self, channel: Channel, rows: NDArray[np.void]) -> None:
        """Remember that these rows are news."""
        watched = self._watched.get(channel.code)
        if watched is None:
            return
        ids = rows["symbol_id"]
        keep = watched[ids]
        if not keep.all():
            rows, ids = pick(rows, keep), ids[keep]
        if len(ids):
            self._dirty[channel.code][ids] = True
            self._any_dirty = True
            if channel is TRADE and self._merged is not None:
                self._merged.add_trades(rows)

    def introduce(self, ids: NDArray[np.int64]) -> None:
        """Treat these symbols as never shown: they got their name only now."""
        for code, dirty in self._dirty.items():
            self._last[code][ids] = 0
            named = ids[(self._mirror.seq[code][ids] > 0) & self._watched[code][ids]]
            dirty[named] = True
            self._any_dirty |= bool(len(named))

    def take(self, now_ns: int) -> list[Flush]:
        """Return what changed since the last flush and start anew."""
        self.flushed_ns = now_ns
        self.wake = False
        if not self._any_dirty:
            return []
        self._any_dirty = False
        found = []
        for code, dirty in self._dirty.items():
            ids = np.flatnonzero(dirty)
            if not len(ids):
                continue
            dirty[ids] = False
            last = self._last[code]
            prev, last[ids] = last[ids], self._mirror.seq[code][ids]
            merged = (
                self._merged.take(ids) if code == TRADE.code and self._merged is not None else None
            )
            found.append(Flush(code, ids, self._mirror.take(code, ids), prev, merged))
        return found


class Lag:
    """What one client missed at one interval while its transport was full. Bounded by keys."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._prev: dict[int, NDArray[np.int64]] = {}
        self._merged: Merged | None = None

    def mark(
        self,
        code: int,
        ids: NDArray[np.int64],
        prev: NDArray[np.int64],
        merged: MergedPart | None = None,
    ) -> int:
        """Note keys that were not sent; return how many had been noted before."""
        mine = self._prev.get(code)
        if mine is None:
            mine = self._prev[code] = np.full(self._capacity, CLEAN, np.int64)
        before = mine[ids]
        # A requested state stays that; a key introduced anew needs no history.
        mine[ids] = np.where(
            (before != REQUESTED) & ((before == CLEAN) | (prev <= 0)), prev, before
        )
        if merged is not None:
            if self._merged is None:
                self._merged = Merged(self._capacity)
            self._merged.add(ids, merged)
        return int((before != CLEAN).sum())

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop these symbols: their shard starts over."""
        for prev in self._prev.values():
            prev[ids] = CLEAN
        if self._merged is not None:
            self._merged.clear(ids)

    def marked(self) -> Iterable[tuple[int, NDArray[np.int64]]]:
        """Yield channel codes and the ids that are owed."""
        for code, prev in self._prev.items():
            yield code, np.flatnonzero(prev != CLEAN)

    def take(self, mirror: Mirror, keys_max: int) -> Flush | None:
        """Return up to `keys_max` owed keys of one channel in their latest state, None if done."""
        for code, prev in self._prev.items():
            ids = np.flatnonzero(prev != CLEAN)[:keys_max]
            if not len(ids):
                continue
            before, prev[ids] = prev[ids], CLEAN
            merged = (
                self._merged.take(ids) if code == TRADE.code and self._merged is not None else None
            )
            return Flush(code, ids, mirror.take(code, ids), before, merged)
        return None

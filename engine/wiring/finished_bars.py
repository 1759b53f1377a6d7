"""Which bars are over: rows of a bar channel in, one row for every bar that ended out.

A row of a bar channel holds the bar that is open and the one before it, and comes with every
change. History keeps a bar when a newer one of its symbol has begun, and again if a late match
changes it after that. Bars that are still open are `open_bars`: the live tail, and at the close
the last word on the day. Several rows of one bar are versions; the highest `seq` is the truth.
"""

import numpy as np
from numpy.typing import NDArray

from engine.schema.deltas import BAR_DELTA

WORD_BYTES = 8
BAR_WORDS = 9
_ROW_WORDS = BAR_DELTA.itemsize // WORD_BYTES


def _first_word(field: str) -> int:
    """Return where the block of nine words begins that starts with this field."""
    assert BAR_DELTA.fields is not None
    start_bytes = BAR_DELTA.fields[field][1]
    assert start_bytes % WORD_BYTES == 0
    return int(start_bytes) // WORD_BYTES


OPEN_WORD, PREV_WORD = _first_word("start_exch_s"), _first_word("prev_start_exch_s")
OPEN = slice(OPEN_WORD, PREV_WORD)
PREV = slice(PREV_WORD, _ROW_WORDS)
KEY_MASK = np.int64(0xFF_FFFFFFFF)  # start_exch_s and bar_phase of a bar's first word
assert PREV_WORD - OPEN_WORD == _ROW_WORDS - PREV_WORD == BAR_WORDS


def _words(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Return rows as int64 (n, 24), the same memory: numpy moves words faster than records."""
    return rows.view(np.int64).reshape(-1, _ROW_WORDS)


def _rows(words: NDArray[np.int64]) -> NDArray[np.void]:
    """Return words as rows, with nothing in the place of the previous bar."""
    words[:, PREV] = 0
    return words.view(BAR_DELTA).reshape(-1)


class FinishedBars:
    """Follows one bar channel of one shard.

    Parameters
    ----------
    symbol_capacity
        Symbols of the shard's fold.
    """

    def __init__(self, symbol_capacity: int) -> None:
        self._last = np.zeros((symbol_capacity, _ROW_WORDS), np.int64)
        self._told = np.zeros((symbol_capacity, BAR_WORDS), np.int64)  # what `close` said last

    def take(self, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Take news of the channel; return the bars they have ended or changed after their end.

        Parameters
        ----------
        rows
            BAR_DELTA, shape (n,), in the order they were emitted; several of a symbol are fine.

        Returns
        -------
        numpy.ndarray
            BAR_DELTA, shape (m,), copies: the finished bar stands where the open one usually
            does, and there is no previous one. By symbol, and in order within each.
        """
        order = np.argsort(rows["symbol_id"], kind="stable")
        ids, news = rows["symbol_id"][order], _words(rows)[order]
        before = np.empty_like(news)
        before[1:] = news[:-1]
        first = np.ones(len(news), np.bool_)
        first[1:] = ids[1:] != ids[:-1]
        before[first] = self._last[ids[first]]
        last = np.roll(first, -1)
        self._last[ids[last]] = news[last]
        return _ended(before, news)

    def open_bars(self) -> NDArray[np.void]:
        """Return the bars that are open, as `take` returns finished ones; BAR_DELTA, copies.

        Without those that `close` has returned and that have not changed since.
        """
        last = self._last
        return _rows(last[(last[:, OPEN_WORD] != 0) & (last[:, OPEN] != self._told).any(1)])

    def close(self) -> NDArray[np.void]:
        """Return the open bars as the day's last: those that `close` has not returned before."""
        rows = self.open_bars()
        self._told[rows["symbol_id"]] = _words(rows)[:, OPEN]
        return rows


def _ended(before: NDArray[np.int64], news: NDArray[np.int64]) -> NDArray[np.void]:
    """Return what each row says of bars that are over, given the row of its symbol before it."""
    # The previous bar is news when it differs from what it was: it just ended, or was put right.
    told = (news[:, PREV_WORD] != 0) & (news[:, PREV] != before[:, PREV]).any(1)
    # An open bar that is neither of the two now has left in one step: a group opened two others,
    # or a day began. What was known of it is the last word.
    left = before[:, OPEN_WORD] & KEY_MASK
    gone = left != 0
    gone &= (left != news[:, OPEN_WORD] & KEY_MASK) & (left != news[:, PREV_WORD] & KEY_MASK)
    finished = news[told]
    finished[:, OPEN] = finished[:, PREV]
    where = np.concatenate([np.flatnonzero(gone), np.flatnonzero(told)])
    return _rows(np.concatenate([before[gone], finished])[np.argsort(where, kind="stable")])

"""What a client in mode skip was not sent while it was behind. Bounded by keys."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

NONE = -1


class Skipped:
    """Rows that were dropped, by key.

    Attributes
    ----------
    rows
        How many.
    """

    def __init__(self, capacity: int) -> None:
        self.rows = 0
        self._capacity = capacity
        self._first: dict[int, NDArray[np.int64]] = {}  # code -> first seq dropped, by id

    def mark(self, code: int, ids: NDArray[np.int64], prev: NDArray[np.int64]) -> None:
        """Note rows in order; `prev` is the seq before each of them."""
        self.rows += len(ids)
        first = self._first.get(code)
        if first is None:
            first = self._first[code] = np.full(self._capacity, NONE, np.int64)
        # Backwards, so that the earliest of a key stays; a key that was noted keeps its first.
        fresh = first[ids] == NONE
        first[ids[fresh][::-1]] = prev[fresh][::-1] + 1

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop these keys: their shard starts over."""
        for first in self._first.values():
            first[ids] = NONE

    def keys(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield channel code, ids, and the first seq dropped of each."""
        for code, first in self._first.items():
            ids = np.flatnonzero(first != NONE)
            if len(ids):
                yield code, ids, first[ids]

"""Every gap the feed left, each as its newest row tells it. Bounded.

The mirror keeps one row per symbol, and a symbol may have several gaps.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.codes import GapState

GAPS_MAX: Final = 20_000

Key = tuple[int, int, int]  # symbol_id, trade_day, gap_no


class GapBook:
    """Gaps by symbol, day and number, in the order in which they last changed.

    Parameters
    ----------
    gaps_max
        When there are more, the ones that changed longest ago are forgotten, closed ones first.
    """

    def __init__(self, gaps_max: int = GAPS_MAX) -> None:
        self._rows: dict[Key, NDArray[np.void]] = {}
        self._gaps_max = gaps_max

    def add(self, rows: NDArray[np.void]) -> None:
        """Take rows of channel `gaps`, in their order."""
        for i in np.flatnonzero(rows["gap_state"] != GapState.NONE).tolist():
            row = rows[i : i + 1].copy()
            key = (int(row["symbol_id"][0]), int(row["trade_day"][0]), int(row["gap_no"][0]))
            before = self._rows.get(key)
            if before is not None and before["seq"][0] > row["seq"][0]:
                continue
            self._rows.pop(key, None)
            self._rows[key] = row
        while len(self._rows) > self._gaps_max:
            self._rows.pop(self._least())

    def _least(self) -> Key:
        """Return the closed gap that changed longest ago; any, if none is closed."""
        for key, row in self._rows.items():
            if row["gap_state"][0] == GapState.CLOSED:
                return key
        return next(iter(self._rows))

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop the gaps of these keys: their source starts over."""
        gone = set(ids.tolist())
        self._rows = {key: row for key, row in self._rows.items() if key[0] not in gone}

    def newest(self) -> Iterator[NDArray[np.void]]:
        """Yield rows of shape (1,), the last change first."""
        return reversed(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

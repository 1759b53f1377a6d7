"""Exact aggregates of the trades a conflated frame stands for, so that candles stay exact."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.codes import Side

NO_PRICE: Final = np.iinfo(np.int64).max


class Merged:
    """Sums and extremes per symbol since they were last taken.

    All arrays int64, shape (capacity,), index symbol_id: count, open and high and low (`_e2`),
    volume, value, buy, sell, missed.
    """

    SUMS: Final = ("volume", "value", "buy", "sell", "missed")

    def __init__(self, capacity: int) -> None:
        self.count = np.zeros(capacity, np.int64)
        self.open_e2 = np.zeros(capacity, np.int64)
        self.high_e2 = np.zeros(capacity, np.int64)
        self.low_e2 = np.full(capacity, NO_PRICE, np.int64)
        self.sums: dict[str, NDArray[np.int64]] = {
            name: np.zeros(capacity, np.int64) for name in self.SUMS
        }

    def add_trades(self, rows: NDArray[np.void]) -> None:
        """Add rows of the trade channel, in order."""
        ids = rows["symbol_id"]
        price = rows["price_e2"].astype(np.int64)
        volume, side = rows["volume_shares"], rows["side"]
        first = np.flatnonzero(self.count[ids] == 0)[::-1]  # backwards: the earliest is kept
        self.open_e2[ids[first]] = price[first]
        np.add.at(self.count, ids, 1)
        np.maximum.at(self.high_e2, ids, price)
        np.minimum.at(self.low_e2, ids, price)
        for name, values in (
            ("volume", volume),
            ("value", rows["value_vnd"]),
            ("buy", np.where(side == Side.BUY, volume, 0)),
            ("sell", np.where(side == Side.SELL, volume, 0)),
            ("missed", rows["missed_volume_shares"]),
        ):
            np.add.at(self.sums[name], ids, values)

    def add(self, ids: NDArray[np.int64], part: "MergedPart") -> None:
        """Add what was taken elsewhere for these ids (each id once)."""
        self.open_e2[ids] = np.where(self.count[ids] == 0, part.open_e2, self.open_e2[ids])
        self.count[ids] += part.count
        self.high_e2[ids] = np.maximum(self.high_e2[ids], part.high_e2)
        self.low_e2[ids] = np.minimum(self.low_e2[ids], part.low_e2)
        for name, values in part.sums.items():
            self.sums[name][ids] += values

    def take(self, ids: NDArray[np.int64]) -> "MergedPart":
        """Return the aggregates of these ids and start them anew."""
        part = MergedPart(
            self.count[ids],
            self.open_e2[ids],
            self.high_e2[ids],
            self.low_e2[ids],
            {name: values[ids] for name, values in self.sums.items()},
        )
        self.clear(ids)
        return part

    def clear(self, ids: NDArray[np.int64] | slice) -> None:
        """Start these ids anew."""
        self.count[ids] = 0
        self.open_e2[ids] = 0
        self.high_e2[ids] = 0
        self.low_e2[ids] = NO_PRICE
        for values in self.sums.values():
            values[ids] = 0


class MergedPart:
    """Aggregates of some symbols, in the order they were asked for."""

    __slots__ = ("count", "high_e2", "low_e2", "open_e2", "sums")

    def __init__(
        self,
        count: NDArray[np.int64],
        open_e2: NDArray[np.int64],
        high_e2: NDArray[np.int64],
        low_e2: NDArray[np.int64],
        sums: dict[str, NDArray[np.int64]],
    ) -> None:
        self.count = count
        self.open_e2 = open_e2
        self.high_e2 = high_e2
        self.low_e2 = low_e2
        self.sums = sums

    def select(self, mask: NDArray[np.bool_]) -> "MergedPart":
        """Return the part of the symbols a mask keeps."""
        return MergedPart(
            self.count[mask],
            self.open_e2[mask],
            self.high_e2[mask],
            self.low_e2[mask],
            {n: v[mask] for n, v in self.sums.items()},
        )

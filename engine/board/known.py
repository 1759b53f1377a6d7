"""The latest rows of every shard, by symbol: what the board knows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.market.products import Product
from engine.market.symbology import identify
from engine.schema.channels import (
    FOREIGN,
    INDEX,
    PUT_THROUGH,
    REFERENCE,
    STATS,
    SYMBOL,
    Channel,
)
from engine.schema.codes import Instrument, Venue

SOURCES: Final = (SYMBOL, STATS, REFERENCE, FOREIGN, INDEX, PUT_THROUGH)


def opaque(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Return a view without field names: numpy copies that in one go, not field by field."""
    return rows.view(f"V{rows.dtype.itemsize}")


class Known:
    """The newest row per channel and symbol, and who names what.

    Parameters
    ----------
    capacity
        Symbol ids 1 .. capacity - 1 are kept, rows of others are ignored.

    Attributes
    ----------
    rows
        Channel name -> array of the channel's dtype, shape (capacity,), index symbol_id; seq 0
        where there is no row. The channels are `SOURCES`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: dict[str, NDArray[np.void]] = {
            channel.name: np.zeros(capacity, channel.dtype) for channel in SOURCES
        }
        self._owner: NDArray[np.int16] = np.full(capacity, -1, np.int16)
        self._names_changed = True
        self._shares: NDArray[np.intp] = np.zeros(0, np.intp)
        self._indices: dict[str, int] = {}

    def take(self, channel: Channel, rows: NDArray[np.void], shard: int) -> bool:
        """Keep the rows that are newer than what is known; return whether any was.

        Rows may come twice or, from a snapshot, late: seq decides.
        """
        if channel.name not in self.rows:
            return False
        mine = self.rows[channel.name]
        ids = rows["symbol_id"].astype(np.intp)
        fits = np.flatnonzero((ids > 0) & (ids < self.capacity))
        ids, seq = ids[fits], rows["seq"][fits]
        fresh = seq > mine["seq"][ids]
        # Of several rows for one index numpy keeps the last: in order of seq that is the newest.
        order = np.flatnonzero(fresh)[np.argsort(seq[fresh], kind="stable")]
        if not len(order):
            return False
        opaque(mine)[ids[order]] = opaque(np.ascontiguousarray(rows))[fits[order]]
        self._owner[ids] = shard
        self._names_changed |= channel is SYMBOL
        return True

    def forget(self, shard: int) -> bool:
        """Drop everything a shard said: it starts over. Return whether it had said anything."""
        ids = np.flatnonzero(self._owner == shard)
        for rows in self.rows.values():
            opaque(rows)[ids] = np.zeros((), opaque(rows).dtype)
        self._owner[ids] = -1
        self._names_changed = True
        return len(ids) > 0

    @property
    def shares(self) -> NDArray[np.intp]:
        """Ids of listed shares in order of their code; no ETF and no covered warrant."""
        self._learn_names()
        return self._shares

    @property
    def indices(self) -> dict[str, int]:
        """Ids of indices by code."""
        self._learn_names()
        return self._indices

    def _learn_names(self) -> None:
        if not self._names_changed:
            return
        self._names_changed = False
        names = self.rows[SYMBOL.name]
        stocks = np.flatnonzero(names["instrument"] == Instrument.STOCK)
        shares = [
            (code, symbol_id)
            for code, venue, symbol_id in zip(
                names["code"][stocks].tolist(),
                names["venue"][stocks].tolist(),
                stocks.tolist(),
                strict=True,
            )
            if identify(code.decode("ascii", "replace"), Venue(venue)).product is Product.SHARE
        ]
        self._shares = np.array([symbol_id for _, symbol_id in sorted(shares)], np.intp)
        indices = np.flatnonzero(names["instrument"] == Instrument.INDEX)
        self._indices = {
            code.decode("ascii", "replace"): symbol_id
            for code, symbol_id in zip(
                names["code"][indices].tolist(), indices.tolist(), strict=True
            )
        }

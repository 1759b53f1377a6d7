"""The board itself: takes what shards publish, says what has changed in the sums."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.board.attribution import attribution_rows
from engine.board.foreign import foreign_rows
from engine.board.known import Known
from engine.board.market import market_rows
from engine.board.movers import movers_rows
from engine.board.shelf import Shelf, introductions
from engine.board.view import see
from engine.board.weights import Weights
from engine.schema.channels import (
    ATTRIBUTION,
    FOREIGN_SUMMARY,
    MARKET,
    MOVERS,
    SYMBOL,
    Channel,
)

Sections = list[tuple[Channel, NDArray[np.void]]]


class Board:
    """Summaries over the symbols of all shards.

    What it says is a function of the latest rows it was given and of nothing else: neither their
    order, nor how often `summarise` was asked in between, shows in anything but `seq`.

    Parameters
    ----------
    symbol_capacity
        Symbol ids of the shards lie below it, those of the board's keys from it on.
    weights
        The operator's index weights, see ``weights``. The codes they name are the members of
        their index in every summary.
    """

    def __init__(self, symbol_capacity: int, weights: Weights | None = None) -> None:
        self._known = Known(symbol_capacity)
        self._shelf = Shelf(symbol_capacity)
        self._weights = weights or {}
        self._changed = False

    @property
    def changed(self) -> bool:
        """Whether anything was learnt since the last summary."""
        return self._changed

    def take(self, channel: Channel, rows: NDArray[np.void], shard: int) -> None:
        """Learn rows of any channel, in the order they were published; old news is ignored.

        Parameters
        ----------
        channel
            Whose rows; channels that go into no summary are ignored.
        rows
            The channel's dtype; several per symbol are allowed. Copied.
        shard
            Who published them.
        """
        self._changed |= self._known.take(channel, rows, shard)

    def start_over(self, shard: int) -> None:
        """Forget what a shard said, because its sequences begin anew."""
        self._changed |= self._known.forget(shard)

    def summarise(self) -> Sections:
        """Sum up the newest trading day.

        Returns
        -------
        list of (Channel, rows)
            Channels with news, and of each the rows that say something else than before, one per
            key. The first answer begins with the names of all keys. Empty when nothing changed.
        """
        if not self._changed:
            return []
        self._changed = False
        view = see(self._known, self._weights)
        if view.day == 0:
            return []
        summaries = (
            (SYMBOL, introductions(view.exch_s, view.recv_ns)),
            (MARKET, market_rows(view)),
            (FOREIGN_SUMMARY, foreign_rows(view)),
            (MOVERS, movers_rows(view)),
            (ATTRIBUTION, attribution_rows(view, self._weights)),
        )
        news = [
            (channel, self._shelf.put(channel, rows, view.exch_s, view.recv_ns))
            for channel, rows in summaries
        ]
        return [(channel, rows) for channel, rows in news if len(rows)]

    def latest(self) -> Mapping[str, NDArray[np.void]]:
        """Return channel name -> latest row per key (seq 0: none): what a snapshot holds."""
        return self._shelf.latest

"""What the board last said, by channel and key, and what of a new summary is news."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.board.keys import INDICES, KEYS, MOVERS, PLACE, SCOPES, venue_of
from engine.board.known import opaque
from engine.schema.channels import ATTRIBUTION, FOREIGN_SUMMARY, MARKET, SYMBOL, Channel
from engine.schema.channels import MOVERS as MOVERS_CHANNEL
from engine.schema.codes import Instrument
from engine.schema.deltas import DELTA_HEAD

# Keys of each channel, in the order of their rows. SYMBOL goes first: a row needs a name.
KEYS_OF: Final[dict[str, tuple[str, ...]]] = {
    SYMBOL.name: KEYS,
    MARKET.name: SCOPES,
    FOREIGN_SUMMARY.name: SCOPES,
    MOVERS_CHANNEL.name: MOVERS,
    ATTRIBUTION.name: INDICES,
}
CHANNELS: Final = (SYMBOL, MARKET, FOREIGN_SUMMARY, MOVERS_CHANNEL, ATTRIBUTION)
# Of the head, seq, stamps, symbol_id and updates come first and phase, venue and flags last.
SAID_FROM: Final = np.dtype(DELTA_HEAD[:-3]).itemsize


class Shelf:
    """The latest row of every key.

    Parameters
    ----------
    first_id
        symbol_id of the first key.

    Attributes
    ----------
    latest
        Channel name -> rows in the order of `KEYS_OF`, seq 0 where nothing was said yet.
    """

    def __init__(self, first_id: int) -> None:
        self.latest: dict[str, NDArray[np.void]] = {}
        for channel in CHANNELS:
            keys = KEYS_OF[channel.name]
            rows = np.zeros(len(keys), channel.dtype)
            rows["symbol_id"] = [first_id + PLACE[key] for key in keys]
            self.latest[channel.name] = rows

    def put(
        self, channel: Channel, rows: NDArray[np.void], exch_s: int, recv_ns: int
    ) -> NDArray[np.void]:
        """Keep the rows that say something else than before; return copies of them.

        Parameters
        ----------
        channel
            One of `CHANNELS`.
        rows
            One row per key, in the order of `KEYS_OF`; seq, updates and symbol_id are written
            here. A row with recv_ns 0 had nothing to go in: it is news only when it takes back
            what was said before, and then has the stamps given here.

        Returns
        -------
        numpy.ndarray
            Rows that changed, in the same order. New stamps alone are no change.
        """
        mine = self.latest[channel.name]
        changed = (_meaning(mine) != _meaning(rows)).any(axis=1)
        empty = rows["recv_ns"] == 0
        changed &= ~(empty & (mine["seq"] == 0))
        rows["recv_ns"][empty], rows["exch_s"][empty] = recv_ns, exch_s
        rows["symbol_id"] = mine["symbol_id"]
        rows["seq"], rows["updates"] = mine["seq"] + 1, 1
        opaque(mine)[changed] = opaque(rows)[changed]
        news: NDArray[np.void] = opaque(rows)[changed].view(channel.dtype)
        return news


def introductions(exch_s: int, recv_ns: int) -> NDArray[np.void]:
    """Return the rows of channel ``symbol`` that name the board's keys."""
    rows: NDArray[np.void] = np.zeros(len(KEYS), SYMBOL.dtype)
    rows["recv_ns"], rows["exch_s"] = recv_ns, exch_s
    rows["venue"] = [venue_of(key) for key in KEYS]
    rows["code"] = [key.encode() for key in KEYS]
    rows["value_multiplier"] = 1
    rows["instrument"] = Instrument.BOARD
    return rows


def _meaning(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    """Return the bytes that say something, shape (rows, bytes): phase, venue, flags and body."""
    return rows.view(np.uint8).reshape(len(rows), -1)[:, SAID_FROM:]

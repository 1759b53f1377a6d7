"""Rows for the fan-out benches: a market of made-up symbols in which every row is news.

Quotes and trades, three to one. Sequence numbers start high, so that a frame is of the same length
at the beginning and at the end of a run, and as long as in the afternoon of a busy day.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS, QUOTE, SYMBOL, TRADE, Channel
from engine.schema.codes import Instrument, Phase, Side, Venue

FIRST_SEQ: Final = 1_000_000
MORNING_S: Final = 1_626_316_200  # 2021-07-15 09:30:00 +07:00
QUOTES_PER_TRADE: Final = 3
TOPICS: Final = ("trade.*", "quote.*")  # everything this market has


def code_of(symbol_id: int) -> str:
    """Return the made-up code of a symbol."""
    return f"B{symbol_id:04}"


class Rows:
    """Latest rows by channel, and the next ones.

    Parameters
    ----------
    symbol_count
        Symbols 1 to this.

    Attributes
    ----------
    latest
        Channel name -> row per symbol id, as `Publisher.serve` wants it.
    """

    def __init__(self, symbol_count: int) -> None:
        self.latest: dict[str, NDArray[np.void]] = {
            channel.name: np.zeros(symbol_count + 1, channel.dtype) for channel in CHANNELS
        }
        self._count = symbol_count
        self._cursor = 0  # rows made so far
        ids = np.arange(1, symbol_count + 1)
        for channel in (SYMBOL, QUOTE, TRADE):
            self._fill(self.latest[channel.name][1:], channel, ids)

    def _fill(self, rows: NDArray[np.void], channel: Channel, ids: NDArray[Any]) -> None:
        rows["seq"] = 1 if channel is SYMBOL else FIRST_SEQ
        rows["symbol_id"], rows["updates"], rows["exch_s"] = ids, 1, MORNING_S
        rows["phase"], rows["venue"] = Phase.CONTINUOUS, Venue.HOSE
        if channel is SYMBOL:
            rows["code"] = [code_of(int(i)).encode() for i in ids]
            rows["value_multiplier"], rows["instrument"] = 1, Instrument.STOCK
        else:
            rows["bid_price_e2"], rows["ask_price_e2"] = 2_530_000, 2_535_000
        if channel is TRADE:
            rows["price_e2"], rows["side"], rows["side_rule"] = 2_535_000, Side.BUY, 1
            rows["side_exchange"] = rows["side_quote"] = Side.BUY
            rows["volume_shares"], rows["value_vnd"] = 1_200, 30_420_000
            rows["total_volume_shares"] = 4_812_300
        if channel is QUOTE:
            rows["bid_volume_shares"], rows["ask_volume_shares"] = 14_400, 21_900

    def take(self, count: int, now_ns: int) -> list[tuple[Channel, NDArray[np.void]]]:
        """Return the next rows, stamped; `latest` then shows them.

        Parameters
        ----------
        count
            Rows of all channels together.
        now_ns
            Becomes recv_ns, UTC nanoseconds.

        Returns
        -------
        list of (Channel, rows)
            Each symbol at most once per channel and list entry.
        """
        # Every fourth row is a trade; each channel goes round its symbols.
        of = QUOTES_PER_TRADE + 1
        trades = (self._cursor + count) // of - self._cursor // of
        quotes_before = self._cursor - self._cursor // of
        found = self._next(TRADE, self._cursor // of, trades, now_ns)
        found += self._next(QUOTE, quotes_before, count - trades, now_ns)
        self._cursor += count
        return found

    def _next(
        self, channel: Channel, before: int, count: int, now_ns: int
    ) -> list[tuple[Channel, NDArray[np.void]]]:
        found = []
        while count:
            first = before % self._count
            size = min(count, self._count - first)
            rows = self.latest[channel.name][1 + first : 1 + first + size]
            rows["seq"] += 1
            rows["recv_ns"] = now_ns
            found.append((channel, rows.copy()))  # it may come round again
            before += size
            count -= size
        return found

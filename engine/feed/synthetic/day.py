"""The arrays of one synthetic day: events in order of time, and one table per kind.

An event names its kind and its row in that kind's table. Tables are in the order of the events,
so a stretch of events owns a stretch of each table. `time_ms` is milliseconds of the day in ICT;
the wire shows only its second. Prices are rungs of the symbol's ladder (`price_e2` beside them
where a reader would want it), volumes shares or contracts, values VND.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic.ladder import Ladder
from engine.feed.synthetic.table import Bar, Listing
from engine.schema.codes import Venue

DEPTH_COUNT: Final = 16  # prepared sets of deeper-level volumes per symbol
DEPTH_LEVEL_COUNT: Final = 9  # levels 2 to 10
ODD_LEVEL_COUNT: Final = 3


class EventKind(IntEnum):
    """What happened, and which table holds it."""

    TRADE = 1  # a match
    QUOTE = 2  # a new book
    FOREIGN = 3  # cumulative foreign flow
    INDEX = 4  # an index value; its event's `symbol` counts in Day.indices
    STATUS = 5  # a symbol enters a phase; no table, the event's `session` says it all
    SNAPSHOT = 6  # the zero message before the open; no table
    ODD_LOT = 7  # an odd-lot match and book


EVENT: Final = np.dtype(
    [
        ("time_ms", "<u4"),
        ("row", "<u4"),
        ("symbol", "<u2"),
        ("kind", "u1"),  # EventKind
        ("session", "u1"),  # FeedSession
    ]
)

TRADE: Final = np.dtype(
    [
        ("rung", "<i4"),
        ("price_e2", "<i4"),
        ("high_rung", "<i4"),
        ("low_rung", "<i4"),  # of the day so far, this print included
        ("volume", "<i4"),
        ("side", "u1"),  # Side: BUY, SELL, or UNKNOWN for an auction
        ("against_book", "u1"),  # 1 where the feed's side was made to disagree with the book
        ("total_volume", "<i8"),
        ("total_value_vnd", "<i8"),  # cumulative, this print included
    ]
)

QUOTE: Final = np.dtype(
    [
        ("bid_rung", "<i4"),
        ("ask_rung", "<i4"),  # best levels; -1 and len(ladder) mean none
        ("bid_volume", "<i4"),
        ("ask_volume", "<i4"),  # of the best levels, 0 when there is none
        ("estimate_rung", "<i4"),  # expected auction price, -1 outside auctions
        ("bid_depth", "u1"),
        ("ask_depth", "u1"),  # row of Instrument.depth for levels 2 to 10
    ]
)

FOREIGN: Final = np.dtype(
    [
        ("room", "<i8"),
        ("buy_volume", "<i8"),
        ("sell_volume", "<i8"),
        ("buy_value_vnd", "<i8"),
        ("sell_value_vnd", "<i8"),
    ]
)

INDEX: Final = np.dtype(
    [
        ("value_e2", "<i8"),
        ("volume", "<i8"),
        ("value_vnd", "<i8"),
        ("put_through_volume", "<i8"),
        ("put_through_value_vnd", "<i8"),
        ("advances", "<i4"),
        ("unchanged", "<i4"),
        ("declines", "<i4"),
        ("ceilings", "<i4"),
        ("floors", "<i4"),
    ]
)

ODD_LOT: Final = np.dtype(
    [
        ("rung", "<i4"),
        ("open_rung", "<i4"),
        ("high_rung", "<i4"),
        ("low_rung", "<i4"),
        ("bid_rung", "<i4"),
        ("ask_rung", "<i4"),
        ("volume", "<i4"),
        ("total_volume", "<i8"),
        ("total_value_vnd", "<i8"),  # round lots included
        ("bid_volume", "<i4", (ODD_LEVEL_COUNT,)),
        ("ask_volume", "<i4", (ODD_LEVEL_COUNT,)),
    ]
)


@dataclass(frozen=True)
class Instrument:
    """What is constant about one symbol on this day. Prices in hundredths."""

    code: str
    venue: Venue
    wire_venue: str
    status: str  # the wire's TradingStatus while it trades
    reference_e2: int
    prior_close_e2: int
    ladder: Ladder
    multiplier_vnd: int  # VND per 1.00 of price and unit of volume
    level_count: int  # book levels the wire fills
    depth: NDArray[np.int32]  # (DEPTH_COUNT, DEPTH_LEVEL_COUNT) volumes of levels 2 to 10
    open_rung: int  # of the day's first print, -1 without a trade
    foreign_cap_shares: int  # TotalRoom; 0 for a future

    def book(self, quote: np.void) -> NDArray[np.int64]:
        """Expand one QUOTE row to the ten levels on the wire.

        Returns
        -------
        ndarray of int64, shape (4, 10)
            bid price, bid volume, ask price, ask volume; prices in hundredths, 0 = nobody.
        """
        levels = np.zeros((4, 10), np.int64)
        prices = self.ladder.prices_e2
        bids = [quote["bid_volume"], *self.depth[quote["bid_depth"]]]
        asks = [quote["ask_volume"], *self.depth[quote["ask_depth"]]]
        for level in range(self.level_count):
            bid, ask = int(quote["bid_rung"]) - level, int(quote["ask_rung"]) + level
            if bid >= 0:
                levels[0, level], levels[1, level] = prices[bid], bids[level]
            if ask < prices.size:
                levels[2, level], levels[3, level] = prices[ask], asks[level]
        return levels


class Index(NamedTuple):
    """One index of the day: its wire name, exchange, prior value x 100 and members' positions."""

    code: str
    wire_venue: str
    prior_e2: int
    members: NDArray[np.int64]


@dataclass(frozen=True)
class Day:
    """A planned day. Read-only; `digest` names it.

    `events` (dtype EVENT) is ascending in `time_ms`; equal times keep the order in which things
    happened. `symbols` is ascending by code. `expected` is what each symbol must end on;
    symbols of volume 0 must end without a trade. `future_bars` is what `future_code` must show.
    """

    date: dt.date
    seed: int
    symbols: tuple[Instrument, ...]
    indices: tuple[Index, ...]
    events: NDArray[np.void]
    trades: NDArray[np.void]
    quotes: NDArray[np.void]
    foreigns: NDArray[np.void]
    index_values: NDArray[np.void]
    odd_lots: NDArray[np.void]
    expected: dict[str, Listing]
    future_code: str | None
    future_bars: tuple[Bar, ...]

    def table_of(self, kind: EventKind) -> NDArray[np.void] | None:
        """Return the table that rows of events of a kind count in; None if it has none."""
        tables = {
            EventKind.TRADE: self.trades,
            EventKind.QUOTE: self.quotes,
            EventKind.FOREIGN: self.foreigns,
            EventKind.INDEX: self.index_values,
            EventKind.ODD_LOT: self.odd_lots,
        }
        return tables.get(kind)

    def trades_of(self, code: str) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return the TRADE events of one symbol and their rows, both in order of time."""
        return self._rows_of(code, EventKind.TRADE, self.trades)

    def quotes_of(self, code: str) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Return the QUOTE events of one symbol and their rows, both in order of time."""
        return self._rows_of(code, EventKind.QUOTE, self.quotes)

    def _rows_of(
        self,
        code: str,
        kind: EventKind,
        table: NDArray[np.void],
    ) -> tuple[NDArray[np.void], NDArray[np.void]]:
        position = [symbol.code for symbol in self.symbols].index(code)
        mine = (self.events["symbol"] == position) & (self.events["kind"] == kind)
        events = self.events[mine]
        return events, table[events["row"]]

    def digest(self) -> str:
        """Return a SHA-256 over everything that can reach the wire, as hex."""
        state = hashlib.sha256(self.date.isoformat().encode())
        for symbol in self.symbols:
            state.update(
                repr(
                    (
                        symbol.code,
                        symbol.wire_venue,
                        symbol.status,
                        symbol.reference_e2,
                        symbol.prior_close_e2,
                        symbol.ladder.ceiling_e2,
                        symbol.ladder.floor_e2,
                        symbol.multiplier_vnd,
                        symbol.level_count,
                        symbol.open_rung,
                        symbol.foreign_cap_shares,
                    )
                ).encode()
            )
            state.update(symbol.ladder.prices_e2.tobytes())
            state.update(symbol.depth.tobytes())
        for index in self.indices:
            state.update(repr((index.code, index.wire_venue, index.prior_e2)).encode())
        tables: tuple[NDArray[Any], ...] = (
            self.events,
            self.trades,
            self.quotes,
            self.foreigns,
            self.index_values,
            self.odd_lots,
        )
        for table in tables:
            state.update(np.ascontiguousarray(table).view(np.uint8).data)
        return state.hexdigest()

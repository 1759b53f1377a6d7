"""What a v3 server knows of the day besides the stream: limits, baskets, bars and totals."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic import Day, EventKind
from engine.schema.codes import Side, Venue

BOARDS: Final = ("HOSE", "HNX", "UPCOM", "DERIVATIVES")
BOARD_ALIASES: Final = {"DER": "DERIVATIVES"}
_LOT_SHARES: Final = 100
_MINUTE_S: Final = 60

Ints = NDArray[np.int64]


class Bar(NamedTuple):
    """A bar of some minutes. `start_s` and `last_s` are seconds of the day, ICT; prices e2."""

    start_s: int
    last_s: int  # of the last print in it
    open_e2: int
    high_e2: int
    low_e2: int
    close_e2: int
    volume: int
    value_vnd: int


class Series(NamedTuple):
    """What happened to one symbol or index, in order of time.

    All int64 (N,): second of the day, price in hundredths, cumulative volume and value after it.
    """

    time_s: Ints
    price_e2: Ints
    total_volume: Ints
    total_value_vnd: Ints

    def bar(self, place: int, minutes: int) -> Bar:
        """Return the bar that row `place` is in, as it stood right after that row."""
        length_s = minutes * _MINUTE_S
        start_s = int(self.time_s[place]) // length_s * length_s
        first = int(np.searchsorted(self.time_s, start_s))
        return self._between(start_s, first, place)

    def bars(self, minutes: int, known_s: int) -> list[Bar]:
        """Return the bars whose end is not after second `known_s`, oldest first."""
        length_s = minutes * _MINUTE_S
        starts = np.unique(self.time_s // length_s) * length_s
        starts = starts[starts + length_s <= known_s]
        firsts = np.searchsorted(self.time_s, starts).tolist()
        lasts = (np.searchsorted(self.time_s, starts + length_s) - 1).tolist()
        return [
            self._between(start_s, first, last)
            for start_s, first, last in zip(starts.tolist(), firsts, lasts, strict=True)
        ]

    def _between(self, start_s: int, first: int, last: int) -> Bar:
        prices = self.price_e2[first : last + 1]
        before_volume = int(self.total_volume[first - 1]) if first else 0
        before_value = int(self.total_value_vnd[first - 1]) if first else 0
        return Bar(
            start_s,
            int(self.time_s[last]),
            int(prices[0]),
            int(prices.max()),
            int(prices.min()),
            int(prices[-1]),
            int(self.total_volume[last]) - before_volume,
            int(self.total_value_vnd[last]) - before_value,
        )


class Totals(NamedTuple):
    """How one symbol's day ended. Volumes in shares or contracts, values in VND."""

    buy_volume: int
    buy_value_vnd: int
    sell_volume: int
    sell_value_vnd: int
    foreign_room: int
    foreign_buy_volume: int
    foreign_buy_value_vnd: int
    foreign_sell_volume: int
    foreign_sell_value_vnd: int


class Facts(NamedTuple):
    """What is constant about one symbol on this day. Prices in hundredths."""

    code: str
    board: str  # HOSE, HNX, UPCOM, DERIVATIVES
    name: str
    lot_shares: int
    multiplier_vnd: int  # VND per 1.00 of price and unit of volume
    reference_e2: int
    ceiling_e2: int
    floor_e2: int
    open_e2: int  # of the day's first print, 0 without one
    foreign_cap_shares: int


@dataclass(frozen=True)
class Almanac:
    """The day as reference data. Codes of symbols and indices are in upper case."""

    date: dt.date
    facts: dict[str, Facts]
    index_boards: dict[str, str]
    baskets: dict[str, frozenset[str]]
    _day: Day = field(repr=False)
    _series: dict[str, Series] = field(default_factory=dict, repr=False)

    @cached_property
    def heralds(self) -> frozenset[str]:
        """The first symbol of each board: its changes of phase are the board's."""
        return frozenset(min(codes) for codes in self._by_board.values())

    def group(self, name: str) -> frozenset[str]:
        """Return the symbols of a basket or an exchange; empty when there is no such thing."""
        board = BOARD_ALIASES.get(name, name)
        return self.baskets.get(name) or self._by_board.get(board, frozenset())

    def series(self, code: str) -> Series:
        """Return what happened to a symbol or an index; kept once asked for."""
        found = self._series.get(code)
        if found is None:
            found = self._series[code] = self._read(code)
        return found

    def totals(self, code: str) -> Totals:
        """Return how a symbol's day ends."""
        _, rows = self._day.trades_of(code)
        value = np.diff(rows["total_value_vnd"], prepend=0)
        buys, sells = rows["side"] == Side.BUY, rows["side"] == Side.SELL
        place = [symbol.code for symbol in self._day.symbols].index(code)
        events = self._day.events
        mine = (events["symbol"] == place) & (events["kind"] == EventKind.FOREIGN)
        flow = self._day.foreigns[events["row"][mine]]
        last = flow[-1] if flow.size else np.zeros(1, flow.dtype)[0]
        return Totals(
            int(rows["volume"][buys].sum()),
            int(value[buys].sum()),
            int(rows["volume"][sells].sum()),
            int(value[sells].sum()),
            int(last["room"]),
            int(last["buy_volume"]),
            int(last["buy_value_vnd"]),
            int(last["sell_volume"]),
            int(last["sell_value_vnd"]),
        )

    def index_rows(self, code: str, known_s: int) -> NDArray[np.void]:
        """Return an index's rows (dtype `day.INDEX`) up to a second of the day."""
        events, rows = self._index_events(code)
        return rows[events["time_ms"] // 1000 <= known_s]

    def index_prior_e2(self, code: str) -> int:
        """Return yesterday's value of an index."""
        return next(each.prior_e2 for each in self._day.indices if each.code.upper() == code)

    @cached_property
    def _by_board(self) -> dict[str, frozenset[str]]:
        return {
            board: frozenset(facts.code for facts in self.facts.values() if facts.board == board)
            for board in {facts.board for facts in self.facts.values()}
        }

    def _index_events(self, code: str) -> tuple[NDArray[np.void], NDArray[np.void]]:
        place = [each.code.upper() for each in self._day.indices].index(code)
        events = self._day.events
        events = events[(events["symbol"] == place) & (events["kind"] == EventKind.INDEX)]
        return events, self._day.index_values[events["row"]]

    def _read(self, code: str) -> Series:
        if code in self.facts:
            events, rows = self._day.trades_of(code)
            columns = (rows["price_e2"], rows["total_volume"], rows["total_value_vnd"])
        else:
            events, rows = self._index_events(code)
            columns = (rows["value_e2"], rows["volume"], rows["value_vnd"])
        price, volume, value = (column.astype(np.int64) for column in columns)
        return Series((events["time_ms"] // 1000).astype(np.int64), price, volume, value)


def almanac_of(day: Day, names: Mapping[str, str] | None = None) -> Almanac:
    """Return the almanac of a planned day; `names` are the companies' by code."""
    names = names or {}
    facts = {
        symbol.code: Facts(
            symbol.code,
            symbol.venue.name,
            names.get(symbol.code, ""),
            1 if symbol.venue is Venue.DERIVATIVES else _LOT_SHARES,
            symbol.multiplier_vnd,
            symbol.reference_e2,
            symbol.ladder.ceiling_e2,
            symbol.ladder.floor_e2,
            int(symbol.ladder.prices_e2[symbol.open_rung]) if symbol.open_rung >= 0 else 0,
            symbol.foreign_cap_shares,
        )
        for symbol in day.symbols
    }
    return Almanac(
        day.date,
        facts,
        {index.code.upper(): index.wire_venue for index in day.indices},
        {
            index.code.upper(): frozenset(day.symbols[place].code for place in index.members)
            for index in day.indices
        },
        day,
    )

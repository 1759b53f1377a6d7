"""What one symbol looks like on the wire: its templates, and the pieces written once per rung.

Key orders and number styles are those of real captures (ssi-wire sections 3.1 to 3.8). Records
are written as plain JSON here; `text.nested` puts the pieces where they end up in a frame.
"""

from typing import Any

from engine.feed.synthetic.day import DEPTH_COUNT, ODD_LEVEL_COUNT, Index, Instrument
from engine.feed.synthetic.text import (
    difference,
    hub_message,
    hundredths,
    nested,
    percent,
    whole_number,
)
from engine.schema.codes import Venue

Row = tuple[Any, ...]
# A side of a book: prices 1 to 10 up to where volume 1 goes, volume 1, the rest.
BookSide = tuple[str, int, str]

_LEVELS = range(10)


class StockFace:
    """A stock or a future."""

    def __init__(self, symbol: Instrument, place: int, date: str) -> None:
        self.code = symbol.code
        self._symbol = symbol
        self._top = int(symbol.ladder.prices_e2.size)
        self._is_future = symbol.venue is Venue.DERIVATIVES
        self._bids: dict[int, tuple[str, list[str]]] = {}
        self._asks: dict[int, tuple[str, list[str]]] = {}
        self._rests: dict[tuple[str, int], list[str]] = {}
        self._marks: dict[int, tuple[str, str, str]] = {}
        self._nobody = (
            (_price_text("Bid", []), 0, _volume_rest("Bid", [])),
            (_price_text("Ask", []), 0, _volume_rest("Ask", [])),
        )
        # X carries book and last match: both are remembered between messages.
        self._x_sides = self._nobody
        self._x_match = _unmatched(self._prior())
        self._x_change = self._change(0)
        self._place = place
        self._date = date
        self._write_templates()

    def _write_templates(self) -> None:
        symbol, date, code = self._symbol, self._date, self._symbol.code
        venue = symbol.wire_venue
        self.quote_template = hub_message(
            "X-QUOTE",
            (
                f'{{"TradingDate":"{date}","Time":"%s","Exchange":"{venue}","Symbol":"{code}",'
                f'"RType":"X-QUOTE",'
            )
            + "%s%d.0%s,%s%d.0%s"
            + ',"TradingSession":"%s"}',
        )
        limits = (
            f'"Isin":"{code}","Symbol":"{code}",'
            f'"Ceiling":{hundredths(symbol.ladder.ceiling_e2)},'
            f'"Floor":{hundredths(symbol.ladder.floor_e2)},'
            f'"RefPrice":{hundredths(symbol.reference_e2)}'
        )
        prior = self._prior()
        self._trade_template = hub_message(
            "X-TRADE",
            (
                f'{{"RType":"X-TRADE","TradingDate":"{date}","Time":"%s",{limits},"AvgPrice":%s,'
                f'{prior},"LastPrice":%s,"LastVol":%d.0,"TotalVal":%s,"TotalVol":%d.0,'
                f'"MarketId":"{venue}","Exchange":"{venue}","TradingSession":"%s",'
                f'"TradingStatus":"{symbol.status}",'
            )
            + ('%s,"EstMatchedPrice":0.0,"Highest":%s,"Lowest":%s,"Side":"%s"}'),
        )
        self._x_template = hub_message(
            "X",
            (
                f'{{"RType":"X","TradingDate":"{date}","Time":"%s",{limits},%s,%s%d.0%s,%s%d.0%s,'
                f'"MarketId":"{venue}","Exchange":"{venue}","TradingSession":"%s",'
                f'"TradingStatus":"%s",'
            )
            + '%s,"EstMatchedPrice":%s,"Side":null,"CloseQtty":0.0}',
        )
        opening = 0 if symbol.open_rung < 0 else int(symbol.ladder.prices_e2[symbol.open_rung])
        self._match_template = nested(
            f'"Open":{hundredths(opening)},"High":%s,"Low":%s,"Close":%s,"AvgPrice":%r,{prior},'
            '"LastPrice":%s,"LastVol":%d.0,"TotalVal":%s,"TotalVol":%d.0'
        )
        self._bar_template = hub_message(
            "B",
            (f'{{"RType":"B","TradingDate":"{date}","Time":"%s","Symbol":"{code}",')
            + '"Open":%s,"High":%s,"Low":%s,"Close":%s,"Volume":%d.0,"Value":0.0}',
        )
        self._status_template = hub_message(
            "F",
            (
                f'{{"RType":"F","MarketId":"{venue}","TradingDate":"{date}","Time":"%s",'
                f'"Symbol":"{code}","TradingSession":"%s","TradingStatus":"{symbol.status}",'
                f'"Exchange":"{venue}","TradingOlSession":""}}'
            ),
        )
        self._foreign_template = hub_message(
            "R",
            (
                f'{{"RType":"R","TradingDate":"{date}","Time":"%s","Isin":"{code}","Symbol":"{code}",'
                f'"TotalRoom":{whole_number(symbol.foreign_cap_shares)},"CurrentRoom":%s,'
                f'"BuyVol":%s,"SellVol":%s,"BuyVal":%s,"SellVal":%s,'
                f'"MarketId":"{venue}","Exchange":"{venue}"}}'
            ),
        )

    def sides(self, quote: Row) -> tuple[BookSide, BookSide]:
        """Return bid and ask of a QUOTE row, and remember them for X."""
        bid, bid_volume, ask, ask_volume, _, bid_depth, ask_depth = quote
        found = self._bids.get(bid)
        if found is None:
            found = self._bids[bid] = self._side("Bid", bid, -1)
        prices, rests = found
        bids = (prices, bid_volume, rests[bid_depth])
        found = self._asks.get(ask)
        if found is None:
            found = self._asks[ask] = self._side("Ask", ask, 1)
        prices, rests = found
        asks = (prices, ask_volume, rests[ask_depth])
        self._x_sides = bids, asks
        return bids, asks

    def trade(self, now: str, phase: str, row: Row, side: str) -> bytes:
        """Write X-TRADE."""
        rung, volume, high, low, _, total_volume, total_value = row
        last, _, change = self._mark(rung)
        return (
            self._trade_template
            % (
                now,
                self._average(total_volume, total_value),
                last,
                volume,
                whole_number(total_value),
                total_volume,
                phase,
                change,
                self._mark(high)[1],
                self._mark(low)[1],
                side,
            )
        ).encode()

    def x_after_trade(self, now: str, phase: str, row: Row) -> bytes:
        """Write X for a match: the book in it is the one the match happened against."""
        rung, volume, high, low, _, total_volume, total_value = row
        last, _, self._x_change = self._mark(rung)
        self._x_match = self._match_template % (
            self._mark(high)[0],
            self._mark(low)[0],
            last,
            self._average(total_volume, total_value),
            last,
            volume,
            whole_number(total_value),
            total_volume,
        )
        bids, asks = self._x_sides
        return self._x(now, phase, bids, asks, "0.0")

    def x_after_quote(
        self, now: str, phase: str, bids: BookSide, asks: BookSide, estimate_rung: int
    ) -> bytes:
        """Write X for a new book, with the last match before it."""
        estimate = "0.0" if estimate_rung < 0 else self._mark(estimate_rung)[0]
        return self._x(now, phase, bids, asks, estimate)

    def snapshot(self, now: str, phase: str) -> bytes:
        """Write the X of before the open: everything zero, AvgPrice the string NaN."""
        bids, asks = self._nobody
        status = "Normal" if self._is_future else self._symbol.status
        return (
            self._x_template
            % (now, _unmatched(self._prior()), *bids, *asks, phase, status, self._change(0), "0.0")
        ).encode()

    def zero_trade(self, now: str, phase: str) -> bytes:
        """Write an X-TRADE of before the open: no match yet, AvgPrice the string NaN."""
        return (
            self._trade_template
            % (
                now,
                nested('"NaN"'),
                "0.0",
                0,
                "0.0",
                0,
                phase,
                self._change(0),
                "0",
                "0",
                "Unknown",
            )
        ).encode()

    def zero_quote(self, now: str, phase: str) -> bytes:
        """Write an X-QUOTE of before the open: nobody there."""
        bids, asks = self._nobody
        return (self.quote_template % (now, *asks, *bids, phase)).encode()

    def bar(self, now: str, row: Row) -> bytes:
        """Write B: one print, volume of the print, value always 0."""
        last = self._mark(row[0])[0]
        return (self._bar_template % (now, last, last, last, last, row[1])).encode()

    def status(self, now: str, phase: str) -> bytes:
        """Write F."""
        return (self._status_template % (now, phase)).encode()

    def foreign(self, now: str, row: Row) -> bytes:
        """Write R."""
        return (self._foreign_template % (now, *map(whole_number, row))).encode()

    def odd_lot(self, now: str, phase: str, row: Row) -> bytes:
        """Write OL: integers, three levels (ssi-wire 3.8)."""
        (
            rung,
            open_,
            high,
            low,
            bid,
            ask,
            volume,
            total_volume,
            total_value,
            bid_volumes,
            ask_volumes,
        ) = row
        prices = self._symbol.ladder.prices_e2
        levels = range(ODD_LEVEL_COUNT)
        bids = [int(prices[bid - i]) // 100 if bid >= i else 0 for i in levels]
        asks = [int(prices[ask + i]) // 100 if ask + i < self._top else 0 for i in levels]
        pieces = [f'"BidPrice{i + 1}":{bids[i]}' for i in levels]
        pieces += [f'"BidVol{i + 1}":{bid_volumes[i] if bids[i] else 0}' for i in levels]
        pieces += [f'"AskPrice{i + 1}":{asks[i]}' for i in levels]
        pieces += [f'"AskVol{i + 1}":{ask_volumes[i] if asks[i] else 0}' for i in levels]
        symbol = self._symbol
        ladder = symbol.ladder
        shown = {
            "Ceiling": ladder.ceiling_e2,
            "Floor": ladder.floor_e2,
            "RefPrice": symbol.reference_e2,
            "Open": int(prices[open_]),
            "High": int(prices[high]),
            "Low": int(prices[low]),
            "LastPrice": int(prices[rung]),
        }
        change = int(prices[rung]) - symbol.reference_e2
        return hub_message(
            "OL",
            (
                f'{{"RType":"OL","TradingDate":"{self._date}","Time":"{now}",'
                f'"StockNo":{self._place + 1},"Symbol":"{symbol.code}",'
                + "".join(f'"{name}":{price_e2 // 100},' for name, price_e2 in shown.items())
                + f'"LastVol":{volume},"TotalVal":{total_value},"TotalVol":{total_volume},'
                + ",".join(pieces)
                + f',"Exchange":"{symbol.wire_venue}","TradingSession":"{phase}",'
                f'"TradingStatus":"{symbol.status}","Change":{change // 100},'
                f'"RatioChange":{percent(int(prices[rung]), symbol.reference_e2)},'
                '"StockType":"Stock"}'
            ),
        ).encode()

    def _x(self, now: str, phase: str, bids: BookSide, asks: BookSide, estimate: str) -> bytes:
        return (
            self._x_template
            % (
                now,
                self._x_match,
                *bids,
                *asks,
                phase,
                self._symbol.status,
                self._x_change,
                estimate,
            )
        ).encode()

    def _prior(self) -> str:
        return f'"PriorVal":{hundredths(self._symbol.prior_close_e2)}'

    def _average(self, total_volume: int, total_value: int) -> float:
        """Return AvgPrice: three decimals for stocks, the bare quotient for futures (VND)."""
        if self._is_future:
            return total_value / total_volume
        return rounded_average(total_volume, total_value)

    def _mark(self, rung: int) -> tuple[str, str, str]:
        """Return a rung's price, its form in Highest/Lowest, and its Change pieces."""
        found = self._marks.get(rung)
        if found is None:
            price_e2 = int(self._symbol.ladder.prices_e2[rung])
            text = hundredths(price_e2)
            extreme = text if self._is_future else str(price_e2 // 100)
            found = self._marks[rung] = text, extreme, self._change(price_e2)
        return found

    def _change(self, price_e2: int) -> str:
        reference = self._symbol.reference_e2
        return nested(
            f'"Change":{difference(price_e2, reference)},'
            f'"RatioChange":{percent(price_e2, reference)}'
        )

    def _side(self, name: str, best: int, step: int) -> tuple[str, list[str]]:
        """Write one side of the book for a best rung: its prices, and each prepared depth."""
        rungs = [best + step * level for level in range(self._symbol.level_count)]
        prices = [
            int(self._symbol.ladder.prices_e2[rung]) for rung in rungs if 0 <= rung < self._top
        ]
        deeper = max(len(prices) - 1, 0)
        rests = self._rests.get((name, deeper))
        if rests is None:
            rests = self._rests[name, deeper] = [
                _volume_rest(name, self._symbol.depth[row, :deeper].tolist())
                for row in range(DEPTH_COUNT)
            ]
        return _price_text(name, prices), rests


class IndexFace:
    """An index: MI messages (ssi-wire 3.6)."""

    def __init__(self, index: Index, date: str) -> None:
        self.code = index.code
        self._prior_e2 = index.prior_e2
        self._template = hub_message(
            "MI",
            (
                f'{{"IndexId":"{index.code}","IndexValue":%s,'
                f'"PriorIndexValue":{hundredths(index.prior_e2)},"TradingDate":"{date}",'
                f'"Time":"%s","TotalTrade":0.0,"TotalQtty":%s,"TotalValue":%s,'
                f'"IndexName":"{index.code}","Advances":%d,"NoChanges":%d,"Declines":%d,'
                f'"Ceilings":%d,"Floors":%d,"Change":%s,"RatioChange":%s,"TotalQttyPt":%s,'
                f'"TotalValuePt":%s,"Exchange":"{index.wire_venue}","AllQty":%s,"AllValue":%s,'
                f'"IndexType":"","TradingSession":"%s","MarketId":"{index.wire_venue}",'
                '"RType":"MI","TotalQttyOd":0.0,"TotalValueOd":0.0}'
            ),
        )

    def value(self, now: str, phase: str, row: Row) -> bytes:
        """Write MI. Change is rounded to hundredths, as in captures; AllQty is the exact sum."""
        (
            value_e2,
            volume,
            value_vnd,
            advances,
            unchanged,
            declines,
            ceilings,
            floors,
            put_through_volume,
            put_through_value,
        ) = row
        return (
            self._template
            % (
                hundredths(value_e2),
                now,
                whole_number(volume),
                whole_number(value_vnd),
                advances,
                unchanged,
                declines,
                ceilings,
                floors,
                hundredths(value_e2 - self._prior_e2),
                percent(value_e2, self._prior_e2),
                whole_number(put_through_volume),
                whole_number(put_through_value),
                whole_number(volume + put_through_volume),
                whole_number(value_vnd + put_through_value),
                phase,
            )
        ).encode()


def rounded_average(total_volume: int, total_value_vnd: int) -> float:
    """Return value / volume to three decimals, halves up, from exact integers."""
    whole, rest = divmod(total_value_vnd, total_volume)
    return (whole * 1000 + (rest * 2000 + total_volume) // (2 * total_volume)) / 1000


def _unmatched(prior: str) -> str:
    """Return the pieces of X about the last match while there was none."""
    return nested(
        '"Open":0.0,"High":0.0,"Low":0.0,"Close":0.0,"AvgPrice":"NaN",'
        f'{prior},"LastPrice":0.0,"LastVol":0.0,"TotalVal":0.0,"TotalVol":0.0'
    )


def _price_text(name: str, prices_e2: list[int]) -> str:
    """Return ``"BidPrice1":...,"BidPrice10":...,"BidVol1":`` in place, ready for volume 1."""
    padded = [*prices_e2, *[0] * (len(_LEVELS) - len(prices_e2))]
    pieces = [f'"{name}Price{level + 1}":{hundredths(padded[level])}' for level in _LEVELS]
    return nested(",".join(pieces) + f',"{name}Vol1":')


def _volume_rest(name: str, volumes: list[int]) -> str:
    """Return ``,"BidVol2":...,"BidVol10":...`` in place."""
    padded = [*volumes, *[0] * (len(_LEVELS) - 1 - len(volumes))]
    return nested(
        "".join(f',"{name}Vol{level + 2}":{volume}.0' for level, volume in enumerate(padded))
    )

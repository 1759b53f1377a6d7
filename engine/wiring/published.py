"""The published figures a day is compared with: the stocks' table and the future's bars."""

from pathlib import Path
from typing import NamedTuple

from engine.feed.synthetic.table import FuturesTable, Listing, read_day
from engine.market.symbology import future_code, listed_months
from engine.schema.codes import Venue


class Published(NamedTuple):
    """What the exchange published: one listing per stock, and one for the future if there is."""

    stocks: tuple[Listing, ...]
    future: Listing | None


def read_published(table: Path | None, futures: Path | None) -> Published:
    """Read a day's figures; without a table, the day that ships with vntape.

    Raises
    ------
    ConfigError
        A file is missing or impossible; names file, line, column and numbers.
    """
    market, bars = read_day(table, futures)
    return Published(market.listings, future_listing(bars) if bars else None)


def future_listing(futures: FuturesTable) -> Listing:
    """Sum a day of 15-minute bars up to one listing of the front VN30 contract.

    The bars carry no prior close; nothing is compared with it.
    """
    bars = futures.bars
    code = future_code("VN30", *listed_months("VN30", futures.date)[0], futures.date)
    return Listing(
        code,
        Venue.DERIVATIVES,
        0,
        bars[0].open_e2,
        max(bar.high_e2 for bar in bars),
        min(bar.low_e2 for bar in bars),
        bars[-1].close_e2,
        sum(bar.volume_contracts for bar in bars),
    )

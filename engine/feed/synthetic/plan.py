"""All symbols together: from published figures and a seed to the arrays of a Day."""

import datetime as dt
from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.feed.synthetic import flows
from engine.feed.synthetic.day import Day, EventKind, Index, Instrument
from engine.feed.synthetic.hours import SESSION_OF_PHASE, Hours, hours_of
from engine.feed.synthetic.ladder import Ladder, build_ladder
from engine.feed.synthetic.merge import Merge
from engine.feed.synthetic.prints import bar_prints_max, future_prints, stock_prints
from engine.feed.synthetic.table import (
    SHIPPED_VN30,
    Bar,
    FuturesTable,
    Listing,
    MarketTable,
    prints_min,
    read_members,
)
from engine.feed.synthetic.tape import Prints, Style, Tape, depth_of, play
from engine.feed.synthetic.walk import allocate
from engine.market.days import day_number, is_trading_day
from engine.market.symbology import future_code, identify, listed_months
from engine.market.venues import BOARDS
from engine.schema.codes import FeedSession, Phase, Venue


class Size(NamedTuple):
    """How much happens in a day. Pass it as ``plan_day(..., **size._asdict())``."""

    trades_max: int = 250_000
    quotes_per_trade: float = 1.4
    index_interval_s: int = 5  # real captures: one value per index every 5 s (ssi-wire 3.6)
    foreign_interval_s: int = 600


SMALL: Final = Size(6_000, 1.4, 60, 3_600)  # tests: about 36,000 messages for the shipped table
NORMAL: Final = Size()  # about 0.65 million messages for the shipped table
LARGE: Final = Size(2_000_000, 1.5, 1, 120)  # about 5 million: benches

FUTURE_SHARE: Final = 0.1  # of all prints, when there is a future
SNAPSHOT_MS: Final = (8 * 3600 + 7) * 1000  # stamp of the zero messages (ssi-wire 3.2)

# Prior values of the synthetic indices: round numbers of the right size, not published ones.
# The VN30's is chosen so that it ends on the future's last price, see _vn30_prior_e2.
_PRIOR_E2: Final = {"VN30": 140_000, "VNINDEX": 128_000, "HNXIndex": 29_700, "HNXUpcomIndex": 8_500}
_INDEX_VENUES: Final = {
    "VN30": Venue.HOSE,
    "VNINDEX": Venue.HOSE,
    "HNXIndex": Venue.HNX,
    "HNXUpcomIndex": Venue.UPCOM,
}
_STATUS_JITTER_MS: Final = 3_000  # real F stamps are up to 3 s after the phase change


class _Played(NamedTuple):
    """One symbol, planned."""

    instrument: Instrument
    tape: Tape
    trade_ms: NDArray[np.int64]
    pulses: NDArray[np.void]
    foreign: flows.Flow | None
    odd_lots: flows.Flow | None
    status_ms: NDArray[np.int64]
    status: NDArray[np.uint8]


def plan_day(
    table: MarketTable,
    futures: FuturesTable | None = None,
    *,
    seed: int = 1,
    trades_max: int = NORMAL.trades_max,
    quotes_per_trade: float = NORMAL.quotes_per_trade,
    index_interval_s: int = NORMAL.index_interval_s,
    foreign_interval_s: int = NORMAL.foreign_interval_s,
    date: dt.date | None = None,
    symbols: Collection[str] | None = None,
    vn30: Collection[str] | None = None,
    contract: str | None = None,
) -> Day:
    """Plan a trading day that ends on a table's figures.

    Parameters
    ----------
    table, futures
        From `table.read_table` and `table.read_futures`; without bars there is no future.
    seed
        Any integer >= 0. The same arguments give the same day.
    trades_max
        Most prints of the day; at least what the published prices need.
    quotes_per_trade
        Books sent per print, on average; never fewer than the prints' sides need.
    index_interval_s, foreign_interval_s
        Seconds between two values of an index, and between two R messages of a symbol.
    date
        Trading date. Default: the one in the table's file name, else the bars'. Any day will do,
        so that an old table can be played as today.
    symbols
        Stocks to play, default all of the table. The future is always played when given.
    vn30
        Members of the synthetic VN30; those not played are left out. Default: the basket of
        July 2021 that ships with the package.
    contract
        Wire code of the future. Default: the front VN30 contract of the date.

    Raises
    ------
    ConfigError
        No or impossible date, unknown symbols, too few prints, impossible numbers.
    """
    date = _date(table, futures, date)
    day = day_number(date)
    for name, number in (
        ("seed", seed),
        ("quotes_per_trade", quotes_per_trade),
        ("index_interval_s", index_interval_s - 1),
        ("foreign_interval_s", foreign_interval_s - 1),
    ):
        if number < 0:
            raise ConfigError(f"{name} is too small by {-number}; give a larger number")
    listings = _chosen(table, symbols)
    code = (
        None
        if futures is None
        else contract or future_code("VN30", *listed_months("VN30", date)[0], date)
    )
    bars = () if futures is None else futures.bars
    hours = {
        venue: hours_of(venue, day)
        for venue in (Venue.HOSE, Venue.HNX, Venue.UPCOM, Venue.DERIVATIVES)
    }
    counts, bar_counts = _share_prints(
        table, listings, futures, trades_max, hours[Venue.DERIVATIVES]
    )
    low_first = 0.5
    if bars:
        low_at = min(bars, key=lambda bar: bar.low_e2).start_s
        high_at = max(bars, key=lambda bar: bar.high_e2).start_s
        low_first = 0.85 if low_at < high_at else 0.15  # stocks turn when the future does
    played = [
        _play_stock(
            listing,
            count,
            hours[listing.venue],
            seed,
            day,
            quotes_per_trade,
            foreign_interval_s,
            low_first,
        )
        for listing, count in zip(listings, counts.tolist(), strict=True)
    ]
    if code is not None and futures is not None:
        if any(listing.code == code for listing in listings):
            raise ConfigError(f"{code} is both a stock of {table.source} and the future")
        played.append(
            _play_future(
                code, futures, bar_counts, hours[Venue.DERIVATIVES], seed, day, quotes_per_trade
            )
        )
    played.sort(key=lambda each: each.instrument.code)
    members = frozenset(read_members(SHIPPED_VN30) if vn30 is None else vn30)
    indices = _indices(played, members, bars)
    return _assemble(
        date,
        seed,
        played,
        indices,
        hours,
        index_interval_s,
        {listing.code: listing for listing in listings},
        code,
        bars,
    )


def _date(table: MarketTable, futures: FuturesTable | None, date: dt.date | None) -> dt.date:
    """Decide the trading date, and refuse one on which nothing trades."""
    if date is None and table.date and futures and futures.date != table.date:
        raise ConfigError(
            f"{table.source} is of {table.date} but {futures.source} is of "
            f"{futures.date}; give the bars of that day, none, or a date"
        )
    date = date or table.date or (futures.date if futures else None)
    if date is None:
        raise ConfigError(
            f"{table.source}: no date in the file's name; name it like "
            f"market-day-2021-07-15.csv or give a date"
        )
    if not is_trading_day(date):
        raise ConfigError(f"{date} is no trading day (weekend or holiday); give another date")
    return date


def _chosen(table: MarketTable, symbols: Collection[str] | None) -> list[Listing]:
    """Return the listings to play, by code."""
    listings = {listing.code: listing for listing in table.listings}
    wanted = sorted(listings if symbols is None else set(symbols))
    missing = [code for code in wanted if code not in listings]
    if missing:
        raise ConfigError(
            f"{table.source} has no {', '.join(missing[:10])}; choose symbols that are in the table"
        )
    if not wanted:
        raise ConfigError(
            f"no symbols chosen from {table.source}; give at least one, or none to "
            f"play all {len(listings)}"
        )
    return [listings[code] for code in wanted]


def _share_prints(
    table: MarketTable,
    listings: list[Listing],
    futures: FuturesTable | None,
    trades_max: int,
    hours: Hours,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many prints each stock and each bar gets."""
    volume = np.array([listing.volume_shares for listing in listings], np.int64)
    least = np.array(
        [prints_min(*listing.ohlc_e2) if listing.traded else 0 for listing in listings], np.int64
    )
    lots = volume // np.array([BOARDS[listing.venue].lot_shares for listing in listings], np.int64)
    bars = futures.bars if futures else ()
    bar_volume = np.array([bar.volume_contracts for bar in bars], np.int64)
    bar_least = np.array([prints_min(*bar.ohlc_e2) for bar in bars], np.int64)
    needed, bars_needed = int(least.sum()), int(bar_least.sum())
    if needed + bars_needed > trades_max:
        raise ConfigError(
            f"trades_max is {trades_max}, but the prices of {table.source} need at "
            f"least {needed + bars_needed} prints; raise it or choose fewer symbols"
        )
    for_bars = min(max(bars_needed, int(trades_max * FUTURE_SHARE)), trades_max - needed)
    bar_most = bar_prints_max(futures, hours) if futures else bar_volume
    bar_counts = allocate(
        for_bars if bars else 0, bar_least, bar_most, bar_volume.astype(np.float64)
    )
    root = np.sqrt(volume.astype(np.float64))
    counts = allocate(
        trades_max - int(bar_counts.sum()), least, np.maximum(lots, least), root * np.sqrt(root)
    )  # volume^0.75: large symbols have larger prints
    return counts, bar_counts


def _generator(seed: int, code: str) -> np.random.Generator:
    """Return the generator of one symbol: by its code, so that others do not disturb it."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *code.encode()])))


def _play_stock(
    listing: Listing,
    count: int,
    hours: Hours,
    seed: int,
    day: int,
    quotes_per_trade: float,
    foreign_interval_s: int,
    low_first: float,
) -> _Played:
    """Plan one stock."""
    rng = _generator(seed, listing.code)
    product = identify(listing.code, listing.venue).product
    prices = listing.ohlc_e2 if listing.traded else ()
    ladder = build_ladder(listing.venue, product, day, listing.prior_close_e2, prices)
    lot = BOARDS[listing.venue].lot_shares
    style = Style(
        lot=lot,
        spread=1 if count >= 60 else 1 + int(rng.random() * 3.0),
        quotes_per_trade=quotes_per_trade,
        depth_lots=max(2.0, 2.0 * listing.volume_shares / lot / max(count, 1)),
        idle_rung=ladder.rung(listing.prior_close_e2),
        rung_count=ladder.prices_e2.size,
    )
    prints = stock_prints(rng, listing, ladder, hours, count, style, low_first)
    cap = flows.foreign_cap_shares(listing.volume_shares)
    played = _finish(
        rng,
        listing.code,
        listing.venue,
        listing.venue.name,
        "N",
        listing.prior_close_e2,
        ladder,
        hours,
        prints,
        style,
        1,
        cap,
    )
    trades = played.tape.trades
    foreign = flows.foreign_flow(
        rng, hours, played.trade_ms, trades, cap, listing.prior_close_e2 // 100, foreign_interval_s
    )
    odd_lots = None
    if listing.venue is Venue.HOSE:
        odd_lots = flows.odd_lots(rng, played.trade_ms, trades, style.rung_count, prints.continuous)
    return played._replace(foreign=foreign, odd_lots=odd_lots)


def _play_future(
    code: str,
    futures: FuturesTable,
    counts: NDArray[np.int64],
    hours: Hours,
    seed: int,
    day: int,
    quotes_per_trade: float,
) -> _Played:
    """Plan the future: every bar shows exactly its four prices and its volume."""
    rng = _generator(seed, code)
    identity = identify(code, Venue.DERIVATIVES)
    bars = futures.bars
    published = tuple({price for bar in bars for price in bar.ohlc_e2})
    ladder = build_ladder(Venue.DERIVATIVES, identity.product, day, bars[0].open_e2, published)
    style = Style(
        lot=1,
        spread=1,
        quotes_per_trade=quotes_per_trade,
        depth_lots=max(2.0, sum(bar.volume_contracts for bar in bars) / max(int(counts.sum()), 1)),
        idle_rung=ladder.rung(bars[0].open_e2),
        rung_count=ladder.prices_e2.size,
    )
    prints = future_prints(rng, futures, counts, ladder, hours)
    return _finish(
        rng,
        code,
        Venue.DERIVATIVES,
        Venue.DERIVATIVES.name,
        "Active",
        bars[0].open_e2,
        ladder,
        hours,
        prints,
        style,
        identity.value_multiplier,
        0,
    )


def _finish(
    rng: np.random.Generator,
    code: str,
    venue: Venue,
    wire_venue: str,
    status: str,
    reference_e2: int,
    ladder: Ladder,
    hours: Hours,
    prints: Prints,
    style: Style,
    multiplier_vnd: int,
    foreign_cap: int,
) -> _Played:
    """Put books around a symbol's prints and price them."""
    depth = depth_of(rng, style)
    tape = play(rng, hours, prints, style)
    trades = tape.trades
    trades["price_e2"] = ladder.prices_e2[trades["rung"]]
    value = trades["price_e2"].astype(np.int64) * trades["volume"] * multiplier_vnd // 100
    trades["total_value_vnd"] = np.cumsum(value)
    instrument = Instrument(
        code,
        venue,
        wire_venue,
        status,
        reference_e2,
        reference_e2,
        ladder,
        multiplier_vnd,
        BOARDS[venue].shown_level_count,
        depth,
        int(prints.rung[0]) if prints.rung.size else -1,
        foreign_cap,
    )
    changes = [span for span in hours.spans if span.phase is not Phase.PRE]
    jitter = rng.random(len(changes)) * _STATUS_JITTER_MS
    status_ms = np.array([span.start_s * 1000 for span in changes]) + jitter.astype(np.int64)
    sessions = np.array([SESSION_OF_PHASE[span.phase] for span in changes], np.uint8)
    return _Played(
        instrument,
        tape,
        prints.time_ms,
        flows.pulses(trades, reference_e2, ladder.ceiling_e2, ladder.floor_e2),
        None,
        None,
        status_ms,
        sessions,
    )


def _indices(played: list[_Played], vn30: frozenset[str], bars: tuple[Bar, ...]) -> list[Index]:
    """Return the indices that have members in play."""
    indices = []
    for code, venue in _INDEX_VENUES.items():
        members = [
            place
            for place, each in enumerate(played)
            if each.instrument.venue is venue and (code != "VN30" or each.instrument.code in vn30)
        ]
        if not members:
            continue
        prior = _PRIOR_E2[code]
        if code == "VN30" and bars:
            prior = _vn30_prior_e2(played, members, bars[-1].close_e2)
        indices.append(Index(code, venue.name, prior, np.array(members)))
    return indices


def _vn30_prior_e2(played: list[_Played], members: list[int], last_e2: int) -> int:
    """Return the prior value with which the VN30 ends on the future's last price."""
    gain = sum(int(played[member].pulses["gain"].sum()) for member in members) // len(members)
    return last_e2 * flows.RETURN_ONE // (flows.RETURN_ONE + gain)


def _assemble(
    date: dt.date,
    seed: int,
    played: list[_Played],
    indices: list[Index],
    hours: dict[Venue, Hours],
    index_interval_s: int,
    expected: dict[str, Listing],
    code: str | None,
    bars: tuple[Bar, ...],
) -> Day:
    """Merge all symbols in order of time."""
    merge = Merge()
    for place, each in enumerate(played):
        first = np.array([SNAPSHOT_MS + place * 2_000 // len(played)])
        merge.add(EventKind.SNAPSHOT, place, first, np.array([FeedSession.C], np.uint8))
        merge.add(EventKind.STATUS, place, each.status_ms, each.status)
        merge.add_tape(place, each.tape)
        if each.foreign is not None:
            merge.add(EventKind.FOREIGN, place, *each.foreign)
        if each.odd_lots is not None:
            merge.add(EventKind.ODD_LOT, place, *each.odd_lots)
    for place, index in enumerate(indices):
        trade_ms = np.concatenate([played[member].trade_ms for member in index.members])
        rows = np.concatenate([played[member].pulses for member in index.members])
        order = np.argsort(trade_ms, kind="stable")
        merge.add(
            EventKind.INDEX,
            place,
            *flows.index_flow(
                hours[_INDEX_VENUES[index.code]],
                index_interval_s,
                trade_ms[order],
                rows[order],
                index.members.size,
                index.prior_e2,
            ),
        )
    events, tables = merge.sorted()
    return Day(
        date,
        seed,
        tuple(each.instrument for each in played),
        tuple(indices),
        events,
        tables[EventKind.TRADE],
        tables[EventKind.QUOTE],
        tables[EventKind.FOREIGN],
        tables[EventKind.INDEX],
        tables[EventKind.ODD_LOT],
        expected,
        code,
        bars,
    )

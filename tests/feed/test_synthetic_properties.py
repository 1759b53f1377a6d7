"""Any consistent table can be synthesised: odd volumes, one share, flat days, off-tick prices."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.feed.synthetic import (
    ALL_TYPES,
    EventKind,
    FuturesTable,
    Listing,
    MarketTable,
    iter_messages,
    plan_day,
)
from engine.feed.synthetic.table import BAR_S, Bar, prints_min
from engine.feed.synthetic.walk import allocate, split_volume, walk
from engine.schema.codes import FeedSession, Side, Venue
from tests.oracle import synthetic_messages

DATE = dt.date(2021, 7, 15)
STARTS_S = [*range(9 * 3600, 11 * 3600 + 1801, BAR_S), *range(13 * 3600, 14 * 3600 + 2701, BAR_S)]


@st.composite
def prices(draw, most):
    """Open, high, low, close; often equal, often all on round numbers."""
    step = draw(st.sampled_from([1, 50, 100, 1000]))
    four = [draw(st.integers(1, max(most // step, 1))) * step for _ in range(4)]
    if draw(st.booleans()):
        four = [four[0], four[0], four[0], draw(st.sampled_from(four))]
    return four[0], max(four), min(four), four[3]


@st.composite
def listings(draw, code):
    venue = draw(st.sampled_from([Venue.HOSE, Venue.HNX, Venue.UPCOM]))
    ohlc = tuple(price * 100 for price in draw(prices(200_000)))
    least = prints_min(*ohlc)
    volume = draw(
        st.one_of(
            st.integers(least, least + 3),
            st.integers(least, 50_000),
            st.integers(1, 300).map(lambda lots: max(lots * 100, least)),
            st.integers(least, 300_000_000),
        )
    )
    if draw(st.integers(0, 5)) == 0:
        ohlc, volume = (ohlc[0],) * 4, 0
    prior = draw(st.one_of(st.just(ohlc[0]), st.integers(1, 200_000).map(lambda vnd: vnd * 100)))
    return Listing(code, venue, prior, *ohlc, volume)


@st.composite
def tables(draw):
    codes = draw(
        st.lists(
            st.sampled_from(["AAA", "HPG", "SHB", "VIC", "E1VFVN30", "CFPT2401", "X1"]),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    return MarketTable("a table", DATE, tuple(draw(listings(code)) for code in codes))


@st.composite
def bar_tables(draw):
    starts = sorted(draw(st.sets(st.sampled_from(STARTS_S), min_size=1, max_size=5)))
    bars = []
    for start in starts:
        open_, high, low, close = (
            10_000 + price * draw(st.sampled_from([10, 10, 1])) for price in draw(prices(500))
        )
        ohlc = open_, max(open_, high, low, close), min(open_, high, low, close), close
        least = prints_min(*ohlc)
        bars.append(Bar(start, *ohlc, draw(st.integers(least, least + 500))))
    return FuturesTable("some bars", DATE, tuple(bars))


def check_ends(day):
    """Prints add up to what was published; books and sides are consistent."""
    for place, symbol in enumerate(day.symbols):
        events = day.events[
            (day.events["symbol"] == place)
            & np.isin(day.events["kind"], [EventKind.TRADE, EventKind.QUOTE])
        ]
        is_trade = events["kind"] == EventKind.TRADE
        rows = day.trades[events["row"][is_trade]]
        if symbol.code == day.future_code:
            check_bars(day, events[is_trade], rows)
        else:
            listing = day.expected[symbol.code]
            assert rows["volume"].sum(dtype=np.int64) == listing.volume_shares
            assert (rows.size == 0) == (listing.volume_shares == 0)
            if rows.size:
                ends = (
                    rows["price_e2"][0],
                    rows["price_e2"].max(),
                    rows["price_e2"].min(),
                    rows["price_e2"][-1],
                )
                assert ends == listing.ohlc_e2
        assert (rows["volume"] > 0).all()
        books = day.quotes[events["row"][~is_trade]][np.cumsum(~is_trade)[is_trade] - 1]
        live = events["session"][is_trade] == FeedSession.LO
        at_ask = (rows["rung"] == books["ask_rung"])[live]
        assert (at_ask ^ (rows["rung"] == books["bid_rung"])[live]).all()
        says_buy = rows["side"][live] == Side.BUY
        assert ((says_buy != at_ask) == rows["against_book"][live]).all()


def check_bars(day, events, rows):
    second = events["time_ms"] // 1000
    for bar in day.future_bars:
        mine = rows[(second >= bar.start_s) & (second < bar.start_s + BAR_S)]
        assert (
            mine["price_e2"][0],
            mine["price_e2"].max(),
            mine["price_e2"].min(),
            mine["price_e2"][-1],
        ) == bar.ohlc_e2
        assert mine["volume"].sum() == bar.volume_contracts


@given(
    table=tables(),
    futures=st.one_of(st.none(), bar_tables()),
    seed=st.integers(0, 2**64),
    more=st.integers(0, 400),
)
def test_any_consistent_table_can_be_played(table, futures, seed, more):
    """At the fewest prints it needs or more, with the same bytes from both renderers."""
    needed = sum(prints_min(*listing.ohlc_e2) for listing in table.listings if listing.traded)
    needed += sum(prints_min(*bar.ohlc_e2) for bar in futures.bars) if futures else 0
    arguments = {
        "seed": seed,
        "trades_max": needed + more,
        "quotes_per_trade": 0.5,
        "index_interval_s": 7_200,
        "foreign_interval_s": 7_200,
    }
    day = plan_day(table, futures, **arguments)
    assert day.trades.size <= needed + more
    check_ends(day)
    assert (np.diff(day.events["time_ms"].astype(np.int64)) >= 0).all()
    assert plan_day(table, futures, **arguments).digest() == day.digest()
    mine = list(iter_messages(day, ALL_TYPES))
    assert mine == list(synthetic_messages.messages(day))


@given(
    st.lists(st.floats(0.01, 100.0), min_size=1, max_size=50),
    st.integers(1, 200),
    st.integers(0, 100_000),
)
def test_volumes_are_cut_exactly(weights, lot, extra):
    volume = len(weights) + extra
    pieces = split_volume(np.array(weights), volume, lot)
    assert pieces.sum() == volume
    assert (pieces > 0).all()
    lots = volume // lot
    if lots >= len(weights):
        assert (pieces % lot > 0).sum() == (volume % lot > 0)


@given(st.integers(1, 300), prices(60), st.integers(1, 3), st.floats(0, 1), st.integers(0, 999))
def test_walks_show_their_four_prices(count, ohlc, spread, low_first, seed):
    count = max(count, prints_min(*ohlc))
    rng = np.random.Generator(np.random.PCG64(seed))
    path = walk(rng, count, ohlc, spread=spread, low_first=low_first)
    shown = (path.rung[0], path.rung.max(), path.rung.min(), path.rung[-1])
    assert shown == ohlc
    fixed = path.rung[path.fixed]
    assert {fixed[0], fixed.max(), fixed.min(), fixed[-1]} == set(ohlc)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 100), st.floats(1, 1e6)), max_size=20),
    st.integers(0, 5_000),
)
def test_prints_are_shared_out_within_bounds(symbols, extra):
    least = np.array([low for low, _, _ in symbols], np.int64)
    most = least + np.array([room for _, room, _ in symbols], np.int64)
    weights = np.array([weight for _, _, weight in symbols], np.float64)
    total = int(least.sum()) + extra
    counts = allocate(total, least, most, weights)
    assert (counts >= least).all()
    assert (counts <= most).all()
    assert counts.sum() <= total
    if int(most.sum()) <= total:
        assert (counts == most).all()


def test_another_process_plans_the_same_day():
    """No hash order, no memory address, no environment reaches the plan."""
    script = (
        "from engine.feed.synthetic import *\n"
        "print(plan_day(read_table(SHIPPED_TABLE), read_futures(SHIPPED_FUTURES), seed=9,"
        " **SMALL._asdict()).digest())"
    )
    root = Path(__file__).parent.parent.parent
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            check=True,
            text=True,
            capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64

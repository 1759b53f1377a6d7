"""The synthetic day ends on the published figures and keeps the rules of a real one on the way."""

import dataclasses
import datetime as dt
from itertools import pairwise

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.feed.synthetic import (
    SHIPPED_FUTURES,
    SHIPPED_TABLE,
    SMALL,
    EventKind,
    plan_day,
    read_futures,
    read_members,
    read_table,
)
from engine.feed.synthetic.table import BAR_S, prints_min
from engine.feed.synthetic.tape import DISAGREE_SHARE
from engine.market.days import day_number
from engine.market.sessions import match_phase, phase_at
from engine.market.ticks import price_band_e2, tick_e2
from engine.schema.codes import FeedSession, Phase, Side, Venue

TABLE = read_table(SHIPPED_TABLE)
FUTURES = read_futures(SHIPPED_FUTURES)
PUBLISHED = {listing.code: listing for listing in TABLE.listings}
DAY_NUMBER = day_number(dt.date(2021, 7, 15))


@pytest.fixture(scope="module", params=[1, 2, 20_210_715])
def day(request):
    return plan_day(TABLE, FUTURES, seed=request.param)


@pytest.fixture(scope="module")
def one():
    return plan_day(TABLE, FUTURES, seed=1)


def by_symbol(day, *kinds):
    """Yield (instrument, its events of these kinds in order of time)."""
    events = day.events[np.isin(day.events["kind"], kinds)]
    events = events[np.argsort(events["symbol"], kind="stable")]
    edges = np.searchsorted(events["symbol"], np.arange(len(day.symbols) + 1))
    for symbol, (first, end) in zip(day.symbols, pairwise(edges.tolist()), strict=True):
        yield symbol, events[first:end]


def replayed(day):
    """Fold the TRADE events into code -> (open, high, low, close, volume)."""
    ends = {}
    for symbol, events in by_symbol(day, EventKind.TRADE):
        rows = day.trades[events["row"]]
        prices = rows["price_e2"]
        if rows.size:
            ends[symbol.code] = (
                int(prices[0]),
                int(prices.max()),
                int(prices.min()),
                int(prices[-1]),
                int(rows["volume"].sum(dtype=np.int64)),
            )
    return ends


def test_every_symbol_ends_on_its_published_figures(day):
    ends = replayed(day)
    assert len(PUBLISHED) == 701
    assert day.expected == PUBLISHED
    for code, listing in PUBLISHED.items():
        if listing.traded:
            assert ends[code] == (*listing.ohlc_e2, listing.volume_shares), code
        else:
            assert code not in ends
    assert sum(not listing.traded for listing in PUBLISHED.values()) == 84
    assert ends.keys() - PUBLISHED.keys() == {"VN30F2107"}


def test_the_future_follows_its_bars(day):
    assert day.future_code == "VN30F2107"  # the front contract on its own last day
    events, rows = day.trades_of(day.future_code)
    second = events["time_ms"] // 1000
    assert len(day.future_bars) == 19
    for bar in day.future_bars:
        mine = rows[(second >= bar.start_s) & (second < bar.start_s + BAR_S)]
        prices = mine["price_e2"]
        assert (prices[0], prices.max(), prices.min(), prices[-1]) == bar.ohlc_e2
        assert mine["volume"].sum() == bar.volume_contracts
        if bar.start_s in (11.5 * 3600, 14.5 * 3600):  # stamped right at the boundary
            stamps = second[(second >= bar.start_s) & (second < bar.start_s + BAR_S)]
            assert stamps.max() <= bar.start_s + 2
    closing = second >= 14.75 * 3600
    assert (second[closing] == 14.75 * 3600).all()
    assert events["session"][0] == FeedSession.ATO
    assert second[0] == 9 * 3600


def test_totals_grow_by_the_size_of_each_print(day):
    for symbol, events in by_symbol(day, EventKind.TRADE):
        rows = day.trades[events["row"]]
        volume = rows["volume"].astype(np.int64)
        assert (volume > 0).all()
        assert (np.cumsum(volume) == rows["total_volume"]).all()
        value = rows["price_e2"].astype(np.int64) * volume * symbol.multiplier_vnd // 100
        assert (np.cumsum(value) == rows["total_value_vnd"]).all()
        prices = symbol.ladder.prices_e2
        assert (prices[rows["rung"]] == rows["price_e2"]).all()
        assert (np.maximum.accumulate(rows["rung"]) == rows["high_rung"]).all()
        assert (np.minimum.accumulate(rows["rung"]) == rows["low_rung"]).all()


def test_prints_are_round_lots_where_the_prices_allow(day):
    broken = {
        code
        for code, listing in PUBLISHED.items()
        if prints_min(*listing.ohlc_e2) > listing.volume_shares // 100 > 0
    }
    assert "AGP" in broken  # 200 shares, three prints: 18,100 then 18,500 then 18,100
    odd = set()
    for symbol, events in by_symbol(day, EventKind.TRADE):
        if (
            symbol.venue is not Venue.DERIVATIVES
            and (day.trades[events["row"]]["volume"] % 100).any()
        ):
            odd.add(symbol.code)
    assert odd == broken


def test_prices_keep_to_ticks_and_limits(day):
    for symbol in day.symbols:
        ladder = symbol.ladder
        if symbol.venue is Venue.DERIVATIVES:
            assert (ladder.prices_e2 % 10 == 0).all()
            continue
        listing = PUBLISHED[symbol.code]
        ceiling, floor = price_band_e2(symbol.venue, listing.prior_close_e2)
        assert ladder.ceiling_e2 == max(ceiling, listing.high_e2 if listing.traded else 0)
        assert ladder.floor_e2 == min(floor, listing.low_e2 if listing.traded else floor)
        assert (np.diff(ladder.prices_e2) > 0).all()
        assert ladder.floor_e2 <= ladder.prices_e2[0]
        assert ladder.prices_e2[-1] <= ladder.ceiling_e2
        for price in ladder.prices_e2.tolist():
            assert price % tick_e2(symbol.venue, price) == 0


def test_events_are_in_order_and_own_their_rows(day):
    assert (np.diff(day.events["time_ms"].astype(np.int64)) >= 0).all()
    for kind in EventKind:
        table = day.table_of(kind)
        rows = day.events["row"][day.events["kind"] == kind]
        if table is not None:
            assert (rows == np.arange(table.size)).all()


def test_prints_belong_to_the_phase_they_are_stamped_with(day):
    """The rule the engine books matches by agrees, without help from prices."""
    trades = day.events["kind"] == EventKind.TRADE
    second = (day.events["time_ms"] // 1000)[trades]
    venue = np.array([symbol.venue for symbol in day.symbols])[day.events["symbol"][trades]]
    session = day.events["session"][trades]
    side = day.trades["side"]
    keys = np.unique(np.stack([second, venue, session, side], 1), axis=0)
    seen = set()
    for at, where, word, whose in keys.tolist():
        phase = match_phase(Venue(where), DAY_NUMBER, at, FeedSession(word), 1, 0)
        if word == FeedSession.ATO:
            assert phase is Phase.ATO
        elif word == FeedSession.LO:
            assert phase is Phase.CONTINUOUS
        elif at < 14.75 * 3600 + 3:
            assert phase is Phase.ATC
        else:
            assert phase is Phase.PLO
        assert (whose == Side.UNKNOWN) == (word != FeedSession.LO)
        if phase_at(Venue(where), DAY_NUMBER, at) is Phase.BREAK:
            assert where == Venue.DERIVATIVES  # its bar of 11:30 exists, see the bars
        seen.add((Venue(where), phase))
    assert seen == {
        (Venue.HOSE, Phase.ATO),
        (Venue.HOSE, Phase.CONTINUOUS),
        (Venue.HOSE, Phase.ATC),
        (Venue.HNX, Phase.CONTINUOUS),
        (Venue.HNX, Phase.ATC),
        (Venue.HNX, Phase.PLO),
        (Venue.UPCOM, Phase.CONTINUOUS),
        (Venue.DERIVATIVES, Phase.ATO),
        (Venue.DERIVATIVES, Phase.CONTINUOUS),
        (Venue.DERIVATIVES, Phase.ATC),
    }


def test_post_close_prints_stay_at_the_close(day):
    for symbol, events in by_symbol(day, EventKind.TRADE):
        if symbol.venue is Venue.HNX:
            late = events["time_ms"] > 14.75 * 3_600_000
            prices = day.trades[events["row"][late]]["price_e2"]
            assert (prices == PUBLISHED[symbol.code].close_e2).all()


def test_auction_prints_are_single(day):
    for symbol, events in by_symbol(day, EventKind.TRADE):
        ato = (events["session"] == FeedSession.ATO).sum()
        atc = (events["time_ms"] == 14.75 * 3_600_000).sum()
        assert ato <= 1
        assert atc <= 1
        if symbol.venue is Venue.HOSE and events.size >= 10:
            assert (ato, atc) == (1, 1)


def test_sides_agree_with_the_book_in_force(day):
    """A buy is at the best ask and a sell at the best bid, but for a small seeded share."""
    live = against = 0
    for symbol, events in by_symbol(day, EventKind.TRADE, EventKind.QUOTE):
        is_trade = events["kind"] == EventKind.TRADE
        books = np.cumsum(~is_trade)[is_trade] - 1  # the last quote before each print
        rows = day.trades[events["row"][is_trade]]
        quotes = day.quotes[events["row"][~is_trade]]
        continuous = events["session"][is_trade] == FeedSession.LO
        rows, books = rows[continuous], books[continuous]
        assert (books >= 0).all()
        book = quotes[books]
        at_ask = rows["rung"] == book["ask_rung"]
        at_bid = rows["rung"] == book["bid_rung"]
        assert (at_ask ^ at_bid).all()
        says_buy = rows["side"] == Side.BUY
        assert ((says_buy != at_ask) == (rows["against_book"] == 1)).all()
        hit = np.where(at_ask, book["ask_volume"], book["bid_volume"])
        assert (hit > 0).all(), symbol.code
        live += rows.size
        against += int(rows["against_book"].sum())
    assert 0.5 * DISAGREE_SHARE < against / live < 2 * DISAGREE_SHARE


def test_books_are_books(one):
    for symbol, events in by_symbol(one, EventKind.QUOTE):
        quotes = one.quotes[events["row"]]
        top = symbol.ladder.prices_e2.size
        calm = np.isin(events["session"], [FeedSession.LO, FeedSession.C])
        assert calm.any()
        assert (quotes["bid_rung"] < quotes["ask_rung"])[calm].all()
        assert (quotes["bid_rung"] >= -1).all()
        assert (quotes["ask_rung"] <= top).all()
        assert ((quotes["bid_volume"] > 0) == (quotes["bid_rung"] >= 0)).all()
        assert ((quotes["ask_volume"] > 0) == (quotes["ask_rung"] < top)).all()
        assert ((quotes["estimate_rung"] >= 0) <= ~calm).all()
        lot = 1 if symbol.venue is Venue.DERIVATIVES else 100
        if PUBLISHED.get(symbol.code, PUBLISHED["HPG"]).volume_shares >= 500:
            assert (quotes["bid_volume"] % lot == 0).all()
        bid, bid_volume, ask, ask_volume = symbol.book(quotes[quotes.size // 2])
        assert (np.diff(bid[bid > 0]) < 0).all()
        assert (np.diff(ask[ask > 0]) > 0).all()
        assert ((bid > 0) == (bid_volume > 0)).all()
        assert ((ask > 0) == (ask_volume > 0)).all()
        if symbol.venue is Venue.HOSE:
            assert not bid[3:].any()
            assert not ask[3:].any()


def test_untraded_symbols_have_books_in_every_session(one):
    quiet = [symbol for symbol in one.symbols if symbol.open_rung < 0]
    assert len(quiet) == 84
    for symbol in quiet:
        events, _ = one.quotes_of(symbol.code)
        assert FeedSession.LO in events["session"]


def test_foreign_flow_only_grows_and_keeps_its_room(day):
    flowing = 0
    for symbol, events in by_symbol(day, EventKind.FOREIGN):
        rows = day.foreigns[events["row"]]
        if symbol.venue is Venue.DERIVATIVES:
            assert rows.size == 0
            continue
        for name in ("buy_volume", "sell_volume", "buy_value_vnd", "sell_value_vnd"):
            assert (np.diff(rows[name]) >= 0).all()
            assert rows[name][0] >= 0
        room = rows["room"] + rows["buy_volume"] - rows["sell_volume"]
        assert (room == room[0]).all()
        assert (rows["room"] >= 0).all()
        assert (rows["room"] <= symbol.foreign_cap_shares).all()
        assert events["time_ms"][-1] >= 15 * 3_600_000 + 5 * 60_000
        flowing += bool(rows["buy_volume"][-1])
    assert 250 < flowing < 450


def test_index_values_follow_their_members(day):
    codes = [index.code for index in day.indices]
    assert codes == ["VN30", "VNINDEX", "HNXIndex", "HNXUpcomIndex"]
    assert len(read_members()) == 30
    for place, index in enumerate(day.indices):
        events = day.events[
            (day.events["kind"] == EventKind.INDEX) & (day.events["symbol"] == place)
        ]
        rows = day.index_values[events["row"]]
        members = [PUBLISHED[day.symbols[member].code] for member in index.members]
        assert rows["volume"][-1] == sum(member.volume_shares for member in members)
        for name in ("volume", "value_vnd", "put_through_volume", "put_through_value_vnd"):
            assert (np.diff(rows[name]) >= 0).all()
        gain = sum(
            member.close_e2 * 10**9 // member.prior_close_e2 - 10**9
            for member in members
            if member.traded
        ) // len(members)
        assert abs(rows["value_e2"][-1] - index.prior_e2 * (1 + gain / 1e9)) <= 1
        assert np.abs(np.diff(rows["value_e2"])).max() < index.prior_e2 * 0.03
        breadth = rows["advances"] + rows["unchanged"] + rows["declines"]
        over = events["time_ms"] >= (15 * 3600 + 300) * 1000
        assert over.sum() == 2
        assert (breadth[~over] == len(members)).all()
        assert (breadth[over] == 0).all()
        final = rows[~over][-1]
        assert final["advances"] == sum(
            member.traded and member.close_e2 > member.prior_close_e2 for member in members
        )
        assert final["declines"] == sum(
            member.traded and member.close_e2 < member.prior_close_e2 for member in members
        )
    assert (
        abs(
            int(
                day.index_values["value_e2"][
                    day.events["row"][
                        (day.events["kind"] == EventKind.INDEX) & (day.events["symbol"] == 0)
                    ][-1]
                ]
            )
            - FUTURES.bars[-1].close_e2
        )
        <= 1
    )  # the VN30 ends where its future does


def test_each_symbol_enters_each_phase_once(one):
    for symbol, events in by_symbol(one, EventKind.STATUS):
        expected = {
            Venue.HOSE: ["ATO", "LO", "BREAK", "LO", "ATC", "C"],
            Venue.HNX: ["LO", "BREAK", "LO", "ATC", "C", "C"],
            Venue.UPCOM: ["LO", "BREAK", "LO", "C"],
            Venue.DERIVATIVES: ["ATO", "LO", "BREAK", "LO", "ATC", "C"],
        }[symbol.venue]
        assert [FeedSession(word).name for word in events["session"]] == expected


def test_the_day_has_the_shape_and_size_of_a_real_one(day):
    assert 230_000 <= day.trades.size <= 250_000
    assert 600_000 <= day.events.size <= 700_000
    events = day.events[day.events["kind"] == EventKind.TRADE]
    keys = events["symbol"].astype(np.int64) * 86_400 + events["time_ms"] // 1000
    _, counts = np.unique(keys, return_counts=True)
    assert 0.15 < (counts >= 2).mean() < 0.21  # 18 % on a real tape (ssi-wire section 4.7)
    minutes = np.bincount(events["time_ms"] // 60_000, minlength=1440)
    calm = np.median(minutes[10 * 60 : 11 * 60])
    for burst in (9 * 60 + 15, 13 * 60, 14 * 60 + 29):
        assert minutes[burst] > 1.5 * calm
    assert minutes[11 * 60 + 31 : 13 * 60].sum() == 0


def test_the_same_seed_gives_the_same_day(one):
    again = plan_day(TABLE, FUTURES, seed=1)
    assert again.digest() == one.digest()
    assert plan_day(TABLE, FUTURES, seed=2).digest() != one.digest()


def test_the_order_of_the_table_does_not_matter():
    backwards = TABLE._replace(listings=TABLE.listings[::-1])
    assert (
        plan_day(backwards, FUTURES, seed=5, **SMALL._asdict()).digest()
        == plan_day(TABLE, FUTURES, seed=5, **SMALL._asdict()).digest()
    )


def test_another_date_moves_the_day_and_names_another_contract():
    day = plan_day(TABLE, FUTURES, seed=1, date=dt.date(2026, 4, 15), **SMALL._asdict())
    assert day.date == dt.date(2026, 4, 15)
    assert day.future_code == "41I1G4000"
    _, rows = day.trades_of("41I1G4000")
    assert rows["volume"].sum() == sum(bar.volume_contracts for bar in FUTURES.bars)
    late = [
        events["time_ms"].max()
        for symbol, events in by_symbol(day, EventKind.TRADE)
        if symbol.venue is Venue.HNX and events.size >= 30
    ]
    assert min(late) >= (14 * 3600 + 55 * 60) * 1000  # PLO matches from 14:55 since KRX


def test_without_bars_there_is_no_future():
    day = plan_day(TABLE, None, seed=1, symbols={"HPG", "SHB"}, trades_max=500)
    assert day.future_code is None
    assert [symbol.code for symbol in day.symbols] == ["HPG", "SHB"]
    assert day.expected.keys() == {"HPG", "SHB"}
    assert [index.code for index in day.indices if index.members.size] == [
        "VN30",
        "VNINDEX",
        "HNXIndex",
    ]


def test_own_basket_and_contract_name():
    day = plan_day(TABLE, FUTURES, seed=1, vn30=["HPG"], contract="VN30F2108", **SMALL._asdict())
    assert [day.symbols[member].code for member in day.indices[0].members] == ["HPG"]
    assert day.future_code == "VN30F2108"


def test_digest_notices_any_change(one):
    changed = one.trades.copy()
    changed["side"][7] ^= 1
    assert dataclasses.replace(one, trades=changed).digest() != one.digest()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"trades_max": 100}, "trades_max is 100, but the prices of .* need at least 1909"),
        ({"symbols": {"HPG", "NONE"}}, "has no NONE"),
        ({"symbols": set()}, "no symbols chosen"),
        ({"date": dt.date(2021, 7, 17)}, "2021-07-17 is no trading day"),
        ({"seed": -1}, "seed is too small"),
        ({"index_interval_s": 0}, "index_interval_s is too small"),
        ({"quotes_per_trade": -0.5}, "quotes_per_trade is too small"),
        ({"contract": "HPG"}, "HPG is both a stock of .* and the future"),
    ],
)
def test_impossible_wishes_are_refused(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan_day(TABLE, FUTURES, **arguments)


def test_a_date_is_needed_and_must_not_be_contradicted():
    with pytest.raises(ConfigError, match="no date in the file's name"):
        plan_day(TABLE._replace(date=None), None)
    other = FUTURES._replace(date=dt.date(2021, 7, 16))
    with pytest.raises(ConfigError, match=r"is of 2021-07-15 but .* is of 2021-07-16"):
        plan_day(TABLE, other)
    assert plan_day(TABLE._replace(date=None), FUTURES, **SMALL._asdict()).date == FUTURES.date


def test_a_bar_outside_matching_is_refused():
    early = FUTURES._replace(bars=(FUTURES.bars[0]._replace(start_s=8 * 3600), *FUTURES.bars[1:]))
    with pytest.raises(ConfigError, match="a bar at 08:00:00 is outside the future's matching"):
        plan_day(TABLE, early, **SMALL._asdict())

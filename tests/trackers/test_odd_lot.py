"""The odd-lot market: market-behaviour section 4; its stories are told in test_put_through."""

import pytest

from engine.schema.codes import DeltaFlag, SlotKind
from engine.trackers import odd_lot
from tests.shard.folding import fold_groups
from tests.trackers.symbol_day import SymbolDay, Watched

PRICE = 2_275_000
PRICES = ("reference", "ceiling", "floor", "open", "high", "low")


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def watched():
    return Watched(odd_lot.STAGE)


def told(day, time, last=PRICE, size=93, total=0, bid=0, **prices):
    return day.at(
        time,
        SlotKind.ODD_LOT,
        last_price_e2=last,
        last_volume_shares=size,
        total_volume_shares=total,
        total_value_vnd=total * 22_750,
        bid_price_e2=[bid, 0, 0],
        bid_volume_shares=[7, 0, 0],
        **{f"{name}_price_e2": price for name, price in prices.items()},
    )


def test_the_latest_state_of_the_odd_lot_market(day, watched):
    prices = {name: PRICE + i for i, name in enumerate(PRICES)}
    (row,) = watched.tell(told(day, "10:00:00", total=93, bid=PRICE - 5_000, **prices))
    assert {name: row[f"{name}_price_e2"] for name in PRICES} == prices
    assert (row["last_price_e2"], row["last_volume_shares"]) == (PRICE, 93)
    assert (row["total_volume_shares"], row["total_value_vnd"]) == (93, 93 * 22_750)
    assert row["bid_price_e2"] == [PRICE - 5_000, 0, 0]
    assert row["bid_volume_shares"] == [7, 0, 0]
    assert (row["trade_count"], row["flags"]) == (1, 0)


def test_a_repeat_is_not_published(day, watched):
    first = told(day, "10:00:00", total=93)
    assert len(watched.tell(first, first, told(day, "10:09:00", total=93))) == 1


@pytest.mark.parametrize("name", ["bid_price_e2", "bid_volume_shares", "ask_price_e2"])
@pytest.mark.parametrize("level", range(3))
def test_any_level_is_news(day, watched, name, level):
    first = told(day, "10:00:00", total=93)
    other = list(first.get(name, [0, 0, 0]))
    other[level] += 1
    assert len(watched.tell(first, first | {name: other})) == 2


def test_trades_are_counted_when_the_total_grew(day, watched):
    rows = watched.tell(
        told(day, "10:00:00", total=93),
        told(day, "10:00:01", total=100, size=7),
        told(day, "10:00:02", total=100, size=7, bid=PRICE),
        told(day, "10:00:03", total=110, size=10),
    )
    assert [row["trade_count"] for row in rows] == [1, 2, 2, 3]


def test_the_first_message_is_a_baseline_and_not_one_giant_trade(day, watched):
    rows = watched.tell(
        told(day, "10:00:00", total=8_135_000), told(day, "10:00:01", total=8_135_007)
    )
    assert [row["trade_count"] for row in rows] == [0, 1]
    assert [row["flags"] for row in rows] == [DeltaFlag.BASELINE] * 2


def test_a_total_that_shrinks_is_followed_and_flagged(day, watched):
    rows = watched.tell(told(day, "10:00:00", total=93), told(day, "10:00:01", total=40))
    assert [row["total_volume_shares"] for row in rows] == [93, 40]
    assert [row["flags"] for row in rows] == [0, DeltaFlag.CORRECTED]


def test_a_zero_snapshot_takes_nothing_back(day, watched):
    prices = dict.fromkeys(PRICES, PRICE)
    before, after = watched.tell(
        told(day, "10:00:00", total=93, bid=PRICE, **prices),
        told(day, "15:05:00", last=0, size=0),
    )
    kept = [name for name in before if name.endswith("price_e2") and "bid" not in name]
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}
    assert after["total_volume_shares"] == 93
    assert after["total_value_vnd"] == 93 * 22_750


def test_one_row_per_symbol_and_group(day, watched):
    group = [told(day, "10:00:00", total=93), told(day, "10:00:00", total=100)]
    _, emitted = fold_groups(watched.fold, [group])
    (row,) = emitted["odd_lot"]
    assert (row["updates"], row["total_volume_shares"]) == (2, 100)


def test_a_new_day_begins_blank(day, watched):
    watched.tell(told(day, "10:00:00", total=8_135_000, ceiling=PRICE))
    tomorrow = SymbolDay(day="2021-07-16")
    (row,) = watched.tell(told(tomorrow, "09:15:00", total=93))
    assert (row["ceiling_price_e2"], row["trade_count"], row["flags"]) == (0, 1, 0)
    assert watched.tell(told(day, "10:00:00", total=99)) == []  # a straggler


def test_odd_lots_never_touch_the_main_board(day, watched):
    watched.tell(day.match("10:00:00", PRICE))
    watched.tell(told(day, "10:00:01", total=93))
    assert watched.fold.state("classify")[1]["total_volume_shares"] == 100
    assert watched.fold.counts.matches == 1
    assert watched.fold.counts.missed_volume_shares == 0

"""Negotiated deals: market-behaviour sections 1, 3 and 4, and the stories of what is apart."""

import pytest

from engine.schema.codes import DeltaFlag, Instrument, SlotKind, Venue
from engine.trackers import put_through
from tests.shard.folding import fold_groups
from tests.trackers.story import Story, tables
from tests.trackers.symbol_day import SymbolDay, Watched

PRICE = 9_400_000


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def watched():
    return Watched(put_through.STAGE)


def deal(day, time, price, volume, total=0, value=0):
    return day.at(
        time,
        SlotKind.PUT_THROUGH,
        price_e2=price,
        volume_shares=volume,
        total_volume_shares=total,
        total_value_vnd=value,
    )


@pytest.mark.parametrize("path", tables("apart"), ids=lambda path: path.stem)
def test_story(path):
    assert Story(path).play() > 0


def test_a_story_that_lies_is_noticed(tmp_path):
    path = tmp_path / "apart_lie.txt"
    path.write_text("symbol FPT HOSE\nday 2021-07-15\n10:00:00 deal 10 5 5 | -")
    with pytest.raises(AssertionError, match="shown: deal 1: 5 at 10 = 50, total 5"):
        Story(path).play()


def test_one_row_a_deal(day, watched):
    rows = watched.tell(
        deal(day, "10:00:00", PRICE, 20_000, 20_000, 10**9),
        deal(day, "10:00:00", PRICE, 30_000, 50_000, 3 * 10**9),
    )
    assert [row["deal_count"] for row in rows] == [1, 2]
    assert [row["volume_shares"] for row in rows] == [20_000, 30_000]
    assert [row["value_vnd"] for row in rows] == [1_880_000_000, 2_820_000_000]
    assert [row["total_volume_shares"] for row in rows] == [20_000, 50_000]
    assert [row["total_value_vnd"] for row in rows] == [10**9, 3 * 10**9]
    assert [row["seq"] for row in rows] == [1, 2]


def test_deals_of_one_group_are_not_merged(day, watched):
    groups = [[deal(day, "10:00:00", PRICE, 10, 10), deal(day, "10:00:00", PRICE, 5, 15)]]
    _, emitted = fold_groups(watched.fold, groups)
    assert len(emitted["put_through"]) == 2


def test_the_last_deal_told_again_is_no_deal(day, watched):
    first = deal(day, "10:00:00", PRICE, 20_000, 20_000)
    assert len(watched.tell(first, first, deal(day, "10:05:00", PRICE, 20_000, 20_000))) == 1


def test_value_knows_the_multiplier_of_futures(watched):
    future = SymbolDay(venue=Venue.DERIVATIVES)
    told = {"code": b"41I1G4000", "value_multiplier": 100_000, "instrument": Instrument.FUTURE}
    watched.tell(future.at("08:00:00", SlotKind.SYMBOL, **told))
    (row,) = watched.tell(deal(future, "10:00:00", 188_050, 10, 10))
    assert row["value_vnd"] == 1_880_500_000


def test_totals_that_are_not_told_are_summed(day, watched):
    rows = watched.tell(*(deal(day, "10:00:00", PRICE, 100) for _ in range(3)))
    assert [row["total_volume_shares"] for row in rows] == [100, 200, 300]
    assert rows[-1]["total_value_vnd"] == 3 * 9_400_000


def test_missed_deals_are_flagged(day, watched):
    rows = watched.tell(
        deal(day, "10:00:00", PRICE, 100, 100),
        deal(day, "10:05:00", PRICE, 100, 900),
        deal(day, "10:06:00", PRICE, 100, 1_000),
    )
    assert [row["flags"] for row in rows] == [0, DeltaFlag.MISSED_BEFORE, 0]


def test_the_first_message_of_the_day_is_a_baseline(day, watched):
    (row,) = watched.tell(deal(day, "10:00:00", PRICE, 100, 900))
    assert (row["flags"], row["deal_count"]) == (DeltaFlag.BASELINE, 1)


def test_a_zero_snapshot_is_no_deal(day, watched):
    assert watched.tell(deal(day, "08:00:00", 0, 0)) == []
    assert watched.tell(deal(day, "08:00:00", PRICE, 0), deal(day, "08:00:00", 0, 100)) == []


def test_an_absurd_deal_has_no_value_that_overflows(day, watched):
    assert watched.tell(deal(day, "10:00:00", 2_000_000_000, 10**14)) == []


def test_a_total_that_shrinks_is_a_correction_and_no_deal(day, watched):
    row = watched.tell(
        deal(day, "10:00:00", PRICE, 100, 100), deal(day, "10:05:00", PRICE, 100, 40)
    )[-1]
    assert (row["flags"], row["volume_shares"], row["total_volume_shares"]) == (
        DeltaFlag.CORRECTED,
        0,
        40,
    )


def test_a_new_day_counts_from_nothing(day, watched):
    watched.tell(deal(day, "10:00:00", PRICE, 100, 100))
    tomorrow = SymbolDay(day="2021-07-16")
    (row,) = watched.tell(deal(tomorrow, "10:00:00", PRICE, 100, 100))
    assert (row["deal_count"], row["total_volume_shares"], row["seq"]) == (1, 100, 2)
    assert watched.tell(deal(day, "10:00:00", PRICE, 100, 200)) == []  # a straggler


def test_put_through_never_touches_the_main_board(day, watched):
    watched.tell(day.match("10:00:00", PRICE))
    watched.tell(deal(day, "10:00:00", PRICE, 500, 500))
    assert watched.fold.state("classify")[1]["total_volume_shares"] == 100
    assert watched.fold.counts.matches == 1
    assert watched.fold.counts.missed_volume_shares == 0


def test_a_symbol_outside_the_table_is_nobody(watched):
    stranger = SymbolDay(symbol_id=99)
    watched.tell(stranger.at("08:00:00", SlotKind.SYMBOL, code=b"XYZ", value_multiplier=5))
    assert watched.tell(deal(stranger, "10:00:00", PRICE, 100, 100)) == []

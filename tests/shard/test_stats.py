"""Session statistics, one rule a test (market-behaviour section 4)."""

import numpy as np
import pytest

from engine.schema.codes import Instrument, Phase, Side, SlotKind, Venue
from engine.shard.stats import check_invariants
from tests.shard.telling import Shard
from tests.trackers.symbol_day import SymbolDay

PRICE = 25_000_00


@pytest.fixture
def day():
    return SymbolDay()


@pytest.fixture
def shard(day):
    """A day with an opening auction, buying, selling, a hole and a closing auction."""
    return Shard().tell(
        day.told("09:00:00", 0, 0, 0),
        day.match("09:15:00", PRICE, 1_000),
        day.match("09:20:00", PRICE + 10_000, 300) | {"side": Side.BUY},
        day.match("10:00:00", PRICE - 5_000, 700, missed=200) | {"side": Side.SELL},
        day.match("14:45:00", PRICE + 5_000, 400),
    )


def test_open_high_low_last_count_times_and_the_largest_trade(day, shard):
    row = shard.last("stats")
    told = [row[f"{key}_price_e2"] for key in ("open", "high", "low", "last")]
    assert told == [PRICE, PRICE + 10_000, PRICE - 5_000, PRICE + 5_000]
    assert (row["trade_count"], row["largest_trade_shares"]) == (4, 1_000)
    first, last = day.at("09:15:00", SlotKind.TRADE), day.at("14:45:00", SlotKind.TRADE)
    assert row["first_trade_exch_s"] == first["exch_s"]
    assert row["last_trade_exch_s"] == last["exch_s"]


def test_volume_value_and_count_are_kept_for_each_phase_and_side(shard):
    row = shard.last("stats")
    wanted = {
        (Phase.ATO, Side.NEUTRAL): (1_000, 25_000 * 1_000),
        (Phase.CONTINUOUS, Side.BUY): (300, 25_100 * 300),
        (Phase.CONTINUOUS, Side.SELL): (700, 24_950 * 700),
        (Phase.ATC, Side.NEUTRAL): (400, 25_050 * 400),
    }
    for phase in Phase:
        for side in Side:
            volume, value = wanted.get((phase, side), (0, 0))
            assert row["phase_side_volume_shares"][phase][side] == volume
            assert row["phase_side_value_vnd"][phase][side] == value
            assert row["phase_side_count"][phase][side] == (volume > 0)


def test_phases_and_sides_sum_to_the_total_which_is_the_exchanges_less_what_was_missed(shard):
    rows = shard.fold.latest["stats"]
    row = shard.last("stats")
    cells = np.array(row["phase_side_volume_shares"])
    assert cells.sum(axis=1).sum() == cells.sum(axis=0).sum() == row["volume_shares"] == 2_400
    assert row["volume_shares"] == row["total_volume_shares"] - row["missed_volume_shares"]
    assert row["missed_volume_shares"] == 200
    check_invariants(rows)


def test_a_future_counts_one_hundred_thousand_vnd_a_point():
    day = SymbolDay(venue=Venue.DERIVATIVES)
    name = {
        "kind": SlotKind.SYMBOL,
        "symbol_id": 1,
        "venue": Venue.DERIVATIVES,
        "code": b"VN30F2107",
        "instrument": Instrument.FUTURE,
        "value_multiplier": 100_000,
    }
    shard = Shard().tell(name, day.told("08:45:00", 0, 0, 0), day.match("09:20:00", 1_410_80, 3))
    assert shard.last("stats")["value_vnd"] == 423_240_000


def test_value_is_exact_where_a_float_would_round(day):
    price_e2, size = 99_999_900, 9_050_000_001
    exact = 999_999 * size
    assert int(float(exact)) != exact, "a float has no place for such a number"
    assert int(float(price_e2) * float(size) / 100) != exact, "nor for the way to it"
    shard = Shard().tell(day.told("09:00:00", 0, 0, 0), day.match("09:20:00", price_e2, size))
    assert shard.last("trade")["value_vnd"] == shard.last("stats")["value_vnd"] == exact

"""Derived measures, each formula done by hand, and where there is no number."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.market.measures import MEASURES, Measure
from engine.schema.channels import BY_NAME
from engine.schema.codes import BasisState, DeltaFlag, Phase, Side

CROSSED, MARKET_ORDERS = int(DeltaFlag.CROSSED), int(DeltaFlag.MARKET_ORDERS)
BOOK_OF_FPT = {
    "bid_price_e2": 8_800_000,
    "ask_price_e2": 8_810_000,
    "bid_volume_shares": 300,
    "ask_volume_shares": 100,
}


def rows_of(channel: str, *said: dict[str, Any]) -> np.ndarray:
    """Return rows of a channel that say only this."""
    rows = np.zeros(len(said), BY_NAME[channel].dtype)
    for row, fields in zip(rows, said, strict=True):
        for name, value in fields.items():
            row[name] = value
    return rows


def measured(channel: str, multiplier: int = 1, /, **fields: Any) -> dict[str, float]:
    """Return all measures of one row that says only this."""
    units = np.array([multiplier], np.int64)
    row = rows_of(channel, fields)
    return {each.name: float(each.compute(row, units)[0]) for each in MEASURES[channel]}


def has_no_value(found: dict[str, float], *names: str) -> bool:
    return all(math.isnan(found[name]) for name in names)


def sided(phase_side: dict[tuple[Phase, Side], int]) -> np.ndarray:
    cells = np.zeros((9, 4), np.int64)
    for place, volume in phase_side.items():
        cells[place] = volume
    return cells


# --- stats ------------------------------------------------------------------------------------


def test_vwap_is_the_value_of_what_was_seen_over_its_volume():
    found = measured("stats", value_vnd=25_123_543_200, volume_shares=863_352)
    assert found["vwap"] == 29_100


def test_vwap_of_a_future_is_in_points():
    found = measured("stats", 100_000, value_vnd=1_027_120_000, volume_shares=8)
    assert found["vwap"] == 1_283.9


def test_vwap_of_no_volume_or_of_an_unknown_multiplier_is_no_number():
    assert has_no_value(measured("stats"), "vwap")
    assert has_no_value(measured("stats", 0, value_vnd=100, volume_shares=1), "vwap")


def test_change_is_against_the_reference():
    found = measured("stats", last_price_e2=2_450_000, reference_price_e2=2_500_000)
    assert (found["change"], found["change_pct"]) == (-500, -2)


@pytest.mark.parametrize("known", ["last_price_e2", "reference_price_e2"])
def test_there_is_no_change_without_both_prices(known):
    """The feed says -100 % then."""
    assert has_no_value(measured("stats", **{known: 2_500_000}), "change", "change_pct")


def test_active_buy_ratio_counts_auctions_on_neither_side():
    cells = {
        (Phase.ATO, Side.NEUTRAL): 5_000,
        (Phase.CONTINUOUS, Side.BUY): 600,
        (Phase.CONTINUOUS, Side.SELL): 200,
        (Phase.CONTINUOUS, Side.UNKNOWN): 900,
        (Phase.BREAK, Side.SELL): 200,
    }
    found = measured("stats", phase_side_volume_shares=sided(cells))
    assert found["active_buy_ratio"] == 0.6


def test_active_buy_ratio_of_auctions_alone_is_no_number():
    cells = sided({(Phase.ATO, Side.NEUTRAL): 5_000})
    assert has_no_value(measured("stats", phase_side_volume_shares=cells), "active_buy_ratio")


@given(
    st.integers(0, 2_000_000_000), st.integers(0, 2_000_000_000), st.integers(0, 10**15),
    st.integers(0, 10**9), st.sampled_from((1, 10_000, 100_000)),
    st.integers(0, 10**9), st.integers(0, 10**9),
)  # fmt: skip
def test_what_stats_derives_is_python_s_own_division(
    last, reference, value, volume, unit, buy, sell
):
    """To the last bit: the golden frames of the gateway were written by Python's division."""
    found = measured(
        "stats",
        unit,
        last_price_e2=last,
        reference_price_e2=reference,
        value_vnd=value,
        volume_shares=volume,
        phase_side_volume_shares=sided(
            {(Phase.CONTINUOUS, Side.BUY): buy, (Phase.CONTINUOUS, Side.SELL): sell}
        ),
    )
    quoted = last > 0 and reference > 0
    wanted = {
        "vwap": value / (volume * unit) if volume else math.nan,
        "change": float(Fraction(last - reference, 100)) if quoted else math.nan,
        "change_pct": 100 * (last - reference) / reference if quoted else math.nan,
        "active_buy_ratio": buy / (buy + sell) if buy + sell else math.nan,
    }
    assert repr(found) == repr(wanted)


# --- quote and book -----------------------------------------------------------------------------


def in_levels(top: dict[str, int], *deeper: dict[str, int]) -> dict[str, list[int]]:
    sides = (top, *deeper)
    return {name: [side[name] for side in sides] + [0] * (10 - len(sides)) for name in top}


def test_spread_mid_microprice_and_imbalance_of_level_1():
    found = measured("quote", **BOOK_OF_FPT)
    assert found == {
        "spread": 100,
        "mid": 88_050,
        "microprice": 88_075,  # (88000 x 100 + 88100 x 300) / 400: buyers are stronger
        "imbalance": 0.5,
    }


def test_the_book_says_the_same_of_level_1_and_imbalance_over_all_levels():
    deeper = {
        "bid_price_e2": 8_790_000,
        "ask_price_e2": 0,
        "bid_volume_shares": 200,
        "ask_volume_shares": 0,
    }
    found = measured("book", **in_levels(BOOK_OF_FPT, deeper))
    assert found.pop("imbalance_all") == (500 - 100) / 600
    assert found == measured("quote", **BOOK_OF_FPT)


def test_deep_books_do_not_wrap():
    """Ten levels of two billion shares at 20 million VND are within the decoder's limits."""
    top = dict.fromkeys(("bid_volume_shares", "ask_volume_shares"), 2_000_000_000)
    top |= {"bid_price_e2": 1_999_999_000, "ask_price_e2": 2_000_000_000}
    found = measured("book", **in_levels(top, *[top] * 9))
    assert found == {
        "spread": 10,
        "mid": 19_999_995,
        "microprice": 19_999_995,
        "imbalance": 0,
        "imbalance_all": 0,
    }


@pytest.mark.parametrize("channel", ["quote", "book"])
@pytest.mark.parametrize(
    "oddity",
    [
        {"flags": CROSSED},
        {"flags": MARKET_ORDERS},
        {"bid_price_e2": 0, "bid_volume_shares": 0},
        {"ask_price_e2": 0, "ask_volume_shares": 0},
        {"bid_volume_shares": 0},
        {"ask_volume_shares": 0},
        {"bid_price_e2": 8_810_000},  # locked
        {"bid_price_e2": 8_820_000},  # crossed, whoever forgot to say so
    ],
)
def test_auction_books_and_one_sided_books_have_no_spread_mid_or_imbalance(channel, oddity):
    flags = {"flags": oddity.get("flags", 0)}
    top = BOOK_OF_FPT | {name: value for name, value in oddity.items() if name != "flags"}
    found = measured(channel, **(top if channel == "quote" else in_levels(top)), **flags)
    assert has_no_value(found, *found)


# --- foreign flow -----------------------------------------------------------------------------

FLOW = {
    "buy_volume_shares": 900,
    "sell_volume_shares": 1_000,
    "buy_value_vnd": 90_000_000,
    "sell_value_vnd": 100_000_000,
    "net_volume_5m_shares": 1_500,
    "net_value_5m_vnd": -2_000_000,
    "net_volume_5m_before_shares": 1_000,
    "net_value_5m_before_vnd": 3_000_000,
}
FLOW_MEASURED = {
    "net_volume_shares": -100,
    "net_value_vnd": -10_000_000,
    "net_speed_shares_per_min": 300,
    "net_speed_vnd_per_min": -400_000,
    "net_acceleration_shares_per_min": 100,
    "net_acceleration_vnd_per_min": -1_000_000,
}


def test_speed_is_the_flow_of_five_minutes_over_5_and_acceleration_its_growth_in_one_minute():
    assert measured("foreign.summary", **FLOW) == FLOW_MEASURED
    found = measured("foreign", **FLOW)
    assert {name: found[name] for name in FLOW_MEASURED} == FLOW_MEASURED


def test_room_used_and_the_time_to_exhaustion_when_it_falls():
    found = measured(
        "foreign", total_room_shares=1_000, current_room_shares=250, room_used_5m_shares=70
    )
    assert found["room_used_pct"] == 75
    assert found["exhausted_in_s"] == 1_071  # 250 x 300 s / 70, whole seconds


@pytest.mark.parametrize("used", [0, -70])
def test_a_room_that_does_not_fall_is_never_exhausted(used):
    found = measured(
        "foreign", total_room_shares=1_000, current_room_shares=250, room_used_5m_shares=used
    )
    assert has_no_value(found, "exhausted_in_s")


def test_a_room_of_0_in_0_was_not_told():
    found = measured("foreign", room_used_5m_shares=70)
    assert has_no_value(found, "room_used_pct", "exhausted_in_s")


# --- index, basis, market ---------------------------------------------------------------------


def test_change_of_an_index_is_against_its_prior_value():
    found = measured("index", value_e2=113_349, prior_value_e2=112_943, advances=17, declines=5)
    assert found["change"] == 4.06
    assert round(found["change_pct"], 2) == 0.36
    assert found["advance_ratio"] == 17 / 22


def test_an_index_without_value_has_no_change_and_no_ratio():
    found = measured("index", prior_value_e2=112_943, unchanged=30)
    assert has_no_value(found, *found)


BASIS = {
    "basis_state": BasisState.DISCOUNT,
    "price_e2": 148_500,
    "spot_value_e2": 150_000,
    "basis_e2": -1_500,
    "trade_day": 18_823,
    "expiry_day": 18_858,
    "exch_s": 1_626_318_030,
    "spot_exch_s": 1_626_318_000,
}


def test_basis_in_percent_of_the_spot_and_over_365_days():
    assert measured("basis", **BASIS) == {
        "basis_pct": -1,
        "annualised_basis_pct": -365 / 35,
        "days_to_expiry": 35,
        "spot_age_s": 30,
    }


def test_on_the_day_of_expiry_there_is_nothing_to_annualise():
    found = measured("basis", **BASIS | {"trade_day": 18_858})
    assert (found["days_to_expiry"], found["basis_pct"]) == (0, -1)
    assert has_no_value(found, "annualised_basis_pct")


@pytest.mark.parametrize("expiry", [0, 18_822])
def test_an_alias_or_an_expired_contract_has_no_days_to_expiry(expiry):
    found = measured("basis", **BASIS | {"expiry_day": expiry})
    assert has_no_value(found, "days_to_expiry", "annualised_basis_pct")


def test_there_is_no_basis_before_both_prices_are_known():
    found = measured("basis", **BASIS | {"basis_state": BasisState.NONE, "spot_exch_s": 0})
    assert has_no_value(found, "basis_pct", "annualised_basis_pct", "spot_age_s")


def test_a_spot_stamped_after_the_row_is_not_old():
    assert measured("basis", **BASIS | {"spot_exch_s": 1_626_318_031})["spot_age_s"] == 0


def test_advance_ratio_and_active_buying_of_a_market():
    found = measured(
        "market",
        advances=300,
        declines=100,
        unchanged=50,
        buy_volume_shares=1,
        sell_volume_shares=3,
    )
    assert found == {"advance_ratio": 0.75, "active_buy_ratio": 0.25}
    assert has_no_value(measured("market", unchanged=50), "advance_ratio", "active_buy_ratio")


# --- the table itself ---------------------------------------------------------------------------

EVERY = [(channel, each) for channel, found in MEASURES.items() for each in found]


@pytest.mark.parametrize(("channel", "each"), EVERY, ids=lambda x: getattr(x, "name", x))
def test_a_blank_row_and_no_rows_are_no_trouble(channel: str, each: Measure):
    blank, units = np.zeros(2, BY_NAME[channel].dtype), np.zeros(2, np.int64)
    assert each.compute(blank, units).dtype == np.float64
    assert each.compute(blank[:0], units[:0]).shape == (0,)


@pytest.mark.parametrize(("channel", "each"), EVERY, ids=lambda x: getattr(x, "name", x))
def test_a_measure_is_written_as_its_unit_says_and_hides_no_field(channel: str, each: Measure):
    assert {"price": 2, "count": 0}.get(each.unit, each.decimals) == each.decimals
    assert each.name not in BY_NAME[channel].dtype.names
    assert f"{each.name}_e2" not in BY_NAME[channel].dtype.names


@given(st.binary(min_size=3 * 192, max_size=3 * 192))
def test_prices_are_whole_hundredths_and_counts_are_whole_whatever_the_rows(noise):
    for channel, each in EVERY:
        rows = np.zeros(3, BY_NAME[channel].dtype)
        raw = rows.view(np.uint8)
        raw[: len(noise)] = np.frombuffer(noise[: len(raw)], np.uint8)
        if each.name.startswith(("net_", "vwap")):
            continue  # sums of absurd fields wrap; decode refuses such numbers
        values = each.compute(rows, np.ones(3, np.int64))
        values = values[~np.isnan(values)]
        if each.unit == "price":
            assert (np.round(100 * values) / 100 == values).all()
        if each.unit == "count":
            assert (np.floor(values) == values).all()

"""The rule basis_flip, case by case; the story is in tests/tables/alerts_basis.txt."""

import pytest

from engine.schema.codes import AlertState, AlertType, Phase, Severity, Venue
from tests.alerts.market import Market

NEAR, FAR, KRX = "VN30F2107", "VN30F2108", "41I1FB000"


def market(**thresholds: int) -> Market:
    """Return a market with contracts at a premium of 2 points."""
    one = Market(**thresholds)
    one.symbol("VN30")
    for contract in (NEAR, FAR, KRX):
        one.symbol(contract, "DERIVATIVES")
    one.on("2021-07-14")
    one.at("09:30:00").index("VN30", "1480")
    for contract in (NEAR, FAR):
        assert one.match(contract, "1482", 5) == []
    return one


def test_across_zero_and_beyond_the_band_is_a_warning():
    (row,) = market().match(NEAR, "1479.5", 1)
    assert (row["alert_type"], row["alert_state"]) == (AlertType.BASIS_FLIP, AlertState.NONE)
    assert row["severity"] == Severity.WARNING
    assert (row["price_e2"], row["level_e2"]) == (147_950, 148_000)
    assert (row["measured"], row["threshold"]) == (-50, 50)


def test_inside_the_band_nothing_is_confirmed():
    one = market()
    assert one.match(NEAR, "1479.6", 1) == []
    assert one.match(NEAR, "1480.4", 1) == []
    assert one.match(NEAR, "1481", 1) == []  # still a premium
    assert len(one.match(NEAR, "1479.4", 1)) == 1


@pytest.mark.parametrize("band", [0, 1, 500])
def test_the_band_is_configurable(band):
    one = market(basis_flip_band_e2=band)
    told = one.match(NEAR, "1479.99", 1)
    assert len(told) == (band in (0, 1))
    assert one.match(NEAR, "1480", 1) == []


def test_the_basis_of_two_contracts_does_not_flip_each_other():
    one = market()
    for second in range(10, 60, 5):
        one.at(f"09:31:{second}")
        assert one.match(NEAR, "1482", 1) == []
        rows = one.match(FAR, "1478", 1)
        assert len(rows) == (second == 10)


def test_an_index_tick_flips_a_contract_too_under_the_contracts_own_head():
    one = market()
    rows = one.at("09:40:00").index("VN30", "1483")
    assert [row["symbol_id"] for row in rows] == [one.ids[NEAR], one.ids[FAR]]
    assert {row["venue"] for row in rows} == {Venue.DERIVATIVES}
    assert {row["phase"] for row in rows} == {Phase.CONTINUOUS}


def test_both_code_families_are_followed():
    one = market()
    one.match(KRX, "1482", 1)
    (row,) = one.match(KRX, "1478", 1)
    assert row["symbol_id"] == one.ids[KRX]


def test_the_first_side_of_a_day_is_adopted_in_silence():
    one = market()
    one.on("2021-07-15")
    one.at("09:30:00").index("VN30", "1480")
    assert one.match(NEAR, "1470", 1) == []


def test_never_from_a_baseline_or_a_correction():
    one = market()
    assert one.correct(NEAR, "1470", 1) == []
    assert one.match(NEAR, "1470", 1) == []  # the side is known since then
    fresh = Market()
    fresh.symbol("VN30")
    fresh.symbol(NEAR, "DERIVATIVES")
    fresh.at("09:30:00").index("VN30", "1480")
    assert fresh.untold(NEAR, "1482", 50) == []
    assert len(fresh.match(NEAR, "1470", 1)) == 1


def test_a_zero_snapshot_of_the_index_is_no_value():
    assert market().index("VN30", "0") == []


def test_after_an_outage_both_prices_must_be_told_again():
    one = market()
    one.feed_is("LIVE")
    one.feed_is("DOWN")
    assert one.at("10:00:00").index("VN30", "1490") == []
    assert one.match(NEAR, "1480", 1) == []
    assert len(one.match(NEAR, "1493", 1)) == 1


def test_a_turn_within_a_minute_is_told_when_the_minute_is_over_if_it_lasts():
    one = market()
    assert len(one.at("09:31:00").match(NEAR, "1478", 1)) == 1
    assert one.at("09:31:20").match(NEAR, "1482", 1) == []
    assert one.at("09:31:59").match(NEAR, "1484", 1) == []
    assert one.at("09:32:00").match(NEAR, "1480.1", 1) == []  # confirms nothing
    (row,) = one.at("09:33:00").match(NEAR, "1483", 1)
    assert (row["measured"], row["price_e2"]) == (300, 148_300)
    assert one.at("09:35:00").match(NEAR, "1482", 1) == []


def test_a_turn_that_is_over_within_the_minute_is_not_told():
    one = market()
    assert len(one.at("09:31:00").match(NEAR, "1478", 1)) == 1
    assert one.at("09:31:20").match(NEAR, "1482", 1) == []
    assert one.at("09:31:40").match(NEAR, "1478", 1) == []
    assert one.at("09:33:00").match(NEAR, "1477", 1) == []
    assert len(one.match(NEAR, "1482", 1)) == 1

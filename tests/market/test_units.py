"""Exact values, checked against the totals of captured messages."""

import pytest

from engine.market.units import value_vnd


@pytest.mark.parametrize(
    ("price_e2", "volume", "multiplier", "expected_vnd"),
    [
        (2_450_000, 1_800, 1, 44_100_000),  # SSI's closing print: 24,500 x 1,800
        (128_390, 8, 100_000, 1_027_120_000),  # VN30F2407: 1,283.9 points x 8 contracts
        (10_672_600, 1, 10_000, 1_067_260_000),  # a bond contract is 1 bn VND of par at 106,726
        (
            2_910_000,
            863_352,
            1,
            25_123_543_200,
        ),  # R of SSI 14/08/2023: Vol x LastPrice = Val, exactly
        (2_000_000_000, 2_000_000_000, 100_000, 4 * 10**21),  # Python integers do not overflow
        (0, 100, 1, 0),
        (1, 199, 1, 1),
    ],
)
def test_value(price_e2, volume, multiplier, expected_vnd):
    assert value_vnd(price_e2, volume, multiplier) == expected_vnd

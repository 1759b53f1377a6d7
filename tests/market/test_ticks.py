"""Ladders and price limits: captures, a real day, and a naive ladder written out price by price."""

import json
from bisect import bisect_left, bisect_right
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market.products import USUAL_PRODUCT, Product
from engine.market.symbology import identify
from engine.market.ticks import (
    NO_LIMITS,
    ceil_to_tick_e2,
    floor_to_tick_e2,
    ladder,
    next_price_e2,
    previous_price_e2,
    price_band_e2,
    tick_e2,
)
from engine.market.venues import WIRE_VENUES
from engine.schema.codes import Instrument, Venue

GOLDEN = Path(__file__).parents[1] / "data" / "ssi-golden.jsonl"

# prices and ticks in VND or points
TICKS = """
HOSE         SHARE            10     10
HOSE         SHARE          9990     10
HOSE         SHARE         10000     50
HOSE         SHARE         49950     50
HOSE         SHARE         50000    100
HOSE         SHARE        183700    100
HOSE         ETF           24000     10
HOSE         WARRANT        1230     10
HNX          SHARE          4200    100
HNX          SHARE        183700    100
HNX          ETF           12345      1
UPCOM        SHARE         11200    100
DERIVATIVES  INDEX_FUTURE   1290    0.1
DERIVATIVES  BOND_FUTURE  106726      1
UNKNOWN      SHARE         12345      1
HNXBOND      SHARE        100000      1
HOSE         INDEX       1876.81   0.01
UNKNOWN      INDEX_FUTURE   1290    0.1
"""

# reference, ceiling, floor; - where only one side is on record
BANDS = """
DERIVATIVES  INDEX_FUTURE   1290  1380.3  1199.7   capture VN30F2407 27/06/2024
DERIVATIVES  INDEX_FUTURE   1880  2011.6  1748.4   capture 41I1G4000 19/03/2026
HNX          SHARE         21300   23400   19200   guide TAR 15/08/2023
HOSE         SHARE         25000   26750   23250   capture SSI 14/08/2026
HOSE         SHARE         22900   24500   21300   guide ACB 14/08/2023
HOSE         SHARE         22650   24200   21100   guide MBB 18/02/2025
HOSE         SHARE         12300   13150       -   AGR closed at its ceiling on 2021-07-15
HOSE         SHARE         48650       -   45250   BCM fell to its floor on 2021-07-15
HOSE         SHARE          6680    7140       -   HCD
HOSE         SHARE         10650       -    9910   MHC: the tick is the limit's, not the reference's
HOSE         SHARE         21500       -   20000   SHP
HOSE         SHARE          9690       -    9020   VID
HNX          SHARE          5600    6100       -   CET
HNX          SHARE         32600   35800       -   HVT
HNX          SHARE          4200       -    3800   SVN
HNX          SHARE        183700       -  165400   WCS
UPCOM        SHARE          9800   11200       -   ACS
UPCOM        SHARE          5000    5700       -   ILA
UPCOM        SHARE         48900       -   41600   TRS
UPCOM        SHARE         11900       -   10200   YBC
HOSE         ETF           24010   25690   22330   by hand: 25690.7 and 22329.3
DERIVATIVES  BOND_FUTURE  106000  109180  102820   by hand
HNX          SHARE           500     600     400   rounding leaves no room: one tick each way
HOSE         SHARE           100     110      90   the same on HOSE
HNX          SHARE           100     200     100   no price below one tick
"""

FIRST_DAY = """
HOSE         SHARE         20000   24000   16000
HNX          SHARE         20000   26000   14000
UPCOM        SHARE         20000   28000   12000
DERIVATIVES  INDEX_FUTURE   1290  1380.3  1199.7
"""


def _e2(text):
    return int(Fraction(text) * 100)


def _lines(table):
    return [line.split(maxsplit=5)[:5] for line in table.strip().splitlines()]


@pytest.mark.parametrize(
    ("venue", "product", "price", "tick"), [line[:4] for line in _lines(TICKS)]
)
def test_ticks(venue, product, price, tick):
    assert tick_e2(Venue[venue], _e2(price), product=Product[product]) == _e2(tick)


@pytest.mark.parametrize(("venue", "product", "reference", "ceiling", "floor"), _lines(BANDS))
def test_limits(venue, product, reference, ceiling, floor):
    found = price_band_e2(Venue[venue], _e2(reference), product=Product[product])
    for limit_e2, expected in zip(found, (ceiling, floor), strict=True):
        assert expected == "-" or limit_e2 == _e2(expected)


@pytest.mark.parametrize(("venue", "product", "reference", "ceiling", "floor"), _lines(FIRST_DAY))
def test_limits_on_the_first_day(venue, product, reference, ceiling, floor):
    found = price_band_e2(Venue[venue], _e2(reference), product=Product[product], first_day=True)
    assert found == (_e2(ceiling), _e2(floor))


def _captured_limits():
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        content = json.loads(json.loads(line)["envelope"])["Content"]
        message = json.loads(content) if isinstance(content, str) else content
        if message.get("RefPrice") and message.get("Ceiling") and message.get("Exchange"):
            yield pytest.param(message, id=f"{message['Symbol']}-{message['TradingDate']}")


@pytest.mark.parametrize("message", list(_captured_limits()))
def test_limits_of_every_captured_message(message):
    venue = WIRE_VENUES[message["Exchange"]]
    identity = identify(message["Symbol"], venue)
    ceiling, floor, reference = (
        round(message[key] * 100) for key in ("Ceiling", "Floor", "RefPrice")
    )
    assert price_band_e2(venue, reference, identity.instrument) == (ceiling, floor)
    assert price_band_e2(venue, reference, product=identity.product) == (ceiling, floor)


@pytest.mark.parametrize(
    ("venue", "reference_e2", "instrument"),
    [
        (Venue.HOSE, 0, Instrument.STOCK),
        (Venue.HOSE, -100, Instrument.STOCK),
        (Venue.UNKNOWN, 2_000_000, Instrument.STOCK),
        (Venue.HNXBOND, 10_000_000, Instrument.STOCK),
        (Venue.HOSE, 128_446, Instrument.INDEX),
    ],
)
def test_no_limits_where_there_is_no_reference_or_no_rule(venue, reference_e2, instrument):
    assert price_band_e2(venue, reference_e2, instrument) == NO_LIMITS == (0, 0)


def test_a_warrant_has_no_band_of_its_own():
    assert price_band_e2(Venue.HOSE, 123_000, product=Product.WARRANT) == NO_LIMITS


def test_neighbours_across_a_step():
    assert previous_price_e2(Venue.HOSE, 10_000_00) == 9_990_00
    assert next_price_e2(Venue.HOSE, 9_990_00) == 10_000_00
    assert previous_price_e2(Venue.HOSE, 50_000_00) == 49_950_00
    assert next_price_e2(Venue.HOSE, 50_000_00) == 50_100_00
    with pytest.raises(AssertionError, match="no price below"):
        previous_price_e2(Venue.HOSE, 0)
    with pytest.raises(AssertionError, match="negative"):
        tick_e2(Venue.HOSE, -1)


def test_the_ladder_for_kernels():
    assert ladder(Venue.HOSE) == ((0, 1_000_000, 5_000_000), (1_000, 5_000, 10_000))
    assert ladder(Venue.DERIVATIVES, Instrument.FUTURE) == ((0,), (10,))


def test_every_instrument_has_a_usual_product():
    never_traded = {Instrument.FEED, Instrument.BOARD}
    assert set(USUAL_PRODUCT) == set(Instrument) - never_traded


# ---- properties, against ladders written out price by price ----


def _every_price(*pieces):
    return [price for start, stop, step in pieces for price in range(start, stop, step)]


LADDERS = {
    (Venue.HOSE, Product.SHARE, 7): _every_price(
        (0, 10_000_00, 10_00), (10_000_00, 50_000_00, 50_00), (50_000_00, 250_000_00, 100_00)
    ),
    (Venue.HOSE, Product.ETF, 7): _every_price((0, 250_000_00, 10_00)),
    (Venue.HNX, Product.SHARE, 10): _every_price((0, 250_000_00, 100_00)),
    (Venue.UPCOM, Product.SHARE, 15): _every_price((0, 250_000_00, 100_00)),
    (Venue.DERIVATIVES, Product.INDEX_FUTURE, 7): _every_price((0, 3_000_00, 10)),
}
BOARD_AND_PRICE = st.sampled_from(list(LADDERS)).flatmap(
    lambda key: st.tuples(st.just(key), st.integers(1, LADDERS[key][-1] * 3 // 4))
)


@settings(deadline=None, derandomize=True)
@given(BOARD_AND_PRICE)
def test_rounding_finds_the_neighbours_on_the_ladder(board_and_price):
    (venue, product, band), price_e2 = board_and_price
    prices = LADDERS[venue, product, band]
    below, above = bisect_right(prices, price_e2) - 1, bisect_left(prices, price_e2)
    assert floor_to_tick_e2(venue, price_e2, product=product) == prices[below]
    assert ceil_to_tick_e2(venue, price_e2, product=product) == prices[above]
    assert next_price_e2(venue, price_e2, product=product) == prices[below + 1]
    assert previous_price_e2(venue, price_e2, product=product) == prices[above - 1]


@settings(deadline=None, derandomize=True)
@given(BOARD_AND_PRICE)
def test_next_and_previous_undo_each_other_on_the_ladder(board_and_price):
    (venue, product, _), price_e2 = board_and_price
    price_e2 = ceil_to_tick_e2(venue, price_e2, product=product)
    after = next_price_e2(venue, price_e2, product=product)
    assert previous_price_e2(venue, after, product=product) == price_e2
    assert floor_to_tick_e2(venue, price_e2, product=product) == price_e2


@settings(deadline=None, derandomize=True)
@given(BOARD_AND_PRICE)
def test_limits_are_the_outermost_prices_of_the_ladder_inside_the_band(board_and_price):
    (venue, product, band), reference_e2 = board_and_price
    prices = LADDERS[venue, product, band]
    width = Fraction(band, 100) * reference_e2
    inside = prices[
        bisect_left(prices, reference_e2 - width) : bisect_right(prices, reference_e2 + width)
    ]
    higher = [price for price in inside[-1:] if price > reference_e2]
    lower = [price for price in inside[:1] if price < reference_e2]
    one_up = prices[bisect_right(prices, reference_e2)]
    one_down = max(prices[bisect_left(prices, reference_e2) - 1], prices[1])
    ceiling_e2, floor_e2 = price_band_e2(venue, reference_e2, product=product)
    assert ceiling_e2 == (higher[0] if higher else one_up)
    assert floor_e2 == (max(lower[0], prices[1]) if lower else one_down)
    assert ceiling_e2 > reference_e2

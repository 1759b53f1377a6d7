"""Tick ladders and price limits (ssi-wire section 4.3). Integers only: 1290 * 1.07 floors wrongly.

Prices are hundredths (`_e2`) of a VND, or of a point for futures and indices.

Both rules take keywords the common caller leaves alone: `product` when the code was identified
(an ETF on HOSE has a tick of 10 VND at any price), and `day` when the past is asked about.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import Final

from engine.market.facts import LATEST_DAY, in_force, read
from engine.market.products import USUAL_PRODUCT, Product
from engine.schema.codes import Instrument, Venue

NO_LIMITS: Final = (0, 0)  # price 0 means "no price" everywhere in the schema

_FULL_BP: Final = 10_000
_TICK_ROWS = read("ticks")
_BAND_ROWS = read("bands")

# Where no ladder is on file, any price in whole VND is on a tick; an index moves in hundredths.
_UNKNOWN_TICK_E2: Final = {Product.INDEX: 1, Product.INDEX_FUTURE: 10}
_OTHER_TICK_E2: Final = 100

Ladder = tuple[tuple[int, ...], tuple[int, ...]]


@lru_cache(maxsize=1024)
def _ladder(venue: Venue, product: Product, day: int) -> Ladder:
    """Return (prices from which, tick) as two tuples of equal length; the first price is 0."""
    steps = sorted(
        (int(row["from_price_e2"]), int(row["tick_e2"]))
        for row in in_force(_TICK_ROWS, day)
        if (row["venue"], row["product"]) == (Venue(venue).name, product)
    )
    steps = steps or [(0, _UNKNOWN_TICK_E2.get(product, _OTHER_TICK_E2))]
    starts, ticks = zip(*steps, strict=True)
    assert starts[0] == 0, f"ladder of {venue!r} {product} does not start at 0"
    assert all(start % tick == 0 for start, tick in steps), "a step must start on its own tick"
    return starts, ticks


def ladder(
    venue: Venue,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
) -> Ladder:
    """Return a tick ladder as two tuples (from_price_e2, tick_e2), ascending, starting at 0.

    For callers that put it into arrays. A pair without facts gets one step: 1 VND for shares, 0.1
    for futures, 0.01 for indices.
    """
    return _ladder(venue, product or USUAL_PRODUCT[instrument], day)


def tick_e2(
    venue: Venue,
    price_e2: int,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
) -> int:
    """Return the tick that applies at a price (the step above it): 50,000 VND on HOSE is 100 VND.

    Parameters
    ----------
    venue, instrument
        Unknown ones get the finest tick we would believe, never an error.
    price_e2
        Hundredths, >= 0.
    product
        From ``symbology.identify``; default the instrument's usual product.
    day
        Days since 1970-01-01 whose rules apply; default the latest on file.
    """
    assert price_e2 >= 0, f"negative price {price_e2}"
    starts, ticks = ladder(venue, instrument, product=product, day=day)
    return ticks[bisect_right(starts, price_e2) - 1]


def floor_to_tick_e2(
    venue: Venue,
    price_e2: int,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
) -> int:
    """Return the highest price on the ladder that is <= a price >= 0."""
    tick = tick_e2(venue, price_e2, instrument, product=product, day=day)
    return price_e2 // tick * tick


def ceil_to_tick_e2(
    venue: Venue,
    price_e2: int,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
) -> int:
    """Return the lowest price on the ladder that is >= a price >= 0."""
    tick = tick_e2(venue, price_e2, instrument, product=product, day=day)
    return -(-price_e2 // tick) * tick


def next_price_e2(
    venue: Venue,
    price_e2: int,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
) -> int:
    """Return the lowest price on the ladder above a price >= 0."""
    tick = tick_e2(venue, price_e2, instrument, product=product, day=day)
    return (price_e2 // tick + 1) * tick


def previous_price_e2(
    venue: Venue,
    price_e2: int,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
) -> int:
    """Return the highest price on the ladder below a price > 0: one tick under 10,000 is 9,990."""
    assert price_e2 > 0, f"no price below {price_e2}"
    return floor_to_tick_e2(venue, price_e2 - 1, instrument, product=product, day=day)


@lru_cache(maxsize=1024)
def _band_bp(venue: Venue, product: Product, day: int, first_day: bool) -> int | None:
    column = "first_day_bp" if first_day else "band_bp"
    found = [
        int(row[column])
        for row in in_force(_BAND_ROWS, day)
        if (row["venue"], row["product"]) == (Venue(venue).name, product)
    ]
    assert len(found) <= 1, f"two bands for {venue!r} {product} on day {day}"
    return found[0] if found else None


def price_band_e2(
    venue: Venue,
    reference_e2: int,
    instrument: Instrument = Instrument.STOCK,
    *,
    product: Product | None = None,
    day: int = LATEST_DAY,
    first_day: bool = False,
) -> tuple[int, int]:
    """Return (ceiling_e2, floor_e2), the highest and lowest price allowed around a reference.

    Ceiling = reference x (1 + band) floored to the tick, floor = reference x (1 - band) raised
    to the tick, each with the tick of the resulting price. Where rounding leaves no room, the
    limit is one tick away from the reference; no price is below one tick.

    Parameters
    ----------
    reference_e2
        Reference price in hundredths: prior close on HOSE and HNX, prior day's average on UPCOM,
        prior settlement for futures. <= 0 means there is none yet.
    first_day
        First trading day: the wide band.
    venue, instrument, product, day
        As for ``tick_e2``.

    Returns
    -------
    tuple of int
        NO_LIMITS, (0, 0), when there is no reference or no band on file (indices, warrants, venues
        we know nothing of).
    """
    product = product or USUAL_PRODUCT[instrument]
    band_bp = _band_bp(venue, product, day, first_day)
    if band_bp is None or reference_e2 <= 0:
        return NO_LIMITS
    ceiling_e2 = floor_to_tick_e2(
        venue, reference_e2 * (_FULL_BP + band_bp) // _FULL_BP, product=product, day=day
    )
    floor_e2 = ceil_to_tick_e2(
        venue, -(-reference_e2 * (_FULL_BP - band_bp) // _FULL_BP), product=product, day=day
    )
    if ceiling_e2 <= reference_e2:
        ceiling_e2 = next_price_e2(venue, reference_e2, product=product, day=day)
    if floor_e2 >= reference_e2:
        floor_e2 = previous_price_e2(venue, reference_e2, product=product, day=day)
    return ceiling_e2, max(floor_e2, tick_e2(venue, 0, product=product, day=day))

"""The prices one symbol can have on one day: every tick from floor to ceiling, ascending."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.market import ticks
from engine.market.products import Product
from engine.schema.codes import Venue
from engine.schema.slots import PRICE_E2_MAX

_ROOM_WITHOUT_BAND = 5  # a fifth either way where the rules name no band (warrants)


class Ladder(NamedTuple):
    """The limits of the day and the rungs between them.

    `prices_e2` is int32 (R,), ascending, hundredths. A rung is an index into it; books name
    prices by rung, with -1 and R meaning "nobody there".
    """

    ceiling_e2: int
    floor_e2: int
    prices_e2: NDArray[np.int32]

    def rung(self, price_e2: int) -> int:
        """Return the highest rung at or below a price; rung 0 for a price below them all."""
        place = int(np.searchsorted(self.prices_e2, price_e2, side="right")) - 1
        return max(place, 0)


def build_ladder(
    venue: Venue, product: Product, day: int, reference_e2: int, published_e2: tuple[int, ...]
) -> Ladder:
    """Return the ladder around a reference price that holds every published price.

    Published prices win over the rules: a limit is widened to contain them (prior closes are
    adjusted after ex-dates, so a day can leave its band) and an off-tick price gets its own rung.
    Source of ticks and bands: ssi-wire section 4.3, through engine.market.ticks.
    """
    ceiling, floor = ticks.price_band_e2(venue, reference_e2, product=product, day=day)
    if (ceiling, floor) == ticks.NO_LIMITS:
        room = reference_e2 // _ROOM_WITHOUT_BAND
        ceiling, floor = reference_e2 + room, max(reference_e2 - room, 1)
    ceiling, floor = max((ceiling, *published_e2)), min((floor, *published_e2))
    assert 0 < floor <= ceiling <= PRICE_E2_MAX, f"no ladder from {floor} to {ceiling}"
    starts, steps = ticks.ladder(venue, product=product, day=day)
    ends = (*starts[1:], ceiling + 1)
    on_tick = [
        np.arange(-(-max(start, floor) // step) * step, min(end, ceiling + 1), step)
        for start, end, step in zip(starts, ends, steps, strict=True)
        if end > floor and start <= ceiling
    ]
    rungs = np.unique(np.concatenate([*on_tick, np.array(published_e2, np.int64)]))
    if rungs.size == 0:  # a band narrower than a tick, and no trade: quote at the reference
        rungs = np.array([reference_e2])
    return Ladder(ceiling, floor, rungs.astype(np.int32))

"""One symbol's prices and print sizes: random in between, exact where something was published.

Only + - * / and floor touch the random draws: the result does not hang on the exp and log of
whichever mathematics library numpy was built with.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Walk(NamedTuple):
    """Prices of n prints in rungs, and who crossed the spread."""

    rung: NDArray[np.int64]
    buys: NDArray[np.bool_]  # True: the print hit the ask
    fixed: NDArray[np.bool_]  # prints that carry the open, high, low or close


def walk(
    rng: np.random.Generator,
    count: int,
    ohlc: tuple[int, int, int, int],
    *,
    spread: int = 1,
    low_first: float = 0.5,
) -> Walk:
    """Walk from the open to the close, touching high and low and never leaving them.

    A bridge of small random steps carries the best bid from anchor to anchor; each print is at
    that bid or one spread above it.

    Parameters
    ----------
    count
        Prints; at least `table.prints_min` of the four prices.
    ohlc
        Rungs of open, high, low, close.
    spread
        Rungs between bid and ask.
    low_first
        Chance that the low comes before the high, when both are inside the walk.
    """
    open_, high, low, close = ohlc
    where, value = _anchors(rng, count, ohlc, low_first)
    steps = rng.random(count) + rng.random(count) + rng.random(count) - 1.5
    path = np.cumsum(steps)
    place = np.arange(count)
    bridge = path - np.interp(place, where, path[where])
    reach = 0.3 * (high - low) + 0.6
    middle = np.interp(place, where, value) + bridge * (reach / np.sqrt(0.25 * count + 1.0))
    drift = 0.04 if close > open_ else -0.04 if close < open_ else 0.0
    buys = rng.random(count) < 0.5 + drift
    rung = np.floor(middle - 0.5 * spread + 0.5).astype(np.int64) + np.where(buys, spread, 0)
    rung = np.clip(rung, low, high)
    rung[where] = value
    fixed = np.zeros(count, np.bool_)
    fixed[where] = True
    return Walk(rung, buys, fixed)


def _anchors(
    rng: np.random.Generator, count: int, ohlc: tuple[int, int, int, int], low_first: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ascending positions (first and last included) and the rungs they must show."""
    open_, high, low, close = ohlc
    inner = [rung for rung in (low, high) if rung not in (open_, close)]
    draws = rng.random(3)
    places: list[int] = []
    if inner:
        places.append(1 + int(draws[0] * (count - 2)))
    if len(inner) == 2:
        second = 1 + int(draws[1] * (count - 3))
        places.append(second + (second >= places[0]))
        places.sort()
        if draws[2] >= low_first:
            inner.reverse()
    known = {0: open_, count - 1: close} | dict(zip(places, inner, strict=True))
    where = np.array(sorted(known), np.int64)
    value = np.array([known[place] for place in sorted(known)], np.int64)
    assert value[0] == open_, f"{count} prints cannot show {ohlc}"
    assert {low, high} <= set(value.tolist()), f"{count} prints cannot show {ohlc}"
    return where, value


def split_volume(weights: NDArray[np.float64], volume: int, lot: int) -> NDArray[np.int64]:
    """Cut a volume into prints of whole lots, roughly as `weights` ask; the sum is exact.

    Shares beyond whole lots go into the largest print. With fewer lots than prints, as many
    prints as possible keep one lot and the others share what is left.
    """
    count = weights.size
    assert volume >= count, f"{volume} shares cannot make {count} prints"
    lots = volume // lot
    if lots >= count:
        pieces = (1 + _share_out(weights, lots - count)) * lot
        pieces[np.argmax(pieces)] += volume - lots * lot
        return pieces
    whole = max(0, min(lots - 1, (volume - count) // (lot - 1)))
    broken = count - whole
    rest = volume - whole * lot
    pieces = np.full(count, lot, np.int64)
    pieces[whole:] = rest // broken
    pieces[whole : whole + rest % broken] += 1
    return pieces


def _share_out(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Return non-negative integers near total x weight / sum of weights that add up to total."""
    running = np.cumsum(weights)
    bounds = np.floor(running / running[-1] * total).astype(np.int64)
    bounds[-1] = total
    shares: NDArray[np.int64] = np.diff(bounds, prepend=0)
    return shares


def allocate(
    total: int, least: NDArray[np.int64], most: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Share out `total` prints: each symbol at least `least`, at most `most`, else by weight.

    The sum is at most `total` (which must cover all of `least`) and as near to it as whole
    numbers and `most` allow: the level is found by bisection.
    """
    assert int(least.sum()) <= total, "the least already exceeds the total"

    def at(level: float) -> NDArray[np.int64]:
        return np.clip(np.floor(weights * level), least, most).astype(np.int64)

    low, high = 0.0, float(total + 1)  # weights of symbols that trade are at least 1
    for _ in range(80):
        level = (low + high) / 2.0
        low, high = (level, high) if int(at(level).sum()) <= total else (low, level)
    return at(low)

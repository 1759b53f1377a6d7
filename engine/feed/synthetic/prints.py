"""Lay one symbol's matches over its sessions: when, at what price, how many, by whom."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.feed.synthetic.hours import Hours, Window
from engine.feed.synthetic.ladder import Ladder
from engine.feed.synthetic.table import BAR_S, Bar, FuturesTable, Listing, Prices, prints_min
from engine.feed.synthetic.tape import Prints, Style, with_joined
from engine.feed.synthetic.walk import split_volume, walk
from engine.schema.codes import FeedSession

_AUCTION_PRINTS_MIN: Final = 10  # from here on a symbol takes part in both auctions
_POST_CLOSE_PRINTS_MIN: Final = 30
_BOUNDARY_PRINTS_MAX: Final = 5
_LATE_STAMP_MS: Final = 2_999.0  # prints of a boundary are stamped up to this late


def stock_prints(
    rng: np.random.Generator,
    listing: Listing,
    ladder: Ladder,
    hours: Hours,
    count: int,
    style: Style,
    low_first: float,
) -> Prints:
    """Lay a stock's prints over its sessions."""
    if count == 0:
        return _no_prints()
    ohlc = _rungs(ladder, listing.ohlc_e2)
    late = 0
    if hours.after and count >= _POST_CLOSE_PRINTS_MIN:
        late = min(1 + count // 250, 20)
    main = count - late
    takes_part = rng.random(2) < 0.3
    before = int(
        hours.opening is not None
        and main > 1
        and bool(main >= _AUCTION_PRINTS_MIN or takes_part[0])
    )
    at_close = int(
        hours.closing is not None
        and main > 1
        and bool(main >= _AUCTION_PRINTS_MIN or takes_part[1])
    )
    path = walk(rng, main, ohlc, spread=style.spread, low_first=low_first)
    rung, buys = path.rung, path.buys
    live = slice(before, main - at_close)
    middle_ms, buys[live], rung[live] = with_joined(
        rng,
        hours.arrivals_ms(rng.random(main - before - at_close)),
        buys[live],
        rung[live],
        path.fixed[live],
    )
    weights = 1.0 / (0.04 + rng.random(count))
    total = float(np.cumsum(weights)[-1])
    if before:
        weights[0] = max(float(weights[0]), 0.02 * total)
    if at_close:
        weights[main - 1] = max(float(weights[main - 1]), 0.06 * total)
    times = [middle_ms]
    sessions = [np.full(middle_ms.size, FeedSession.LO, np.uint8)]
    if before and hours.opening:
        times.insert(0, np.array([hours.opening[1]]))
        sessions.insert(0, np.array([FeedSession.ATO], np.uint8))
    if at_close and hours.closing:
        times.append(np.array([hours.closing[1]]))  # already stamped C (ssi-wire 3.4)
        sessions.append(np.array([FeedSession.C], np.uint8))
    if late:
        start, end = hours.after[-1]
        times.append(start + np.sort((rng.random(late) * (end - start)).astype(np.int64)))
        sessions.append(np.full(late, FeedSession.C, np.uint8))
    return Prints(
        np.concatenate(times),
        np.append(rung, np.full(late, ohlc[3])),
        split_volume(weights, listing.volume_shares, style.lot),
        np.append(buys, np.zeros(late, np.bool_)),
        np.concatenate(sessions),
        before,
        at_close + late,
    )


def _no_prints() -> Prints:
    none = np.empty(0, np.int64)
    return Prints(none, none, none, np.empty(0, np.bool_), np.empty(0, np.uint8), 0, 0)


def future_prints(
    rng: np.random.Generator,
    futures: FuturesTable,
    counts: NDArray[np.int64],
    ladder: Ladder,
    hours: Hours,
) -> Prints:
    """Lay the future's prints bar by bar.

    A bar outside continuous matching holds what was stamped right at a boundary: the last prints
    of a session (11:30:00 to 11:30:02) or the closing auction's (14:45:00).
    """
    assert hours.opening is not None, "the derivatives board has an opening auction"
    assert hours.closing is not None, "the derivatives board has a closing auction"
    first_ms, last_ms = hours.opening[1], hours.closing[1]
    parts: list[Prints] = []
    bars = futures.bars
    for place, (bar, count) in enumerate(zip(bars, counts.tolist(), strict=True)):
        start_ms = bar.start_s * 1000
        if not first_ms <= start_ms <= last_ms:
            raise ConfigError(
                f"{futures.source}: a bar at {_clock(start_ms)} is outside the "
                f"future's matching, {_clock(first_ms)} to {_clock(last_ms)}"
            )
        end_ms = _end_ms(bars, place)
        path = walk(rng, count, _rungs(ladder, bar.ohlc_e2))
        before = int(start_ms == first_ms)
        window = overlap(hours, start_ms, end_ms)
        drawn = np.sort(rng.random(count - before))
        after = 0
        rung, buys = path.rung, path.buys
        session = np.full(count, FeedSession.LO, np.uint8)
        if window is not None:
            times = window[0] + (drawn * (window[1] - window[0])).astype(np.int64)
            times, buys[before:], rung[before:] = with_joined(
                rng, times, buys[before:], rung[before:], path.fixed[before:]
            )
        elif start_ms == last_ms:
            times, after = np.full(count, start_ms), count
            session[:] = FeedSession.C
        else:
            times = start_ms + (drawn * _LATE_STAMP_MS).astype(np.int64)
        session[:before] = FeedSession.ATO
        weights = 1.0 / (0.04 + rng.random(count))
        parts.append(
            Prints(
                np.concatenate([np.full(before, start_ms), times]),
                rung,
                split_volume(weights, bar.volume_contracts, 1),
                buys,
                session,
                before,
                after,
            )
        )
    return Prints(
        np.concatenate([part.time_ms for part in parts]),
        np.concatenate([part.rung for part in parts]),
        np.concatenate([part.volume for part in parts]),
        np.concatenate([part.buys for part in parts]),
        np.concatenate([part.session for part in parts]),
        parts[0].before,
        parts[-1].after,
    )


def overlap(hours: Hours, start_ms: int, end_ms: int) -> Window | None:
    """Return the part of a bar in which the venue matches continuously; None if there is none."""
    for first, end in hours.windows:
        if max(first, start_ms) < min(end, end_ms):
            return max(first, start_ms), min(end, end_ms)
    return None


def _clock(time_ms: int) -> str:
    minute, second = divmod(time_ms // 1000, 60)
    return f"{minute // 60:02}:{minute % 60:02}:{second:02}"


def _end_ms(bars: tuple[Bar, ...], place: int) -> int:
    """Return where a bar ends: after fifteen minutes, or where the next one starts."""
    ends_s = [bar.start_s for bar in bars[place + 1 : place + 2]]
    return min([*ends_s, bars[place].start_s + BAR_S]) * 1000


def bar_prints_max(futures: FuturesTable, hours: Hours) -> NDArray[np.int64]:
    """Return the most prints each bar may have, int64 (B,).

    Its contracts; but the few of a boundary, and just what the prices need (one, as a rule) where
    the closing auction printed.
    """
    most = []
    for place, bar in enumerate(futures.bars):
        least = prints_min(*bar.ohlc_e2)
        start_ms = bar.start_s * 1000
        if overlap(hours, start_ms, _end_ms(futures.bars, place)) is not None:
            most.append(bar.volume_contracts)
        elif hours.closing is not None and start_ms == hours.closing[1]:
            most.append(least)
        else:
            most.append(min(bar.volume_contracts, max(least, _BOUNDARY_PRINTS_MAX)))
    return np.array(most, np.int64)


def _rungs(ladder: Ladder, prices_e2: Prices) -> Prices:
    open_, high, low, close = prices_e2
    return ladder.rung(open_), ladder.rung(high), ladder.rung(low), ladder.rung(close)

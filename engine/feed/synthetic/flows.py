"""What follows from the trades: foreign flow, odd lots, index values and breadth."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic.day import FOREIGN, INDEX, ODD_LEVEL_COUNT, ODD_LOT, TRADE
from engine.feed.synthetic.hours import Hours
from engine.schema.codes import FeedSession

RETURN_ONE: Final = 10**9  # returns are integers: 1.0 is this
AFTER_CLOSE_MS: Final = (15 * 3600 + 5 * 60) * 1000  # the first R after the close, the last MI
LAST_FOREIGN_MS: Final = (15 * 3600 + 30 * 60) * 1000
_ACTIVE_SHARE: Final = 0.6  # traded symbols with foreign flow
_ODD_TRADES_MIN: Final = 20
_PUT_THROUGH_PART: Final = 20  # put-through is one part in this many of the matched

Ints = NDArray[np.int64]

# What one print does to the indices its symbol belongs to.
PULSE: Final = np.dtype(
    [
        ("gain", "<i8"),  # change of price / reference, in RETURN_ONE
        ("volume", "<i8"),
        ("value_vnd", "<i8"),
        ("up", "i1"),
        ("down", "i1"),
        ("at_ceiling", "i1"),
        ("at_floor", "i1"),  # -1, 0, +1
    ]
)


class Flow(NamedTuple):
    """Some timed rows of one symbol."""

    time_ms: Ints
    session: NDArray[np.uint8]
    rows: NDArray[np.void]


def _sessions(hours: Hours, time_ms: Ints) -> NDArray[np.uint8]:
    return np.array([hours.session_at(int(moment)) for moment in time_ms], np.uint8)


def foreign_cap_shares(volume: int) -> int:
    """Return a plausible foreign cap (TotalRoom): 49 % of a pretended number of shares."""
    return (20_000_000 + volume * 60) * 49 // 100


def foreign_flow(
    rng: np.random.Generator,
    hours: Hours,
    trade_ms: Ints,
    trades: NDArray[np.void],
    cap_shares: int,
    price_vnd: int,
    interval_s: int,
) -> Flow:
    """Return R messages: cumulative, monotonic, going on after the close (ssi-wire 3.5).

    Foreigners are buyer or seller of some of the prints, plus a few odd shares; so volumes
    are no multiples of 100 and never exceed what was traded by more than those.
    """
    draws = rng.random(6)
    first = hours.windows[0][0] + int(draws[0] * interval_s * 1000)
    tail = [AFTER_CLOSE_MS + int(draws[1] * 60_000)]
    active = trades.size > 0 and draws[2] < _ACTIVE_SHARE
    if active:
        steps = np.arange(first, hours.windows[-1][1], interval_s * 1000)
        inside = hours.wall_ms(hours.axis_ms(steps)) == steps  # not in the break
        times = np.array([*steps[inside], *tail, LAST_FOREIGN_MS + int(draws[3] * 120_000)])
    else:
        times = np.array([first, *tail])
    rows = np.zeros(times.size, FOREIGN)
    room = cap_shares // 10 + int(draws[4] * (cap_shares // 10 * 8))
    if active:
        value = np.diff(trades["total_value_vnd"], prepend=0)
        known = np.searchsorted(trade_ms, times, side="right")
        for name, share in (("buy", 0.25 * draws[5]), ("sell", 0.25 * (1.0 - draws[5]))):
            mine = rng.random(trades.size) < share
            volumes = np.concatenate([[0], np.cumsum(np.where(mine, trades["volume"], 0))])
            values = np.concatenate([[0], np.cumsum(np.where(mine, value, 0))])
            odd = np.cumsum((rng.random(times.size) * 9.0).astype(np.int64))
            rows[f"{name}_volume"] = volumes[known] + odd
            rows[f"{name}_value_vnd"] = values[known] + odd * price_vnd
    rows["room"] = room - rows["buy_volume"] + rows["sell_volume"]
    return Flow(times, _sessions(hours, times), rows)


def odd_lots(
    rng: np.random.Generator, trade_ms: Ints, trades: NDArray[np.void], rung_count: int, live: slice
) -> Flow:
    """Return a few OL messages beside the continuous prints of a liquid symbol (ssi-wire 3.8)."""
    first, last = live.start, live.stop
    if trades.size < _ODD_TRADES_MIN or last <= first:
        return Flow(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, ODD_LOT))
    count = min(2 + trades.size // 200, 20)
    beside = first + np.sort((rng.random(count) * (last - first)).astype(np.int64))
    near = trades[beside]
    rows = np.zeros(count, ODD_LOT)
    for name in ("rung", "high_rung", "low_rung"):
        rows[name] = near[name]
    rows["open_rung"] = trades["rung"][0]
    rows["bid_rung"] = near["rung"] - 1
    rows["ask_rung"] = np.minimum(near["rung"] + 1, rung_count)
    rows["volume"] = 1 + (rng.random(count) * 99.0).astype(np.int64)
    odd = np.cumsum(rows["volume"].astype(np.int64))
    value = np.cumsum(rows["volume"].astype(np.int64) * (near["price_e2"] // 100))
    rows["total_volume"] = near["total_volume"] + odd
    rows["total_value_vnd"] = near["total_value_vnd"] + value
    for name in ("bid_volume", "ask_volume"):
        rows[name] = 1 + (rng.random((count, ODD_LEVEL_COUNT)) * 99.0).astype(np.int64)
    return Flow(trade_ms[beside], np.full(count, FeedSession.LO, np.uint8), rows)


def pulses(
    trades: NDArray[np.void], reference_e2: int, ceiling_e2: int, floor_e2: int
) -> NDArray[np.void]:
    """Return what each print of one symbol changes in its indices (dtype PULSE).

    A price counts as between a tenth and ten times its reference, so that an absurd row of a table
    cannot take an index out of 63 bits.
    """
    assert trades.dtype == TRADE
    price = trades["price_e2"].astype(np.int64)
    rows = np.zeros(trades.size, PULSE)
    ratio = (price * RETURN_ONE // reference_e2).clip(RETURN_ONE // 10, RETURN_ONE * 10)
    rows["gain"] = np.diff(ratio, prepend=RETURN_ONE)
    rows["volume"] = trades["volume"]
    rows["value_vnd"] = np.diff(trades["total_value_vnd"], prepend=0)
    for name, state in (
        ("up", price > reference_e2),
        ("down", price < reference_e2),
        ("at_ceiling", price == ceiling_e2),
        ("at_floor", price == floor_e2),
    ):
        rows[name] = np.diff(state.astype(np.int8), prepend=np.int8(0))
    return rows


def index_times_ms(hours: Hours, interval_s: int) -> Ints:
    """Return when an index is published: every interval while matching, then until 15:05."""
    start = hours.opening[1] if hours.opening else hours.windows[0][0]
    last = max(hours.windows[-1][1], hours.closing[1] if hours.closing else 0)
    last = max([last, *(end for _, end in hours.after)])
    steps = np.arange(start + interval_s * 1000, last + 1, interval_s * 1000)
    pauses = [session == FeedSession.BREAK for session in _sessions(hours, steps)]
    tail = np.arange(last + 5_000, AFTER_CLOSE_MS, 60_000)
    end = AFTER_CLOSE_MS + np.array([0, 5_000])
    return np.concatenate([steps[~np.array(pauses, np.bool_)], tail, end])


def index_flow(
    hours: Hours,
    interval_s: int,
    trade_ms: Ints,
    rows: NDArray[np.void],
    member_count: int,
    prior_e2: int,
) -> Flow:
    """Return one index's values: the mean return of its members, each counting the same.

    Parameters
    ----------
    trade_ms, rows
        Times and pulses of all members' prints, ascending in time.
    member_count
        Members, traded or not; one that has not traded yet stands at its reference.
    prior_e2
        Prior value x 100.
    """
    times = index_times_ms(hours, interval_s)
    known = np.searchsorted(trade_ms, times, side="right")

    def so_far(name: str) -> Ints:
        total = np.cumsum(rows[name], dtype=np.int64)
        return np.concatenate([[0], total])[known]

    values = np.zeros(times.size, INDEX)
    values["value_e2"] = index_value_e2(prior_e2, so_far("gain"), member_count)
    values["volume"], values["value_vnd"] = so_far("volume"), so_far("value_vnd")
    values["put_through_volume"] = values["volume"] // _PUT_THROUGH_PART
    values["put_through_value_vnd"] = values["value_vnd"] // _PUT_THROUGH_PART
    for name, source in (
        ("advances", "up"),
        ("declines", "down"),
        ("ceilings", "at_ceiling"),
        ("floors", "at_floor"),
    ):
        values[name] = so_far(source)
    values["unchanged"] = member_count - values["advances"] - values["declines"]
    # The real feed says 0 for all five once the day is over (ssi-wire 3.6).
    for name in ("advances", "unchanged", "declines", "ceilings", "floors"):
        values[name][times >= AFTER_CLOSE_MS] = 0
    return Flow(times, _sessions(hours, times), values)


def index_value_e2(prior_e2: int, gain_sum: Ints, member_count: int) -> Ints:
    """Return prior value x (1 + mean gain), rounded to hundredths, in integers."""
    mean_gain = gain_sum // member_count
    return prior_e2 + (prior_e2 * mean_gain + RETURN_ONE // 2) // RETURN_ONE

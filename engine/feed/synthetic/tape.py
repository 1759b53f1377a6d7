"""One symbol's day in order: its prints, and the books in force before each of them.

A continuous print is always against a book that was sent before it: a buy at the best ask, a
sell at the best bid. Where the book must change for that, a quote comes first; further quotes are
strewn between the prints. Auction prints have no side; their books may touch or cross.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic.day import DEPTH_COUNT, DEPTH_LEVEL_COUNT, QUOTE, TRADE
from engine.feed.synthetic.hours import AFTER_AUCTION_MS, Hours, Window
from engine.schema.codes import FeedSession, Side

JOIN_SHARE: Final = 0.08  # prints that follow the one before them within its second
DISAGREE_SHARE: Final = 0.015  # prints whose announced side contradicts the book
_NEW_DEPTH_SHARE: Final = 0.25  # quotes that also change the deeper levels
_FINAL_QUOTE_DELAY_MS: Final = 1_000
_VOLUME_MAX: Final = 1_000_000_000

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass
class Prints:
    """The matches of one symbol, ascending in time: m continuous ones between the auctions."""

    time_ms: Ints
    rung: Ints
    volume: Ints
    buys: Bools  # meaningless for auction prints
    session: NDArray[np.uint8]  # FeedSession
    before: int  # how many leading prints are the opening auction's (0 or 1)
    after: int  # how many trailing prints are the closing auction's and post-close

    @property
    def continuous(self) -> slice:
        """The prints that matched against a book."""
        return slice(self.before, self.rung.size - self.after)


class Tape(NamedTuple):
    """One symbol's events: (n,) times, sessions, and whether each is a trade; then both tables."""

    time_ms: Ints
    session: NDArray[np.uint8]
    is_trade: Bools
    trades: NDArray[np.void]
    quotes: NDArray[np.void]


class Style(NamedTuple):
    """How one symbol's book behaves."""

    lot: int
    spread: int
    quotes_per_trade: float
    depth_lots: float  # typical volume of a level, in lots
    idle_rung: int  # where the book stands when nothing ever trades
    rung_count: int


def with_joined(
    rng: np.random.Generator,
    time_ms: Ints,
    buys: Bools,
    rung: Ints,
    fixed: Bools,
) -> tuple[Ints, Bools, Ints]:
    """Let some prints follow their predecessor within its second, at its price and side.

    One large order takes several resting ones: that is why seconds are no keys on a real tape
    (18 % of active symbol-seconds hold two matches or more, ssi-wire section 4.7).
    Prints that carry a published price keep it.
    """
    joins = rng.random(time_ms.size) < JOIN_SHARE
    joins[:1] = False
    place = np.arange(time_ms.size)
    first = np.maximum.accumulate(np.where(joins, 0, place))
    jitter = (rng.random(time_ms.size) * 40.0).astype(np.int64)
    second_end = time_ms[first] // 1000 * 1000 + 999
    joined = np.minimum(time_ms[first] + (place - first) * 40 + jitter, second_end)
    time_ms = np.maximum.accumulate(np.where(joins, joined, time_ms))
    return time_ms, buys[first], np.where(joins & ~fixed, rung[first], rung)


def depth_of(rng: np.random.Generator, style: Style) -> NDArray[np.int32]:
    """Draw the prepared volumes of levels 2 to 10, whole lots."""
    draws = rng.random((DEPTH_COUNT, DEPTH_LEVEL_COUNT))
    lots = 1.0 + np.floor(style.depth_lots * 0.5 / (0.08 + draws))
    return np.minimum(lots * style.lot, _VOLUME_MAX).astype(np.int32)


def play(rng: np.random.Generator, hours: Hours, prints: Prints, style: Style) -> Tape:
    """Put quotes around the prints and return both in order."""
    live = prints.continuous
    spread = style.spread
    bid = prints.rung[live] - np.where(prints.buys[live], spread, 0)
    books = _continuous_books(rng, hours, prints, bid, style)
    parts = [books]
    first = int(prints.rung[0]) if prints.rung.size else style.idle_rung
    last = int(prints.rung[-1]) if prints.rung.size else style.idle_rung
    count = 6 + min(60, prints.rung.size // 20)
    traded = prints.rung.size > 0
    if hours.opening is not None:
        parts.insert(
            0,
            _auction_books(
                rng, hours.opening, first, count, FeedSession.ATO, -3, style, traded=traded
            ),
        )
    last_key = 2 * bid.size + 2
    if hours.closing is not None:
        call = (hours.closing[0] + AFTER_AUCTION_MS, hours.closing[1])  # after late stamps
        parts.append(
            _auction_books(rng, call, last, count, FeedSession.ATC, last_key, style, traded=traded)
        )
    end_ms = max(hours.windows[-1][1], hours.closing[1] if hours.closing else 0)
    parts.append(_final_book(rng, end_ms + _FINAL_QUOTE_DELAY_MS, last, last_key + 2, style))
    trade_key = np.concatenate(
        [
            np.full(prints.before, -2),
            2 * np.arange(bid.size) + 1,
            # the closing print itself, then the final book, then what matches after the close
            np.where(
                prints.time_ms[prints.rung.size - prints.after :] <= end_ms,
                last_key + 1,
                last_key + 3,
            ),
        ]
    )
    key = np.concatenate([*(part.key for part in parts), trade_key])
    time_ms = np.concatenate([*(part.time_ms for part in parts), prints.time_ms])
    session = np.concatenate([*(part.session for part in parts), prints.session])
    order = np.argsort(key, kind="stable")
    is_trade = order >= key.size - prints.rung.size
    return Tape(
        time_ms[order],
        session[order],
        is_trade,
        _trades(rng, prints),
        np.concatenate([part.quotes for part in parts]),
    )


class _Books(NamedTuple):
    """Some quotes: `key` orders them among the prints (even numbers; prints have odd ones)."""

    key: Ints
    time_ms: Ints
    session: NDArray[np.uint8]
    quotes: NDArray[np.void]


def _continuous_books(
    rng: np.random.Generator, hours: Hours, prints: Prints, bid: Ints, style: Style
) -> _Books:
    """Strew quotes into the gaps between the continuous prints.

    The gap before a print ends with the book that print hits. Gap m, after the last print, keeps
    the last book.
    """
    live = prints.continuous
    time_ms, m = prints.time_ms[live], bid.size
    needed = np.ones(m + 1, np.int64)
    needed[1:m] = bid[1:] != bid[:-1]
    wanted = int(12.0 + style.quotes_per_trade * m) - int(needed.sum())
    extra = max(wanted, 0)
    near, anytime = extra // 2, extra - extra // 2
    gaps = np.concatenate(
        [
            (rng.random(near) * (m + 1)).astype(np.int64),
            np.searchsorted(time_ms, hours.arrivals_ms(rng.random(anytime)), side="right"),
        ]
    )
    counts = needed + np.bincount(gaps, minlength=m + 1)
    gap = np.repeat(np.arange(m + 1), counts)
    total = gap.size
    ends_gap = np.append(gap[1:] != gap[:-1], True)
    # The book of a quote: what the next print hits when it ends a gap, else what the last one hit.
    hit = np.where(ends_gap, gap, gap - 1).clip(0, max(m - 1, 0))
    base = bid[hit] if m else np.full(total, style.idle_rung - style.spread, np.int64)
    wide = (rng.random(total) < 0.1) & ~(ends_gap & (gap < m))
    widen_bid = wide & (rng.random(total) < 0.5)
    quotes = _books_at(rng, base - widen_bid, base + style.spread + (wide & ~widen_bid), style)
    if m:
        taken = np.where(ends_gap & (gap < m), prints.volume[live][hit], 0)
        hits_ask = prints.buys[live][hit]
        _raise_volume(quotes["ask_volume"], np.where(hits_ask, taken, 0))
        _raise_volume(quotes["bid_volume"], np.where(hits_ask, 0, taken))
    start, end = hours.windows[0][0], hours.windows[-1][1] - 1
    lower = np.concatenate([[start], time_ms])[gap]
    upper = np.concatenate([time_ms, [end]])[gap]
    upper = np.maximum(upper, lower)
    draws = rng.random(total)
    fraction = np.sort(gap + draws * draws) - gap  # early in the gap: prints change books
    axis = hours.axis_ms(lower) * (1.0 - fraction) + hours.axis_ms(upper) * fraction
    times = np.maximum.accumulate(np.clip(hours.wall_ms(axis), lower, upper))
    return _Books(2 * gap, times, np.full(total, FeedSession.LO, np.uint8), quotes)


def _raise_volume(level: NDArray[np.int32], by: Ints) -> None:
    """Add what is about to be taken, where there is anybody at the level."""
    level[...] = np.where(level > 0, np.minimum(level + by, _VOLUME_MAX), 0)


def _auction_books(
    rng: np.random.Generator,
    call: Window,
    price: int,
    count: int,
    session: FeedSession,
    key: int,
    style: Style,
    *,
    traded: bool,
) -> _Books:
    """Return books of a call, at concrete prices (ssi-wire 4.2): apart, equal or crossed."""
    times = np.sort(rng.random(count) * (call[1] - call[0])).astype(np.int64) + call[0]
    near = np.floor(rng.random(count) * 3.0).astype(np.int64) - 1
    estimate = (price + near).clip(0, style.rung_count - 1)
    gap = np.floor(rng.random(count) * 3.0).astype(np.int64) - 1
    quotes = _books_at(rng, estimate, estimate + gap, style)
    quotes["estimate_rung"] = estimate if traded else -1
    return _Books(np.full(count, key), times, np.full(count, session, np.uint8), quotes)


def _final_book(
    rng: np.random.Generator, time_ms: int, price: int, key: int, style: Style
) -> _Books:
    """Return the book that stays after the close."""
    bid = np.array([price - 1 if rng.random() < 0.5 else price], np.int64)
    quotes = _books_at(rng, bid, bid + style.spread, style)
    return _Books(np.array([key]), np.array([time_ms]), np.array([FeedSession.C], np.uint8), quotes)


def _books_at(rng: np.random.Generator, bid: Ints, ask: Ints, style: Style) -> NDArray[np.void]:
    """Return QUOTE rows with these best rungs (clipped to "nobody") and drawn volumes."""
    count = bid.size
    bid, ask = bid.clip(-1, style.rung_count - 1), ask.clip(0, style.rung_count)
    quotes = np.zeros(count, QUOTE)
    quotes["bid_rung"], quotes["ask_rung"] = bid, ask
    draws = rng.random((4, count))
    lots = 1.0 + np.floor(style.depth_lots * 0.4 / (0.06 + draws[:2]))
    volumes = np.minimum(lots * style.lot, _VOLUME_MAX).astype(np.int32)
    quotes["bid_volume"] = np.where(bid >= 0, volumes[0], 0)
    quotes["ask_volume"] = np.where(ask < style.rung_count, volumes[1], 0)
    quotes["estimate_rung"] = -1
    for name, draw in (("bid_depth", draws[2]), ("ask_depth", draws[3])):
        quotes[name] = np.cumsum(draw < _NEW_DEPTH_SHARE) % DEPTH_COUNT
    return quotes


def _trades(rng: np.random.Generator, prints: Prints) -> NDArray[np.void]:
    """Return TRADE rows with everything but price_e2 and total_value_vnd, which need a ladder."""
    trades = np.zeros(prints.rung.size, TRADE)
    trades["rung"] = prints.rung
    trades["high_rung"] = np.maximum.accumulate(prints.rung)
    trades["low_rung"] = np.minimum.accumulate(prints.rung)
    trades["volume"] = prints.volume
    trades["total_volume"] = np.cumsum(prints.volume)
    live = prints.continuous
    against = rng.random(prints.rung[live].size) < DISAGREE_SHARE
    says_buy = prints.buys[live] ^ against
    trades["side"] = Side.UNKNOWN
    trades["side"][live] = np.where(says_buy, Side.BUY, Side.SELL)
    trades["against_book"][live] = against
    return trades

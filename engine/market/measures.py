"""Derived measures: what a board shows and a sum cannot. The only floats of the tape.

A measure is a number that follows from one published row. Rows carry integers; the measures are
computed where they are read: by the gateway's codec for clients, and by the operator's own rules.
Each formula exists once, here. Sources: market-behaviour sections 4 to 8.

A measure that has no meaning for a row is NaN: no price yet, an empty side, nothing to divide by.

==============  ================================================================================
channel         formula
==============  ================================================================================
stats           vwap = value / volume / multiplier, of the volume seen; change = last - reference;
                change_pct in percent of the reference; active_buy_ratio = buy / (buy + sell)
                volume, where auctions count on neither side
quote, book     of level 1, both sides with a price and a volume, neither crossed nor with market
                orders: spread = ask - bid; mid; microprice = the mid weighted by the volume of the
                other side; imbalance = (bid - ask) / (bid + ask) volume, from -1 to 1;
                imbalance_all the same over all levels that have a price
foreign         net = buy - sell of the day; speed = net of five minutes / 5; acceleration = speed -
                speed one minute before; room_used_pct; exhausted_in_s = the present room at the
                speed of the last five minutes, when it falls
index           change against the prior value; advance_ratio = advances / (advances + declines)
basis           basis_pct of the spot; annualised over 365 days, from the calendar days to expiry;
                spot_age_s = how old the spot was when the row was made
market          advance_ratio and active_buy_ratio as above
==============  ================================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.schema.codes import BasisState, DeltaFlag, Side

Rows = NDArray[np.void]
Floats = NDArray[np.float64]
Compute = Callable[[Rows, NDArray[np.int64]], Floats]

PRICE_SCALE: Final = 100.0  # `_e2`: hundredths
WINDOW_MINUTES: Final = 5  # of the foreign flow's windows
WINDOW_S: Final = 60 * WINDOW_MINUTES
YEAR_DAYS: Final = 365  # of an annualised basis
NO_BOOK: Final = int(DeltaFlag.CROSSED | DeltaFlag.MARKET_ORDERS)


@dataclass(frozen=True, slots=True)
class Measure:
    """One derived number of a channel's rows.

    Attributes
    ----------
    name
        As clients see it.
    unit
        How it is written. price: a whole number of hundredths, exact, written like a price.
        count: a whole number. ratio: rounded to `decimals`.
    decimals
        Of a ratio; 2 for a price, 0 for a count.
    compute
        ``(rows, multiplier) -> float64``, one value per row, NaN where it has no meaning. rows
        are of the channel's dtype, shape (n,); multiplier is int64, shape (n,), each row's
        ``value_multiplier`` (VND per 1.00 of price and unit of volume; 0 when not known).
    """

    name: str
    unit: Literal["price", "count", "ratio"]
    decimals: int
    compute: Compute


def _price(name: str, compute: Compute) -> Measure:
    return Measure(name, "price", 2, compute)


def _count(name: str, compute: Compute) -> Measure:
    return Measure(name, "count", 0, compute)


def _ratio(name: str, decimals: int, compute: Compute) -> Measure:
    return Measure(name, "ratio", decimals, compute)


# --- small helpers --------------------------------------------------------------------------------


def _wide(rows: Rows, name: str) -> NDArray[np.int64]:
    """Return a field as int64: sums and products of 32-bit fields must not wrap."""
    wide: NDArray[np.int64] = rows[name].astype(np.int64)
    return wide


def _over(top: Any, bottom: Any, good: NDArray[np.bool_]) -> Floats:
    """Return top / bottom where good, else NaN; never divides elsewhere."""
    out = np.full(good.shape, np.nan)
    np.divide(top, bottom, out=out, where=good)
    return out


def _share(part: NDArray[np.int64], rest: NDArray[np.int64]) -> Floats:
    """Return part / (part + rest), NaN when both are 0."""
    whole = part + rest
    return _over(part, whole, whole > 0)


# --- stats, index: a value against its reference ----------------------------------------------


def _against(value: str, base: str) -> tuple[Measure, Measure]:
    """Return change and change_pct of a price field against another."""

    def pair(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        now, before = _wide(rows, value), _wide(rows, base)
        return now - before, before, (now > 0) & (before > 0)

    def change(rows: Rows, _: NDArray[np.int64]) -> Floats:
        difference, _before, good = pair(rows)
        return _over(difference, PRICE_SCALE, good)

    def percent(rows: Rows, _: NDArray[np.int64]) -> Floats:
        difference, before, good = pair(rows)
        return _over(100 * difference, before, good)

    return _price("change", change), _ratio("change_pct", 4, percent)


def _vwap(rows: Rows, multiplier: NDArray[np.int64]) -> Floats:
    volume = _wide(rows, "volume_shares")
    return _over(rows["value_vnd"], volume * multiplier, (volume > 0) & (multiplier > 0))


def _active_buy(rows: Rows, _: NDArray[np.int64]) -> Floats:
    volumes = rows["phase_side_volume_shares"]
    return _share(volumes[:, :, Side.BUY].sum(axis=1), volumes[:, :, Side.SELL].sum(axis=1))


def _market_active_buy(rows: Rows, _: NDArray[np.int64]) -> Floats:
    return _share(_wide(rows, "buy_volume_shares"), _wide(rows, "sell_volume_shares"))


def _advance(rows: Rows, _: NDArray[np.int64]) -> Floats:
    return _share(_wide(rows, "advances"), _wide(rows, "declines"))


# --- quote, book: level 1, and all levels -----------------------------------------------------


class _Top:
    """Level 1 of quote or book rows, and where it is a book that can be measured."""

    def __init__(self, rows: Rows) -> None:
        self.bid, self.ask, self.bid_volume, self.ask_volume = (
            _wide(rows, name) if rows[name].ndim == 1 else _wide(rows, name)[:, 0]
            for name in ("bid_price_e2", "ask_price_e2", "bid_volume_shares", "ask_volume_shares")
        )
        self.good = (
            (rows["flags"] & NO_BOOK == 0)
            & (self.bid > 0)
            & (self.ask > self.bid)
            & (self.bid_volume > 0)
            & (self.ask_volume > 0)
        )


def _spread(rows: Rows, _: NDArray[np.int64]) -> Floats:
    top = _Top(rows)
    return _over(top.ask - top.bid, PRICE_SCALE, top.good)


def _mid(rows: Rows, _: NDArray[np.int64]) -> Floats:
    top = _Top(rows)
    return _over(top.bid + top.ask, 2 * PRICE_SCALE, top.good)


def _microprice(rows: Rows, _: NDArray[np.int64]) -> Floats:
    top = _Top(rows)
    weighted = top.bid * top.ask_volume + top.ask * top.bid_volume
    return _over(weighted, PRICE_SCALE * (top.bid_volume + top.ask_volume), top.good)


def _imbalance(rows: Rows, _: NDArray[np.int64]) -> Floats:
    top = _Top(rows)
    return _over(top.bid_volume - top.ask_volume, top.bid_volume + top.ask_volume, top.good)


def _imbalance_all(rows: Rows, _: NDArray[np.int64]) -> Floats:
    bids, asks = (
        np.where(rows[f"{side}_price_e2"] > 0, _wide(rows, f"{side}_volume_shares"), 0).sum(axis=1)
        for side in ("bid", "ask")
    )
    return _over(bids - asks, bids + asks, _Top(rows).good)


# --- foreign flow -----------------------------------------------------------------------------


def _net(what: str) -> Compute:
    def compute(rows: Rows, _: NDArray[np.int64]) -> Floats:
        return (_wide(rows, f"buy_{what}") - _wide(rows, f"sell_{what}")).astype(np.float64)

    return compute


def _speed(kind: str, unit: str) -> Compute:
    def compute(rows: Rows, _: NDArray[np.int64]) -> Floats:
        speed: Floats = rows[f"net_{kind}_5m_{unit}"] / WINDOW_MINUTES
        return speed

    return compute


def _acceleration(kind: str, unit: str) -> Compute:
    def compute(rows: Rows, _: NDArray[np.int64]) -> Floats:
        growth = rows[f"net_{kind}_5m_{unit}"] - rows[f"net_{kind}_5m_before_{unit}"]
        acceleration: Floats = growth / WINDOW_MINUTES
        return acceleration

    return compute


def _room_used(rows: Rows, _: NDArray[np.int64]) -> Floats:
    total = _wide(rows, "total_room_shares")
    return _over(100 * (total - rows["current_room_shares"]), total, total > 0)


def _exhausted_in(rows: Rows, _: NDArray[np.int64]) -> Floats:
    used, total = _wide(rows, "room_used_5m_shares"), rows["total_room_shares"]
    return np.floor(_over(rows["current_room_shares"] * WINDOW_S, used, (used > 0) & (total > 0)))


_FLOW: Final = (
    _count("net_volume_shares", _net("volume_shares")),
    _count("net_value_vnd", _net("value_vnd")),
    _ratio("net_speed_shares_per_min", 1, _speed("volume", "shares")),
    _ratio("net_speed_vnd_per_min", 1, _speed("value", "vnd")),
    _ratio("net_acceleration_shares_per_min", 1, _acceleration("volume", "shares")),
    _ratio("net_acceleration_vnd_per_min", 1, _acceleration("value", "vnd")),
)


# --- basis ------------------------------------------------------------------------------------


def _basis_percent(rows: Rows, _: NDArray[np.int64]) -> Floats:
    spot = _wide(rows, "spot_value_e2")
    known = (rows["basis_state"] != BasisState.NONE) & (spot > 0)
    return _over(100 * _wide(rows, "basis_e2"), spot, known)


def _days_to_expiry(rows: Rows, _: NDArray[np.int64]) -> Floats:
    expiry, today = _wide(rows, "expiry_day"), _wide(rows, "trade_day")
    return np.where((today > 0) & (expiry >= today), (expiry - today).astype(np.float64), np.nan)


def _annualised(rows: Rows, multiplier: NDArray[np.int64]) -> Floats:
    days = _days_to_expiry(rows, multiplier)
    return _over(_basis_percent(rows, multiplier) * YEAR_DAYS, days, days > 0)


def _spot_age(rows: Rows, _: NDArray[np.int64]) -> Floats:
    age = np.maximum(_wide(rows, "exch_s") - rows["spot_exch_s"], 0)
    return np.where(rows["spot_exch_s"] > 0, age.astype(np.float64), np.nan)


# --- the table --------------------------------------------------------------------------------

_TOP: Final = (
    _price("spread", _spread),
    _ratio("mid", 4, _mid),
    _ratio("microprice", 4, _microprice),
    _ratio("imbalance", 6, _imbalance),
)
_ADVANCE: Final = _ratio("advance_ratio", 6, _advance)

# Channel name -> its measures, in the order in which clients see them after the row's own fields.
MEASURES: Final[Mapping[str, tuple[Measure, ...]]] = {
    "quote": _TOP,
    "book": (*_TOP, _ratio("imbalance_all", 6, _imbalance_all)),
    "stats": (
        _ratio("vwap", 4, _vwap),
        *_against("last_price_e2", "reference_price_e2"),
        _ratio("active_buy_ratio", 6, _active_buy),
    ),
    "foreign": (
        *_FLOW,
        _ratio("room_used_pct", 4, _room_used),
        _count("exhausted_in_s", _exhausted_in),
    ),
    "index": (*_against("value_e2", "prior_value_e2"), _ADVANCE),
    "basis": (
        _ratio("basis_pct", 4, _basis_percent),
        _ratio("annualised_basis_pct", 4, _annualised),
        _count("days_to_expiry", _days_to_expiry),
        _count("spot_age_s", _spot_age),
    ),
    "market": (_ADVANCE, _ratio("active_buy_ratio", 6, _market_active_buy)),
    "foreign.summary": _FLOW,
}

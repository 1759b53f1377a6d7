"""What a code names: a share, an index or a future, and then on what, until when, worth how much.

Sources: ssi-wire sections 4.3 and 4.5, facts in data/{indices,underlyings,krx_years}.csv.

======================  =======================================================================
VN30F2407, GB05F2112    futures until 4 May 2025: underlying, F, YYMM
VN30F1M .. VN30F2Q      rolling aliases of REST and other vendors: a future without an expiry
41I1G4000               futures since KRX (5 May 2025): 41, underlying (I1), year letter (G = 2026),
                        month (1-9, A, B, C), 000
VN30, HNXindex          index ids of MI messages, any case
FUEVFVND, E1VFVN30      exchange-traded funds
CFPT2401                covered warrants: C, underlying share, year, number
anything else           a future on the derivatives board, a share elsewhere; never an error
======================  =======================================================================
"""

import datetime as dt
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Final, NamedTuple

from engine.market.days import is_trading_day, previous_trading_day
from engine.market.facts import LATEST_DAY, Row, in_force, read
from engine.market.products import Product
from engine.schema.codes import Instrument, Venue

KRX_GO_LIVE: Final = dt.date(2025, 5, 5)


class Identity(NamedTuple):
    """What a code names."""

    instrument: Instrument
    value_multiplier: int  # VND per 1.00 of price and unit of volume
    underlying: str | None  # futures only: VN30, VN100, GB05, GB10; None if not on file
    expiry: dt.date | None  # futures only: last trading day; None if the code names no month
    product: Product = Product.SHARE  # for ticks and bands


class Underlying(NamedTuple):
    """What futures are written on."""

    name: str  # also the prefix of codes before KRX
    krx_code: str
    product: Product
    value_multiplier: int
    expiry_rule: str
    months_rule: str


SHARE: Final = Identity(Instrument.STOCK, 1, None, None, Product.SHARE)
ETF: Final = Identity(Instrument.STOCK, 1, None, None, Product.ETF)
WARRANT: Final = Identity(Instrument.STOCK, 1, None, None, Product.WARRANT)
INDEX: Final = Identity(Instrument.INDEX, 1, None, None, Product.INDEX)

# A code of the derivatives board that we cannot read. Its multiplier is not known: values are
# then points x contracts, visibly too small, rather than a guess 100,000 times too large.
UNKNOWN_FUTURE: Final = Identity(Instrument.FUTURE, 1, None, None, Product.INDEX_FUTURE)

_INDEX_CODES: Final = frozenset(row["code"] for row in read("indices"))


def _underlying(row: Row) -> Underlying:
    return Underlying(
        row["old_code"],
        row["krx_code"],
        Product[row["product"]],
        int(row["value_multiplier"]),
        row["expiry"],
        row["months"],
    )


_UNDERLYINGS: Final = tuple(_underlying(row) for row in in_force(read("underlyings"), LATEST_DAY))
UNDERLYINGS: Final[dict[str, Underlying]] = {each.name: each for each in _UNDERLYINGS}
_BY_KRX_CODE: Final = {each.krx_code: each for each in _UNDERLYINGS}
_YEAR_OF_LETTER: Final = {row["letter"]: int(row["year"]) for row in read("krx_years")}
_LETTER_OF_YEAR: Final = {year: letter for letter, year in _YEAR_OF_LETTER.items()}
_MONTH_LETTERS: Final = "123456789ABC"

_OLD_FUTURE = re.compile(r"([A-Z0-9]{4,5})F(?:(\d\d)(0[1-9]|1[0-2])|[12][MQ])")
_KRX_FUTURE = re.compile(rf"41([A-Z][A-Z0-9])([{''.join(_YEAR_OF_LETTER)}])([{_MONTH_LETTERS}])000")
_ETF = re.compile(r"E1[A-Z0-9]{6}|FUE[A-Z0-9]{5}")
_WARRANT = re.compile(r"C[A-Z0-9]{3}\d{4}")

assert len(_BY_KRX_CODE) == len(UNDERLYINGS) == len(_UNDERLYINGS), "underlyings.csv repeats a code"
assert len(_LETTER_OF_YEAR) == len(_YEAR_OF_LETTER), "krx_years.csv repeats a year"


def _third_thursday(year: int, month: int) -> dt.date:
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(3 - first.weekday()) % 7 + 14)


_EXPIRY_RULES: Final[dict[str, Callable[[int, int], dt.date]]] = {
    "THIRD_THURSDAY": _third_thursday,
    "DAY_15": lambda year, month: dt.date(year, month, 15),
}


def expiry_of(underlying: str, year: int, month: int) -> dt.date:
    """Return the last trading day of a contract.

    Index futures: the third Thursday; bond futures: the 15th; or the trading day before if that
    one is a holiday. In a year whose holidays are not on file (``days.calendar_known``) it may yet
    move to an earlier day.

    Raises
    ------
    KeyError
        `underlying` is not in UNDERLYINGS.
    """
    date = _EXPIRY_RULES[UNDERLYINGS[underlying].expiry_rule](year, month)
    return date if is_trading_day(date) else previous_trading_day(date)


@lru_cache(maxsize=16_384)
def identify(code: str, venue: Venue) -> Identity:
    """Return what a code names. Total: any text has an identity.

    Parameters
    ----------
    code
        As on the wire; case and outer blanks do not matter.
    venue
        Decides only when the shape of the code does not.
    """
    text = code.strip().upper()
    if text in _INDEX_CODES:
        return INDEX
    future = _krx_future(text) or _old_future(text)
    if future is not None:
        return future
    if venue == Venue.DERIVATIVES:
        return UNKNOWN_FUTURE
    if _ETF.fullmatch(text):
        return ETF
    return WARRANT if _WARRANT.fullmatch(text) else SHARE


def _future(underlying: Underlying, expiry: dt.date | None) -> Identity:
    return Identity(
        Instrument.FUTURE, underlying.value_multiplier, underlying.name, expiry, underlying.product
    )


def _old_future(text: str) -> Identity | None:
    found = _OLD_FUTURE.fullmatch(text)
    if found is None or found[1] not in UNDERLYINGS:
        return None
    if found[2] is None:
        return _future(UNDERLYINGS[found[1]], None)
    return _future(UNDERLYINGS[found[1]], expiry_of(found[1], 2000 + int(found[2]), int(found[3])))


def _krx_future(text: str) -> Identity | None:
    found = _KRX_FUTURE.fullmatch(text)
    if found is None:
        return None
    year, month = _YEAR_OF_LETTER[found[2]], _MONTH_LETTERS.index(found[3]) + 1
    if found[1] in _BY_KRX_CODE:
        underlying = _BY_KRX_CODE[found[1]]
        return _future(underlying, expiry_of(underlying.name, year, month))
    return UNKNOWN_FUTURE


def future_code(underlying: str, year: int, month: int, day: dt.date) -> str:
    """Return the code a contract has on the wire on a day: VN30F2107 in 2021, 41I1G4000 in 2026.

    Raises
    ------
    KeyError
        `underlying` is not in UNDERLYINGS, or the KRX scheme has no letter for `year`.
    """
    if day < KRX_GO_LIVE:
        return f"{UNDERLYINGS[underlying].name}F{year % 100:02}{month:02}"
    letters = f"{_LETTER_OF_YEAR[year]}{_MONTH_LETTERS[month - 1]}"
    return f"41{UNDERLYINGS[underlying].krx_code}{letters}000"


@cache
def listed_months(underlying: str, day: dt.date) -> tuple[tuple[int, int], ...]:
    """Return the (year, month) of every contract that can trade on a day, nearest first.

    Index futures: the front month, the next one, and the two quarter-end months after; bond
    futures: three quarter-end months. A contract is listed up to and on its expiry. It is not asked
    whether the underlying had futures at all on that day.
    """
    count = 24  # months ahead looked at; the farthest listed contract is under a year away
    months = [
        ((m // 12), m % 12 + 1) for m in (day.year * 12 + day.month - 1 + i for i in range(count))
    ]
    alive = [month for month in months if expiry_of(underlying, *month) >= day]
    if UNDERLYINGS[underlying].months_rule == "QUARTERS":
        return tuple([month for month in alive if month[1] % 3 == 0][:3])
    return tuple(alive[:2] + [month for month in alive[2:] if month[1] % 3 == 0][:2])


def front_contract(codes: Iterable[str], underlying: str, day: dt.date) -> str | None:
    """Return the code of an underlying's contract that expires next, on or after a day.

    A contract stays the front until the end of its expiry day and rolls the day after
    (market-behaviour section 8). Aliases (VN30F1M) have no expiry and never qualify; None if
    nothing does.
    """
    alive = [
        (identity.expiry, code)
        for code in codes
        if (identity := identify(code, Venue.DERIVATIVES)).underlying == underlying
        and identity.expiry is not None
        and identity.expiry >= day
    ]
    return min(alive)[1] if alive else None

"""What SSI's REST says, made exact: text to whole numbers, hundredths, dates, codes and names.

Every value of a v2 row is a string or null, whatever it means (ssi-wire section 2); v3 mixes text
and JSON numbers. A price goes from its decimal text to hundredths without arithmetic on floats:
"1290.35" is 129035, points for a future; "28600" is 2860000, VND for a share.

Absent, null and blank mean "not known" and become 0 or "". Anything else that cannot be read raises
`BadRow`: the row it came from is dropped whole and counted by a `Junk`.
"""

import datetime as dt
import re
import unicodedata
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Protocol

import aiohttp

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.market.days import day_number
from engine.market.venues import WIRE_VENUES
from engine.schema.codes import Venue
from engine.schema.slots import PRICE_E2_MAX

Row = dict[str, Any]

SAMPLE_CHARACTERS_MAX = 200
YEAR_MIN, YEAR_MAX = 2000, 2099  # what exch_s (uint32) and the decoder take for a date

_CODE = re.compile(r"[A-Za-z0-9._-]{1,16}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{0,30})?", re.ASCII)
_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})(?![0-9])", re.ASCII)
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})(?![0-9])", re.ASCII)
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?", re.ASCII)
_HUNDRED = Decimal(100)
_EXACTLY = Context(prec=64)  # more digits than _NUMBER lets in: nothing below is rounded twice


class Rest(Protocol):
    """What is asked of a REST client, of v2 or v3."""

    async def get(self, http: aiohttp.ClientSession, api: str, **query: str | int) -> list[Row]:
        """Return the rows of one page; none is no error. FeedError when there is no answer."""
        ...

    async def pages(self, http: aiohttp.ClientSession, api: str, **query: str | int) -> list[Row]:
        """Return the rows of all pages. A row that nests a list counts as many as it holds."""
        ...


class BadRow(ValueError):
    """A row of an answer that cannot mean what it says."""


@dataclass(slots=True)
class Junk:
    """Rows that were dropped: how many, and the first one with the reason."""

    count: int = 0
    sample: str = ""

    def drop(self, row: object, why: object) -> None:
        """Count a row."""
        self.count += 1
        if not self.sample:
            self.sample = f"{why}: {row!r}"[:SAMPLE_CHARACTERS_MAX]


def is_absent(raw: object) -> bool:
    """Whether a value says nothing: null, blank, or NaN as SSI writes it."""
    return raw is None or (isinstance(raw, str) and raw.strip() in ("", "NaN"))


def whole(raw: object, maximum: int) -> int:
    """Return a count, 0 when absent.

    Accepts "1234.0" and "2,493,089", which v3 is known to send.

    Raises
    ------
    BadRow
        No number, not whole, negative, or more than `maximum`.
    """
    if is_absent(raw):
        return 0
    exact = _exact(raw)
    value = int(exact)
    if value != exact or not 0 <= value <= maximum:
        raise BadRow(f"no count of 0..{maximum}")
    return value


def price_e2(raw: object) -> int:
    """Return a price in hundredths of a VND or of a point, 0 when absent.

    More than two decimals are rounded, halves up.

    Raises
    ------
    BadRow
        No number, negative, or more than PRICE_E2_MAX.
    """
    if is_absent(raw):
        return 0
    value = int(_EXACTLY.multiply(_exact(raw), _HUNDRED).to_integral_value(ROUND_HALF_UP))
    if not 0 <= value <= PRICE_E2_MAX:
        raise BadRow("no price")
    return value


def _exact(raw: object) -> Decimal:
    """Return a number as written; the bounded text keeps every later step exact."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise BadRow("no number")
    written = raw.strip().replace(",", "") if isinstance(raw, str) else repr(raw)
    if _NUMBER.fullmatch(written) is None:
        raise BadRow("no number")
    return Decimal(written)


def code(raw: object) -> str:
    """Return a symbol: 1 to 16 of A-Z, 0-9, dot, underscore and hyphen.

    Raises
    ------
    BadRow
        It is none. DailyStockPrice has rows for ``0.8536:`` (ssi-wire section 2.2).
    """
    symbol = raw.strip() if isinstance(raw, str) else ""
    if _CODE.fullmatch(symbol) is None:
        raise BadRow("no symbol")
    return symbol.upper()


def line(raw: object, bytes_max: int) -> str:
    """Return one line of text, composed (NFC), of at most `bytes_max` bytes of UTF-8.

    It is cut between characters; null and whatever is no text are "".
    """
    if not isinstance(raw, str):
        return ""
    printable = "".join(each if each.isprintable() else " " for each in raw)
    composed = unicodedata.normalize("NFC", " ".join(printable.split()))
    return composed.encode(errors="ignore")[:bytes_max].decode(errors="ignore").rstrip()


def venue(*spellings: object) -> Venue:
    """Return the first venue that any of the spellings names; the best source comes first."""
    for spelling in spellings:
        if isinstance(spelling, str):
            found = WIRE_VENUES.get(spelling.strip().upper(), Venue.UNKNOWN)
            if found:
                return found
    return Venue.UNKNOWN


def v2_date(raw: object) -> dt.date:
    """Return the date of a v2 row: ``DD/MM/YYYY``, perhaps with a time behind it.

    Raises
    ------
    BadRow
        It is none.
    """
    found = _DATE.match(raw.strip()) if isinstance(raw, str) else None
    day = _date(found[3], found[2], found[1]) if found else None
    if day is None:
        raise BadRow("no date")
    return day


def v3_dates(raw: object) -> tuple[dt.date, ...]:
    """Return every date that a v3 ``tradingDate`` may mean.

    Which layout an endpoint uses is not published, and the official SDK knows year first as well as
    month first and day first: 03/02/2026 stays two dates until the caller knows better. The SDK's
    preference (month first) comes first. No date at all is an empty tuple.
    """
    if not isinstance(raw, str):
        return ()
    found = _YEAR_FIRST.match(raw.strip())
    if found:
        readings = [_date(found[1], found[2], found[3])]
    elif found := _DATE.match(raw.strip()):
        readings = [_date(found[3], found[1], found[2]), _date(found[3], found[2], found[1])]
    else:
        readings = []
    return tuple(dict.fromkeys(day for day in readings if day is not None))


def _date(year: str, month: str, day: str) -> dt.date | None:
    try:
        date = dt.date(int(year), int(month), int(day))
    except ValueError:
        return None
    return date if YEAR_MIN <= date.year <= YEAR_MAX else None


def second_of_day(raw: object) -> int:
    """Return the seconds since midnight of ``HH:MM:SS``.

    Raises
    ------
    BadRow
        It is no time of day.
    """
    found = _TIME.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None or int(found[1]) > 23 or int(found[2]) > 59 or int(found[3]) > 59:
        raise BadRow("no time")
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])


def midnight_s(day: dt.date) -> int:
    """Return the UTC second at which a day begins in Vietnam."""
    return day_number(day) * DAY_S - ICT_OFFSET_S

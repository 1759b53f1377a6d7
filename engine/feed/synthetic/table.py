"""Read a market-day table, the future's bars and an index basket, and refuse the impossible.

Any file of these shapes will do, so every row is checked here, once: whoever plans a day may
rely on it. Each refusal is a ConfigError that names file, line, column and numbers.
"""

import csv
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from engine.errors import ConfigError
from engine.market.symbology import identify
from engine.market.venues import WIRE_VENUES
from engine.schema.codes import Instrument, Venue
from engine.schema.slots import CODE_BYTES, LEVEL_VOLUME_MAX, PRICE_E2_MAX

_DATA: Final = Path(__file__).parent.parent / "data"
SHIPPED_TABLE: Final = _DATA / "market-day-2021-07-15.csv"
SHIPPED_FUTURES: Final = _DATA / "vn30f1m-15min-2021-07-15.csv"
SHIPPED_VN30: Final = _DATA / "vn30-2021-02-01.csv"

STOCK_VENUES: Final = ("HOSE", "HNX", "UPCOM")
BAR_S: Final = 900
PRICE_VND_MAX: Final = PRICE_E2_MAX // 200  # half the schema's: room for the ceiling above it
POINTS_MAX: Final = 100_000
VOLUME_MAX: Final = LEVEL_VOLUME_MAX  # a day may be a single print, and a print fits one message
VALUE_VND_MAX: Final = 2**53  # TotalVal is a double on the wire; beyond this it is not exact
ROWS_MAX: Final = 60_000  # events name their symbol in 16 bits

_TABLE_COLUMNS: Final = (
    "symbol",
    "exchange",
    "prior_close_vnd",
    "open_vnd",
    "high_vnd",
    "low_vnd",
    "close_vnd",
    "volume_shares",
)
_BAR_COLUMNS: Final = ("start", "open", "high", "low", "close", "volume_contracts")
_DATE_IN_NAME: Final = re.compile(r"(?<![0-9])([0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])")
_CODE: Final = re.compile(rf"[A-Z0-9]{{1,{CODE_BYTES}}}")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_POINTS: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,2})?")


Prices = tuple[int, int, int, int]  # open, high, low, close


class Listing(NamedTuple):
    """One line of a market-day table: what was published for one stock.

    Prices are whole VND x 100. With volume 0 the stock did not trade and the four prices of the
    day mean nothing (publishers repeat an older close).
    """

    code: str
    venue: Venue
    prior_close_e2: int
    open_e2: int
    high_e2: int
    low_e2: int
    close_e2: int
    volume_shares: int
    name: str = ""

    @property
    def ohlc_e2(self) -> Prices:
        """Open, high, low and close."""
        return self.open_e2, self.high_e2, self.low_e2, self.close_e2

    @property
    def traded(self) -> bool:
        """Whether the stock had a match on that day."""
        return self.volume_shares > 0


class MarketTable(NamedTuple):
    """A market-day table and the date its file name carries, if any."""

    source: str
    date: dt.date | None
    listings: tuple[Listing, ...]


class Bar(NamedTuple):
    """One bar of the future: `start_s` seconds of the day (ICT), index points x 100."""

    start_s: int
    open_e2: int
    high_e2: int
    low_e2: int
    close_e2: int
    volume_contracts: int

    @property
    def ohlc_e2(self) -> Prices:
        """Open, high, low and close."""
        return self.open_e2, self.high_e2, self.low_e2, self.close_e2


class FuturesTable(NamedTuple):
    """The bars of one future on one date, ascending."""

    source: str
    date: dt.date
    bars: tuple[Bar, ...]


def prints_min(open_e2: int, high_e2: int, low_e2: int, close_e2: int) -> int:
    """Return the fewest prints that can show these four prices in this order of time."""
    if open_e2 == high_e2 == low_e2 == close_e2:
        return 1
    ends = (open_e2, close_e2)
    return 2 + (high_e2 not in ends) + (low_e2 not in ends)


def read_table(path: Path | str) -> MarketTable:
    """Read a market-day table.

    Parameters
    ----------
    path
        A CSV file with at least the columns symbol, exchange, prior_close_vnd, open_vnd,
        high_vnd, low_vnd, close_vnd, volume_shares; name is optional, others are ignored.

    Raises
    ------
    ConfigError
        The file cannot be read, or a row cannot be a trading day. Names file, line and column.
    """
    listings: list[Listing] = []
    line_of: dict[str, int] = {}
    for row in _rows(Path(path), _TABLE_COLUMNS):
        listing = _listing(row)
        if listing.code in line_of:
            row.refuse(
                "symbol",
                f"{listing.code} is already on line {line_of[listing.code]}; keep one of them",
            )
        line_of[listing.code] = row.line
        listings.append(listing)
    if not listings:
        raise ConfigError(f"{path}: the table has no rows; give one line per stock")
    if len(listings) > ROWS_MAX:
        raise ConfigError(f"{path}: {len(listings)} rows, the most we can play is {ROWS_MAX}")
    worth = sum(listing.volume_shares * listing.high_e2 // 100 for listing in listings)
    if worth > VALUE_VND_MAX // 2:  # an index adds put-through to it
        raise ConfigError(
            f"{path}: all rows together are worth up to {worth} VND, the most an "
            f"index message can hold is {VALUE_VND_MAX // 2}"
        )
    return MarketTable(str(path), _date_in_name(Path(path)), tuple(listings))


def read_futures(path: Path | str) -> FuturesTable:
    """Read the fifteen-minute bars of one future.

    Parameters
    ----------
    path
        A CSV file with the columns start (``YYYY-MM-DD HH:MM:SS``, ICT), open, high, low, close
        (index points) and volume_contracts, ascending, all of one date.

    Raises
    ------
    ConfigError
        As for `read_table`.
    """
    bars: list[Bar] = []
    date: dt.date | None = None
    for row in _rows(Path(path), _BAR_COLUMNS):
        start = row.moment("start")
        if date is not None and start.date() != date:
            row.refuse("start", f"{start} is another day than {date}; one file holds one day")
        date = start.date()
        bar = _bar(row, start)
        if bars and bar.start_s <= bars[-1].start_s:
            row.refuse("start", f"{start} does not come after the bar before it; sort the bars")
        if bar.volume_contracts:
            bars.append(bar)
    if date is None or not bars:
        raise ConfigError(f"{path}: no bar with a volume; leave the file out to play no future")
    return FuturesTable(str(path), date, tuple(bars))


def read_day(table: Path | None, futures: Path | None) -> tuple[MarketTable, FuturesTable | None]:
    """Read a day's files; without either, the day that ships with vntape and its future.

    Raises
    ------
    ConfigError
        As for `read_table`.
    """
    if table is None and futures is None:
        futures = SHIPPED_FUTURES
    return read_table(table or SHIPPED_TABLE), read_futures(futures) if futures else None


def read_members(path: Path | str = SHIPPED_VN30) -> tuple[str, ...]:
    """Read an index basket: a CSV file with a column symbol. Raises ConfigError."""
    return tuple(row.code("symbol") for row in _rows(Path(path), ("symbol",)))


class _Row:
    """One line of a file, with words for what is wrong in it."""

    def __init__(self, path: Path, line: int, cells: dict[str, str]) -> None:
        self.path = path
        self.line = line
        self.cells = cells

    def refuse(self, column: str, why: str) -> NoReturn:
        raise ConfigError(f"{self.path}, line {self.line}, column {column}: {why}")

    def code(self, column: str) -> str:
        text = self.cells[column]
        if not _CODE.fullmatch(text):
            self.refuse(
                column, f"{text!r} is no symbol; write 1 to {CODE_BYTES} capital letters and digits"
            )
        return text

    def whole(self, column: str, most: int) -> int:
        text = self.cells[column]
        if not _WHOLE.fullmatch(text):
            self.refuse(column, f"{text!r} is no whole number of 0 or more")
        if int(text) > most:
            self.refuse(column, f"{text} is more than the largest number we accept, {most}")
        return int(text)

    def points_e2(self, column: str) -> int:
        text = self.cells[column]
        if not _POINTS.fullmatch(text):
            self.refuse(column, f"{text!r} is no price in index points with at most two decimals")
        points, _, decimals = text.partition(".")
        return int(points) * 100 + int(decimals.ljust(2, "0"))

    def moment(self, column: str) -> dt.datetime:
        text = self.cells[column]
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            self.refuse(column, f"{text!r} is no time; write YYYY-MM-DD HH:MM:SS")
        if moment.tzinfo is not None or moment.microsecond:
            self.refuse(column, f"{text!r}: write whole seconds of Vietnamese time, no zone")
        return moment

    def check_range(self, prices: dict[str, int]) -> None:
        """Refuse a low above any other price of the row, or a high below one."""
        names = list(prices)
        low, high = names[2], names[1]
        for name in names:
            if prices[name] < prices[low]:
                self.refuse(low, f"low {self.cells[low]} is above {name} {self.cells[name]}")
            if prices[name] > prices[high]:
                self.refuse(high, f"high {self.cells[high]} is below {name} {self.cells[name]}")


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    """Yield the non-empty lines of a CSV file whose first line names at least `columns`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    reader = csv.reader(text.splitlines(keepends=True))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in columns if name not in header]
    if missing:
        raise ConfigError(
            f"{path}, line 1: the header lacks {', '.join(missing)}; it says "
            f"{', '.join(header) or 'nothing'}"
        )
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise ConfigError(
                f"{path}, line {reader.line_num}: {len(cells)} cells under a header "
                f"of {len(header)}; quote commas inside a name"
            )
        values = (cell.strip() for cell in cells)
        yield _Row(path, reader.line_num, dict(zip(header, values, strict=True)))


def _listing(row: _Row) -> Listing:
    code, exchange = row.code("symbol"), row.cells["exchange"]
    if exchange not in STOCK_VENUES:
        row.refuse("exchange", f"{exchange!r} is unknown; a stock is on {', '.join(STOCK_VENUES)}")
    if identify(code, WIRE_VENUES[exchange]).instrument is not Instrument.STOCK:
        row.refuse("symbol", f"{code} names an index or a future, not a stock")
    prior = row.whole("prior_close_vnd", PRICE_VND_MAX)
    prices = {
        name: row.whole(name, PRICE_VND_MAX)
        for name in ("open_vnd", "high_vnd", "low_vnd", "close_vnd")
    }
    volume = row.whole("volume_shares", VOLUME_MAX)
    if volume:  # without a trade the day's prices mean nothing, publishers fill in what they like
        row.check_range(prices)
    if prior == 0:
        row.refuse("prior_close_vnd", f"{code} has no prior close; a reference price is needed")
    if volume and prices["low_vnd"] == 0:
        row.refuse("low_vnd", f"{code} traded {volume} shares at price 0")
    needed = prints_min(*prices.values())
    if needed > max(volume, 1):
        row.refuse(
            "volume_shares",
            f"{volume} shares cannot make {needed} prints, the fewest "
            f"that show open, high, low and close",
        )
    if volume * prices["high_vnd"] > VALUE_VND_MAX:
        row.refuse(
            "volume_shares",
            f"{volume} shares at {prices['high_vnd']} VND are worth more "
            f"than {VALUE_VND_MAX} VND, the most a message can hold",
        )
    open_, high, low, close = (price * 100 for price in prices.values())
    return Listing(
        code,
        WIRE_VENUES[exchange],
        prior * 100,
        open_,
        high,
        low,
        close,
        volume,
        row.cells.get("name", ""),
    )


def _bar(row: _Row, start: dt.datetime) -> Bar:
    prices = {name: row.points_e2(name) for name in ("open", "high", "low", "close")}
    row.check_range(prices)
    volume = row.whole("volume_contracts", VOLUME_MAX)
    if prices["low"] == 0:
        row.refuse("low", "a future cannot trade at 0 points")
    if prices["high"] > POINTS_MAX * 100:
        row.refuse("high", f"{row.cells['high']} points is more than {POINTS_MAX}")
    needed = prints_min(*prices.values())
    if volume and needed > volume:
        row.refuse(
            "volume_contracts",
            f"{volume} contracts cannot make {needed} prints, the "
            f"fewest that show open, high, low and close",
        )
    if volume * prices["high"] * 1_000 > VALUE_VND_MAX:
        row.refuse(
            "volume_contracts",
            f"{volume} contracts at {row.cells['high']} points are "
            f"worth more than {VALUE_VND_MAX} VND",
        )
    second = start.hour * 3600 + start.minute * 60 + start.second
    return Bar(second, prices["open"], prices["high"], prices["low"], prices["close"], volume)


def _date_in_name(path: Path) -> dt.date | None:
    """Return the date in a file's name; a thing like 2021-13-45 is no date and no error."""
    match = _DATE_IN_NAME.search(path.name)
    try:
        return dt.date.fromisoformat(match.group(1)) if match else None
    except ValueError:
        return None

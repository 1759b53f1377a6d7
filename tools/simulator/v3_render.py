"""A line of the day, told in v3: from the v2 record to the frames of each topic.

Every function here is pure: what a v3 client sees is the v2 line, with its faults, in other
words. Keys and their order are those of ssi-wire section 8. Unverified there, so decided here:
a frame's topic names the one symbol it is about, numbers are JSON numbers (whole where they are
whole), and a bar is told again with every print in it, as its two times ``st`` and ``t`` suggest.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
import orjson

from tools.simulator.v3_almanac import Almanac, Bar
from tools.simulator.v3_topics import BAR_MINUTES

Record = dict[str, Any]

SIDES: Final = {"BU": "B", "SD": "S"}
UNKNOWN_SIDE: Final = "U"
FLAG_TOPIC: Final = "market.FLAG"  # the server upper-cases what follows the type
FLAG_BOARDS: Final = {"DERIVATIVES": "DER"}
ODD_LEVELS: Final = 3
BOOK_LEVELS: Final = 10
PUT: Final = "PUT"  # a line type that v2 does not have


def unpack(message: bytes) -> tuple[str, Record] | None:
    """Return DataType and record of a v2 hub message: three layers of JSON (ssi-wire 1.4).

    None when one of them is broken, as a fault may have left it.
    """
    try:
        envelope = orjson.loads(orjson.loads(message)["A"][0])
        return envelope["DataType"], orjson.loads(envelope["Content"])
    except (orjson.JSONDecodeError, KeyError):
        return None


def frame(topic: str, data: Record) -> bytes:
    """Return a data frame's text."""
    return orjson.dumps({"channel": "DATA", "topic": topic, "data": data})


def number(value: float) -> int | float:
    """Return a number as v3 writes it: without a decimal where there is none."""
    return int(value) if value == int(value) else value


def hundredths(value_e2: int) -> int | float:
    """Return a price or an index value."""
    return number(value_e2 / 100)


@cache
def _date(trading_date: str) -> str:
    day, month, year = trading_date.split("/")
    return f"{year}/{month}/{day}"


def stamp(record: Record) -> str:
    """Return ``t``: YYYY/MM/DD HH:MM:SS, ICT."""
    return f"{_date(record['TradingDate'])} {record['Time']}"


def trade(record: Record, almanac: Almanac) -> Record:
    """X-TRADE as ``trade``."""
    code = record["Symbol"]
    facts = almanac.facts.get(code)
    data = {
        "t": stamp(record),
        "s": code,
        "p": number(record["LastPrice"]),
        "q": int(record["LastVol"]),
        "si": SIDES.get(record["Side"], UNKNOWN_SIDE),
        "v": int(record["TotalVol"]),
    }
    average = record["AvgPrice"]
    if facts is None or isinstance(average, str):  # "NaN": nothing has matched yet
        return data
    return data | {
        "o": hundredths(facts.open_e2),
        "h": number(record["Highest"]),
        "l": number(record["Lowest"]),
        # v2's average of a future is in VND (ssi-wire 3.2); in v3 all prices are points.
        "a": number(round(average / facts.multiplier_vnd, 3)),
    }


def _levels(record: Record, side: str, count: int) -> list[list[int | float | str]]:
    """Return ``[[price, volume], ...]`` best first; an auction's price 0 is the word for it."""
    levels: list[list[int | float | str]] = []
    for level in range(1, count + 1):
        price, volume = record[f"{side}Price{level}"], int(record[f"{side}Vol{level}"])
        if volume:
            levels.append([number(price) or record["TradingSession"], volume])
    return levels


def quote(record: Record, _almanac: Almanac) -> Record:
    """X-QUOTE as ``quote``; empty levels are not sent."""
    return {
        "t": stamp(record),
        "s": record["Symbol"],
        "bids": _levels(record, "Bid", BOOK_LEVELS),
        "asks": _levels(record, "Ask", BOOK_LEVELS),
    }


def room(record: Record, _almanac: Almanac) -> Record:
    """R as ``room``."""
    columns = {
        "tr": "TotalRoom",
        "cr": "CurrentRoom",
        "bq": "BuyVol",
        "bv": "BuyVal",
        "sq": "SellVol",
        "sv": "SellVal",
    }
    return {"t": stamp(record), "s": record["Symbol"]} | {
        short: int(record[name]) for short, name in columns.items()
    }


def odd_lot(record: Record, _almanac: Almanac) -> Record:
    """OL as ``oddlot``."""
    return {
        "t": stamp(record),
        "s": record["Symbol"],
        "p": number(record["LastPrice"]),
        "q": int(record["LastVol"]),
        "bids": _levels(record, "Bid", ODD_LEVELS),
        "asks": _levels(record, "Ask", ODD_LEVELS),
    }


def put(record: Record, _almanac: Almanac) -> Record:
    """PUT, a put-through deal (`v3_puts`), as ``put``."""
    return {
        "t": stamp(record),
        "s": record["Symbol"],
        "p": number(record["Price"]),
        "q": record["Quantity"],
        "tq": record["TotalQuantity"],
        "tv": record["TotalValue"],
    }


def market(record: Record, almanac: Almanac) -> Record:
    """F as ``market``: the limits of the day, told again with each phase."""
    facts = almanac.facts[record["Symbol"]]
    return {
        "s": facts.code,
        "b": facts.board,
        "t": stamp(record),
        "ce": hundredths(facts.ceiling_e2),
        "fl": hundredths(facts.floor_e2),
        "ref": hundredths(facts.reference_e2),
    }


def market_flag(record: Record, _almanac: Almanac) -> Record:
    """F of a board's herald as ``market.flag``."""
    board = record["Exchange"]
    return {
        "b": FLAG_BOARDS.get(board, board),
        "t": stamp(record),
        "f": record["TradingSession"],
    }


def index(record: Record, _almanac: Almanac) -> Record:
    """MI as ``trade.index`` (and as ``indexsummary``, whose real payload nobody has published)."""
    counts = {
        "adv": "Advances",
        "dec": "Declines",
        "nc": "NoChanges",
        "ce": "Ceilings",
        "fl": "Floors",
        "tmv": "TotalValue",
        "tmq": "TotalQtty",
        "tvp": "TotalValuePt",
        "tqp": "TotalQttyPt",
        "tq": "AllQty",
        "tv": "AllValue",
    }
    return {
        "s": record["IndexId"].upper(),
        "b": record["Exchange"],
        "ss": record["TradingSession"],
        "t": stamp(record),
        "v": number(record["IndexValue"]),
        "c": number(record["Change"]),
        "cr": number(record["RatioChange"]),
    } | {short: int(record[name]) for short, name in counts.items()}


def bar(record: Record, almanac: Almanac, minutes: int) -> Record | None:
    """Return the bar a match or an index value is in, up to it; None where the day knows none."""
    date = _date(record["TradingDate"])
    if record["RType"] == "MI":
        code = record["IndexId"].upper()
        known = code in almanac.index_boards
        column, mark = "time_s", _seconds(record["Time"])
    else:
        code = record["Symbol"]
        known = code in almanac.facts
        column, mark = "total_volume", int(record["TotalVol"])
    if not known:
        return None
    series = almanac.series(code)
    place = int(np.searchsorted(getattr(series, column), mark, side="right")) - 1
    return None if place < 0 else bar_data(series.bar(place, minutes), code, date)


def bar_data(told: Bar, code: str, date: str) -> Record:
    """Return a bar's payload; `date` as YYYY/MM/DD."""
    return {
        "st": f"{date} {clock(told.start_s)}",
        "t": f"{date} {clock(told.last_s)}",
        "s": code,
        "o": hundredths(told.open_e2),
        "h": hundredths(told.high_e2),
        "l": hundredths(told.low_e2),
        "c": hundredths(told.close_e2),
        "v": told.volume,
    }


def clock(second_of_day: int) -> str:
    """Return HH:MM:SS."""
    minute, second = divmod(second_of_day, 60)
    return f"{minute // 60:02}:{minute % 60:02}:{second:02}"


def _seconds(time: str) -> int:
    hours, minutes, seconds = (int(part) for part in time.split(":"))
    return (hours * 60 + minutes) * 60 + seconds


# Which v2 line a topic type is told from, and how.
SOURCES: Final[dict[str, tuple[str, Callable[[Record, Almanac], Record]]]] = {
    "trade": ("X-TRADE", trade),
    "quote": ("X-QUOTE", quote),
    "room": ("R", room),
    "oddlot": ("OL", odd_lot),
    "put": (PUT, put),
    "market": ("F", market),
    "market.flag": ("F", market_flag),
    "trade.index": ("MI", index),
    "indexsummary": ("MI", index),
}


def strange(kind: str, code: str, record: Record) -> bytes:
    """Return what a line of a type nobody knows becomes: a topic nobody knows."""
    return frame(f"{kind.lower()}.{code}", record)


def broken(kind: str, code: str) -> bytes:
    """Return what a line that is no JSON becomes: a frame that is none."""
    return frame(f"{kind}.{code}", {"s": code})[:-8]


def render(kind: str, interval: str, code: str, record: Record, almanac: Almanac) -> bytes | None:
    """Return the frame of one topic type for one line, or None when there is nothing to tell.

    Parameters
    ----------
    kind, interval
        Topic type, a key of `SOURCES`; interval empty, ``1m`` or ``5m``.
    code
        Upper-case code of the symbol or index the line is about.
    """
    if kind == "market.flag":
        return frame(FLAG_TOPIC, market_flag(record, almanac))
    if interval:
        told = bar(record, almanac, BAR_MINUTES[interval])
        return None if told is None else frame(f"{kind}.{code}@{interval}", told)
    return frame(f"{kind}.{code}", SOURCES[kind][1](record, almanac))

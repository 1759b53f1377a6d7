"""What is inside a hub message: its cumulative volume, and the record itself to be changed."""

import json
import re
from typing import Any, Final

import orjson

from engine.feed.synthetic.text import hub_message, whole_number
from tools.simulator.lines import Line

# Types that tell of matches, each with the day's volume in TotalVol (ssi-wire 3.2 and 3.4).
PRINT_KINDS: Final = frozenset({"X", "X-TRADE"})
BOOK_KINDS: Final = frozenset({"X", "X-QUOTE"})

_TOTAL: Final = re.compile(rb"\bTotalVol\W{1,12}([0-9]+)")
_SESSION: Final = re.compile(rb'(\bTradingSession\\{0,3}":\\{0,3}")[A-Z]*')


def total_shares(line: Line) -> int:
    """Return the cumulative volume a line tells of; 0 when it is of a type without, or zero."""
    if line[1] not in PRINT_KINDS:
        return 0
    match = _TOTAL.search(line[3])
    return int(match[1]) if match else 0


def with_session(message: bytes, word: bytes) -> bytes:
    """Return a message whose TradingSession, where it has one, is another word."""
    return _SESSION.sub(rb"\g<1>" + word, message, count=1)


def with_type(message: bytes, data_type: str) -> bytes:
    """Return a message of another DataType about the same symbol, without its numbers.

    What another fault has broken stays as it is.
    """
    try:
        _, record = read_record(message)
    except orjson.JSONDecodeError:
        return message
    kept: dict[str, Any] = {
        key: record[key] for key in ("TradingDate", "Time", "Symbol") if key in record
    }
    return write_record(data_type, {"RType": data_type, **kept})


def cut_off(message: bytes) -> bytes:
    """Return a hub message, whole in itself, whose envelope ends before it says anything."""
    document = orjson.loads(message)
    envelope = document["A"][0]
    return orjson.dumps({**document, "A": [envelope[: len(envelope) // 8]]})


def read_record(message: bytes) -> tuple[str, dict[str, Any]]:
    """Return type and record of a hub message."""
    envelope = orjson.loads(orjson.loads(message)["A"][0])
    return envelope["DataType"], orjson.loads(envelope["Content"])


def write_record(data_type: str, record: dict[str, Any]) -> bytes:
    """Return the hub message of a record, its numbers as SSI's serialiser writes them."""
    pieces = [f"{json.dumps(key)}:{_value(value)}" for key, value in record.items()]
    return hub_message(data_type, "{" + ",".join(pieces) + "}").encode()


def _value(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return whole_number(int(value))
    return json.dumps(value, ensure_ascii=False)


_CALL: Final = re.compile(rb"\bTradingSession\W{1,12}AT[OC]")
_LEVELS: Final = range(1, 11)


def with_market_orders(message: bytes) -> bytes:
    """Return a book as before KRX: level 1 holds market orders, price 0 (ssi-wire 3.3).

    The limits move one level down; the deepest one shown falls off. Only books of a call change.
    """
    if not _CALL.search(message):
        return message
    data_type, record = read_record(message)
    for side in ("Bid", "Ask"):
        prices = [record[f"{side}Price{level}"] for level in _LEVELS]
        volumes = [record[f"{side}Vol{level}"] for level in _LEVELS]
        shown = sum(1 for price in prices if price)
        if shown == 0:
            continue
        prices[:shown] = [0.0, *prices[: shown - 1]]
        volumes[:shown] = [volumes[0], *volumes[: shown - 1]]
        record |= {f"{side}Price{level}": prices[level - 1] for level in _LEVELS}
        record |= {f"{side}Vol{level}": volumes[level - 1] for level in _LEVELS}
    return write_record(data_type, record)

"""Lines of a tiny day whose messages carry cumulative volumes, and what a stream says of them."""

import re

import orjson

from tools.simulator.hub import broadcast
from tools.simulator.record import total_shares

NINE_MS = 9 * 3_600_000


def message(kind, symbol, **record):
    content = orjson.dumps({"RType": kind, "Symbol": symbol, **record}).decode()
    return broadcast(orjson.dumps({"DataType": kind, "Content": content}).decode())


def match(time_ms, symbol, total, volume=100, kind="X-TRADE"):
    """One print after which `total` has traded."""
    told = message(
        kind,
        symbol,
        LastPrice=10_000.0,
        LastVol=float(volume),
        TotalVol=float(total),
        TradingSession="LO",
    )
    return time_ms, kind, symbol, told


def book(time_ms, symbol, number=1, session="LO"):
    """One book; `number` tells it from others."""
    levels = {
        f"{side}{what}{level}": float(number * level if level < 4 else 0)
        for side in ("Bid", "Ask")
        for what in ("Price", "Vol")
        for level in range(1, 11)
    }
    return time_ms, "X-QUOTE", symbol, message("X-QUOTE", symbol, **levels, TradingSession=session)


def matches(symbol, count, start_ms=NINE_MS, step_ms=1_000, volume=100):
    """A print every `step_ms`, of `volume` shares each."""
    return [
        match(start_ms + number * step_ms, symbol, (number + 1) * volume, volume)
        for number in range(count)
    ]


def merged(*days):
    """Several symbols' lines in order of time."""
    return sorted((line for day in days for line in day), key=lambda line: line[0])


_PRINT = re.compile(
    rb'DataType\\":\\"X(?:-TRADE)?\\".*?Symbol\\{3}":\\{3}"([A-Z0-9]+)'
    rb'.*?LastVol\\{3}":([0-9]+)\.0.*?TotalVol\\{3}":([0-9]+)\.0'
)


def prints_in(frames):
    """Return what a client read: by symbol a list of (total, volume), in order of arrival."""
    seen = {}
    for frame in frames:
        for part in frame.split(b'{"H"')[1:]:
            found = _PRINT.search(part)
            if found and int(found[3]):
                seen.setdefault(found[1].decode(), []).append((int(found[3]), int(found[2])))
    return seen


def totals(lines):
    """Return the cumulative volumes in lines, in order."""
    return [total_shares(line) for line in lines]

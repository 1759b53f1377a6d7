"""What a viewer was told, put together as a trader would."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from tests.e2e.studio import DAY, Record, Studio, Viewer

Row = dict[str, Any]
BarKey = tuple[str, str]  # start such as "09:15", or with a day in front; bar_phase


SHOWN_BY = {"X-TRADE": "stats", "X-QUOTE": "quote", "R": "foreign", "MI": "index"}


def say_slowly(exchange: Studio, viewer: Viewer, *records: Record) -> None:
    """Let the exchange say each message only when the one before has reached `viewer`.

    Messages that arrive together are one group, and of a group only the last state of each symbol
    is told. So whoever wants to see every state says one thing at a time. `viewer` must have the
    topics in SHOWN_BY, and every message must be news there.
    """
    for record in records:
        code = record.get("Symbol") or record["IndexId"]
        day, month, year = record["TradingDate"].split("/")
        exchange.say(record)
        viewer.wait(
            f"{SHOWN_BY[record['RType']]}.{code}",
            exch_time=at(record["Time"], f"{year}-{month}-{day}"),
        )


def at(time: str, day: str = DAY) -> str:
    """Write a time of the exchange as clients see it."""
    return f"{day}T{time}+07:00"


def bars(rows: Iterable[Row]) -> dict[BarKey, Row]:
    """Return every bar that rows of one channel and symbol told of, as it was told last.

    Keys are (HH:MM, phase) in order of time; names are those of the open bar.
    """
    found: dict[BarKey, Row] = {}
    for row in rows:
        for prefix in ("prev_", ""):
            names = ("start_exch_time", "bar_phase", "bar_flags", *FIGURES)
            bar = {name: row[prefix + name] for name in names}
            if bar["start_exch_time"] is not None:
                found[bar["start_exch_time"][11:16], bar["bar_phase"]] = bar
    return found


FIGURES = (
    *("open_price", "high_price", "low_price", "close_price"),
    *("volume_shares", "value_vnd", "trade_count", "buy_volume_shares", "sell_volume_shares"),
)


def expect(row: Row, **wanted: Any) -> None:
    """Fail, naming what differs, unless a row says all of this."""
    wrong = {name: row.get(name) for name, value in wanted.items() if row.get(name) != value}
    assert not wrong, f"it says {wrong}, not {wanted}"


def pick(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    """Return these fields of a row."""
    return tuple(row[name] for name in names)


def turns(values: Iterable[Any]) -> list[Any]:
    """Return a series of values without immediate repetitions."""
    return [value for value, _ in groupby(values)]


def cells(row: Row, figure: str) -> dict[str, dict[str, int]]:
    """Return one figure of a stats row's table: phase -> side -> number."""
    return {
        phase: {side: cell[figure] for side, cell in sides.items()}
        for phase, sides in row["phase_side"].items()
    }


def broken_sums(row: Row) -> list[str]:
    """Say which sums of a stats row do not hold: market-behaviour section 4."""
    table = [cell for sides in row["phase_side"].values() for cell in sides.values()]
    claims = {
        "volume": (sum(c["volume_shares"] for c in table), row["volume_shares"]),
        "value": (sum(c["value_vnd"] for c in table), row["value_vnd"]),
        "count": (sum(c["count"] for c in table), row["trade_count"]),
        "total": (
            row["volume_shares"],
            row["total_volume_shares"] - row["missed_volume_shares"],
        ),
    }
    return [
        f"{name}: {left} is not {right}" for name, (left, right) in claims.items() if left != right
    ]

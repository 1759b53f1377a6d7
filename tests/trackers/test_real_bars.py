"""The real day of 15 July 2021 as bars, against the published tables (market-behaviour 9 and 12).

A day synthesised from the tables is decoded and folded with nothing but classify and the bars. The
tables are read here, by the standard library's reader, and no published figure passes through the
code under test but as messages of the feed.

The published fifteen-minute bars count a match where its stamp lies. Ours keep phases apart, so
three published bars are looked at together with a neighbour: that of 09:00 is our opening auction
and our session bar of 09:00; those of 11:30 and 14:30 are matches of the session that were stamped
in the first seconds after it, and ours are in the bar before.
"""

import csv
import datetime as dt
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.feed import synthetic
from engine.feed.synthetic import frames, plan_day, read_day
from engine.market.days import day_number
from engine.ring.layout import format_ring, ring_bytes
from engine.ring.reader import RingReader
from engine.ring.writer import RingWriter
from engine.schema.codes import BarFlag, Phase
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import SLOT, rows_over
from engine.shard import classify
from engine.shard.fold import Fold
from engine.trackers import bars
from engine.wiring.intake import Intake
from engine.wiring.shard_map import shard_rule

NATIVE = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
DATA = Path(synthetic.__file__).parents[1] / "data"
FUTURE = "VN30F2107"
DATE = dt.date(2021, 7, 15)
MIDNIGHT_S = day_number(DATE) * DAY_S - ICT_OFFSET_S
SYMBOLS, RING_SLOTS = 1_024, 16_384
# Kernels run as plain Python in the other lane: a tenth of the stocks there, the future whole.
EACH = 1 if NATIVE else 10
KEYS = ("open", "high", "low", "close")


class Bar(NamedTuple):
    """One bar: prices in hundredths, and volume."""

    open: int
    high: int
    low: int
    close: int
    volume: int

    def and_then(self, other: "Bar") -> "Bar":
        """Return both as one bar."""
        return Bar(
            self.open,
            max(self.high, other.high),
            min(self.low, other.low),
            other.close,
            self.volume + other.volume,
        )


def e2(text: str) -> int:
    """Hundredths of a decimal number with at most two decimals."""
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int(f"{part:0<2}")


def published_quarters() -> dict[str, Bar]:
    """Return the future's published bars by their start, HH:MM."""
    with (DATA / "vn30f1m-15min-2021-07-15.csv").open(encoding="utf-8", newline="") as file:
        return {
            line["start"][11:16]: Bar(
                *(e2(line[key]) for key in KEYS), int(line["volume_contracts"])
            )
            for line in csv.DictReader(file)
        }


def published_days() -> dict[str, Bar]:
    """Return open, high, low, close and volume of every stock that traded."""
    with (DATA / "market-day-2021-07-15.csv").open(encoding="utf-8", newline="") as file:
        return {
            line["symbol"]: Bar(
                *(100 * int(line[f"{key}_vnd"]) for key in KEYS), int(line["volume_shares"])
            )
            for line in csv.DictReader(file)
        }


@cache
def played() -> dict[str, dict[str, dict[tuple[str, str], Bar]]]:
    """Play the day; return channel -> code -> (start HH:MM, phase) -> the bar as last shown."""
    table, futures = read_day(None, None)
    codes = [listing.code for listing in table.listings][::EACH]
    size = synthetic.SMALL._asdict() | {"index_interval_s": 600, "foreign_interval_s": 20_000}
    if not NATIVE:
        size["trades_max"] = 3_000
    day = plan_day(table, futures, seed=9, symbols=codes, **size)
    memory = np.zeros(symbols_bytes(SYMBOLS), np.uint8)
    format_symbols(memory, SYMBOLS)
    symbols = SymbolTable(memory, shard_rule(1))
    ring = np.zeros(ring_bytes(RING_SLOTS), np.uint8)
    format_ring(ring, RING_SLOTS, created_ns=0)
    intake = Intake(symbols, [RingWriter(ring, None)], np.zeros(1, INGEST_COUNTERS))
    reader = RingReader(ring, None, start="oldest")
    fold = Fold(SYMBOLS, RING_SLOTS, stages=(classify.STAGE, *bars.STAGES))
    batch = np.zeros(RING_SLOTS, SLOT)
    shown: dict[str, dict[str, dict[tuple[str, str], Bar]]] = {}

    def drain() -> None:
        intake.flush()
        count = reader.poll(batch)
        assert reader.lapped_slots == 0
        for channel, rows in fold.fold(rows_over(batch, count)) if count else []:
            by_code = shown.setdefault(channel.name, {})
            for row in rows:
                code = symbols.rows["code"][row["symbol_id"]].decode()
                held = by_code.setdefault(code, {})
                assert row["unplaced_volume_shares"] == 0, code
                for prefix in ("prev_", ""):
                    if row[f"{prefix}start_exch_s"]:
                        keep(held, row, prefix)

    for number, (time_ms, frame) in enumerate(frames(day, 1), 1):
        intake.on_frame(frame, (MIDNIGHT_S * 1_000 + time_ms) * 1_000_000)
        if number % 8 == 0:  # no group spans three minutes
            drain()
    drain()
    return shown


def keep(held: dict[tuple[str, str], Bar], row: Any, prefix: str) -> None:
    """Keep the newest form of one of a row's two bars."""
    second = int(row[f"{prefix}start_exch_s"]) - MIDNIGHT_S
    start = f"{second // 3_600:02}:{second // 60 % 60:02}"
    assert BarFlag(int(row[f"{prefix}bar_flags"])) == BarFlag.NONE
    held[start, Phase(int(row[f"{prefix}bar_phase"])).name] = Bar(
        *(int(row[f"{prefix}{key}_price_e2"]) for key in KEYS), int(row[f"{prefix}volume_shares"])
    )


def test_the_futures_published_fifteen_minute_bars() -> None:
    published, ours = published_quarters(), played()["bar.15m"][FUTURE]
    wanted = {(start, "CONTINUOUS"): bar for start, bar in published.items()}
    wanted["14:45", "ATC"] = wanted.pop(("14:45", "CONTINUOUS"))
    for late, home in (("11:30", "11:15"), ("14:30", "14:15")):
        stamped_late = wanted.pop((late, "CONTINUOUS"))
        wanted[home, "CONTINUOUS"] = published[home].and_then(stamped_late)
    ours = dict(ours)
    ours["09:00", "CONTINUOUS"] = ours.pop(("09:00", "ATO")).and_then(ours["09:00", "CONTINUOUS"])
    assert len(published) == 19
    assert ours == wanted


@pytest.mark.parametrize("channel", ["bar.1m", "bar.5m", "bar.15m", "bar.1h"])
def test_shorter_bars_of_the_future_join_to_its_bar_of_the_day(channel: str) -> None:
    (day,) = played()["bar.1d"][FUTURE].values()
    bars_in_order = [bar for _, bar in sorted(played()[channel][FUTURE].items(), key=in_time)]
    joined = bars_in_order[0]
    for bar in bars_in_order[1:]:
        joined = joined.and_then(bar)
    assert joined == day
    assert day.volume == sum(bar.volume for bar in published_quarters().values())


def in_time(item: tuple[tuple[str, str], Bar]) -> tuple[str, int]:
    """Order bars by start and phase."""
    (start, phase), _ = item
    return start, Phase[phase]


def test_the_bar_of_the_day_of_every_stock_is_the_published_one() -> None:
    published = dict(list(published_days().items())[::EACH])
    ours = played()["bar.1d"]
    traded = {code: bar for code, bar in published.items() if bar.volume}
    assert len(traded) > 600 // EACH
    for code, bar in traded.items():
        assert ours[code] == {("00:00", "CONTINUOUS"): bar}, code
    for code in published.keys() - traded.keys():
        assert code not in ours, "it did not trade"


def test_no_bar_of_the_real_day_begins_in_the_break_and_auctions_are_apart() -> None:
    for channel in ("bar.1m", "bar.5m", "bar.15m", "bar.1h"):
        for code, held in played()[channel].items():
            for start, phase in held:
                assert not "11:30" <= start < "13:00", (channel, code)
                assert phase in {"ATO", "CONTINUOUS", "ATC", "PLO"}
    phases = {phase for held in played()["bar.1m"].values() for _, phase in held}
    assert phases == {"ATO", "CONTINUOUS", "ATC", "PLO"}


def test_minutes_of_every_stock_add_up_to_its_day() -> None:
    for code, held in played()["bar.1d"].items():
        (day,) = held.values()
        minutes = played()["bar.1m"].get(code, {})
        if code not in published_days() and code != FUTURE:
            continue  # an index: its day also knows values of no session
        assert sum(bar.volume for bar in minutes.values()) == day.volume, code
        assert max(bar.high for bar in minutes.values()) == day.high, code
        assert min(bar.low for bar in minutes.values()) == day.low, code

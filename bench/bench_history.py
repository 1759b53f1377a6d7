"""How fast history is written and asked: a synthetic trading day of matches, and its bars.

Written as a recorder does it, in segments; asked before and after the day has been compacted.
Every answer is compared with sums made while the rows were invented.

    stored     1-minute bars as the recorder keeps them
    computed   the same bars, made by SQL from the matches
    one, all   of one symbol; of all symbols

    python -m bench.bench_history [--small] [--json PATH]
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.cli import Size, main
from engine.clock import ICT_OFFSET_S, trade_day
from engine.history.compaction import Compactor
from engine.history.query import History
from engine.history.segments import SegmentStore
from engine.history.tables import BARS, TRADES, to_arrow
from engine.schema import channels
from engine.schema.codes import Phase, Side, SideRule, Venue

SEED = 20210715
SYMBOL_COUNT = 1_600
FIRST_EXCH_S = 1_626_315_600  # 2021-07-15 09:20:00 ICT
MINUTES = 240
SYMBOL = "S0801"
FLOORS_MS = {"one": 200, "all": 2_000}  # what the issue asks for, of a day of 10 million matches

SIZES: dict[Size, dict[str, int]] = {
    "small": {"trades": 100_000, "segments": 4, "rounds": 1},
    "full": {"trades": 10_000_000, "segments": 20, "rounds": 5},
}

COMPUTED = """
    SELECT symbol, time_bucket(INTERVAL 1 minute, time) AS start,
           arg_min(price_e2, seq) AS open_price_e2, max(price_e2) AS high_price_e2,
           min(price_e2) AS low_price_e2, arg_max(price_e2, seq) AS close_price_e2,
           sum(volume_shares) AS volume_shares, count(*) AS trade_count
    FROM trades WHERE {where} GROUP BY ALL ORDER BY symbol, start
"""
STORED = """
    SELECT symbol, time AS start, open_price_e2, high_price_e2, low_price_e2, close_price_e2,
           volume_shares, trade_count
    FROM bars WHERE interval = '1m' AND {where} ORDER BY symbol, start
"""


class Day:
    """Invents matches in the order of time, and keeps the bars they make."""

    def __init__(self, count: int) -> None:
        self._rng = np.random.default_rng(SEED)
        self._count = count
        self._done = 0
        self._seqs = np.zeros(SYMBOL_COUNT + 1, np.int64)
        self._prices = self._rng.integers(100, 1_000, SYMBOL_COUNT + 1) * 10_000
        shape = (SYMBOL_COUNT + 1, MINUTES)
        self.volumes = np.zeros(shape, np.int64)
        self.counts = np.zeros(shape, np.int64)
        self.opens, self.closes = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.highs, self.lows = np.zeros(shape, np.int64), np.full(shape, 2**31 - 1)
        self.codes = np.array([b"", *(b"S%04d" % i for i in range(1, SYMBOL_COUNT + 1))], "S16")

    def trades(self, count: int) -> NDArray[np.void]:
        """Return the next matches, TRADE_DELTA (count,)."""
        rng = self._rng
        rows = np.zeros(count, channels.TRADE.dtype)
        ids = rng.integers(1, SYMBOL_COUNT + 1, count)
        places = np.arange(self._done, self._done + count)
        rows["symbol_id"] = ids
        rows["exch_s"] = FIRST_EXCH_S + places * (60 * MINUTES) // self._count
        rows["recv_ns"] = rows["exch_s"] * np.int64(10**9) + rng.integers(0, 10**9, count)
        rows["seq"] = self._next_seqs(ids)
        rows["updates"] = 1
        rows["phase"], rows["venue"] = Phase.CONTINUOUS, Venue.HOSE
        rows["price_e2"] = self._prices[ids] + rng.integers(-50, 51, count) * 1_000
        rows["side"] = rows["side_exchange"] = rng.choice([Side.BUY, Side.SELL], count)
        rows["side_quote"] = rows["side_tick"] = rows["side"]
        rows["side_rule"] = SideRule.EXCHANGE
        rows["volume_shares"] = rng.integers(1, 50, count) * 100
        rows["value_vnd"] = rows["volume_shares"] * (rows["price_e2"] // 100)
        rows["total_volume_shares"] = rows["seq"] * 2_500
        rows["bid_price_e2"] = rows["price_e2"] - 5_000
        rows["ask_price_e2"] = rows["price_e2"] + 5_000
        self._done += count
        self._keep(rows)
        return rows

    def _next_seqs(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return 1, 2, 3 ... for each symbol, going on from the rows before."""
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        first = np.searchsorted(ordered, ordered)
        seqs = np.empty(len(ids), np.int64)
        seqs[order] = self._seqs[ordered] + np.arange(len(ids)) - first + 1
        np.add.at(self._seqs, ids, 1)
        return seqs

    def _keep(self, rows: NDArray[np.void]) -> None:
        at = (rows["symbol_id"].astype(np.intp), (rows["exch_s"] - FIRST_EXCH_S) // 60)
        prices = rows["price_e2"].astype(np.int64)
        unseen = self.counts[at] == 0
        # Of equal places the last written stays; copies, because numpy turns strides around.
        backwards = tuple(place[unseen][::-1].copy() for place in at)
        self.opens[backwards] = prices[unseen][::-1].copy()
        self.closes[at] = prices
        np.maximum.at(self.highs, at, prices)
        np.minimum.at(self.lows, at, prices)
        np.add.at(self.volumes, at, rows["volume_shares"])
        np.add.at(self.counts, at, 1)

    def bars(self) -> NDArray[np.void]:
        """Return the finished 1-minute bars of all matches so far, BAR_DELTA."""
        ids, minutes = np.nonzero(self.counts)
        rows = np.zeros(len(ids), channels.BAR_1M.dtype)
        rows["symbol_id"], rows["interval_s"] = ids, 60
        rows["seq"] = np.arange(len(ids)) + 1
        rows["start_exch_s"] = FIRST_EXCH_S + minutes * 60
        rows["bar_phase"], rows["venue"] = Phase.CONTINUOUS, Venue.HOSE
        rows["trade_day"] = trade_day(FIRST_EXCH_S)
        for field, known in (
            ("open_price_e2", self.opens),
            ("high_price_e2", self.highs),
            ("low_price_e2", self.lows),
            ("close_price_e2", self.closes),
            ("volume_shares", self.volumes),
            ("trade_count", self.counts),
        ):
            rows[field] = known[ids, minutes]
        return rows

    def check(self, answer: pa.Table, symbols: int) -> None:
        """Compare bars that were asked for with those that were kept."""
        chosen = slice(None) if symbols == SYMBOL_COUNT else self.codes.tolist().index(b"S0801")
        for column, known in (("volume_shares", self.volumes), ("trade_count", self.counts)):
            told = int(answer[column].cast(pa.int64()).to_numpy().sum())
            assert told == int(known[chosen].sum()), (column, told)
        for column, known in (
            ("open_price_e2", self.opens),
            ("close_price_e2", self.closes),
            ("high_price_e2", self.highs),
        ):
            seen = known[chosen]
            counts = self.counts[chosen]
            assert np.array_equal(answer[column].to_numpy(), seen[counts > 0]), column
        starts = answer["start"].cast(pa.int64()).to_numpy() // 10**6 - ICT_OFFSET_S
        assert starts.min() >= FIRST_EXCH_S


def write(day: Day, store: SegmentStore, count: int, segments: int) -> dict[str, Any]:
    """Commit the day in segments, bars with the last; return what it cost."""
    number = trade_day(FIRST_EXCH_S)
    convert_ns = commit_ns = 0
    each = count // segments
    for segment in range(segments):
        rows = day.trades(each)
        started = perf_counter_ns()
        tables = {"trades": to_arrow(TRADES, channels.TRADE, rows, day.codes)}
        if segment == segments - 1:
            tables["bars"] = to_arrow(BARS, channels.BAR_1M, day.bars(), day.codes)
        converted = perf_counter_ns()
        store.commit(number, 0, segment * each, (segment + 1) * each, tables)
        convert_ns += converted - started
        commit_ns += perf_counter_ns() - converted
    rows_written = sum(file.rows for c in store.listing(number).commits for file in c.files)
    return {
        "rows": rows_written,
        "rows_per_s": round(rows_written / (convert_ns + commit_ns) * 1e9),
        "convert_row_ns": round(convert_ns / rows_written, 1),
        "commit_row_ns": round(commit_ns / rows_written, 1),
    }


def ask(history: History, day: Day, rounds: int) -> dict[str, Any]:
    """Ask for bars, stored and computed; return medians in ms."""
    figures: dict[str, Any] = {}
    for name, text in (("stored", STORED), ("computed", COMPUTED)):
        for scope, where, symbols in (
            ("one", f"symbol = '{SYMBOL}'", 1),
            ("all", "true", SYMBOL_COUNT),
        ):
            question = text.format(where=where)
            day.check(history.sql(question), symbols)  # the first time reads checksums too
            figures[f"{name}_{scope}_ms"] = _median_ms(partial(history.sql, question), rounds)
    figures["page_one_ms"] = _median_ms(
        lambda: history.select("bars", [SYMBOL], interval="1m"), rounds
    )
    assert history.damage == ()
    return figures


def _median_ms(call: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        started = perf_counter_ns()
        call()
        spent.append(perf_counter_ns() - started)
    return round(statistics.median(spent) / 1e6, 1)


def run(size: Size) -> dict[str, Any]:
    """Write a day, ask, compact it, ask again."""
    chosen = SIZES[size]
    number = trade_day(FIRST_EXCH_S)
    with tempfile.TemporaryDirectory() as folder:
        store, day = SegmentStore(Path(folder)), Day(chosen["trades"])
        written = write(day, store, chosen["trades"], chosen["segments"])
        history = History(Path(folder))
        segments = ask(history, day, chosen["rounds"])
        segment_bytes = store.written_bytes
        started = perf_counter_ns()
        merged = Compactor(store).compact_day(number)
        compact_s = (perf_counter_ns() - started) / 1e9
        assert merged is not None
        compact = ask(history, day, chosen["rounds"])
        assert store.check(number) == []
        history.close()
    sizes = {file.table: file for file in merged.files}
    result = {
        "written": written,
        "segment_bytes": segment_bytes,
        "compact_s": round(compact_s, 2),
        "trade_bytes_per_million": round(sizes["trades"].size_bytes / sizes["trades"].rows * 1e6),
        "bar_bytes_per_million": round(sizes["bars"].size_bytes / sizes["bars"].rows * 1e6),
        "asked_of_segments": segments,
        "asked_of_compact": compact,
    }
    if size == "full":
        for scope, floor_ms in FLOORS_MS.items():
            spent = compact[f"stored_{scope}_ms"]
            assert spent < floor_ms, f"1-minute bars, {scope}: {spent} ms, limit {floor_ms} ms"
    return result


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

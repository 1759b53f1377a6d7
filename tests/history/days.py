"""Small synthetic days: rows of channels, and the same as plain dicts."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.history.segments import SegmentStore
from engine.history.tables import BARS, TABLES, TRADES, Table, to_arrow
from engine.schema import channels
from engine.schema.words import WORDS

DAY = 20_777  # 2026-11-20
OPEN_S = 1_795_140_000  # 2026-11-20 09:00:00 ICT
CODES = np.array([b"", b"FPT", b"HPG", b"VN30F2612", b"ACB", b"VNINDEX"], "S16")


def any_rows(table: Table, channel, count: int, seed: int) -> np.ndarray:
    """Return rows with something in every field."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, channel.dtype)
    for name in rows.dtype.names:
        kind = rows.dtype[name]
        if kind.shape:
            continue
        if name in WORDS:
            rows[name] = rng.integers(0, len(WORDS[name]), count)
        elif kind.kind == "S":
            rows[name] = rng.choice([b"", b"alpha", b"x-1"], count)
        elif name.endswith("_day"):
            rows[name] = rng.integers(0, 2, count) * rng.integers(1, 40_000, count)
        else:
            info = np.iinfo(kind)
            rows[name] = rng.integers(info.min, info.max, count, kind, endpoint=True)
    rows["symbol_id"] = rng.integers(1, len(CODES), count)
    for name in ("exch_s", table.time):
        rows[name] = rng.integers(0, 5, count) * (OPEN_S // 4)  # a fifth has none
    if table is BARS:
        rows["interval_s"] = rng.choice([60, 300, 900, 3600, 86_400], count)
    return rows


def trades(first_seq: int, count: int, seed: int = 1) -> np.ndarray:
    """Return matches; seq is unique over all symbols, a second passes every ten."""
    rng = np.random.default_rng(seed + first_seq)
    rows = np.zeros(count, channels.TRADE.dtype)
    rows["seq"] = np.arange(first_seq, first_seq + count)
    rows["symbol_id"] = rng.integers(1, len(CODES), count)
    rows["exch_s"] = OPEN_S + rows["seq"] // 10
    rows["recv_ns"] = rows["exch_s"] * np.int64(10**9)
    rows["price_e2"] = rng.integers(1, 10**6, count)
    rows["volume_shares"] = rng.integers(1, 10**6, count)
    return rows


def trade_table(first_seq: int, count: int) -> pa.Table:
    """Return `trades` as columns."""
    return to_arrow(TRADES, channels.TRADE, trades(first_seq, count), CODES)


def bar_table(seq: int, closes: dict[tuple[int, int], int]) -> pa.Table:
    """Return 1-minute bars: (symbol_id, minute) -> close."""
    rows = np.zeros(len(closes), channels.BAR_1M.dtype)
    for row, ((symbol_id, minute), close) in zip(rows, closes.items(), strict=True):
        row["symbol_id"], row["interval_s"], row["seq"] = symbol_id, 60, seq
        row["start_exch_s"], row["close_price_e2"] = OPEN_S + 60 * minute, close
    return to_arrow(BARS, channels.BAR_1M, rows, CODES)


def filled(root: Path, commits: int = 3, each: int = 100, shards: int = 1) -> SegmentStore:
    """Return a store with commits of matches and bars; seqs of rows are those of slots."""
    store = SegmentStore(root)
    for number in range(commits):
        for shard in range(shards):
            first = number * each
            rows = {
                "trades": trade_table(first + shard * 1_000_000, each),
                "bars": bar_table(first, {(1 + shard, number): first}),
            }
            store.commit(DAY, shard, first, first + each, rows)
    return store


def seqs_of(table: pa.Table) -> list[int]:
    """Return the seqs of some rows, in order."""
    return sorted(table["seq"].to_pylist())


__all__ = ["TABLES", "any_rows", "bar_table", "filled", "seqs_of", "trade_table", "trades"]

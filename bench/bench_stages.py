"""What the shard's stages cost per slot, by batch size: a seeded stream, checked by its sums.

    trades     every slot is a match: classify, tape and stats work, one row each on two channels
    mixed      what a tape looks like: seven books to a match, plus what no stage publishes

Batch 1 is a tape so calm that every slot wakes the worker; 1,024 is a burst. `fold` is what a
worker pays (one call of ``Fold.fold``); `unfused` is the same kernels called one by one from
Python and is the reason why they are fused.

    python -m bench.bench_stages [--small] [--json PATH]
"""

import random
import statistics
import sys
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.cli import Size, main
from engine.schema.codes import FeedSession, Side, SlotFlag, SlotKind, Venue
from engine.schema.slots import SLOT, Rows, rows_over
from engine.shard.stage import StageSettings
from engine.shard.stats import check_invariants
from engine.shard.step import plan
from engine.wiring.stages import make_fold

SEED = 20210715
SYMBOL_COUNT = 800
SYMBOL_CAPACITY = 4096
BATCHES = (1, 64, 1024)
FIRST_EXCH_S = 1_626_315_600  # 2021-07-15 09:20:00 ICT, continuous trading on every venue
FLOOR_TRADE_NS = {1: 5_000, 1024: 1_000}  # what the issue asks for, whole list of stages

SIZES: dict[Size, dict[str, Any]] = {
    "small": {"slots": 4_096, "rounds": 1, "unfused_calls": 0},
    "full": {"slots": 131_072, "rounds": 5, "unfused_calls": 20_000},
}


class Stream(NamedTuple):
    """Slots and what must come out of them."""

    slots: NDArray[np.void]
    matches: int
    volume_shares: int


def stream(kind: str, count: int) -> Stream:
    """Build a seeded stream of `count` slots; its totals start at 0, so nothing is missed."""
    rng = random.Random(SEED)
    rows = rows_over(np.zeros(count, SLOT), count)
    totals = dict.fromkeys(range(1, SYMBOL_COUNT + 1), 0)
    prices = {symbol_id: rng.randrange(100, 1_000) * 10_000 for symbol_id in totals}
    matches = 0
    for i in range(count):
        symbol_id = rng.randint(1, SYMBOL_COUNT)
        head = rows.head[i]
        head["symbol_id"] = symbol_id
        head["venue"] = (Venue.HOSE, Venue.HNX, Venue.UPCOM)[symbol_id % 3]
        head["session"] = FeedSession.LO
        head["exch_s"] = FIRST_EXCH_S + i // 64
        head["recv_ns"] = i
        prices[symbol_id] += rng.choice((-5_000, 0, 5_000))
        price = prices[symbol_id]
        if kind == "trades" or i % 8 == 7:
            volume = rng.randint(1, 50) * 100
            totals[symbol_id] += volume
            matches += 1
            _trade(rows, i, price, volume, totals[symbol_id], rng)
        elif i % 8 == 6:
            head["kind"] = SlotKind.FOREIGN
        else:
            _quote(rows, i, price, rng)
    return Stream(rows.head, matches, sum(totals.values()))


def _trade(rows: Rows, i: int, price: int, volume: int, total: int, rng: random.Random) -> None:
    rows.head[i]["kind"] = SlotKind.TRADE
    rows.head[i]["side"] = rng.choice((Side.BUY, Side.SELL, Side.UNKNOWN))
    row = rows.trade[i]
    row["last_price_e2"] = row["high_price_e2"] = row["low_price_e2"] = price
    row["last_volume_shares"] = volume
    row["total_volume_shares"] = total


def _quote(rows: Rows, i: int, price: int, rng: random.Random) -> None:
    rows.head[i]["kind"] = SlotKind.QUOTE
    row = rows.quote[i]
    for level in range(3):
        row["bid_price_e2"][level] = price - 5_000 * (level + 1)
        row["ask_price_e2"][level] = price + 5_000 * level
        row["bid_volume_shares"][level] = rng.randint(1, 500) * 100
        row["ask_volume_shares"][level] = rng.randint(1, 500) * 100


def batches_of(slots: NDArray[np.void], batch: int) -> list[Rows]:
    """Cut a copy of the slots into batches of one group each."""
    slots = slots.copy()
    slots["flags"][batch - 1 :: batch] = SlotFlag.LAST
    slots["flags"][-1] = SlotFlag.LAST
    return [
        rows_over(slots[first : first + batch], len(slots[first : first + batch]))
        for first in range(0, len(slots), batch)
    ]


def measure(source: Stream, batch: int, rounds: int) -> dict[str, Any]:
    """Fold the stream `rounds` times from blank; check each outcome; return ns per slot."""
    batches = batches_of(source.slots, batch)
    spent = []
    for _ in range(rounds):
        fold = make_fold(SYMBOL_CAPACITY, batch, StageSettings())
        fold.warm()
        started = perf_counter_ns()
        for rows in batches:
            fold.fold(rows)
        spent.append(perf_counter_ns() - started)
        counts, stats = fold.counts, fold.latest["stats"]
        assert counts.matches == source.matches, counts
        assert counts.missed_volume_shares == 0, counts
        assert int(stats["volume_shares"].sum()) == source.volume_shares
        assert check_invariants(stats) == []
    median = statistics.median(spent)
    return {
        "batch_slots": batch,
        "slots": len(source.slots),
        "slot_ns": round(median / len(source.slots), 1),
        "slots_per_s": round(len(source.slots) / median * 1e9),
        "best_slot_ns": round(min(spent) / len(source.slots), 1),
    }


def unfused(source: Stream, calls: int) -> float:
    """Return ns per slot at batch 1 when every stage is called from Python."""
    fold = make_fold(SYMBOL_CAPACITY, 1, StageSettings())
    layout = plan(fold.stages, SYMBOL_CAPACITY, 1)
    memory = np.zeros(layout.size_bytes, np.uint8)
    notes = layout.notes.view(memory)
    steps: list[Any] = [
        (stage.kernel, *(place.view(memory) for place in places))
        for stage, places in zip(fold.stages, layout.stages, strict=True)
    ]
    batches = batches_of(source.slots[:calls], 1)
    for turn in range(2):  # the first turn compiles
        started = perf_counter_ns()
        for rows in batches[:1] if turn == 0 else batches:
            for kernel, state, params, out in steps:
                kernel(rows, notes, state, params, out)
    return round((perf_counter_ns() - started) / len(batches), 1)


def run(size: Size = "full") -> dict[str, Any]:
    """Measure every stream and batch size; the answer is checked before a figure is given.

    Returns
    -------
    dict
        ``trades`` and ``mixed``: one entry per batch size with ns per slot and slots/s (median of
        the rounds; best beside it); ``unfused_batch_1_slot_ns`` in full size; the floors.
    """
    setting = SIZES[size]
    sources = {kind: stream(kind, setting["slots"]) for kind in ("trades", "mixed")}
    result: dict[str, Any] = {
        kind: [measure(source, batch, setting["rounds"]) for batch in BATCHES]
        for kind, source in sources.items()
    }
    result["floor_trade_ns"] = {str(batch): ns for batch, ns in FLOOR_TRADE_NS.items()}
    if setting["unfused_calls"]:
        result["unfused_batch_1_slot_ns"] = unfused(sources["trades"], setting["unfused_calls"])
    return result


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

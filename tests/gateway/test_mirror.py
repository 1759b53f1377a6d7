"""The mirror against its naive twin, and the aggregates of merged trades."""

import numpy as np
import pytest

from engine.schema.channels import CHANNELS, MARKET, QUOTE, TRADE
from engine.schema.codes import Instrument, Side
from engine.schema.counters import SHARD_MAX
from gateway.conflation import CLEAN, Lag
from gateway.directory import Directory
from gateway.encode import REQUESTED
from gateway.merge import Merged
from gateway.mirror import Mirror
from gateway.rows import joined_rows, pick
from tests.gateway.market import Market

CAPACITY = 8


def naive(known, rows):
    """One row at a time: what is news, and what it follows."""
    fresh = []
    for symbol_id, seq, price in rows:
        if 0 < symbol_id < CAPACITY and seq > 0 and seq > known.get(symbol_id, (0, 0))[0]:
            fresh.append((symbol_id, seq, known.get(symbol_id, (0, 0))[0]))
            known[symbol_id] = (seq, price)
    return fresh


def batch(rows):
    out = np.zeros(len(rows), QUOTE.dtype)
    for i, (symbol_id, seq, price) in enumerate(rows):
        out[i]["symbol_id"], out[i]["seq"], out[i]["bid_price_e2"] = symbol_id, seq, price
    return out


@pytest.mark.parametrize(("capacity", "rounds"), [(CAPACITY, 60), (1 << 17, 3)])
def test_the_mirror_equals_its_naive_twin(capacity, rounds, seed):
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        mirror, known = Mirror(capacity), {}
        ordered = bool(rng.integers(2))  # as a shard publishes, or anything at all
        next_seq = dict.fromkeys(range(1, CAPACITY), 1)
        for _ in range(6):
            rows = []
            for _ in range(int(rng.integers(0, 12))):
                symbol_id = int(rng.integers(1, CAPACITY))
                if ordered:
                    seq = next_seq[symbol_id]
                    next_seq[symbol_id] += int(rng.integers(1, 3))
                else:
                    seq = int(rng.integers(-1, 9))
                rows.append((symbol_id, seq, int(rng.integers(1, 99))))
            fresh, prev = mirror.apply(QUOTE, batch(rows), 0)
            assert [(r["symbol_id"], r["seq"], p) for r, p in zip(fresh, prev, strict=True)] == (
                naive(known, rows)
            )
        for symbol_id, (seq, price) in known.items():
            assert mirror.rows[QUOTE.code][symbol_id]["bid_price_e2"] == price
            assert mirror.seq[QUOTE.code][symbol_id] == seq


def test_an_epoch_change_forgets_only_that_shard():
    mirror = Mirror(CAPACITY)
    assert not mirror.starts_over(0, 5)
    mirror.meet(0, 5)
    mirror.meet(1, 5)
    mirror.apply(QUOTE, batch([(1, 4, 10)]), 0)
    mirror.apply(QUOTE, batch([(2, 4, 20)]), 1)
    assert mirror.starts_over(0, 6)
    assert mirror.meet(0, 6).tolist() == [1]
    assert mirror.seq[QUOTE.code].tolist() == [0, 0, 4, 0, 0, 0, 0, 0]
    assert mirror.rows[QUOTE.code]["bid_price_e2"].tolist() == [0, 0, 20, 0, 0, 0, 0, 0]
    assert mirror.meet(0, 6).tolist() == []
    assert mirror.epochs[:2] == ["6", "5"]


def test_merged_equals_a_loop(seed):
    rng = np.random.default_rng(seed)
    market, merged = Market("A", "B", "C"), Merged(64)
    rows = np.concatenate(
        [
            np.array(
                [
                    market.trade(
                        str(rng.choice(["A", "B"])),
                        int(rng.integers(1, 500)),
                        int(rng.integers(1, 50)),
                        Side(int(rng.integers(0, 4))),
                        missed_volume_shares=int(rng.integers(0, 3)),
                    )
                ]
            )
            for _ in range(200)
        ]
    )
    for part in np.array_split(rows, 7):
        merged.add_trades(part)
    ids = np.array([1, 2, 3])
    taken = merged.take(ids)
    for at, symbol_id in enumerate(ids.tolist()):
        mine = [row for row in rows if row["symbol_id"] == symbol_id]
        assert taken.count[at] == len(mine)
        if not mine:
            continue
        prices = [int(row["price_e2"]) for row in mine]
        assert (taken.open_e2[at], taken.high_e2[at], taken.low_e2[at]) == (
            prices[0],
            max(prices),
            min(prices),
        )
        for name, want in (
            ("volume", [r["volume_shares"] for r in mine]),
            ("value", [r["value_vnd"] for r in mine]),
            ("missed", [r["missed_volume_shares"] for r in mine]),
            ("buy", [r["volume_shares"] for r in mine if r["side"] == Side.BUY]),
            ("sell", [r["volume_shares"] for r in mine if r["side"] == Side.SELL]),
        ):
            assert taken.sums[name][at] == sum(want)
    assert not merged.take(ids).count.any()


def test_merged_parts_add_up_to_the_whole():
    market = Market("A")
    rows = np.concatenate([np.array([market.trade("A", price)]) for price in (300, 100, 200)])
    whole, first, second, sum_ = Merged(64), Merged(64), Merged(64), Merged(64)
    whole.add_trades(rows)
    first.add_trades(rows[:1])
    second.add_trades(rows[1:])
    ids = np.array([1])
    for part in (first, second):
        sum_.add(ids, part.take(ids))
    a, b = whole.take(ids), sum_.take(ids)
    assert (a.count, a.open_e2, a.high_e2, a.low_e2) == (b.count, b.open_e2, b.high_e2, b.low_e2)
    assert all(a.sums[name] == b.sums[name] for name in a.sums)


@pytest.mark.parametrize(
    ("marks", "kept"),
    [
        ([5], 5),
        ([5, 7], 5),  # the first thing missed counts
        ([0, 3], 0),  # never introduced
        ([5, 0], 0),  # introduced anew
        ([REQUESTED, 7], REQUESTED),  # a state asked for stays that
        ([REQUESTED, 0], REQUESTED),
        ([5, REQUESTED], REQUESTED),
    ],
)
def test_what_a_laggard_is_owed(marks, kept):
    lag, mirror, ids = Lag(CAPACITY), Mirror(CAPACITY), np.array([3])
    repeated = sum(lag.mark(QUOTE.code, ids, np.array([prev])) for prev in marks)
    assert repeated == len(marks) - 1
    assert lag.take(mirror, 10).prev.tolist() == [kept]
    assert lag.take(mirror, 10) is None
    assert CLEAN not in (0, REQUESTED)


def test_a_laggard_is_served_in_portions():
    lag, mirror = Lag(CAPACITY), Mirror(CAPACITY)
    lag.mark(QUOTE.code, np.arange(1, 7), np.arange(1, 7))
    lag.mark(TRADE.code, np.array([2]), np.array([9]))
    assert {c: i.tolist() for c, i in lag.marked()} == {2: [1, 2, 3, 4, 5, 6], 1: [2]}
    portions = []
    while (flush := lag.take(mirror, 4)) is not None:
        portions.append((flush.code, flush.ids.tolist()))
    assert portions == [(2, [1, 2, 3, 4]), (2, [5, 6]), (1, [2])]


def test_rows_picked_as_bytes_are_the_rows(seed):
    rng = np.random.default_rng(seed)
    for channel in CHANNELS:
        rows = np.frombuffer(rng.bytes(20 * channel.dtype.itemsize), channel.dtype)
        for index in (
            np.array([3, 3, 19, 0]),
            rng.integers(0, 2, 20).astype(bool),
            np.array([], np.int64),
        ):
            assert pick(rows, index).tobytes() == rows[index].tobytes()
        parts = [rows[:7], rows[7:7], rows[7:]]
        assert joined_rows(parts).tobytes() == rows.tobytes()
        assert joined_rows(parts[:1]) is parts[0]
        assert joined_rows(parts).dtype == channel.dtype


def test_the_directory_learns_renames_and_forgets():
    directory, market = Directory(64), Market("FPT", "HPG", "VN30F1M")
    assert directory.learn(market.latest["symbol"][1:4]).tolist() == [1, 2, 3]
    version = directory.version
    assert directory.learn(market.latest["symbol"][1:4]).tolist() == []
    assert directory.version == version
    assert directory.find("HPG") == 2
    assert directory.codes() == ["FPT", "HPG", "VN30F1M"]
    assert np.flatnonzero(directory.match("VN30", prefix=True)).tolist() == [3]
    assert np.flatnonzero(directory.match("", prefix=True)).tolist() == [1, 2, 3]
    assert np.flatnonzero(directory.match("FPT", prefix=False)).tolist() == [1]
    assert not directory.match("FP", prefix=False).any()
    market.latest["symbol"][2]["code"] = b"HSG"
    assert directory.learn(market.latest["symbol"][1:4]).tolist() == [2]
    assert (directory.find("HPG"), directory.find("HSG"), directory.code(2)) == (0, 2, "HSG")
    directory.forget(np.array([1, 2]))
    assert directory.codes() == ["VN30F1M"]
    assert directory.codes(board=True) == []
    assert not directory.match("FPT", prefix=False).any()


def test_a_code_may_name_an_index_and_a_key_of_the_board():
    directory, market = Directory(64), Market("FPT")
    market.list("VN30", instrument=Instrument.INDEX)
    market.list("VN30", instrument=Instrument.BOARD, name="board")
    market.list("VN30F2108")
    directory.learn(market.latest["symbol"][1:5])
    assert (directory.find("VN30"), directory.find("VN30", board=True)) == (2, 3)
    assert (directory.find("FPT"), directory.find("FPT", board=True)) == (1, 0)
    assert directory.codes() == ["FPT", "VN30", "VN30F2108"]
    assert directory.codes(board=True) == ["VN30"]
    for board, ids in ((False, [2, 4]), (True, [3])):
        assert np.flatnonzero(directory.match("VN30", prefix=True, board=board)).tolist() == ids
        assert (
            np.flatnonzero(directory.match("VN30", prefix=False, board=board)).tolist() == (ids[:1])
        )
    assert np.flatnonzero(directory.match("", prefix=True, board=True)).tolist() == [3]
    directory.forget(np.array([3]))
    assert (directory.find("VN30"), directory.find("VN30", board=True)) == (2, 0)
    assert not directory.match("VN30", prefix=False, board=True).any()
    assert directory.learn(market.latest["symbol"][3:4]).tolist() == [3]
    assert directory.find("VN30", board=True) == 3


def test_a_mirror_follows_every_source_there_can_be():
    mirror = Mirror(CAPACITY)
    mirror.meet(SHARD_MAX, 7)  # the board, when there are as many shards as can be
    mirror.apply(MARKET, np.ones(1, MARKET.dtype), SHARD_MAX)
    assert mirror.starts_over(SHARD_MAX, 8)
    assert mirror.meet(SHARD_MAX, 8).tolist() == [1]

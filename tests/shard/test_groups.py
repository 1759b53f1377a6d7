"""One row per symbol and group: merging, sequence numbers, left-over out rows."""

import itertools
import random

from engine.schema.codes import SlotKind, Venue
from engine.shard.fold import Fold
from tests.shard.folding import SLOTS, SYMBOLS, assert_same_as_naive, fold_groups
from tests.shard.messages import exch_s, levels

DAY = "2021-07-15"


def quote(symbol_id: int, bid: int, second: int = 0) -> dict:
    """A book that differs by its bid."""
    bids, volumes = levels((bid, 100))
    asks, _ = levels((bid + 10, 100))
    return {
        "kind": SlotKind.QUOTE,
        "symbol_id": symbol_id,
        "venue": Venue.HOSE,
        "exch_s": exch_s(DAY, "09:20:00") + second,
        "recv_ns": 10 + second,
        "bid_price_e2": bids,
        "bid_volume_shares": volumes,
        "ask_price_e2": asks,
        "ask_volume_shares": volumes,
    }


def trade(symbol_id: int, total: int, **more: int) -> dict:
    """A match of 100."""
    return {
        "kind": SlotKind.TRADE,
        "symbol_id": symbol_id,
        "venue": Venue.HOSE,
        "exch_s": exch_s(DAY, "09:20:00"),
        "recv_ns": total,
        "last_price_e2": 1_000_00,
        "last_volume_shares": 100,
        "total_volume_shares": total,
    } | more


def summary(rows: list[dict]) -> list[tuple[int, int, int]]:
    """(symbol, seq, updates) of each row."""
    return [(row["symbol_id"], row["seq"], row["updates"]) for row in rows]


def test_slots_of_a_group_merge_and_the_tape_never_does():
    group = [trade(1, 100), trade(2, 100), trade(1, 200), trade(1, 300), trade(2, 100)]
    _, emitted = fold_groups(Fold(SYMBOLS, SLOTS), [group])
    assert summary(emitted["stats"]) == [(1, 1, 3), (2, 1, 2)]
    assert summary(emitted["trade"]) == [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 3, 1)]
    assert emitted["stats"][0]["volume_shares"] == 300
    assert emitted["stats"][1]["repeat_count"] == 1


def test_groups_of_one_batch_do_not_merge():
    groups = [[trade(1, 100)], [trade(1, 200)], [trade(1, 300), trade(1, 400)]]
    _, emitted = fold_groups(Fold(SYMBOLS, SLOTS), groups)
    assert summary(emitted["stats"]) == [(1, 1, 1), (1, 2, 1), (1, 3, 2)]
    assert [row["volume_shares"] for row in emitted["stats"]] == [100, 200, 400]


def test_a_left_over_out_row_is_not_believed():
    fold = Fold(SYMBOLS, SLOTS)
    fold_groups(fold, [[quote(2, 50), quote(1, 50)]])  # symbol 1 owns out row 1
    _, emitted = fold_groups(fold, [[quote(3, 50), quote(2, 60), quote(1, 60), quote(1, 70)]])
    assert summary(emitted["quote"]) == [(3, 1, 1), (2, 2, 1), (1, 2, 2)]
    assert [row["bid_price_e2"] for row in emitted["quote"]] == [50, 60, 70]


def test_only_slots_that_change_the_row_count_as_updates():
    group = [quote(1, 50, 0), quote(1, 50, 1), quote(1, 60, 2), quote(1, 60, 3)]
    _, emitted = fold_groups(Fold(SYMBOLS, SLOTS), [group])
    assert summary(emitted["quote"]) == [(1, 1, 2)]
    assert emitted["quote"][0]["recv_ns"] == 12
    assert emitted["quote"][0]["exch_s"] == exch_s(DAY, "09:20:02")


def test_a_row_that_came_back_to_what_it_was_is_still_published():
    _, emitted = fold_groups(Fold(SYMBOLS, SLOTS), [[quote(1, 50)], [quote(1, 60), quote(1, 50)]])
    assert summary(emitted["quote"]) == [(1, 1, 1), (1, 2, 2)]


def test_a_day_roll_inside_a_group_starts_a_blank_day_in_the_same_row():
    tomorrow = trade(1, 100, exch_s=exch_s("2021-07-16", "09:20:00"))
    fold = assert_same_as_naive([[trade(1, 100), trade(1, 200), tomorrow]])
    row = fold.latest["stats"][1]
    assert (row["seq"], row["updates"], row["volume_shares"]) == (1, 3, 100)


def test_a_symbol_that_introduces_itself_again_is_no_news():
    def introduce(**changed: object) -> dict:
        return {
            "kind": SlotKind.SYMBOL,
            "symbol_id": 1,
            "venue": Venue.HNX,
            "code": b"FPT",
            "instrument": 1,
            "value_multiplier": 1,
        } | changed

    said = {}
    groups = [[introduce()], [introduce(), introduce()]]
    for change in (
        {"code": b"FPTX"},
        {"venue": Venue.HOSE},
        {"instrument": 2},
        {"value_multiplier": 9},
    ):
        said |= change  # one thing at a time
        groups += [[introduce(**said)], [introduce(**said)]]
    row = assert_same_as_naive(groups).latest["symbol"][1]
    assert row["seq"] == 5
    assert (row["code"], row["venue"], row["instrument"], row["value_multiplier"]) == (
        b"FPTX",
        Venue.HOSE,
        2,
        9,
    )


def test_x_and_the_pair_feed_give_the_same_tape(seed):
    """X sends match and book in one message; X-TRADE and X-QUOTE send what changed, in order."""
    rng = random.Random(seed)
    totals = dict.fromkeys((1, 2, 3), 0)
    books = dict.fromkeys((1, 2, 3), 50)
    as_x, as_pair = [], []
    for symbol_id in totals:
        for feed in (as_x, as_pair):
            feed += [
                [trade(symbol_id, 0, last_volume_shares=0, last_price_e2=0)],
                [quote(symbol_id, 50)],
            ]
    for number in range(200):
        symbol_id = rng.choice((1, 2, 3))
        matched, requoted = rng.random() < 0.5, rng.random() < 0.7
        price = books[symbol_id] + rng.choice((-10, 0, 5, 10, 20))
        totals[symbol_id] += 100 * matched
        books[symbol_id] += rng.choice((-10, 10)) * requoted
        match = trade(symbol_id, totals[symbol_id], last_price_e2=max(price, 1), recv_ns=number)
        book = quote(symbol_id, books[symbol_id]) | {"recv_ns": number}
        as_x.append([match, book])
        as_pair += [[match]] * matched + [[book]] * requoted
    tapes = [fold_groups(Fold(SYMBOLS, 1024), feed)[1]["trade"] for feed in (as_x, as_pair)]
    assert tapes[0] == tapes[1]
    assert len(tapes[0]) > 50


def test_every_cut_of_a_batch_gives_the_same(seed):
    rng = random.Random(seed)
    groups = [
        [trade(rng.randint(1, 3), 100 * number + 100), quote(rng.randint(1, 3), number)]
        for number in range(6)
    ]
    outcomes = []
    for size in range(3):
        for cuts in itertools.combinations(range(1, 6), size):
            fold = Fold(SYMBOLS, SLOTS, hash_deltas=True)
            outcomes.append((fold_groups(fold, groups, cuts), fold.digest(), fold.counts))
    assert all(outcome == outcomes[0] for outcome in outcomes)

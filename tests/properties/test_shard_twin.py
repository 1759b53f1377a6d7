"""Kernels against the naive twin, and what must hold for every stream whatever it says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.shard.fold import Fold
from engine.shard.stats import check_invariants
from tests.shard.folding import SLOTS, SYMBOLS, assert_same_as_naive, fold_groups
from tests.shard.streams import PRECEDENCES, STREAMS, interpret


@given(STREAMS, PRECEDENCES)
def test_kernels_say_what_the_naive_twin_says(events, precedence):
    assert_same_as_naive(interpret(events), precedence)


@given(STREAMS, st.lists(st.integers(1, 48), max_size=6))
def test_batching_is_invisible(events, cuts):
    groups = interpret(events)
    whole, cut = (Fold(SYMBOLS, SLOTS, hash_deltas=True) for _ in range(2))
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()
    assert whole.counts == cut.counts


@given(STREAMS)
def test_volume_is_conserved_and_sequences_have_no_holes(events):
    fold = Fold(SYMBOLS, SLOTS)
    _, emitted = fold_groups(fold, interpret(events))
    assert check_invariants(fold.latest["stats"]) == []
    for rows in emitted.values():
        seqs: dict[int, list[int]] = {}
        for row in rows:
            seqs.setdefault(row["symbol_id"], []).append(row["seq"])
        for sequence in seqs.values():
            assert sequence == list(range(1, len(sequence) + 1))
    for row in emitted.get("stats", ()):
        assert row["volume_shares"] == row["total_volume_shares"] - row["missed_volume_shares"]
        assert row["volume_shares"] == sum(map(sum, row["phase_side_volume_shares"]))


@given(STREAMS)
def test_latest_is_the_last_row_that_was_emitted(events):
    fold = Fold(SYMBOLS, SLOTS)
    groups = interpret(events)
    last: dict[tuple[str, int], bytes] = {}
    for group in groups:
        _, emitted = fold_groups(fold, [group])
        for name, rows in emitted.items():
            for row in rows:
                last[name, row["symbol_id"]] = fold.latest[name][row["symbol_id"]].tobytes()
    for name, latest in fold.latest.items():
        for symbol_id in np.flatnonzero(latest["seq"]):
            assert latest[symbol_id].tobytes() == last[name, int(symbol_id)]

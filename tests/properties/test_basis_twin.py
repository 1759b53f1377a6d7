"""Basis and basis.trend against their naive twin, and what must hold whatever happens."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import BasisState, ContractFlag
from tests.shard.folding import fold_groups
from tests.trackers.basis_messages import STREAMS, both_ways, interpret, new_fold


@given(STREAMS)
def test_kernels_say_what_the_naive_twin_says(steps):
    _, emitted, wanted = both_ways(interpret(steps))
    assert emitted["basis"] == wanted["basis"]
    assert emitted["basis.trend"] == wanted["basis.trend"]


@given(STREAMS, st.lists(st.integers(1, 40), max_size=6))
def test_batching_is_invisible(steps, cuts):
    groups = interpret(steps)
    whole, cut = new_fold(), new_fold()
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()


@given(STREAMS)
def test_whatever_happens_a_row_adds_up(steps):
    _, emitted = fold_groups(new_fold(), interpret(steps))
    seqs = defaultdict(list)
    for row in emitted.get("basis", []):
        seqs[row["symbol_id"]].append(row["seq"])
        if row["basis_state"] == BasisState.NONE:
            assert row["basis_e2"] == 0
            assert row["price_e2"] == 0 or row["spot_value_e2"] == 0
        else:
            assert row["basis_e2"] == row["price_e2"] - row["spot_value_e2"]
            assert row["price_e2"] > 0
            assert row["spot_value_e2"] > 0
        if row["contract_flags"] & ContractFlag.FRONT:
            assert row["expiry_day"] >= row["trade_day"]
        if row["contract_flags"] & ContractFlag.MOST_ACTIVE:
            assert row["total_volume_shares"] > 0
    for seq in seqs.values():
        assert seq == list(range(1, len(seq) + 1))


@given(STREAMS)
def test_after_every_group_one_contract_of_an_underlying_leads_at_most(steps):
    """Of symbols that stay what they are: one that is no contract any more keeps its last row."""
    fold = new_fold()
    for group in interpret([step for step in steps if step[1] != "X"]):
        fold_groups(fold, [group])
        rows = fold.latest["basis"]
        newest = max(rows["trade_day"])
        leaders = defaultdict(int)
        for row in rows[rows["trade_day"] == newest]:
            for flag in ContractFlag(int(row["contract_flags"])):
                leaders[int(row["underlying"]), flag] += 1
        assert all(count == 1 for count in leaders.values())

"""The alerts stage against its naive twin, and what must hold whatever happens."""

from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.codes import AlertState, AlertType
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from tests.alerts.market import SLOTS, STAGES, SYMBOLS
from tests.alerts.streams import SETTINGS, STREAMS, interpret, long_stream
from tests.oracle.alerts_naive import NaiveAlerts
from tests.shard.folding import fold_groups, plain


def new_fold() -> Fold:
    """Return a fold of classify, ledger and alerts with low thresholds."""
    return Fold(SYMBOLS, SLOTS, StageSettings(alerts=SETTINGS), stages=STAGES, hash_deltas=True)


def both_ways(groups):
    """Return the alerts of the kernels and those of the twin."""
    fold = new_fold()
    _, emitted = fold_groups(fold, groups)
    # The notes themselves: the ledger has said in them which gaps opened and closed.
    judged = iter(SimpleNamespace(**plain(note)) for note in fold.notes)
    twin = NaiveAlerts(SETTINGS)
    wanted = [row for group in groups for row in twin.feed(group, [next(judged) for _ in group])]
    return emitted.get("alerts", []), wanted


@given(STREAMS)
def test_kernels_tell_what_the_naive_twin_tells(events):
    told, wanted = both_ways(interpret(events))
    assert told == wanted


@given(STREAMS, st.lists(st.integers(1, 80), max_size=6))
def test_batching_is_invisible(events, cuts):
    groups = interpret(events)
    whole, cut = new_fold(), new_fold()
    assert fold_groups(whole, groups) == fold_groups(cut, groups, cuts)
    assert whole.digest() == cut.digest()


@given(STREAMS)
def test_whoever_reads_only_alerts_finds_them_numbered_and_paired(events):
    _, emitted = fold_groups(new_fold(), interpret(events))
    seqs, numbers, begun = Counter(), Counter(), Counter()
    for row in emitted.get("alerts", []):
        who, kind = row["symbol_id"], (row["alert_type"], row["gap_no"])
        seqs[who] += 1
        assert row["seq"] == seqs[who]
        key = who, row["alert_type"], row["trade_day"]
        numbers[key] += 1
        assert row["alert_no"] == numbers[key]
        if row["alert_state"] == AlertState.BEGIN:
            begun[who, kind] += 1
        elif row["alert_state"] == AlertState.END:
            assert begun[who, kind] > 0  # a stale feed that then goes away begins twice
            begun[who, kind] = 0


@pytest.mark.parametrize("kind", [each for each in AlertType if 0 < each < AlertType.RULE])
def test_the_random_days_have_alerts_of_every_type(kind):
    seen = set()
    for seed in range(20):
        _, emitted = fold_groups(new_fold(), interpret(long_stream(seed, 120)))
        seen |= {row["alert_type"] for row in emitted.get("alerts", [])}
        if kind in seen:
            return
    raise AssertionError(f"no {kind.name} in 20 random days")

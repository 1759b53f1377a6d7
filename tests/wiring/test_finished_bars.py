"""Which bars are over: against a dictionary that remembers every bar it was told of."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.deltas import BAR_DELTA
from engine.wiring.finished_bars import FinishedBars

SYMBOLS = 4
NOTHING = (0, 0, 0)  # start, phase, volume


def row(symbol_id, seq, bar, before=NOTHING):
    told = np.zeros(1, BAR_DELTA)
    told["symbol_id"], told["seq"] = symbol_id, seq
    for prefix, (start, phase, volume) in (("", bar), ("prev_", before)):
        told[f"{prefix}start_exch_s"], told[f"{prefix}bar_phase"] = start, phase
        told[f"{prefix}volume_shares"] = volume
        told[f"{prefix}bar_reserved"] = 0
    return told


def bars_of(rows):
    """Return what rows say, bar by bar, in their order: symbol, start, phase, volume."""
    names = ("symbol_id", "start_exch_s", "bar_phase", "volume_shares")
    return [tuple(int(told[name]) for name in names) for told in rows]


@st.composite
def lives(draw):
    """Rows of a few symbols: bars open, change, end; late matches change the one before."""
    rows, seqs = [], [0] * SYMBOLS
    bar, before = [NOTHING] * SYMBOLS, [NOTHING] * SYMBOLS
    volumes = iter(range(1, 10_000))
    for _ in range(draw(st.integers(1, 40))):
        symbol = draw(st.integers(0, SYMBOLS - 1))
        steps = draw(
            st.lists(st.sampled_from(["match", "next", "late", "day"]), min_size=1, max_size=3)
        )
        for step in steps:  # what one group merges
            start, phase, _ = bar[symbol]
            if step == "late" and before[symbol] != NOTHING:
                before[symbol] = (*before[symbol][:2], next(volumes))
            elif step == "next" and start:
                before[symbol] = bar[symbol]
                bar[symbol] = (start + (phase == 4), 4 if phase == 2 else 2, next(volumes))
            elif step == "day" and start:
                before[symbol], bar[symbol] = NOTHING, (start + 100, 2, next(volumes))
            else:
                bar[symbol] = (start or 1, phase or 2, next(volumes))
        seqs[symbol] += 1
        rows.append(row(symbol, seqs[symbol], bar[symbol], before[symbol]))
    return np.concatenate(rows), draw(st.lists(st.integers(0, len(rows)), max_size=6))


@given(lives())
def test_the_last_word_on_every_bar_is_told_wherever_batches_are_cut(life):
    rows, cuts = life
    told, naive, open_now = {}, {}, {}
    for one in rows:
        symbol = int(one["symbol_id"])
        for prefix in ("prev_", ""):
            start, phase = int(one[f"{prefix}start_exch_s"]), int(one[f"{prefix}bar_phase"])
            if start:
                naive[symbol, start, phase] = int(one[f"{prefix}volume_shares"])
                open_now[symbol] = (symbol, start, phase)
    finished = FinishedBars(SYMBOLS)
    for first, end in pairwise([0, *sorted(cuts), len(rows)]):
        for symbol, start, phase, volume in bars_of(finished.take(rows[first:end])):
            told[symbol, start, phase] = volume
    still_open = {bar[:3]: bar[3] for bar in bars_of(finished.open_bars())}
    assert set(still_open) == set(open_now.values())
    assert not set(told) & set(still_open)
    assert told | still_open == naive
    assert bars_of(finished.close()) == [(*key, still_open[key]) for key in sorted(still_open)]


def test_nothing_has_ended_while_the_first_bar_is_open():
    finished = FinishedBars(SYMBOLS)
    rows = np.concatenate([row(1, 1, (60, 2, 5)), row(1, 2, (60, 2, 9))])
    assert bars_of(finished.take(rows)) == []
    assert bars_of(finished.open_bars()) == [(1, 60, 2, 9)]


def test_a_bar_ends_as_the_row_that_opens_the_next_one_says():
    finished = FinishedBars(SYMBOLS)
    finished.take(row(1, 1, (60, 2, 5)))
    ended = finished.take(row(1, 2, (120, 2, 1), (60, 2, 7)))
    assert bars_of(ended) == [(1, 60, 2, 7)]
    assert ended["seq"].tolist() == [2]
    assert ended["prev_start_exch_s"].tolist() == [0]


def test_a_late_match_tells_the_bar_again():
    finished = FinishedBars(SYMBOLS)
    finished.take(row(1, 1, (60, 2, 5)))
    finished.take(row(1, 2, (120, 2, 1), (60, 2, 5)))
    assert bars_of(finished.take(row(1, 3, (120, 2, 2), (60, 2, 5)))) == []
    assert bars_of(finished.take(row(1, 4, (120, 2, 2), (60, 2, 8)))) == [(1, 60, 2, 8)]


def test_bars_of_one_start_and_two_phases_are_two():
    finished = FinishedBars(SYMBOLS)
    finished.take(row(1, 1, (60, 1, 5)))
    assert bars_of(finished.take(row(1, 2, (60, 2, 1), (60, 1, 5)))) == [(1, 60, 1, 5)]


def test_a_bar_that_left_in_one_group_is_told_as_it_was_known():
    finished = FinishedBars(SYMBOLS)
    finished.take(row(1, 1, (60, 2, 5)))
    ended = finished.take(row(1, 2, (180, 2, 1), (120, 2, 3)))
    assert bars_of(ended) == [(1, 60, 2, 5), (1, 120, 2, 3)]
    assert ended["seq"].tolist() == [1, 2]


def test_close_says_each_state_of_an_open_bar_once():
    finished = FinishedBars(SYMBOLS)
    finished.take(np.concatenate([row(1, 1, (60, 2, 5)), row(2, 1, (60, 2, 6))]))
    assert bars_of(finished.close()) == [(1, 60, 2, 5), (2, 60, 2, 6)]
    assert bars_of(finished.close()) == []
    assert bars_of(finished.open_bars()) == []
    finished.take(row(2, 2, (60, 2, 7)))
    assert bars_of(finished.open_bars()) == [(2, 60, 2, 7)]
    assert bars_of(finished.close()) == [(2, 60, 2, 7)]


def test_rows_are_not_changed():
    finished = FinishedBars(SYMBOLS)
    rows = np.concatenate([row(2, 1, (60, 2, 5)), row(1, 1, (60, 2, 5), (0, 0, 0))])
    before = rows.copy()
    finished.take(rows)
    finished.close()
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows_are_fine(count):
    assert len(FinishedBars(SYMBOLS).take(row(1, 1, (60, 2, 5))[:count])) == 0

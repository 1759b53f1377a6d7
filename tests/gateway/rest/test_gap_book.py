"""Gaps: one entry each, its newest row, bounded."""

import numpy as np

from engine.schema.channels import GAPS
from engine.schema.codes import GapState
from gateway.rest.gap_book import GapBook


def gap(symbol_id, no, seq, state=GapState.OPEN, day=18_823):
    rows = np.zeros(1, GAPS.dtype)
    rows["symbol_id"], rows["gap_no"], rows["seq"] = symbol_id, no, seq
    rows["gap_state"], rows["trade_day"] = state, day
    return rows


def told(book):
    return [(int(r["symbol_id"][0]), int(r["gap_no"][0]), int(r["seq"][0])) for r in book.newest()]


def test_the_newest_row_of_each_gap_is_kept_the_last_change_first():
    book = GapBook()
    book.add(np.concatenate([gap(1, 1, 1), gap(1, 2, 2), gap(2, 1, 1), gap(1, 1, 3)]))
    assert told(book) == [(1, 1, 3), (2, 1, 1), (1, 2, 2)]
    book.add(gap(1, 1, 2))  # an older row, of a snapshot
    assert told(book) == [(1, 1, 3), (2, 1, 1), (1, 2, 2)]
    book.add(gap(1, 1, 1, day=18_824))  # another day's first gap is another gap
    assert len(book) == 4


def test_closed_gaps_are_forgotten_before_open_ones():
    book = GapBook(2)
    book.add(gap(1, 1, 1))
    book.add(gap(2, 1, 1, GapState.CLOSED))
    book.add(gap(3, 1, 1))
    assert told(book) == [(3, 1, 1), (1, 1, 1)]
    book.add(gap(4, 1, 1))
    assert told(book) == [(4, 1, 1), (3, 1, 1)]


def test_a_source_that_starts_over_takes_its_gaps_along():
    book = GapBook()
    book.add(np.concatenate([gap(1, 1, 1), gap(2, 1, 1)]))
    book.forget(np.array([1]))
    assert told(book) == [(2, 1, 1)]


def test_a_row_that_tells_of_no_gap_is_none():
    book = GapBook()
    book.add(gap(1, 0, 1, GapState.NONE))
    assert len(book) == 0

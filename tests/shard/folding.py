"""Helpers that fold messages and compare the outcome with the naive twin."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from engine.schema.codes import NoteFlag
from engine.shard.fold import Fold
from engine.shard.stage import StageSettings
from tests.oracle.shard_naive import CHANNELS, NaiveShard
from tests.shard.messages import Message, rows_of

SYMBOLS, SLOTS = 8, 256

Groups = Sequence[Sequence[Message]]


def plain(row: np.void) -> dict[str, Any]:
    """Return a record as a dict of Python values, without its reserve."""
    return {
        name: row[name].tolist() if isinstance(row[name], np.ndarray | np.generic) else row[name]
        for name in row.dtype.names
        if not name.startswith("reserved")
    }


def judgement(note: np.void) -> dict[str, Any]:
    """Return what classify said in a note: without what the ledger added."""
    said = plain(note)
    del said["gap_no"]
    said["flags"] &= ~(NoteFlag.GAP_OPENED | NoteFlag.GAP_CLOSED)
    return said


def fold_groups(
    fold: Fold, groups: Groups, cuts: Sequence[int] = ()
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """Fold groups, one batch between any two cuts; return all notes and rows as dicts."""
    notes: list[dict[str, Any]] = []
    emitted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(groups)}), len(groups)]
    for first, end in pairwise(edges):
        rows = rows_of(groups[first:end])
        for channel, out in fold.fold(rows):
            emitted[channel.name] += [plain(row) for row in out]
        notes += [judgement(note) for note in fold.notes[: rows.count]]
    return notes, dict(emitted)


def assert_same_as_naive(
    groups: Groups,
    precedence: tuple[str, ...] = ("EXCHANGE", "QUOTE", "TICK"),
    slots: int = SLOTS,
) -> Fold:
    """Fold with kernels and with the twin: equal notes, equal rows on every channel."""
    fold = Fold(SYMBOLS, slots, StageSettings(precedence), hash_deltas=True)
    notes, emitted = fold_groups(fold, groups)
    twin = NaiveShard(precedence, SYMBOLS)
    for group in groups:
        twin.feed(list(group))
    for i, (note, expected) in enumerate(zip(notes, twin.notes, strict=True)):
        assert note == {name: int(value) for name, value in vars(expected).items()}, (
            f"note of slot {i}"
        )
    assert set(emitted) & CHANNELS == {name for name, rows in twin.rows.items() if rows}
    for name, rows in twin.rows.items():
        got = emitted.get(name, [])
        assert len(got) == len(rows), name
        for row, wanted in zip(got, rows, strict=True):
            assert row == wanted, name
    return fold

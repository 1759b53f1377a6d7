"""A table made anew gives every symbol of a journal the id it had."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decode.symbols import (
    INTRODUCED,
    SymbolTable,
    format_symbols,
    restore_symbols,
    symbols_bytes,
)
from engine.schema.codes import Instrument, SlotKind, Venue
from engine.schema.slots import SLOT, SYMBOL

CAPACITY = 32
CODES = [f"S{i:02}".encode() for i in range(CAPACITY - 1)]


def shard_of(code, instrument):
    return 0 if instrument is not Instrument.STOCK else 1 + code[-1] % 2


def table_memory():
    memory = np.zeros(symbols_bytes(CAPACITY), np.uint8)
    format_symbols(memory, CAPACITY)
    return memory


def introductions(table, ids):
    slots = np.zeros(len(ids), SLOT)
    for slot, symbol_id in zip(slots.view(SYMBOL), ids, strict=True):
        slot["kind"], slot["symbol_id"] = SlotKind.SYMBOL, symbol_id
        for column in INTRODUCED:
            slot[column] = table.rows[symbol_id][column]
    return slots


@given(
    venues=st.lists(st.sampled_from(list(Venue)), min_size=1, max_size=len(CODES)),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_and_ids_are_those_of_the_table_that_was(venues, seed):
    first = SymbolTable(table_memory(), shard_of)
    for code, venue in zip(CODES, venues, strict=False):
        first.intern(code, venue)
    order = np.random.default_rng(seed).permutation(np.arange(1, first.count))
    memory = table_memory()
    restore_symbols(memory, introductions(first, order), shard_of)
    second = SymbolTable(memory, shard_of)
    assert second.count == first.count
    assert second.rows.tobytes() == first.rows.tobytes()
    assert [second.intern(code, Venue.UNKNOWN) for code in CODES[: len(venues)]] == list(
        range(1, first.count)
    )
    assert second.intern(b"NEW", Venue.HOSE) == first.intern(b"NEW", Venue.HOSE)


def test_the_later_introduction_of_a_symbol_is_right():
    first = SymbolTable(table_memory(), shard_of)
    first.intern(b"FPT", Venue.UNKNOWN)
    early = introductions(first, [1])
    first.intern(b"FPT", Venue.HNX)
    memory = table_memory()
    restore_symbols(memory, np.concatenate([early, introductions(first, [1])]), shard_of)
    assert SymbolTable(memory, shard_of).rows[1]["venue"] == Venue.HNX


def test_an_id_that_the_journal_lost_is_nobody_s():
    first = SymbolTable(table_memory(), shard_of)
    for code in CODES[:4]:
        first.intern(code, Venue.HOSE)
    memory = table_memory()
    restore_symbols(memory, introductions(first, [1, 4]), shard_of)
    second = SymbolTable(memory, shard_of)
    assert [second.find(code) for code in CODES[:4]] == [1, 0, 0, 4]
    assert second.intern(CODES[1], Venue.HOSE) == 5


def test_an_empty_journal_changes_nothing():
    memory, blank = table_memory(), table_memory()
    restore_symbols(memory, np.zeros(0, SLOT), shard_of)
    assert memory.tobytes() == blank.tobytes()


def test_an_id_beyond_the_table_is_a_bug():
    slots = np.zeros(1, SLOT)
    slots["symbol_id"] = CAPACITY
    with pytest.raises(AssertionError, match="symbol id 32 in a table of 32"):
        restore_symbols(table_memory(), slots, shard_of)

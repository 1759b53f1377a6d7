"""The symbol table: stable ids, what a row says, the scanner's index."""

import numpy as np
import pytest

from engine.decode.symbols import SymbolTable, find_id, format_symbols, symbols_bytes
from engine.errors import SchemaMismatch
from engine.schema.codes import Instrument, Underlying, Venue
from tests.oracle.decode_frames import new_symbols


def memory_of(capacity):
    memory = np.zeros(symbols_bytes(capacity) + 32, np.uint8)
    format_symbols(memory, capacity)
    return memory


def lookup(table, code):
    low, high = np.frombuffer(code.ljust(16, b"\0"), np.int64)
    return find_id(table.index, table.codes, int(low), int(high))


def test_ids_count_from_one_and_never_change():
    table = new_symbols()
    assert [table.intern(code, Venue.HOSE) for code in (b"SSI", b"HPG", b"SSI")] == [1, 2, 1]
    assert (table.find(b"HPG"), table.find(b"FPT"), table.count) == (2, 0, 3)


def test_a_future_s_row_tells_its_underlying_and_last_trading_day_in_both_code_families():
    table = SymbolTable(memory_of(8), lambda code, instrument: 0)
    for code in (b"VN30F2107", b"41I1G8000", b"41I2G8000", b"GB05F2112", b"VN30F1M", b"FPT"):
        table.intern(code, Venue.HOSE if code == b"FPT" else Venue.DERIVATIVES)
    told = [
        (Underlying(row["underlying"]).name, str(np.datetime64(int(row["expiry_day"]), "D")))
        for row in table.rows[1:7]
    ]
    assert told == [
        ("VN30", "2021-07-15"),
        ("VN30", "2026-08-20"),
        ("VN100", "2026-08-20"),
        ("BOND", "2021-12-15"),
        ("VN30", "1970-01-01"),  # a rolling alias names no month
        ("NONE", "1970-01-01"),
    ]


def test_rows():
    table = SymbolTable(memory_of(8), lambda code, instrument: len(code) + instrument)
    table.intern(b"SSI", Venue.HOSE)
    table.intern(b"41I1G4000", Venue.DERIVATIVES)
    table.intern(b"VN30", Venue.HOSE)
    table.intern(b"ABC", Venue.HOSE, Instrument.INDEX)
    rows = [
        (
            row["code"].decode(),
            int(row["value_multiplier"]),
            Venue(row["venue"]).name,
            Instrument(row["instrument"]).name,
            int(row["shard"]),
        )
        for row in table.rows[1:5]
    ]
    assert rows == [
        ("SSI", 1, "HOSE", "STOCK", 4),
        ("41I1G4000", 100_000, "DERIVATIVES", "FUTURE", 11),
        ("VN30", 1, "HOSE", "INDEX", 7),
        ("ABC", 1, "HOSE", "INDEX", 6),
    ]


def test_ids_survive_a_restart_and_symbols_are_introduced_again():
    memory = memory_of(8)
    first = SymbolTable(memory, lambda _code, _instrument: 3)
    assert first.intern(b"SSI", Venue.HOSE) == 1
    assert [first.introduce(1), first.introduce(1)] == [True, False]
    second = SymbolTable(memory, lambda _code, _instrument: 4)
    assert second.intern(b"SSI", Venue.HOSE) == 1
    assert second.rows[1]["shard"] == 3
    assert lookup(second, b"SSI") == 0
    assert second.introduce(1)
    assert lookup(second, b"SSI") == 1
    assert second.intern(b"HPG", Venue.HOSE) == 2


def test_a_full_table_gives_no_id():
    table = new_symbols(3)
    assert [table.intern(code, Venue.HOSE) for code in (b"A", b"B", b"C", b"A")] == [1, 2, 0, 1]
    assert table.count == 3


def test_the_venue_is_learnt_once():
    table = new_symbols()
    table.intern(b"ABC", Venue.UNKNOWN)
    table.introduce(1)
    assert table.intern(b"ABC", Venue.UNKNOWN) == 1
    assert not table.introduce(1)
    table.intern(b"ABC", Venue.UPCOM)
    assert table.introduce(1)
    table.intern(b"ABC", Venue.HOSE)
    assert not table.introduce(1)
    assert table.rows[1]["venue"] == Venue.UPCOM


@pytest.mark.parametrize("capacity", [2, 3, 300])
def test_the_index_finds_every_introduced_code_and_no_other(capacity):
    table = new_symbols(capacity)
    codes = [f"{'S' * (i % 13)}{i}".encode() for i in range(capacity - 1)]
    for code in codes:
        table.introduce(table.intern(code, Venue.HNX))
    assert [lookup(table, code) for code in codes] == list(range(1, capacity))
    assert not any(lookup(table, b"X" + code) for code in codes)
    assert np.count_nonzero(table.index) == capacity - 1 <= len(table.index) // 2


def test_another_schema_is_refused():
    memory = memory_of(4)
    memory[0] ^= 1
    with pytest.raises(SchemaMismatch, match="delete the segment"):
        SymbolTable(memory, lambda _code, _instrument: 0)


def test_format_says_how_much_memory_it_needs():
    with pytest.raises(AssertionError, match="64 bytes, 184 needed for 3 symbols"):
        format_symbols(np.zeros(64, np.uint8), 3)

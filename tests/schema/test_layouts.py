"""Pin every layout: what other processes, files and browsers read must not change unnoticed."""

import os
import subprocess
import sys
from enum import Enum, IntFlag

import numpy as np
import pytest

import engine.schema
from engine.schema import bus, channels, codes, counters, deltas, journal, notes, segments, slots
from engine.schema.record import describe, record
from tests.house.sources import ROOT

PHASES, SIDES, LEVELS, REJECTS, MINUTES, TOP = 9, 4, 10, 12, 360, 10

# name, dtype, size as the sum of its parts
LAYOUTS = [
    # 8-byte seq and recv_ns, 4-byte exch_s and symbol_id, eight bytes of codes; then the payload
    ("slot", slots.SLOT, (2 * 8 + 2 * 4 + 8) + 160),
    ("trade", slots.TRADE, 32 + (10 * 4 + 3 * 8) + 96),
    ("quote", slots.QUOTE, 32 + 4 * LEVELS * 4),
    ("index", slots.INDEX, 32 + (8 * 4 + 9 * 8) + 56),
    ("foreign", slots.FOREIGN, 32 + 6 * 8 + 112),
    ("status", slots.STATUS, 32 + 8 + 152),
    ("bar", slots.BAR, 32 + (4 * 4 + 8) + 136),
    ("odd_lot", slots.ODD_LOT, 32 + (8 * 4 + 3 * 8 + 4 * 3 * 4) + 56),
    ("symbol", slots.SYMBOL, 32 + (16 + 8 + 8) + 128),
    ("control", slots.CONTROL, 32 + (3 * 8 + 96) + 40),
    ("put_through", slots.PUT_THROUGH, 32 + (2 * 4 + 3 * 8) + 128),
    ("reference", slots.REFERENCE, 32 + (4 * 4 + 2 * 8 + 8 + 96) + 24),
    ("backfill", slots.BACKFILL, 32 + (8 + 4 * 4 + 8 + 2 * 4) + 120),
    ("note", notes.NOTE, 8 * 1 + 3 * 8 + 2 * 4 + 8),
    ("symbol_delta", deltas.SYMBOL_DELTA, 32 + 16 + 8 + 8),
    ("trade_delta", deltas.TRADE_DELTA, 32 + (4 + 5 + 7) + 4 * 8 + 2 * 4),
    ("quote_delta", deltas.QUOTE_DELTA, 32 + 2 * 4 + 2 * 8),
    ("book_delta", deltas.BOOK_DELTA, 32 + 4 * LEVELS * 4),
    (
        "stats_delta",
        deltas.STATS_DELTA,
        32 + 14 * 4 + 6 * 8 + PHASES * SIDES * (8 + 8 + 4) + PHASES * 4 + 4,
    ),
    ("reference_delta", deltas.REFERENCE_DELTA, 32 + 4 * 4 + 2 * 8 + 2 * 4 + 8 + 96),
    ("gaps_delta", deltas.GAPS_DELTA, 32 + 8 + 2 * 4 + 2 * 8 + 3 * 8 + 4 * 4 + 8 + 8),
    ("feed_delta", deltas.FEED_DELTA, 32 + 8 + 8 + 2 * 4 + 3 * 8 + 96),
    ("bar_delta", deltas.BAR_DELTA, 32 + (2 * 4 + 8) + 2 * (4 + 4 + 6 * 4 + 5 * 8)),
    ("foreign_delta", deltas.FOREIGN_DELTA, 32 + 15 * 8 + 2 * 4),
    ("index_delta", deltas.INDEX_DELTA, 32 + 12 * 4 + 9 * 8 + 8),
    ("index_series_delta", deltas.INDEX_SERIES_DELTA, 32 + 2 * 4 + MINUTES * (4 + 4)),
    ("basis_delta", deltas.BASIS_DELTA, 32 + 6 * 4 + 4 * 4 + 8 + 8),
    ("basis_trend_delta", deltas.BASIS_TREND_DELTA, 32 + 2 * 4 + MINUTES * (4 + 4 + 4)),
    ("limits_delta", deltas.LIMITS_DELTA, 32 + 4 + 3 * 4 + 2 * 4 + 3 * 8 + 2 * 4),
    ("auction_delta", deltas.AUCTION_DELTA, 32 + 2 * 4 + 7 * 8 + 2 * 4),
    ("put_through_delta", deltas.PUT_THROUGH_DELTA, 32 + 2 * 4 + 4 * 8 + 8),
    ("odd_lot_delta", deltas.ODD_LOT_DELTA, 32 + 8 * 4 + 3 * 8 + 4 * 3 * 4 + 8),
    ("alert_delta", deltas.ALERT_DELTA, 32 + 8 + 4 * 4 + 4 * 8 + 4 * 4 + 32),
    ("market_delta", deltas.MARKET_DELTA, 32 + 8 * 4 + 9 * 8),
    ("foreign_summary_delta", deltas.FOREIGN_SUMMARY_DELTA, 32 + 8 * 8 + 4 * 4),
    ("movers_delta", deltas.MOVERS_DELTA, 32 + 2 * 4 + TOP * (16 + 2 * 4 + 3 * 8)),
    ("attribution_delta", deltas.ATTRIBUTION_DELTA, 32 + 8 + 4 * 4 + 8 + 2 * 4 + TOP * 2 * 20),
    ("status_delta", deltas.STATUS_DELTA, 32 + 4 * 1 + 3 * 4),
    ("bus_header", bus.BUS_HEADER, 4 * 8 + 2 * 2 + 4),
    ("bus_section", bus.BUS_SECTION, 2 * 4),
    ("ring_header", segments.RING_HEADER, 5 * 64),
    ("symbols_header", segments.SYMBOLS_HEADER, 64),
    ("symbol_row", segments.SYMBOL_ROW, 16 + 8 + 2 * 1 + 2 + 4 + 8),
    ("ingest_counters", counters.INGEST_COUNTERS, (37 + REJECTS) * 8),
    ("shard_counters", counters.SHARD_COUNTERS, 38 * 8),
    ("board_counters", counters.BOARD_COUNTERS, 12 * 8),
    ("gateway_counters", counters.GATEWAY_COUNTERS, (30 + 17) * 8),
    ("recorder_counters", counters.RECORDER_COUNTERS, (14 + 16) * 8),
    ("rest_counters", counters.REST_COUNTERS, 16 * 8),
    ("journal_header", journal.JOURNAL_HEADER, 6 * 8 + 4 + 2 + 10),
    ("journal_record", journal.JOURNAL_RECORD, 192 + 8),
]
DTYPES = [pytest.param(dtype, id=name) for name, dtype, _ in LAYOUTS]

CODES = [
    code
    for module in (codes, bus)
    for code in vars(module).values()
    if isinstance(code, type) and issubclass(code, Enum) and len(code)
]


def field_spans(dtype):
    """Return (name, offset, bytes) of every field in memory order."""
    spans = [(name, offset, field.itemsize) for name, (field, offset) in dtype.fields.items()]
    return sorted(spans, key=lambda span: span[1])


@pytest.mark.parametrize(("dtype", "size"), [pytest.param(d, s, id=n) for n, d, s in LAYOUTS])
def test_size_is_the_sum_of_its_parts(dtype, size):
    assert dtype.itemsize == size


def test_no_layout_is_missing_here():
    pinned = {id(dtype) for _, dtype, _ in LAYOUTS}
    modules = (bus, counters, deltas, journal, notes, segments, slots)
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, np.dtype):
                assert id(value) in pinned, f"{module.__name__}.{name} is not pinned"


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_byte_has_a_name(dtype):
    end = 0
    for name, offset, size in field_spans(dtype):
        assert offset == end, f"{offset - end} bytes of padding before {name}"
        end += size
    assert end == dtype.itemsize


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_is_little_endian_and_aligned(dtype):
    for name, (field, offset) in dtype.fields.items():
        assert field.base.kind in "iuS", f"{name} is {field.base}: no floats, no objects"
        assert field.base.newbyteorder("<") == field.base, f"{name} is not little-endian"
        if field.base.kind != "S":
            assert offset % field.base.itemsize == 0, f"{name} at {offset} is not aligned"


def test_all_kinds_of_slot_share_one_head():
    for name, dtype in slots.SLOT_LAYOUTS.items():
        assert field_spans(dtype)[: len(slots.HEAD_FIELDS)] == field_spans(slots.SLOT)[:-1], name


def test_all_deltas_share_one_head():
    heads = {
        tuple(field_spans(channel.dtype)[: len(deltas.DELTA_HEAD)]) for channel in channels.CHANNELS
    }
    assert len(heads) == 1
    assert sum(size for _, _, size in heads.pop()) == 32


def test_a_slot_is_whole_cache_lines_and_writers_have_lines_of_their_own():
    assert slots.SLOT_BYTES % segments.CACHE_LINE_BYTES == 0
    cells = ["intent_seq", "write_seq", "read_seq", "parked"]
    fields = segments.RING_HEADER.fields
    assert fields is not None
    lines = [divmod(fields[cell][1], segments.CACHE_LINE_BYTES) for cell in cells]
    assert lines == [(1, 0), (2, 0), (3, 0), (4, 0)]


def test_views_over_a_batch_share_its_memory():
    batch = np.zeros(4, dtype=slots.SLOT)
    rows = slots.rows_over(batch, 3)
    assert rows.count == 3
    rows.trade[2]["symbol_id"] = 7
    rows.symbol[1]["code"] = b"VCB"
    assert batch[2]["symbol_id"] == 7
    assert batch[1]["reserved"].tobytes().startswith(b"VCB")
    assert all(len(view) == 4 for view in rows[1:])


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
def test_codes_are_contiguous(code):
    values = [member.value for member in code if member.value]
    if issubclass(code, IntFlag):
        assert values == [1 << bit for bit in range(len(values))]
    else:
        assert values == list(range(1, len(values) + 1))


def test_limits_keep_products_inside_int64():
    assert slots.PRICE_E2_MAX * slots.LEVEL_VOLUME_MAX < 2**63
    assert np.iinfo(np.int32).max >= max(slots.PRICE_E2_MAX, slots.LEVEL_VOLUME_MAX)


# -- SCHEMA_ID ----------------------------------------------------------------------------------


def test_schema_id_is_the_same_in_another_process():
    program = "import engine.schema as s; print(s.SCHEMA_ID, s.SCHEMA_U64)"
    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert printed == [engine.schema.SCHEMA_ID, str(engine.schema.SCHEMA_U64)]


def test_schema_u64_is_the_beginning_of_schema_id():
    digest = bytes.fromhex(engine.schema.SCHEMA_ID.removeprefix("sha256:"))
    assert len(digest) == 32
    assert engine.schema.SCHEMA_U64.to_bytes(8, "little") == digest[:8]


@pytest.mark.parametrize("dtype", DTYPES)
def test_schema_text_holds_every_layout(dtype):
    assert describe(dtype) in engine.schema._schema_text()


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
def test_schema_text_holds_every_code(code):
    members = ",".join(f"{member.name}={member.value}" for member in code)
    assert f"{code.__name__} {members}" in engine.schema._schema_text().splitlines()


BASE = [("seq", "i8"), ("price_e2", "i4"), ("flags", "u4"), ("levels", "i4", (4,))]
CHANGES = {
    "a renamed field": [("number", "i8"), *BASE[1:]],
    "a signedness": [BASE[0], ("price_e2", "u4"), *BASE[2:]],
    "two fields swapped": [BASE[0], BASE[2], BASE[1], BASE[3]],
    "a field split": [BASE[0], BASE[1], ("flags", "u2"), ("more", "u2"), BASE[3]],
    "a shape": [*BASE[:3], ("levels", "i4", (2, 2))],
    "an element type": [*BASE[:3], ("levels", "u4", (4,))],
    "a string for numbers": [*BASE[:3], ("levels", "S16")],
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_layout_changes_its_description(change):
    before = record("before", BASE, size_bytes=32)
    after = record("after", CHANGES[change], size_bytes=32)
    assert describe(before) != describe(after)


def test_a_changed_layout_changes_the_schema_text(monkeypatch):
    before = engine.schema._schema_text()
    changed = record("note", [("event", "u1"), ("reserved", "u1", (39,))], size_bytes=40)
    monkeypatch.setattr(notes, "NOTE", changed)
    assert engine.schema._schema_text() != before


# -- record -------------------------------------------------------------------------------------


def test_record_refuses_a_size_that_is_not_the_sum():
    with pytest.raises(AssertionError, match="add up to 12 bytes, the layout says 16"):
        record("short", [("a", "i8"), ("b", "i4")], size_bytes=16)


def test_record_refuses_a_field_out_of_alignment():
    with pytest.raises(AssertionError, match=r"crooked\.b: offset 4 is not a multiple of 8"):
        record("crooked", [("a", "i4"), ("b", "i8")], size_bytes=12)

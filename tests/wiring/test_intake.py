"""Frames in, slots on rings: what is counted, what is split, what goes where."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest

from engine.clock import iso_ict
from engine.decode.frames import FRAME_BYTES_MAX, FrameBatch
from engine.feed.backfill import Answer, Bar, Gap
from engine.feed.reference import Reference, ReferenceRow
from engine.schema.codes import (
    ControlOp,
    FeedState,
    IndexMember,
    Instrument,
    Reject,
    SlotFlag,
    SlotKind,
    Underlying,
    Venue,
)
from engine.schema.slots import BACKFILL, CONTROL, DETAIL_BYTES, REFERENCE, SLOT, SYMBOL
from engine.wiring import intake as intake_module
from engine.wiring.intake import Intake
from engine.wiring.local import LocalTape
from engine.wiring.shard_map import shard_rule

CODES = ("SSI", "HPG", "VNM", "ACB", "FPT", "MWG")


def message(code: str, number: int = 1) -> str:
    """Return a hub message: the status of a symbol, short and without a number."""
    content = {
        "RType": "F",
        "MarketId": "HOSE",
        "TradingDate": "14/08/2026",
        "Time": f"10:{number // 60 % 60:02}:{number % 60:02}",
        "Symbol": code,
        "TradingSession": "LO",
        "TradingStatus": "N",
        "Exchange": "HOSE",
        "TradingOlSession": "",
    }
    envelope = json.dumps({"DataType": "F", "Content": json.dumps(content)})
    return json.dumps({"H": "FcMarketDataV2Hub", "M": "Broadcast", "A": [envelope]})


def frame(*messages: str) -> bytes:
    return f'{{"C":"d-1","M":[{",".join(messages)}]}}'.encode()


def tape(shards: int = 1, ring_slots: int = 8_192) -> LocalTape:
    return LocalTape(shards=shards, ring_slots=ring_slots, symbols_max=64)


def slots_of(local: LocalTape, shard: int = 0) -> np.ndarray[Any, Any]:
    """Take everything a shard's ring holds."""
    reader, batch = local.shards[shard].reader, np.zeros(4_096, SLOT)
    taken = []
    while count := reader.poll(batch):
        taken.append(batch[:count].copy())
    assert reader.lapped_slots == 0
    return np.concatenate(taken) if taken else np.zeros(0, SLOT)


def test_nothing_is_published_before_the_flush() -> None:
    local = tape()
    local.intake.on_frame(frame(message("SSI")), 5)
    assert len(slots_of(local)) == 0
    assert local.counters[0]["frames"] == 0
    assert local.intake.flush() == 2
    slots = slots_of(local)
    assert slots["kind"].tolist() == [SlotKind.SYMBOL, SlotKind.STATUS]
    assert slots["recv_ns"].tolist() == [5, 5]
    assert local.intake.flush() == 0


def test_frames_bytes_and_the_last_time_are_counted() -> None:
    local = tape()
    frames = [frame(message("SSI")), b"{}", b"garbage"]
    for recv_ns, each in enumerate(frames, 100):
        local.intake.on_frame(each, recv_ns)
    local.intake.flush()
    cell = local.counters[0]
    assert int(cell["frames"]) == 3
    assert int(cell["frame_bytes"]) == sum(map(len, frames))
    assert int(cell["last_frame_ns"]) == 102
    assert int(cell["messages"]) == 2
    assert int(cell["keepalives"]) == 1
    assert int(cell["rejected"][Reject.FRAME_NOT_JSON]) == 1


def test_the_caller_s_buffer_may_be_reused_at_once() -> None:
    local = tape()
    buffer = bytearray(frame(message("SSI")))
    local.intake.on_frame(memoryview(buffer), 1)
    buffer[:] = b"x" * len(buffer)
    assert local.intake.flush() == 2


@pytest.mark.parametrize(("limit", "value"), [("BATCH_FRAMES", 4), ("BATCH_BYTES", None)])
def test_more_than_one_batch_waits_and_keeps_its_order(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int | None
) -> None:
    frames = [frame(message("SSI", number)) for number in range(11)]
    monkeypatch.setattr(intake_module, limit, value or 3 * len(frames[0]))
    local = tape()
    for number, each in enumerate(frames):
        local.intake.on_frame(each, number)
    assert len(slots_of(local)) == 0, "taking does not decode"
    assert local.intake.flush() == 1 + 11
    assert slots_of(local)["recv_ns"].tolist() == [0, *range(11)]
    assert int(local.counters[0]["frames"]) == 11


def test_a_bite_is_bounded_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "BATCH_FRAMES", 4)
    local, one = tape(), frame(message("SSI"))
    for number in range(10):
        local.intake.on_frame(one, number)
    assert [local.intake.step() for _ in range(4)] == [True, True, False, False]
    cell = local.counters[0]
    assert int(cell["backlog_frames"]) == int(cell["backlog_bytes"]) == 0
    assert int(cell["backlog_bytes_max"]) == 6 * len(one), "what waited after the first bite"
    assert slots_of(local)["recv_ns"].tolist() == [0, *range(10)]


def test_a_flood_of_odd_frames_is_decoded_a_few_at_a_time() -> None:
    odd = frame(message("SSI").replace("Symbol", "symbol").replace("RType", "Rtype"))
    local = tape()
    for number in range(200):
        local.intake.on_frame(odd, number)
    bites = 1
    while local.intake.step():
        bites += 1
    assert bites == -(-200 // intake_module.ORACLE_FRAMES_MAX)
    assert int(local.counters[0]["oracle_frames"]) == 200


def test_beyond_the_backlog_frames_are_lost_counted_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = frame(message("SSI"))
    local = LocalTape(ring_slots=8_192, symbols_max=64, backlog_bytes=3 * len(one))
    for number in range(5):
        local.intake.on_frame(one, number)
    local.intake.flush()
    local.intake.on_frame(one, 5)
    local.intake.flush()
    slots = slots_of(local)
    assert slots["kind"].tolist() == [
        SlotKind.SYMBOL,
        *[SlotKind.STATUS] * 3,
        SlotKind.SYMBOL,  # the feed itself
        SlotKind.CONTROL,
        SlotKind.STATUS,
    ]
    told = slots.view(CONTROL)[5]
    assert (int(told["op"]), int(told["arg0"]), int(told["arg1"])) == (
        ControlOp.LOST,
        2,
        2 * len(one),
    )
    assert int(local.counters[0]["lost_frames"]) == 2
    assert int(local.counters[0]["frames"]) == 6


@pytest.mark.jit  # a frame of almost a megabyte
def test_the_largest_frame_that_is_allowed_is_taken_whole() -> None:
    local = tape(ring_slots=65_536)
    one = message("SSI")
    count = (FRAME_BYTES_MAX - 100) // (len(one) + 1)
    large = frame(*[one] * count)
    large += b" " * (FRAME_BYTES_MAX - len(large))
    local.intake.on_frame(large, 1)
    assert local.intake.flush() == 1 + count
    slots = slots_of(local)
    assert len(slots) == 1 + count
    assert slots["flags"][-1] & SlotFlag.LAST
    assert not local.counters[0]["rejected"].any()


def test_a_frame_above_the_limit_is_one_rejection_in_its_place() -> None:
    local = tape()
    too_large = frame(message("HPG")) + b" " * FRAME_BYTES_MAX
    for recv_ns, each in enumerate((frame(message("SSI")), too_large, frame(message("VNM")))):
        local.intake.on_frame(each, recv_ns)
    assert local.intake.flush() == 4
    cell = local.counters[0]
    assert int(cell["rejected"][Reject.FRAME_TOO_LARGE]) == int(cell["rejected"].sum()) == 1
    assert int(cell["messages"]) == 3
    assert int(cell["frames"]) == 3
    assert int(cell["frame_bytes"]) > FRAME_BYTES_MAX
    assert slots_of(local)["recv_ns"].tolist() == [0, 0, 2, 2]
    assert local.intake.decoder.samples[Reject.FRAME_TOO_LARGE] == too_large[:2048]


def test_more_slots_than_the_scratch_holds_are_published_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake_module, "SCRATCH_SLOTS", 32)
    local = tape()
    for number in range(40):
        local.intake.on_frame(frame(message(CODES[number % 6], number)), number)
    assert local.intake.flush() == 40 + len(CODES)
    slots = slots_of(local)
    assert slots["recv_ns"][slots["kind"] == SlotKind.STATUS].tolist() == list(range(40))


def test_a_feed_state_comes_after_what_was_collected_before_it_on_every_shard() -> None:
    local = tape(shards=2)
    for code in CODES:
        local.intake.on_frame(frame(message(code)), 1)
    local.intake.feed_state(FeedState.DOWN, "mất kết nối " + 100 * "ễ", 2)
    local.intake.on_frame(frame(message("SSI")), 3)
    local.intake.flush()
    introduced = 0
    for shard in range(2):
        slots = slots_of(local, shard)
        (at,) = np.flatnonzero(slots["kind"] == SlotKind.CONTROL)
        assert (slots["recv_ns"][: at - 1] == 1).all()
        assert (slots["recv_ns"][at + 1 :] == 3).all()
        told = slots.view(CONTROL)[at]
        assert told["flags"] & SlotFlag.LAST
        assert (int(told["op"]), int(told["arg0"])) == (ControlOp.FEED_STATE, FeedState.DOWN)
        assert int(told["recv_ns"]) == 2
        text = bytes(told["detail"]).decode()
        assert text.startswith("mất kết nối ễễ")
        assert len(text.encode()) <= DETAIL_BYTES
        assert int(told["symbol_id"]) == local.symbols.find(b"FEED")
        introduced += int((slots.view(SYMBOL)["code"] == b"FEED").sum())
    assert introduced == 1, "one shard speaks for the feed"


def test_reference_data_introduce_symbols_in_order_with_the_stream() -> None:
    rows = tuple(
        ReferenceRow(
            code=code,
            venue=Venue.HOSE,
            lot_shares=100,
            ceiling_e2=2_675_000,
            floor_e2=2_325_000,
            reference_e2=2_500_000,
            listed_shares=1_501_130_137,
            security_type="ST",
            name="Công ty cổ phần " + code,
            indices=IndexMember.VN30,
        )
        for code in ("SSI", "BID")
    )
    local = tape()
    local.intake.on_frame(frame(message("SSI")), 1)
    local.intake.reference(Reference(dt.date(2026, 8, 14), rows), 2)
    local.intake.flush()
    slots = slots_of(local)
    kinds = [SlotKind.SYMBOL, SlotKind.STATUS, SlotKind.REFERENCE, SlotKind.SYMBOL]
    assert slots["kind"].tolist() == [*kinds, SlotKind.REFERENCE]
    told = slots.view(REFERENCE)[4]
    assert bytes(told["name"]).decode() == "Công ty cổ phần BID"
    assert int(told["indices"]) == IndexMember.VN30
    assert iso_ict(int(told["exch_s"])) == "2026-08-14T08:00:00+07:00"
    assert (int(told["ceiling_price_e2"]), int(told["venue"])) == (2_675_000, Venue.HOSE)


def test_a_future_that_reference_data_introduce_knows_its_underlying_and_its_last_day() -> None:
    """Else it would have no basis: nobody introduces it again."""
    told = []
    for by_reference in (True, False):
        local = tape()
        if by_reference:
            row = ReferenceRow(
                "VN30F2107", Venue.DERIVATIVES, 1, 0, 0, 0, 0, "", "", IndexMember.NONE
            )
            local.intake.reference(Reference(dt.date(2021, 7, 15), (row,)), 2)
        else:
            local.intake.on_frame(frame(message("VN30F2107")), 2)
        local.intake.flush()
        told.append(slots_of(local).view(SYMBOL)[0])
    for name in ("code", "value_multiplier", "instrument", "underlying", "expiry_day"):
        assert told[0][name] == told[1][name], name
    assert int(told[0]["underlying"]) == Underlying.VN30
    assert int(told[0]["expiry_day"]) == (dt.date(2021, 7, 15) - dt.date(1970, 1, 1)).days


def test_bars_of_a_gap_count_down_and_nothing_known_is_one_empty_slot() -> None:
    local = tape()
    local.intake.on_frame(frame(message("SSI")), 1)
    local.intake.flush()
    slots_of(local)
    gap = Gap(1, "SSI", 3, 1_000, 1_200, 500)
    bars = tuple(Bar(960 + 60 * i, 10, 12, 9, 11, 700 + i) for i in range(3))
    local.intake.backfill(Answer(gap, bars), 2)
    local.intake.backfill(Answer(gap, ()), 3)
    local.intake.flush()
    slots = slots_of(local).view(BACKFILL)
    assert slots["bars_left"].tolist() == [2, 1, 0, 0]
    assert slots["volume_shares"].tolist() == [700, 701, 702, 0]
    assert set(slots["gap_no"].tolist()) == {3}
    assert set(slots["exch_s"].tolist()) == {1_200}
    assert set(slots["symbol_id"].tolist()) == {1}


def test_a_symbol_s_slots_go_to_its_shard_and_only_there() -> None:
    local, rule = tape(shards=3), shard_rule(3)
    for number in range(24):
        local.intake.on_frame(frame(message(CODES[number % 6], number)), number)
    local.intake.flush()
    codes = local.symbols.rows["code"]
    seen: list[int] = []
    for shard in range(3):
        slots = slots_of(local, shard)
        for slot in slots:
            assert rule(codes[slot["symbol_id"]], Instrument.STOCK) == shard
        data = slots["recv_ns"][slots["kind"] == SlotKind.STATUS].tolist()
        assert data == sorted(data), "the order of arrival"
        seen += data
        if len(slots):
            assert slots["flags"][-1] & SlotFlag.LAST
    assert sorted(seen) == list(range(24))


def test_a_batch_collected_elsewhere_goes_the_same_way() -> None:
    batch, local, other = FrameBatch(1 << 20, 16), tape(), tape()
    for number, code in enumerate(CODES):
        batch.append(frame(message(code)), number)
        other.intake.on_frame(frame(message(code)), number)
    assert local.intake.flush_batch(batch) == other.intake.flush() == 2 * len(CODES)
    assert slots_of(local).tobytes() == slots_of(other).tobytes()


def test_a_restarted_ingest_counts_on_and_knows_its_symbols() -> None:
    local = tape()
    local.intake.on_frame(frame(message("SSI")), 7)
    local.intake.flush()
    slots_of(local)
    again = Intake(local.symbols, local.intake._writers, local.counters)
    assert int(local.counters[0]["last_frame_ns"]) == 7
    again.flush()
    assert int(local.counters[0]["last_frame_ns"]) == 7
    again.on_frame(frame(message("SSI")), 8)
    assert again.flush() == 1, "introduced already"
    assert int(local.counters[0]["frames"]) == 2
    assert int(local.counters[0]["symbols"]) == 1

"""Frames in, slots on rings: what is counted, what is split, what goes where."""

import json
from typing import Any

import numpy as np
import pytest

from engine.decode.frames import FRAME_BYTES_MAX, FrameBatch
from engine.schema.codes import ControlOp, FeedState, Instrument, Reject, SlotFlag, SlotKind
from engine.schema.slots import CONTROL, SLOT
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


def test_a_batch_full_of_frames_is_flushed_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "BATCH_FRAMES", 4)
    local = tape()
    for number in range(11):
        local.intake.on_frame(frame(message("SSI", number)), number)
    before = slots_of(local)
    assert len(before) == 1 + 8  # two full batches, and the symbol's introduction
    local.intake.flush()
    whole = np.concatenate([before, slots_of(local)])
    assert whole["recv_ns"].tolist() == [0, *range(11)]
    assert int(local.counters[0]["frames"]) == 11


def test_a_batch_full_of_bytes_is_flushed_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    one = frame(message("SSI"))
    monkeypatch.setattr(intake_module, "BATCH_BYTES", 3 * len(one))
    local = tape()
    for number in range(7):
        local.intake.on_frame(one, number)
    assert len(slots_of(local)) == 1 + 6
    local.intake.flush()
    assert slots_of(local)["recv_ns"].tolist() == [6]


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


def test_control_comes_after_what_was_collected_before_it() -> None:
    local = tape(shards=2)
    for code in CODES:
        local.intake.on_frame(frame(message(code)), 1)
    local.intake.control(ControlOp.FEED_STATE, 2, int(FeedState.DOWN), 9)
    for shard in range(2):
        slots = slots_of(local, shard)
        assert len(slots) > 1
        assert SlotKind.CONTROL not in slots["kind"][:-1]
        last = slots[-1:].view(CONTROL)[0]
        assert last["kind"] == SlotKind.CONTROL
        assert last["flags"] & SlotFlag.LAST
        assert (int(last["op"]), int(last["arg0"]), int(last["arg1"])) == (
            ControlOp.FEED_STATE,
            FeedState.DOWN,
            9,
        )
        assert int(last["recv_ns"]) == 2
        assert int(last["symbol_id"]) == 0


def test_control_words_do_not_mix() -> None:
    local = tape()
    local.intake.control(ControlOp.GAP, 1, 10, 20)
    local.intake.control(ControlOp.TIMER, 2)
    slots = slots_of(local).view(CONTROL)
    assert slots["op"].tolist() == [ControlOp.GAP, ControlOp.TIMER]
    assert slots["arg0"].tolist() == [10, 0]
    assert slots["arg1"].tolist() == [20, 0]


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

"""Steady frames: a pure function of the chunk's number, each frame told by its receive time."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from bench import steady_frames
from bench.steady_frames import CHUNK_FRAMES, FRAME_NS, SteadyFrames, frame_of, recv_ns_of
from engine.decode.frames import FrameBatch

DAY = dt.date(2021, 7, 15)  # a Thursday
DATE = b"15/07/2021"
# Frames of uneven length, two dates in some and none in others; three chunks a lap.
FRAMES = [
    b"%03d:" % i + b"(%b)" % DATE * (i % 3) + b"." * (7 * i % 11)
    for i in range(2 * CHUNK_FRAMES + 5)
]


def small() -> SteadyFrames:
    whole = b"".join(FRAMES)
    ends = np.cumsum([len(frame) for frame in FRAMES])
    dates = [at for at in range(len(whole)) if whole.startswith(DATE, at)]
    return SteadyFrames(
        np.frombuffer(whole, np.uint8),
        ends,
        np.array([1 + i % 3 for i in range(len(FRAMES))]),
        np.array(dates),
        DAY,
    )


def texts(batch: FrameBatch) -> list[bytes]:
    return [batch.frame(i) for i in range(batch.count)]


def test_a_lap_is_every_frame_once_in_order() -> None:
    frames = small()
    seen, times, messages = [], [], 0
    for number in range(frames.chunks_per_lap):
        batch, count = frames.chunk(number)
        seen += texts(batch)
        times += batch.recv_ns[: batch.count].tolist()
        messages += count
    assert seen == FRAMES
    assert messages == frames.messages_per_lap
    assert times == [recv_ns_of(i) for i in range(len(FRAMES))]


def test_every_lap_is_the_next_trading_day_and_nothing_else() -> None:
    frames = small()
    per_lap = frames.chunks_per_lap
    for lap, date in enumerate((b"15/07/2021", b"16/07/2021", b"19/07/2021")):  # over a weekend
        seen, times = [], []
        for number in range(lap * per_lap, (lap + 1) * per_lap):
            batch, _ = frames.chunk(number)
            seen += texts(batch)
            times += batch.recv_ns[: batch.count].tolist()
        assert seen == [frame.replace(DATE, date) for frame in FRAMES]
        assert times == [recv_ns_of(lap * len(FRAMES) + i) for i in range(len(FRAMES))]


def test_a_chunk_is_the_same_whenever_it_is_asked_for() -> None:
    straight, jumping = small(), small()
    count = 3 * straight.chunks_per_lap
    wanted = []
    for number in range(count):
        batch, messages = straight.chunk(number)
        wanted.append((texts(batch), messages, batch.recv_ns[: batch.count].tolist()))
    for number in np.random.default_rng(5).permutation(count).tolist():
        batch, messages = jumping.chunk(number)
        found = (texts(batch), messages, batch.recv_ns[: batch.count].tolist())
        assert found == wanted[number], number


def test_after_any_frame_the_next_chunk_is_found() -> None:
    frames = small()
    for number in range(2 * frames.chunks_per_lap):
        batch, _ = frames.chunk(number)
        for recv_ns in batch.recv_ns[: batch.count].tolist():
            assert frames.chunk_after(recv_ns) == number + 1


def test_receive_times_are_unique_and_name_their_frame() -> None:
    assert [frame_of(recv_ns_of(i)) for i in (0, 1, 77, 10**9)] == [0, 1, 77, 10**9]
    for wrong in (recv_ns_of(3) + 1, recv_ns_of(0) - FRAME_NS):
        with pytest.raises(AssertionError, match="no frame"):
            frame_of(wrong)


@pytest.mark.slow
def test_rendered_days_decode_without_a_refusal(tmp_path: Path) -> None:
    from engine.wiring.local import LocalTape

    steady_frames.render(tmp_path, 2_000)
    frames = SteadyFrames.open(tmp_path)
    tape = LocalTape(hash_deltas=False)
    matches, messages = [], 0
    for lap in range(2):
        for number in range(lap * frames.chunks_per_lap, (lap + 1) * frames.chunks_per_lap):
            batch, count = frames.chunk(number)
            tape.intake.flush_batch(batch)
            tape.drain()
            messages += count
        matches.append(tape.shards[0].fold.counts.matches)
    cell, counts = tape.counters[0], tape.shards[0].fold.counts
    assert int(cell["rejected"].sum()) == 0
    assert int(cell["messages"]) == messages == 2 * frames.messages_per_lap
    assert matches[1] == 2 * matches[0] > 0  # the second day is as whole as the first
    assert counts.day_rolls > 0
    assert (counts.corrections, counts.missed_volume_shares, counts.late) == (0, 0, 0)

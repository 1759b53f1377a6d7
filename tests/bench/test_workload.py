"""The path bench's workload: one day, whole, whatever the frames look like."""

import pytest

from bench.workload import build, expected_volumes, plan
from engine.feed.synthetic import iter_messages

pytestmark = pytest.mark.slow  # renders some ten thousand messages


def test_frames_hold_the_whole_day_in_any_shape() -> None:
    day = plan("small")
    count = sum(1 for _ in iter_messages(day))
    for messages_per_frame in (1, 10):
        work = build("small", messages_per_frame)
        assert work.day.digest() == day.digest()
        assert work.message_count == count
        assert sum(int(batch.ends[batch.count - 1]) for batch in work.batches) == work.frame_bytes
        assert not any(batch.oversize for batch in work.batches)


def test_expected_volumes_are_the_published_ones() -> None:
    day = plan("small")
    volumes = expected_volumes(day)
    for code, volume in volumes.items():
        _, trades = day.trades_of(code)
        assert int(trades["volume"].sum()) == volume > 0
    assert day.future_code in volumes

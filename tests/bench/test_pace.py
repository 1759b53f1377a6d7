"""The pace of a steady source: even over many chunks, and never running after lost time."""

from pathlib import Path

from bench.pace import LATE_NS, Pace, RateFile

SECOND_NS = 1_000_000_000


def test_a_rate_is_read_by_whoever_opens_the_file(tmp_path: Path) -> None:
    ours, theirs = RateFile(tmp_path / "rate"), RateFile(tmp_path / "rate")
    assert theirs.get() == 0
    for rate in (200_000, 0, 2**40, 7):
        ours.set(rate)
        assert theirs.get() == rate
    late = RateFile(tmp_path / "rate")
    assert late.get() == 7
    for each in (ours, theirs, late):
        each.close()


def test_chunks_of_any_size_come_at_the_rate() -> None:
    now_ns, sent = 5 * SECOND_NS, 0
    pace = Pace(now_ns)
    sizes = (400, 1, 37, 5_000, 12)
    for turn in range(1_000):
        wait_ns = pace.wait_ns(now_ns)
        now_ns += max(wait_ns, 0)
        # All that was sent before took exactly as long as the rate says.
        assert abs((now_ns - 5 * SECOND_NS) - sent * SECOND_NS / 200_000) <= turn
        pace.sent(sizes[turn % 5], 200_000)
        sent += sizes[turn % 5]
    assert pace.slips == 0


def test_a_short_delay_is_caught_up_and_a_long_one_is_not() -> None:
    pace = Pace(0)
    pace.sent(100, 1_000)  # due at 100 ms
    assert pace.wait_ns(LATE_NS) == SECOND_NS // 10 - LATE_NS  # at once: the debt is kept
    assert pace.slips == 0
    late_ns = SECOND_NS // 10 + LATE_NS + 1
    assert pace.wait_ns(late_ns) == 0
    assert pace.slips == 1
    pace.sent(100, 1_000)
    assert pace.wait_ns(late_ns) == SECOND_NS // 10


def test_held_time_is_no_debt() -> None:
    pace = Pace(0)
    pace.hold(60 * SECOND_NS)
    assert pace.wait_ns(60 * SECOND_NS) == 0
    assert pace.slips == 0

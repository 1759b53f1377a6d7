"""The ring's bench at its smallest: it must still check its answer, and notice a wrong one."""

from typing import Any

import pytest

from bench import bench_ring

pytestmark = pytest.mark.race  # two processes on shared memory


def test_a_small_run_checks_its_answer() -> None:
    result = bench_ring.run("small")
    for mode in ("in_place", "copy"):
        slot_count = result[mode]["slots"]
        assert result[mode]["checksum"] == bench_ring.expected_sum(slot_count, 1024)
        assert result[mode]["slots_per_s"] > 0
    assert set(result["ping"]) == {"spin", "park"}


def test_a_wrong_answer_is_an_error_not_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    truth: Any = bench_ring.expected_sum
    monkeypatch.setattr(bench_ring, "expected_sum", lambda *a: truth(*a) + 1)
    with pytest.raises(RuntimeError, match="expected sum"):
        bench_ring.throughput("copy", 4096, 1024, 2048, 1)

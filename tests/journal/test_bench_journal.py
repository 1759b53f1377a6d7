"""The journal's bench at its smallest: it must check what it reads, and notice a wrong answer."""

from pathlib import Path

import pytest

from bench import bench_journal
from tests.journal.helpers import flip, offset_of

pytestmark = pytest.mark.jit  # thousands of slots: too many for kernels in plain Python


def test_a_small_run_has_every_figure() -> None:
    result = bench_journal.run("small")
    assert set(result["append"]) == {"none", "interval", "always"}
    for policy in result["append"].values():
        assert all(figures["slots_per_s"] > 0 for figures in policy.values())
    assert result["again"]["slots"] == bench_journal.SIZES["small"]["slots"]


def test_a_wrong_answer_is_an_error_not_a_figure(tmp_path: Path) -> None:
    source = bench_journal.Source(64)
    bench_journal.append(tmp_path / "day", "none", 64, 640)
    bench_journal.again(tmp_path / "day", source, 640, 1)
    with pytest.raises(RuntimeError, match="read 640 of 640 slots, or others"):
        bench_journal.read(tmp_path / "day", 1, 640)
    flip(next((tmp_path / "day").iterdir()), offset_of(3))
    with pytest.raises(RuntimeError, match="survey"):
        bench_journal.again(tmp_path / "day", source, 640, 1)

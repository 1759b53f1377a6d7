"""The bench checks its own answer; run small, it is a test of it."""

from bench.bench_decode import run


def test_runs_small_and_proves_its_answer():
    figures = run("small")
    assert len(figures["slots_sha256"]) == 64
    assert figures["scanner"]["frames_per_s"] > 0

"""The bench in its small size: it checks its own answer."""

from bench.bench_stages import BATCHES, run


def test_small_bench_checks_its_sums_and_gives_figures():
    result = run("small")
    for kind in ("trades", "mixed"):
        assert [entry["batch_slots"] for entry in result[kind]] == list(BATCHES)
        assert all(entry["slots_per_s"] > 0 for entry in result[kind])

"""The bench in its small size: it checks its own answers."""

from bench.bench_history import run


def test_small_bench_checks_its_answers_and_gives_figures():
    result = run("small")
    assert result["written"]["rows"] > 100_000
    assert all(spent > 0 for spent in result["asked_of_compact"].values())
    assert result["trade_bytes_per_million"] > 0

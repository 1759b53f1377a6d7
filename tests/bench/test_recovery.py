"""The pure parts of the recovery bench: its figures, and when it may begin."""

import pytest

from bench.bench_recovery import INCIDENTS, Incident, _figures
from bench.incidents import ROLES
from bench.steady_instance import day_left_s

ICT_06_NS = 1_626_303_600 * 1_000_000_000  # 2021-07-15 06:00 ICT
DAY_S = 86_400


@pytest.mark.parametrize(
    ("after_s", "left_s"), [(0, DAY_S), (1, DAY_S - 1), (DAY_S - 1, 1), (DAY_S, DAY_S)]
)
def test_a_trading_day_lasts_until_six(after_s: int, left_s: int) -> None:
    assert day_left_s(ICT_06_NS + after_s * 1_000_000_000) == left_s


def test_everybody_and_everything_happens() -> None:
    assert len(set(INCIDENTS)) == len(INCIDENTS)
    assert set(INCIDENTS) == {*ROLES, "supervisor", "stop", "all"}


def test_figures_are_of_one_kind_of_incident() -> None:
    found = [
        Incident("shard", 2.0, 5.0, {"shard": 2.0, "recorder": 5.0}, 0, held=False),
        Incident("shard", 1.0, 1.0, {"shard": 1.0}, 3, held=True),
        Incident("shard", 9.0, 9.5, {"shard": 9.0, "recorder": 9.5}, 4, held=False),
        Incident("board", 77.0, 77.0, {"board": 77.0}, 70, held=True),
    ]
    figures = _figures("shard", found)
    late = figures.pop("late_median_s")
    assert figures == {
        "median_s": 2.0,
        "worst_s": 9.0,
        "everybody_median_s": 5.0,
        "everybody_worst_s": 9.5,
        "old_rows": 7,
        "held": 1,
    }
    assert late == dict.fromkeys(ROLES, 0.0) | {"shard": 2.0, "recorder": 5.0}

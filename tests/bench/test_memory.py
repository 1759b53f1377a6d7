"""Memory over time: what the kernel says, and how a slope is fitted to it."""

import os

import numpy as np
import pytest

from bench.memory import KINDS, MB, Growth, measure, parse_rollup, slope_per_hour

ROLLUP = """\
55d0c0de0000-7ffd3e9fe000 ---p 00000000 00:00 0                          [rollup]
Rss:              129876 kB
Pss:               64321 kB
Pss_Anon:          50000 kB
Shared_Clean:       1000 kB
Anonymous:         51200 kB
Swap:                  0 kB
"""


def test_a_rollup_is_read_in_bytes() -> None:
    assert parse_rollup(ROLLUP) == {
        "Rss": 129876 * 1024,
        "Pss": 64321 * 1024,
        "Anonymous": 51200 * 1024,
    }


def test_a_live_process_is_measured_and_a_dead_one_left_out() -> None:
    found = measure({"us": os.getpid(), "nobody": 2**22 + 1})
    assert found.keys() == {"us"}
    assert found["us"].keys() == set(KINDS)
    assert found["us"]["Rss"] >= found["us"]["Pss"] > 0


def test_slope_is_numpys_and_its_error_is_zero_on_a_line() -> None:
    times_s = [0.0, 10.0, 20.0, 30.0, 47.5]
    slope, error = slope_per_hour(times_s, [100 + 3 * t / 3600 for t in times_s])
    assert slope == pytest.approx(3)
    assert error == pytest.approx(0, abs=1e-6)


def test_slope_and_error_agree_with_polyfit() -> None:
    random = np.random.default_rng(7)
    times_s = np.sort(random.uniform(0, 1_800, 60))
    values = 250 + 4 * times_s / 3600 + random.normal(0, 0.3, 60)
    slope, error = slope_per_hour(times_s.tolist(), values.tolist())
    (wanted, _), covariance = np.polyfit(times_s / 3600, values, 1, cov=True)
    assert slope == pytest.approx(wanted)
    assert error == pytest.approx(np.sqrt(covariance[0, 0]))


@pytest.mark.parametrize("times_s", [[0.0, 1.0], [5.0, 5.0, 5.0]])
def test_too_little_to_fit_is_refused(times_s: list[float]) -> None:
    with pytest.raises(AssertionError):
        slope_per_hour(times_s, [1.0] * len(times_s))


def test_growth_forgets_the_warm_up_and_keeps_roles_apart() -> None:
    growth = Growth()
    for at_s in range(0, 3_600, 60):
        leaking = 50 * MB + (at_s * 10 * MB) // 3_600
        warming = 90 * MB + min(at_s, 600) * MB
        sample = {
            "shard": dict.fromkeys(KINDS, leaking),
            "ingest": dict.fromkeys(KINDS, warming),
        }
        growth.add(at_s, sample)
    found = growth.figures(warm_s=600)
    assert found["shard"]["anonymous"]["slope_mb_per_h"] == pytest.approx(10, abs=0.01)
    assert found["ingest"]["rss"] == {"mb": 690, "slope_mb_per_h": 0, "error_mb_per_h": 0}
    assert found["ingest"]["samples"] == 50

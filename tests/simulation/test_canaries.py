"""A simulation that finds nothing is worth nothing: bugs put in on purpose must all be found."""

import pytest

from tests.simulation.canaries import CANARIES, let_loose
from tests.simulation.script import draw, shrink
from tests.simulation.world import play

SEEDS = 30  # at the most; mostly the first few do


@pytest.mark.slow
@pytest.mark.parametrize("name", CANARIES)
def test_a_bug_is_found(name):
    with let_loose(name):
        for seed in range(SEEDS):
            violation = play(draw(seed, trouble=CANARIES[name].trouble))
            if violation is not None:
                assert f"seed {seed}" in str(violation)
                return
    raise AssertionError(f"{SEEDS} seeds did not notice that {CANARIES[name].meaning}")


@pytest.mark.slow
def test_a_failing_seed_plays_again_and_becomes_short():
    with let_loose("power-epoch"):
        for seed in range(SEEDS):
            script = draw(seed, 60, CANARIES["power-epoch"].trouble)
            first = play(script)
            if first is not None:
                break
        assert first is not None
        assert str(play(script)) == str(first)
        short = shrink(script, lambda one: play(one) is not None)
        assert play(short) is not None
        assert len(short.events) < 12
    assert play(short) is None

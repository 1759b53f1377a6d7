"""The whole system under seeds: nothing is lost silently, nothing is told twice or wrong.

A failing seed prints its script. ``python -m tests.simulation SEED --shrink`` plays it again and
looks for a shorter one.
"""

import os
from dataclasses import replace

import pytest

from tests.conftest import PROFILE, SEED
from tests.simulation.script import TROUBLE, Event, Point, draw
from tests.simulation.world import TRADES, World, play

NATIVE = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
SEEDS = {"quick": 12, "ci": 24, "night": 5_000}[PROFILE] if NATIVE else 2
TRADES_HERE = TRADES if NATIVE else 30  # kernels run as plain Python in the other lane
BITES = tuple(Event(name, args) for name, args in (("frames", (8,)), ("step", (2,))))


@pytest.mark.parametrize("number", range(SEEDS))
def test_whatever_happens_everything_is_right_in_the_end(number):
    events = 140 if NATIVE else 40
    trouble = None if NATIVE else [name for name in TROUBLE if name != "crowd"]
    violation = play(draw(SEED + number, events, trouble), TRADES_HERE)
    assert violation is None, str(violation)


def test_a_quiet_day_is_right_too(tmp_path):
    """Without any trouble nobody misses a row, and every frame is decoded."""
    world = World(draw(SEED, 60, trouble=()), tmp_path, trades_max=TRADES_HERE)
    world.run()
    assert len(world.told) > 50
    assert [gateway.skipped for gateway in world.gateways] == [0, 0]


# What the simulation has found, as short as it could be made: (name, fsync, events).
FOUND = (
    (
        "a poisoned slot that the disk refused is left out all the same",
        "none",
        (
            *BITES,
            Event("read_only"),
            Event("frames", (11,)),
            Event("poison", (0,)),
            Event("step", (3,)),
        ),
    ),
    (
        "slots that only a lost ring had are told as lost",
        "none",
        (Event("read_only"), Event("stop")),
    ),
    (
        "a power cut after a refusal costs the epoch, also with fsync = always",
        "always",
        (
            Event("read_only"),
            Event("step", (3,)),
            Event("work", (0, 4)),
            Event("deliver", (0, 1)),
            Event("drain", (0,)),
            Event("power"),
        ),
    ),
    (
        "a state saved before its rows have arrived",
        "none",
        (
            *BITES,
            Event("heal"),
            *BITES,
            Event("work", (0, 4)),
            Event("save", (0,)),
            Event("kill", ("shard-0",)),
        ),
    ),
    (
        "slots that were written and not yet published when the power went",
        "always",
        (Event("arm", ("ingest", "MID_PUBLISH", 1)), Event("step", (3,)), Event("power")),
    ),
    (
        "a day that could not be marked as open on a full disk, and a power cut",
        "none",
        (
            *BITES,
            Event("heal"),
            Event("fill_disk", (0,)),
            Event("stop"),
            *BITES,
            Event("work", (0, 4)),
            Event("deliver", (0, 9)),
            Event("drain", (0,)),
            Event("power"),
            *BITES,
            Event("work", (0, 4)),
        ),
    ),
    (
        "ids whose introduction the disk refused are not given to others after a power cut",
        "always",
        (
            Event("step", (9,)),
            Event("fill_disk", (0,)),
            *BITES,
            Event("mend_disk"),
            *BITES,
            *BITES,
            Event("power"),
            Event("crowd", (300,)),
        ),
    ),
    (
        "a supervisor that dies leaves everything to the next one",
        "none",
        (
            *BITES,
            Event("work", (0, 4)),
            Event("save", (0,)),
            *BITES,
            Event("orphan"),
            *BITES,
            Event("heal"),
            Event("stop"),
        ),
    ),
)


@pytest.mark.parametrize(("meaning", "fsync", "events"), FOUND, ids=[found[0] for found in FOUND])
def test_what_was_found_before(meaning, fsync, events):
    script = replace(draw(1, 0), shards=1, rough=False, fsync=fsync, events=events)
    violation = play(script, TRADES_HERE)
    assert violation is None, str(violation)


@pytest.mark.parametrize("point", Point)
@pytest.mark.parametrize("nth", [1, 2])
def test_a_process_may_die_at_every_step(point, nth, tmp_path):
    role = (
        "ingest"
        if point in (Point.MID_APPEND, Point.BEFORE_PUBLISH, Point.MID_PUBLISH)
        else ("shard-0")
    )
    turn = (*BITES, Event("work", (0, 3)), Event("save", (0,)), Event("deliver", (0, 9)))
    events = (*turn, Event("arm", (role, point.name, nth)), *turn, *turn, Event("restart"), *turn)
    script = replace(draw(SEED, 0), shards=1, rough=False, events=events)
    world = World(script, tmp_path, trades_max=TRADES_HERE)
    world.run()
    assert world.fuse.blown == {point: 1}


def test_a_script_is_a_function_of_its_seed():
    assert draw(5) == draw(5) != draw(6)
    assert str(draw(5)) == str(draw(5))
    assert "seed 5" in str(draw(5))

"""The loop, and who may spin."""

import pytest

from engine import agent
from engine.agent import choose_idle, park, run, spin, yield_core
from engine.errors import ConfigError


class Scripted:
    """Does the work its script says, one entry a turn, and notes what it was asked."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.log: list[str] = []

    def do_work(self) -> int:
        done = self.script.pop(0)
        self.log.append(f"work {done}")
        return done

    def on_idle(self, timeout_ms: int) -> None:
        self.log.append(f"sleep {timeout_ms}")

    def finished(self) -> bool:
        return not self.script


def test_idle_only_after_an_empty_turn() -> None:
    worker = Scripted([3, 0, 1, 0])
    run(worker, park, worker.finished)
    sleep = f"sleep {agent.PARK_MS}"
    assert worker.log == ["work 3", "work 0", sleep, "work 1", "work 0", sleep]


def test_a_stop_before_the_first_turn_does_nothing() -> None:
    worker = Scripted([])
    run(worker, park, worker.finished)
    assert worker.log == []


@pytest.mark.parametrize("idle", [spin, yield_core])
def test_only_park_sleeps(idle: agent.Idle) -> None:
    worker = Scripted([0, 0])
    run(worker, idle, worker.finished)
    assert worker.log == ["work 0", "work 0"]


def test_what_the_agent_raises_ends_the_loop() -> None:
    class Broken(Scripted):
        def do_work(self) -> int:
            raise AssertionError("bug")

    with pytest.raises(AssertionError, match="bug"):
        run(Broken([1]), spin, lambda: False)


@pytest.mark.parametrize(
    ("name", "roles", "cores", "expected"),
    [
        ("spin", 9, 1, spin),  # the operator said so
        ("yield", 1, 8, yield_core),
        ("park", 1, 8, park),
        ("auto", 3, 2, park),  # fewer cores than roles: never spin
        ("auto", 2, 2, park),  # and none left for the machine
        ("auto", 2, 3, spin),
    ],
)
def test_choose_idle(name: str, roles: int, cores: int, expected: agent.Idle) -> None:
    assert choose_idle(name, roles, cores) is expected


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'nap': choose spin, yield, park or auto"):
        choose_idle("nap", 1, 1)

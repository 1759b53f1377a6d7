"""What a process does, apart from how it waits: agents, the loop, and ways to be idle.

An agent does a little work each time it is asked and says how much. It never loops or sleeps by
itself, so that several can be stepped by one thread (`wiring.local`, tests) or each have a
process of its own.

    spin    ask again at once: lowest latency, one whole core
    yield   let others run, then ask again: no latency to speak of when cores are free
    park    sleep until the agent's own descriptors call: microseconds later, no core
"""

import os
from collections.abc import Callable
from typing import Protocol

from engine.errors import ConfigError

PARK_MS = 100  # longest sleep: bounds how late a stop or a heartbeat can be


class Agent(Protocol):
    """Something that works when asked."""

    def do_work(self) -> int:
        """Do what there is to do, a bounded amount, without waiting; say how much it was."""
        ...

    def on_idle(self, timeout_ms: int) -> None:
        """Sleep until there may be work again, at most `timeout_ms`; waking for nothing is fine."""
        ...


Idle = Callable[[Agent], None]
"""What to do after `do_work` returned 0."""


def spin(_agent: Agent) -> None:
    """Do nothing."""


def yield_core(_agent: Agent) -> None:
    """Let another process have the core, if one wants it."""
    os.sched_yield()


def park(agent: Agent) -> None:
    """Let the agent sleep on what it waits for."""
    agent.on_idle(PARK_MS)


IDLES: dict[str, Idle] = {"spin": spin, "yield": yield_core, "park": park}
AUTO = "auto"


def choose_idle(name: str, roles: int, cores: int) -> Idle:
    """Turn the setting ``engine.wait`` into a way to be idle.

    Parameters
    ----------
    name
        ``spin``, ``yield``, ``park`` or ``auto``. Auto spins only when every role has a core and
        one is left for the machine; else it parks.
    roles
        Busy processes of the run.
    cores
        Cores they may use.

    Raises
    ------
    ConfigError
        Another name.
    """
    if name == AUTO:
        return spin if cores > roles else park
    if name not in IDLES:
        raise ConfigError(f"engine.wait is {name!r}: choose {', '.join(IDLES)} or {AUTO}")
    return IDLES[name]


def run(agent: Agent, idle: Idle, stop: Callable[[], bool]) -> None:
    """Work until told to stop. What the agent raises ends the loop: it is a bug or a refusal."""
    while not stop():
        if agent.do_work() == 0:
            idle(agent)

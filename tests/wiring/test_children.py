"""A child is restarted when it dies, given up when it cannot live, and ended when told."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.clock import SystemClock
from engine.config import SupervisorConfig
from engine.errors import ConfigError
from engine.log import Log
from engine.wiring import children
from engine.wiring.children import Child, ChildSpec, describe_exit

WATCHDOG_S = 20
SLEEPER = "import signal; signal.pause()"
STUBBORN = """
import pathlib, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({ready!r}).touch()
while True:
    signal.pause()
"""


def child(
    code: str,
    *,
    vital: bool = True,
    on_death: Callable[[int], None] | None = None,
    may_refuse: Callable[[], bool] = lambda: True,
    **settings: int,
) -> Child:
    """Return a child that runs a line of Python."""
    clock = SystemClock()
    return Child(
        ChildSpec("kid", [sys.executable, "-c", code], vital=vital),
        SupervisorConfig(restart_base_ms=1, restart_cap_ms=2, **settings),
        clock,
        Log("test", clock),
        on_death,
        may_refuse,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition under a watchdog."""
    async with asyncio.timeout(WATCHDOG_S):
        while not condition():
            await asyncio.sleep(0.005)


async def end(kid: Child) -> None:
    """Stop a child and wait for it."""
    kid.stop()
    await kid.wait_gone(SystemClock().now_ns() + WATCHDOG_S * 10**9)


def test_a_killed_child_is_replaced() -> None:
    async def scenario() -> None:
        kid = child(SLEEPER)
        task = asyncio.create_task(kid.keep_alive())
        await until(lambda: kid.pid > 0)
        first = kid.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: kid.restarts == 1 and kid.pid not in (0, first))
        await end(kid)
        await task
        assert kid.pid == 0

    asyncio.run(scenario())


def test_a_refused_configuration_is_not_retried() -> None:
    async def scenario() -> Child:
        kid = child("raise SystemExit(78)")
        with pytest.raises(ConfigError, match="kid refused to start"):
            await kid.keep_alive()
        return kid

    assert asyncio.run(scenario()).restarts == 0


@pytest.mark.parametrize(("vital", "starting"), [(True, True), (True, False), (False, True)])
def test_who_may_refuse_for_all(vital: bool, starting: bool) -> None:
    async def scenario() -> None:
        kid = child("raise SystemExit(78)", vital=vital, may_refuse=lambda: starting)
        with pytest.raises(ConfigError, match="kid refused to start"):
            await kid.keep_alive()

    asyncio.run(scenario())


def test_a_lesser_child_that_refuses_later_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children, "LESSER_PAUSE_MS", 3)

    async def scenario() -> None:
        kid = child("raise SystemExit(78)", vital=False, may_refuse=lambda: False)
        task = asyncio.create_task(kid.keep_alive())
        await until(lambda: kid.restarts >= 2 or task.done())
        await end(kid)
        await task

    asyncio.run(scenario())
    told = capsys.readouterr().err
    assert "kid refused its configuration" in told
    assert '"restart_in_ms": 3' in told, "the long pause"


def test_a_crash_loop_is_given_up_with_the_numbers() -> None:
    async def scenario() -> None:
        kid = child("raise SystemExit(3)", crash_loop_max=3)
        with pytest.raises(ConfigError, match=r"died 4 times .* exit code 3.* is 3"):
            await kid.keep_alive()

    asyncio.run(scenario())


def test_how_it_ended_is_told_before_it_is_started_again() -> None:
    told: list[tuple[int, int]] = []

    async def scenario() -> None:
        kid = child(SLEEPER, on_death=lambda code: told.append((code, kid.restarts)))
        task = asyncio.create_task(kid.keep_alive())
        await until(lambda: kid.pid > 0)
        os.kill(kid.pid, signal.SIGSEGV)
        await until(lambda: kid.restarts == 1 and kid.pid > 0)
        await end(kid)
        await task

    asyncio.run(scenario())
    assert told == [(-signal.SIGSEGV, 0)], "an end that was asked for is no death"


def test_a_lesser_child_is_never_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LESSER_PAUSE_MS", 3)

    async def scenario() -> None:
        kid = child("raise SystemExit(3)", vital=False, crash_loop_max=2)
        task = asyncio.create_task(kid.keep_alive())
        await until(lambda: kid.restarts >= 5)
        assert not task.done()
        assert kid.trouble == "exit code 3" or kid.pid
        await end(kid)
        await task

    asyncio.run(scenario())


def test_a_child_that_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    async def scenario() -> None:
        ready = tmp_path / "ready"
        kid = child(STUBBORN.format(ready=str(ready)))
        task = asyncio.create_task(kid.keep_alive())
        await until(ready.exists)
        pid = kid.pid
        kid.stop()
        await kid.wait_gone(0)
        await task
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "text"), [(-9, "signal SIGKILL"), (3, "exit code 3")])
def test_ends_are_described_in_words(code: int, text: str) -> None:
    assert describe_exit(code) == text

"""The supervisor's own work: trading days, deaths told, and what it leaves when it is killed."""

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import segment
from engine.clock import SystemClock
from engine.config import Config
from engine.journal.days import read_about
from engine.rundir import RunDir
from engine.schema.segments import RING_HEADER
from engine.wiring.open_day import MARK_NAME
from tests.e2e.idle_instance import IdleInstance
from tests.e2e.running import SHM, WATCHDOG_S, Engine, wait_for
from tests.wiring.days import DAY_NS, bite, folder_of, settings, write

pytestmark = pytest.mark.e2e


class JumpClock:
    """The machine's clock, and a jump."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def now_ns(self) -> int:
        """Return UTC ns."""
        return SystemClock().now_ns() + self.ahead_ns


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder in shared memory: paths of sockets must be short."""
    with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as path:
        yield Path(path)


def config_of(folder: Path, *overrides: str) -> Config:
    return settings(folder, "supervisor.status_ms=0", "board.interval_ms=50", *overrides)


def starts(run: RunDir, role: str) -> list[tuple[int, int, int]]:
    """Return day, epoch and pid of every start of a role."""
    file = run.path / f"starts-{role}"
    lines = file.read_text().splitlines() if file.exists() else []
    return [tuple(map(int, line.split())) for line in lines if line.count(" ") == 2]  # type: ignore[misc]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WATCHDOG_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_new_trading_day_begins_on_new_memory_and_gateways_stay(folder: Path) -> None:
    config, clock = config_of(folder), JumpClock()
    run = RunDir.of(config)

    async def scenario() -> None:
        supervisor = IdleInstance(config, clock)
        task = asyncio.create_task(supervisor.run())
        await until(lambda: starts(run, "ingest-0") and starts(run, "shard-0"))
        for role in ("gateway", "rest"):  # all are ready: the limit for that is of this clock too
            await until(lambda role=role: run.open_counters(role, 0)[0]["port"])
        pids = {child.spec.name: child.pid for child in supervisor.children}
        shard = run.open_counters("shard", 0, writable=True)[0]
        shard["matches"], shard["settled_seq"] = 5, 6
        run.state_file(0).touch()
        clock.ahead_ns = DAY_NS
        await until(lambda: len(starts(run, "ingest-0")) == 2 or task.done())
        await until(lambda: len(starts(run, "shard-0")) == 2 or task.done())
        (first, epoch, _), (second, next_epoch, _) = starts(run, "ingest-0")
        assert (second, next_epoch > epoch) == (first + 1, True)
        assert [facts[:2] for facts in starts(run, "shard-0")] == [
            (first, epoch),
            (second, next_epoch),
        ]
        after = {child.spec.name: child.pid for child in supervisor.children}
        assert list(after) == ["gateway-0", "rest", "board", "shard-0", "ingest"]
        assert {name for name in pids if pids[name] != after[name]} == {
            "ingest",
            "shard-0",
            "board",
        }
        ring = segment.open_readonly(run.ring_file(0)).memory
        assert segment.record_view(ring, RING_HEADER)[0]["created_ns"] == next_epoch
        assert (shard["matches"], shard["settled_seq"]) == (5, 0)
        assert not run.state_file(0).exists()
        assert run.manifest()["complete"]
        today, tomorrow = (folder_of(config, clock.now_ns() + at) for at in (-DAY_NS, 0))
        assert (today / MARK_NAME).exists() is False
        assert (tomorrow / MARK_NAME).exists()
        about = read_about(tomorrow)
        assert about is not None
        assert about.epoch == next_epoch
        os.kill(after["ingest"], signal.SIGKILL)
        await until(lambda: len(starts(run, "ingest-0")) == 3 or task.done())
        assert starts(run, "ingest-0")[2][:2] == (second, next_epoch)
        supervisor.request_stop()
        await task
        assert not (tomorrow / MARK_NAME).exists()

    asyncio.run(scenario())
    assert not run.path.exists()


def test_a_shard_s_successor_can_read_how_it_died(folder: Path) -> None:
    config = config_of(folder, "engine.shards=2")
    run = RunDir.of(config)

    async def scenario() -> None:
        supervisor = IdleInstance(config)
        task = asyncio.create_task(supervisor.run())
        await until(lambda: starts(run, "shard-1"))
        os.kill(starts(run, "shard-1")[0][2], signal.SIGSEGV)
        await until(lambda: len(starts(run, "shard-1")) == 2 or task.done())
        exits = [int(run.open_counters("shard", i)[0]["last_exit"]) for i in (0, 1)]
        supervisor.request_stop()
        await task
        assert exits == [0, -signal.SIGSEGV]

    asyncio.run(scenario())


def test_slots_that_the_journal_lacks_survive_an_orderly_stop(folder: Path) -> None:
    config = config_of(folder)
    run = RunDir.of(config)

    async def life(number: int, *, failing: bool) -> None:
        supervisor = IdleInstance(config)
        task = asyncio.create_task(supervisor.run())
        await until(lambda: len(starts(run, "ingest-0")) == number or task.done())
        run.open_counters("ingest", 0, writable=True)[0]["journal_failing"] = failing
        ring = segment.open_writable(run.ring_file(0)).memory
        segment.record_view(ring, RING_HEADER)["write_seq"] = 17
        supervisor.request_stop()
        await task

    asyncio.run(life(1, failing=True))
    assert (folder_of(config, SystemClock().now_ns()) / MARK_NAME).exists()
    ring = segment.open_readonly(run.ring_file(0)).memory
    assert segment.record_view(ring, RING_HEADER)[0]["write_seq"] == 17
    asyncio.run(life(2, failing=False))
    assert not run.path.exists()


class Instance(Engine):
    """A running idle instance."""

    def __init__(self, config: Config) -> None:
        overrides = [f"{key}={value}" for key, value in flat(config)]
        run = RunDir.of(config)
        super().__init__(["-m", "tests.e2e.idle_instance", *overrides], run.path)
        self.run = run

    def pids(self) -> list[int]:
        """Return the pids of all children."""
        pid = self.popen.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def flat(config: Config) -> Iterator[tuple[str, object]]:
    for key in config.origins:
        section, _, name = key.partition(".")
        yield key, getattr(getattr(config, section), name)


def is_of(pid: int, run: RunDir) -> bool:
    """Return whether a process is a child of this instance, and no other of the same number."""
    try:
        return f"\0{run.path}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[..., Instance]]:
    """Give what starts an instance; whatever of one is left at the end is killed."""
    begun: list[Instance] = []

    def start(*overrides: str) -> Instance:
        begun.append(serving(folder, *overrides))
        return begun[-1]

    yield start
    for instance in begun:
        instance.popen.kill()
        for role in ("shard-0", "ingest-0"):
            for *_, pid in starts(instance.run, role):
                if is_of(pid, instance.run):
                    os.kill(pid, signal.SIGKILL)
        instance.wait()


def serving(folder: Path, *overrides: str) -> Instance:
    """Start an instance on a day that has a journal; return it once it serves."""
    config = config_of(folder, *overrides)
    day = folder_of(config, SystemClock().now_ns())
    if not day.exists():
        day.mkdir(parents=True)
    if not list(day.glob("*.vnj")):
        write(day, 0, bite(0, 6, symbols=True))
    instance = Instance(config)
    assert instance.url
    return instance


def test_a_killed_supervisor_s_memory_is_adopted_by_the_next(begin) -> None:
    first = begin()
    pids = first.pids()
    assert len(pids) == 5
    shard = first.run.open_counters("shard", 0, writable=True)[0]
    shard["settled_seq"] = 4
    epoch = first.run.manifest()["epoch"]
    first.popen.kill()
    first.wait()
    second = begin()  # at once: it waits for the children of the first
    assert not any(alive(pid) for pid in pids)
    second.line("adopted what a dead run left")
    assert second.run.manifest()["epoch"] == epoch
    assert (shard["settled_seq"], shard["last_exit"]) == (6, -signal.SIGTERM)
    assert second.url == first.url, "clients find it where it was"
    assert len(starts(second.run, "shard-0")) == 2
    assert second.stop() == 0
    assert not second.run.path.exists()


def test_a_stopped_child_of_a_killed_supervisor_cannot_keep_the_next_one_out(begin) -> None:
    first = begin("supervisor.drain_ms=200")
    shard = starts(first.run, "shard-0")[0][2]
    os.kill(shard, signal.SIGSTOP)
    first.popen.kill()
    first.popen.wait()  # its output stays open: the stopped child has it
    second = begin("supervisor.drain_ms=200")
    assert not alive(shard)
    first.wait()
    second.line("adopted what a dead run left")
    assert second.stop() == 0


def test_a_changed_size_sweeps_and_says_why(begin) -> None:
    first = begin()
    first.popen.kill()
    first.wait()
    second = begin("engine.ring_slots=8192")
    found = second.line(r'"swept what a dead run left".*"why": "([^"]+)", "bytes": (\d+)')
    assert found[1] == "its engine.ring_slots was another"
    assert int(found[2]) > 4096 * 192
    assert second.stop() == 0


def test_another_number_of_shards_is_refused_and_the_dead_run_is_left_as_it_was(
    folder, begin
) -> None:
    first = begin()
    first.popen.kill()
    first.wait()
    wait_for("the children to end", lambda: not first.run.is_locked())
    refused = Instance(config_of(folder, "engine.shards=2"))
    assert refused.wait() == 78
    assert re.search(r"engine.shards is 2, the journal of .* was begun with 1", refused.text)
    third = begin()
    third.line("adopted what a dead run left")
    assert third.stop() == 0


def test_a_second_start_is_refused_while_the_first_lives(folder, begin) -> None:
    first = begin()
    second = Instance(config_of(folder))
    assert second.wait() == 78
    assert f"already running (pid {first.popen.pid})" in second.text
    assert first.stop() == 0

"""What the supervisor does by itself, without a single child: rolls, retries, shares of a drain."""

import asyncio
from collections.abc import Callable

import pytest

from engine import segment
from engine.config import Config
from engine.decode.symbols import SymbolTable
from engine.journal.days import read_about
from engine.rundir import RunDir
from engine.schema.codes import Venue
from engine.schema.counters import GATEWAY_COUNTERS
from engine.wiring import supervisor as module
from engine.wiring.children import ChildSpec
from engine.wiring.shard_map import shard_rule
from engine.wiring.supervisor import STOP_LEAST_NS, Supervisor
from tests.wiring.days import DAY_NS, NOON_NS, bite, folder_of, settings, write

WATCHDOG_S = 20
SECOND_NS = 1_000_000_000


class SetClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.ns = NOON_NS

    def now_ns(self) -> int:
        """Return UTC ns."""
        return self.ns


class Kid:
    """A child as far as stopping goes: it takes its time."""

    def __init__(self, name: str, clock: SetClock, needs_ns: int = 0) -> None:
        self.spec = ChildSpec(name, [], daily=not name.startswith(("gateway", "rest")))
        self.needs_ns = needs_ns
        self.trouble = ""
        self.killed = self.stopped = False
        self._clock = clock

    def stop(self) -> None:
        self.stopped = True

    async def wait_gone(self, deadline_ns: int) -> None:
        gone_ns = self._clock.ns + self.needs_ns
        self.killed = gone_ns > deadline_ns
        self._clock.ns = min(gone_ns, max(deadline_ns, self._clock.ns))


class Lone(Supervisor):
    """A supervisor whose children are names."""

    def __init__(self, config: Config, clock: SetClock) -> None:
        super().__init__(config, clock=clock, say=lambda _: None)
        self.set_clock = clock
        self.started: list[str] = []
        self.run_dir.path.mkdir(parents=True)

    def _start(self, found) -> None:  # type: ignore[no-untyped-def]
        for spec in found:
            self.started.append(spec.name)
            kid = Kid(spec.name, self.set_clock)
            self.children.append(kid)  # type: ignore[arg-type]
            self._keepers[kid] = asyncio.create_task(asyncio.sleep(0))  # type: ignore[index]

    def table(self) -> SymbolTable:
        """Map the symbols that are there now."""
        memory = segment.open_writable(self.run_dir.symbols_file).memory
        return SymbolTable(memory, shard_rule(self._config.engine.shards))


@pytest.fixture
def lone(tmp_path):
    """Give a supervisor of two shards that has opened its day; no doorbell is left open."""
    made = Lone(settings(tmp_path, "engine.shards=2", "supervisor.drain_ms=3000"), SetClock())
    made._open()
    yield made
    for fd in made._doorbells:
        module.os.close(fd)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WATCHDOG_S):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_roll_keeps_every_id_and_the_gateways(lone: Lone) -> None:
    for code in (b"HPG", b"FPT"):
        lone.table().intern(code, Venue.HOSE)

    async def scenario() -> None:
        lone._start(lone._specs())
        lone.started.clear()
        lone.set_clock.ns += DAY_NS
        await lone._roll()

    asyncio.run(scenario())
    table = lone.table()
    assert [table.intern(code, Venue.HOSE) for code in (b"FPT", b"SSI", b"HPG")] == [2, 3, 1]
    assert lone.started == ["board", "shard-0", "shard-1", "ingest"]


def test_a_day_with_ids_of_its_own_begins_with_new_gateways(lone: Lone) -> None:
    lone.table().intern(b"HPG", Venue.HOSE)
    write(folder_of(lone._config, NOON_NS + DAY_NS), 1, bite(0, 6, symbols=True))

    async def scenario() -> None:
        lone._start(lone._specs())
        lone.started.clear()
        lone.set_clock.ns += DAY_NS
        await lone._roll()

    asyncio.run(scenario())
    assert [lone.table().find(code) for code in (b"FPT", b"VN30", b"HPG")] == [1, 2, 4]
    assert lone.started == ["gateway-0", "rest", "board", "shard-0", "shard-1", "ingest"]


def test_a_day_the_disk_refused_is_written_as_soon_as_it_can_be(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "DAY_RETRY_S", 0.001)
    config = settings(tmp_path)
    journals = folder_of(config).parent
    journals.parent.mkdir(parents=True)
    journals.symlink_to(tmp_path / "nowhere")  # no folder of a day can be made
    lone = Lone(config, SetClock())
    lone._open()
    try:
        assert "cannot be used" in capsys.readouterr().err

        async def scenario() -> None:
            retry = asyncio.create_task(lone._complete_day())
            await asyncio.sleep(0.01)
            journals.unlink()
            await until(lambda: retry.done() or (folder_of(config) / "about.json").exists())
            retry.cancel()

        asyncio.run(scenario())
        about = read_about(folder_of(config))
        assert about is not None
        assert about.epoch == lone._opened.epoch
        assert "could be written at last" in capsys.readouterr().err
    finally:
        for fd in lone._doorbells:
            module.os.close(fd)


def test_a_stuck_child_leaves_the_others_a_moment_of_their_own(lone: Lone) -> None:
    clock = lone.set_clock
    needs_ns = {"gateway-0": STOP_LEAST_NS, "shard-0": STOP_LEAST_NS // 2, "ingest": 10**15}
    kids = [Kid(name, clock, ns) for name, ns in needs_ns.items()]
    asyncio.run(lone._stop_children(kids))  # type: ignore[arg-type]
    assert [kid.killed for kid in kids] == [False, False, True]
    assert clock.ns == NOON_NS + 3 * SECOND_NS + STOP_LEAST_NS + STOP_LEAST_NS // 2


def test_who_is_quick_has_the_whole_drain_of_those_before(lone: Lone) -> None:
    kids = [Kid("gateway-0", lone.set_clock, 2 * SECOND_NS), Kid("ingest", lone.set_clock)]
    asyncio.run(lone._stop_children(kids))  # type: ignore[arg-type]
    assert not any(kid.killed for kid in kids)


def test_a_port_of_the_life_before_is_not_announced(tmp_path) -> None:
    told: list[str] = []
    config = settings(tmp_path, "supervisor.status_ms=0")
    lone = Lone(config, SetClock())
    lone._say = told.append
    lone._open()
    run = RunDir.of(config)

    async def scenario() -> None:
        cells = {
            role: run.open_counters(role, 0, writable=True)[0]
            for role in ("ingest", "shard", "board", "gateway", "rest")
        }
        for cell in cells.values():
            cell["heartbeat_ns"] = NOON_NS  # a gateway's heart beats before it serves
        assert cells["gateway"].dtype == GATEWAY_COUNTERS
        cells["gateway"]["port"], cells["rest"]["port"] = -4_711, 4_712
        report = asyncio.create_task(lone._report())
        await asyncio.sleep(3 * module.READY_POLL_S)
        assert (told, lone._ready) == ([], False)
        cells["gateway"]["port"] = 4_711
        await until(lambda: told or report.done())
        assert lone._ready
        report.cancel()

    try:
        asyncio.run(scenario())
        assert told == [
            "vntape: clients connect to ws://127.0.0.1:4711/ws",
            "vntape: REST at http://127.0.0.1:4712/openapi.json",
        ]
    finally:
        for fd in lone._doorbells:
            module.os.close(fd)

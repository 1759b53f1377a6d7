"""The supervisor: owns the shared memory, starts everybody, restarts what dies, cleans up.

Order of life: lock the run directory, compile the kernels once, open the trading day, make every
segment or take them over, start children, watch. At 06:00 ICT a new trading day: ingest, shards,
board and recorder stop, rings are made anew, and they start again. Gateways and REST stay, and so
does the table of symbols: they know codes by id, so a code keeps its id for the life of the
instance. Order of death: ingest, shards, board, recorder, REST, gateways (they tell their clients),
then the run directory. Children die with it, however it dies; what a killed supervisor leaves
behind is adopted or swept by the next one, see wiring.shared_memory.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from engine.alerts.rulebook import compile_rules
from engine.clock import Clock, SystemClock
from engine.config import Config
from engine.errors import ConfigError
from engine.jit import CACHE_FOLDER
from engine.journal.days import journal_day
from engine.log import Log
from engine.market.days import day_text
from engine.ring.doorbell import new_doorbell
from engine.rundir import RunDir
from engine.status import Sources, has_history
from engine.wiring.board import read_weights
from engine.wiring.children import Child, ChildSpec
from engine.wiring.open_day import OpenDay, close_day, open_day, write_again
from engine.wiring.roles import INGEST, SHARD, Modules, specs
from engine.wiring.shared_memory import (
    adopt,
    can_keep_symbols,
    check_start,
    make_counters,
    make_day,
    manifest_facts,
    published_seqs,
    why_not_adopt,
)
from engine.wiring.status import StatusLine

READY_POLL_S = 0.02
READY_LIMIT_S = 120
DAY_POLL_S = 0.25
DAY_RETRY_S = 1.0
STOP_LEAST_NS = 500_000_000  # of one child, whatever those before it took of the drain


def say_line(text: str) -> None:
    """Print a line for a human at once, even into a pipe."""
    print(text, flush=True)


def _knows_ids(spec: ChildSpec) -> bool:
    """Return whether a child outlives the day and knows symbols by their ids."""
    return spec.name == "rest" or spec.name.startswith("gateway-")


class Supervisor:
    """Runs one instance from one configuration.

    Parameters
    ----------
    config
        Checked configuration.
    companions
        Further children, started first and stopped last: the demo's simulator.
    ingest_module
        What plays the ingest's part; a bench puts its own frame source here, a replay its player.
    ingest_args
        Further arguments of that module.
    shard_module
        What plays the shards' part.
    say
        Where lines for a human go.
    clock
        Says which trading day it is, among others.
    """

    def __init__(
        self,
        config: Config,
        *,
        companions: Sequence[ChildSpec] = (),
        ingest_module: str = INGEST,
        ingest_args: Sequence[str] = (),
        shard_module: str = SHARD,
        say: Callable[[str], None] = say_line,
        clock: Clock | None = None,
    ) -> None:
        compile_rules(config.rules, config.alerts)  # before anything starts: is each one right?
        read_weights(config.board.weights_file)
        self._config = config
        self._say = say
        self._clock = clock or SystemClock()
        self._log = Log("supervisor", self._clock)
        self.run_dir = RunDir.of(config)
        self._companions = companions
        self._modules = Modules(ingest_module, ingest_args, shard_module)
        self._doorbells: list[int] = []
        self._lock_fd = -1
        self._opened: OpenDay | None = None
        self.children: list[Child] = []
        self._keepers: dict[Child, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._ready = False  # everybody has lived at once

    async def run(self) -> None:
        """Live: returns after SIGTERM or SIGINT with nothing left behind.

        Raises
        ------
        ConfigError
            The machine or a child refused; everything has been stopped and removed.
        """
        self._lock_fd = self.run_dir.acquire(self._config.supervisor.drain_ms / 1000)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            await self._warm_kernels()
            if not self._stop.is_set():
                self._open()
                self._start(self._specs())
                await self._watch()
        finally:
            await self._stop_children(self.children)
            for keeper in self._keepers.values():
                keeper.cancel()
            for fd in self._doorbells:
                os.close(fd)
            self._close()

    def request_stop(self) -> None:
        """End `run` in order."""
        self._stop.set()

    # ------------------------------------------------------------------------- shared memory

    def _open(self) -> None:
        """Open the trading day; adopt what a dead run left, or sweep it and make all anew."""
        run, config, now_ns = self.run_dir, self._config, self._clock.now_ns()
        left = any(path != run.lock_file for path in run.path.iterdir())
        opened = open_day(
            config,
            run.data_dir(config),
            now_ns,
            published=published_seqs(run, journal_day(now_ns)),
        )
        self._tell(opened)
        facts = manifest_facts(config, opened, now_ns)
        refusal = why_not_adopt(run, facts, opened)
        if left and not refusal:
            adopt(run, config)
            self._log.write("warning", "adopted what a dead run left", path=str(run.path))
        else:
            freed_bytes = run.sweep()
            if left:
                self._log.write(
                    "warning", "swept what a dead run left", why=refusal, bytes=freed_bytes
                )
            check_start(run, config)
            make_counters(run, config)
            make_day(run, config, opened)
        run.write_config(config)
        run.write_manifest(facts)
        self._opened = opened
        self._doorbells = [new_doorbell() for _ in range(config.engine.shards)]

    async def _next_day(self) -> None:
        """Return when the trading day of our start, or of the last change, is over."""
        assert self._opened is not None
        while True:
            await asyncio.sleep(DAY_POLL_S)
            if journal_day(self._clock.now_ns()) > self._opened.day:
                return

    async def _roll(self) -> None:
        """Begin a new trading day: everybody who works on one, on new shared memory."""
        assert self._opened is not None
        run, config = self.run_dir, self._config
        await self._end([child for child in self.children if child.spec.daily])
        if self._stop.is_set():
            return
        if self._journal_behind():
            self._log.write("error", "the journal of the day before lacks what was published last")
        close_day(self._opened)
        now_ns = self._clock.now_ns()
        self._opened = opened = open_day(config, run.data_dir(config), now_ns)
        self._tell(opened)
        # A gateway keeps codes by id: it outlives the day only if the ids do.
        keep = can_keep_symbols(run, config, opened)
        if not keep:
            self._log.write(
                "warning", "ids of symbols are given anew: gateways and REST too begin anew"
            )
            await self._end([child for child in self.children if _knows_ids(child.spec)])
        # Gateways may restart meanwhile and read it; a supervisor must not adopt half a day.
        facts = manifest_facts(config, opened, now_ns)
        run.write_manifest(facts | {"complete": False})
        make_day(run, config, opened, keep_symbols=keep)
        run.write_manifest(facts)
        self._log.write("info", "a new trading day", day=day_text(opened.day), epoch=opened.epoch)
        running = {child.spec.name for child in self.children}
        self._start([spec for spec in self._specs() if spec.name not in running])

    async def _complete_day(self) -> None:
        """Write what the disk refused when the day was opened, once it takes it; for ever."""
        while True:
            await asyncio.sleep(DAY_RETRY_S)
            if self._opened is None or self._opened.unwritten is None:
                continue
            self._opened = write_again(self._opened)
            if self._opened.unwritten is None:
                self._log.write(
                    "warning",
                    "the day's folder could be written at last: the journal begins now",
                    path=str(self._opened.folder),
                )

    def _tell(self, opened: OpenDay) -> None:
        for message in opened.messages:
            self._log.write(message.level, message.text)

    def _journal_behind(self) -> bool:
        """Return whether slots were published that the journal does not have."""
        return bool(self.run_dir.open_counters("ingest", 0)[0]["journal_failing"])

    def _close(self) -> None:
        """Leave nothing behind, unless it is not ours, or all there is of what was published."""
        keep = self._opened is None and self.run_dir.manifest_file.exists()
        if self._opened is not None and self._opened.folder is not None:
            keep = self._journal_behind()
            if keep:
                self._log.write(
                    "error",
                    "the journal lacks what was published last: the shared memory stays, so that "
                    "the next start has it",
                    path=str(self.run_dir.path),
                )
            else:
                close_day(self._opened)
        self.run_dir.release(self._lock_fd, keep=keep)

    # ------------------------------------------------------------------------------ children

    async def _warm_kernels(self) -> None:
        """Compile every kernel once, before anybody needs one; a no-op when the cache is warm."""
        protocol = self._config.feed.protocol
        stamp = CACHE_FOLDER / f"warm-{protocol}"
        if stamp.exists():
            return
        self._say("vntape: compiling kernels (first start of this version only) ...")
        compiler = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.wiring.warm", protocol, start_new_session=True
        )
        stopped = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(compiler.wait())
        await asyncio.wait([stopped, ended], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            compiler.kill()
        code = await ended
        if code == 0:
            stamp.touch()
        elif not self._stop.is_set():
            raise ConfigError("the kernels do not compile on this machine; the reason is above")

    def _specs(self) -> list[ChildSpec]:
        """Return everybody; all inherit the lock, which tells that the memory is in use."""
        own = specs(self._config, self.run_dir.path, os.getpid(), self._doorbells, self._modules)
        return [
            replace(spec, pass_fds=[*spec.pass_fds, self._lock_fd])
            for spec in (*self._companions, *own)
        ]

    def _start(self, found: Iterable[ChildSpec]) -> None:
        for spec in found:
            settings = self._config.supervisor
            child = Child(
                spec,
                settings,
                self._clock,
                self._log,
                self._on_death(spec.name),
                lambda: not self._ready,
            )
            self.children.append(child)
            self._keepers[child] = asyncio.create_task(child.keep_alive())

    def _on_death(self, name: str) -> Callable[[int], None] | None:
        """Return what notes how a shard ended, for the worker that comes after it."""
        role, _, index = name.partition("-")
        if role != "shard":
            return None
        cell = self.run_dir.open_counters(role, int(index), writable=True)[0]
        return lambda code: cell.__setitem__("last_exit", code)

    async def _watch(self) -> None:
        """Keep everybody alive until it is time to stop; pass on what a child cannot survive."""
        stop = asyncio.create_task(self._stop.wait())
        report = asyncio.create_task(self._report())
        next_day = asyncio.create_task(self._next_day())
        complete = asyncio.create_task(self._complete_day())
        try:
            while not self._stop.is_set():
                done, _ = await asyncio.wait(
                    [stop, report, next_day, complete, *self._keepers.values()],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    task.result()
                if next_day in done and not self._stop.is_set():
                    await self._roll()
                    next_day = asyncio.create_task(self._next_day())
        finally:
            for task in (stop, report, next_day, complete):
                task.cancel()

    async def _report(self) -> None:
        """Announce the addresses once everybody lives, then print the status line for ever."""
        sources, config = Sources.of(self.run_dir, self._config), self._config
        deadline_ns = self._clock.now_ns() + READY_LIMIT_S * 1_000_000_000
        serving = [*sources.gateways, sources.rest]
        while not (
            all(cell[0]["heartbeat_ns"] for _, cell in sources.named())
            and all(cell[0]["port"] > 0 for cell in serving)  # negative: of the life before
        ):
            if self._clock.now_ns() > deadline_ns:
                raise ConfigError(
                    f"not every process was ready after {READY_LIMIT_S} s; "
                    "the log lines above say which one is missing"
                )
            await asyncio.sleep(READY_POLL_S)
        self._ready = True
        tls = "s" if config.gateway.tls_cert_file else ""
        for cell in sources.gateways:
            address = f"{config.gateway.host}:{int(cell[0]['port'])}"
            self._say(f"vntape: clients connect to ws{tls}://{address}/ws")
        address = f"{config.rest.host}:{int(sources.rest[0]['port'])}"
        self._say(f"vntape: REST at http{tls}://{address}/openapi.json")
        if has_history(config):
            self._say(f"vntape: history at http{tls}://{address}/api/history")
        line = StatusLine(sources)
        while config.supervisor.status_ms:
            troubles = [
                f"{child.spec.name} restarting ({child.trouble})"
                for child in self.children
                if child.trouble
            ]
            self._say(line.render(self._clock.now_ns(), troubles))
            await asyncio.sleep(config.supervisor.status_ms / 1000)
        await asyncio.Event().wait()

    async def _stop_children(self, those: Sequence[Child]) -> None:
        """Stop children, the ones started last first; kill who does not.

        They share the drain. One that is stuck may eat it, but not the moment that each of the
        others needs after its SIGTERM.
        """
        deadline_ns = self._clock.now_ns() + self._config.supervisor.drain_ms * 1_000_000
        for child in reversed(those):
            child.stop()
            await child.wait_gone(max(deadline_ns, self._clock.now_ns() + STOP_LEAST_NS))

    async def _end(self, those: Sequence[Child]) -> None:
        """Stop children that will not be started again, or as others."""
        await self._stop_children(those)
        for child in those:
            self.children.remove(child)
            self._keepers.pop(child).cancel()

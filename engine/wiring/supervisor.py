"""The supervisor: owns the shared memory, starts everybody, restarts what dies, cleans up.

Order of life: lock the run directory, make every segment, compile the kernels once, start
children, watch. Order of death: ingest, shards, board, gateways (they tell their clients), then the
run directory. Children die with it, however it dies; what a killed supervisor leaves behind is
swept by the next one that gets the lock.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from engine import segment
from engine.alerts.rulebook import compile_rules
from engine.clock import Clock, SystemClock
from engine.config import Config
from engine.decode.symbols import format_symbols, symbols_bytes
from engine.errors import ConfigError
from engine.jit import CACHE_FOLDER
from engine.log import Log
from engine.ring.doorbell import new_doorbell
from engine.ring.layout import format_ring, ring_bytes
from engine.rundir import RunDir
from engine.schema.counters import COUNTER_LAYOUTS
from engine.wiring import shard_map
from engine.wiring.board import read_weights
from engine.wiring.children import Child, ChildSpec
from engine.wiring.status import Sources, StatusLine

READY_POLL_S = 0.02
READY_LIMIT_S = 120


def say_line(text: str) -> None:
    """Print a line for a human at once, even into a pipe."""
    print(text, flush=True)


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
    say
        Where lines for a human go.
    """

    def __init__(
        self,
        config: Config,
        *,
        companions: Sequence[ChildSpec] = (),
        ingest_module: str = "engine.wiring.ingest",
        ingest_args: Sequence[str] = (),
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
        self._ingest_module = ingest_module
        self._ingest_args = ingest_args
        self._doorbells: list[int] = []
        self.children: list[Child] = []
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Live: returns after SIGTERM or SIGINT with nothing left behind.

        Raises
        ------
        ConfigError
            The machine or a child refused; everything has been stopped and removed.
        """
        lock_fd = self.run_dir.acquire()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            self._make_segments()
            await self._warm_kernels()
            if not self._stop.is_set():
                self._start_children()
                await self._watch()
        finally:
            await self._stop_children()
            for fd in self._doorbells:
                os.close(fd)
            self.run_dir.release(lock_fd)

    def request_stop(self) -> None:
        """End `run` in order."""
        self._stop.set()

    # ----------------------------------------------------------------------------------------

    def _make_segments(self) -> None:
        run, engine = self.run_dir, self._config.engine
        now_ns = self._clock.now_ns()
        segment.check_room(
            run.path,
            engine.shards * ring_bytes(engine.ring_slots) + symbols_bytes(engine.symbols_max),
        )
        for shard in range(engine.shards):
            ring = segment.create(run.ring_file(shard), ring_bytes(engine.ring_slots))
            format_ring(ring.memory, engine.ring_slots, created_ns=now_ns)
            self._doorbells.append(new_doorbell())
        symbols = segment.create(run.symbols_file, symbols_bytes(engine.symbols_max))
        format_symbols(symbols.memory, engine.symbols_max)
        for role, count in self._roles():
            for index in range(count):
                segment.create(run.counters_file(role, index), COUNTER_LAYOUTS[role].itemsize)
        run.write_config(self._config)
        run.write_manifest(
            {
                "pid": os.getpid(),
                "created_ns": now_ns,
                "shard_map": {
                    "version": shard_map.VERSION,
                    "rule": shard_map.RULE,
                    "shards": engine.shards,
                },
            }
        )

    def _roles(self) -> list[tuple[str, int]]:
        return [
            ("ingest", 1),
            ("shard", self._config.engine.shards),
            ("board", 1),
            ("gateway", self._config.gateway.count),
        ]

    def _specs(self) -> list[ChildSpec]:
        """Gateways, board and shards first, so that the first frame already finds its readers."""
        python = [sys.executable, "-m"]
        common = ["--run-dir", str(self.run_dir.path), "--parent", str(os.getpid())]
        gateways = [
            ChildSpec(f"gateway-{i}", [*python, "gateway", *common, "--index", str(i)])
            for i in range(self._config.gateway.count)
        ]
        shards = [
            ChildSpec(
                f"shard-{i}",
                [*python, "engine.wiring.shard", *common, "--index", str(i), "--doorbell", str(fd)],
                [fd],
            )
            for i, fd in enumerate(self._doorbells)
        ]
        board = ChildSpec("board", [*python, "engine.wiring.board", *common])
        ingest = ChildSpec(
            "ingest",
            [
                *python,
                self._ingest_module,
                *common,
                "--doorbells",
                ",".join(map(str, self._doorbells)),
                *self._ingest_args,
            ],
            self._doorbells,
        )
        return [*self._companions, *gateways, board, *shards, ingest]

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

    def _start_children(self) -> None:
        self.children = [
            Child(spec, self._config.supervisor, self._clock, self._log) for spec in self._specs()
        ]

    async def _watch(self) -> None:
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(child.keep_alive()) for child in self.children
        ]
        tasks += [asyncio.create_task(self._stop.wait()), asyncio.create_task(self._report())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task not in done:
                task.cancel()
        for task in done:
            task.result()

    async def _report(self) -> None:
        """Announce the addresses once everybody lives, then print the status line for ever."""
        run, engine, gateway = self.run_dir, self._config.engine, self._config.gateway
        sources = Sources(
            run.open_counters("ingest", 0),
            [run.open_counters("shard", i) for i in range(engine.shards)],
            run.open_counters("board", 0),
            [run.open_counters("gateway", i) for i in range(gateway.count)],
        )
        cells = [sources.ingest, *sources.shards, sources.board, *sources.gateways]
        deadline_ns = self._clock.now_ns() + READY_LIMIT_S * 1_000_000_000
        while not (
            all(cell[0]["heartbeat_ns"] for cell in cells)
            and all(cell[0]["port"] for cell in sources.gateways)
        ):
            if self._clock.now_ns() > deadline_ns:
                raise ConfigError(
                    f"not every process was ready after {READY_LIMIT_S} s; "
                    "the log lines above say which one is missing"
                )
            await asyncio.sleep(READY_POLL_S)
        for cell in sources.gateways:
            self._say(f"vntape: clients connect to ws://{gateway.host}:{int(cell[0]['port'])}/ws")
        line = StatusLine(sources)
        while self._config.supervisor.status_ms:
            troubles = [
                f"{child.spec.name} restarting ({child.trouble})"
                for child in self.children
                if child.trouble
            ]
            self._say(line.render(self._clock.now_ns(), troubles))
            await asyncio.sleep(self._config.supervisor.status_ms / 1000)
        await asyncio.Event().wait()

    async def _stop_children(self) -> None:
        """Stop ingest, shards, board, gateways and companions, in this order; kill who does not."""
        deadline_ns = self._clock.now_ns() + self._config.supervisor.drain_ms * 1_000_000
        for child in reversed(self.children):
            child.stop()
            await child.wait_gone(deadline_ns)

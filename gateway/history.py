"""The history service: ``python -m gateway.history --run-dir DIR`` as the supervisor starts it.

In: HTTP requests. Out: rows of segments and of the recorder's tail. Owner of the memory: one
answer at a time. May lose: the last seconds, when the recorder does not answer; the answer says so.
Counts: HISTORY_COUNTERS.
"""

import argparse
import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvloop
import zmq
from aiohttp import web

from engine.clock import Clock, SystemClock
from engine.config import Config, HistoryConfig
from engine.errors import ConfigError
from engine.history.query import History
from engine.history.tail import TailClient
from engine.log import Log
from engine.process import die_with_parent, run_main
from engine.rundir import RunDir
from gateway.history_service import HistoryService
from gateway.settings import is_loopback

HEARTBEAT_S = 0.5
DEFAULTS = HistoryConfig()


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Settings of one history service."""

    root: Path  # of the history
    tail_endpoint: str
    host: str = DEFAULTS.host
    port: int = DEFAULTS.port  # 0 picks a free one, the last one if it can
    last_port: int = 0  # where clients found us before; 0: nowhere
    threads: int = DEFAULTS.threads
    memory_bytes: int = DEFAULTS.memory_bytes
    rows_max: int = DEFAULTS.rows_max

    def check(self) -> None:
        """Refuse what cannot work.

        Raises
        ------
        ConfigError
            A public address: there are no tokens yet.
        """
        if not is_loopback(self.host):
            raise ConfigError(
                f"history.host is {self.host!r}: only loopback is allowed until clients can "
                "prove who they are; use 127.0.0.1 or ::1"
            )


def settings_of(run_dir: RunDir, config: Config, last_port: int) -> HistorySettings:
    """Translate the configuration. A port picked freely is kept over a restart.

    Parameters
    ----------
    last_port
        As the life before left it in its counters; negative when the supervisor died as well.
    """
    history = config.history
    return HistorySettings(
        root=run_dir.data_dir(config) / "history",
        tail_endpoint=run_dir.tail_endpoint,
        host=history.host,
        port=history.port,
        last_port=abs(last_port),
        threads=history.threads,
        memory_bytes=history.memory_bytes,
        rows_max=history.rows_max,
    )


def _no_lag() -> int:
    return 0


async def serve(
    settings: HistorySettings,
    cell: np.void,
    clock: Clock,
    ready: Callable[[int], None],
    *,
    lag_slots: Callable[[], int] = _no_lag,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve inside a running loop until `stop`, SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        What to serve, where.
    cell
        HISTORY_COUNTERS, one record; written by this process only.
    clock
        The time.
    ready
        Called with the port once clients can connect.
    lag_slots
        Tells how far the recorder is behind the tape.

    Raises
    ------
    ConfigError
        Public address, or a busy port.
    """
    settings.check()
    stop = stop or asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    tail = TailClient(context, settings.tail_endpoint)
    history = History(
        settings.root, tail, threads=settings.threads, memory_bytes=settings.memory_bytes
    )
    log = Log("history", clock)
    service = HistoryService(history, settings.rows_max, cell, log, lag_slots)
    runner = web.AppRunner(service.app(), access_log=None)
    await runner.setup()
    try:
        await _listen(runner, settings)
        ready(int(runner.addresses[0][1]))
        while not stop.is_set():
            cell["heartbeat_ns"] = clock.now_ns()
            try:
                await asyncio.wait_for(stop.wait(), HEARTBEAT_S)
            except TimeoutError:
                continue
    finally:
        await runner.cleanup()
        await service.close(tail.close)
        context.destroy(linger=0)


async def _listen(runner: web.AppRunner, settings: HistorySettings) -> None:
    """Listen where we are told; if any port will do, where clients know us, else anywhere."""
    reason: str | None = ""
    for port in (settings.port,) if settings.port else (settings.last_port, 0):
        try:
            await web.TCPSite(runner, settings.host, port, reuse_address=True).start()
        except OSError as error:
            reason = error.strerror
        else:
            return
    raise ConfigError(
        f"history.port {settings.port} on {settings.host} cannot be used ({reason}): "
        "is another instance running?"
    )


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="vntape-history")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    die_with_parent(args.parent)
    run_dir, clock = RunDir(args.run_dir), SystemClock()
    config = run_dir.read_config()
    cell = run_dir.open_counters("history", 0, writable=True)[0]
    recorder = run_dir.open_counters("recorder", 0)[0]
    cell["pid"], cell["started_ns"] = os.getpid(), clock.now_ns()

    def ready(port: int) -> None:
        cell["port"] = port

    settings = settings_of(run_dir, config, int(cell["port"]))
    uvloop.run(serve(settings, cell, clock, ready, lag_slots=lambda: int(recorder["lag_slots"])))


if __name__ == "__main__":
    run_main("history", main)

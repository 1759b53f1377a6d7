"""A REST process: settings in, sockets and signals around it."""

import asyncio
import contextlib
import signal
import ssl
import threading
from collections.abc import Callable

import numpy as np
import zmq
from aiohttp import web

from engine.clock import Clock
from engine.errors import ConfigError
from engine.history.query import History
from engine.history.tail import TailClient
from engine.log import Log
from engine.status import Sources
from gateway.rest.access import Access
from gateway.rest.app import Endpoint, RestApp
from gateway.rest.endpoints import Endpoints
from gateway.rest.follower import Feeder, Follower
from gateway.rest.history import HistoryService
from gateway.rest.settings import RestSettings
from gateway.tls import server_context

HEARTBEAT_S = 0.5
LEARN_WAIT_S = 3.0  # a starting process listens once it has heard everybody, or after this


async def serve(
    settings: RestSettings,
    sources: Sources,
    clock: Clock,
    ready: Callable[[int], None],
    *,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve inside a running loop until `stop`, SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        What to serve, where.
    sources
        Everybody's counters; its own (REST_COUNTERS) is written by this process only.
    clock
        The time.
    ready
        Called with the port once clients can connect.
    stop
        Set it to end.

    Raises
    ------
    ConfigError
        A public address without tokens, a busy port, or files that cannot be used.
    """
    settings.check()
    stop = stop or asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    cell, log = sources.rest[0], Log("rest", clock)
    access = Access(settings, clock, log)
    tls = (
        server_context(settings.tls_cert_file, settings.tls_key_file)
        if settings.tls_cert_file
        else None
    )
    follower = Follower(settings.capacity, clock)
    async with contextlib.AsyncExitStack() as stack:
        history = _history(settings, sources, cell, stack)
        feeder = Feeder(follower, settings.endpoints, cell, clock)
        stack.callback(feeder.close)
        endpoints = Endpoints(settings, follower, lambda: feeder.whole, sources, history, clock)
        table: dict[str, Endpoint] = {}
        app = RestApp(access, table, endpoints.question, cell, log)
        table |= endpoints.table(app.told)
        runner = web.AppRunner(app.app(), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        following = asyncio.create_task(feeder.run())
        stack.push_async_callback(_ended, following)
        await _heard(feeder, following, stop)
        await _listen(runner, settings, tls)
        ready(int(runner.addresses[0][1]))
        while not stop.is_set():
            now_ns = clock.now_ns()
            cell["heartbeat_ns"] = now_ns
            endpoints.status.sample(now_ns)
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait(
                [following, stopping], timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
            stopping.cancel()
            if following.done():
                following.result()  # a bug: the process dies with it


def _history(
    settings: RestSettings, sources: Sources, cell: np.void, stack: contextlib.AsyncExitStack
) -> HistoryService | None:
    """Return what answers questions about the past; None when none is recorded."""
    if settings.history_root is None:
        return None
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stack.callback(context.destroy, linger=0)
    tail = TailClient(context, settings.tail_endpoint)
    history = History(
        settings.history_root,
        tail,
        threads=settings.threads,
        memory_bytes=settings.memory_bytes,
    )
    recorder = sources.recorder

    def lag_slots() -> int:
        return 0 if recorder is None else int(recorder[0]["lag_slots"])

    service = HistoryService(history, cell, lag_slots)
    stack.push_async_callback(service.close, tail.close)
    return service


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _heard(feeder: Feeder, following: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """Wait until every source was heard: the first answer is not an empty market."""
    waiting = [asyncio.ensure_future(event.wait()) for event in (feeder.heard, stop)]
    await asyncio.wait(
        [following, *waiting], timeout=LEARN_WAIT_S, return_when=asyncio.FIRST_COMPLETED
    )
    for task in waiting:
        task.cancel()


async def _listen(
    runner: web.AppRunner, settings: RestSettings, tls: ssl.SSLContext | None
) -> None:
    """Listen where we are told; if any port will do, where clients know us, else anywhere."""
    reason: str | None = ""
    for port in (settings.port,) if settings.port else (settings.last_port, 0):
        try:
            await web.TCPSite(
                runner, settings.host, port, reuse_address=True, ssl_context=tls
            ).start()
        except OSError as error:
            reason = error.strerror
        else:
            return
    raise ConfigError(
        f"rest.port {settings.port} on {settings.host} cannot be used ({reason}): "
        "is another instance running?"
    )

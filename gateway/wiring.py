"""A gateway process: settings in, event loop and signals around a Gateway."""

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import uvloop
import zmq
from numpy.typing import NDArray

from engine.bus.subscriber import Subscriber
from engine.clock import Clock
from engine.schema.codes import FeedState
from gateway.server import Gateway
from gateway.settings import GatewaySettings


def _nobody_knows() -> FeedState | None:
    return None


def run(
    settings: GatewaySettings,
    counters: NDArray[np.void],
    clock: Clock,
    ready: Callable[[int], None],
    *,
    feed_state: Callable[[], FeedState | None] = _nobody_knows,
    past: Sequence[Path] = (),
    travel_command: Sequence[str] = (),
) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        What to serve, where.
    counters
        GATEWAY_COUNTERS, shape (1,), written by this process only.
    clock
        The time.
    ready
        Called with the port once clients can connect.
    feed_state
        The ingest's word on the feed; asked for hello and heartbeats.
    past
        Delta logs of the sources, for clients of the gateway before this one.
    travel_command
        Starts a time travel; empty: there is none.

    Raises
    ------
    ConfigError
        Public address, busy port, or settings that cannot work.
    """
    settings.check()
    uvloop.run(
        serve(
            settings,
            counters,
            clock,
            ready,
            feed_state=feed_state,
            past=past,
            travel_command=travel_command,
        )
    )


async def serve(
    settings: GatewaySettings,
    counters: NDArray[np.void],
    clock: Clock,
    ready: Callable[[int], None],
    *,
    stop: asyncio.Event | None = None,
    feed_state: Callable[[], FeedState | None] = _nobody_knows,
    past: Sequence[Path] = (),
    travel_command: Sequence[str] = (),
) -> None:
    """Serve inside a running loop until `stop`, SIGTERM or SIGINT (see `run`)."""
    settings.check()
    stop = stop or asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        subscriber = Subscriber(context, settings.endpoints)
        gateway = Gateway(
            settings,
            counters,
            clock,
            subscriber,
            feed_state,
            past=past,
            travel_command=travel_command,
        )
        await gateway.serve(ready, stop)
    finally:
        context.destroy(linger=0)

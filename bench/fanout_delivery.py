"""Delivery alone: the gateway's sockets and its way of sending, without bus, mirror and encoding.

    python -m bench.fanout_delivery PREBUILT CLIENTS BUDGET_BYTES

Clients connect and subscribe as to any gateway, but nothing ever comes over its bus. Instead it
obeys `bench.fanout_play`: frames that were made before go through `gateway.delivery` to whoever
subscribed. Prints its port; ends with stdin.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson
import uvloop

from bench.fanout_gateway import raise_descriptor_limit, settings
from bench.fanout_play import Play
from bench.fanout_prebuilt import Prebuilt, read
from engine.clock import SystemClock
from engine.schema.channels import TRADE
from engine.schema.counters import GATEWAY_COUNTERS
from gateway.delivery import Part, Stream
from gateway.gap import GapTimer
from gateway.server import Gateway

if TYPE_CHECKING:
    from engine.bus.subscriber import Subscriber
    from gateway.groups import Group


class SilentBus:
    """A bus on which nobody says anything."""

    frames = 0
    refused = np.zeros(8, np.int64)

    def fds(self) -> list[int]:
        """Return nothing to wait for."""
        return []

    def drain(self, _frames_max: int, _now_ns: int) -> list[Any]:
        """Return nothing."""
        return []

    def pending(self) -> bool:
        """Return that nothing waits."""
        return False

    def whole(self) -> bool:
        """Return that nothing is missing."""
        return True

    def close(self) -> None:
        """Do nothing."""


class Player:
    """Sends prebuilt frames to all groups of a gateway, on time."""

    def __init__(self, gateway: Gateway, prebuilt: Prebuilt) -> None:
        self._gateway = gateway
        self._prebuilt = prebuilt
        self._clock = SystemClock()
        self._cursor = 0
        self._timer = GapTimer(asyncio.get_running_loop(), self._due)
        self._play: Play | None = None
        self._groups: list[Group] = []

    def obey(self, order: str) -> None:
        """Begin to play."""
        self._play = Play(order, self._clock.now_ns())
        clients = self._gateway.fanout.clients
        self._groups = [g for g in {client.group for client in clients} if g is not None]
        self._timer.start(self._play.wait_ns(self._clock.now_ns()) / 1e9)

    def _due(self) -> None:
        play = self._play
        assert play is not None, "a timer without an order"
        wait_ns = play.step(self._clock, self._write)
        if play.left:
            self._timer.start(wait_ns / 1e9)
        else:
            print(orjson.dumps(play.done()).decode(), flush=True)

    def _write(self, count: int, now_ns: int) -> None:
        if self._cursor + count > self._prebuilt.count:
            self._cursor = 0
        data = self._prebuilt.stamped(self._cursor, count, now_ns)
        self._cursor += count
        fanout = self._gateway.fanout
        stream = Stream()
        rows = np.zeros(count, np.int64)  # of no symbol: nobody asks who is told where to resume
        stream.add(data, Part(TRADE.code, rows, rows), None)
        for group in self._groups:
            if group.behind:  # as gateway.fanout does it: those who are behind first
                fanout.delivery.to_behind(group, stream, Stream(), now_ns)
            fanout.delivery.to_active(group, data, count, now_ns)


async def main() -> None:
    """Serve until stdin ends."""
    prebuilt = read(Path(sys.argv[1]))
    stop = asyncio.Event()
    gateway = Gateway(
        settings(("inproc://no", "inproc://body"), 1, int(sys.argv[2]), int(sys.argv[3])),
        np.zeros(1, GATEWAY_COUNTERS),
        SystemClock(),
        cast("Subscriber", SilentBus()),
        lambda: None,
    )
    player = Player(gateway, prebuilt)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    serving = asyncio.create_task(gateway.serve(lambda port: print(port, flush=True), stop))
    while line := await lines.readline():
        player.obey(line.decode())
    stop.set()
    await serving


if __name__ == "__main__":
    raise_descriptor_limit()
    uvloop.run(main())

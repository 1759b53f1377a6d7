"""A whole gateway on a real port, fed over a real bus, inside one event loop."""

import asyncio
import contextlib
import socket
import time

import numpy as np
import orjson
import uvloop
import websockets
import zmq

from engine.bus.publisher import Publisher
from engine.clock import SystemClock
from engine.schema.codes import FeedState
from engine.schema.counters import GATEWAY_COUNTERS
from gateway.settings import GatewaySettings
from gateway.wiring import serve
from tests.gateway.client import ClientModel
from tests.gateway.market import CAPACITY, Market

WATCHDOG_S = 30.0


def run(scenario, tmp_path, codes=("FPT", "HPG", "VNM"), **settings):
    """Run ``scenario(tape)`` against a live gateway."""

    async def main():
        async with asyncio.timeout(4 * WATCHDOG_S), Tape(tmp_path, codes, settings) as tape:
            await scenario(tape)

    uvloop.run(main())


class Tape:
    """A shard's publisher and a gateway that follows it."""

    def __init__(self, folder, codes, settings):
        self.market = Market(*codes)
        self.context = zmq.Context()
        self.endpoints = (f"ipc://{folder}/d.ipc", f"ipc://{folder}/s.ipc")
        self.publisher = self._publisher()
        self.counters = np.zeros(1, GATEWAY_COUNTERS)
        self.clock = SystemClock()
        self.settings = GatewaySettings((self.endpoints,), port=0, symbols_max=CAPACITY, **settings)
        self.feed_state = FeedState.LIVE
        self.stop = asyncio.Event()

    def _publisher(self):
        return Publisher(self.context, *self.endpoints, 0, self.market.epoch)

    async def __aenter__(self):
        names = list(self.market.pending)
        self.publisher.flush(self.clock.now_ns())  # the names are old news, in the snapshot only
        self._answering = asyncio.ensure_future(self._answer())
        listening = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(
            serve(
                self.settings,
                self.counters,
                self.clock,
                listening.set_result,
                stop=self.stop,
                feed_state=lambda: self.feed_state,
            )
        )
        await asyncio.wait([listening, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            await self._serving
        self.port = await listening
        self.rows_when_ready = self.cell("bus_rows")

        def heard():  # say the names until one is heard as a delta: then the stream is connected
            if not self.cell("bus_frames"):
                for channel, row in names:
                    self.publisher.add(channel, row)
                self.publisher.flush(self.clock.now_ns())
            return self.cell("bus_frames") and self.cell("bus_rows") >= len(names)

        await self.until(heard, "the gateway hears the shard")
        self.market.pending = []
        self.gaps_before = self.cell("bus_gaps")
        return self

    async def __aexit__(self, *error):
        self.stop.set()
        self._answering.cancel()
        try:
            await self._serving
        finally:
            self.publisher.close()
            self.context.destroy(linger=0)

    async def _answer(self):
        """The shard's loop: beacons and snapshots."""
        while True:
            self.publisher.flush(self.clock.now_ns())
            self.publisher.serve(self.market.latest)
            await asyncio.sleep(0.005)

    async def publish(self):
        """Send what the market said, and give others a turn."""
        for channel, row in self.market.pending:
            self.publisher.add(channel, row)
        self.market.pending = []
        self.publisher.flush(self.clock.now_ns())
        await asyncio.sleep(0)

    def lose(self):
        """What the market said never reaches the gateway."""
        self.market.pending = []
        self.publisher.frame_seq += 1

    async def restart_shard(self):
        self.publisher.close()
        self.market.start_over(self.market.epoch + 1)
        self.publisher = self._publisher()
        await self.publish()

    async def until(self, condition, what):
        end = time.monotonic() + WATCHDOG_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}"
            await asyncio.sleep(0.002)

    def cell(self, name):
        return int(self.counters[0][name])

    @contextlib.asynccontextmanager
    async def client(self, **options):
        async with self.connect(**options) as connection:
            yield Desk(connection)

    @contextlib.asynccontextmanager
    async def slow_client(self):
        """A client that holds little it has not been asked for: small buffers, no reading ahead."""
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self.port))
        async with self.client(sock=line, max_queue=1) as desk:
            yield desk

    def connect(self, path="/ws", **options):
        options = {"subprotocols": ["vntape.v1.json"], "max_queue": None, **options}
        return websockets.connect(f"ws://127.0.0.1:{self.port}{path}", **options)


class Desk:
    """A `websockets` client with a ClientModel behind it."""

    def __init__(self, socket):
        self.socket = socket
        self.model = ClientModel()
        self.raw = []

    async def say(self, **message):
        await self.socket.send(orjson.dumps(message).decode())

    async def read(self, condition, what):
        """Read until it is so; returns the model."""
        async with asyncio.timeout(WATCHDOG_S):
            while not condition(self.model):
                text = await self.socket.recv()
                self.raw.append(text)
                self.model.read([text.encode()])
        assert condition(self.model), what
        return self.model

    async def sub(self, *topics, **rest):
        """Subscribe and wait for the answer."""
        answers = self.count("sub_ok")
        await self.say(op="sub", topics=list(topics), **rest)
        return await self.read(lambda m: self.count("sub_ok") > answers, "sub_ok")

    def count(self, op):
        return sum(frame["op"] == op for frame in self.model.frames)

    def last(self, op):
        return next(frame for frame in reversed(self.model.frames) if frame["op"] == op)

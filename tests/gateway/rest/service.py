"""A REST process in the loop of the test: real ports, a real bus, counters in plain memory."""

import asyncio
import json
from pathlib import Path

import aiohttp
import numpy as np
import uvloop
import zmq

from engine.bus.publisher import Publisher
from engine.clock import SystemClock
from engine.schema.codes import FeedState
from engine.schema.counters import COUNTER_LAYOUTS
from engine.status import Sources
from gateway.rest.serve import serve
from gateway.rest.settings import RestSettings
from tests.gateway.market import CAPACITY, Market

WATCHDOG_S = 20.0


def counters(role: str) -> np.ndarray:
    return np.zeros(1, COUNTER_LAYOUTS[role])


def healthy(now_ns: int, *, shards: int = 1) -> Sources:
    """Return counters of an instance where everybody turns and the feed is live."""
    sources = Sources(
        counters("ingest"),
        [counters("shard") for _ in range(shards)],
        counters("board"),
        [counters("gateway")],
        counters("rest"),
        counters("recorder"),
    )
    for _, cell in sources.named():
        cell["heartbeat_ns"] = cell["started_ns"] = now_ns
    sources.ingest["feed_state"] = sources.ingest["link_state"] = FeedState.LIVE
    return sources


class Service:
    """The service, and a client of it.

    Parameters
    ----------
    folder
        For sockets and files.
    market
        What its bus tells; None: there is no bus.
    settings
        Of the service.
    """

    def __init__(self, folder: Path, market: Market | None = None, **settings: object) -> None:
        self.market = market
        self.endpoints = ((f"ipc://{folder}/d.ipc", f"ipc://{folder}/s.ipc"),) if market else ()
        self.settings = RestSettings(
            **{"endpoints": self.endpoints, "port": 0, "symbols_max": CAPACITY, **settings}
        )
        self.clock = SystemClock()
        self.sources = healthy(self.clock.now_ns())
        self.cell = self.sources.rest[0]
        self.stop = asyncio.Event()

    async def __aenter__(self) -> "Service":
        self.context = zmq.Context()
        if self.market:
            self.publisher = Publisher(self.context, *self.endpoints[0], 0, self.market.epoch)
            self.publisher.flush(self.clock.now_ns())
        self._answering = asyncio.ensure_future(self._answer())
        listening = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(
            serve(self.settings, self.sources, self.clock, listening.set_result, stop=self.stop)
        )
        await asyncio.wait([listening, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            await self.__aexit__()
        self.url = f"http://127.0.0.1:{await listening}"
        self.client = aiohttp.ClientSession()
        await self._heard()
        return self

    async def _heard(self) -> None:
        """Say the last row again until it is heard as a delta: then the stream is connected."""
        async with asyncio.timeout(WATCHDOG_S):
            while self.market and self.market.pending and not self.cell["bus_frames"]:
                self.publisher.add(*self.market.pending[-1])
                self.publisher.flush(self.clock.now_ns())
                await asyncio.sleep(0.005)
        if self.market:
            self.market.pending = []

    async def __aexit__(self, *_error: object) -> None:
        if hasattr(self, "client"):
            await self.client.close()
        self.stop.set()
        self._answering.cancel()
        await asyncio.wait([self._serving])
        if self.market:
            self.publisher.close()
        self.context.destroy(linger=0)
        self._serving.result()

    async def _answer(self) -> None:
        """The shard's loop: beacons and snapshots; and everybody else's heartbeat."""
        while self.market:
            self.publisher.flush(self.clock.now_ns())
            self.publisher.serve(self.market.latest)
            await asyncio.sleep(0.005)

    async def publish(self) -> None:
        """Send what the market said, and wait until it has arrived."""
        before = int(self.cell["bus_rows"])
        count = len(self.market.pending)
        for channel, row in self.market.pending:
            self.publisher.add(channel, row)
        self.market.pending = []
        self.publisher.flush(self.clock.now_ns())
        async with asyncio.timeout(WATCHDOG_S):
            while int(self.cell["bus_rows"]) < before + count:
                await asyncio.sleep(0.002)

    async def ask(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **query
    ) -> tuple[int, object, dict[str, str]]:
        """Return status, body (JSON if it is) and headers; `from_` is the parameter `from`."""
        told = {name.rstrip("_"): str(value) for name, value in query.items()}
        async with self.client.request(
            method, self.url + path, params=told, headers=headers
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json" and text
            return answer.status, json.loads(text) if is_json else text, answer.headers

    async def get(self, path: str, **query: object) -> tuple[int, dict]:
        """Return status and JSON of a request."""
        status, body, _ = await self.ask(path, **query)
        return status, body


def run(scenario, folder: Path, market: Market | None = None, **settings: object) -> None:
    """Run ``scenario(service)`` against a live service."""

    async def main() -> None:
        async with asyncio.timeout(WATCHDOG_S), Service(folder, market, **settings) as service:
            await scenario(service)

    uvloop.run(main())

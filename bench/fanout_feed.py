"""The least of an SSI v2 server: hands out a token, upgrades, and sends stamped frames at a rate.

    python -m bench.fanout_feed FOLDER RATE_FILE PORT

In place of the simulator, so that every quote can carry the moment it was sent, and so that sending
costs little of the two cores that are being measured. The link is the real one: the engine
negotiates, connects, starts and subscribes; every message has a frame of its own. Lookups find
nothing.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import orjson
import uvloop
from aiohttp import WSMsgType, web

from bench.fanout_stamped import Stamped
from bench.pace import RateFile
from engine.clock import SystemClock

TICK_S: Final = 0.001
KEEPALIVE_S: Final = 10.0
HUB: Final = "/v2.0/signalr"
INIT: Final = '{"C":"d-8F1AB453-B,0|C,0|D,1|E,0","S":1,"M":[]}'


class Feed:
    """Plays to whoever connected last."""

    def __init__(self, frames: Stamped, rate: RateFile) -> None:
        self.played = 0
        self._frames = frames
        self._rate = rate
        self._clock = SystemClock()
        self._line: asyncio.Transport | None = None

    async def token(self, _request: web.Request) -> web.Response:
        """Hand out a token."""
        return web.json_response(
            {"status": 200, "message": "Success", "data": {"accessToken": "bench"}}
        )

    async def negotiate(self, _request: web.Request) -> web.Response:
        """Offer a WebSocket."""
        return web.json_response(
            {
                "ConnectionToken": "bench",
                "ConnectionId": "bench",
                "KeepAliveTimeout": 2 * KEEPALIVE_S,
                "DisconnectTimeout": 3 * KEEPALIVE_S,
                "TryWebSockets": True,
                "ProtocolVersion": "1.5",
            }
        )

    async def start(self, _request: web.Request) -> web.Response:
        """Say that it has started."""
        return web.json_response({"Response": "started"})

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Talk to one connection until it ends."""
        socket = web.WebSocketResponse(compress=False, autoping=True)
        await socket.prepare(request)
        await socket.send_str(INIT)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                words = orjson.loads(message.data)
                await socket.send_str(orjson.dumps({"I": str(words.get("I", 0))}).decode())
                assert request.transport is not None
                self._line = request.transport
        self._line = None
        return socket

    async def play(self) -> None:
        """Send what is due, every millisecond, as long as there is anything."""
        owed = 0.0
        last_ns = self._clock.now_ns()
        quiet_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            now_ns = self._clock.now_ns()
            passed_s, last_ns = (now_ns - last_ns) / 1e9, now_ns
            rate, line = self._rate.get(), self._line
            if line is None:
                owed = 0.0
                continue
            owed += rate * passed_s
            count = min(int(owed), self._frames.count - self.played)
            quiet_s = 0.0 if count else quiet_s + passed_s
            if count:
                owed -= count
                line.write(self._frames.take(self.played, count, self._clock.now_ns()))
                self.played += count
            elif quiet_s > KEEPALIVE_S:
                quiet_s = 0.0
                line.write(b"\x81\x02{}")


async def main() -> None:
    """Serve until SIGTERM."""
    feed = Feed(Stamped(Path(sys.argv[1])), RateFile(Path(sys.argv[2])))
    app = web.Application()
    app.router.add_post("/api/v2/Market/AccessToken", feed.token)
    for method in ("GET", "POST"):
        app.router.add_route(method, f"{HUB}/negotiate", feed.negotiate)
        app.router.add_route(method, f"{HUB}/start", feed.start)
    app.router.add_get(f"{HUB}/connect", feed.connect)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[3])).start()
    await feed.play()


if __name__ == "__main__":
    uvloop.run(main())

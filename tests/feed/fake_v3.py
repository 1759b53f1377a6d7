"""A small FastConnect v3 server for the client's own tests: real sockets, scripted trouble."""

import asyncio
import base64
import random
from contextlib import asynccontextmanager

import orjson
from aiohttp import WSMsgType, web

from engine.clock import SystemClock
from engine.feed.rest_v3 import RestV3
from engine.feed.ssi_v3 import SsiV3Source, V3Settings
from tests.feed.simulated import Recorder

API_KEY = "00112233445566778899aabbccddeeff"
API_SECRET = "ffeeddccbbaa99887766554433221100"
OTP = "271828"
TOPICS = ("trade.*", "quote.*", "market.flag")
NOT_A_REFRESH_TOKEN = (401, {"code": 401_103, "msg": "refresh token is revoked or expired"})


def trade(number, symbol="SSI"):
    return (
        f'{{"channel":"DATA","topic":"trade.{symbol}","data":{{"s":"{symbol}","v":{number}}}}}'
    ).encode()


def jwt(number, expires_s):
    def part(document):
        return base64.urlsafe_b64encode(orjson.dumps(document)).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'exp': expires_s, 'n': number})}.signature{number:06}"


class FakeV3:
    """Answers like the documented server; every attribute below bends it."""

    def __init__(self, port=0, tls=None):
        self.port = port
        self.tls = tls
        # The stream.
        self.ping_s = 0.05
        self.silent = False  # half-open: nothing is sent any more
        self.acks = lambda request: [ack(request)]
        self.greeting = [trade(1)]  # sent after the first acknowledgement
        self.upgrade_statuses = []  # answered to the next upgrades, instead of 101
        self.refusals = []  # (code, msg) sent on the next connections, then a close
        self.checks_token = True
        self.requests = []  # what clients sent, parsed
        self.bytes_max = 0  # of one request
        self.bearers = []
        self.pong_count = 0
        self.upgrade_count = 0
        self.open_most = 0
        self.connections = {}  # WebSocketResponse: its transport
        # The session.
        self.token_life_s = 28_800
        self.wants_otp = False
        self.scripted = {}  # path: answers (status, document[, headers]) to give first
        self.asked = []  # (path, body or query)
        self.rows = {}  # path: what a GET answers
        self.refresh_token = ""
        self.tokens = []
        self.otp_answer = {"message": "sent"}
        self.holding = None  # an event: answers of the session wait for it
        self._runner = None

    async def start(self):
        app = web.Application()
        app.router.add_get("/ws/v3", self._stream)
        app.router.add_post("/api/v3/auth/{what}", self._session)
        app.router.add_get("/api/v3/data/{what}", self._lookup)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self):
        self.drop()
        await self._runner.cleanup()

    def drop(self):
        """Cut every TCP connection."""
        for transport in list(self.connections.values()):
            transport.abort()

    async def send(self, *frames):
        for socket in list(self.connections):
            for frame in frames:
                await socket.send_str(frame.decode())

    def subscribed(self):
        """The topics of all subscribe requests, in order."""
        return [
            topic
            for request in self.requests
            if request["method"] == "subscribe"
            for topic in request["topics"]
        ]

    # -- the stream -------------------------------------------------------------------------

    async def _stream(self, request):
        self.upgrade_count += 1
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.bearers.append(bearer)
        if self.upgrade_statuses:
            return web.Response(status=self.upgrade_statuses.pop(0), text=bearer)
        if self.checks_token and bearer != self.tokens[-1]:
            return web.Response(status=401)
        socket = web.WebSocketResponse(autoping=False, max_msg_size=0)
        await socket.prepare(request)
        self.connections[socket] = request.transport
        self.open_most = max(self.open_most, len(self.connections))
        pinging = asyncio.create_task(self._ping(socket))
        try:
            if self.refusals:
                code, said = self.refusals.pop(0)
                await socket.send_json({"code": code, "msg": said})
                await socket.close()
                return socket
            async for message in socket:
                if message.type == WSMsgType.PONG:
                    self.pong_count += 1
                elif message.type == WSMsgType.TEXT:
                    await self._request(socket, message.data)
        except ConnectionError:
            pass
        finally:
            pinging.cancel()
            del self.connections[socket]
        return socket

    async def _request(self, socket, text):
        request = orjson.loads(text)
        self.requests.append(request)
        self.bytes_max = max(self.bytes_max, len(text.encode()))
        if self.silent:
            return
        for answer in self.acks(request):
            await socket.send_json(answer)
        if request["method"] == "subscribe":
            for frame in self.greeting:
                await socket.send_str(frame.decode())

    async def _ping(self, socket):
        while not socket.closed:
            if not self.silent:
                try:
                    await socket.ping(b"are you there")
                except ConnectionError:
                    return
            await asyncio.sleep(self.ping_s)

    # -- the session ------------------------------------------------------------------------

    async def _session(self, request):
        body = await request.json()
        answer = self._answer(request.path, body)
        self.asked.append((request.path, body))
        if self.holding is not None:
            await self.holding.wait()
        return answer

    def _answer(self, path, body):
        if self.scripted.get(path):
            return _json(*self.scripted[path].pop(0))
        if path.endswith("/requestOtp"):
            return _json(200, self.otp_answer)
        if path.endswith("/refresh"):
            if not self.refresh_token or body != {"refreshToken": self.refresh_token}:
                self.refresh_token = ""  # a used one ends the session
                return _json(*NOT_A_REFRESH_TOKEN)
            return self._issue()
        if (body["apiKey"], body["apiSecret"]) != (API_KEY, API_SECRET):
            return _json(401, {"code": 401_105, "msg": f"no key {body['apiKey']}"})
        if self.wants_otp and not ({"otp": OTP}.items() <= body.items() or "transactionId" in body):
            return _json(401, {"code": 401_100, "msg": f"wrong OTP {body.get('otp')}"})
        return self._issue()

    def _issue(self):
        now_s = SystemClock().now_ns() / 1e9
        number = len(self.tokens)
        self.tokens.append(jwt(number, now_s + self.token_life_s))
        self.refresh_token = f"refresh-token-number-{number:06}"
        return _json(
            200,
            {
                "data": {
                    "accessToken": self.tokens[-1],
                    "tokenType": "Bearer",
                    "expiresAt": int((now_s + self.token_life_s) * 1_000),
                    "refreshToken": self.refresh_token,
                    "refreshExpiresAt": int(now_s) + 90_000,
                }
            },
        )

    async def _lookup(self, request):
        path = request.path
        self.asked.append((path, dict(request.query)))
        if self.scripted.get(path):
            return _json(*self.scripted[path].pop(0))
        if request.headers.get("Authorization") != f"Bearer {self.tokens[-1]}":
            return _json(401, {"code": 401, "msg": "Unauthorized"})
        return _json(200, self.rows.get(path, {"code": 204, "msg": "No content"}))


def _json(status, document, headers=None):
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        content_type="application/json",
        headers=headers,
    )


def ack(request, status="ok", message="done"):
    return {
        "method": request["method"].upper(),
        "channel": request["channel"],
        "status": status,
        "message": message,
    }


class AsyncioWith:
    """The module with another `sleep`, for one importer only."""

    def __init__(self, sleep):
        self.sleep = sleep

    def __getattr__(self, name):
        return getattr(asyncio, name)


@asynccontextmanager
async def serving(server=None, **bends):
    """Run a fake server for the length of the block."""
    server = server or FakeV3()
    for name, value in bends.items():
        assert hasattr(server, name), name
        setattr(server, name, value)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def settings(port, **changes):
    return V3Settings(
        **{
            "url": f"http://127.0.0.1:{port}/",
            "stream_url": f"ws://127.0.0.1:{port}/ws/v3",
            "consumer_id": API_KEY,
            "consumer_secret": API_SECRET,
            "topics": TOPICS,
            "reconnect_base_ms": 5,
            "reconnect_cap_ms": 20,
            "connect_timeout_ms": 5_000,
            "rest_interval_ms": 0,
            "silence_ms": 5_000,
            "ping_ms": 1_000,
            **changes,
        }
    )


@asynccontextmanager
async def feeding(source_settings, sink=None, clock=None, rest=None):
    """Run a source for the length of the block."""
    sink = sink or Recorder()
    clock = clock or SystemClock()
    rest = rest or RestV3(source_settings.rest(), clock)
    source = SsiV3Source(source_settings, clock, random.Random(1), rest)
    running = asyncio.create_task(source.run(sink))
    try:
        yield source, sink
    finally:
        source.stop()
        await running

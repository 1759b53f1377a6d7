"""A tiny day, a sink that can be waited for, and a simulator around them."""

import asyncio
import random
from contextlib import asynccontextmanager

import orjson
import uvloop

from engine.clock import SystemClock
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from tools.simulator.http import Response
from tools.simulator.hub import HUB, broadcast
from tools.simulator.player import Pace
from tools.simulator.rest import Instrument, Keys
from tools.simulator.server import Options, Simulator

DEADLINE_S = 20.0
CONSUMER_ID = "00112233445566778899aabbccddeeff"
SECRET = "ffeeddccbbaa99887766554433221100"
NINE_MS = 9 * 3_600_000
KINDS = ("F", "X", "X-QUOTE", "X-TRADE", "R", "MI", "B", "OL")
EVERYTHING = ",".join(f"{kind}:ALL" for kind in KINDS)


def line(clock_ms, kind, symbol, number=0):
    envelope = (
        f'{{"DataType":"{kind}","Content":"{{\\"Symbol\\":\\"{symbol}\\",\\"Number\\":{number}}}"}}'
    )
    return clock_ms, kind, symbol, broadcast(envelope)


def day(count=50, step_ms=10):
    """Every type for two symbols, `count` times over."""
    return [
        line(NINE_MS + number * step_ms, kind, symbol, number)
        for number in range(count)
        for kind in KINDS
        for symbol in ("SSI", "VND")
    ]


def run(body, deadline_s=DEADLINE_S):
    """Run a test's coroutine with a watchdog."""

    async def watched():
        async with asyncio.timeout(deadline_s):
            return await body

    return uvloop.run(watched())


class Recorder:
    """A sink that remembers, and that can be waited for."""

    def __init__(self):
        self.frames = []
        self.stamps_ns = []
        self.states = []
        self._changed = asyncio.Event()

    def on_frame(self, frame, recv_ns):
        self.frames.append(bytes(frame))
        self.stamps_ns.append(recv_ns)
        self._changed.set()

    def on_state(self, state, detail):
        self.states.append((state.name, detail))
        self._changed.set()

    @property
    def messages(self):
        return sum(frame.count(b'"M":"Broadcast"') for frame in self.frames)

    def count(self, state):
        return sum(1 for name, _ in self.states if name == state)

    def details(self, state):
        return [detail for name, detail in self.states if name == state]

    async def until(self, condition):
        while not condition():
            self._changed.clear()
            await self._changed.wait()


def build(
    lines=None,
    *,
    speed=None,
    trace=None,
    port=0,
    keepalive_s=5.0,
    start_ms=0,
    keys=None,
    clock=None,
    **options,
):
    """Return a simulator of the tiny day."""
    clock = clock or SystemClock()
    return Simulator(
        day() if lines is None else lines,
        Pace(speed, start_ms, clock.now_ns()),
        clock,
        Options(
            port=port, keepalive_s=keepalive_s, keys=keys or Keys(CONSUMER_ID, SECRET), **options
        ),
        instruments=[
            Instrument("SSI", "HOSE", "SSI Securities"),
            Instrument("VND", "HOSE"),
            Instrument("SHS", "HNX"),
            Instrument("41I1G8000", "DER"),
        ],
        vn30=["SSI", "VND"],
        trace=(trace.append if trace is not None else lambda _line: None),
    )


def settings(port, **changes):
    url = f"http://127.0.0.1:{port}/"
    return FeedSettings(
        **{
            "url": url,
            "stream_url": url,
            "consumer_id": CONSUMER_ID,
            "consumer_secret": SECRET,
            "channels": EVERYTHING,
            "reconnect_base_ms": 5,
            "reconnect_cap_ms": 20,
            "connect_timeout_ms": 5_000,
            **changes,
        }
    )


def answering(simulator, **answers):
    """Let the next requests of each verb get these answers, one each, instead of the usual ones.

    A verb is the last part of a path: AccessToken, negotiate, connect, start, Securities ...
    None is the usual answer. Returns the requests, as they come.
    """
    usual, requests = simulator.answer, []

    def answer(connection, request):
        requests.append(request)
        waiting = answers.get(request.path.rpartition("/")[2], [])
        given = waiting.pop(0) if waiting else None
        return usual(connection, request) if given is None else given

    simulator.answer = answer
    return requests


def json_answer(document, status=200):
    return Response(status, orjson.dumps(document))


def verbs(requests):
    return [request.path.rpartition("/")[2] for request in requests]


def hub_error(text):
    """A frame with a complaint of the hub's (ssi-wire section 1.8)."""
    return orjson.dumps({"C": "c", "M": [{"H": HUB, "M": "Error", "A": [text]}]})


def websockets(simulator):
    return [connection for connection in simulator.connections if connection.is_websocket]


def most_at_once(simulator):
    """Watch how many WebSockets there ever are together; the list's last item is the most."""
    usual, most = simulator.upgraded, [0]

    def upgraded(connection):
        most.append(max(most[-1], len(websockets(simulator))))
        usual(connection)

    simulator.upgraded = upgraded
    return most


@asynccontextmanager
async def feeding(source_settings, sink=None, clock=None, rest=None):
    """Run a source for the length of the block."""
    sink = sink or Recorder()
    source = SsiV2Source(source_settings, clock or SystemClock(), random.Random(1), rest)
    running = asyncio.create_task(source.run(sink))
    try:
        yield source, sink
    finally:
        source.stop()
        await running


@asynccontextmanager
async def simulating(**options):
    """Run a simulator for the length of the block."""
    simulator = build(**options)
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()

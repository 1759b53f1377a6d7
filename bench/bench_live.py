"""Live ingest from a loopback socket: what a frame costs on one core, and where.

The simulator of SSI's server, in a process of its own, plays the same prepared day once for each
variant. Every variant does one thing more than the one before, so the difference of their processor
times is what that thing costs:

    socket      bytes read from the socket and dropped
    parsing     WebSocket frames cut out by picows, and dropped
    link        the v2 source: what each frame means for the connection, delivered to a sink
    intake      copied into a batch
    decode      scanned into slots
    ring        published on a ring nobody reads
    recording   also written to a compressed recording (its own thread's time included)

Time is processor time of this process, so a slow sender or a busy machine moves the figures little.

    python -m bench.bench_live [--small] [--json PATH]
"""

import asyncio
import http.client
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.cli import Size, main
from bench.simulated import simulator
from engine.clock import SystemClock
from engine.decode.decoder import Decoder
from engine.decode.frames import FrameBatch
from engine.decode.symbols import SymbolTable, format_symbols, symbols_bytes
from engine.feed.recording import Recorder
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from engine.ring.layout import format_ring, ring_bytes
from engine.ring.writer import RingWriter
from engine.schema.codes import FeedState
from engine.schema.counters import INGEST_COUNTERS
from engine.schema.slots import SLOT
from engine.wiring import warm
from engine.wiring.intake import Intake

TRADES = {"small": 2_000, "full": 60_000}
CHANNELS = "X-QUOTE:ALL,X-TRADE:ALL,R:ALL,MI:ALL,F:ALL"
HUB = "FcMarketDataV2Hub"
QUIET_S = 1.0  # the day is over when nothing came for so long
SYMBOLS_MAX = 4_096
RING_SLOTS = 65_536


class Meter:
    """Counts what arrives and remembers when, so that the end of the day can be seen."""

    def __init__(self) -> None:
        self.frames = 0
        self.bytes = 0

    async def quiet(self) -> None:
        """Wait until something came and then nothing for QUIET_S."""
        seen = -1
        while self.bytes == 0 or self.bytes != seen:
            seen = self.bytes
            await asyncio.sleep(QUIET_S)


def negotiate(port: int) -> tuple[dict[str, str], str]:
    """Return the headers and the URL path of a connection about to be made."""
    link = http.client.HTTPConnection("127.0.0.1", port)
    body = orjson.dumps({"consumerID": "bench", "consumerSecret": "bench"})
    link.request("POST", "/api/v2/Market/AccessToken", body, {"Content-Type": "application/json"})
    token = orjson.loads(link.getresponse().read())["data"]["accessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    hubs = quote(orjson.dumps([{"name": HUB}]))
    query = f"connectionData={hubs}&clientProtocol=1.5"
    link.request("POST", f"/v2.0/signalr/negotiate?{query}", headers=headers)
    connection = quote(orjson.loads(link.getresponse().read())["ConnectionToken"], safe="")
    link.close()
    path = f"/v2.0/signalr/connect?transport=webSockets&connectionToken={connection}&{query}"
    return headers, path


def switch_channels() -> bytes:
    """Return the invocation that subscribes."""
    return orjson.dumps({"H": HUB, "M": "SwitchChannels", "A": [CHANNELS], "I": 0})


async def read_socket(port: int, meter: Meter) -> None:
    """Variant `socket`: bytes are read and dropped."""
    headers, path = negotiate(port)

    class Drop(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            meter.bytes += len(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(Drop, "127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = switch_channels()
    assert 126 > len(text) > 0
    frame = bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text  # masked with zeros
    transport.write("\r\n".join([*lines, "", ""]).encode() + frame)
    await meter.quiet()
    transport.close()


async def read_frames(port: int, meter: Meter) -> None:
    """Variant `parsing`: frames are cut out and dropped."""
    headers, path = negotiate(port)

    class Drop(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
            meter.frames += 1
            meter.bytes += len(frame.get_payload_as_memoryview())

    transport, _ = await ws_connect(
        Drop, f"ws://127.0.0.1:{port}{path}", extra_headers=headers, read_buffer_init_size=1 << 18
    )
    transport.send(WSMsgType.TEXT, switch_channels())
    await meter.quiet()
    transport.disconnect()


class Sink:
    """A sink that hands frames on and decodes at the end of each loop turn."""

    def __init__(
        self,
        meter: Meter,
        take: Callable[[bytes | memoryview, int], object],
        turn: Callable[[], object] | None,
    ) -> None:
        self._meter = meter
        self._take = take
        self._turn = turn
        self._due = False

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Take a frame."""
        self._meter.frames += 1
        self._meter.bytes += len(frame)
        self._take(frame, recv_ns)
        if self._turn is not None and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._due = False
        assert self._turn is not None
        self._turn()

    def on_state(self, state: FeedState, detail: str) -> None:
        """Refuse to measure a broken connection."""
        assert state >= FeedState.CONNECTING or detail == "stopped", detail


async def read_source(port: int, sink: Sink, meter: Meter) -> None:
    """Run the production source into a sink until the day is over."""
    url = f"http://127.0.0.1:{port}/"
    settings = FeedSettings(
        url=url,
        stream_url=url,
        channels=CHANNELS,
        consumer_id="bench",
        consumer_secret="bench",  # noqa: S106 - the simulator takes any
    )
    source = SsiV2Source(settings, SystemClock(), random.Random(1))
    running = asyncio.create_task(source.run(sink))
    over = asyncio.create_task(meter.quiet())
    await asyncio.wait({running, over}, return_when=asyncio.FIRST_COMPLETED)
    over.cancel()
    source.stop()
    await running  # raises what the sink had to say


def _symbols() -> SymbolTable:
    memory = np.zeros(symbols_bytes(SYMBOLS_MAX), np.uint8)
    format_symbols(memory, SYMBOLS_MAX)
    return SymbolTable(memory, lambda _code, _instrument: 0)


def _writer() -> RingWriter:
    memory = np.zeros(ring_bytes(RING_SLOTS), np.uint8)
    format_ring(memory, RING_SLOTS, created_ns=0)
    return RingWriter(memory, None)


def _source_variant(name: str, meter: Meter, folder: Path) -> tuple[Sink, Recorder | None]:
    """Return the sink of a variant that runs the production source."""
    if name == "link":
        return Sink(meter, lambda _frame, _recv_ns: None, None), None
    batch = FrameBatch(8 << 20, 8_192)
    if name == "intake":

        def collect(frame: bytes | memoryview, recv_ns: int) -> None:
            if not batch.append(frame, recv_ns):
                batch.clear()
                batch.append(frame, recv_ns)

        return Sink(meter, collect, batch.clear), None
    counters = np.zeros(1, INGEST_COUNTERS)
    if name == "decode":
        decoder, out = Decoder(_symbols(), counters), np.zeros(65_536, SLOT)

        def decode() -> None:
            first = 0
            while first < batch.count:
                first, _ = decoder.decode(batch, first, out)
            batch.clear()

        def take(frame: bytes | memoryview, recv_ns: int) -> None:
            if not batch.append(frame, recv_ns):
                decode()
                batch.append(frame, recv_ns)

        return Sink(meter, take, decode), None
    recorder = Recorder(folder, "bench", {"protocol": "v2"}, 0) if name == "recording" else None
    intake = Intake(_symbols(), [_writer()], counters, recorder=recorder)
    return Sink(meter, intake.on_frame, intake.flush), recorder


VARIANTS = ("socket", "parsing", "link", "intake", "decode", "ring", "recording")


def measure(name: str, trades: int) -> dict[str, Any]:
    """Play the day into one variant. Return frames, bytes and processor seconds."""
    meter, recorder = Meter(), None
    flat_out = ("--prerender", "--speed", "max", "--no-snapshot", "--messages-per-frame", "1")
    day = ("--trades-max", str(trades), "--keepalive-s", "3600")
    with simulator(*flat_out, *day) as port, tempfile.TemporaryDirectory() as folder:
        reading: Callable[[], Awaitable[None]]
        if name == "socket":
            reading = lambda: read_socket(port, meter)  # noqa: E731
        elif name == "parsing":
            reading = lambda: read_frames(port, meter)  # noqa: E731
        else:
            sink, recorder = _source_variant(name, meter, Path(folder))
            reading = lambda: read_source(port, sink, meter)  # noqa: E731

        async def run() -> None:
            await reading()

        began_cpu, began = time.process_time(), time.perf_counter()
        uvloop.run(run())
        if recorder is not None:
            recorder.close()
            assert recorder.lost_frame_count == 0, "the disk was too slow to measure"
        return {
            "frames": meter.frames,
            "bytes": meter.bytes,
            "cpu_s": time.process_time() - began_cpu,
            "wall_s": time.perf_counter() - began,
        }


def run(size: Size = "full") -> dict[str, Any]:
    """Measure every variant once.

    Returns
    -------
    dict
        For each stage: nanoseconds of processor time per frame, and its share of the whole without
        recording; `frames_per_s_per_core` for live ingest without and with recording.
    """
    warm.main("v2")  # kernels are compiled, or loaded, before anything is measured
    figures = {name: measure(name, TRADES[size]) for name in VARIANTS}
    frames = figures["link"]["frames"]
    for name in VARIANTS[2:]:
        assert figures[name]["frames"] >= frames * 0.999, (name, figures[name], frames)
    cost_ns = {name: each["cpu_s"] / frames * 1e9 for name, each in figures.items()}
    before = dict(zip(VARIANTS, (None, *VARIANTS[:-1]), strict=True))
    own_ns = {name: cost_ns[name] - (cost_ns[last] if last else 0) for name, last in before.items()}
    return {
        "frames": frames,
        "frame_bytes": round(figures["link"]["bytes"] / frames),
        "stage_ns_per_frame": {name: round(own) for name, own in own_ns.items()},
        "stage_share": {
            name: round(own / cost_ns["ring"], 3)
            for name, own in own_ns.items()
            if name != "recording"
        },
        "frames_per_s_per_core": round(1e9 / cost_ns["ring"]),
        "frames_per_s_per_core_recording": round(1e9 / cost_ns["recording"]),
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

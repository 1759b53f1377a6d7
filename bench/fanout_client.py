"""The load client where no C compiler is: same arguments, same answers, picows instead of epoll.

    python -m bench.fanout_client PORT CLIENTS PROTOCOL REQUESTS CHECKED EVERY RCVBUF

See bench/native/load_client.c. It costs several times as much, so it is the limit of what
it measures at full speed; figures taken with it say so.
"""

import asyncio
import re
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.fanout_gateway import raise_descriptor_limit
from bench.fanout_stamped import STAMP_FROM
from engine.clock import SystemClock
from engine.schema.channels import QUOTE
from gateway.settings import CH_SYMBOL_BITS

HEAD: Final = re.compile(rb'\{"op":"(d|snap)","ch":(\d+),.*?"seq":(\d+),.*?"n":(\d+)')
RECV_NS: Final = re.compile(rb'"recv_ns":(\d+)')
BID: Final = re.compile(rb'"bid_volume_shares":(\d+)')
BIN_HEADER: Final = struct.Struct("<BBBBIq")
BIN_KEY_BYTES: Final = 64
BIN_MERGED_BYTES: Final = 72
BID_AT: Final = 40  # of bid_volume_shares in a quote's record
I8: Final = struct.Struct("<q")
NO_CODE: Final = 1_005  # RFC 6455: a close frame that says nothing


class Counts:
    """What all connections together were sent."""

    def __init__(self, client_count: int, every: int) -> None:
        self.clock = SystemClock()
        self.clients = client_count
        self.every = every
        self.open = self.answered = 0
        self.ready = asyncio.Event()  # everybody was answered
        self.error = ""
        self.anew()

    def anew(self) -> None:
        """Start counting again."""
        self.frames = self.updates = self.snaps = self.bytes = self.breaks = self.negative = 0
        self.last_ns = 0
        self.ops: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self.ages: Counter[int] = Counter()
        self.feed_ages: Counter[int] = Counter()
        self.cpu_from_ns = time.process_time_ns()

    def told(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "clients": self.clients,
            "open": self.open,
            "frames": self.frames,
            "updates": self.updates,
            "snaps": self.snaps,
            "bytes": self.bytes,
            "reads": max(self.frames, 1),  # picows does not say
            "breaks": self.breaks,
            "negative": self.negative,
            "last_ns": self.last_ns,
            "cpu_ns": time.process_time_ns() - self.cpu_from_ns,
            "ops": self.ops,
            "closes": self.closes,
            "age_us": sorted(self.ages.items()),
            "feed_age_us": sorted(self.feed_ages.items()),
            "error": self.error,
        }

    def news(self, channel: int, recv_ns: int, bid: int | None, at_ns: int) -> None:
        """Time one row."""
        self.negative += at_ns < recv_ns
        self.ages[max(at_ns - recv_ns, 0) // 1_000] += 1
        if channel == QUOTE.code and bid is not None and bid >= STAMP_FROM:
            self.feed_ages[(at_ns // 1_000 - bid) % STAMP_FROM] += 1


class Connection(WSListener):
    """One client."""

    def __init__(self, counts: Counts, request: bytes, *, checked: bool) -> None:
        self.transport: WSTransport | None = None
        self._counts = counts
        self._request = request
        self._last_seq: dict[int, int] | None = {} if checked else None
        self._answered = False
        self._why = "end"

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe."""
        self.transport = transport
        self._counts.open += 1
        transport.send(WSMsgType.TEXT, self._request)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Count it out."""
        self._counts.open -= 1
        self._counts.closes[self._why] += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count one frame."""
        if frame.msg_type == WSMsgType.CLOSE:
            self._why = str(int.from_bytes(frame.get_payload_as_bytes()[:2], "big") or NO_CODE)
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        self._counts.bytes += len(payload)
        if frame.msg_type == WSMsgType.BINARY:
            self._binary(payload)
        elif match := HEAD.match(payload):
            kind, ch, seq, n = match[1], *map(int, match.groups()[1:])
            if self._row(ch, seq, n, is_snap=kind == b"snap"):
                stamp, bid = RECV_NS.search(payload), BID.search(payload)
                assert stamp is not None, payload
                self._time(ch, int(stamp[1]), int(bid[1]) if bid else None)
        else:
            self._control(payload)

    def _control(self, payload: bytes) -> None:
        message = orjson.loads(payload)
        op = message["op"]
        self._counts.ops[op] += 1
        if op == "error" or message.get("err"):
            self._counts.error = self._counts.error or payload.decode()[:255].replace('"', "'")
        if op in ("sub_ok", "error") and not self._answered:
            self._answered = True
            self._counts.answered += 1
            if self._counts.answered == self._counts.clients:
                self._counts.ready.set()

    def _binary(self, payload: bytes) -> None:
        _, kind, flags, count, ch, first = BIN_HEADER.unpack_from(payload)
        before = BIN_HEADER.size + BIN_KEY_BYTES * (kind == 1) + BIN_MERGED_BYTES * (flags & 1)
        at = before + (len(payload) - before) // count * (count - 1)
        seq, recv_ns = I8.unpack_from(payload, at)[0], I8.unpack_from(payload, at + 8)[0]
        if self._row(ch, seq, seq - first + 1, is_snap=kind == 1):
            is_quote = ch >> CH_SYMBOL_BITS == QUOTE.code
            bid = I8.unpack_from(payload, at + BID_AT)[0] if is_quote else None
            self._time(ch, recv_ns, bid)

    def _row(self, ch: int, seq: int, n: int, *, is_snap: bool) -> bool:
        """Count a row; return whether it is to be timed."""
        counts = self._counts
        if self._last_seq is not None:
            counts.breaks += not is_snap and self._last_seq.get(ch, seq - n) != seq - n
            self._last_seq[ch] = seq
        if is_snap:
            counts.snaps += 1
            return False
        counts.frames += 1
        counts.updates += n
        return counts.frames % counts.every == 0

    def _time(self, ch: int, recv_ns: int, bid: int | None) -> None:
        now_ns = self._counts.clock.now_ns()
        self._counts.last_ns = now_ns
        self._counts.news(ch >> CH_SYMBOL_BITS, recv_ns, bid, now_ns)


async def main(argv: list[str], wishes: list[bytes]) -> None:
    """Connect, then obey until stdin ends."""
    port, count, protocol, _, checked, every, _ = argv
    counts = Counts(int(count), int(every))
    connections = [
        Connection(counts, wishes[i % len(wishes)], checked=i < int(checked))
        for i in range(int(count))
    ]
    for each in connections:
        await ws_connect(
            lambda each=each: each,
            f"ws://127.0.0.1:{port}/ws",
            extra_headers={"Sec-WebSocket-Protocol": protocol},
        )
    await counts.ready.wait()
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := (await lines.readline()).decode().strip():
        for each in connections:
            if line in ("pause", "resume") and each.transport is not None:
                wire = each.transport.underlying_transport
                (wire.pause_reading if line == "pause" else wire.resume_reading)()
        print(orjson.dumps(counts.told()).decode(), flush=True)
        if line == "mark":
            counts.anew()


if __name__ == "__main__":
    raise_descriptor_limit()
    uvloop.run(main(sys.argv[1:], Path(sys.argv[4]).read_bytes().splitlines()))

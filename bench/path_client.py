"""The path bench's client: subscribes to everything that counts and checks every frame.

    python -m bench.path_client URL SIZE

Every trade of every symbol must arrive once, in order (mode all), and every symbol's statistics
must end on what the day was planned to end on. Prints one line of JSON when that is so.
"""

import asyncio
import sys
from typing import Any

import orjson
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.workload import expected_volumes, plan
from engine.clock import SystemClock

WATCHDOG_S = 300


class Checker(WSListener):
    """Counts, and complains at the first frame that is wrong."""

    def __init__(self, expected_volume: dict[str, int]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames = self.bytes = self.trades = 0
        self._topic: dict[int, str] = {}
        self._seq: dict[int, int] = {}
        self._volume: dict[int, int] = {}
        self._missing = dict(expected_volume)  # symbol -> volume its stats have yet to reach
        self._trade_missing = sum(expected_volume.values())

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe."""
        for request in (
            {"op": "sub", "id": 1, "topics": ["trade.*"], "mode": "all"},
            {"op": "sub", "id": 2, "topics": ["stats.*", "quote.*"], "mode": "conflate"},
        ):
            transport.send(WSMsgType.TEXT, orjson.dumps(request))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """Check one frame."""
        if frame.msg_type != WSMsgType.TEXT:
            return
        payload = frame.get_payload_as_memoryview()
        self.frames += 1
        self.bytes += len(payload)
        message = orjson.loads(payload)
        op = message["op"]
        if op == "d" or op == "snap":
            ch = message["ch"]
            if op == "snap":
                self._topic[ch] = message["topic"]
            self._take(ch, message, op)
        elif op in ("gap", "bye", "error"):
            self._fail(f"the server said {payload.tobytes()!r}")

    def _take(self, ch: int, message: dict[str, Any], op: str) -> None:
        topic, seq, data = self._topic[ch], message["seq"], message["data"]
        if topic.startswith("trade."):
            if op == "d" and seq != self._seq[ch] + 1:
                self._fail(f"{topic}: seq {seq} after {self._seq[ch]}")
            if op == "snap" and seq != 1:
                self._fail(f"{topic}: first trade seen is number {seq}")
            self._seq[ch] = seq
            self.trades += 1
            self._trade_missing -= data["volume_shares"]
        elif topic.startswith("stats."):
            symbol = topic[6:]
            left = self._missing.get(symbol)
            if left is not None and data["volume_shares"] >= left:
                if data["volume_shares"] > left:
                    self._fail(f"{topic}: volume {data['volume_shares']}, planned {left}")
                del self._missing[symbol]
        if not self._missing and not self._trade_missing and not self.done.done():
            self.done.set_result(None)

    def _fail(self, text: str) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(text))

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Fail: nobody else ends the connection."""
        self._fail(f"disconnected with {self._trade_missing} shares of trades missing")


async def run(url: str, size: str) -> dict[str, Any]:
    """Check the whole day; return what was received and when the last of it came."""
    expected = expected_volumes(plan(size))
    checker = Checker(expected)
    transport, _ = await ws_connect(
        lambda: checker, url, extra_headers={"Sec-WebSocket-Protocol": "vntape.v1.json"}
    )
    async with asyncio.timeout(WATCHDOG_S):
        await checker.done
    end_ns = SystemClock().now_ns()
    transport.disconnect()
    return {
        "end_ns": end_ns,
        "frames": checker.frames,
        "bytes": checker.bytes,
        "trades": checker.trades,
    }


if __name__ == "__main__":
    print(orjson.dumps(uvloop.run(run(sys.argv[1], sys.argv[2]))).decode(), flush=True)

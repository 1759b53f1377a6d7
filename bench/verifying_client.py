"""A client that follows every topic, checks every frame, and comes back whenever it is cut off.

    python -m bench.verifying_client URL

Channels whose rows are events are followed row by row, the others conflated to a row a second, so
that the client costs less than what it watches. Commands come as lines on stdin, each answered by
one line of JSON on stdout:

    status      counts, faults, and since when it is connected
    rows FILE   the last row of every topic, written to FILE as JSON: topic -> [epoch, seq, data]
"""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.row_checker import RowChecker
from engine.clock import SystemClock

PROTOCOL: Final = {"Sec-WebSocket-Protocol": "vntape.v1.json"}
INTERVAL_MS: Final = 1_000  # of conflated channels
SILENCE_BEATS: Final = 3  # a connection that is silent for so many heartbeats is dead
RETRY_S: Final = (0.02, 0.5)  # first and longest wait before another try
CONNECT_LIMIT_S: Final = 2.0


class Connection(WSListener):
    """One connection: subscribes to everything, then hands frames to the checker."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        self.closed = asyncio.Event()
        self.transport: WSTransport | None = None
        self.heard_s = time.monotonic()
        self.heartbeat_s = 1.0
        self._awaited = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Wait for the gateway to speak first."""
        self.transport = transport
        if self.client.connection is not self:  # given up while it was being made
            transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        if frame.msg_type != WSMsgType.TEXT:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        if self.client.connection is not self:
            return
        self.heard_s = time.monotonic()
        payload = frame.get_payload_as_memoryview()
        self.client.frames += 1
        self.client.bytes += len(payload)
        message = orjson.loads(payload)
        op = message["op"]
        if op in ("d", "snap", "gap"):
            self.client.checker.take(message)
        elif op != "heartbeat":
            self._talk(transport, op, message)

    def _talk(self, transport: WSTransport, op: str, message: dict[str, Any]) -> None:
        if op == "hello":
            self.heartbeat_s = message["heartbeat_ms"] / 1000
            transport.send(WSMsgType.TEXT, orjson.dumps({"op": "list", "id": 0}))
        elif op == "list_ok":
            self._subscribe(transport, message["channels"])
        elif op == "sub_ok":
            assert not message.get("err"), message["err"]
            self._awaited -= 1
            if self._awaited == 0:
                self.client.subscribed_ns = self.client.clock.now_ns()
                self.client.subscriptions += 1
        elif op == "error":
            self.client.refusals.append(message["message"])
        else:  # bye, warn, shutdown
            self.client.told[op] = self.client.told.get(op, 0) + 1

    def _subscribe(self, transport: WSTransport, channels: dict[str, Any]) -> None:
        every = frozenset(name for name, facts in channels.items() if facts["mode"] == "all")
        self.client.checker.connected(every)
        rest = channels.keys() - every
        for request in (
            {"op": "sub", "id": 1, "topics": [f"{name}.*" for name in every], "mode": "all"},
            {"op": "sub", "id": 2, "topics": [f"{name}.*" for name in rest]}
            | {"mode": "conflate", "interval_ms": INTERVAL_MS},
        ):
            transport.send(WSMsgType.TEXT, orjson.dumps(request))
            self._awaited += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Tell whoever waits."""
        self.closed.set()


class Client:
    """Connects, again and again, to one address."""

    def __init__(self, url: str) -> None:
        self.clock = SystemClock()
        self.checker = RowChecker()
        self.frames = self.bytes = self.connects = self.subscriptions = 0
        self.subscribed_ns = 0  # when the present connection had all it asked for; 0: not yet
        self.told: dict[str, int] = {}  # bye, warn and shutdown
        self.refusals: list[str] = []
        self.connection: Connection | None = None  # the present one; others are not listened to
        self._url = url

    async def run(self) -> None:
        """Stay connected for ever."""
        wait_s = RETRY_S[0]
        while True:
            self.connection = connection = Connection(self)
            try:
                await asyncio.wait_for(self._connect(connection), CONNECT_LIMIT_S)
            except (OSError, WSError, TimeoutError):
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_S[1])
                continue
            wait_s = RETRY_S[0]
            self.connects += 1
            await self._until_dead(connection)
            self.subscribed_ns = 0

    async def _connect(self, connection: Connection) -> None:
        await ws_connect(lambda: connection, self._url, extra_headers=PROTOCOL)

    async def _until_dead(self, connection: Connection) -> None:
        """Wait until the connection is closed, or silent for too long; then it is over."""
        try:
            while not connection.closed.is_set():
                limit_s = SILENCE_BEATS * connection.heartbeat_s
                left_s = connection.heard_s + limit_s - time.monotonic()
                if left_s <= 0:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(connection.closed.wait(), left_s)
        finally:
            if connection.transport is not None:
                connection.transport.disconnect(graceful=False)

    def status(self) -> dict[str, Any]:
        """Return what a bench wants to know."""
        checker = self.checker
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "connects": self.connects,
            "subscriptions": self.subscriptions,
            "subscribed_ns": self.subscribed_ns,
            "topics": len(checker.rows),
            "rows": checker.row_count,
            "old_rows": checker.old_rows,
            "lost_rows": checker.lost_rows,
            "gaps": checker.gaps,
            "told": self.told,
            "refusals": self.refusals[:5],
            "fault_count": checker.fault_count,
            "faults": checker.faults,
        }

    def answer(self, command: str) -> dict[str, Any]:
        """Do what a line on stdin asks for."""
        verb, _, rest = command.partition(" ")
        if verb == "rows":
            rows = self.checker.rows
            Path(rest).write_bytes(
                orjson.dumps({topic: [k.epoch, k.seq, k.data] for topic, k in rows.items()})
            )
        return self.status()


async def main(url: str) -> None:
    """Serve until stdin ends."""
    client = Client(url)
    running = asyncio.create_task(client.run())
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while (line := await lines.readline()) and not running.done():
        print(orjson.dumps(client.answer(line.decode().strip())).decode(), flush=True)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))

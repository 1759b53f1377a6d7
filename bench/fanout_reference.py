"""The reference server where no C compiler is: same arguments, same answers, a `sock.send` loop.

    python -m bench.fanout_reference PREBUILT SNDBUF UNSENT_LOW_BYTES

See bench/native/reference_server.c. Unlike that it answers the upgrade's key: its client checks it.
"""

import base64
import hashlib
import os
import re
import selectors
import socket
import sys
from pathlib import Path
from typing import Final

import orjson

from bench.fanout_gateway import raise_descriptor_limit
from bench.fanout_play import Play
from bench.fanout_prebuilt import Prebuilt, read
from engine.clock import SystemClock
from gateway.connection import TCP_NOTSENT_LOWAT

ANSWER: Final = b'\x81\x0f{"op":"sub_ok"}'
KEY: Final = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
PROTOCOL: Final = re.compile(rb"sec-websocket-protocol: *(\S+)", re.IGNORECASE)
MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
READ_BYTES: Final = 65_536
BACKLOG: Final = 1_024


def upgrade(request: bytes) -> bytes:
    """Return the answer to an upgrade request, without looking whether it is one."""
    key, protocol = KEY.search(request), PROTOCOL.search(request)
    digest = hashlib.sha1((key[1] if key else b"") + MAGIC, usedforsecurity=False).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: %b\r\n\r\n"
        % (base64.b64encode(digest), protocol[1] if protocol else b"none")
    )


class Server:
    """Sockets, and one loop."""

    def __init__(self, prebuilt: Prebuilt, sndbuf: int, unsent_low: int) -> None:
        self._prebuilt = prebuilt
        self._options = (
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf),
            (socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_low),
        )
        self._clock = SystemClock()
        self._selector = selectors.DefaultSelector()
        self._queues: dict[socket.socket, bytearray] = {}
        self._upgraded: set[socket.socket] = set()
        self._cursor = 0
        self._play: Play | None = None
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def _drop(self, line: socket.socket) -> None:
        self._selector.unregister(line)
        del self._queues[line]
        self._upgraded.discard(line)
        line.close()

    def _send(self, line: socket.socket, data: bytes) -> None:
        queue = self._queues[line]
        if not queue:
            try:
                data = data[line.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                self._drop(line)
                return
            if not data:
                return
            self._selector.modify(line, selectors.EVENT_READ | selectors.EVENT_WRITE)
        queue += data

    def _drain(self, line: socket.socket) -> None:
        queue = self._queues[line]
        try:
            del queue[: line.send(queue)]
        except BlockingIOError:
            return
        except OSError:
            self._drop(line)
            return
        if not queue:
            self._selector.modify(line, selectors.EVENT_READ)

    def _hear(self, line: socket.socket) -> None:
        try:
            text = line.recv(READ_BYTES)
        except OSError:
            text = b""
        if not text:
            self._drop(line)
        elif line in self._upgraded:
            self._send(line, ANSWER)
        else:
            self._upgraded.add(line)
            self._send(line, upgrade(text))

    def _welcome(self) -> None:
        line, _ = self._listening.accept()
        line.setblocking(False)
        for option in self._options:
            line.setsockopt(*option)
        self._queues[line] = bytearray()
        self._selector.register(line, selectors.EVENT_READ)

    def _write(self, count: int, now_ns: int) -> None:
        if self._cursor + count > self._prebuilt.count:
            self._cursor = 0
        data = self._prebuilt.stamped(self._cursor, count, now_ns)
        self._cursor += count
        for line in list(self._upgraded):
            self._send(line, data)

    def _order(self) -> bool:
        text = os.read(sys.stdin.fileno(), READ_BYTES).decode()
        if text:
            self._play = Play(text.strip(), self._clock.now_ns())
        return bool(text)

    def turn(self) -> bool:
        """Do what is due; return False once stdin has ended."""
        wait_s: float | None = None
        if self._play is not None:
            wait_s = max(self._play.step(self._clock, self._write), 0) / 1e9
            if not self._play.left:
                print(orjson.dumps(self._play.done()).decode(), flush=True)
                self._play, wait_s = None, None
        for key, events in self._selector.select(wait_s):
            if key.fileobj is sys.stdin:
                if not self._order():
                    return False
            elif key.fileobj is self._listening:
                self._welcome()
            else:
                line = key.fileobj
                assert isinstance(line, socket.socket)
                if events & selectors.EVENT_WRITE:
                    self._drain(line)
                if events & selectors.EVENT_READ and line in self._queues:
                    self._hear(line)
        return True


def main() -> None:
    """Serve until stdin ends."""
    server = Server(read(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
    print(server.port, flush=True)
    while server.turn():
        pass


if __name__ == "__main__":
    raise_descriptor_limit()
    main()

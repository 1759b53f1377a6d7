"""Who means harm: bytes by hand on a real socket, and a good client that must not notice."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import orjson

from tests.gateway.live import WATCHDOG_S

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
MASK = b"\x01\x02\x03\x04"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
HEAD_BYTES_MAX = 1 << 16
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def frame(payload=b"", opcode=TEXT, *, fin=True, rsv=0, mask=MASK, size=None, wide=0):
    """One client frame. `size` lies about the length; `wide` writes it in 16 or 64 bits."""
    size = len(payload) if size is None else size
    first = fin << 7 | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    if wide == 64 or size >= 65_536:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    elif wide == 16 or size >= 126:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | size))
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def text(**message):
    """One message as a frame."""
    return frame(orjson.dumps(message))


class Wire:
    """A raw connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.head = b""  # the answer to the request
        self.messages = []  # parsed text frames
        self.pings = 0

    @property
    def status(self):
        return int(self.head.split()[1]) if self.head else 0

    def send(self, data):
        """Send bytes as they are; somebody who is thrown out does not mind."""
        with contextlib.suppress(OSError):
            self.writer.write(data)

    async def ask(self, port, path="/ws", headers=UPGRADE):
        """Make a request and read the head of its answer."""
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        return await self.answer()

    async def answer(self):
        async with asyncio.timeout(WATCHDOG_S):
            try:
                self.head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                self.head = b""  # hung up without a word
        return self.status

    async def frame(self):
        """Return opcode and payload of the next frame; None when the line is cut."""
        try:
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80, "a server does not mask"
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0xF, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def read(self, condition=lambda wire: False):
        """Read until it is so or the line ends; return the close code, None for no close."""
        async with asyncio.timeout(WATCHDOG_S):
            while not condition(self):
                got = await self.frame()
                if got is None:
                    return None
                opcode, payload = got
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big")
                if opcode == PING:
                    self.pings += 1
                if opcode == TEXT:
                    self.messages.append(orjson.loads(payload))
        return 0

    def codes(self):
        """Codes of the errors so far."""
        return [message["code"] for message in self.messages if message["op"] == "error"]

    def last(self, op):
        return next(message for message in reversed(self.messages) if message["op"] == op)

    def count(self, op):
        return sum(message["op"] == op for message in self.messages)


@contextlib.asynccontextmanager
async def wire(port, *, receive_bytes=None, from_address="127.0.0.1", ssl=None):
    """Connect; small `receive_bytes` make a reader that takes little ahead."""
    line = socket.socket()
    if receive_bytes:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    line.bind((from_address, 0))
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(
        sock=line,
        limit=receive_bytes or HEAD_BYTES_MAX,
        ssl=ssl,
        server_hostname="127.0.0.1" if ssl else None,
    )
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def web_socket(port, path="/ws", headers=UPGRADE, **options):
    """Connect and shake hands."""
    async with wire(port, **options) as attacker:
        assert await attacker.ask(port, path, headers) == 101, attacker.head
        yield attacker


@contextlib.asynccontextmanager
async def witness(tape):
    """Let the market trade for a good client, who must have got every row in the end.

    It is subscribed to everything in mode all. What the attack costs the whole process in memory is
    its attribute `grown_bytes` afterwards.
    """
    going = True
    said = dict.fromkeys(tape.market.ids, 0)

    async def trading():
        while going:
            for code in said:
                tape.market.trade(code, 2_530_000 + said[code] % 7)
                tape.market.quote(code, 2_530_000, 2_540_000)
                said[code] += 1
            await tape.publish()
            await asyncio.sleep(0.002)

    async with tape.client() as desk:
        await desk.sub("trade.*", "quote.*", mode="all")
        desk.model.frames.clear()
        busy = asyncio.ensure_future(trading())
        before = rss_bytes()
        try:
            yield desk
        finally:
            going = False
            await busy
        desk.grown_bytes = rss_bytes() - before
        wanted = {f"{channel}.{code}": n for code, n in said.items() for channel in CHANNELS}
        model = await desk.read(
            lambda m: all(m.seq.get(topic) == n for topic, n in wanted.items()), "every row"
        )
        rows = [f for f in model.frames if f["op"] in ("snap", "d")]
        assert len(rows) == sum(wanted.values()), "nothing twice, nothing left out"
        assert all(f["n"] == 1 for f in rows)
        assert not {f["op"] for f in model.frames} - {"snap", "d", "heartbeat", "sub_ok"}


CHANNELS = ("trade", "quote")


def rss_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES

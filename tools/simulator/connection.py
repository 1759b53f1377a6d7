"""One TCP connection: HTTP requests first, a WebSocket after an upgrade."""

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from tools.simulator import hub
from tools.simulator.http import TEXT, BadRequest, Request, Response, take_request
from tools.simulator.websocket import Opcode, ProtocolError, Receiver, encode, encode_close

if TYPE_CHECKING:
    from tools.simulator.lines import Subscription

WRITE_BUFFER_BYTES = 1024 * 1024


class Host(Protocol):
    """What a connection needs from the server behind it."""

    connections: set["Connection"]

    def answer(self, connection: "Connection", request: Request) -> Response:
        """Answer a request. Status 101 turns the connection into a WebSocket."""
        ...

    def upgraded(self, connection: "Connection") -> None:
        """Take note that a WebSocket has opened."""
        ...

    def invoked(self, connection: "Connection", text: bytes) -> None:
        """Serve a text message."""
        ...


class Connection(asyncio.Protocol):
    """Bytes in both directions, and whether there is room to write."""

    def __init__(self, host: Host, *, replace_all: bool) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._receiver: Receiver | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.gone = asyncio.Event()
        # All v2's until the service that answered the upgrade says otherwise.
        self.subscription: Subscription = hub.Subscription(replace_all=replace_all)
        self.keepalive = encode(hub.KEEPALIVE)
        self.is_v3 = False
        self.number = 0  # WebSockets count up from 1, in the order of their upgrades
        self._mute = False
        self._ended = False
        self.greeted = False  # has had its first snapshot
        self.lost_count = 0  # messages this reader was too slow for

    @property
    def is_websocket(self) -> bool:
        """Whether the upgrade has happened and the connection can still carry something."""
        if self._transport is None or self._mute or self._ended:
            return False
        return self._receiver is not None and not self._transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """Bytes accepted by `write` that the kernel has not taken."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._host.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the transport; whoever waits for room is let go."""
        self._transport = None
        self._host.connections.discard(self)
        self._room.set()
        self.gone.set()

    def pause_writing(self) -> None:
        """Note that the peer does not keep up."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Note that the peer keeps up again."""
        self._room.set()

    async def drained(self) -> None:
        """Wait until there is room, or nobody to write to."""
        await self._room.wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._buffer += data
        if self._receiver is None:
            self._take_requests()
        if self._receiver is not None:
            self._take_messages(self._receiver)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._mute or self._ended:
            return
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self, code: int, reason: str = "") -> None:
        """Close politely."""
        if self._transport is not None:
            if self._receiver is not None:
                self.write(encode_close(code, reason))
            self._transport.close()

    def end(self, code: int | None = None) -> None:
        """Send what is written, a close frame if there is a code, and then nothing any more.

        Our half of TCP is closed, not the socket: nothing the peer says meanwhile can turn into
        a reset that would take the last frames away from it. It is up to the peer to go.
        """
        if self._transport is not None and not self._ended:
            if code is not None:
                self.write(encode_close(code))
            self._ended = True
            self._transport.write_eof()

    def mute(self) -> None:
        """Send nothing on this connection ever again, and keep it open."""
        self._mute = True

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _take_requests(self) -> None:
        try:
            while self._receiver is None and (request := take_request(self._buffer)) is not None:
                response = self._host.answer(self, request)
                self.write(response.encode())
                if response.status == 101:
                    self._receiver = Receiver()
                    self._host.upgraded(self)
                elif request.headers.get("connection", "").lower() == "close":
                    self.close(1000)
        except BadRequest as error:
            self.write(Response(400, str(error).encode(), TEXT).encode())
            self.close(1000)

    def _take_messages(self, receiver: Receiver) -> None:
        try:
            for opcode, payload in receiver.take(self._buffer):
                if opcode is Opcode.TEXT:
                    self._host.invoked(self, payload)
                elif opcode is Opcode.PING:
                    self.write(encode(payload, Opcode.PONG))
                elif opcode is Opcode.CLOSE:
                    self.close(1000)
        except ProtocolError as error:
            self.close(error.code, str(error))

"""One WebSocket connection: bytes to the kernel, messages to the gateway, signs of life."""

import asyncio
import contextlib
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport

from gateway.conversation import Conversation
from gateway.upgrade import Verdict

if TYPE_CHECKING:
    from gateway.reception import Reception
    from gateway.sinks import Client, Send

CLOSE_WAIT_S: Final = 2.0  # a client that does not take its close frame is cut off
HARD_FRAME_BYTES_MAX: Final = 1_048_576  # beyond it picows closes 1009 without reading
TCP_NOTSENT_LOWAT: Final = 25  # linux/tcp.h; not in the socket module
UNSENT_LOW_BYTES: Final = 16_384
PONG_NS: Final = 1_000_000_000
PARTS_MAX: Final = 1_024  # of one message: also empty ones take memory
DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)
BROKEN: Final = {  # close codes that picows sends to who breaks the protocol
    WSCloseCode.PROTOCOL_ERROR,
    WSCloseCode.UNSUPPORTED_DATA,
    WSCloseCode.INVALID_TEXT,
    WSCloseCode.MESSAGE_TOO_BIG,
}


class Line:
    """A client's transport as the fan-out sees it (gateway.sinks.Sink).

    While nothing is queued, bytes go straight to the kernel through a second descriptor of
    the same socket: one call, no event loop in between. It is a descriptor of our own, because the
    transport may close its one, and its number be given to another client, before we are told.
    With TLS only the transport can write.
    """

    def __init__(
        self,
        transport: WSTransport,
        loop: asyncio.AbstractEventLoop,
        kernel_buffer_bytes: int,
        silence_ms: int,
    ) -> None:
        self._transport = transport
        self._loop = loop
        wire = transport.underlying_transport
        wire.set_write_buffer_limits(high=0)  # resume_writing means: everything is out
        self.queue = wire.write
        self.buffered = wire.get_write_buffer_size
        pseudo = wire.get_extra_info("socket")
        for level, option, value in (
            (socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer_bytes),
            (socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_LOW_BYTES),
            # Later than `Gateway._look_after`, so that who takes nothing is told and counted.
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2 * silence_ms),
        ):
            pseudo.setsockopt(level, option, value)
        self._own: socket.socket | None = None
        self.send: Send
        if transport.is_secure:
            self.send = self._send_sealed
        else:
            self._own = socket.socket(fileno=os.dup(pseudo.fileno()))
            self._own.setblocking(False)
            self.send = self._own.send

    def _send_sealed(self, data: bytes) -> int:
        self.queue(data)
        return -1 if self.buffered() else len(data)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what is queued; cut the line if it is not taken in time."""
        if self._transport.is_disconnected:
            return
        # picows' signature wants its own enum, its code takes any number the RFC allows.
        self._transport.send_close(code, reason.encode())  # type: ignore[arg-type]
        self._transport.disconnect()
        self._loop.call_later(CLOSE_WAIT_S, self._cut)

    def _cut(self) -> None:
        if not self._transport.is_disconnected:
            self._transport.disconnect(graceful=False)

    def gone(self) -> None:
        """Let our descriptor go; the line is down."""
        if self._own is not None:
            self._own.close()


class Connection(WSListener):
    """One WebSocket connection.

    Attributes
    ----------
    verdict
        How its request was judged.
    address
        Who it counts under.
    client
        As the fan-out knows it; None before it was let in, and when it was not.
    alive_ns
        Last sign of life: anything it said, a pong, or bytes it took.
    """

    def __init__(self, reception: "Reception", verdict: Verdict) -> None:
        self._reception = reception
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._unanswered: deque[bytes] = deque()  # what picows had read when we stopped reading
        self.verdict = verdict
        self.address = ""
        self.conversation = Conversation()
        self.client: Client | None = None
        self.line: Line | None = None
        self.wire: asyncio.Transport | None = None
        self.began_ns = 0
        self.alive_ns = 0
        self.pinged_ns = 0
        self.ponged_ns = 0
        self.held = False  # its next message waits until we have seen what the client has
        self.held_until_ns = 0
        self.waiting_bytes = 0  # in its transport, when it was looked at last

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Let it in, or not."""
        self.wire = transport.underlying_transport
        self._reception.connected(self, transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hand on a message, put together from its pieces."""
        if self.client is None or self.client.closed:
            return
        self.alive_ns = self._reception.now_ns()
        _check(frame, midway=bool(self._parts))
        if frame.msg_type is WSMsgType.PING:
            # While something waits, one a second: who is flooded must see that we live, and who
            # does not read must not pile them up here.
            if self.line is not None and (
                not self.line.buffered() or self.alive_ns - self.ponged_ns >= PONG_NS
            ):
                self.ponged_ns = self.alive_ns
                transport.send_pong(frame.get_payload_as_bytes())
            return
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if frame.msg_type not in DATA:
            return
        if self._parts or not frame.fin:  # a message in pieces; beyond the limit only counted
            self._parts_bytes += frame.payload_size
            fits = self._parts_bytes <= self._reception.limits.message_bytes_max
            self._parts.append(frame.get_payload_as_bytes() if fits else b"")
            if self._parts_bytes > HARD_FRAME_BYTES_MAX or len(self._parts) > PARTS_MAX:
                self._reception.too_large(self.client)
                return
            if not frame.fin:
                return
            size, message = self._parts_bytes, b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
            message = message if size == len(message) else bytes(size)
        else:
            message = frame.get_payload_as_bytes()
        self._unanswered.append(message)
        self._reception.heard(self)

    def answer(self) -> bool:
        """Answer one message; return whether there are more.

        Not while answers pile up: then the client is to read first.
        """
        assert self.client is not None
        if not self._unanswered or self.client.closed or self.held:
            return False
        if self.client.sink.buffered() > self._reception.settings.client_budget_bytes:
            self.pause_reading()
            return False
        self._reception.said(self, self._unanswered.popleft())
        return bool(self._unanswered)

    def hold(self, message: bytes, until_ns: int) -> None:
        """Answer this message, and all behind it, later."""
        self._unanswered.appendleft(message)
        self.held, self.held_until_ns = True, until_ns
        self.pause_reading()

    def pause_reading(self) -> None:
        """Hear nothing more until everything that waits for it is taken."""
        if self.wire is not None:
            self.wire.pause_reading()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget it."""
        sent = None
        with contextlib.suppress(AttributeError):
            sent = transport.close_handshake.sent
        self._reception.disconnected(self, broken=sent is not None and sent.code in BROKEN)
        if self.line is not None:
            self.line.gone()

    def pause_writing(self) -> None:
        """Nothing to do: the fan-out looks at the buffer before it writes."""

    def resume_writing(self) -> None:
        """Everything queued is with the kernel."""
        self._reception.resumed(self)


def _check(frame: WSFrame, *, midway: bool) -> None:
    """Refuse what picows lets through and RFC 6455 does not."""
    if frame.rsv1 or frame.rsv2 or frame.rsv3:
        raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "a reserved bit is set")
    goes_on = frame.msg_type is WSMsgType.CONTINUATION
    if goes_on != midway and frame.msg_type in DATA:
        raise WSProtocolError(WSCloseCode.PROTOCOL_ERROR, "pieces of messages are out of order")

"""RFC 6455 frames, server side: what we send is never masked, what we get always is."""

import base64
import hashlib
from collections.abc import Iterator
from enum import IntEnum

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MESSAGE_BYTES_MAX = 65_536  # the framework's default limit for one incoming message
FIN = 0x80
MASKED = 0x80


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class ProtocolError(Exception):
    """The peer broke the protocol; `code` closes the connection."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def accept_key(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` for a client's key."""
    return base64.b64encode(hashlib.sha1(key.encode() + ACCEPT_GUID).digest()).decode()  # noqa: S324  # the RFC says SHA-1


def encode(payload: bytes, opcode: Opcode = Opcode.TEXT, *, final: bool = True) -> bytes:
    """Return one unmasked frame."""
    first = (FIN if final else 0) | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2) + payload
    return bytes((first, 127)) + size.to_bytes(8) + payload


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame."""
    return encode(code.to_bytes(2) + reason.encode()[:123], Opcode.CLOSE)


class Receiver:
    """Turns bytes from a client into whole messages."""

    def __init__(self) -> None:
        self._message = bytearray()
        self._opcode = Opcode.CONTINUATION

    def take(self, buffer: bytearray) -> Iterator[tuple[Opcode, bytes]]:
        """Remove complete frames from the front of `buffer`, yielding messages and controls.

        Raises
        ------
        ProtocolError
            An unmasked, oversized or impossible frame.
        """
        while (frame := self._take_frame(buffer)) is not None:
            opcode, final, payload = frame
            if opcode >= Opcode.CLOSE:
                yield opcode, payload
                continue
            if opcode is not Opcode.CONTINUATION:
                self._opcode = opcode
                self._message.clear()
            self._message += payload
            if len(self._message) > MESSAGE_BYTES_MAX:
                raise ProtocolError(1009, f"message is larger than {MESSAGE_BYTES_MAX} bytes")
            if final:
                yield self._opcode, bytes(self._message)

    def _take_frame(self, buffer: bytearray) -> tuple[Opcode, bool, bytes] | None:
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if not second & MASKED:
            raise ProtocolError(1002, "client frames must be masked")
        size, at = second & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[2:at])
        if size > MESSAGE_BYTES_MAX:
            raise ProtocolError(1009, f"frame of {size} bytes, allowed are {MESSAGE_BYTES_MAX}")
        if len(buffer) < at + 4 + size:
            return None
        mask = bytes(buffer[at : at + 4])
        masked = bytes(buffer[at + 4 : at + 4 + size])
        del buffer[: at + 4 + size]
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise ProtocolError(1002, f"opcode {first & 0x0F} does not exist") from None
        stream = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(masked) ^ int.from_bytes(stream)).to_bytes(size)
        return opcode, bool(first & FIN), payload

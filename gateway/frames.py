"""WebSocket frame headers for what a server sends (RFC 6455 section 5.2). Pure.

The frames of one flush are joined and written at once, to every client the same bytes, so the
header is part of the encoded frame. Frames are built as latin-1 text: formatting text is twice as
fast as formatting bytes, and turning the joined text into bytes is a memory copy.
"""

from typing import Final

TEXT_FRAME: Final = 0x81  # FIN and opcode 1


class _Headers(dict[int, str]):
    """Payload length -> header as latin-1 text, remembered per length."""

    def __missing__(self, size: int) -> str:
        if size < 126:
            header = bytes((TEXT_FRAME, size))
        elif size < 1 << 16:
            header = bytes((TEXT_FRAME, 126)) + size.to_bytes(2, "big")
        else:
            header = bytes((TEXT_FRAME, 127)) + size.to_bytes(8, "big")
        text = header.decode("latin-1")
        if size < 1 << 16:
            self[size] = text
        return text


HEADERS: Final = _Headers()


def frame_bytes(payload: bytes) -> bytes:
    """Return one text frame of a UTF-8 payload."""
    return HEADERS[len(payload)].encode("latin-1") + payload


def payload_of(frame: bytes) -> memoryview:
    """Return the payload of one whole frame of ours."""
    size = frame[1]
    return memoryview(frame)[2 + (2 if size == 126 else 8 if size == 127 else 0) :]

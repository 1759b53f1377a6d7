"""The bytes a reference server sends: frames exactly as the gateway sent them to one client.

A file of little-endian u4: frames, digits of a stamp (0: an int64), bytes of data; where each
frame begins and the last one ends; where each frame has its stamp; then the frames themselves.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

STAMP_DIGITS: Final = 19  # of UTC nanoseconds, since 2001
STAMP_NAME: Final = b'"recv_ns":'
BIN_STAMP_AT: Final = 16 + 8  # of a payload: header, then the record's seq
PROTOCOLS: Final = {"json": "vntape.v1.json", "bin": "vntape.v1.bin"}
WAIT_S: Final = 20.0
READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Prebuilt:
    """Frames in one piece.

    Attributes
    ----------
    data
        uint8 (n,), whole WebSocket frames one after the other.
    frame_at
        int64 (frames + 1,), where each begins; the last entry is the end.
    stamp_at
        int64 (frames,), where each has its recv_ns.
    digits
        Length of a stamp as text; 0 for a little-endian int64.
    """

    data: NDArray[np.uint8]
    frame_at: NDArray[np.int64]
    stamp_at: NDArray[np.int64]
    digits: int

    @property
    def count(self) -> int:
        """Frames there are."""
        return len(self.stamp_at)

    def stamped(self, first: int, count: int, now_ns: int) -> bytes:
        """Return frames `first` to `first + count` as of now."""
        text = f"{now_ns:0{STAMP_DIGITS}}".encode() if self.digits else now_ns.to_bytes(8, "little")
        places = self.stamp_at[first : first + count, None] + np.arange(len(text))
        self.data[places] = np.frombuffer(text, np.uint8)
        return self.data[self.frame_at[first] : self.frame_at[first + count]].tobytes()

    def write(self, path: Path) -> None:
        """Write the file."""
        head = np.array([self.count, self.digits, len(self.data)], "<u4")
        parts = (head, self.frame_at.astype("<u4"), self.stamp_at.astype("<u4"), self.data)
        path.write_bytes(b"".join(part.tobytes() for part in parts))


def read(path: Path) -> Prebuilt:
    """Read what `Prebuilt.write` wrote."""
    content = np.fromfile(path, np.uint8)
    count, digits, size = content[:12].view("<u4").tolist()
    words = content[12 : 12 + 4 * (2 * count + 1)].view("<u4").astype(np.int64)
    data = content[12 + 4 * (2 * count + 1) :]
    if len(data) != size:
        raise ValueError(f"{path.name}: {len(data)} bytes of frames, {size} promised")
    return Prebuilt(data, words[: count + 1], words[count + 1 :], digits)


def frames_of(buffer: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Take whole frames off the front of a buffer: (all its bytes, the payload)."""
    while len(buffer) >= 2:
        size, head = buffer[1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(buffer) < head:
                return
            size = int.from_bytes(buffer[2:head], "big")
        if len(buffer) < head + size:
            return
        yield bytes(buffer[: head + size]), bytes(buffer[head : head + size])
        del buffer[: head + size]


def is_delta(frame: bytes, payload: bytes) -> bool:
    """Return whether a frame is news of a row, in either format."""
    if frame[0] & 15 == 2:
        return payload[1] == 2
    return payload.startswith(b'{"op":"d",')


def pack(frames: list[tuple[bytes, bytes]]) -> Prebuilt:
    """Join delta frames and find their stamps."""
    ends = np.cumsum([len(frame) for frame, _ in frames])
    is_text = frames[0][0][0] & 15 == 1
    stamps = [
        len(frame)
        - len(payload)
        + (payload.index(STAMP_NAME) + len(STAMP_NAME) if is_text else BIN_STAMP_AT)
        for frame, payload in frames
    ]
    starts = np.concatenate(([0], ends[:-1]))
    return Prebuilt(
        np.frombuffer(b"".join(frame for frame, _ in frames), np.uint8).copy(),
        np.concatenate((starts, ends[-1:])).astype(np.int64),
        (starts + np.array(stamps)).astype(np.int64),
        STAMP_DIGITS if is_text else 0,
    )


def capture(
    port: int, form: str, request: dict[str, object], play: Callable[[], None], count: int
) -> Prebuilt:
    """Subscribe to a gateway, let something play, and keep the first frames of data.

    Parameters
    ----------
    port
        The gateway's.
    form
        ``json`` or ``bin``.
    request
        What the client says.
    play
        Called once subscribed; must make at least `count` updates.
    count
        Frames to keep.

    Raises
    ------
    RuntimeError
        The gateway refused, or hung up.
    """
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as line:
        line.sendall(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: %b\r\n\r\n" % (port, PROTOCOLS[form].encode())
        )
        buffer = bytearray()
        while b"\r\n\r\n" not in buffer:
            _more(line, buffer)
        answer, _, buffer = buffer.partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"the gateway refused: {answer.decode('latin-1')}")
        text = orjson.dumps(request)
        assert len(text) < 126, "a request longer than a short frame"
        line.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        kept: list[tuple[bytes, bytes]] = []
        playing = False
        while True:
            for frame, payload in frames_of(buffer):
                if is_delta(frame, payload):
                    kept.append((frame, payload))
                elif b'"err":{"' in payload or payload.startswith(b'{"op":"error"'):
                    raise RuntimeError(f"the gateway refused: {payload.decode()}")
                elif payload.startswith(b'{"op":"sub_ok"') and not playing:
                    playing = True
                    play()
            if len(kept) >= count:
                return pack(kept[:count])
            _more(line, buffer)


def _more(line: socket.socket, buffer: bytearray) -> None:
    piece = line.recv(READ_BYTES)
    if not piece:
        raise RuntimeError("the gateway hung up")
    buffer += piece

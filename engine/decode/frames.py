"""A batch of raw frames, packed end to end: what ingest collects and Decoder decodes.

In: frames as the socket gave them. Out: the same bytes in one array.
Owner of the memory: the batch; a frame's bytes are valid until `clear`.
May lose: nothing; a frame over FRAME_BYTES_MAX is kept as an empty marker with its length.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.words import words_over

FRAME_BYTES_MAX = 1 << 20  # the feed's largest frame is some 18 kB: 10 messages of 1.8 kB
PADDING_BYTES = 16  # readable after the last frame, so that a scanner may load whole words there
SAMPLE_BYTES = 2048  # of a refused frame, kept for the operator


class FrameBatch:
    """Frames in arrival order.

    Parameters
    ----------
    bytes_capacity
        Bytes of frames the batch can hold. FRAME_BYTES_MAX or more takes any frame.
    frames_capacity
        Frames it can hold.

    Attributes
    ----------
    data : NDArray[uint8]
        The frames, end to end, and PADDING_BYTES of no meaning.
    words : NDArray[WORD]
        The same memory; element p is the eight bytes at p.
    ends, recv_ns : NDArray[int64]
        Where frame i ends in `data` (it starts where frame i - 1 ends), and when it arrived.
    oversize : dict[int, tuple[int, bytes]]
        Frames refused for their size: index -> (length in bytes, the first SAMPLE_BYTES).
    """

    def __init__(self, bytes_capacity: int, frames_capacity: int) -> None:
        self.data: NDArray[np.uint8] = np.zeros(bytes_capacity + PADDING_BYTES, np.uint8)
        self.words = words_over(self.data)
        self.ends: NDArray[np.int64] = np.zeros(frames_capacity, np.int64)
        self.recv_ns: NDArray[np.int64] = np.zeros(frames_capacity, np.int64)
        self.oversize: dict[int, tuple[int, bytes]] = {}
        self.count = 0
        self._used_bytes = 0
        self._bytes_capacity = bytes_capacity
        self._frames_capacity = frames_capacity
        # Item assignment through a memoryview is several times cheaper than through an array.
        self._data = self.data.data
        self._ends = self.ends.data
        self._recv_ns = self.recv_ns.data

    def append(self, frame: bytes | memoryview, recv_ns: int) -> bool:
        """Copy one frame in; False when the batch is full (decode it, clear it, append again).

        Raises
        ------
        ValueError
            The frame is within FRAME_BYTES_MAX but could not fit even an empty batch.
        """
        at = self.count
        if at == self._frames_capacity:
            return False
        length = len(frame)
        if length > FRAME_BYTES_MAX:
            self.oversize[at] = (length, bytes(frame[:SAMPLE_BYTES]))
            end = self._used_bytes
        else:
            end = self._used_bytes + length
            if end > self._bytes_capacity:
                if length > self._bytes_capacity:
                    raise ValueError(
                        f"a frame of {length} bytes can never fit a batch of "
                        f"{self._bytes_capacity}; give it {FRAME_BYTES_MAX}"
                    )
                return False
            self._data[self._used_bytes : end] = frame
        self._ends[at] = end
        self._recv_ns[at] = recv_ns
        self._used_bytes = end
        self.count = at + 1
        return True

    def frame(self, at: int) -> bytes:
        """Return a copy of frame `at`; empty for one refused for its size."""
        start = self._ends[at - 1] if at else 0
        return bytes(self._data[start : self._ends[at]])

    def clear(self) -> None:
        """Forget the frames; the memory is reused."""
        self.count = 0
        self._used_bytes = 0
        if self.oversize:
            self.oversize.clear()

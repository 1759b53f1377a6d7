"""How fast a steady source plays: a rate that somebody else sets, kept over many small chunks."""

import struct
from pathlib import Path
from typing import Final

_RATE: Final = struct.Struct("<q")
LATE_NS: Final = 500_000_000  # who is later than this starts anew, and does not run after it


class RateFile:
    """Messages per second, 0 to hold; written by a bench, read by its source before every chunk.

    A file, so that it outlives whoever reads it.
    """

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("r+b", buffering=0)

    def set(self, messages_per_s: int) -> None:
        """Let the source play at this rate from its next chunk on."""
        self._file.seek(0)
        self._file.write(_RATE.pack(messages_per_s))

    def get(self) -> int:
        """Return the rate; 0 before any was set."""
        self._file.seek(0)
        text = self._file.read(_RATE.size)
        return int(_RATE.unpack(text)[0]) if len(text) == _RATE.size else 0

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


class Pace:
    """Says when the next chunk is due.

    Attributes
    ----------
    slips
        Times that the source was so late that it started anew.
    """

    def __init__(self, now_ns: int) -> None:
        self.slips = 0
        self._due_ns = now_ns

    def wait_ns(self, now_ns: int) -> int:
        """Return how long the next chunk has to wait; 0 or less: it is due."""
        if now_ns - self._due_ns > LATE_NS:
            self.slips += 1
            self._due_ns = now_ns
        return self._due_ns - now_ns

    def sent(self, messages: int, messages_per_s: int) -> None:
        """Note that a chunk went out."""
        self._due_ns += messages * 1_000_000_000 // messages_per_s

    def hold(self, now_ns: int) -> None:
        """Note that nothing is to be played now."""
        self._due_ns = now_ns

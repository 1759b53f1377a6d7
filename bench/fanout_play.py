"""The tiny language of whatever plays in a fan-out bench: what it is told, when it is due.

``play WRITES_PER_S FRAMES_PER_WRITE SECONDS`` on stdin makes so many writes of so many rows or
frames each, and is answered by one line of JSON. The reference server in C speaks it too.
"""

from collections.abc import Callable
from typing import Any, Final

from engine.clock import Clock

COARSE_NS: Final = 1_000_000  # shorter waits are handed to the caller as they are


class Play:
    """One order: how many writes there are still to do, and when.

    Late writes are made up for at once, so that the number of writes is always as ordered.

    Attributes
    ----------
    per_write
        Rows or frames in each write.
    left, writes
        Writes still to do, and done.
    late_ns
        How late the latest was.
    """

    def __init__(self, order: str, now_ns: int) -> None:
        verb, writes_per_s, per_write, seconds = order.split()
        if verb != "play" or float(writes_per_s) <= 0 or int(per_write) <= 0:
            raise ValueError(f"expected play WRITES_PER_S FRAMES_PER_WRITE SECONDS, got {order!r}")
        self.per_write = int(per_write)
        self.left = round(float(writes_per_s) * float(seconds))
        self.writes = 0
        self.late_ns = 0
        self._gap_ns = 1e9 / float(writes_per_s)
        self._start_ns = now_ns

    def wait_ns(self, now_ns: int) -> int:
        """Return how long until the next write is due; 0 or less: now."""
        return round(self._start_ns + (self.writes + 1) * self._gap_ns) - now_ns

    def step(self, clock: Clock, write: Callable[[int, int], Any]) -> int:
        """Make the writes that are due.

        Parameters
        ----------
        clock
            The time.
        write
            Called with the number of rows and the time, ns.

        Returns
        -------
        int
            Nanoseconds until another is due; meaningless when none is left.
        """
        while self.left:
            now_ns = clock.now_ns()
            wait_ns = self.wait_ns(now_ns)
            if wait_ns > 0:
                return wait_ns
            self.late_ns = max(self.late_ns, -wait_ns)
            write(self.per_write, now_ns)
            self.writes += 1
            self.left -= 1
        return 0

    def done(self) -> dict[str, int]:
        """Return what was played, and since when."""
        return {
            "writes": self.writes,
            "frames": self.writes * self.per_write,
            "late_ns": self.late_ns,
            "began_ns": self._start_ns,
        }

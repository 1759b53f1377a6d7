"""Having the journal on disk, now and then, beside the tape."""

import threading
from collections.abc import Sequence

from engine.clock import Clock, SystemClock
from engine.journal.writer import JournalWriter


class SyncThread:
    """Calls `sync` on a few writers, again and again, beside the tape.

    Parameters
    ----------
    writers
        Whose files.
    interval_ns
        Time between the end of one round and the next.
    clock
        Who knows the time.

    Attributes
    ----------
    synced_ns
        When everything was last known to be safe, UTC ns; begins with the thread's start.
    """

    def __init__(
        self, writers: Sequence[JournalWriter], interval_ns: int, clock: Clock | None = None
    ) -> None:
        self._writers = list(writers)
        self._interval_s = interval_ns / 1e9
        self._clock = clock or SystemClock()
        self.synced_ns = self._clock.now_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sync once more and end the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            stopping = self._stop.wait(self._interval_s)
            began_ns = self._clock.now_ns()
            done = [writer.sync() for writer in self._writers]
            if all(done):
                self.synced_ns = began_ns
            if stopping:
                return

"""The thread that syncs: again and again, the last time when it is stopped."""

import threading
import time
from collections.abc import Callable

from engine.clock import ManualClock
from engine.journal.sync import SyncThread

DEADLINE_S = 30.0


class Writer:
    """Counts its syncs and answers as told."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.syncs = 0
        self.threads: set[str] = set()

    def sync(self) -> bool:
        self.syncs += 1
        self.threads.add(threading.current_thread().name)
        return self.answer


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


def test_every_writer_is_synced_in_the_thread() -> None:
    writers = [Writer(), Writer()]
    clock = ManualClock(5)
    thread = SyncThread(writers, 1_000_000, clock)  # type: ignore[arg-type]
    assert thread.synced_ns == 5
    clock.advance_ns(10)
    until(lambda: thread.synced_ns == 15)
    thread.stop()
    assert min(writer.syncs for writer in writers) >= 1
    assert writers[0].threads == {"journal-sync"}


def test_one_that_fails_holds_the_time_but_not_the_others() -> None:
    writers = [Writer(answer=False), Writer()]
    clock = ManualClock(5)
    thread = SyncThread(writers, 1_000_000, clock)  # type: ignore[arg-type]
    clock.advance_ns(10)
    until(lambda: writers[1].syncs >= 3)
    assert thread.synced_ns == 5
    writers[0].answer = True
    until(lambda: thread.synced_ns == 15)
    thread.stop()


def test_stopping_syncs_once_more_at_once() -> None:
    writer = Writer()
    SyncThread([writer], 3_600_000_000_000, ManualClock()).stop()  # type: ignore[list-item]
    assert writer.syncs == 1

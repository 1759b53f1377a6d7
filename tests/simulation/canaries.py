"""Bugs put in on purpose. Each is a plausible one, and the simulation must find every one of them.

A canary is a context manager that breaks production's code while it is entered. What trouble is
needed to see it is said beside it, so that few seeds are enough.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from engine.journal import writer
from engine.journal.disk import Disk
from engine.journal.layout import JournalPath, slots_in
from engine.journal.reader import JournalReader
from engine.journal.writer import JournalWriter
from engine.shard.fold import Fold
from engine.wiring import journaling, open_day, worker
from engine.wiring import shard as shard_module
from engine.wiring.follow import Follower
from engine.wiring.intake import Intake
from engine.wiring.suspects import Suspects
from engine.wiring.worker import Worker

Patches = Callable[[], list[contextlib.AbstractContextManager[Any]]]


@dataclass(frozen=True)
class Canary:
    """A bug: what is broken, which trouble shows it, how to break it."""

    meaning: str
    trouble: tuple[str, ...]
    patches: Patches


def _publish_first(self: Intake, shard: int, slots: Any, count: int) -> None:
    writer, journals = self._writers[shard], self._journals
    assert journals is not None
    words = writer.stamp(slots, count).copy()
    recv_ns = int(slots["recv_ns"][count - 1])
    writer.publish(slots, count)
    journals.append(shard, words, count, recv_ns)


def _short_write(self: JournalWriter, data: memoryview) -> None:
    assert self._file is not None
    self._file.append(data)


def _measure(disk: Disk, file: JournalPath, seq: int) -> int:
    return min(seq, file.first_seq + slots_in(disk.size(file.path)))


def _keep_epoch(original: Callable[[Worker, int], None]) -> Callable[[Worker, int], None]:
    def caught_up(self: Worker, now_ns: int) -> None:
        epoch = self.epoch
        original(self, now_ns)
        self.epoch = epoch

    return caught_up


def _skip(self: Follower, batch: Any, *_: Any) -> int:
    return self._ring.poll(batch)


def _restore_without_tally(original: Any) -> Any:
    def restore(self: Fold, image: Any) -> None:
        original(self, image)
        self._tally[:] = 0

    return restore


def _a_group_short(original: Any) -> Any:
    def head(seq: int, *rest: Any) -> Any:
        return original(max(0, seq - 1), *rest)

    return head


def _silent(self: JournalReader, row: int, *_: Any) -> None:
    """Leave a spoilt slot out of what the fold understands, and do not say so."""
    assert self._batch is not None
    self._batch["kind"][row] = 0


def _nothing_to_read(*_: Any, **__: Any) -> Any:
    reader = mock.Mock()
    reader.read.return_value = 0
    return reader


CANARIES: dict[str, Canary] = {
    "ring-first": Canary(
        "slots are published before the journal has them",
        ("arm", "kill"),
        lambda: [mock.patch.object(Intake, "_publish_one", _publish_first)],
    ),
    "short-write": Canary(
        "a disk that takes a part of a write is believed to have taken all",
        ("fill_disk", "mend_disk"),
        lambda: [mock.patch.object(JournalWriter, "_put", _short_write)],
    ),
    "torn-tail": Canary(
        "half a bite is left at the end of the journal",
        ("arm",),
        lambda: [
            mock.patch.object(journaling, "cut_tail"),
            mock.patch.object(open_day, "cut_tail"),
            mock.patch.object(writer, "cut_file", _measure),
        ],
    ),
    "journal-ahead": Canary(
        "slots that the journal has and the ring has not are never published",
        ("arm", "kill"),
        lambda: [mock.patch.object(journaling, "JournalReader", _nothing_to_read)],
    ),
    "power-epoch": Canary(
        "numbers go on under the old epoch after a power loss",
        ("power",),
        lambda: [mock.patch.object(open_day, "_why_new_epoch", return_value="")],
    ),
    "damage-epoch": Canary(
        "a shard that could not fold everything again keeps its epoch",
        ("flip", "stop"),
        lambda: [mock.patch.object(Worker, "_catch_up", _keep_epoch(Worker._catch_up))],
    ),
    "silent-damage": Canary(
        "a spoilt slot is left out and nobody is told",
        ("flip", "kill"),
        lambda: [mock.patch.object(JournalReader, "_replace", _silent)],
    ),
    "overtaken": Canary(
        "a reader that was overtaken goes on in the ring instead of in the journal",
        ("crowd", "kill"),
        lambda: [mock.patch.object(Follower, "poll", _skip)],
    ),
    "settled-early": Canary(
        "rows count as known everywhere as soon as they are sent",
        ("cut_short",),
        lambda: [mock.patch.object(shard_module, "SETTLE_NS", -1)],
    ),
    "mid-group-state": Canary(
        "a saved state says that it is of one slot less than it is",
        ("kill",),
        lambda: [mock.patch.object(worker, "StateHead", _a_group_short(worker.StateHead))],
    ),
    "forgetful-state": Canary(
        "a saved state lacks the counts",
        ("kill",),
        lambda: [mock.patch.object(Fold, "restore", _restore_without_tally(Fold.restore))],
    ),
    "no-verdict": Canary(
        "a group that kills workers is never left out",
        ("poison",),
        lambda: [mock.patch.object(Suspects, "_accuse")],
    ),
}


@contextlib.contextmanager
def let_loose(name: str | None) -> Iterator[None]:
    """Break what a canary breaks; None: nothing."""
    with contextlib.ExitStack() as stack:
        for patch in CANARIES[name].patches() if name else []:
            stack.enter_context(patch)
        yield

"""The processes of the simulation: production's own parts, with places in them to die at.

Nothing here decides anything. Ingest and shards are put together as their own modules do it; what
is added are the fuses, a disk with bad days, and a record of what was really published.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import segment
from engine.decode.symbols import SymbolTable
from engine.log import Log
from engine.ring.layout import GROUP_SLOTS_MAX, INTENT_CELL, write_cell
from engine.ring.writer import RingWriter
from engine.rundir import RunDir
from engine.schema.codes import FeedState
from engine.schema.slots import SLOT, Rows
from engine.wiring import shard as shard_module
from engine.wiring import worker as worker_module
from engine.wiring.intake import Intake
from engine.wiring.journaling import open_journals
from engine.wiring.shard_map import shard_rule
from engine.wiring.today import Today
from tests.simulation.errors import Crash
from tests.simulation.fuse import Fuse
from tests.simulation.script import Point

Publish = Callable[[int, int], None]  # shard, slots published so far
Attempt = Callable[[int, NDArray[np.void]], None]  # shard, slots about to be written


class FusedRing(RingWriter):
    """A ring writer that can die before a publish, or in the middle of one."""

    def __init__(
        self,
        memory: NDArray[np.uint8],
        shard: int,
        fuse: Fuse,
        told: Publish,
        tried: Attempt,
    ) -> None:
        super().__init__(memory, None)
        self._shard, self._fuse, self._told, self._tried = shard, fuse, told, tried

    def stamp(self, slots: NDArray[np.void], count: int) -> NDArray[np.int64]:
        """Stamp, and note what is about to be written."""
        words = super().stamp(slots, count)
        self._tried(self._shard, slots[:count])
        return words

    def publish(self, slots: NDArray[np.void], count: int) -> None:
        """Publish, or die."""
        self._fuse.pass_by("ingest", Point.BEFORE_PUBLISH)
        if count and self._fuse.is_due("ingest", Point.MID_PUBLISH):
            self._half(slots, count)
        super().publish(slots, count)
        self._told(self._shard, self.write_seq)

    def _half(self, slots: NDArray[np.void], count: int) -> None:
        """Publish all groups but the last, announce that one, spoil some of its slots, die."""
        whole = (count - 1) // GROUP_SLOTS_MAX * GROUP_SLOTS_MAX
        super().publish(slots, whole)
        self._told(self._shard, self.write_seq)
        ring, first = self.ring, self.write_seq
        size = count - whole
        intent = max(ring.intent_seq, first + size)
        write_cell(ring.cells, INTENT_CELL, intent)
        for seq in range(first, first + (size + 1) // 2):
            ring.words[seq & (ring.capacity - 1)] = -1
        raise Crash(f"ingest {Point.MID_PUBLISH}")


class Ingest:
    """One life of ingest."""

    def __init__(
        self,
        run: RunDir,
        clock: Any,
        disk: Any,
        fuse: Fuse,
        told: Publish,
        tried: Attempt,
        *,
        backlog_bytes: int,
        log: Log,
    ) -> None:
        config = run.read_config()
        counters = run.open_counters("ingest", 0, writable=True)
        counters[0]["pid"], counters[0]["started_ns"] = 1, clock.passed_ns()
        symbols = SymbolTable(
            segment.open_writable(run.symbols_file).memory, shard_rule(config.engine.shards)
        )
        writers = [
            FusedRing(segment.open_writable(run.ring_file(shard)).memory, shard, fuse, told, tried)
            for shard in range(config.engine.shards)
        ]
        today = Today.of(run, config)
        assert today.folder is not None
        self.journals, known = open_journals(
            config.journal,
            today,
            writers,
            counters[0],
            log,
            clock.now_ns(),
            disk,
        )
        symbols.resume(known)
        self.intake = Intake(
            symbols,
            writers,
            counters,
            backlog_bytes=backlog_bytes,
            journals=self.journals,
        )
        # Whatever was on its way to the life before is lost: the feed was away.
        self.intake.feed_state(FeedState.CONNECTING, "started", clock.now_ns())
        self.intake.feed_state(FeedState.LIVE, "connected", clock.now_ns())


class Shard:
    """One life of a shard: the agent, and the fuses around what it does.

    Attributes
    ----------
    slots
        What was folded to get here, by seq, the lives included whose saved state it began from.
    """

    def __init__(
        self,
        run: RunDir,
        network: Any,
        index: int,
        fuse: Fuse,
        lives: "Lives",
        poison: Callable[[NDArray[np.void]], None],
    ) -> None:
        self.index, self.role = index, f"shard-{index}"
        self._fuse, self._lives, self._poison = fuse, lives, poison
        config = run.read_config()
        self.agent = shard_module.build(run, config, index, -1, network)
        self.worker = self.agent._worker
        self.began_seq = self.worker.follower.next_seq
        self.slots = lives.before(self.began_seq)
        self._fold, self._flush = self.worker.fold.fold, self.agent._publisher.flush
        self.worker.fold.fold = self._fused_fold  # type: ignore[method-assign]
        self.agent._publisher.flush = self._fused_flush  # type: ignore[method-assign]

    def _fused_fold(self, rows: Rows) -> Any:
        self._fuse.pass_by(self.role, Point.BEFORE_FOLD)
        head = rows.head[: rows.count]
        self._poison(head)
        sections = self._fold(rows)
        raw = head.tobytes()
        size = SLOT.itemsize
        for at, seq in enumerate(head["seq"].tolist()):
            self.slots[seq] = raw[at * size : (at + 1) * size]
        self._fuse.pass_by(self.role, Point.AFTER_FOLD)
        return sections

    def _fused_flush(self, now_ns: int) -> int:
        sent = self._flush(now_ns)
        self._fuse.pass_by(self.role, Point.AFTER_FLUSH)
        return sent

    def save(self, now_ns: int) -> bool:
        """Save the state as production does when it is time; return whether it did.

        It takes effect when its rows are settled.
        """
        if not self.worker.live:
            return False
        if self._fuse.is_due(self.role, Point.MID_SAVE):
            # Half a state where a whole one is looked for: a reader must see that it is cut.
            self.worker.save(now_ns)
            assert self.worker._saving is not None
            self.worker._saving.path.write_bytes(self.worker._draft.read_bytes()[:-64])
            raise Crash(f"{self.role} {Point.MID_SAVE}")
        self.worker.save(now_ns)
        self._lives.keep(self.worker.follower.next_seq, self.slots)
        self._fuse.pass_by(self.role, Point.AFTER_SAVE)
        return True


class Lives:
    """What the saved states of one shard were folded from, so that any life can be retraced."""

    def __init__(self) -> None:
        self._saved: dict[int, dict[int, bytes]] = {}

    def keep(self, seq: int, slots: dict[int, bytes]) -> None:
        """Note that the state at `seq` is of these slots."""
        self._saved[seq] = dict(slots)

    def before(self, seq: int) -> dict[int, bytes]:
        """Return the slots that a life which begins at `seq` has behind it."""
        known = [one for one in self._saved if one <= seq]
        return dict(self._saved[max(known)]) if seq and known else {}


def slots_array(raw: Sequence[bytes]) -> NDArray[np.void]:
    """Return slots as an array."""
    return np.frombuffer(b"".join(raw), SLOT).copy()


assert worker_module.BATCH_SLOTS >= 2 * GROUP_SLOTS_MAX

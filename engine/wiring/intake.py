"""What enters, in order, becomes slots on rings: the hot half of ingest, without a socket or clock.

In: raw frames with their receive time, and notices (feed state, reference data, REST's answer about
a gap). Out: groups of slots on one ring per shard, in the order in which things came.
Owner of the memory: the queue and the slot scratch are ours, the rings the supervisor's.
May lose: frames beyond `backlog_bytes` (counted, and told to every shard by a LOST slot); what
cannot be decoded is counted by reason. Counts: INGEST_COUNTERS.

Taking and decoding are apart, so that the socket is read whatever decoding costs: `on_frame` only
copies, `step` decodes one bounded bite. A recording keeps the order of both, and nothing else
decides what is published, so a replay publishes the very same groups.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.decode.decoder import Decoder
from engine.decode.frames import FRAME_BYTES_MAX, FrameBatch
from engine.decode.symbols import SymbolTable
from engine.feed.backfill import Answer
from engine.feed.recording import Kind, Recorder
from engine.feed.reference import Reference
from engine.ring.writer import RingWriter
from engine.schema.codes import FeedState
from engine.schema.slots import SLOT
from engine.wiring import notices, recorded
from engine.wiring.journaling import Journals
from engine.wiring.notices import Notice

BATCH_BYTES = 4 * 1024 * 1024
BATCH_FRAMES = 4_096
SCRATCH_SLOTS = 65_536  # any frame of 1 MiB fits, see Decoder
ORACLE_FRAMES_MAX = 64  # in one bite: some 3 ms, also when the feed grows a key we do not know
BACKLOG_BYTES = 64 * 1024 * 1024


class Intake:
    """Collects what arrives, decodes it bite by bite, publishes.

    Parameters
    ----------
    symbols, writers, counters
        The symbol table, one ring writer per shard, and ingest's own counters.
    protocol
        ``v2`` or ``v3``.
    horizon_s
        Refuse messages stamped later than their receipt by more than this; None: never.
    backlog_bytes
        Most bytes of frames that may wait to be decoded.
    recorder
        Told of everything, or None.
    journals
        Given every slot before the rings are, or None.
    """

    def __init__(
        self,
        symbols: SymbolTable,
        writers: Sequence[RingWriter],
        counters: NDArray[np.void],
        *,
        protocol: str = "v2",
        horizon_s: int | None = None,
        backlog_bytes: int = BACKLOG_BYTES,
        recorder: Recorder | None = None,
        journals: Journals | None = None,
    ) -> None:
        self.symbols = symbols
        self._writers = writers
        self._journals = journals
        self._counters = counters
        self._recorder = recorder
        self.decoder = Decoder(symbols, counters, protocol=protocol, horizon_s=horizon_s)
        self._spare: FrameBatch | None = None
        self._tail = FrameBatch(BATCH_BYTES, BATCH_FRAMES)  # where frames are put
        self._queue: deque[FrameBatch | Notice] = deque([self._tail])  # tail is its last batch
        self._decoded = 0  # frames of the first batch that are done
        self._backlog_bytes_max = backlog_bytes
        self._waiting_bytes = 0
        self._waiting_frames = 0
        self._lost_frames = self._lost_bytes = 0  # of the present overflow
        self._scratch = np.zeros(SCRATCH_SLOTS, SLOT)
        cell = counters[0]  # a restarted ingest counts on
        self._frames, self._frame_bytes = int(cell["frames"]), int(cell["frame_bytes"])
        self._last_frame_ns = int(cell["last_frame_ns"])

    # Taking ---------------------------------------------------------------------------------

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Take one frame. The buffer is copied and may be reused at once."""
        if self._recorder is not None:
            self._recorder.frame(frame, recv_ns)
        length = len(frame)
        self._frames += 1
        self._frame_bytes += length
        self._last_frame_ns = recv_ns
        if length > FRAME_BYTES_MAX:
            length = 0  # only a marker is kept
        if self._waiting_bytes + length > self._backlog_bytes_max:
            self._lost_frames += 1
            self._lost_bytes += length
            self._counters[0]["lost_frames"] += 1
            return
        if self._lost_frames:
            self._put(notices.lost(self._lost_frames, self._lost_bytes, recv_ns))
            self._lost_frames = self._lost_bytes = 0
        if not self._tail.append(frame, recv_ns):
            self._begin_batch()
            taken = self._tail.append(frame, recv_ns)
            assert taken, "an empty batch refused a frame"
        self._waiting_bytes += length
        self._waiting_frames += 1

    def feed_state(self, state: FeedState, detail: str, now_ns: int) -> None:
        """Tell every shard that the feed's state changed, in order with the data."""
        self._note(Kind.STATE, now_ns, {"state": int(state), "detail": detail})
        self._put(notices.feed_state(state, detail, now_ns))

    def reference(self, reference: Reference, now_ns: int) -> None:
        """Introduce the symbols of the day, with what is known of them."""
        self._note(Kind.REFERENCE, now_ns, recorded.pack_reference(reference))
        for rows in notices.reference_bites(reference):
            self._put(notices.reference(reference.day, rows, now_ns))

    def backfill(self, answer: Answer, now_ns: int) -> None:
        """Tell a shard what REST knows about a gap."""
        self._note(Kind.BACKFILL, now_ns, recorded.pack_answer(answer))
        self._put(notices.backfill(answer, now_ns))

    def _note(self, kind: Kind, now_ns: int, facts: dict[str, object]) -> None:
        if self._recorder is not None:
            self._recorder.note(kind, now_ns, facts)

    def _put(self, notice: Notice) -> None:
        """Put a notice behind everything that came before it."""
        if self._tail.count == 0:
            self._queue.pop()
            self._queue.extend((notice, self._tail))
        else:
            self._queue.append(notice)
            self._begin_batch()

    def _begin_batch(self) -> None:
        self._tail = self._spare or FrameBatch(BATCH_BYTES, BATCH_FRAMES)
        self._spare = None
        self._queue.append(self._tail)

    # Decoding -------------------------------------------------------------------------------

    def step(self) -> bool:
        """Decode and publish one bite. Return whether there is more."""
        if not self._has_work():
            return False
        self._bite()
        self._count()
        return self._has_work()

    def flush(self) -> int:
        """Decode and publish everything collected. Return the number of slots published."""
        total = 0
        while self._has_work():
            total += self._bite()
        self._count()
        return total

    def flush_batch(self, batch: FrameBatch) -> int:
        """Decode and publish a batch collected elsewhere. Return the number of slots."""
        total, first = 0, 0
        while first < batch.count:
            first, count = self.decoder.decode(batch, first, self._scratch)
            self._publish(self._scratch, count)
            total += count
        return total

    def _has_work(self) -> bool:
        return len(self._queue) > 1 or self._tail.count > 0

    def _bite(self) -> int:
        """Take what is first in the queue, or a part of it. Return the slots published."""
        if self._recorder is not None:
            self._recorder.note(Kind.CUT, self._last_frame_ns)
        first = self._queue[0]
        if not isinstance(first, FrameBatch):
            self._queue.popleft()
            count = first(self.symbols, self._scratch)
            self._publish(self._scratch, count)
            return count
        done, count = self.decoder.decode(
            first, self._decoded, self._scratch, oracle_max=ORACLE_FRAMES_MAX
        )
        self._publish(self._scratch, count)
        if done > self._decoded:
            before = int(first.ends[self._decoded - 1]) if self._decoded else 0
            self._waiting_bytes -= int(first.ends[done - 1]) - before
            self._waiting_frames -= done - self._decoded
        self._decoded = done
        if done == first.count:
            self._decoded = 0
            first.clear()
            if first is not self._tail:
                self._queue.popleft()
                self._spare = first
        return count

    def _count(self) -> None:
        cell = self._counters[0]
        cell["frames"], cell["frame_bytes"] = self._frames, self._frame_bytes
        cell["last_frame_ns"] = self._last_frame_ns
        cell["backlog_frames"], cell["backlog_bytes"] = self._waiting_frames, self._waiting_bytes
        if self._waiting_bytes > cell["backlog_bytes_max"]:
            cell["backlog_bytes_max"] = self._waiting_bytes

    def _publish(self, slots: NDArray[np.void], count: int) -> None:
        """Publish each slot on its symbol's ring; CONTROL slots go to every shard."""
        if len(self._writers) == 1:
            if count:
                self._publish_one(0, slots, count)
            return
        every = slots["kind"][:count] == notices.CONTROL_KIND
        shard_of = self.symbols.rows["shard"][slots["symbol_id"][:count]]
        for shard in range(len(self._writers)):
            mine = slots[:count][(shard_of == shard) | every]
            if len(mine):
                self._publish_one(shard, mine, len(mine))

    def _publish_one(self, shard: int, slots: NDArray[np.void], count: int) -> None:
        """Publish on one ring what the journal has first: it is the truth."""
        writer = self._writers[shard]
        if self._journals is not None:
            words = writer.stamp(slots, count)
            self._journals.append(shard, words, count, int(slots["recv_ns"][count - 1]))
        writer.publish(slots, count)

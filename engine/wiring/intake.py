"""Frames in, slots on rings: the hot half of ingest, without a socket or a clock of its own.

In: raw frames with their receive time. Out: groups of slots on one ring per shard.
Owner of the memory: the frame batch and the slot scratch are ours, the rings the supervisor's.
May lose: nothing; what cannot be decoded is counted by reason. Counts: INGEST_COUNTERS.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.decode.decoder import Decoder
from engine.decode.frames import FrameBatch
from engine.decode.symbols import SymbolTable
from engine.ring.writer import RingWriter
from engine.schema.codes import ControlOp, SlotKind
from engine.schema.slots import CONTROL, SLOT

BATCH_BYTES = 4 * 1024 * 1024
BATCH_FRAMES = 4_096
SCRATCH_SLOTS = 65_536  # any frame of 1 MiB fits, see Decoder


class Intake:
    """Collects frames of one loop turn, then decodes and publishes them together."""

    def __init__(
        self, symbols: SymbolTable, writers: Sequence[RingWriter], counters: NDArray[np.void]
    ) -> None:
        self._symbols = symbols
        self._writers = writers
        self._counters = counters
        self.decoder = Decoder(symbols, counters)
        self._batch = FrameBatch(BATCH_BYTES, BATCH_FRAMES)
        self._scratch = np.zeros(SCRATCH_SLOTS, SLOT)
        self._control = np.zeros(1, SLOT)
        cell = counters[0]  # a restarted ingest counts on
        self._frames, self._frame_bytes = int(cell["frames"]), int(cell["frame_bytes"])
        self._last_frame_ns = int(cell["last_frame_ns"])

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Take one frame. The buffer is copied and may be reused at once."""
        if not self._batch.append(frame, recv_ns):
            self.flush()
            taken = self._batch.append(frame, recv_ns)
            assert taken, "an empty batch refused a frame"
        self._frames += 1
        self._frame_bytes += len(frame)
        self._last_frame_ns = recv_ns

    def flush(self) -> int:
        """Decode and publish everything collected. Return the number of slots published."""
        total = self.flush_batch(self._batch)
        self._batch.clear()
        cell = self._counters[0]
        cell["frames"], cell["frame_bytes"] = self._frames, self._frame_bytes
        cell["last_frame_ns"] = self._last_frame_ns
        return total

    def flush_batch(self, batch: FrameBatch) -> int:
        """Decode and publish a batch collected elsewhere. Return the number of slots."""
        total, first = 0, 0
        while first < batch.count:
            first, count = self.decoder.decode(batch, first, self._scratch)
            self._publish(self._scratch, count)
            total += count
        return total

    def control(self, op: ControlOp, recv_ns: int, arg0: int = 0, arg1: int = 0) -> None:
        """Tell every shard something that is not market data, in order with the data."""
        self.flush()
        slot = self._control.view(CONTROL)[0]
        slot["kind"], slot["recv_ns"] = SlotKind.CONTROL, recv_ns
        slot["op"], slot["arg0"], slot["arg1"] = op, arg0, arg1
        for writer in self._writers:
            writer.publish(self._control, 1)

    def _publish(self, slots: NDArray[np.void], count: int) -> None:
        if len(self._writers) == 1:
            if count:
                self._writers[0].publish(slots, count)
            return
        shard_of = self._symbols.rows["shard"][slots["symbol_id"][:count]]
        for shard, writer in enumerate(self._writers):
            mine = slots[:count][shard_of == shard]
            if len(mine):
                writer.publish(mine, len(mine))

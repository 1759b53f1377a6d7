"""Frames to slots: the scanner as far as it goes, the oracle for the frame it declines, and so on.

In: a FrameBatch. Out: slots in frame order, symbols introduced, counters moved on.
Owner of the memory: the caller's (batch, slots, counters); the symbol table's segment.
May lose: nothing silently; what cannot be decoded is one rejection with its reason.
Counts: messages, slots, oracle_frames, rejected[], keepalives, hub_errors, symbols, last_exch_s.

Accounting: every Broadcast, every hub message of an unknown method or shape, and every frame that
is refused as a whole counts as one message, so always

    messages == messages decoded + sum(rejected)

A keepalive, an init frame, a reply and an Error message are no messages. The order of slots, and
the slots themselves, do not depend on how frames were batched or on how large `out` is.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.frames import FRAME_BYTES_MAX, SAMPLE_BYTES, FrameBatch
from engine.decode.oracle import Oracle, Outcome
from engine.decode.scanner import Scanner, slots_max, target_over
from engine.decode.symbols import SymbolTable
from engine.schema.codes import Reject

OUT_SLOTS_MIN = 65_536  # holds the slots of any frame
assert slots_max(FRAME_BYTES_MAX) <= OUT_SLOTS_MIN


class Decoder:
    """Turns batches of raw frames into slots.

    Parameters
    ----------
    symbols
        Ids are taken from here, new codes are interned here.
    counters : NDArray[INGEST_COUNTERS], shape (1,)
        Where this room counts; other cells are left alone.

    Attributes
    ----------
    samples : dict[Reject, bytes]
        The first frame refused for each reason, up to SAMPLE_BYTES of it.
    """

    def __init__(self, symbols: SymbolTable, counters: NDArray[np.void]) -> None:
        self.samples: dict[Reject, bytes] = {}
        self._symbols = symbols
        self._counters = counters[0]
        self._scanner = Scanner(symbols)
        self._oracle = Oracle(symbols)
        self._counters["symbols"] = symbols.count - 1

    def decode(self, batch: FrameBatch, first: int, out: NDArray[np.void]) -> tuple[int, int]:
        """Decode frames from `first` on until the batch or `out` is at its end.

        Parameters
        ----------
        out
            dtype SLOT, contiguous; overwritten from row 0. OUT_SLOTS_MIN rows take any frame.

        Returns
        -------
        tuple[int, int]
            The first frame not decoded (``batch.count`` when done: else take the slots and call
            again from there) and the number of slots written.

        Raises
        ------
        ValueError
            `out` is so small that the next frame might not fit it even alone.
        """
        target = target_over(out)
        frame, slot_count = first, 0
        while frame < batch.count:
            done = self._scanner.scan(batch, frame, target, slot_count)
            self._count_scanned(done.messages, done.slot_count - slot_count, done.last_exch_s)
            frame, slot_count = done.next_frame, done.slot_count
            if frame == batch.count:
                break
            raw = batch.frame(frame)
            if slot_count + slots_max(len(raw)) > len(out):
                if slot_count == 0:
                    raise ValueError(
                        f"out holds {len(out)} slots, a frame of {len(raw)} bytes may "
                        f"take {slots_max(len(raw))}; give it {OUT_SLOTS_MIN}"
                    )
                break
            slot_count += self._decode_declined(batch, frame, raw, out, slot_count)
            frame += 1
        return frame, slot_count

    def _decode_declined(
        self, batch: FrameBatch, frame: int, raw: bytes, out: NDArray[np.void], at: int
    ) -> int:
        """Decode one frame the scanner would not, and return how many slots it became."""
        if frame in batch.oversize:
            outcome = Outcome()
            outcome.reject(Reject.FRAME_TOO_LARGE)
            raw = batch.oversize[frame][1]
        else:
            outcome = self._oracle.decode(raw, int(batch.recv_ns[frame]), out, at)
            self._counters["oracle_frames"] += 1
        for reason in outcome.rejected:
            self._counters["rejected"][reason] += 1
            self.samples.setdefault(reason, raw[:SAMPLE_BYTES])
        self._counters["keepalives"] += outcome.keepalives
        self._counters["hub_errors"] += outcome.hub_errors
        self._counters["symbols"] = self._symbols.count - 1
        self._count_scanned(outcome.messages, outcome.slot_count, outcome.last_exch_s)
        return outcome.slot_count

    def _count_scanned(self, messages: int, slots: int, last_exch_s: int) -> None:
        self._counters["messages"] += messages
        self._counters["slots"] += slots
        if last_exch_s:
            # Stamps come in the order of arrival, not of time: a snapshot repeats older ones.
            self._counters["last_exch_s"] = max(int(self._counters["last_exch_s"]), last_exch_s)

"""Frames to slots: the scanner as far as it goes, the oracle for the frame it declines, and so on.

One Decoder for both protocols: v2 (SignalR frames, scanner.py and oracle.py) and v3 (plain JSON
frames, v3_scanner.py and v3_oracle.py). What comes out means the same.

In: a FrameBatch. Out: slots in frame order, symbols introduced, counters moved on.
Owner of the memory: the caller's (batch, slots, counters); the symbol table's segment.
May lose: nothing silently; what cannot be decoded is one rejection with its reason.
Counts: messages, slots, oracle_frames, rejected[], keepalives, hub_errors, symbols, last_exch_s.

Accounting: every Broadcast (v2), every frame with a topic (v3), every hub message of an unknown
method or shape, and every frame that is refused as a whole counts as one message, so always

    messages == messages decoded + sum(rejected)

A keepalive, an init frame, a reply and an Error message are no messages: see the oracles. The order
of slots, and the slots themselves, do not depend on how frames were batched or on how large `out`
is.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.dates import NO_HORIZON_S
from engine.decode.frames import FRAME_BYTES_MAX, SAMPLE_BYTES, FrameBatch
from engine.decode.oracle import Oracle
from engine.decode.outcome import Outcome
from engine.decode.scan import target_over
from engine.decode.scanner import Scanner, slots_max
from engine.decode.symbols import SymbolTable
from engine.decode.v3_oracle import V3Oracle
from engine.decode.v3_scanner import V3Scanner
from engine.schema.codes import Reject

OUT_SLOTS_MIN = 65_536  # holds the slots of any frame
assert slots_max(FRAME_BYTES_MAX) <= OUT_SLOTS_MIN

PROTOCOLS: dict[str, tuple[type[Scanner] | type[V3Scanner], type[Oracle] | type[V3Oracle]]] = {
    "v2": (Scanner, Oracle),
    "v3": (V3Scanner, V3Oracle),
}


class Decoder:
    """Turns batches of raw frames into slots.

    Parameters
    ----------
    symbols
        Ids are taken from here, new codes are interned here.
    counters : NDArray[INGEST_COUNTERS], shape (1,)
        Where this room counts; other cells are left alone.
    protocol
        "v2" or "v3": how the feed writes its frames.
    horizon_s
        A message stamped more than this many seconds after its frame arrived is refused BAD_TIME;
        None asks nothing of the arrival time (tests and benches count it from 0).

    Attributes
    ----------
    samples : dict[Reject, bytes]
        The first frame refused for each reason, up to SAMPLE_BYTES of it.
    """

    def __init__(
        self,
        symbols: SymbolTable,
        counters: NDArray[np.void],
        protocol: str = "v2",
        horizon_s: int | None = None,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {protocol!r}, allowed: {', '.join(PROTOCOLS)}")
        self.samples: dict[Reject, bytes] = {}
        self._symbols = symbols
        self._counters = counters[0]
        scanner, oracle = PROTOCOLS[protocol]
        horizon = NO_HORIZON_S if horizon_s is None else horizon_s
        self._scanner = scanner(symbols, horizon)
        self._oracle = oracle(symbols, horizon)
        self._counters["symbols"] = symbols.count - 1

    def decode(
        self,
        batch: FrameBatch,
        first: int,
        out: NDArray[np.void],
        oracle_max: int | None = None,
    ) -> tuple[int, int]:
        """Decode frames from `first` on until the batch or `out` is at its end.

        Parameters
        ----------
        out
            dtype SLOT, contiguous; overwritten from row 0. OUT_SLOTS_MIN rows take any frame.
        oracle_max
            Return after so many frames (at least 1) went through the oracle, which is a hundred
            times slower than the scanner: a flood of odd frames must not keep the caller from
            reading its socket. None: no limit.

        Returns
        -------
        tuple[int, int]
            The first frame not decoded (``batch.count`` when done: else take the slots and call
            again from there) and the number of slots written, which may be 0.

        Raises
        ------
        ValueError
            `oracle_max` is below 1, or `out` is so small that the next frame might not fit it even
            alone.
        """
        if oracle_max is not None and oracle_max < 1:
            raise ValueError(f"oracle_max is {oracle_max}: nothing could ever be decoded")
        target = target_over(out)
        frame, slot_count, oracle_count = first, 0, 0
        while frame < batch.count:
            done = self._scanner.scan(batch, frame, target, slot_count)
            self._count_scanned(done.messages, done.slot_count - slot_count, done.last_exch_s)
            frame, slot_count = done.next_frame, done.slot_count
            if frame == batch.count:
                break
            raw = batch.frame(frame)
            needed = self._scanner.slots_max(len(raw))
            if slot_count + needed > len(out):
                if slot_count == 0:
                    raise ValueError(
                        f"out holds {len(out)} slots, a frame of {len(raw)} bytes may "
                        f"take {needed}; give it {OUT_SLOTS_MIN}"
                    )
                break
            slot_count += self._decode_declined(batch, frame, raw, out, slot_count)
            frame += 1
            oracle_count += 1
            if oracle_count == oracle_max:
                break
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

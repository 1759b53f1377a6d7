"""The gateway's side of the bus: SUB for deltas, DEALER for snapshots, one pair per shard.

What makes it whole again, without help from its owner:

    frame_seq jumps, or a beacon names a frame we never saw   -> ask for a snapshot
    another epoch                                             -> ask for a snapshot
    no answer by the deadline (time is an argument)           -> ask again

An answer includes all deltas up to its frame_seq. It is held back until the delta stream has come
that far, so that rows still in the pipe are delivered as deltas in order and the snapshot only
fills what was really lost; a deadline ends the waiting.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import zmq

from engine.bus.wire import BusFrame, Refusal, Refused, decode
from engine.schema.bus import SNAPSHOT_REQUEST, BusKind

HIGH_WATER_FRAMES: Final = 1_000
ANSWER_WAIT_NS: Final = 500_000_000  # then the request is repeated
CONNECT_WAIT_NS: Final = 20_000_000  # a request that found nobody connected is tried again
CATCH_UP_WAIT_NS: Final = 250_000_000  # a complete snapshot waits this long for its deltas

log = logging.getLogger("vntape.bus")


class _Link:
    """The sockets and the memory of one shard."""

    def __init__(
        self,
        context: "zmq.Context[Any]",
        shard: int,
        delta_endpoint: str,
        snapshot_endpoint: str,
        high_water_frames: int,
    ) -> None:
        self.shard = shard
        self.epoch: int | None = None
        self.frame_seq: int | None = None  # last DELTA seen, or covered by a snapshot
        self.wanted = True  # a snapshot is needed; a newcomer knows nothing
        self.need_seq = 0  # ... which includes at least this delta
        self.ask_at_ns = 0
        self.held: list[BusFrame] = []
        self.held_until_ns: int | None = None  # set when the held snapshot is complete
        self.deltas = context.socket(zmq.SUB)
        self.deltas.setsockopt(zmq.RCVHWM, high_water_frames)
        self.deltas.setsockopt(zmq.SUBSCRIBE, b"")
        self.answers = context.socket(zmq.DEALER)
        self.answers.setsockopt(zmq.RCVHWM, 0)
        self.answers.setsockopt(zmq.IMMEDIATE, 1)  # do not hoard requests for a shard that is away
        for socket, endpoint in ((self.deltas, delta_endpoint), (self.answers, snapshot_endpoint)):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RECONNECT_IVL, 20)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
            socket.connect(endpoint)

    def on_delta(self, frame: BusFrame) -> BusFrame:
        """Check a DELTA's place in the stream; mark it if something is missing before it."""
        if self.epoch is None:
            self.epoch = frame.epoch
        if self.epoch != frame.epoch:
            self.epoch, self.frame_seq = frame.epoch, frame.frame_seq
            self.held.clear()
            self.held_until_ns = None
            self._want(0)
            return frame
        if self.frame_seq is None:
            self.frame_seq = frame.frame_seq
            return frame
        beacon = not frame.sections
        lost = max(0, frame.frame_seq - self.frame_seq - (0 if beacon else 1))
        self.frame_seq = max(self.frame_seq, frame.frame_seq)
        if lost:
            self._want(frame.frame_seq)
            return replace(frame, lost_frames=lost)
        return frame

    def on_answer(self, frame: BusFrame, now_ns: int) -> None:
        """Keep one message of a snapshot until it is complete."""
        if self.epoch is None:
            self.epoch = frame.epoch
        if frame.epoch != self.epoch or frame.kind is BusKind.DELTA:
            return  # from before or after a restart: the deadline asks again
        if self.held and self.held[0].frame_seq != frame.frame_seq:
            self.held.clear()  # a newer answer replaces an older one
            self.held_until_ns = None
        self.held.append(frame)
        if frame.kind is BusKind.SNAPSHOT_END:
            self.held_until_ns = now_ns + CATCH_UP_WAIT_NS

    def release(self, now_ns: int) -> list[BusFrame]:
        """Hand out the held snapshot once the deltas it includes have passed."""
        if self.held_until_ns is None:
            return []
        covered = self.held[-1].frame_seq
        if self.frame_seq is not None and self.frame_seq < covered and now_ns < self.held_until_ns:
            return []
        frames, self.held, self.held_until_ns = self.held, [], None
        lost = 0 if self.frame_seq is None else max(0, covered - self.frame_seq)
        if lost:
            frames[0] = replace(frames[0], lost_frames=lost)
        self.frame_seq = max(self.frame_seq or 0, covered)
        if covered >= self.need_seq:
            self.wanted = False
        else:
            self.ask_at_ns = now_ns
        return frames

    def ask(self, now_ns: int) -> bool:
        """Send a snapshot request if one is due; say whether it went out."""
        if not self.wanted or now_ns < self.ask_at_ns:
            return False
        try:
            self.answers.send(SNAPSHOT_REQUEST, zmq.NOBLOCK)
        except zmq.Again:
            self.ask_at_ns = now_ns + CONNECT_WAIT_NS
            return False
        self.ask_at_ns = now_ns + ANSWER_WAIT_NS
        return True

    def _want(self, need_seq: int) -> None:
        if not self.wanted or need_seq == 0:
            self.ask_at_ns = 0
        self.wanted = True
        self.need_seq = need_seq

    def close(self) -> None:
        self.deltas.close()
        self.answers.close()


class Subscriber:
    """Reads the deltas of all shards.

    Parameters
    ----------
    context
        ZeroMQ context of the process.
    endpoints
        ``(delta_endpoint, snapshot_endpoint)`` of shard 0, 1, 2 ...
    high_water_frames
        Frames kept unread per shard before the publisher drops.
    report
        Takes one sentence the first time a shard's message is refused for a reason.

    Attributes
    ----------
    frames, lost_frames, requests
        DELTA frames read, DELTA frames found missing, snapshot requests sent.
    refused
        int64, by wire.Refusal.
    """

    def __init__(
        self,
        context: "zmq.Context[Any]",
        endpoints: Sequence[tuple[str, str]],
        *,
        high_water_frames: int = HIGH_WATER_FRAMES,
        report: Callable[[str], None] = log.warning,
    ) -> None:
        self.frames = 0
        self.lost_frames = 0
        self.requests = 0
        self.refused = np.zeros(len(Refusal), np.int64)
        self._report = report
        self._reported: set[tuple[int, Refusal]] = set()
        self._links = [
            _Link(context, shard, deltas, answers, high_water_frames)
            for shard, (deltas, answers) in enumerate(endpoints)
        ]

    def fds(self) -> list[int]:
        """Return every socket's descriptor.

        They are edge-triggered: one event may stand for many messages, and any send or receive may
        swallow an event. Call `drain` and `pending` until nothing is left before sleeping on them.
        """
        return [
            socket.getsockopt(zmq.FD)
            for link in self._links
            for socket in (link.deltas, link.answers)
        ]

    def pending(self) -> bool:
        """Return whether a message is waiting."""
        return any(
            socket.getsockopt(zmq.EVENTS) & zmq.POLLIN
            for link in self._links
            for socket in (link.deltas, link.answers)
        )

    def whole(self) -> bool:
        """Return whether every shard has been heard and no snapshot is outstanding."""
        return all(link.epoch is not None and not link.wanted for link in self._links)

    def drain(self, max_frames: int, now_ns: int) -> list[BusFrame]:
        """Read up to `max_frames` deltas per shard, and what snapshots are ready; never wait.

        Parameters
        ----------
        max_frames
            Bound on the work of one call, per shard.
        now_ns
            The time, for deadlines. Call at least every 100 ms even when nothing is readable.

        Returns
        -------
        list of BusFrame
            In the order they must be applied. DELTA frames without sections are left out unless
            they reveal a loss.
        """
        out: list[BusFrame] = []
        for link in self._links:
            for _ in range(max_frames):
                frame = self._receive(link, link.deltas)
                if frame is None:
                    break
                if not isinstance(frame, BusFrame) or frame.kind is not BusKind.DELTA:
                    continue
                frame = link.on_delta(frame)
                self.frames += bool(frame.sections)
                self.lost_frames += frame.lost_frames
                if frame.sections or frame.lost_frames:
                    out.append(frame)
            while (answer := self._receive(link, link.answers)) is not None:
                if isinstance(answer, BusFrame):
                    link.on_answer(answer, now_ns)
            released = link.release(now_ns)
            self.lost_frames += sum(frame.lost_frames for frame in released)
            out += released
            self.requests += link.ask(now_ns)
        return out

    def _receive(self, link: _Link, socket: "zmq.Socket[bytes]") -> BusFrame | Refused | None:
        """Read one message; None when there is none, Refused when nobody can use it."""
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        found = (
            decode(parts[0])
            if len(parts) == 1
            else Refused(Refusal.LENGTH, f"message of {len(parts)} parts, one is expected")
        )
        if isinstance(found, BusFrame) and found.shard != link.shard:
            found = Refused(
                Refusal.SHARD,
                f"frame of shard {found.shard} from the endpoint of shard {link.shard}",
            )
        if isinstance(found, Refused):
            self.refused[found.reason] += 1
            if (link.shard, found.reason) not in self._reported:
                self._reported.add((link.shard, found.reason))
                self._report(f"bus frame of shard {link.shard} refused: {found.text}")
        return found

    def close(self) -> None:
        """Close all sockets."""
        for link in self._links:
            link.close()

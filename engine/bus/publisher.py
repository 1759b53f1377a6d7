"""The shard's side of the bus: PUB for deltas, ROUTER for snapshots. Never waits for anybody.

A gateway that reads too slowly loses frames at the high-water mark, sees it by the frame's
number and asks for a snapshot; the shard does not notice.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import zmq
from numpy.typing import NDArray

from engine.bus import wire
from engine.bus.delta_log import DeltaLogWriter
from engine.bus.wire import FRAME_BYTES_MAX, HEADER_BYTES, SECTION_BYTES
from engine.errors import ConfigError
from engine.schema.bus import BUS_SECTION, SNAPSHOT_REQUEST, BusKind
from engine.schema.channels import CHANNELS, Channel

HIGH_WATER_FRAMES: Final = 1_000  # at most 256 MiB per stuck gateway, some seconds of a normal day
REQUESTS_PER_SERVE_MAX: Final = 16
BEACON_NS: Final = 500_000_000  # an idle shard says its frame_seq this often


class _Frame:
    """One buffer being filled: a header's room, then sections."""

    __slots__ = (
        "buffer",
        "bytes_view",
        "last_channel",
        "last_section",
        "row_count",
        "section_count",
        "used",
    )

    def __init__(self) -> None:
        self.buffer = bytearray(FRAME_BYTES_MAX)
        self.bytes_view = np.frombuffer(self.buffer, np.uint8)
        self.reset()

    def reset(self) -> None:
        """Forget the rows, keep the memory."""
        self.used = HEADER_BYTES
        self.row_count = 0
        self.section_count = 0
        self.last_channel = -1
        self.last_section: NDArray[np.void] | None = None

    def add(self, channel: Channel, rows: NDArray[np.void]) -> int:
        """Copy as many rows as fit; return how many."""
        row_bytes = channel.dtype.itemsize
        joins = channel.code == self.last_channel
        room = FRAME_BYTES_MAX - self.used - (0 if joins else SECTION_BYTES)
        count = min(len(rows), room // row_bytes)
        if count <= 0:
            return 0
        if not joins:
            self.last_section = self.bytes_view[self.used : self.used + SECTION_BYTES].view(
                BUS_SECTION
            )
            self.last_section[0] = (channel.code, 0)
            self.last_channel = channel.code
            self.section_count += 1
            self.used += SECTION_BYTES
        assert self.last_section is not None
        end = self.used + count * row_bytes
        # As opaque bytes: numpy would copy structured rows field by field, ten times slower.
        opaque = f"V{row_bytes}"
        self.bytes_view[self.used : end].view(opaque)[:] = rows[:count].view(opaque)
        self.last_section[0]["count"] += count
        self.row_count += count
        self.used = end
        return count


class Publisher:
    """Publishes one shard's deltas and serves its snapshots.

    Parameters
    ----------
    context
        ZeroMQ context of the process.
    delta_endpoint, snapshot_endpoint
        ``ipc://`` (or ``inproc://``) addresses; bound here.
    shard
        Index of the shard.
    epoch
        Changes whenever the sequences of this shard could not be continued.
    high_water_frames
        Frames kept per gateway before its share is dropped.
    log
        Keeps what is published for gateways that start later; closed with the publisher.

    Attributes
    ----------
    frame_seq
        Number of the last DELTA frame sent: 1, 2, 3 ...
    frames, rows, sent_bytes, snapshots
        What was sent since the start.
    """

    def __init__(
        self,
        context: "zmq.Context[Any]",
        delta_endpoint: str,
        snapshot_endpoint: str,
        shard: int,
        epoch: int,
        *,
        high_water_frames: int = HIGH_WATER_FRAMES,
        log: DeltaLogWriter | None = None,
    ) -> None:
        self.shard = shard
        self.epoch = epoch
        self.frame_seq = 0
        self.frames = 0
        self.rows = 0
        self.sent_bytes = 0
        self.snapshots = 0
        self._last_sent_ns = 0
        self._log = log
        self._deltas = context.socket(zmq.PUB)
        self._deltas.setsockopt(zmq.SNDHWM, high_water_frames)
        self._requests = context.socket(zmq.ROUTER)
        # Half an answer helps nobody: no mark here. Who does not read does not ask again either.
        self._requests.setsockopt(zmq.SNDHWM, 0)
        self._requests.setsockopt(zmq.ROUTER_MANDATORY, 1)  # an error when the asker is gone
        for socket, endpoint in (
            (self._deltas, delta_endpoint),
            (self._requests, snapshot_endpoint),
        ):
            socket.setsockopt(zmq.LINGER, 0)
            try:
                socket.bind(endpoint)
            except zmq.ZMQError as error:
                self.close()
                raise ConfigError(
                    f"shard {shard} cannot bind {endpoint} ({error.strerror}): is "
                    "another instance using it?"
                ) from None
        self._filling = _Frame()
        self._sealed: list[_Frame] = []
        self._spare: list[_Frame] = []

    @property
    def snapshot_fd(self) -> int:
        """Descriptor that becomes readable when `serve` may have work.

        Edge-triggered, as ZeroMQ's are: call `serve` until it returns 0 before sleeping on it.
        """
        return int(self._requests.getsockopt(zmq.FD))

    @property
    def pending_bytes(self) -> int:
        """Bytes added and not yet flushed."""
        return (
            self._filling.used
            - HEADER_BYTES
            + sum(frame.used - HEADER_BYTES for frame in self._sealed)
        )

    def add(self, channel: Channel, rows: NDArray[np.void]) -> None:
        """Copy rows (the channel's dtype, in order) into the frame being filled.

        Rows that do not fit start another frame; nothing is sent before `flush`.
        """
        assert rows.dtype == channel.dtype, f"{channel.name}: rows of another dtype"
        while len(rows):
            taken = self._filling.add(channel, rows)
            rows = rows[taken:]
            if len(rows):
                self._sealed.append(self._filling)
                self._filling = self._spare.pop() if self._spare else _Frame()

    def flush(self, now_ns: int) -> int:
        """Send what was added; when idle, now and then say which frame was the last.

        Parameters
        ----------
        now_ns
            Becomes publish_ns; also decides when an idle shard sends its beacon: a DELTA without
            sections that repeats the last frame_seq, so that a lost last frame is noticed.

        Returns
        -------
        int
            Frames sent, beacons not counted.
        """
        sent = 0
        for frame in (*self._sealed, self._filling):
            if frame.section_count:
                self.frame_seq += 1
                self._send(frame, now_ns)
                sent += 1
            frame.reset()
        self._spare += self._sealed
        self._sealed.clear()
        if not sent and now_ns - self._last_sent_ns >= BEACON_NS:
            self._send(self._filling, now_ns)
        return sent

    def _send(self, frame: _Frame, now_ns: int) -> None:
        wire.write_header(
            frame.buffer,
            kind=BusKind.DELTA,
            shard=self.shard,
            epoch=self.epoch,
            frame_seq=self.frame_seq,
            publish_ns=now_ns,
            section_count=frame.section_count,
        )
        message = memoryview(frame.buffer)[: frame.used]
        if self._log is not None and frame.section_count:
            self._log.append(message)  # first: whoever hears of a row finds those before it there
        # PUB never blocks: at the high-water mark it drops for that gateway only. The copy is
        # ours to make, because the buffer is filled again at once.
        self._deltas.send(message, zmq.NOBLOCK, copy=True)
        self._last_sent_ns = now_ns
        if frame.section_count:
            self.frames += 1
            self.sent_bytes += frame.used
            self.rows += frame.row_count

    def serve(self, latest: Mapping[str, NDArray[np.void]]) -> int:
        """Answer waiting snapshot requests; never waits.

        Parameters
        ----------
        latest
            Channel name -> latest row per symbol (seq 0: none), as of everything flushed.

        Returns
        -------
        int
            Requests answered. 0 while rows are added but not flushed: an answer now would be
            ahead of the deltas, and a reader would take those for old news.
        """
        if self.pending_bytes:
            return 0
        answered = 0
        while answered < REQUESTS_PER_SERVE_MAX:
            try:
                identity, *body = self._requests.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if body == [SNAPSHOT_REQUEST]:
                self._answer(identity, latest)
                answered += 1
        self.snapshots += answered
        return answered

    def _answer(self, identity: bytes, latest: Mapping[str, NDArray[np.void]]) -> None:
        """Send every row that exists, then the end. An asker that is gone gets nothing."""
        try:
            for channel in CHANNELS:
                rows = latest.get(channel.name)
                if rows is None:
                    continue
                opaque = rows.view(f"V{channel.dtype.itemsize}")  # see _Frame.add
                rows = opaque[rows["seq"] > 0].view(channel.dtype)
                step = (FRAME_BYTES_MAX - HEADER_BYTES - SECTION_BYTES) // channel.dtype.itemsize
                for first in range(0, len(rows), step):
                    part = [(channel, rows[first : first + step])]
                    self._reply(identity, BusKind.SNAPSHOT, part)
            self._reply(identity, BusKind.SNAPSHOT_END, [])
        except zmq.ZMQError:
            return  # if it comes back it asks again

    def _reply(self, identity: bytes, kind: BusKind, sections: wire.Sections) -> None:
        message = wire.encode(
            kind, self.shard, self.epoch, self.frame_seq, self._last_sent_ns, sections
        )
        self._requests.send_multipart([identity, message], zmq.NOBLOCK)

    def close(self) -> None:
        """Close both sockets and the log; unsent frames are dropped."""
        self._deltas.close()
        self._requests.close()
        if self._log is not None:
            self._log.close()

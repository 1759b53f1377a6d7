"""REST's own view of the tape: the latest row of every key, as a gateway has it.

In: bus frames. Out: a mirror, names, and the last alerts, gaps and feed states. Owner of the
memory: this process; it asks the bus like any gateway, so the tape does not notice it. May lose:
nothing of the latest state; alerts and gaps from before its start, see `heard_since_ns`.
Counts: REST_COUNTERS bus_*.
"""

import asyncio
from dataclasses import replace
from typing import Final

import numpy as np
import zmq
from numpy.typing import NDArray

from engine.bus.subscriber import Subscriber
from engine.bus.wire import BusFrame
from engine.clock import Clock
from engine.schema.bus import BusKind
from engine.schema.channels import ALERTS, FEED, GAPS, SYMBOL, Channel
from engine.schema.codes import Venue
from gateway.directory import Directory
from gateway.encode import json_codecs
from gateway.joining import joined_frames
from gateway.mirror import Mirror
from gateway.recent import Recent
from gateway.rest.gap_book import GapBook

PASS_FRAMES: Final = 64  # bus frames per source and pass: bounds the time a request waits
LOOK_S: Final = 0.05  # a request may be answered so late; looking at every frame costs a core
FIRST_LOOK_S: Final = 0.005  # until everything was heard once
FEED_KEEP: Final = 200  # states of the feed that are remembered


class Follower:
    """The state of the market as of the bus.

    Parameters
    ----------
    capacity
        Ids there is room for.
    clock
        The time.

    Attributes
    ----------
    mirror, directory
        Rows and names.
    codecs
        Channel code -> what writes its rows.
    alerts, feed
        The last rows of these channels, oldest first.
    gaps
        Every gap heard of.
    latest_exch_s
        uint32 (venues,): the newest exchange time of each, as UTC seconds.
    heard_since_ns
        Since when everything was heard; what is older is known by its latest row only.
    """

    def __init__(self, capacity: int, clock: Clock) -> None:
        self.mirror = Mirror(capacity)
        self.directory = Directory(capacity)
        self.codecs = json_codecs(self.directory)
        self.alerts = Recent(ALERTS, self.codecs[ALERTS.code], self.directory)
        self.feed = Recent(replace(FEED, keep=FEED_KEEP), self.codecs[FEED.code], self.directory)
        self.gaps = GapBook()
        self.latest_exch_s: NDArray[np.uint32] = np.zeros(max(Venue) + 1, np.uint32)
        self.heard_since_ns = clock.now_ns()
        self._recent = {ALERTS.code: self.alerts, FEED.code: self.feed}

    def on_frame(self, frame: BusFrame) -> int:
        """Apply one bus frame; return how many of its rows were news."""
        if self.mirror.starts_over(frame.shard, frame.epoch):
            self._forget(self.mirror.meet(frame.shard, frame.epoch))
        self.mirror.meet(frame.shard, frame.epoch)
        count = 0
        in_order = frame.kind is BusKind.DELTA
        # Symbols first: a row must not meet an id that its own frame is about to name.
        for channel, rows in sorted(frame.sections, key=lambda section: section[0].code):
            fresh, _ = self.mirror.apply(channel, rows, frame.shard)
            count += len(fresh)
            if len(fresh):
                self._take(channel, fresh, in_order=in_order)
        return count

    def _take(self, channel: Channel, rows: NDArray[np.void], *, in_order: bool) -> None:
        known = rows["venue"] < len(self.latest_exch_s)
        np.maximum.at(self.latest_exch_s, rows["venue"][known], rows["exch_s"][known])
        if channel is SYMBOL:
            self.directory.learn(rows)
        elif channel is GAPS:
            self.gaps.add(rows)
        elif (recent := self._recent.get(channel.code)) is not None:
            recent.add(rows, in_order=in_order)

    def _forget(self, ids: NDArray[np.int64]) -> None:
        self.directory.forget(ids)
        self.gaps.forget(ids)
        for recent in self._recent.values():
            recent.forget(ids)

    # --- what requests ask ------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        """Return the epochs of all sources heard of, as hello and heartbeats say them."""
        return self.mirror.epoch()

    def known_ids(self, channel: Channel) -> NDArray[np.int64]:
        """Return the ids that have a name and a row of this channel, ascending."""
        return np.flatnonzero((self.mirror.seq[channel.code] > 0) & self.directory.known)

    def states(self, channel: Channel, rows: NDArray[np.void]) -> list[str]:
        """Write rows as JSON objects of topic, seq and data."""
        return self.codecs[channel.code].states(rows) if len(rows) else []


class Feeder:
    """Keeps a follower up to date inside a running loop.

    Parameters
    ----------
    follower
        What is fed.
    endpoints
        ``(delta, snapshot)`` of every source.
    cell
        REST_COUNTERS, one record.
    clock
        The time.
    """

    def __init__(
        self,
        follower: Follower,
        endpoints: tuple[tuple[str, str], ...],
        cell: np.void,
        clock: Clock,
    ) -> None:
        self._follower = follower
        self._cell = cell
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._subscriber = Subscriber(self._context, endpoints)
        self.heard = asyncio.Event()  # set when every source has told its state once

    @property
    def whole(self) -> bool:
        """Return whether every source has been heard and nothing is missing."""
        return self._subscriber.whole()

    async def run(self) -> None:
        """Follow until cancelled: look now and then, and take together what came meanwhile."""
        while True:
            full = self.step() and self._subscriber.pending()
            await asyncio.sleep(0 if full else LOOK_S if self.heard.is_set() else FIRST_LOOK_S)

    def step(self) -> bool:
        """Apply what is there, up to a bound; return whether there was something."""
        frames = self._subscriber.drain(PASS_FRAMES, self._clock.now_ns())
        cell = self._cell
        for frame in joined_frames(frames):
            cell["bus_rows"] += self._follower.on_frame(frame)
        if not self.heard.is_set() and self.whole:
            self.heard.set()
        cell["bus_frames"] = self._subscriber.frames
        cell["bus_gaps"] = self._subscriber.lost_frames
        cell["bus_rejected"] = int(self._subscriber.refused.sum())
        return bool(frames)

    def close(self) -> None:
        """Close the sockets."""
        self._subscriber.close()
        self._context.destroy(linger=0)

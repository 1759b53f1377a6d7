"""A bus over real ipc sockets in one thread, and the waiting that goes with it."""

import time
from pathlib import Path

import numpy as np
import zmq

from engine.bus.publisher import Publisher
from engine.bus.subscriber import Subscriber
from engine.schema.channels import CHANNELS

WATCHDOG_S = 20.0
STEP_NS = 1_000_000


class Bus:
    """One publisher and one subscriber with a clock of its own."""

    def __init__(self, folder: Path, epoch=1, log=None, **options):
        self.context = zmq.Context()
        self.endpoints = (f"ipc://{folder}/d.ipc", f"ipc://{folder}/s.ipc")
        self.now_ns = 10**15
        self.latest = {c.name: np.zeros(16, c.dtype) for c in CHANNELS}
        self.publisher = Publisher(self.context, *self.endpoints, 0, epoch, log=log, **options)
        self.reports = []
        self.subscriber = Subscriber(
            self.context, [self.endpoints], report=self.reports.append, **options
        )
        self.frames = []

    def restart(self, epoch):
        self.publisher.close()
        for rows in self.latest.values():
            rows[:] = np.zeros((), rows.dtype)
        self.publisher = Publisher(self.context, *self.endpoints, 0, epoch)

    def put(self, channel, symbol_id, **values):
        """One more row of a key: as the shard does, in `latest` and on the bus."""
        row = self.latest[channel.name][symbol_id : symbol_id + 1]
        row["seq"] += 1
        row["symbol_id"] = symbol_id
        for name, value in values.items():
            row[name] = value
        self.publisher.add(channel, row)

    def turn(self, max_frames=1_000):
        """One round of everybody's loop."""
        self.now_ns += STEP_NS
        self.publisher.flush(self.now_ns)
        self.publisher.serve(self.latest)
        got = self.subscriber.drain(max_frames, self.now_ns)
        self.frames += got
        return got

    def until(self, condition, what):
        """Turn until it is so; the watchdog speaks up if it never is."""
        end = time.monotonic() + WATCHDOG_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}"
            if not self.turn():
                time.sleep(0.0005)  # sockets live on threads of their own
        return self

    def next_frame(self):
        """Wait for one frame without turning, so that nothing else takes it."""
        end = time.monotonic() + WATCHDOG_S
        while not (self.subscriber.pending() and (got := self.subscriber.drain(1, self.now_ns))):
            assert time.monotonic() < end, "waited in vain for a frame"
            time.sleep(0.0005)
        return got[0]

    def connect(self):
        """Until the snapshot is there and the delta stream is heard."""
        link = self.subscriber._links[0]
        heard, listen = [], link.on_delta
        link.on_delta = lambda frame: heard.append(frame) or listen(frame)

        def both():
            self.publisher._last_sent_ns = 0  # provoke a beacon
            return heard and self.subscriber.whole()

        self.until(both, "connected")
        del link.on_delta
        return self

    def close(self):
        self.publisher.close()
        self.subscriber.close()
        self.context.destroy(linger=0)

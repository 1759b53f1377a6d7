"""Clients of a Fanout without sockets: a sink whose kernel can be told to take nothing."""

from gateway.fanout import Fanout
from gateway.groups import Spec
from gateway.sinks import Client
from gateway.topics import parse
from tests.gateway.client import ClientModel, split_frames
from tests.gateway.market import CAPACITY

NOW_NS = 10**18
MS = 1_000_000


class FakeSink:
    """Queues while full, as a transport does."""

    def __init__(self):
        self.full = False
        self.takes = 1 << 40  # bytes in one call
        self.queued = bytearray()
        self.sent = bytearray()
        self.writes = 0
        self.closed_with = None
        self.queued_max = 0

    def send(self, data):
        assert self.closed_with is None, "a write after close"
        assert not self.queued, "bytes overtake those that wait"
        self.writes += 1
        if self.full:
            raise BlockingIOError
        taken = min(len(data), self.takes)
        self.sent.extend(data[:taken])
        return taken

    def queue(self, data):
        assert self.closed_with is None, "a write after close"
        self.queued.extend(data)
        self.queued_max = max(self.queued_max, len(self.queued))

    def buffered(self):
        return len(self.queued)

    def close(self, code, reason):
        self.closed_with = code


class Desk:
    """A fan-out with clients by name and a clock that is moved by hand."""

    def __init__(self, budget_bytes=1 << 20):
        self.fanout = Fanout(CAPACITY, budget_bytes)
        self.clients = {}
        self.models = {}
        self.now_ns = NOW_NS

    def join(self, name, *topics, mode=None, interval_ms=50, snapshot=True):
        if name not in self.clients:
            self.clients[name] = Client(FakeSink())
            self.models[name] = ClientModel()
            self.fanout.add(self.clients[name])
        client = self.clients[name]
        subscriptions = dict(client.subscriptions)
        for text in topics:
            subscriptions[text] = {
                channel.code: spec_of(mode or channel.default_mode, interval_ms)
                for channel in parse(text).channels
            }
        self.fanout.change(
            client,
            subscriptions,
            frozenset(topics),
            lambda _: b"",
            self.now_ns,
            snapshot=snapshot,
        )
        return client.sink

    def leave(self, name, *topics):
        client = self.clients[name]
        left = {t: s for t, s in client.subscriptions.items() if t not in topics}
        self.fanout.change(client, left, frozenset(), lambda _: b"", self.now_ns)

    def feed(self, *frames):
        for frame in frames:
            self.fanout.on_frame(frame, self.now_ns)
        self.fanout.end_pass(self.now_ns)

    def wait(self, ms):
        self.now_ns += ms * MS
        self.fanout.flush_due(self.now_ns)

    def drain(self, name):
        """The client reads again."""
        sink = self.clients[name].sink
        sink.full = False
        sink.sent += sink.queued
        sink.queued.clear()
        self.fanout.resumed(self.clients[name], self.now_ns)

    def read(self, name) -> ClientModel:
        sink = self.clients[name].sink
        model = self.models[name].read(split_frames(bytes(sink.sent)))
        sink.sent.clear()
        return model


def spec_of(mode, interval_ms):
    return Spec(mode, interval_ms if mode == "conflate" else 0)

"""One desk of the conformance tests: its line, and what it knows while connections come and go."""

from dataclasses import dataclass, field

from gateway.conversation import Conversation
from tests.gateway.conformance_judge import Judge
from tests.gateway.sinks import FakeSink


class Line(FakeSink):
    """A kernel that takes some bytes a call, or a TLS transport that takes all and queues."""

    def __init__(self, *, sealed):
        super().__init__()
        self.sealed = sealed

    def send(self, data):
        if not self.sealed:
            return super().send(data)
        takes = 0 if self.full else self.takes
        self.sent += data[:takes]
        self.queue(data[takes:])
        return -1 if self.queued else len(data)


@dataclass
class Asked:
    """A request, and what must be true of its answer."""

    since: bool
    snapshot: bool
    shown: frozenset
    remembers_all: bool
    truth: dict = field(default_factory=dict)  # topic -> (can go on, rows missed)


class Seat:
    """One desk: its connections come and go, what it knows stays."""

    def __init__(self, form, tape, *, sealed):
        self.form, self.sealed = form, sealed
        self.judge = Judge(tape, form)
        self.client = None
        self.conversation = Conversation()
        self.blind = {}
        self.tail = b""  # of a frame that has not arrived whole
        self.asked_bytes = 0  # what it made wait for itself
        self.requests = 0
        self.ways = {}  # topic -> (mode, interval), to ask again
        self.resume = None  # as `bye` said

    @property
    def line(self):
        return self.client.sink

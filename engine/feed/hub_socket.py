"""One WebSocket to the v2 hub: asks `signalr` what a frame means, tells it, delivers the frame."""

import re
from collections.abc import Callable

from engine.clock import Clock
from engine.feed.link import LinkSocket
from engine.feed.signalr import Event, HubLink, Stage
from engine.feed.source import FeedError, Sink
from engine.schema.codes import FeedState

REMARKS_MAX = 10  # lines per connection about what the hub complains of; all of it is counted
DIGITS = re.compile(r"\d+")


class HubSocket(LinkSocket):
    """The listener of one connection, and what its owner waits for.

    Attributes
    ----------
    initialised, live
        Done when the transport is ready, and when the subscription is answered or data flows.

    Parameters
    ----------
    link
        The protocol's state.
    sink
        Where frames and states go.
    clock
        Stamps frames.
    host
        The server, for messages.
    clean
        Makes what a server says fit to be shown.
    """

    def __init__(
        self, link: HubLink, sink: Sink, clock: Clock, host: str, clean: Callable[[str], str]
    ) -> None:
        super().__init__(link, sink, clock)
        self._link = link
        self._told = link.stage
        self._host = host
        self._clean = clean
        self._remarks: set[str] = set()
        self.initialised = self._loop.create_future()

    def take(self, frame: memoryview, recv_ns: int) -> None:
        """Act on one whole text frame; that the link is live is told before its first data."""
        event = self._link.receive(frame, self._now_s())
        if self._link.stage is not self._told:
            self._told = self._link.stage
            if self._told is Stage.LIVE:
                self.went_live(FeedState.LIVE, f"live on {self._host}")
        self._sink.on_frame(frame, recv_ns)
        if event is not Event.DATA:
            self._on_control(event)

    def _on_control(self, event: Event) -> None:
        if event is Event.INIT and not self.initialised.done():
            self.initialised.set_result(None)
        elif event is Event.ERROR:
            for text in self._link.errors:
                self.remark(f"the hub says: {text}")
        elif event is Event.SHUTDOWN:
            self.fail(FeedError("the server says that it is shutting down"))
        elif event is Event.REFUSAL:
            self.fail(FeedError(f"SwitchChannels was refused: {self._link.refusal}"))

    def remark(self, text: str) -> None:
        """Tell news that do not end the connection: once, and not without end.

        Texts that differ in their numbers only are the same news.
        """
        shape = DIGITS.sub("0", text)
        if shape not in self._remarks and len(self._remarks) < REMARKS_MAX:
            self._remarks.add(shape)
            state = FeedState.STALE if self._silent else self.state
            self._sink.on_state(state, self._clean(text))

    def fail(self, error: Exception) -> None:
        """Give the first error to everyone who waits."""
        super().fail(error)
        if not self.initialised.done():
            self.initialised.set_exception(error)
            self.initialised.exception()  # marks it as seen

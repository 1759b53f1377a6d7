"""The client as its user sees it: subscribe, then iterate or be called."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Self, cast

from gateway.client.ledger import Event, namers
from gateway.client.link import Address, Link, Listener
from gateway.client.messages import Answer, Format, Gap, Refused, State, Update
from gateway.client.retry import Backoff
from gateway.client.wishes import Wish

UpdateCallback = Callable[[Update], object]


def connect(
    url: str,
    token: str | None = None,
    format: Format = "json",  # noqa: A002
    **options: Any,
) -> "Client":
    """Return a client to enter with `async with`.

    Parameters
    ----------
    url
        Such as "ws://127.0.0.1:8765/ws", or a preset: ".../ws/market".
    token
        Of `vntape token new`. It is sent in a header, never in the URL.
    format
        "json": rows are dicts. "bin": rows are numpy views of the bytes received.
    options
        See `Client`.
    """
    return Client(url, token, format, **options)


class Client:
    """A client that reconnects, goes on where it was, and shows each row once.

    Enter it with `async with`: that waits for the first connection. An update goes to the callbacks
    whose topic names it; when there is none, it waits for `async for`. Callbacks are plain
    functions; an exception in one ends the client and is raised to whoever iterates.

    Parameters
    ----------
    url, token, format
        See `connect`.
    queue_max
        Updates that wait for `async for`. While so many wait nothing is read, so that the gateway
        notices and does what the mode says (conflate, skip, bye).
    timeout_s
        How long entering may take before it raises TimeoutError.
    backoff
        When to try again.
    socket_options
        For ``websockets.connect``: ssl, proxy and so on.

    Attributes
    ----------
    state
        How it stands.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        format: Format = "json",  # noqa: A002
        *,
        queue_max: int = 10_000,
        timeout_s: float = 30.0,
        backoff: Backoff | None = None,
        **socket_options: Any,
    ) -> None:
        self.state = State("connecting")
        self._queue_max, self._timeout_s = queue_max, timeout_s
        self._link = Link(
            Address(url, token, format, socket_options),
            Listener(self._event, self._notice, self._told, self._has_room),
            backoff or Backoff(),
        )
        self._queue: deque[Event] = deque()
        self._changed = asyncio.Event()  # the queue, the link, or somebody asks
        self._requests = 0  # in progress: their answers are read, however much waits
        self._task: asyncio.Task[None] | None = None
        self._patterns: list[tuple[str, UpdateCallback]] = []
        self._matching: dict[str, list[UpdateCallback]] = {}  # topic -> callbacks
        self._on_gap: list[Callable[[Gap], object]] = []
        self._on_state: list[Callable[[State], object]] = []
        self._on_notice: list[Callable[[Mapping[str, Any]], object]] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._link.run())
        self._task.add_done_callback(self._over)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._until_up()
        except TimeoutError:
            reason = self.state.reason or "the gateway did not answer"
            await self.close()
            raise TimeoutError(f"no connection within {self._timeout_s:g} s: {reason}") from None
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- what is wanted ---------------------------------------------------------------------------

    async def subscribe(
        self,
        *topics: str,
        mode: str | None = None,
        interval_ms: int | None = None,
        snapshot: bool = True,
    ) -> Answer:
        """Subscribe, now and after every reconnect, and return what was granted.

        Raises
        ------
        Refused
            The request made no sense. Topics that are refused one by one are in the answer.
        """
        wish = Wish(mode, interval_ms, snapshot)
        self._link.wishes.update(dict.fromkeys(topics, wish))
        try:
            frame = await self.request(**wish.request(), topics=list(topics))
        except Refused:
            self._unwish(topics)
            raise
        refused = frame.get("err", {})
        self._unwish(refused)
        return Answer(frame["topics"], refused)

    async def unsubscribe(self, *topics: str) -> Answer:
        """Leave topics, named as they were subscribed to."""
        self._unwish(topics)
        frame = await self.request(op="unsub", topics=list(topics))
        return Answer({topic: {} for topic in frame["topics"]}, frame.get("err", {}))

    async def set(
        self, *topics: str, mode: str | None = None, interval_ms: int | None = None
    ) -> Answer:
        """Change how topics are delivered, without a snapshot."""
        wish = Wish(mode, interval_ms)
        frame = await self.request(**{**wish.request(), "op": "set"}, topics=list(topics))
        for topic in frame["topics"]:
            known = self._link.wishes.get(topic, wish)
            self._link.wishes[topic] = known._replace(mode=mode, interval_ms=interval_ms)
        return Answer(frame["topics"], frame.get("err", {}))

    async def replay(self, *topics: str, start: str, speed: int = 1) -> Answer:
        """Travel in time: the day from `start` ("09:15:00") at `speed` (0: as fast as we read).

        It ends in live subscriptions, without a seam. Rows of these topics come again, from where
        the replay begins. A connection that ends meanwhile goes on live from the last row.
        """
        self._link.ledger.rewind(topics)
        frame = await self.request(op="replay", topics=list(topics), **{"from": start}, speed=speed)
        self._link.wishes.update(dict.fromkeys(frame["topics"], Wish()))
        return Answer(frame["topics"], frame.get("err", {}))

    async def request(self, **fields: Any) -> Mapping[str, Any]:
        """Make any request and return its answer; across a reconnect when it has to be.

        Raises
        ------
        Refused
            The gateway answered with an error, or wants no more of us.
        """
        self._requests += 1
        self._changed.set()
        try:
            while True:
                await self._until_up()
                try:
                    return await self._link.ask(fields)
                except ConnectionError:
                    await asyncio.sleep(0)  # let the link notice
        finally:
            self._requests -= 1

    def _unwish(self, topics: Any) -> None:
        for topic in topics:
            self._link.wishes.pop(topic, None)

    async def _until_up(self) -> None:
        while not self._link.up.is_set():
            self._check()
            self._changed.clear()
            await self._changed.wait()
        self._check()

    def _check(self) -> None:
        """Raise what ended the client, if anything has."""
        assert self._task is not None, "enter the client first: async with connect(...) as client"
        if self._task.done():
            self._raise()
            raise ConnectionError("the client is closed")

    def _raise(self) -> None:
        if self._task is not None and not self._task.cancelled() and self._task.exception():
            raise cast("BaseException", self._task.exception())

    # --- what comes -------------------------------------------------------------------------------

    def on(self, topic: str, callback: UpdateCallback) -> None:
        """Call a function with every update that a topic names (`trade.FPT`, `trade.*`, `*`)."""
        self._patterns.append((topic, callback))
        self._matching.clear()

    def on_gap(self, callback: Callable[[Gap], object]) -> None:
        """Call a function when rows were missed, just before the row after them."""
        self._on_gap.append(callback)

    def on_state(self, callback: Callable[[State], object]) -> None:
        """Call a function when the link or the exchange feed changes its state."""
        self._on_state.append(callback)

    def on_notice(self, callback: Callable[[Mapping[str, Any]], object]) -> None:
        """Call a function with every message that is no data: heartbeat, warn, replay_end ..."""
        self._on_notice.append(callback)

    async def run(self) -> None:
        """Live until the client is closed; for those who use callbacks alone."""
        async for _ in self:
            pass

    async def __aiter__(self) -> AsyncIterator[Update]:
        while True:
            while self._queue:
                event = self._queue.popleft()
                if len(self._queue) == self._queue_max - 1:
                    self._changed.set()
                if isinstance(event, Update):
                    yield event
                else:
                    self._gap(event)
            assert self._task is not None, "enter the client first"
            if self._task.done():
                self._raise()
                return
            self._changed.clear()
            await self._changed.wait()

    def _event(self, event: Event) -> None:
        if isinstance(event, Update):
            callbacks = self._matching.get(event.topic)
            if callbacks is None:
                names = {*namers(event.topic)}
                callbacks = [call for pattern, call in self._patterns if pattern in names]
                self._matching[event.topic] = callbacks
            for call in callbacks:
                call(event)
            if callbacks:
                return
        elif not self._queue:
            self._gap(event)
            return
        self._queue.append(event)  # a gap too: told between the rows it lies between
        self._changed.set()

    def _gap(self, gap: Gap) -> None:
        for call in self._on_gap:
            call(gap)

    def _notice(self, frame: Mapping[str, Any]) -> None:
        for call in self._on_notice:
            call(frame)

    def _told(self, state: State) -> None:
        if state != self.state:
            self.state = state
            for call in self._on_state:
                call(state)
        self._changed.set()

    async def _has_room(self) -> None:
        while len(self._queue) >= self._queue_max and not self._requests:
            self._changed.clear()
            await self._changed.wait()

    def _over(self, task: asyncio.Task[None]) -> None:
        failure = None if task.cancelled() else task.exception()
        self._told(State("closed", reason="" if failure is None else str(failure)))

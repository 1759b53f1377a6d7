"""Time travels of a gateway's clients: each a process whose rows one client sees, until it is now.

The rows of a travel have the sequence numbers of live. So where it ends, the client goes on as
one that comes back with these positions: no seam, nothing twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import orjson

from engine.bus.wire import BusFrame
from engine.log import Log
from gateway.conversation import Conversation, Travel
from gateway.fanout import Fanout
from gateway.frames import frame_bytes
from gateway.groups import Group, Masks
from gateway.replays import Replay, ReplayView, request
from gateway.verbs import arrived

if TYPE_CHECKING:
    from gateway.connection import Connection

CATCH_UP_NS: Final = 5_000_000_000  # how long the bus may be behind the journal
HOLD_BYTES: Final = 262_144  # unsent of one client: its process waits

T = TypeVar("T")


class Journey:
    """One client's time travel."""

    def __init__(self, travel: Travel, view: ReplayView, epochs: list[str], replay: Replay) -> None:
        self.travel = travel
        self.view = view
        self.epochs = epochs
        self.replay = replay
        self.arrived_ns = 0  # when it reached the live edge


class Travels:
    """All time travels of a gateway.

    Parameters
    ----------
    fanout
        Where live goes on.
    command
        Starts the process; empty when there is none.
    most
        At once.
    now_ns
        The time.
    joined
        Called with a connection and its conversation when a travel is over.
    fail
        Takes an exception that is a bug of ours.
    log
        Where failures are told.
    """

    def __init__(
        self,
        fanout: Fanout,
        command: Sequence[str],
        most: int,
        now_ns: Callable[[], int],
        joined: Callable[["Connection", Conversation], None],
        fail: Callable[[BaseException], None],
        log: Log,
    ) -> None:
        self._fanout = fanout
        self._command = command
        self._most = most
        self._now_ns = now_ns
        self._joined = joined
        self._fail = fail
        self._log = log
        self._journeys: dict[Connection, Journey] = {}
        self._ending: list[Replay] = []

    def __len__(self) -> int:
        return len(self._journeys)

    def free(self) -> int:
        """Return how many more there may be."""
        return self._most - len(self._journeys) if self._command else 0

    def begin(self, connection: "Connection", travel: Travel) -> None:
        """Start one; its rows follow as they come."""
        client, fanout = connection.client, self._fanout
        assert client is not None
        group = Group(travel.topics, client.format)
        wanted: Masks = group.keys_of(frozenset(travel.topics), fanout.directory)
        view = ReplayView(
            fanout.codecs[client.format], wanted, fanout.mirror.capacity, fanout.mirror.epochs_of
        )
        replay = Replay(
            self._command,
            request(travel.from_s, travel.speed, wanted),
            lambda frame: self._safely(self._show, connection, frame),
            lambda reason: self._safely(self._end, connection, reason),
        )
        self._journeys[connection] = Journey(travel, view, list(fanout.mirror.epochs), replay)
        replay.start()

    def stop(self, connection: "Connection") -> None:
        """End a client's travel, if it has one; nothing is said."""
        journey = self._journeys.pop(connection, None)
        if journey is not None:
            journey.replay.stop()
            self._ending.append(journey.replay)

    def drained(self, connection: "Connection") -> None:
        """Go on with a travel whose client has taken everything."""
        journey = self._journeys.get(connection)
        if journey is not None:
            journey.replay.go_on()

    def after_pass(self, now_ns: int) -> None:
        """Let those join that wait for the bus; it may be a moment behind the journal."""
        for connection, journey in list(self._journeys.items()):
            if journey.arrived_ns:
                self._join_when_due(connection, journey, now_ns)

    async def close(self) -> None:
        """End all, and wait until their processes are gone."""
        for connection in list(self._journeys):
            self.stop(connection)
        for replay in self._ending:
            await replay.ended()

    def _safely(
        self, call: Callable[["Connection", T], None], connection: "Connection", told: T
    ) -> None:
        """Call back; an exception would be lost in the task that reads the process."""
        try:
            call(connection, told)
        except Exception as failure:  # a bug: the gateway dies with it
            self._fail(failure)

    def _show(self, connection: "Connection", frame: BusFrame) -> None:
        journey, client = self._journeys[connection], connection.client
        assert client is not None
        data, count = journey.view.frames(frame)
        self._fanout.delivery.write(client, data, self._now_ns(), count)
        waiting = client.sink.buffered()
        client.grace_bytes = max(client.grace_bytes, waiting)  # it asked for it
        if waiting > HOLD_BYTES:
            journey.replay.hold()

    def _end(self, connection: "Connection", reason: str | None) -> None:
        journey = self._journeys[connection]
        now_ns = self._now_ns()
        if reason is None:
            journey.arrived_ns = now_ns
            self._join_when_due(connection, journey, now_ns)
            return
        self._log.write("warning", "a replay failed", why=reason, said=journey.replay.said)
        self.stop(connection)
        client = connection.client
        assert client is not None
        self._fanout.send(
            client, self._notice(journey, {"reason": "failed", "message": reason}), now_ns
        )
        self._joined(connection, replace(connection.conversation, travel=None))

    def _join_when_due(self, connection: "Connection", journey: Journey, now_ns: int) -> None:
        fanout, view = self._fanout, journey.view
        current = journey.epochs == fanout.mirror.epochs
        late = now_ns - journey.arrived_ns >= CATCH_UP_NS
        if current and not view.is_behind(fanout.mirror.seq) and not late:
            return
        client = connection.client
        assert client is not None
        self.stop(connection)
        conversation = arrived(connection.conversation)
        fanout.change(
            client,
            conversation.subscriptions,
            frozenset(journey.travel.topics),
            lambda topics: self._notice(
                journey,
                {"reason": "live", "recovered": all(topic.recovered for topic in topics.values())},
            ),
            now_ns,
            # A key without any row so far begins with its first one.
            positions={code: np.maximum(at, 0) for code, at in view.positions.items()}
            if current
            else {},
        )
        self._joined(connection, conversation)

    def _notice(self, journey: Journey, more: dict[str, object]) -> bytes:
        """Return `replay_end`."""
        request_id = journey.travel.request_id
        head = {} if request_id is None else {"id": request_id}
        return frame_bytes(
            orjson.dumps({"op": "replay_end", **head, "n": journey.view.rows, **more})
        )

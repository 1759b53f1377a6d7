"""Bytes to clients: at the speed of the kernel to those who keep up, by policy to those who do not.

A client is active while the kernel takes all it is sent: the same bytes, one call a client, nothing
else in the loop. Otherwise it is behind, until its transport has drained and nothing is owed to it.
Behind, mode all queues up to the client's budget, and beyond it the client is told where to
resume and closed; mode skip drops beyond half of it, and says so once the client reads again.
Conflated keys are noted, not queued (gateway.fanout).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.schema.channels import CHANNELS
from gateway.directory import Directory
from gateway.encode import REQUESTED, Codec
from gateway.frames import frame_bytes
from gateway.groups import Format, Group
from gateway.mirror import Mirror
from gateway.sinks import Client, Send
from gateway.skipping import Skipped

KEYS_NAMED_MAX: Final = 1_000  # in a `bye` or a `skip`
SLOW_CONSUMER: Final = 4008

Codecs = Mapping[Format, Mapping[int, Codec]]


@dataclass(slots=True)
class Tally:
    """What the fan-out counts; the server copies it into shared memory."""

    rows: int = 0
    frames: int = 0
    sent_bytes: int = 0
    conflated: int = 0
    slow_closed: int = 0
    skipped: int = 0
    resumed: int = 0
    resume_refused: int = 0
    resumed_rows: int = 0
    latest_exch_s: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(256, np.uint32))
    latest_recv_ns: int = 0
    lag_ns: int | None = None  # from our receipt of a message to its deltas here, last measured


class Part(NamedTuple):
    """Rows of one channel that a group wants in a pass: what they are, not their bytes."""

    code: int
    ids: NDArray[np.int64]
    prev: NDArray[np.int64]


class Stream:
    """What one group gets in one pass in one mode."""

    __slots__ = ("_data", "_parts", "_pieces", "count")

    def __init__(self) -> None:
        self.count = 0
        self._pieces: list[bytes] = []
        self._data: bytes | None = None
        self._parts: list[tuple[Part, NDArray[np.bool_] | None]] = []

    def add(self, piece: bytes, part: Part, keep: NDArray[np.bool_] | None) -> None:
        """Append frames of one channel."""
        self.count += len(part.ids) if keep is None else int(np.count_nonzero(keep))
        self._pieces.append(piece)
        self._parts.append((part, keep))

    def data(self) -> bytes:
        """Return all frames; nothing is added any more."""
        if self._data is None:  # joined once, however many clients are behind
            self._data = b"".join(self._pieces)
        return self._data

    def parts(self) -> Iterator[Part]:
        """Yield what the frames are about."""
        for part, keep in self._parts:
            yield part if keep is None else Part(part.code, part.ids[keep], part.prev[keep])


class Delivery:
    """Sends to clients and keeps book of who is behind.

    Parameters
    ----------
    mirror, directory
        For positions and names.
    codecs
        Format -> channel code -> codec.
    budget_bytes
        Bytes a client may have queued.
    """

    def __init__(
        self, mirror: Mirror, directory: Directory, codecs: Codecs, budget_bytes: int
    ) -> None:
        self.tally = Tally()
        self._mirror = mirror
        self._directory = directory
        self._codecs = codecs
        self._budget = budget_bytes

    # --- sending --------------------------------------------------------------------------------

    def to_active(self, group: Group, data: bytes, frames: int, now_ns: int) -> None:
        """Send the same bytes to everybody in a group who keeps up."""
        size, active = len(data), group.active
        stuck: list[tuple[Send, int]] = []
        # Nothing of a client is touched but its socket: a thousand of them do not fit the cache.
        for send in active.values():
            try:
                taken = send(data)
            except BlockingIOError:
                taken = 0
            except OSError:
                continue  # dead; its transport is about to say so
            if taken != size:
                stuck.append((send, taken))
        self.tally.frames += frames * len(active)
        self.tally.sent_bytes += size * len(active)
        group.heard_ns = now_ns
        clients = {send: client for client, send in active.items()} if stuck else {}
        for send, taken in stuck:
            client = clients[send]
            self._fall_behind(client)
            if taken >= 0:  # else its transport has it all, and it waits there
                client.sink.queue(data[taken:])

    def write(self, client: Client, data: bytes, now_ns: int, frames: int = 1) -> None:
        """Send bytes to one client, behind what waits for it."""
        if client.closed or not data:
            return
        sink = client.sink
        client.heard_ns = now_ns
        self.tally.frames += frames
        self.tally.sent_bytes += len(data)
        if sink.buffered():
            sink.queue(data)
            return
        try:
            taken = sink.send(data)
        except BlockingIOError:
            taken = 0
        except OSError:
            return  # dead; its transport is about to say so
        if taken != len(data):
            self._fall_behind(client)
            if taken >= 0:
                sink.queue(data[taken:])

    def tell(self, client: Client, message: Mapping[str, object], now_ns: int) -> None:
        """Send one control message."""
        self.write(client, frame_bytes(orjson.dumps(message)), now_ns)

    def answer(self, client: Client, reply: bytes, now_ns: int) -> None:
        """Answer a client's question; what it asked for itself is not held against it."""
        self.write(client, reply, now_ns)
        if client.sink.buffered():
            client.grace_bytes += len(reply)

    # --- who keeps up ---------------------------------------------------------------------------

    def place(self, client: Client) -> None:
        """Put a client where it belongs in its group."""
        group = client.group
        if group is None or client.closed:
            return
        if client.sink.buffered() or client.lags or client.skipped is not None:
            group.active.pop(client, None)
            group.behind[client] = None
        else:
            group.behind.pop(client, None)
            group.active[client] = client.sink.send

    def leave(self, client: Client) -> None:
        """Take a client out of its group."""
        if client.group is not None:
            client.group.active.pop(client, None)
            client.group.behind.pop(client, None)

    def close(self, client: Client, code: int, reason: str) -> None:
        """Close a connection after what is queued; the client gets nothing any more."""
        if not client.closed:
            client.closed = True
            self.leave(client)
            client.sink.close(code, reason)

    def _fall_behind(self, client: Client) -> None:
        group = client.group
        if group is not None and group.active.pop(client, None) is not None:
            group.behind[client] = None

    # --- those who are behind -------------------------------------------------------------------

    def to_behind(self, group: Group, every: Stream, skip: Stream, now_ns: int) -> None:
        """Give to those who do not keep up what their modes and budgets allow."""
        for client in list(group.behind):
            if every.count:
                self._queue_or_part(client, group, every, now_ns)
            if skip.count and not client.closed:
                self._queue_or_skip(client, skip, now_ns)

    def _queue_or_part(self, client: Client, group: Group, every: Stream, now_ns: int) -> None:
        buffered = client.sink.buffered()
        if buffered > self._budget + client.grace_bytes:
            self._say_bye(client, group, every, now_ns)
            return
        self.write(client, every.data(), now_ns, every.count)
        if buffered > self._budget // 2 + client.grace_bytes and not client.warned:
            client.warned = True
            self.tell(
                client,
                {
                    "op": "warn",
                    "code": SLOW_CONSUMER,
                    "reason": "slow_consumer",
                    "buffered_bytes": buffered,
                    "budget_bytes": self._budget,
                },
                now_ns,
            )

    def _queue_or_skip(self, client: Client, skip: Stream, now_ns: int) -> None:
        fits = client.sink.buffered() <= self._budget // 2 + client.grace_bytes
        if client.skipped is None and fits:
            self.write(client, skip.data(), now_ns, skip.count)
            return
        if client.skipped is None:
            client.skipped = Skipped(self._mirror.capacity)
        self.tally.skipped += skip.count
        for part in skip.parts():
            client.skipped.mark(part.code, part.ids, part.prev)

    def pay_skipped(self, client: Client, now_ns: int) -> None:
        """Tell a client in mode skip what it was not sent, and show the state as it is now.

        Only between passes: then what is in the mirror is what the others have seen.
        """
        skipped, client.skipped = client.skipped, None
        if skipped is None or client.closed:
            return
        keys: dict[str, list[int]] = {}
        more, shown = 0, []
        for code, ids, first in skipped.keys():  # noqa: SIM118 - a method of ours, no dict
            last = self._mirror.seq[code][ids]
            for symbol_id, begin, end in zip(
                ids.tolist(), first.tolist(), last.tolist(), strict=True
            ):
                if len(keys) < KEYS_NAMED_MAX:
                    keys[self._topic(code, symbol_id)] = [begin, end]
                else:
                    more += 1
            shown.append((code, ids))
        self.tell(client, {"op": "skip", "rows": skipped.rows, "keys": keys, "more": more}, now_ns)
        for code, ids in shown:
            self.show(client, code, ids, now_ns)
        client.grace_bytes = client.sink.buffered()

    def _say_bye(self, client: Client, group: Group, unsent: Stream, now_ns: int) -> None:
        """Close a client in mode all that does not keep up, and say where to resume."""
        positions: dict[str, int] = {}
        parts = list(unsent.parts())
        for code, mask in group.every.items():
            seq = self._mirror.seq[code].copy()
            for part in parts:
                if part.code == code:  # backwards, so that the earliest of a key stays
                    seq[part.ids[::-1]] = part.prev[::-1]
            # A key whose first row is among the unsent ones is named as well: with 0.
            known = self._mirror.seq[code] > 0
            named = np.flatnonzero(mask & known)[: KEYS_NAMED_MAX - len(positions)]
            for symbol_id in named.tolist():
                positions[self._topic(code, symbol_id)] = int(seq[symbol_id])
        self.tally.slow_closed += 1
        self.tell(
            client,
            {
                "op": "bye",
                "code": SLOW_CONSUMER,
                "reason": "slow_consumer",
                "retry": "reconnect",
                "resume": {"epoch": self._mirror.epoch(), "seq": positions},
            },
            now_ns,
        )
        self.close(client, SLOW_CONSUMER, "slow_consumer")

    # --- rows as they are -----------------------------------------------------------------------

    def show(self, client: Client, code: int, ids: NDArray[np.int64], now_ns: int) -> None:
        """Send the state of some keys of a channel, as asked for."""
        rows = self._mirror.take(code, ids)
        if len(rows):
            prev = np.full(len(rows), REQUESTED)
            frames = self._codecs[client.format][code].encode(
                rows, prev, self._mirror.epochs_of(rows)
            )
            self.write(client, frames.select(None), now_ns, len(rows))

    def _topic(self, code: int, symbol_id: int) -> str:
        return f"{CHANNELS[code].name}.{self._directory.code(symbol_id)}"

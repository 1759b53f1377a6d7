"""Who gets what, when. Knows clients as sinks of bytes; no socket, no clock.

Per pass over the bus: rows go into the mirror; what is news is encoded once and joined once per
group; each client of the group gets the joined bytes in one write. Mode all is sent at the end
of the pass, conflated keys when their interval is over.

A client is behind while its transport holds bytes. Conflated keys are then noted instead of
written (bounded by keys) and sent in their latest state once it has drained. In mode all, frames
queue up to the client's budget; beyond it the client is told where to resume and closed. One
client's slowness is its own: nobody waits for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.bus.wire import BusFrame
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, SYMBOL, Channel
from gateway.conflation import Conflation, Flush, Lag
from gateway.directory import Directory
from gateway.encode import REQUESTED, codecs
from gateway.frames import frame_bytes
from gateway.groups import Group, Masks, Signature, Subscriptions, signature
from gateway.mirror import Mirror
from gateway.recent import Query, Recent
from gateway.rows import joined_rows, pick

CATCH_UP_KEYS: Final = 128  # a laggard gets this many keys a write, as long as all of it goes out
RESUME_KEYS_MAX: Final = 1_000  # positions in a `bye`
SLOW_CONSUMER: Final = 4008


class Sink(Protocol):
    """Where a client's bytes go."""

    def write(self, data: bytes) -> None:
        """Send or queue; never waits."""
        ...

    def buffered(self) -> int:
        """Return the bytes queued and not yet given to the kernel."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what is queued, then hang up."""
        ...


class Client:
    """One connection as the fan-out sees it."""

    __slots__ = (
        "closed",
        "grace_bytes",
        "group",
        "heard_ns",
        "lags",
        "sink",
        "subscriptions",
        "told_ns",
        "warned",
    )

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.subscriptions: Subscriptions = {}
        self.group: Group | None = None
        self.lags: dict[int, Lag] = {}  # interval in ms -> what is owed
        self.grace_bytes = 0  # snapshots it asked for itself are not held against it
        self.heard_ns = 0  # last data or control frame
        self.told_ns = 0  # last heartbeat
        self.warned = False
        self.closed = False


@dataclass(slots=True)
class Tally:
    """What the fan-out counts; the server copies it into shared memory."""

    rows: int = 0
    frames: int = 0
    sent_bytes: int = 0
    conflated: int = 0
    slow_closed: int = 0
    latest_exch_s: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(256, np.uint32))
    latest_recv_ns: int = 0


class _Shared:
    """Frames of one batch, selected and joined once per distinct selection."""

    def __init__(self, ids: NDArray[np.int64], make: Callable[[], list[str]]) -> None:
        self._ids = ids
        self._make = make
        self._frames: list[str] | None = None
        self._whole = ""

    def select(self, mask: NDArray[np.bool_]) -> tuple[str, int]:
        """Return the joined frames a mask wants and how many they are. Encodes when first asked."""
        keep = mask[self._ids]
        count = int(np.count_nonzero(keep))
        if not count:
            return "", 0
        if self._frames is None:
            self._frames = self._make()
            self._whole = "".join(self._frames)
        if count == len(self._frames):
            return self._whole, count
        return "".join(compress(self._frames, keep.tolist())), count


class Fanout:
    """Mirror, groups and delivery.

    Parameters
    ----------
    capacity
        Ids of symbols and of the board's keys together.
    budget_bytes
        Bytes a client in mode all may have queued.
    """

    def __init__(self, capacity: int, budget_bytes: int) -> None:
        self.mirror = Mirror(capacity)
        self.directory = Directory(capacity)
        self.tally = Tally()
        self.clients: dict[Client, None] = {}
        self._codecs = codecs(self.directory)
        self._recent = {
            channel.code: Recent(channel, self._codecs[channel.code], self.directory)
            for channel in CHANNELS
            if channel.keep
        }
        self._budget = budget_bytes
        self._groups: dict[Signature, Group] = {}
        self._conflations: dict[int, Conflation] = {}
        self._every: Masks = {}  # union of the groups' mode all masks
        self._batch: dict[int, list[tuple[NDArray[np.void], NDArray[np.int64]]]] = {}
        self._stale = False  # groups or symbols changed since the unions were made

    # --- bus side -------------------------------------------------------------------------------

    def on_frame(self, frame: BusFrame, now_ns: int) -> None:
        """Apply one bus frame. Nothing is sent before `end_pass`, except notices of a gap."""
        self._settle()
        if self.mirror.starts_over(frame.shard, frame.epoch):
            self._start_over(frame, now_ns)
        elif frame.lost_frames:
            self._send_every(now_ns)
            self._tell_gap("bus", frame, now_ns)
        self.mirror.meet(frame.shard, frame.epoch)
        # Symbols first: a row must not meet an id that its own frame is about to name.
        for channel, rows in sorted(frame.sections, key=lambda section: section[0].code):
            fresh, prev = self.mirror.apply(channel, rows, frame.shard)
            if len(fresh):
                if channel.keep:
                    self._recent[channel.code].add(fresh, in_order=frame.kind is BusKind.DELTA)
                self._take(channel, fresh, prev, now_ns)

    def _take(
        self, channel: Channel, rows: NDArray[np.void], prev: NDArray[np.int64], now_ns: int
    ) -> None:
        tally = self.tally
        tally.rows += len(rows)
        tally.latest_recv_ns = max(tally.latest_recv_ns, int(rows["recv_ns"].max()))
        np.maximum.at(tally.latest_exch_s, rows["venue"], rows["exch_s"])
        if channel is SYMBOL:
            ids = self.directory.learn(rows)
            if len(ids):
                self._introduce(ids, now_ns)
            return
        watched = self._every.get(channel.code)
        if watched is not None:
            keep = watched[rows["symbol_id"]]
            if keep.all():
                self._batch.setdefault(channel.code, []).append((rows, prev))
            elif keep.any():
                self._batch.setdefault(channel.code, []).append((pick(rows, keep), prev[keep]))
        for conflation in self._conflations.values():
            conflation.note(channel, rows)

    def _start_over(self, frame: BusFrame, now_ns: int) -> None:
        """Forget a shard. What it had said goes out before the notice, the new state after it."""
        self._send_every(now_ns)
        self._flush_all(now_ns)
        self._tell_gap("epoch", frame, now_ns)
        forgotten = self.mirror.meet(frame.shard, frame.epoch)
        self.directory.forget(forgotten)
        for recent in self._recent.values():
            recent.forget(forgotten)
        for client in self.clients:
            for lag in client.lags.values():
                lag.forget(forgotten)
        self._stale = True
        self._settle()

    def _introduce(self, ids: NDArray[np.int64], now_ns: int) -> None:
        """Symbols got names: wildcards find them, and rows that had none are shown now."""
        self._send_every(now_ns)
        self._flush_all(now_ns)
        self._stale = True
        self._settle()
        for conflation in self._conflations.values():
            conflation.introduce(ids)
        for code, watched in self._every.items():
            named = ids[watched[ids] & (self.mirror.seq[code][ids] > 0)]
            if len(named):
                self._batch.setdefault(code, []).append(
                    (self.mirror.take(code, named), np.zeros(len(named), np.int64))
                )

    def end_pass(self, now_ns: int) -> None:
        """Send mode all, and every interval that is due."""
        self._send_every(now_ns)
        self.flush_due(now_ns)

    def flush_due(self, now_ns: int) -> None:
        """Send the conflated keys of every interval that is due."""
        self._settle()
        for conflation in self._conflations.values():
            due_ns = conflation.due_ns()
            if due_ns is not None and due_ns <= now_ns:
                self._flush(conflation, now_ns)

    def next_due_ns(self) -> int | None:
        """Return when `flush_due` has work next, None when never."""
        return min(
            (due for c in self._conflations.values() if (due := c.due_ns()) is not None),
            default=None,
        )

    def congested(self) -> bool:
        """Return whether a client in mode all has used half its budget (lossless replays wait)."""
        return any(
            client.sink.buffered() > self._budget // 2 + client.grace_bytes
            for client in self.clients
            if client.group is not None and client.group.every and not client.closed
        )

    # --- client side ----------------------------------------------------------------------------

    def add(self, client: Client) -> None:
        """Let a client in; it has no subscriptions yet."""
        self.clients[client] = None

    def remove(self, client: Client, now_ns: int) -> None:
        """Forget a client."""
        client.closed = True
        if client in self.clients:
            self._move(client, {}, now_ns)
            del self.clients[client]

    def change(
        self,
        client: Client,
        subscriptions: Subscriptions,
        snapshot: frozenset[str],
        reply: bytes,
        now_ns: int,
    ) -> None:
        """Give a client other subscriptions.

        Parameters
        ----------
        client
            Whose.
        subscriptions
            All it has from now on.
        snapshot
            Topics whose keys it wants to see at once.
        reply
            Frame that must stand before the snapshots: it says what was granted.
        now_ns
            The time.
        """
        if client.group is not None and client.group.signature == signature(subscriptions):
            self.send(client, reply, now_ns)
            return
        # Keys still owed must survive the move; showing them anew is always right.
        owed = self._owed(client)
        self._move(client, subscriptions, now_ns)
        self.send(client, reply, now_ns)
        group = client.group
        if group is None:
            return
        wanted = group.keys_of(snapshot, self.directory)
        for code, mask in owed.items():
            wanted[code] = wanted[code] | mask if code in wanted else mask
        for code in sorted(wanted):
            keys = wanted[code] & self.directory.known & (self.mirror.seq[code] > 0)
            self._show(client, group, code, keys, now_ns)
        self._catch_up(client, now_ns)

    def resumed(self, client: Client, now_ns: int) -> None:
        """Note that a client's transport has drained."""
        client.grace_bytes = 0
        client.warned = False
        self._settle()
        for interval_ms in client.lags:
            conflation = self._conflations.get(interval_ms)
            if conflation is not None:
                conflation.wake = True
        self.flush_due(now_ns)

    def send(self, client: Client, data: bytes, now_ns: int, frames: int = 1) -> None:
        """Write frames to one client."""
        if client.closed:
            return
        client.sink.write(data)
        client.heard_ns = now_ns
        self.tally.frames += frames
        self.tally.sent_bytes += len(data)

    def answer(self, client: Client, reply: bytes, now_ns: int) -> None:
        """Answer a client's question; what it asked for itself is not held against it."""
        self.send(client, reply, now_ns)
        client.grace_bytes += len(reply)

    def recent(self, query: Query) -> list[str]:
        """Return the last rows of a channel as JSON objects, newest last."""
        return self._recent[query.channel.code].find(query)

    def epoch(self) -> str:
        """Return the epochs of all shards heard so far as one opaque text."""
        return "-".join(epoch for epoch in self.mirror.epochs if epoch)

    def seq_of(self, channel: Channel, code: str) -> int:
        """Return the seq of the latest row of a key, 0 when there is none."""
        return int(self.mirror.seq[channel.code][self.key_id(channel, code)])

    def key_id(self, channel: Channel, code: str) -> int:
        """Return the id of a channel's key, 0 when nobody has introduced it."""
        return self.directory.find(code, board=channel.board)

    # --- mode all -------------------------------------------------------------------------------

    def _send_every(self, now_ns: int) -> None:
        """Send the rows gathered for mode all."""
        if not self._batch:
            return
        batch, self._batch = self._batch, {}
        joined: list[tuple[int, NDArray[np.void], NDArray[np.int64], _Shared]] = []
        for code in sorted(batch):
            rows = joined_rows([rows for rows, _ in batch[code]])
            prev = np.concatenate([prev for _, prev in batch[code]])
            joined.append((code, rows, prev, self._shared(code, rows, prev)))
        for group in self._groups.values():
            pieces = [
                shared.select(group.every[code])
                for code, _, _, shared in joined
                if code in group.every
            ]
            frames = sum(count for _, count in pieces)
            if not frames:
                continue
            data = "".join([text for text, _ in pieces]).encode("latin-1")
            for client in group.members:
                if client.closed:
                    continue
                buffered = client.sink.buffered()
                if buffered > self._budget + client.grace_bytes:
                    self._say_bye(
                        client,
                        group,
                        [(code, rows, prev) for code, rows, prev, _ in joined],
                        now_ns,
                    )
                    continue
                self.send(client, data, now_ns, frames)
                if buffered > self._budget // 2 + client.grace_bytes and not client.warned:
                    client.warned = True
                    self._tell(
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

    def _shared(self, code: int, rows: NDArray[np.void], prev: NDArray[np.int64]) -> _Shared:
        return _Shared(
            rows["symbol_id"].astype(np.int64),
            lambda: self._codecs[code].frames(rows, prev, self._epochs(rows, prev)),
        )

    def _epochs(self, rows: NDArray[np.void], prev: NDArray[np.int64]) -> list[str]:
        """Return each row's epoch text, or nothing when no row needs it."""
        if (prev > 0).all():
            return []
        return [
            self.mirror.epochs[shard] for shard in self.mirror.shard[rows["symbol_id"]].tolist()
        ]

    def _say_bye(
        self,
        client: Client,
        group: Group,
        unsent: Sequence[tuple[int, NDArray[np.void], NDArray[np.int64]]],
        now_ns: int,
    ) -> None:
        """Close a client in mode all that does not keep up, and say where to resume."""
        positions: dict[str, int] = {}
        for code, mask in group.every.items():
            seq = self.mirror.seq[code].copy()
            for unsent_code, rows, prev in unsent:
                if unsent_code == code:  # backwards, so that the earliest of a symbol stays
                    seq[rows["symbol_id"][::-1]] = prev[::-1]
            for symbol_id in np.flatnonzero(mask & (seq > 0))[:RESUME_KEYS_MAX].tolist():
                topic = f"{CHANNELS[code].name}.{self.directory.code(symbol_id)}"
                positions[topic] = int(seq[symbol_id])
        self.tally.slow_closed += 1
        self._tell(
            client,
            {
                "op": "bye",
                "code": SLOW_CONSUMER,
                "reason": "slow_consumer",
                "retry": "reconnect",
                "resume": {"epoch": self.epoch(), "seq": positions},
            },
            now_ns,
        )
        client.closed = True
        client.sink.close(SLOW_CONSUMER, "slow_consumer")

    # --- mode conflate --------------------------------------------------------------------------

    def _flush(self, conflation: Conflation, now_ns: int) -> None:
        """Send what changed at one interval; note it for those who are behind."""
        flushes = conflation.take(now_ns)
        shared = [_Shared(flush.ids, self._maker(flush)) for flush in flushes]
        for group in conflation.groups:
            masks = group.conflated.get(conflation.interval_ms, {})
            data: bytes | None = None
            frames = 0
            for client in group.members:
                if client.closed:
                    continue
                lag = client.lags.get(conflation.interval_ms)
                behind = client.sink.buffered() > 0
                if lag is not None or behind:
                    self._note_missed(client, conflation.interval_ms, flushes, masks)
                    if not behind:
                        self._catch_up_at(client, conflation.interval_ms, now_ns)
                    continue
                if data is None:  # encoded only if somebody can take it
                    pieces = [
                        part.select(masks[flush.code])
                        for flush, part in zip(flushes, shared, strict=True)
                        if flush.code in masks
                    ]
                    data = "".join([text for text, _ in pieces]).encode("latin-1")
                    frames = sum(count for _, count in pieces)
                if data:
                    self.send(client, data, now_ns, frames)

    def _flush_all(self, now_ns: int) -> None:
        for conflation in self._conflations.values():
            self._flush(conflation, now_ns)

    def _maker(self, flush: Flush) -> Callable[[], list[str]]:
        return lambda: self._codecs[flush.code].frames(
            flush.rows, flush.prev, self._epochs(flush.rows, flush.prev), flush.merged
        )

    def _note_missed(
        self, client: Client, interval_ms: int, flushes: list[Flush], masks: Masks
    ) -> None:
        for flush in flushes:
            mask = masks.get(flush.code)
            keep = mask[flush.ids] if mask is not None else None
            if keep is None or not keep.any():
                continue
            merged = flush.merged.select(keep) if flush.merged is not None else None
            self.tally.conflated += self._lag(client, interval_ms).mark(
                flush.code, flush.ids[keep], flush.prev[keep], merged
            )

    def _lag(self, client: Client, interval_ms: int) -> Lag:
        lag = client.lags.get(interval_ms)
        if lag is None:
            lag = client.lags[interval_ms] = Lag(self.mirror.capacity)
        return lag

    def _catch_up(self, client: Client, now_ns: int) -> None:
        for interval_ms in sorted(client.lags):
            self._catch_up_at(client, interval_ms, now_ns)

    def _catch_up_at(self, client: Client, interval_ms: int, now_ns: int) -> None:
        """Send what a client is owed, as long as its transport takes everything.

        Only right after the interval was flushed: then the mirror is what the others have seen.
        """
        lag = client.lags.get(interval_ms)
        while lag is not None and not client.closed and not client.sink.buffered():
            flush = lag.take(self.mirror, CATCH_UP_KEYS)
            if flush is None:
                del client.lags[interval_ms]
                return
            frames = self._maker(flush)()
            self.send(client, "".join(frames).encode("latin-1"), now_ns, len(frames))

    # --- groups ---------------------------------------------------------------------------------

    def _move(self, client: Client, subscriptions: Subscriptions, now_ns: int) -> None:
        """Put a client into the group of its subscriptions. Everything due is sent before."""
        assert not self._batch, "a client moves between passes"
        self._settle()
        self._flush_all(now_ns)
        before = client.group
        client.lags.clear()
        client.subscriptions = subscriptions
        if before is not None:
            del before.members[client]
            if not before.members:
                del self._groups[before.signature]
        client.group = None
        if subscriptions:
            wanted = signature(subscriptions)
            group = self._groups.get(wanted)
            if group is None:
                group = self._groups[wanted] = Group(subscriptions)
            group.resolve(self.directory)
            group.members[client] = None
            client.group = group
        self._stale = True

    def _settle(self) -> None:
        """Bring masks, intervals and unions up to date, if anything changed.

        Late, so that a thousand clients that subscribe at once cost one pass; never too late,
        because every interval was flushed when the change came and nothing was noted since.
        """
        if not self._stale:
            return
        self._stale = False
        intervals: dict[int, dict[Group, None]] = {}
        self._every = {}
        for group in self._groups.values():
            group.resolve(self.directory)
            for code, mask in group.every.items():
                have = self._every.get(code)
                self._every[code] = mask if have is None else have | mask
            for interval_ms in group.conflated:
                intervals.setdefault(interval_ms, {})[group] = None
        for interval_ms in [known for known in self._conflations if known not in intervals]:
            del self._conflations[interval_ms]
        for interval_ms, groups in intervals.items():
            conflation = self._conflations.get(interval_ms)
            if conflation is None:
                conflation = self._conflations[interval_ms] = Conflation(interval_ms, self.mirror)
            conflation.groups = groups
            conflation.watch()

    def _owed(self, client: Client) -> Masks:
        """Return the keys a client has not been sent yet."""
        owed: Masks = {}
        for lag in client.lags.values():
            for code, ids in lag.marked():
                mask = owed.setdefault(code, np.zeros(self.mirror.capacity, np.bool_))
                mask[ids] = True
        return owed

    def _show(
        self, client: Client, group: Group, code: int, keys: NDArray[np.bool_], now_ns: int
    ) -> None:
        """Send snaps of some keys of a channel: at once in mode all, else as fast as it reads."""
        every = group.every.get(code)
        if every is not None:
            rows = self.mirror.take(code, np.flatnonzero(keys & every))
            if len(rows):
                prev = np.full(len(rows), REQUESTED)
                frames = self._codecs[code].frames(rows, prev, self._epochs(rows, prev))
                self.send(client, "".join(frames).encode("latin-1"), now_ns, len(frames))
                client.grace_bytes = client.sink.buffered()
        for interval_ms, masks in group.conflated.items():
            if code in masks:
                ids = np.flatnonzero(keys & masks[code])
                if len(ids):
                    self._lag(client, interval_ms).mark(code, ids, np.full(len(ids), REQUESTED))

    # --- notices --------------------------------------------------------------------------------

    def _tell(self, client: Client, message: dict[str, object], now_ns: int) -> None:
        self.send(client, frame_bytes(orjson.dumps(message)), now_ns)

    def _tell_gap(self, reason: str, frame: BusFrame, now_ns: int) -> None:
        """Tell subscribers that something was lost. Those who are far behind learn it by `n`."""
        data = frame_bytes(
            orjson.dumps(
                {
                    "op": "gap",
                    "reason": reason,
                    "shard": frame.shard,
                    "epoch": str(frame.epoch),
                    "lost_frames": frame.lost_frames,
                    "now_ns": now_ns,
                }
            )
        )
        for client in self.clients:
            if client.group is not None and client.sink.buffered() <= self._budget:
                self.send(client, data, now_ns)

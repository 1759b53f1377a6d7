"""Who gets what, when. Knows clients as sinks of bytes; no socket, no clock.

Per pass over the bus: rows go into the mirror; what is news is encoded once per format and joined
once per group; each client of the group gets the joined bytes in one write (gateway.delivery).
Modes all and skip are sent at the end of the pass, conflated keys when their interval is over.

Conflated keys of a client that is behind are noted instead of written (bounded by keys) and sent in
their latest state once it has drained. One client's slowness is its own: nobody waits for it.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.bus.wire import BusFrame
from engine.schema.bus import BusKind
from engine.schema.channels import CHANNELS, SYMBOL, Channel
from gateway.audience import Audience
from gateway.backlog import Backlog
from gateway.binary import BinaryCodec
from gateway.conflation import Conflation, Flush, Lag
from gateway.delivery import Delivery, Part, Stream
from gateway.directory import Directory
from gateway.encode import REQUESTED, Codec, Encoded, json_codecs
from gateway.groups import Format, Group, Masks, Signature, Subscriptions, signature
from gateway.merge import MergedPart
from gateway.mirror import Mirror
from gateway.past import Past, by_topic, past_of
from gateway.recent import Query, Recent
from gateway.resume import Positions, Recovery, replay
from gateway.rows import joined_rows, pick
from gateway.sinks import Client

CATCH_UP_KEYS: Final = 128  # a laggard gets this many keys a write, as long as all of it goes out

NOTHING: Final = Stream()

Reply = Callable[[Mapping[str, Recovery]], bytes]  # how each topic goes on -> the answer's frame


class _Batch:
    """Rows of one channel that are sent, encoded once for each format that anybody reads."""

    def __init__(self, part: Part, encode: Callable[[Format], Encoded]) -> None:
        self.part = part
        self._encode = encode
        self._encoded: dict[Format, Encoded] = {}

    def encoded(self, form: Format) -> Encoded:
        """Return the frames in a format."""
        encoded = self._encoded.get(form)
        if encoded is None:
            encoded = self._encoded[form] = self._encode(form)
        return encoded

    def select(self, form: Format, keep: NDArray[np.bool_] | None) -> bytes:
        """Return the frames that a mask keeps."""
        return self.encoded(form).select(keep)


class Fanout:
    """Mirror, groups and what is due to them.

    Parameters
    ----------
    capacity
        Ids of symbols and of the board's keys together.
    budget_bytes
        Bytes a client may have queued.
    backlog_bytes
        Memory for past updates.

    Attributes
    ----------
    remembers
        Are rows kept for who comes back; false until `preload` is done.
    """

    def __init__(self, capacity: int, budget_bytes: int, backlog_bytes: int = 0) -> None:
        self.mirror = Mirror(capacity)
        self.directory = Directory(capacity)
        self.backlog = Backlog(capacity, backlog_bytes)
        self.remembers = True
        self.clients: dict[Client, None] = {}
        texts = json_codecs(self.directory)
        self.codecs: dict[Format, Mapping[int, Codec]] = {
            "json": texts,
            "bin": {code: BinaryCodec(CHANNELS[code], self.directory) for code in texts},
        }
        self.delivery = Delivery(self.mirror, self.directory, self.codecs, budget_bytes)
        self.tally = self.delivery.tally
        self._recent = {
            channel.code: Recent(channel, texts[channel.code], self.directory)
            for channel in CHANNELS
            if channel.keep
        }
        self._budget = budget_bytes
        self._groups: dict[tuple[Format, Signature], Group] = {}
        self._conflations: dict[int, Conflation] = {}
        self._every = Audience(capacity)
        self._skip = Audience(capacity)
        self._watched: Masks = {}  # what anybody wants in modes all and skip
        self._batch: dict[int, list[tuple[NDArray[np.void], NDArray[np.int64]]]] = {}
        self._changed: dict[Group, None] = {}  # groups that came, went or got other masks

    # --- bus side -------------------------------------------------------------------------------

    def on_frame(self, frame: BusFrame, now_ns: int) -> None:
        """Apply one bus frame. Nothing is sent before `end_pass`, except notices of a gap."""
        self._settle()
        if self.mirror.starts_over(frame.shard, frame.epoch):
            self._start_over(frame, now_ns)
        elif frame.lost_frames:
            self._send_streams(now_ns)
            self._tell_gap("bus", frame, now_ns)
        self.mirror.meet(frame.shard, frame.epoch)
        # Symbols first: a row must not meet an id that its own frame is about to name.
        for channel, rows in sorted(frame.sections, key=lambda section: section[0].code):
            fresh, prev = self.mirror.apply(channel, rows, frame.shard)
            if len(fresh):
                if channel.keep:
                    self._recent[channel.code].add(fresh, in_order=frame.kind is BusKind.DELTA)
                self._take(channel, fresh, prev, now_ns)

    def preload(self, frame: BusFrame) -> None:
        """Take rows of the past: for who comes back, and for nobody else.

        Only while `remembers` is false, and of sources that have been heard: then every row that
        comes later is newer than these, or one of them, and there is no hole in between.
        """
        if str(frame.epoch) == self.mirror.epochs[frame.shard]:
            for channel, rows in frame.sections:
                self.backlog.add(channel, rows)

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
        if self.remembers:
            self.backlog.add(channel, rows)
        watched = self._watched.get(channel.code)
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
        self._send_streams(now_ns)
        self._flush_all(now_ns)
        self._tell_gap("epoch", frame, now_ns)
        forgotten = self.mirror.meet(frame.shard, frame.epoch)
        self.directory.forget(forgotten)
        self.backlog.forget(forgotten)
        for recent in self._recent.values():
            recent.forget(forgotten)
        for client in self.clients:
            for lag in client.lags.values():
                lag.forget(forgotten)
            if client.skipped is not None:
                client.skipped.forget(forgotten)
        self._resolve_all()
        self._settle()

    def _introduce(self, ids: NDArray[np.int64], now_ns: int) -> None:
        """Symbols got names: wildcards find them, and rows that had none are shown now."""
        self._send_streams(now_ns)
        self._flush_all(now_ns)
        for group in self._groups.values():
            if group.introduce(ids, self.directory):
                self._changed[group] = None
        self._settle()
        for conflation in self._conflations.values():
            conflation.introduce(ids)
        for code, watched in self._watched.items():
            named = ids[watched[ids] & (self.mirror.seq[code][ids] > 0)]
            if len(named):
                self._batch.setdefault(code, []).append(
                    (self.mirror.take(code, named), np.zeros(len(named), np.int64))
                )

    def end_pass(self, now_ns: int) -> None:
        """Send modes all and skip, and every interval that is due."""
        self._send_streams(now_ns)
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
            for group in self._every
            for client in group.behind
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
        shown: frozenset[str],
        reply: Reply,
        now_ns: int,
        *,
        snapshot: bool = True,
        positions: Positions | None = None,
    ) -> None:
        """Give a client other subscriptions.

        Parameters
        ----------
        client
            Whose.
        subscriptions
            All it has from now on.
        shown
            Topics that are new: their keys are shown at once, or go on where the client was.
        reply
            Makes the frame that must stand before anything shown: it says what was granted.
        now_ns
            The time.
        snapshot
            Does it want to see the state of keys that do not go on.
        positions
            Where it was.
        """
        if client.group is not None and client.group.signature == signature(subscriptions):
            self.send(client, reply({}), now_ns)
            return
        self.delivery.pay_skipped(client, now_ns)
        # Keys still owed must survive the move; showing them anew is always right. Flushed first:
        # who is behind is owed what that flush has for it as well.
        self._settle()
        self._flush_all(now_ns)
        owed = self._owed(client)
        self._move(client, subscriptions, now_ns)
        group = client.group
        if group is None:
            self.send(client, reply({}), now_ns)
            return
        wanted = group.keys_of(shown, self.directory)
        pasts: dict[int, Past] = {}
        if positions is not None:
            for code, keys in wanted.items():
                pasts[code] = past_of(
                    group, code, keys, positions, self.backlog, self.mirror, self.directory
                )
        self.delivery.answer(
            client, reply(by_topic(pasts.values(), shown) if pasts else {}), now_ns
        )
        for code, past in pasts.items():
            self._tell_past(client, past, now_ns)
            wanted[code] = wanted[code] & ~past.complete
        if not snapshot:
            wanted = {}
        for code, mask in owed.items():
            if code in pasts:
                mask = mask & ~pasts[code].complete  # told already
            wanted[code] = wanted[code] | mask if code in wanted else mask
        for code in sorted(wanted):
            keys = wanted[code] & self.directory.known & (self.mirror.seq[code] > 0)
            self._show(client, group, code, keys, now_ns)
        self._catch_up(client, now_ns)
        self.delivery.place(client)

    def resumed(self, client: Client, now_ns: int) -> None:
        """Note that a client's transport has drained."""
        client.grace_bytes = 0
        client.warned = False
        self._settle()
        self.delivery.pay_skipped(client, now_ns)
        for interval_ms in client.lags:
            conflation = self._conflations.get(interval_ms)
            if conflation is not None:
                conflation.wake = True
        self.flush_due(now_ns)
        self.delivery.place(client)

    def send(self, client: Client, data: bytes, now_ns: int) -> None:
        """Write a frame to one client."""
        self.delivery.write(client, data, now_ns)

    def answer(self, client: Client, reply: bytes, now_ns: int) -> None:
        """Answer a client's question; what it asked for itself is not held against it."""
        self.delivery.answer(client, reply, now_ns)

    def close(self, client: Client, code: int, reason: str) -> None:
        """Close a connection after what is queued."""
        self.delivery.close(client, code, reason)

    def recent(self, query: Query) -> list[str]:
        """Return the last rows of a channel as JSON objects, newest last."""
        return self._recent[query.channel.code].find(query)

    def epoch(self) -> str:
        """Return the epochs of all shards heard so far as one opaque text."""
        return self.mirror.epoch()

    def seq_of(self, channel: Channel, code: str) -> int:
        """Return the seq of the latest row of a key, 0 when there is none."""
        return int(self.mirror.seq[channel.code][self.key_id(channel, code)])

    def key_id(self, channel: Channel, code: str) -> int:
        """Return the id of a channel's key, 0 when nobody has introduced it."""
        return self.directory.find(code, board=channel.board)

    # --- modes all and skip ---------------------------------------------------------------------

    def _send_streams(self, now_ns: int) -> None:
        """Send the rows gathered for modes all and skip."""
        if not self._batch:
            return
        batches, self._batch = self._batch, {}
        every: dict[Group, Stream] = {}
        skip: dict[Group, Stream] = {}
        for code in sorted(batches):
            batch = self._encodable(
                code,
                joined_rows([rows for rows, _ in batches[code]]),
                np.concatenate([prev for _, prev in batches[code]]),
            )
            for audience, streams in ((self._every, every), (self._skip, skip)):
                for group, keep in audience.hits(code, batch.part.ids):
                    stream = streams.get(group)
                    if stream is None:
                        stream = streams[group] = Stream()
                    stream.add(batch.select(group.format, keep), batch.part, keep)
        for group in {**every, **skip}:
            first, second = every.get(group, NOTHING), skip.get(group, NOTHING)
            data = first.data() + second.data() if second.count else first.data()
            # Those who are behind first: who falls behind now has been given its bytes.
            if group.behind:
                self.delivery.to_behind(group, first, second, now_ns)
            self.delivery.to_active(group, data, first.count + second.count, now_ns)

    def _encodable(
        self,
        code: int,
        rows: NDArray[np.void],
        prev: NDArray[np.int64],
        merged: MergedPart | None = None,
    ) -> _Batch:
        epochs = [] if (prev > 0).all() else self.mirror.epochs_of(rows)
        ids = rows["symbol_id"].astype(np.int64)
        return _Batch(
            Part(code, ids, prev),
            lambda form: self.codecs[form][code].encode(rows, prev, epochs, merged),
        )

    # --- mode conflate --------------------------------------------------------------------------

    def _flush(self, conflation: Conflation, now_ns: int) -> None:
        """Send what changed at one interval; note it for those who are behind."""
        flushes = conflation.take(now_ns)
        pieces: dict[Group, list[bytes]] = {}
        frames: dict[Group, int] = {}
        for flush in flushes:
            batch = self._encodable(flush.code, flush.rows, flush.prev, flush.merged)
            for group, keep in conflation.audience.hits(flush.code, flush.ids):
                for client in group.behind:
                    self._note_missed(client, conflation.interval_ms, flush, keep)
                if group.active:  # encoded only if somebody can take it
                    pieces.setdefault(group, []).append(batch.select(group.format, keep))
                    count = len(flush.ids) if keep is None else int(np.count_nonzero(keep))
                    frames[group] = frames.get(group, 0) + count
        for group in conflation.audience:
            # Before anybody catches up: who does is active from then on, and has this flush.
            if group in pieces:
                data = b"".join(pieces[group])
                self.delivery.to_active(group, data, frames[group], now_ns)
            for client in list(group.behind):
                if client.lags and not client.sink.buffered():
                    self._catch_up_at(client, conflation.interval_ms, now_ns)
                    self.delivery.place(client)

    def _flush_all(self, now_ns: int) -> None:
        for conflation in self._conflations.values():
            self._flush(conflation, now_ns)

    def _note_missed(
        self, client: Client, interval_ms: int, flush: Flush, keep: NDArray[np.bool_] | None
    ) -> None:
        ids, prev, merged = flush.ids, flush.prev, flush.merged
        if keep is not None:
            ids, prev = ids[keep], prev[keep]
            merged = merged.select(keep) if merged is not None else None
        self.tally.conflated += self._lag(client, interval_ms).mark(flush.code, ids, prev, merged)

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
            batch = self._encodable(flush.code, flush.rows, flush.prev, flush.merged)
            data = batch.select(client.format, None)
            self.delivery.write(client, data, now_ns, len(flush.ids))

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
            self.delivery.leave(client)
            name = (before.format, before.signature)
            # A closed client is in no group's lists: its group may be gone, or be another one.
            if before.empty and self._groups.get(name) is before:
                del self._groups[name]
                self._changed[before] = None
        client.group = None
        if subscriptions:
            name = (client.format, signature(subscriptions))
            group = self._groups.get(name)
            if group is None:
                group = self._groups[name] = Group(subscriptions, client.format)
                group.resolve(self.directory)
                self._changed[group] = None
            client.group = group
            self.delivery.place(client)

    def _resolve_all(self) -> None:
        """Look again which keys the groups mean, after the directory changed."""
        for group in self._groups.values():
            if group.resolve(self.directory):
                self._changed[group] = None

    def _settle(self) -> None:
        """Bring audiences and intervals up to date with the groups that changed.

        Late, so that a client that comes costs little; never too late, because every interval was
        flushed when the change came and nothing was noted since.
        """
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        touched: dict[int, None] = {}
        for group in changed:
            here = self._groups.get((group.format, group.signature)) is group
            self._every.put(group, group.every if here else {})
            self._skip.put(group, group.skip if here else {})
            conflated = group.conflated if here else {}
            for interval_ms, conflation in self._conflations.items():
                if group in conflation.audience:
                    conflation.audience.put(group, conflated.get(interval_ms, {}))
                    touched[interval_ms] = None
            for interval_ms, masks in conflated.items():
                known = self._conflations.get(interval_ms)
                if known is None:
                    known = self._conflations[interval_ms] = Conflation(interval_ms, self.mirror)
                known.audience.put(group, masks)
                touched[interval_ms] = None
        for interval_ms in touched:
            conflation = self._conflations[interval_ms]
            if len(conflation.audience):
                conflation.watch()
            else:
                del self._conflations[interval_ms]
        self._watched = {}
        for audience in (self._every, self._skip):
            for code in audience.codes():
                mask = audience.watched(code)
                assert mask is not None
                have = self._watched.get(code)
                self._watched[code] = mask if have is None else have | mask

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
        """Send snaps of some keys of a channel: streams at once, the rest as fast as it reads."""
        for masks in (group.every, group.skip):
            if code in masks:
                ids = np.flatnonzero(keys & masks[code])
                before = client.sink.buffered()
                self.delivery.show(client, code, ids, now_ns)
                client.grace_bytes += client.sink.buffered() - before
        for interval_ms, masks in group.conflated.items():
            if code in masks:
                ids = np.flatnonzero(keys & masks[code])
                if len(ids):
                    self._lag(client, interval_ms).mark(code, ids, np.full(len(ids), REQUESTED))

    def _tell_past(self, client: Client, past: Past, now_ns: int) -> None:
        """Let the keys of a channel go on where the client was."""
        tally, rows, before = self.tally, past.rows, client.sink.buffered()
        if len(rows):
            seq = rows["seq"].astype(np.int64)
            frames = self._encodable(past.code, rows, seq - 1)
            replay(self.delivery, client, frames.encoded(client.format), past.code, rows, now_ns)
        for owed in past.owed:
            if len(owed.ids):
                self._lag(client, owed.interval_ms).mark(
                    past.code, owed.ids, owed.prev, owed.merged
                )
        tally.resumed += int(past.complete.sum())
        tally.resume_refused += past.missed
        tally.resumed_rows += sum(recovery.rows for recovery in past.topics.values())
        client.grace_bytes += client.sink.buffered() - before

    # --- notices --------------------------------------------------------------------------------

    def _tell_gap(self, reason: str, frame: BusFrame, now_ns: int) -> None:
        """Tell subscribers that something was lost. Those who are far behind learn it by `n`."""
        notice = {
            "op": "gap",
            "reason": reason,
            "shard": frame.shard,
            "epoch": str(frame.epoch),
            "lost_frames": frame.lost_frames,
            "now_ns": now_ns,
        }
        for client in self.clients:
            if client.group is not None and client.sink.buffered() <= self._budget:
                self.delivery.tell(client, notice, now_ns)

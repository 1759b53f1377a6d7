"""Which rows are news: every row once, and a word about each one that is missed. Pure.

The ledger keeps the last `seq` of each key over reconnects. A frame may repeat what is known (then
it is dropped), follow it (news), or leave something out (then a Gap comes first).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

from gateway.client.messages import Gap, Reason, Update

Event = Update | Gap
EVERY_ROW: Final = ("all", "skip")  # modes that promise every row


@dataclass(slots=True)
class _Key:
    topic: str
    channel: str
    epoch: str = ""
    seq: int | None = None  # None: nothing is known, the next frame is where we begin
    away: bool = False  # not heard of since we came back
    shown: bool = True  # the newest state was handed on


class Data(NamedTuple):
    """A data frame of either format."""

    kind: Literal["snap", "d"]
    ch: int
    seq: int
    n: int
    row: Any
    merged: Any = None
    topic: str = ""  # of a snap
    epoch: str = ""  # of a snap


def namers(key: str) -> Iterator[str]:
    """Return every topic that would name a key, the most exact first: the first one decides."""
    channel, _, code = key.rpartition(".")
    yield key
    for length in range(len(code), -1, -1):
        yield f"{channel}.{code[:length]}*"
    yield "*"


class Ledger:
    """What is known of every key.

    Attributes
    ----------
    epochs
        Numberings in force, as the gateway said last: texts joined by "-".
    unknown_frames
        Data frames of a `ch` that nobody introduced.
    """

    def __init__(self) -> None:
        self.epochs = ""
        self.unknown_frames = 0
        self._keys: dict[str, _Key] = {}
        self._of_ch: dict[int, _Key] = {}
        self._modes: dict[str, Mapping[str, str]] = {}  # topic -> channel -> mode; "" any channel
        self._settled: set[str] = set()  # topics all of whose keys with rows were shown
        self._resumed: frozenset[str] = frozenset()  # those that an earlier connection settled
        self._sums: dict[int, tuple[int, int]] | None = None  # ch -> frames, crc; while resuming

    def connected(self, epochs: str) -> None:
        """Begin a new connection: every key may have missed something."""
        if not {*self.epochs.split("-")} <= {*epochs.split("-")}:
            for key in self._keys.values():  # a key without rows has no epoch of its own
                if key.seq == 0:
                    key.seq = None
        self.epochs = epochs
        self._resumed = frozenset(self._settled)
        self._sums = None
        for key in self._keys.values():
            key.away = True

    def control(self, frame: Mapping[str, Any]) -> list[Event]:
        """Take a control message; most say nothing about rows."""
        match frame.get("op"):
            case "heartbeat":
                self.epochs = frame["epoch"]
                self._sums = None  # sent when nothing else waits: what was asked for is here
                self._settled.update(self._modes)
            case "sub_ok" | "set_ok" | "replay_ok":
                for topic, entry in frame["topics"].items():
                    self._granted(topic, entry)
            case "unsub_ok":
                self.forget(frame["topics"])
            case "gap" if frame["reason"] == "bus":
                return [Gap(None, None, None, "bus")]
            case "skip":
                return self._skipped(frame["keys"])
            case "replay_end" if "crc" in frame:
                return self._replayed(frame)
        return []

    def channel_of(self, ch: int) -> str:
        """Return the channel of a key that was introduced, "" of any other number."""
        key = self._of_ch.get(ch)
        return key.channel if key is not None else ""

    def received(self, frame: Data, payload: bytes) -> None:
        """Sum up the payloads of what may be a replay; `frame` is its first row."""
        if self._sums is not None and frame.kind == "d":
            frames, crc = self._sums.get(frame.ch, (0, 0))
            self._sums[frame.ch] = (frames + 1, crc32(payload, crc))

    def data(self, frame: Data) -> list[Event]:
        """Take a row; return what the user is to be told, in order."""
        if frame.kind == "snap":
            key = self._name(frame.ch, frame.topic)
        elif frame.ch in self._of_ch:
            key = self._of_ch[frame.ch]
        else:
            self.unknown_frames += 1
            return [Gap(None, None, None, "lost")]
        return self._snap(key, frame) if frame.kind == "snap" else self._after(key, frame)

    def forget(self, topics: Iterable[str]) -> None:
        """Leave topics: what no other topic names begins anew when it comes again."""
        for topic in topics:
            self._modes.pop(topic, None)
            self._settled.discard(topic)
        for key in self._keys.values():
            if not self._named(key, self._modes):
                key.seq = None

    def rewind(self, topics: Collection[str]) -> None:
        """Let the keys of some topics begin anew, at any seq."""
        self._resumed = frozenset()
        for key in self._keys.values():
            if self._named(key, topics):
                key.seq = None

    def positions(self) -> dict[str, int]:
        """Return the last seq of every key that can go on, those that promise every row first."""
        live = {*self.epochs.split("-")}
        keys = [
            key
            for key in self._keys.values()
            if key.seq is not None and (key.epoch in live or not key.seq)
        ]
        keys.sort(key=lambda key: (self._mode(key) not in EVERY_ROW, key.channel != "trade"))
        return {key.topic: key.seq for key in keys if key.seq is not None}

    # --- names ------------------------------------------------------------------------------------

    def _name(self, ch: int, topic: str) -> _Key:
        key = self._keys.get(topic)
        if key is None:
            key = self._keys[topic] = _Key(topic, topic.rpartition(".")[0])
        self._of_ch[ch] = key
        return key

    def _granted(self, topic: str, entry: Mapping[str, Any]) -> None:
        """Learn how a topic is delivered, and names of keys."""
        ways = entry.get("channels")
        self._modes[topic] = (
            {name: way["mode"] for name, way in ways.items()} if ways else {"": entry["mode"]}
        )
        if "ch" in entry:
            key = self._name(entry["ch"], topic)
            if entry.get("seq") == 0 and key.seq is None:
                key.seq = 0  # nothing yet: its first row will be missed by nobody
        for name, ch in entry.get("names", {}).items():
            self._name(ch, name)
        if entry.get("replayed") and self._sums is None:
            self._sums = {}

    def _named(self, key: _Key, topics: Collection[str]) -> str:
        """Return the most exact of the topics that name a key, "" when none does."""
        return next((topic for topic in namers(key.topic) if topic in topics), "")

    def _mode(self, key: _Key) -> str:
        ways = self._modes.get(self._named(key, self._modes), {})
        return ways.get("", ways.get(key.channel, ""))

    # --- rows -------------------------------------------------------------------------------------

    def _snap(self, key: _Key, frame: Data) -> list[Event]:
        known, before = key.seq, frame.seq - frame.n
        if known is None:
            # A key that appeared while we were away: its rows were ours to see.
            ours = frame.n == 0 and key.epoch == "" and self._named(key, self._resumed)
            gaps = self._gap(key, 0, before, "resume") if ours else []
            key.epoch = frame.epoch
            return [*gaps, self._update(key, frame, frame.n)]
        if key.epoch not in ("", frame.epoch):
            key.epoch = frame.epoch
            gap = Gap(key.topic, 1, before, "epoch")
            return [gap, self._update(key, frame, frame.n)]
        key.epoch = frame.epoch
        if frame.n:
            return self._after(key, frame)
        if frame.seq < known or (frame.seq == known and key.shown):
            key.away = False
            return []
        gaps = self._gap(key, known, frame.seq)
        return [*gaps, self._update(key, frame, 0)]

    def _after(self, key: _Key, frame: Data) -> list[Event]:
        """Take news: a `d`, or a key's introduction."""
        known, before = key.seq, frame.seq - frame.n
        if known is not None and frame.seq <= known:
            key.away = False
            return []
        gaps: list[Event] = [] if known is None else self._gap(key, known, before)
        n = frame.n if known is None else frame.seq - max(known, before)
        if n > 1 and self._mode(key) in EVERY_ROW:
            gaps += self._gap(key, frame.seq - n, frame.seq - 1, "bus")
            n = 1
        merged = frame.merged if n == frame.n else None
        return [*gaps, self._update(key, frame._replace(merged=merged), n)]

    def _update(self, key: _Key, frame: Data, n: int) -> Update:
        key.seq, key.away, key.shown = frame.seq, False, True
        return Update(
            key.topic,
            key.channel,
            frame.seq,
            n,
            n > 0,
            frame.row,
            frame.merged,
            frame.kind,
            key.epoch,
        )

    def _gap(self, key: _Key, known: int, upto: int, why: Reason | None = None) -> list[Event]:
        if upto <= known:
            return []
        return [Gap(key.topic, known + 1, upto, why or ("resume" if key.away else "lost"))]

    def _skipped(self, keys: Mapping[str, Any]) -> list[Event]:
        told: list[Event] = []
        for topic, (_, last) in keys.items():
            key = self._keys.get(topic)
            if key is not None and key.seq is not None:
                told += self._gap(key, key.seq, last, "skip")
                key.seq, key.shown = max(key.seq, last), False  # its state follows as a snap
        return told

    def _replayed(self, frame: Mapping[str, Any]) -> list[Event]:
        """Check that what was missed came complete: so many frames with this sum."""
        key = self._of_ch.get(frame["ch"])
        found = (self._sums or {}).pop(frame["ch"], (0, 0))
        if key is None or found == (frame["n"], frame["crc"]):
            return []
        return [Gap(key.topic, frame["from"], frame["to"], "resume")]

"""A client that believes nothing: reads frames, keeps state, checks the sequence contract."""

import zlib

import numpy as np
import orjson

from engine.schema.channels import CHANNELS
from gateway.binary import DELTA, FLAG_MERGED, HEADER, KEY, MERGED, SNAP

OPCODES = (0x81, 0x82)  # text, binary; whole


def whole_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Cut a server's bytes into the payloads of its WebSocket frames, and what is not yet whole."""
    payloads, at = [], 0
    while at + 2 <= len(data):
        assert data[at] in OPCODES, f"not a whole frame: {data[at]:#x}"
        size, begin = data[at + 1], at + 2
        assert size < 128, "a server does not mask"
        if size == 126:
            size, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
        elif size == 127:
            size, begin = int.from_bytes(data[begin : begin + 8], "big"), begin + 8
        if begin + size > len(data):
            break
        assert begin - at == 2 + (size >= 126) * 2 + (size >= 65_536) * 6, "a wasteful header"
        payloads.append(data[begin : begin + size])
        at = begin + size
    return payloads, data[at:]


def split_frames(data: bytes) -> list[bytes]:
    """Cut a server's bytes into the payloads of its WebSocket frames; the last one is whole."""
    payloads, rest = whole_frames(data)
    assert not rest, "a frame is cut off"
    return payloads


def binary_frame(payload: bytes) -> dict:
    """Read a binary frame into what its JSON twin would be; `data` is the row's bytes."""
    header = np.frombuffer(payload, HEADER, 1)[0]
    assert header["version"] == 1
    assert header["count"] == 1, "more rows of one key: allowed, but not what is sent today"
    ch, at = int(header["ch"]), HEADER.itemsize
    frame = {"op": {SNAP: "snap", DELTA: "d"}[int(header["type"])], "ch": ch}
    if frame["op"] == "snap":
        key = np.frombuffer(payload, KEY, 1, at)[0]
        frame["topic"], frame["epoch"] = key["topic"].decode(), str(key["epoch"])
        at += KEY.itemsize
    if header["flags"] & FLAG_MERGED:
        sums = np.frombuffer(payload, MERGED, 1, at)[0]
        frame["merged"] = {name: int(sums[name]) for name in MERGED.names}
        at += MERGED.itemsize
    dtype = CHANNELS[ch >> 20].dtype
    row = np.frombuffer(payload, dtype, 1, at)[0]
    assert at + dtype.itemsize == len(payload), "more than a row"
    assert row["symbol_id"] == ch & 0xFFFFF
    frame["seq"] = int(row["seq"])
    frame["n"] = frame["seq"] - int(header["first_seq"]) + 1
    frame["data"] = row.tobytes()
    return frame


class ClientModel:
    """What a careful client knows after the frames it was sent.

    Attributes
    ----------
    topic_of
        ch -> topic.
    seq, data, epoch
        Topic -> what was heard of it last; None: no word yet.
    frames
        Everything, in order.
    news
        Topic -> [(seq before, seq, merged or None)].
    skipped
        Topic -> first and last seq that a `skip` named, until the state is shown.
    """

    def __init__(self):
        self.topic_of = {}
        self.seq = {}
        self.data = {}
        self.epoch = {}
        self.frames = []
        self.news = {}
        self.skipped = {}
        self.controls = []
        self._payloads = {}  # ch -> [(seq, payload)] of its last news

    def read(self, payloads):
        for payload in payloads:
            frame = binary_frame(payload) if payload[:1] == b"\x01" else orjson.loads(payload)
            self.frames.append(frame)
            if frame["op"] in ("snap", "d"):
                self._payloads.setdefault(frame["ch"], []).append((frame["seq"], payload))
            getattr(self, f"on_{frame['op']}", self.controls.append)(frame)
        return self

    def on_sub_ok(self, frame):
        self.controls.append(frame)
        for topic, entry in frame["topics"].items():
            if "ch" in entry:
                self._name(entry["ch"], topic)
            for name, ch in entry.get("names", {}).items():
                self._name(ch, name)
                self.seq.setdefault(name, None)

    def _name(self, ch, topic):
        assert self.topic_of.get(ch, topic) == topic, "a ch changed its meaning"
        self.topic_of[ch] = topic

    def forget(self, topics):
        """These keys are numbered anew, or not followed any more."""
        for topic in topics:
            for known in (self.seq, self.data, self.epoch, self.skipped):
                known.pop(topic, None)
        self.topic_of = {ch: name for ch, name in self.topic_of.items() if name not in topics}

    def of_source(self, shard):
        """The keys of a source that starts over. With one source all of them."""
        return set(self.topic_of.values())

    def on_gap(self, frame):
        self.controls.append(frame)
        if frame["reason"] == "epoch":
            self.forget(self.of_source(frame["shard"]))

    def on_snap(self, frame):
        topic = frame["topic"]
        self._name(frame["ch"], topic)
        before = self.seq.get(topic)
        if frame["n"]:
            assert frame["n"] == frame["seq"]
            assert not before, "an introduction of what is known"
            self._news(topic, 0, frame)
        else:
            assert before is None or frame["seq"] >= before, "back in time"
            if topic in self.skipped:
                first, last = self.skipped.pop(topic)
                assert frame["seq"] == last, "the state is not that of the end of the skip"
                assert before is None or first == before + 1, "more is missing than was told"
        self._state(topic, frame)
        self.epoch[topic] = frame["epoch"]

    def on_d(self, frame):
        topic = self.topic_of[frame["ch"]]
        before = self.seq.get(topic)
        assert frame["n"] >= 1
        assert topic not in self.skipped, "the state comes first after a skip"
        if before is not None:
            assert frame["seq"] == before + frame["n"], (
                f"{topic}: {before} + {frame['n']} is not {frame['seq']}"
            )
        self._news(topic, frame["seq"] - frame["n"], frame)
        self._state(topic, frame)

    def on_skip(self, frame):
        self.controls.append(frame)
        assert frame["rows"] >= 1
        for topic, (first, last) in frame["keys"].items():
            assert 1 <= first <= last
            self.skipped[topic] = (first, last)

    def on_replay_end(self, frame):
        self.controls.append(frame)
        if "ch" not in frame:  # of a time travel
            return
        told = self._payloads.get(frame["ch"], [])[-frame["n"] :]
        seqs = [seq for seq, _ in told]
        assert len(seqs) == frame["n"] >= 1
        assert (seqs[0], seqs[-1]) == (frame["from"], frame["to"])
        assert seqs == sorted(set(seqs))
        assert frame["crc"] == zlib.crc32(b"".join(payload for _, payload in told))

    def _state(self, topic, frame):
        self.seq[topic], self.data[topic] = frame["seq"], frame["data"]

    def _news(self, topic, before, frame):
        self.news.setdefault(topic, []).append((before, frame["seq"], frame.get("merged")))

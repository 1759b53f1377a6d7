"""A client that believes nothing: reads frames, keeps state, checks the sequence contract."""

import orjson


def split_frames(data: bytes) -> list[bytes]:
    """Cut a server's bytes into the payloads of its WebSocket text frames."""
    payloads, at = [], 0
    while at < len(data):
        assert data[at] == 0x81, f"not a whole text frame: {data[at]:#x}"
        size, at = data[at + 1], at + 2
        assert size < 128, "a server does not mask"
        if size == 126:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            assert size >= 126
        elif size == 127:
            size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            assert size >= 65_536
        payloads.append(data[at : at + size])
        assert len(payloads[-1]) == size, "a frame is cut off"
        at += size
    return payloads


class ClientModel:
    """What a careful client knows after the frames it was sent."""

    def __init__(self):
        self.topic_of = {}  # ch -> topic
        self.seq = {}  # topic -> seq
        self.data = {}  # topic -> data
        self.frames = []  # everything, in order
        self.news = {}  # topic -> [(seq before, seq, merged or None)]
        self.controls = []

    def read(self, payloads):
        for payload in payloads:
            frame = orjson.loads(payload)
            self.frames.append(frame)
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

    def on_gap(self, frame):
        self.controls.append(frame)
        if frame["reason"] == "epoch":
            self.topic_of, self.seq, self.data = {}, {}, {}

    def on_snap(self, frame):
        topic = frame["topic"]
        self._name(frame["ch"], topic)
        if frame["n"]:
            assert frame["n"] == frame["seq"]
            assert self.seq.get(topic) is None, "an introduction of what is known"
            self._news(topic, 0, frame)
        elif self.seq.get(topic) is not None:
            assert frame["seq"] >= self.seq[topic], "back in time"
        self.seq[topic], self.data[topic] = frame["seq"], frame["data"]

    def on_d(self, frame):
        topic = self.topic_of[frame["ch"]]
        before = self.seq.get(topic)
        assert frame["n"] >= 1
        if before is not None:
            assert frame["seq"] == before + frame["n"], (
                f"{topic}: {before} + {frame['n']} is not {frame['seq']}"
            )
        self._news(topic, frame["seq"] - frame["n"], frame)
        self.seq[topic], self.data[topic] = frame["seq"], frame["data"]

    def _news(self, topic, before, frame):
        self.news.setdefault(topic, []).append((before, frame["seq"], frame.get("merged")))

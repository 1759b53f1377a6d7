"""`Judge`: a client that compares every frame with the tape and with what it was granted."""

from engine.schema.channels import TRADE
from engine.schema.codes import Side
from tests.gateway.client import ClientModel

STREAMS = ("all", "skip")


def names(text, topic):
    """Whether a topic names a key, and how exactly; None when not."""
    name, _, code = topic.rpartition(".")
    if text == "*":
        return (False, 0, 1)
    of, _, pattern = text.rpartition(".")
    if of != name:
        return None
    if pattern.endswith("*"):
        prefix = pattern[:-1]
        return (False, len(prefix), len(text)) if code.startswith(prefix) else None
    return (True, len(code), len(text)) if code == pattern else None


def deciding(texts, topic):
    """The topic among `texts` that decides how a key is delivered, None for none."""
    found = [(how, text) for text in texts if (how := names(text, topic)) is not None]
    return max(found)[1] if found else None


def summed(rows, form):
    """What `merged` must say of these trades."""
    if not rows:
        return dict.fromkeys(NINE, 0) if form == "bin" else {"count": 0}
    price = [int(row.values["price_e2"]) for row in rows]
    sums = {
        "count": len(rows),
        "open_e2": price[0],
        "high_e2": max(price),
        "low_e2": min(price),
        "volume_shares": total(rows, "volume_shares"),
        "value_vnd": total(rows, "value_vnd"),
        "buy_volume_shares": total(rows, "volume_shares", Side.BUY),
        "sell_volume_shares": total(rows, "volume_shares", Side.SELL),
        "missed_volume_shares": total(rows, "missed_volume_shares"),
    }
    if form == "bin":
        return sums
    return {
        name.removesuffix("_e2"): value / 100 if name.endswith("_e2") else value
        for name, value in sums.items()
    }


NINE = (
    *("count", "open_e2", "high_e2", "low_e2", "volume_shares", "value_vnd"),
    *("buy_volume_shares", "sell_volume_shares", "missed_volume_shares"),
)


def total(rows, name, side=None):
    return sum(int(row.values[name]) for row in rows if side in (None, row.values["side"]))


class Judge(ClientModel):
    """A client that compares all it is sent with the tape and with what it was granted.

    Attributes
    ----------
    granted
        Topic -> channel name -> mode.
    asked
        Request id -> what is true of its answer: the request, and of each topic whether it can go
        on and how many rows were missed.
    """

    def __init__(self, tape, form):
        super().__init__()
        self.tape, self.form = tape, form
        self.granted = {}
        self.asked = {}
        self.excused = set()  # keys whose state may be shown although they are known
        self.bye = None

    # --- connections ----------------------------------------------------------------------------

    def since(self):
        """Where it is."""
        seq = {topic: seq for topic, seq in self.seq.items() if seq is not None}
        return {"epoch": "-".join(sorted({self.epoch[t] for t in seq})), "seq": seq}

    def reconnected(self, kept):
        """A new connection: what it says it has, and what numbers mean, is all that stays."""
        for known in (self.seq, self.data, self.epoch):
            for topic in [topic for topic in known if topic not in kept]:
                del known[topic]
        self.granted, self.asked, self.skipped = {}, {}, {}
        self.excused, self.bye = set(), None

    def way(self, topic):
        """How a key is delivered, None when it was not asked for."""
        text = deciding(self.granted, topic)
        return None if text is None else self.granted[text][topic.rpartition(".")[0]]

    # --- answers --------------------------------------------------------------------------------

    def _granted(self, frame):
        for topic, entry in frame["topics"].items():
            ways = entry.get("channels") or {topic.rpartition(".")[0]: entry}
            self.granted[topic] = {name: way["mode"] for name, way in ways.items()}

    def _excuse_conflated(self, before):
        """What was noted and not sent is shown anew when a client changes anything."""
        for topic in self.seq:
            if "conflate" in (before.get(topic), self.way(topic)):
                self.excused.add(topic)

    def on_sub_ok(self, frame):
        asked = self.asked.pop(frame["id"])
        before = {topic: self.way(topic) for topic in self.seq}
        self._granted(frame)
        super().on_sub_ok(frame)
        if not asked.since:
            self._excuse_conflated(before)
        goes_on = {}
        for topic, entry in frame["topics"].items():
            goes_on[topic] = False
            if asked.since:
                self._judge_recovery(topic, entry, asked)
                goes_on[topic] = entry["recovered"]
        for topic in list(self.seq):
            text = deciding(self.granted, topic)
            if text in asked.shown and not goes_on[text]:
                self.excused.add(topic)
                if not asked.snapshot and before.get(topic) is None:
                    self.seq[topic] = None

    def _judge_recovery(self, topic, entry, asked):
        possible, missed = asked.truth.get(topic, (True, 0))
        if asked.remembers_all:
            got = entry["recovered"], entry["replayed"]
            assert got == (possible, missed), f"{topic}: {got}, not {(possible, missed)}"
        elif entry["recovered"]:
            assert possible, f"{topic} cannot go on"
            assert entry["replayed"] == missed

    def on_set_ok(self, frame):
        self.controls.append(frame)
        before = {topic: self.way(topic) for topic in self.seq}
        for topic, entry in frame["topics"].items():
            ways = entry.get("channels") or dict.fromkeys(self.granted[topic], entry)
            self.granted[topic] = {name: way["mode"] for name, way in ways.items()}
        self._excuse_conflated(before)

    def on_unsub_ok(self, frame):
        self.controls.append(frame)
        before = {topic: self.way(topic) for topic in self.seq}
        for topic in frame["topics"]:
            del self.granted[topic]
        self._excuse_conflated(before)
        for topic in [topic for topic in self.seq if self.way(topic) is None]:
            for known in (self.seq, self.data, self.epoch, self.skipped):
                known.pop(topic, None)

    # --- what it is told ------------------------------------------------------------------------

    def of_source(self, shard):
        topics = {*self.topic_of.values(), *self.seq}
        return {topic for topic in topics if self.tape.shard_of(topic) == shard}

    def _name(self, ch, topic):
        old = self.topic_of.get(ch, topic)
        if old != topic:  # only after a shard started over, told or while it was away
            assert self._is_old(old), "a ch changed its meaning"
            self._forget_old(self.tape.shard_of(old))
        self.topic_of = {c: name for c, name in self.topic_of.items() if name != topic or c == ch}
        super()._name(ch, topic)

    def on_skip(self, frame):
        super().on_skip(frame)
        assert frame["more"] == 0
        for topic, (first, _) in frame["keys"].items():
            assert self.way(topic) == "skip", f"{topic} is not to be skipped"
            known = self.seq.get(topic)
            assert known is None or first == known + 1 or self._is_old(topic), topic

    def _is_old(self, topic):
        return self.epoch.get(topic) != self.tape.epochs[self.tape.shard_of(topic)]

    def _forget_old(self, shard, epoch=None):
        """A shard has started over; what is known of it under another epoch is void."""
        epoch = epoch or self.tape.epochs[shard]
        told = dict(self.skipped)  # just before the state, so it is of the new numbering
        self.forget({t for t in self.of_source(shard) if self.epoch.get(t) != epoch})
        self.skipped = told

    def on_bye(self, frame):
        self.controls.append(frame)
        self.bye = frame
        told = frame["resume"]["seq"]
        for topic, seq in told.items():
            assert self.way(topic) == "all"
            if self.seq.get(topic) is not None and not self._is_old(topic):
                assert seq == self.seq[topic], f"{topic}: told to resume at another row"
        for topic, seq in self.seq.items():
            if seq is not None and self.way(topic) == "all" and not self._is_old(topic):
                assert topic in told, f"{topic}: nowhere to resume"

    def on_snap(self, frame):
        topic, ch = frame["topic"], frame["ch"]
        old = self.topic_of.get(ch, topic)
        for known in {topic, old}:
            if self.epoch.get(known, frame["epoch"]) != frame["epoch"]:
                self._forget_old(self.tape.shard_of(topic), frame["epoch"])
        if not frame["n"] and self.seq.get(topic) is not None:
            assert topic in self.excused or topic in self.skipped, f"{topic}: nobody asked"
        self.excused.discard(topic)
        self._judge(topic, frame["epoch"], frame)
        super().on_snap(frame)

    def on_d(self, frame):
        topic = self.topic_of[frame["ch"]]
        epoch = self.epoch.get(topic)
        if epoch is None:
            epoch = self.epoch[topic] = self._epoch_by_content(topic, frame)
        self._judge(topic, epoch, frame)
        super().on_d(frame)

    def _epoch_by_content(self, topic, frame):
        """Without a snapshot nothing told it."""
        for (epoch, key), rows in reversed(self.tape.rows.items()):
            row = rows.get(frame["seq"])
            if key == topic and row and self.tape.data(row, self.form) == frame["data"]:
                return epoch
        raise AssertionError(f"{topic}: nobody published this")

    def _judge(self, topic, epoch, frame):
        way = self.way(topic)
        assert way is not None, f"{topic}: nobody asked for it"
        rows, seq, n = self.tape.of(topic, epoch), frame["seq"], frame["n"]
        assert frame["data"] == self.tape.data(rows[seq], self.form), f"{topic} {seq} is not that"
        assert rows[seq].heard
        told = [(s, rows[s]) for s in range(seq - n + 1, seq + 1) if rows[s].heard]
        if way in STREAMS:
            lost = [s for s, row in told if row.named and s != seq]
            assert not lost, f"{topic}: {lost} were never sent"
        assert ("merged" in frame) == (way == "conflate" and topic.startswith(TRADE.name) and n > 0)
        if "merged" in frame:
            # Rows from before a key had its name may be summed up or not.
            every = [row for _, row in told]
            named = [row for row in every if row.named]
            assert frame["merged"] in (summed(every, self.form), summed(named, self.form))

    def check_state(self, blind):
        """All is read and sent: it knows every key as it is.

        `blind`: topic -> (epoch, seq) of keys that it did not want to be shown.
        """
        for topic in self.tape.topics():
            if self.way(topic) is None:
                continue
            epoch, seq = self.tape.epochs[self.tape.shard_of(topic)], self.tape.newest(topic)
            if self.seq.get(topic) is None and blind.get(topic) == (epoch, seq):
                continue
            assert self.seq.get(topic) == seq, f"{topic}: {self.seq.get(topic)}, not {seq}"
            row = self.tape.of(topic)[seq]
            assert self.data[topic] == self.tape.data(row, self.form)
            assert self.epoch[topic] == epoch

"""What is true of a gateway's clients, said the slow way: every row ever published, in a dict.

`Tape` remembers all rows and which of them the gateway heard. `Source` is a shard that writes it.
"""

from dataclasses import dataclass

import numpy as np
import orjson

from engine.schema.bus import BusKind
from engine.schema.channels import SYMBOL
from engine.schema.codes import Instrument, Venue
from gateway.directory import Directory
from gateway.encode import json_codecs
from tests.gateway.market import CAPACITY, Market


@dataclass
class Row:
    """One row of a key. `named`: its key had a name when the gateway heard it."""

    channel: object
    values: np.void
    heard: bool = False
    named: bool = False


class Tape:
    """All rows by epoch and topic, then seq. Index of the world the clients are judged by."""

    def __init__(self):
        self.rows = {}
        self.epochs = {}  # shard -> its epoch now
        self.shards = {}  # code -> shard
        self.named = {}  # shard -> ids that the gateway has a name for -> code
        self._codecs = json_codecs(Directory(CAPACITY))
        self._texts = {}

    def shard_of(self, topic):
        return self.shards[topic.rpartition(".")[2]]

    def of(self, topic, epoch=None):
        """Rows of a key by seq, in this epoch or the one in force."""
        return self.rows.get((epoch or self.epochs[self.shard_of(topic)], topic), {})

    def newest(self, topic):
        """Seq of the newest row that the gateway has heard, 0 for none."""
        return max((seq for seq, row in self.of(topic).items() if row.heard), default=0)

    def topics(self):
        """Topics that can be shown now."""
        for (epoch, topic), rows in self.rows.items():
            shard = self.shard_of(topic)
            code = topic.rpartition(".")[2]
            here = self.epochs[shard] == epoch and code in self.named[shard].values()
            if here and any(row.heard for row in rows.values()):
                yield topic

    def hear(self, frame, codes):
        """The gateway applies a frame; `codes` by id."""
        named = self.named[frame.shard]
        for channel, rows in sorted(frame.sections, key=lambda section: section[0].code):
            for symbol_id, seq in zip(
                rows["symbol_id"].tolist(), rows["seq"].tolist(), strict=True
            ):
                if channel is SYMBOL:
                    named[symbol_id] = codes[symbol_id]
                    continue
                topic = f"{channel.name}.{codes[symbol_id]}"
                if seq > self.newest(topic):
                    row = self.of(topic)[seq]
                    row.heard, row.named = True, symbol_id in named

    def data(self, row, form):
        """What a frame in this format says of a row."""
        if form == "bin":
            return row.values.tobytes()
        key = id(row)
        if key not in self._texts:
            rows = np.array([row.values], row.channel.dtype)
            (text,) = self._codecs[row.channel.code].states(rows)
            self._texts[key] = orjson.loads(text)["data"]
        return self._texts[key]


class Source(Market):
    """A shard that writes the tape. Ids begin where it is told."""

    def __init__(self, tape, shard, first_id, *codes):
        self.tape, self.first_id, self.starts = tape, first_id, 0
        self.frames = []  # of this epoch, as its delta log keeps them
        self.old_frames = []
        super().__init__(shard=shard)
        self._begin()
        for code in codes:
            self.list(code)

    def _begin(self):
        self.starts += 1
        self.epoch = 100 * self.starts + self.shard
        self.tape.epochs[self.shard] = str(self.epoch)
        self.tape.named[self.shard] = {}

    def list(self, code, *more):
        self.listed[code] = (code, *more)
        self.ids[code] = self.first_id + len(self.ids)
        self.tape.shards[code] = self.shard
        self.put(
            SYMBOL,
            code,
            code=code.encode(),
            value_multiplier=1,
            venue=Venue.HOSE,
            instrument=Instrument.STOCK,
        )

    def put(self, channel, code, /, **values):
        row = super().put(channel, code, **values)
        key = (str(self.epoch), f"{channel.name}.{code}")
        if channel is not SYMBOL:
            self.tape.rows.setdefault(key, {})[int(row["seq"])] = Row(channel, row)
        return row

    def start_over(self, epoch=None):
        """With other ids for the same codes."""
        self._begin()
        self.listed = dict(reversed(self.listed.items()))
        self.old_frames, self.frames = self.frames, []
        super().start_over(self.epoch)

    def frame(self):
        frame = super().frame()
        self.frames.append(frame)
        return frame

    def hear(self, frame):
        """The gateway gets this frame."""
        self.tape.hear(frame, {symbol_id: code for code, symbol_id in self.ids.items()})
        return frame

    def hear_log(self):
        """The gateway reads the log: rows that the bus had lost as well."""
        for row in (row for frame in self.frames for row in rows_of(frame, self)):
            row.heard = row.named = True


def rows_of(frame, source):
    """Rows of the tape that a frame is about."""
    codes = {symbol_id: code for code, symbol_id in source.ids.items()}
    for channel, rows in frame.sections:
        if channel is not SYMBOL and frame.kind is BusKind.DELTA:
            for row in rows:
                topic = f"{channel.name}.{codes[int(row['symbol_id'])]}"
                yield source.tape.of(topic)[int(row["seq"])]

"""A tiny shard for gateway tests: rows with sequence numbers, and what is true of them."""

import itertools

import numpy as np

from engine.bus.wire import BusFrame, decode, encode
from engine.schema.bus import BusKind
from engine.schema.channels import BOOK, CHANNELS, QUOTE, STATS, SYMBOL, TRADE
from engine.schema.codes import Instrument, Phase, Side, Venue

MORNING_S = 1_626_316_200  # 2021-07-15 09:30:00 +07:00
CAPACITY = 64


class Market:
    """Symbols, their latest rows, and bus frames of what changed since the last frame."""

    def __init__(self, *codes, epoch=1, shard=0, capacity=CAPACITY):
        self.latest = {c.name: np.zeros(capacity, c.dtype) for c in CHANNELS}
        self.epoch, self.shard = epoch, shard
        self.ids = {}
        self.frame_seq = itertools.count(1)
        self.pending = []  # (channel, row copy) in order
        self.history = {}  # (channel name, code) -> rows by seq - 1
        self.clock_s = MORNING_S
        self.listed = {}  # name -> arguments of `list`
        for code in codes:
            self.list(code)

    def list(self, code, venue=Venue.HOSE, multiplier=1, instrument=Instrument.STOCK, name=None):
        """Introduce a key. `name` is what this market calls it when its code names two things."""
        name = name or code
        self.listed[name] = (code, venue, multiplier, instrument, name)
        self.ids[name] = symbol_id = len(self.ids) + 1
        self.put(
            SYMBOL,
            name,
            code=code.encode(),
            value_multiplier=multiplier,
            venue=venue,
            instrument=instrument,
        )
        return symbol_id

    def trade(self, code, price_e2=2_530_000, volume=100, side=Side.BUY, **values):
        seen = self.latest["trade"][self.ids[code]]["total_volume_shares"]
        return self.put(
            TRADE,
            code,
            price_e2=price_e2,
            volume_shares=volume,
            side=side,
            value_vnd=price_e2 * volume // 100,
            side_rule=1,
            side_exchange=side,
            total_volume_shares=seen + volume,
            **values,
        )

    def quote(self, code, bid_e2, ask_e2, bid_volume=100, ask_volume=200):
        return self.put(
            QUOTE,
            code,
            bid_price_e2=bid_e2,
            ask_price_e2=ask_e2,
            bid_volume_shares=bid_volume,
            ask_volume_shares=ask_volume,
        )

    def book(self, code, bids, asks):
        values = {}
        for name, levels in (("bid", bids), ("ask", asks)):
            prices, volumes = np.zeros(10, np.int32), np.zeros(10, np.int32)
            for i, (price, volume) in enumerate(levels):
                prices[i], volumes[i] = price, volume
            values[f"{name}_price_e2"], values[f"{name}_volume_shares"] = prices, volumes
        return self.put(BOOK, code, **values)

    def stats(self, code, **values):
        return self.put(STATS, code, **values)

    def put(self, channel, code, /, **values):
        """A row of any channel: the key's last one with other values."""
        symbol_id = self.ids[code]
        row = self.latest[channel.name][symbol_id : symbol_id + 1]
        self.clock_s += 1
        for name, value in {
            "seq": row["seq"][0] + 1,
            "symbol_id": symbol_id,
            "recv_ns": self.clock_s * 10**9 + 5,
            "exch_s": self.clock_s,
            "phase": Phase.CONTINUOUS,
            "venue": Venue.HOSE,
            "updates": 1,
            **values,
        }.items():
            row[name] = value
        copy = row.copy()
        self.pending.append((channel, copy))
        self.history.setdefault((channel.name, code), []).append(copy[0])
        return copy[0]

    def frame(self) -> BusFrame:
        """One DELTA of everything since the last one."""
        sections = []
        for channel, rows in itertools.groupby(self.pending, key=lambda item: item[0]):
            sections.append((channel, np.concatenate([row for _, row in rows])))
        self.pending = []
        return self._decoded(BusKind.DELTA, next(self.frame_seq), sections)

    def snapshot(self) -> BusFrame:
        sections = [
            (c, rows[rows["seq"] > 0])
            for c in CHANNELS
            if (rows := self.latest[c.name])["seq"].any()
        ]
        return self._decoded(BusKind.SNAPSHOT, 0, sections)

    def start_over(self, epoch):
        """As a shard that lost its past: sequences from 1 again."""
        self.epoch = epoch
        self.pending, self.history = [], {}
        for rows in self.latest.values():
            rows[:] = np.zeros((), rows.dtype)
        self.frame_seq = itertools.count(1)
        listed, self.ids, self.listed = self.listed, {}, {}
        for arguments in listed.values():
            self.list(*arguments)

    def _decoded(self, kind, frame_seq, sections):
        return decode(encode(kind, self.shard, self.epoch, frame_seq, self.clock_s, sections))

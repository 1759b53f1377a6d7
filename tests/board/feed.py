"""Shards that say what a test wants, to the board and to its naive twin at once."""

import datetime as dt
from fractions import Fraction
from typing import Any

import numpy as np

from engine.board.board import Board
from engine.board.weights import WEIGHT_UNIT, Weights
from engine.clock import DAY_S, ICT_OFFSET_S
from engine.market.days import day_number
from engine.schema import channels
from engine.schema.channels import Channel
from engine.schema.codes import Instrument, Phase, Side, Venue
from tests.oracle.board_naive import NaiveBoard

CAPACITY = 64
DATE = dt.date(2021, 7, 15)


def plain(row: np.void) -> dict[str, Any]:
    """Return a record as a dict of Python values, without its reserve."""
    return {
        name: row[name].tolist() if isinstance(row[name], np.ndarray | np.generic) else row[name]
        for name in row.dtype.names
        if not name.startswith("reserved")
    }


def sides(**volumes: int) -> list[list[int]]:
    """Return a phase x side table with all its figures in CONTINUOUS: ``sides(BUY=100)``."""
    table = [[0] * len(Side) for _ in Phase]
    for side, volume in volumes.items():
        table[Phase.CONTINUOUS][Side[side]] = volume
    return table


class Feed:
    """Rows by code, numbered as shards number them.

    Every `summarise` compares what the board says with what the twin says.
    """

    def __init__(
        self, weights: Weights | None = None, capacity: int = CAPACITY, date: dt.date = DATE
    ) -> None:
        self.board = Board(capacity, weights)
        self.twin = NaiveBoard(capacity, {
            index: {code: Fraction(weight * 100, WEIGHT_UNIT) for code, weight in members.items()}
            for index, members in (weights or {}).items()
        })  # fmt: skip
        self.shards: dict[str, int] = {}
        self.ids: dict[str, int] = {}
        self.venues: dict[str, Venue] = {}
        self.seqs: dict[tuple[str, str], int] = {}
        self.at(date)

    def at(self, date: dt.date, time: str = "10:00:00") -> None:
        """Set day and time of what comes next."""
        self.day = day_number(date)
        self.time(time)

    def time(self, time: str) -> None:
        """Set the time of day (ICT) of what comes next."""
        hours, minutes, seconds = map(int, time.split(":"))
        of_day = hours * 3600 + minutes * 60 + seconds
        self.exch_s = self.day * DAY_S - ICT_OFFSET_S + of_day

    def introduce(
        self,
        code: str,
        venue: Venue = Venue.HOSE,
        shard: int = 0,
        instrument: Instrument = Instrument.STOCK,
    ) -> None:
        """A symbol says who it is."""
        self.ids.setdefault(code, len(self.ids) + 1)
        self.shards[code], self.venues[code] = shard, venue
        self.put(channels.SYMBOL, code, code=code.encode(), instrument=instrument,
                 value_multiplier=1)  # fmt: skip

    def row(self, channel: Channel, code: str, /, **fields: Any) -> np.ndarray:
        """Return the next row of a symbol, told to nobody yet."""
        if code not in self.ids:
            self.introduce(code)
        seq = self.seqs[channel.name, code] = self.seqs.get((channel.name, code), 0) + 1
        row = np.zeros(1, channel.dtype)
        row["seq"], row["symbol_id"], row["updates"] = seq, self.ids[code], 1
        row["exch_s"], row["recv_ns"] = self.exch_s, self.exch_s * 10**9 + 1
        row["venue"] = self.venues[code]
        if "trade_day" in channel.dtype.names:
            row["trade_day"] = self.day
        for name, value in fields.items():
            row[name] = value
        return row

    def tell(self, channel: Channel, rows: np.ndarray, shard: int) -> None:
        """Give rows to the board and to the twin."""
        self.board.take(channel, rows, shard)
        for row in rows:
            self.twin.take(channel.name, plain(row), shard)

    def put(self, channel: Channel, code: str, /, **fields: Any) -> None:
        """A symbol has a new row."""
        row = self.row(channel, code, **fields)
        self.tell(channel, row, self.shards[code])

    def stats(self, code: str, **fields: Any) -> None:
        """A share has new statistics; volume and value seen are also the exchange's."""
        for name in ("volume_shares", "value_vnd"):
            if name in fields:
                fields.setdefault(f"total_{name}", fields[name])
        self.put(channels.STATS, code, **fields)

    def quoted(
        self, code: str, last: int, reference: int, volume: int = 100, **fields: Any
    ) -> None:
        """A share traded: whole VND."""
        self.stats(
            code,
            last_price_e2=last * 100,
            reference_price_e2=reference * 100,
            volume_shares=volume,
            **{"value_vnd": volume * last} | fields,
        )

    def start_over(self, shard: int) -> None:
        """A shard begins anew: its numbers begin at 1 again."""
        self.board.start_over(shard)
        self.twin.start_over(shard)
        for name, code in list(self.seqs):
            if self.shards[code] == shard:
                del self.seqs[name, code]

    def summarise(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what the board says, row by row, after comparing it with the twin."""
        said = [
            (channel.name, plain(row)) for channel, rows in self.board.summarise() for row in rows
        ]
        wanted = self.twin.summarise()
        assert [(name, row["symbol_id"]) for name, row in said] == [
            (name, row["symbol_id"]) for name, row in wanted
        ]
        for (name, row), (_, expected) in zip(said, wanted, strict=True):
            assert row == expected, name
        return said

    def latest(self, channel: Channel, key: str) -> dict[str, Any]:
        """Sum up, and return the row a key has now."""
        self.summarise()
        place = CAPACITY + self.twin.keys.index(key)
        (row,) = [
            plain(row)
            for row in self.board.latest()[channel.name]
            if row["symbol_id"] == place and row["seq"]
        ]
        return row

    def top(self, key: str) -> list[tuple[str, int]]:
        """Return code and measure of a ranking."""
        row = self.latest(channels.MOVERS, key)
        pairs = zip(row["top_code"], row["top_measure"], strict=True)
        return [(code.decode(), measure) for code, measure in pairs][: row["top_count"]]

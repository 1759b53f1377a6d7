"""A tiny interpreter for the stories in tests/tables/foreign_*.txt and index_*.txt.

Lines:

    symbol SSI HOSE                           a symbol of the story; the first one is meant where
                                              none is named, another by ``@VND``
    day 2021-07-15                            trading date of the lines below
    10:00:00 foreign buy=100 room=900/1000    what arrives: a kind and what it tells
    10:00:00 feed DOWN                        the feed is LIVE, DOWN or another FeedState
    #                                         for the reader

Right of ``|`` stands what clients are shown: for every channel that has a row, its name and any of
its fields; ``-`` when there is none. Fields that are not named are not looked at. Every line is a
group; its time is the exchange's stamp. What can be told, and shown, is in the tables below.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.clock import iso_ict
from engine.schema.codes import ControlOp, DeltaFlag, FeedState, Phase, SlotKind, Venue
from engine.shard import classify
from engine.shard.fold import Fold
from engine.trackers import foreign, index, index_series
from tests.shard.folding import SLOTS, SYMBOLS, fold_groups
from tests.shard.messages import Message, exch_s

Row = dict[str, Any]

STAGES = (classify.STAGE, foreign.STAGE, index.STAGE, index_series.STAGE)
MILLION = 10**6
SCALES = {"_e2": 100, "_vnd": MILLION}  # points, and millions of VND; else the plain number

KINDS = {
    "foreign": SlotKind.FOREIGN,
    "trade": SlotKind.TRADE,
    "quote": SlotKind.QUOTE,
    "index": SlotKind.INDEX,
    "feed": SlotKind.CONTROL,
}
BREADTH = ("advances", "unchanged", "declines", "ceilings", "floors")
# word of a story -> fields; several are told and shown with / between them
WORDS: dict[str, tuple[str, ...]] = {
    "buy": ("buy_volume_shares",),
    "sell": ("sell_volume_shares",),
    "bought": ("buy_value_vnd",),
    "sold": ("sell_value_vnd",),
    "room": ("current_room_shares", "total_room_shares"),
    "value": ("value_e2",),
    "prior": ("prior_value_e2",),
    "estimate": ("estimated_value_e2",),
    "breadth": BREADTH,
    "volume": ("total_volume_shares",),
    "matched": ("matched_volume_shares", "matched_value_vnd"),
    "apart": ("put_through_volume_shares", "put_through_value_vnd"),
}
SHOWN: dict[str, tuple[str, ...]] = WORDS | {
    "delta": ("delta_buy_volume_shares", "delta_sell_volume_shares"),
    "paid": ("delta_buy_value_vnd", "delta_sell_value_vnd"),
    "net5m": ("net_volume_5m_shares",),
    "before": ("net_volume_5m_before_shares",),
    "money5m": ("net_value_5m_vnd",),
    "used5m": ("room_used_5m_shares",),
    "resets": ("reset_count",),
    "range": ("open_value_e2", "high_value_e2", "low_value_e2"),
    "seq": ("seq",),
}


def new_fold() -> Fold:
    """Return a fold of classify and the stages these stories are about: one for all tests."""
    return Fold(SYMBOLS, SLOTS, stages=STAGES, hash_deltas=True)


def scale_of(field: str) -> int:
    """Return what one unit of a story is in units of the field."""
    return next((scale for suffix, scale in SCALES.items() if field.endswith(suffix)), 1)


def per_minute(now: str, before: str | None = None) -> Callable[[Row], str]:
    """Return how a speed, or an acceleration, is said: shares a minute."""
    return lambda row: f"{(row[now] - (row[before] if before else 0)) / 5:g}"


def series(row: Row) -> str:
    """Say the entries of a series: 09:15=1280.5,09:16=1281."""
    count = row["series_count"]
    pairs = zip(row["series_exch_s"][:count], row["series_value_e2"][:count], strict=True)
    return ",".join(f"{iso_ict(start)[11:16]}={value / 100:g}" for start, value in pairs)


SAID: dict[str, Callable[[Row], str]] = {
    "flags": lambda row: DeltaFlag(row["flags"]).name or "",
    "phase": lambda row: Phase(row["phase"]).name,
    "counted": lambda row: iso_ict(row["breadth_exch_s"])[11:19] if row["breadth_exch_s"] else "-",
    "speed": per_minute("net_volume_5m_shares"),
    "acceleration": per_minute("net_volume_5m_shares", "net_volume_5m_before_shares"),
    "minutes": series,
}


class ToldTable:
    """One story being told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fold = new_fold()
        self.symbols: dict[str, tuple[int, Venue]] = {}
        self.day = ""
        self.where = ""
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many were checked."""
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            self.where = f"{self.path.name}:{number}: {line.strip()}"
            words = line.split("#", 1)[0].split()
            if not words:
                continue
            if words[0] == "symbol":
                self.symbols[words[1]] = (len(self.symbols) + 1, Venue[words[2]])
            elif words[0] == "day":
                self.day = words[1]
            else:
                bar = words.index("|")
                self._event(words[:bar], words[bar + 1 :])
        return self.checked

    def _event(self, words: list[str], wanted: list[str]) -> None:
        time, *words = words
        name = words.pop(0)[1:] if words[0].startswith("@") else next(iter(self.symbols))
        symbol_id, venue = self.symbols[name]
        kind, *told = words
        stamp = exch_s(self.day, time)
        message: Message = {
            "kind": KINDS[kind],
            "symbol_id": symbol_id,
            "venue": venue,
            "exch_s": stamp,
            "recv_ns": stamp * 10**9,
        }
        if kind == "feed":
            state = FeedState[told.pop()]
            message = {"kind": SlotKind.CONTROL, "op": ControlOp.FEED_STATE, "arg0": state}
        for word in told:
            key, values = word.split("=")
            for field, value in zip(WORDS[key], values.split("/"), strict=True):
                message[field] = round(float(value) * scale_of(field))
        _, emitted = fold_groups(self.fold, [[message]])
        self.checked += 1
        shown = [self._say(wanted, channel, rows[0]) for channel, rows in emitted.items()]
        got = [word for words in shown for word in words] or ["-"]
        assert got == wanted, f"shown: {' '.join(got)}\n{self.where}"

    def _say(self, wanted: list[str], channel: str, row: Row) -> list[str]:
        """Say of a row what the story asks for: the words between its channel and the next."""
        said = [channel]
        if channel in wanted:
            for word in wanted[wanted.index(channel) + 1 :]:
                if "=" not in word:
                    break
                key = word.split("=")[0]
                said.append(f"{key}={self._field(key, row)}")
        return said

    @staticmethod
    def _field(key: str, row: Row) -> str:
        if key in SAID:
            return SAID[key](row)
        return "/".join(f"{row[field] / scale_of(field):.15g}" for field in SHOWN[key])

"""A tiny interpreter for the stories in tests/tables/bars_*.txt, told to classify and the bars.

Lines:

    symbol FPT HOSE                   a symbol of the story; the first one is meant where none is
                                      named, another by ``@SHS`` before what happens
    day 2021-07-15                    trading date of the lines below
    bars 15m                          which bars are shown from here on
    09:15:10  trade 88000 100 900 BU  price, size of the match, cumulative volume; - is absent.
                                      After them BU or SD, or the feed's session word
    09:15:10  value 1312.5 70000      an index: its value, matched volume and, if told, value
    #                                 for the reader

Right of ``|`` stands what clients are shown, ``-`` for no row: the open bar as ``phase start
open/high/low/close xvolume``, then what applies of ``buy``, ``sell``, ``missed shares in gaps`` and
flags. After ``;`` stand the bar before it, when this line has changed it, and unplaced volume.
"""

from pathlib import Path
from typing import Any

from engine.clock import iso_ict
from engine.market.venues import Venue
from engine.schema.codes import BarFlag, FeedSession, Phase, Side, SlotKind
from engine.shard import classify
from engine.shard.fold import Fold
from engine.trackers import bars
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s
from tests.shard.table import SIDE_WORDS, e2

Row = dict[str, Any]


class BarsTable:
    """One story being told."""

    def __init__(self) -> None:
        self.fold = Fold(8, 16, stages=(classify.STAGE, *bars.STAGES))
        self.ids: dict[str, int] = {}
        self.venues: dict[int, Venue] = {}
        self.day = ""
        self.interval = "1m"
        self.now_ns = 0

    def play(self, path: Path) -> int:
        """Run every line of a file; return how many were checked."""
        checked = 0
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            given, _, expected = (part.strip() for part in line.split("#", 1)[0].partition("|"))
            if not given:
                continue
            shown = self.tell(given)
            if expected:
                checked += 1
                where = f"{path.name}:{number}: {line.strip()}"
                assert shown == " ".join(expected.split()), f"shown: {shown}\n{where}"
            else:
                assert given.split()[0] in {"symbol", "day", "bars"}, f"says nothing: {line}"
        return checked

    def tell(self, line: str) -> str:
        """Tell one line; return what is shown."""
        words = line.split()
        if words[0] == "symbol":
            self.ids[words[1]] = len(self.ids) + 1
            self.venues[len(self.ids)] = Venue[words[2]]
        elif words[0] == "day":
            self.day = words[1]
        elif words[0] == "bars":
            self.interval = words[1]
        else:
            row = self.row(line)
            return say(row[0], row[1]) if row else "-"
        return ""

    def row(self, line: str) -> tuple[Row, Row] | None:
        """Tell one line of news; return the row it gave and the one before it."""
        time, *words = line.split()
        name = words.pop(0)[1:] if words[0].startswith("@") else next(iter(self.ids))
        stamp = exch_s(self.day, time)
        self.now_ns = max(self.now_ns + 1, stamp * 10**9)
        message = {
            "symbol_id": self.ids[name],
            "venue": self.venues[self.ids[name]],
            "exch_s": stamp,
            "recv_ns": self.now_ns,
        } | getattr(self, f"_{words[0]}")(*words[1:])
        channel = f"bar.{self.interval}"
        latest = self.fold.latest[channel][self.ids[name]]
        before = {field: latest[field].tolist() for field in latest.dtype.names}
        _, emitted = fold_groups(self.fold, [[message]])
        rows = emitted.get(channel, [])
        assert len(rows) <= 1
        return (rows[0], before) if rows else None

    @staticmethod
    def _trade(price: str, size: str, total: str, *words: str) -> Message:
        fields: Message = {"kind": SlotKind.TRADE, "total_volume_shares": int(total)}
        if price != "-":
            fields["last_price_e2"] = e2(price)
        if size != "-":
            fields["last_volume_shares"] = int(size)
        for word in words:
            if word in SIDE_WORDS:
                fields["side"] = SIDE_WORDS[word]
            else:
                fields["session"] = FeedSession[word]
        return fields

    @staticmethod
    def _value(value: str, volume: str = "0", turnover: str = "0") -> Message:
        return {
            "kind": SlotKind.INDEX,
            "value_e2": e2(value),
            "matched_volume_shares": int(volume),
            "matched_value_vnd": int(turnover),
        }


def say(row: Row, before: Row) -> str:
    """Say what a row shows that the one before it did not."""
    parts = [say_bar(row, "")]
    same_day = row["trade_day"] == before["trade_day"]
    known = [say_bar(before, prefix) for prefix in ("", "prev_")] if same_day else []
    if row["prev_start_exch_s"] and say_bar(row, "prev_") not in known:
        parts.append(f"before: {say_bar(row, 'prev_')}")
    if row["unplaced_volume_shares"]:
        parts.append(f"unplaced {row['unplaced_volume_shares']}")
    return "; ".join(parts)


def say_bar(row: Row, prefix: str) -> str:
    """Say what one of the two bars of a row shows."""
    start, phase = row[f"{prefix}start_exch_s"], Phase(row[f"{prefix}bar_phase"])
    prices = "/".join(
        f"{row[f'{prefix}{name}_price_e2'] / 100:g}" for name in ("open", "high", "low", "close")
    )
    words = [f"{phase.name} {iso_ict(start)[11:16]} {prices} x{row[f'{prefix}volume_shares']}"]
    for side in (Side.BUY, Side.SELL):
        shares = row[f"{prefix}{side.name.lower()}_volume_shares"]
        if shares:
            words.append(f"{side.name.lower()} {shares}")
    if row[f"{prefix}missed_count"]:
        shares = row[f"{prefix}missed_volume_shares"]
        words.append(f"missed {shares} in {row[f'{prefix}missed_count']}")
    words += [flag.name or "" for flag in BarFlag if flag & row[f"{prefix}bar_flags"]]
    return " ".join(words)

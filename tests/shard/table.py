"""A tiny interpreter for the scenario tables in tests/tables/shard_*.txt.

Lines:

    symbol FPT HOSE [multiplier]     a symbol of the scenario; without multiplier it never
                                     introduces itself. Where there is no `symbol` column the
                                     first one is meant.
    day 2021-07-15                   trading date of the rows below
    type time ... | event ...        names of columns: left of | what arrives, right of it what must
                                     be noted. A new such line changes the columns.
    XT   09:15:00 ... | MATCH ...    one message: X (match and book), XT (X-TRADE), XQ (X-QUOTE),
                                     F, MI, OL, REF (reference prices by REST), PT (put-through),
                                     BF (a bar by REST). Each is a group of its own.
    feed DOWN                        the connection's state from here on
    lost                             our own backlog dropped frames here
    board HOSE HALT 10:00:00         session word for a whole board
    end FPT volume=200 ATO.NEUTRAL=100 ...   the symbol's statistics now
    # ...                            for the reader

``-`` or a missing cell is absent (left) or blank (right). Prices are as on a screen, in VND or
index points. Books are ``price x volume`` per level: ``24950x500,24900x100``. On the right,
`quote`, `book`, `tape` and `stats` name the flags of the row that was published for this message,
`ok` for a row without flags, ``-`` for no row.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from engine.market.venues import Venue
from engine.schema.codes import (
    ControlOp,
    DeltaFlag,
    FeedSession,
    FeedState,
    GapCause,
    NoteFlag,
    Phase,
    Side,
    SideRule,
    SlotKind,
    TradeEvent,
    TradingStatus,
)
from engine.shard.fold import Fold
from engine.shard.stats import check_invariants
from tests.shard.folding import fold_groups
from tests.shard.messages import Message, exch_s, levels

STATUS_WORDS = {
    "N": TradingStatus.NORMAL,
    "H": TradingStatus.HALTED,
    "S": TradingStatus.SUSPENDED,
    "SA": TradingStatus.MATCHING_SUSPENDED,
    "SP": TradingStatus.PUT_THROUGH_SUSPENDED,
    "ST": TradingStatus.SPECIAL,
    "NT": TradingStatus.NOT_TRADED,
    "D": TradingStatus.DELISTED,
}
SIDE_WORDS = {"BU": Side.BUY, "SD": Side.SELL}
KINDS = {
    "X": (SlotKind.TRADE, SlotKind.QUOTE),
    "XT": (SlotKind.TRADE,),
    "XQ": (SlotKind.QUOTE,),
    "F": (SlotKind.STATUS,),
    "MI": (SlotKind.INDEX,),
    "OL": (SlotKind.ODD_LOT,),
    "REF": (SlotKind.REFERENCE,),
    "PT": (SlotKind.PUT_THROUGH,),
    "BF": (SlotKind.BACKFILL,),
}
NOTED = {
    "event": ("event", TradeEvent),
    "phase": ("phase", Phase),
    "side_is": ("side", Side),
    "rule": ("side_rule", SideRule),
    "exch": ("side_exchange", Side),
    "quote_says": ("side_quote", Side),
    "tick": ("side_tick", Side),
    "flags": ("flags", NoteFlag),
    "cause": ("cause", GapCause),
}
PUBLISHED = {"quote": "quote", "book": "book", "tape": "trade", "stats": "stats"}
AMOUNTS = {"volume": "volume_shares", "value": "value_vnd", "missed": "missed_volume_shares"}
TRADE_PRICES = {
    "price": "last",
    "open": "open",
    "high": "high",
    "low": "low",
    "est": "estimated",
    "ref": "reference",
    "ceil": "ceiling",
    "floor": "floor",
}
TRADE_VOLUMES = {"size": "last_volume_shares", "total": "total_volume_shares"}
END_PRICES = ("open", "high", "low", "last", "estimated", "reference", "ceiling", "floor")
END_NUMBERS = {
    "volume": "volume_shares",
    "value": "value_vnd",
    "missed": "missed_volume_shares",
    "total": "total_volume_shares",
    "trades": "trade_count",
    "repeats": "repeat_count",
    "corrections": "correction_count",
    "largest": "largest_trade_shares",
    "first": "first_trade_exch_s",
    "final": "last_trade_exch_s",
}


def e2(text: str) -> int:
    """Price as on a screen to hundredths."""
    scaled = Decimal(text) * 100
    assert scaled == int(scaled), text
    return int(scaled)


class Table:
    """One scenario being played."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fold = Fold(8, 16)
        self.ids: dict[str, int] = {}
        self.venues: dict[str, Venue] = {}
        self.day = ""
        self.columns: tuple[list[str], list[str]] = ([], [])
        self.where = ""
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many expectations were checked."""
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.split("#", 1)[0].strip()
            self.where = f"{self.path.name}:{number}: {line.strip()}"
            if text:
                self._line(text)
        assert check_invariants(self.fold.latest["stats"]) == [], self.path.name
        return self.checked

    def _line(self, text: str) -> None:
        words = text.split()
        if words[0] == "symbol":
            self._introduce(*words[1:])
        elif words[0] == "day":
            self.day = words[1]
        elif words[0] == "feed":
            self._control(op=ControlOp.FEED_STATE, arg0=FeedState[words[1]])
        elif words[0] == "lost":
            self._control(op=ControlOp.LOST, arg0=1, arg1=1_000)
        elif words[0] == "board":
            stamp = exch_s(self.day, words[3])
            board = {"arg0": Venue[words[1]], "arg1": FeedSession[words[2]]}
            self._control(op=ControlOp.BOARD, exch_s=stamp, **board)
        elif words[0] == "end":
            self._end(words[1], dict(word.split("=") for word in words[2:]))
        elif words[0] == "type":
            given, _, expected = text.partition("|")
            self.columns = given.split(), expected.split()
        else:
            given, _, expected = text.partition("|")
            self._message(
                dict(zip(self.columns[0], given.split(), strict=False)),
                dict(zip(self.columns[1], expected.split(), strict=False)),
            )

    def _introduce(self, name: str, venue: str, multiplier: str | None = None) -> None:
        self.ids[name] = len(self.ids) + 1
        self.venues[name] = Venue[venue]
        if multiplier is not None:
            fold_groups(
                self.fold,
                [
                    [
                        {
                            "kind": SlotKind.SYMBOL,
                            "symbol_id": self.ids[name],
                            "venue": Venue[venue],
                            "code": name.encode(),
                            "instrument": 1,
                            "value_multiplier": int(multiplier),
                        }
                    ]
                ],
            )

    def _control(self, **fields: int) -> None:
        fold_groups(self.fold, [[{"kind": SlotKind.CONTROL} | fields]])

    def _message(self, cells: dict[str, str], expected: dict[str, str]) -> None:
        cells = {name: cell for name, cell in cells.items() if cell != "-"}
        name = cells.get("symbol", next(iter(self.ids)))
        head: Message = {
            "symbol_id": self.ids[name],
            "venue": self.venues[name],
            "exch_s": exch_s(self.day, cells["time"]),
            "recv_ns": 1,
            "session": FeedSession[cells.get("session", "NONE")],
            "status": STATUS_WORDS.get(cells.get("status", ""), TradingStatus.NONE),
        }
        group = [
            head | {"kind": kind} | self._payload(kind, cells) for kind in KINDS[cells["type"]]
        ]
        notes, emitted = fold_groups(self.fold, [group])
        for column, cell in expected.items():
            self.checked += 1
            self._check(column, cell, notes[0], emitted)

    @staticmethod
    def _payload(kind: SlotKind, cells: dict[str, str]) -> Message:
        if kind == SlotKind.TRADE:
            return (
                {"side": SIDE_WORDS.get(cells.get("side", ""), Side.UNKNOWN)}
                | {
                    f"{field}_price_e2": e2(cells[name])
                    for name, field in TRADE_PRICES.items()
                    if name in cells
                }
                | {
                    field: int(cells[name])
                    for name, field in TRADE_VOLUMES.items()
                    if name in cells
                }
            )
        if kind == SlotKind.REFERENCE:
            return {
                f"{TRADE_PRICES[name]}_price_e2": e2(cells[name])
                for name in ("ref", "ceil", "floor")
                if name in cells
            }
        if kind == SlotKind.PUT_THROUGH:
            return {
                "price_e2": e2(cells["price"]),
                "volume_shares": int(cells["size"]),
                "total_volume_shares": int(cells["total"]),
            }
        if kind == SlotKind.BACKFILL:
            return {"gap_no": 1, "volume_shares": int(cells["size"])}
        if kind != SlotKind.QUOTE:
            return {}
        payload: Message = {}
        for side in ("bid", "ask"):
            pairs = [pair.split("x") for pair in cells.get(side, "").split(",") if pair]
            prices, volumes = levels(*((e2(price), int(volume)) for price, volume in pairs))
            payload |= {f"{side}_price_e2": prices, f"{side}_volume_shares": volumes}
        return payload

    def _check(
        self, column: str, cell: str, note: dict[str, Any], emitted: dict[str, list[dict[str, Any]]]
    ) -> None:
        if column in NOTED:
            field, codes = NOTED[column]
            got = codes(note[field]).name or ""
            wanted = cell if cell != "-" else codes(0).name
        elif column in AMOUNTS:
            got, wanted = str(note[AMOUNTS[column]]), cell if cell != "-" else "0"
        elif column in PUBLISHED:
            rows = emitted.get(PUBLISHED[column], [])
            got = (
                DeltaFlag(rows[0]["flags"]).name or ""
                if rows and rows[0]["flags"]
                else "ok"
                if rows
                else "-"
            )
            wanted = cell
        else:
            raise AssertionError(f"no column {column!r}: {self.where}")
        assert got == wanted, f"{column} is {got}, table says {wanted}\n{self.where}"

    def _end(self, name: str, wanted: dict[str, str]) -> None:
        row = self.fold.latest["stats"][self.ids[name]]
        for key, cell in wanted.items():
            self.checked += 1
            got, expected = self._stat(row, key, cell)
            assert got == expected, f"{key} is {got}, table says {expected}\n{self.where}"

    def _stat(self, row: np.void, key: str, cell: str) -> tuple[Any, Any]:
        if key in END_PRICES:
            return int(row[f"{key}_price_e2"]), e2(cell)
        if key in {"first", "final"}:
            return int(row[END_NUMBERS[key]]), exch_s(self.day, cell)
        if key in END_NUMBERS:
            return int(row[END_NUMBERS[key]]), int(cell)
        if key == "flags":
            return DeltaFlag(int(row["flags"])).name, cell
        if key.startswith("disagree."):
            return int(row["phase_disagree_count"][Phase[key.split(".")[1]]]), int(cell)
        phase, side = key.split(".")
        return int(row["phase_side_volume_shares"][Phase[phase], Side[side]]), int(cell)

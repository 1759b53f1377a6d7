"""A tiny interpreter for the stories in tests/tables/basis_*.txt.

Lines:

    day 2021-07-15                        trading date of the lines below
    symbol VN30F2107                      a contract or an index introduces itself
    09:15:01  VN30F2107 1480.5 10         a match: price, contracts
    09:15:02  VN30F2107 zero              a message without any match
    09:15:03  VN30F2107 book 1480 1480.6  best bid and ask
    09:15:04  VN30 1475.2                 the index ticks; a second number is its prior value
    #                                     for the reader

Right of ``|`` stand the rows that are published, all of them, separated by ``;``, ``-`` for none:

    VN30F2107 1480.5 - 1475.2 = +5.3 front active

price, spot and basis (``?``: not known today), and what the contract is among its kind.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.schema.codes import BasisState, ContractFlag, FeedSession, SlotKind
from tests.shard.folding import fold_groups
from tests.shard.messages import levels
from tests.shard.table import e2
from tests.trackers.basis_messages import at, introduce, new_fold

SIGNS = {BasisState.PREMIUM: "+", BasisState.DISCOUNT: "-", BasisState.PAR: ""}


def points(value_e2: int) -> str:
    """Return points as on a screen, ``?`` for none."""
    return f"{Decimal(value_e2) / 100:f}" if value_e2 else "?"


class BasisTable:
    """One story being told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fold = new_fold()
        self.codes: list[str] = [""]
        self.totals: dict[tuple[str, str], int] = {}
        self.day = ""
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many were checked."""
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.split("#", 1)[0].strip()
            if not text:
                continue
            given, _, expected = text.partition("|")
            words = given.split()
            if words[0] == "day":
                self.day = words[1]
            elif words[0] == "symbol":
                self.codes.append(words[1])
                fold_groups(self.fold, [[introduce(len(self.codes) - 1, words[1])]])
            else:
                shown = self._event(*words)
                wanted = [part.strip() for part in expected.split(";") if part.strip() != "-"]
                assert shown == wanted, (
                    f"shown: {'; '.join(shown) or '-'}\n{self.path.name}:{number}: {line.strip()}"
                )
                self.checked += 1
        return self.checked

    def _event(self, time: str, code: str, *told: str) -> list[str]:
        kind, fields = self._told(code, *told)
        message = at(self.day, time, self.codes.index(code), kind, **fields)
        _, emitted = fold_groups(self.fold, [[message]])
        return [self._say(row) for row in emitted.get("basis", [])]

    def _told(self, code: str, *told: str) -> tuple[SlotKind, dict[str, Any]]:
        if told[0] == "book":
            bids, asks = levels((e2(told[1]), 1)), levels((e2(told[2]), 1))
            return SlotKind.QUOTE, {
                "bid_price_e2": bids[0],
                "bid_volume_shares": bids[1],
                "ask_price_e2": asks[0],
                "ask_volume_shares": asks[1],
            }
        if code in ("VN30", "VN100"):
            prior_e2 = e2(told[1]) if len(told) > 1 else 0
            return SlotKind.INDEX, {"value_e2": e2(told[0]), "prior_value_e2": prior_e2}
        if told[0] == "zero":
            return SlotKind.TRADE, {"session": FeedSession.C}
        total = self.totals.get((self.day, code), 0) + int(told[1])
        self.totals[self.day, code] = total
        return SlotKind.TRADE, {
            "last_price_e2": e2(told[0]),
            "last_volume_shares": int(told[1]),
            "total_volume_shares": total,
        }

    def _say(self, row: dict[str, Any]) -> str:
        basis = "?"
        if row["basis_state"] != BasisState.NONE:
            basis = SIGNS[BasisState(row["basis_state"])] + f"{Decimal(abs(row['basis_e2'])) / 100}"
        words = [
            self.codes[row["symbol_id"]],
            f"{points(row['price_e2'])} - {points(row['spot_value_e2'])} = {basis}",
        ]
        if row["contract_flags"] & ContractFlag.FRONT:
            words.append("front")
        if row["contract_flags"] & ContractFlag.MOST_ACTIVE:
            words.append("active")
        return " ".join(words)

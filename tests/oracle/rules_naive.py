"""The operator's own rules by somebody who keeps every row and starts over each time.

Written from market-behaviour section 10 and the words in engine/alerts, in plain Python: a row is a
dict, "no value" is None, "not known" is None too. Nothing is carried from one group to the next but
the rows themselves; whether a rule fires is found by reading the symbol's whole day again.

A condition is a tree of tuples, and `text_of` is the only thing known of how it is written:

    ("and", a, b, ...)  ("or", a, b, ...)  ("not", a)
    ("chain", value, "<", value, "<=", value ...)
    ("word", "phase", "==", "ATO")  ("has", "CROSSED", "flags", True)
    values: ("number", 5.0)  ("field", "last_price")  ("minus", v)  ("+", v, w)
"""

import operator
from collections.abc import Iterable
from typing import Any

from engine.schema.codes import DeltaFlag, Phase, Severity, Side, Venue

Row = dict[str, Any]
Tree = tuple[Any, ...]

COMPARES = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
SUMS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
WORDS = {"phase": Phase, "venue": Venue, "side": Side}
ALERT_RULE = 9


# --- what a row says --------------------------------------------------------------------------


def number_of(channel: str, row: Row, name: str, multiplier: int) -> float | None:
    """Return what a rule sees under a name, None when there is no value."""
    if name + "_e2" in row:
        return row[name + "_e2"] / 100 if row[name + "_e2"] else None
    if name in row:
        return float(row[name])
    if channel == "stats":
        return _of_stats(row, name, multiplier)
    assert channel == "quote", channel
    return _of_quote(row, name)


def _of_stats(row: Row, name: str, multiplier: int) -> float | None:
    last, reference = row["last_price_e2"], row["reference_price_e2"]
    table = row["phase_side_volume_shares"]
    buy, sell = (sum(cells[side] for cells in table) for side in (Side.BUY, Side.SELL))
    if name == "vwap":
        volume = row["volume_shares"] * multiplier
        return row["value_vnd"] / volume if volume > 0 else None
    if name == "active_buy_ratio":
        return buy / (buy + sell) if buy + sell else None
    if last <= 0 or reference <= 0:
        return None
    return {
        "change": (last - reference) / 100,
        "change_pct": 100 * (last - reference) / reference,
    }[name]


def _of_quote(row: Row, name: str) -> float | None:
    bid, ask = row["bid_price_e2"], row["ask_price_e2"]
    bids, asks = row["bid_volume_shares"], row["ask_volume_shares"]
    if row["flags"] & (DeltaFlag.CROSSED | DeltaFlag.MARKET_ORDERS):
        return None
    if bid <= 0 or ask <= bid or bids <= 0 or asks <= 0:
        return None
    return {
        "spread": (ask - bid) / 100,
        "mid": (ask + bid) / 200,
        "microprice": (bid * asks + ask * bids) / (100 * (bids + asks)),
        "imbalance": (bids - asks) / (bids + asks),
    }[name]


# --- conditions -------------------------------------------------------------------------------


def text_of(channel: str, tree: Tree) -> str:
    """Return how an operator would write a condition, with more parentheses than needed."""
    kind, *parts = tree
    if kind in ("and", "or"):
        return "(" + f" {kind} ".join(text_of(channel, part) for part in parts) + ")"
    if kind == "not":
        return f"not {text_of(channel, parts[0])}"
    if kind == "chain":
        return "(" + " ".join(
            part if isinstance(part, str) else text_of(channel, part) for part in parts
        ) + ")"  # fmt: skip
    if kind == "word":
        return f"({channel}.{parts[0]} {parts[1]} '{parts[2]}')"
    if kind == "has":
        return f'("{parts[0]}" {"in" if parts[2] else "not in"} {channel}.{parts[1]})'
    if kind == "number":
        return repr(parts[0])
    if kind == "field":
        return f"{channel}.{parts[0]}"
    if kind == "minus":
        return f"(-{text_of(channel, parts[0])})"
    return f"({text_of(channel, parts[0])} {kind} {text_of(channel, parts[1])})"


def value(channel: str, row: Row, multiplier: int, tree: Tree) -> float | None:
    """Return the value of a tree of numbers."""
    kind, *parts = tree
    if kind == "number":
        return float(parts[0])
    if kind == "field":
        return number_of(channel, row, parts[0], multiplier)
    known = [value(channel, row, multiplier, part) for part in parts]
    if None in known:
        return None
    if kind == "minus":
        return -known[0]
    if kind == "/":
        return known[0] / known[1] if known[1] else None
    return SUMS[kind](*known)


def known(channel: str, row: Row, multiplier: int, tree: Tree) -> bool | None:
    """Return whether a condition holds, None when that is not known."""
    kind, *parts = tree
    if kind in ("and", "or"):
        said = [known(channel, row, multiplier, part) for part in parts]
        decides = kind == "or"
        if decides in said:
            return decides
        return None if None in said else not decides
    if kind == "not":
        inner = known(channel, row, multiplier, parts[0])
        return None if inner is None else not inner
    if kind == "word":
        return COMPARES[parts[1]](row[parts[0]], WORDS[parts[0]][parts[2]])
    if kind == "has":
        return bool(row[parts[1]] & DeltaFlag[parts[0]]) == parts[2]
    numbers = [value(channel, row, multiplier, part) for part in parts[::2]]
    pairs = [
        None if left is None or right is None else COMPARES[compare](left, right)
        for left, compare, right in zip(numbers, parts[1::2], numbers[1:], strict=False)
    ]
    return False if False in pairs else (None if None in pairs else True)


def holds(channel: str, row: Row, multiplier: int, tree: Tree) -> bool:
    """Return whether a condition is known to hold."""
    return known(channel, row, multiplier, tree) is True


# --- rules ------------------------------------------------------------------------------------


class NaiveRules:
    """All rules over everything that was ever published.

    Parameters
    ----------
    rules
        name, channel, tree and severity of each.
    repeat_s
        Least exchange time between two alerts of one rule and symbol.
    """

    def __init__(self, rules: Iterable[tuple[str, str, Tree, str]], repeat_s: int) -> None:
        self.rules = list(rules)
        self.repeat_s = repeat_s
        self.history: dict[tuple[str, int], list[Row]] = {}
        self.multiplier: dict[int, int] = {}

    def feed(self, published: dict[str, list[Row]], outage_no: int) -> list[Row]:
        """Take what one group published; return the alerts the rules add, without seq.

        `outage_no` is how many outages there have been.
        """
        for row in published.get("symbol", []):
            self.multiplier[row["symbol_id"]] = row["value_multiplier"]
        told = []
        for name, channel, tree, severity in self.rules:
            for row in published.get(channel, []):
                symbol_id = row["symbol_id"]
                held = holds(channel, row, self._unit(symbol_id), tree)
                judged = row | {"holds": held, "outage_no": outage_no}
                past = self.history.setdefault((name, symbol_id), [])
                past.append(judged)
                told += self._alert(name, severity, past)
        return told

    def _unit(self, symbol_id: int) -> int:
        return self.multiplier.get(symbol_id, 0)

    def _alert(self, name: str, severity: str, past: list[Row]) -> list[Row]:
        """Return the alert of the newest row of a symbol's past, if it makes one."""
        numbers = self._alerted(past)
        if not numbers or numbers[-1] is not past[-1]:
            return []
        row = past[-1]
        return [
            {
                "rule": name.encode(),
                "severity": int(Severity[severity.upper()]),
                "alert_type": ALERT_RULE,
                "alert_no": len(numbers),
                "trade_day": day_of(row),
                "price_e2": row.get("price_e2", row.get("last_price_e2", 0)),
                "volume_shares": row.get("volume_shares", 0),
                "value_vnd": row.get("value_vnd", 0),
                "updates": 1,
            }
            | {name: row[name] for name in ("recv_ns", "exch_s", "symbol_id", "phase", "venue")}
        ]

    def _alerted(self, past: list[Row]) -> list[Row]:
        """Return the rows of the newest day that made an alert."""
        inputs = [row for row in past if not row["flags"] & DeltaFlag.LATE]
        if not inputs or inputs[-1] is not past[-1]:
            return []
        newest = day_of(inputs[-1])
        if newest < max(map(day_of, inputs)):
            return []
        today = [row for row in inputs if day_of(row) == newest]
        alerted: list[Row] = []
        for i, row in enumerate(today):
            silent = row["flags"] & DeltaFlag.AFTER_OUTAGE or (
                row["flags"] & DeltaFlag.BASELINE
                if i == 0
                else row["outage_no"] != today[i - 1]["outage_no"]
            )
            rose = row["holds"] and (i == 0 or not today[i - 1]["holds"])
            soon = alerted and row["exch_s"] - alerted[-1]["exch_s"] < self.repeat_s
            if rose and not silent and not soon:
                alerted.append(row)
        return alerted


def day_of(row: Row) -> int:
    """Return the day of a row in Vietnam."""
    return (row["exch_s"] + 25_200) // 86_400

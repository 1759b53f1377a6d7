"""A tiny interpreter for the stories in tests/tables/board_*.txt.

Lines:

    share FPT HOSE                       a listed share and where it is listed
    index VN30 HOSE                      an index
    day 2021-07-15                       trading date of the lines below
    10:00:00 FPT traded last=90000 ref=88000 volume=1000 ...
    10:00:00 FPT foreign buy=500 sell=200 now=50 before=20   VND: today, in five minutes, before
    10:00:00 FPT deal volume=5000 value=40         put-through so far today
    10:00:00 FPT facts baskets=VN30+VN100 listed=1000
    10:00:00 VN30 value now=1510.5 prior=1500
    market HOSE | advances=1 untraded=0 ...        fields of the row the key has now
    foreign VN30 | net_buyer_count=1 ...
    movers HOSE-GAIN | FPT 22727, SSI 100          who and the measure; ``-`` for an empty list
    points VN30 | LISTED 1.5 | FPT 2.0, SSI 0.1 | VIC -0.6     source, sum, top, bottom
    # ...                                          for the reader

Prices are VND or index points. What a line of `traded` does not say is 0.
"""

import datetime as dt
from decimal import Decimal
from pathlib import Path

from engine.schema.channels import (
    ATTRIBUTION,
    FOREIGN,
    FOREIGN_SUMMARY,
    INDEX,
    MARKET,
    PUT_THROUGH,
    REFERENCE,
)
from engine.schema.codes import IndexMember, Instrument, Phase, Venue, WeightsSource
from tests.board.feed import Feed, sides

PRICES = {"last": "last", "ref": "reference", "ceil": "ceiling", "floor": "floor"}
VOLUMES = {
    "volume": "volume_shares",
    "total": "total_volume_shares",
    "missed": "missed_volume_shares",
    "value": "value_vnd",
}

FLOWS = {
    "buy": "buy_value_vnd",
    "sell": "sell_value_vnd",
    "now": "net_value_5m_vnd",
    "before": "net_value_5m_before_vnd",
}


class BoardTable:
    """One story being told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.feed = Feed()
        self.where = ""
        self.checked = 0

    def play(self) -> int:
        """Run every line; return how many were checked."""
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            self.where = f"{self.path.name}:{number}: {line.strip()}"
            text = line.split("#", 1)[0].strip()
            if text:
                self._line(text)
        return self.checked

    def _line(self, text: str) -> None:
        given, *expected = (part.strip() for part in text.split("|"))
        first, *words = given.split()
        if expected:
            self.checked += 1
            shown = getattr(self, f"_show_{first}")(words[0], expected)
            assert shown == expected, f"shown: {' | '.join(shown)}\n{self.where}"
        elif first == "share":
            self.feed.introduce(words[0], Venue[words[1]])
        elif first == "index":
            self.feed.introduce(words[0], Venue[words[1]], instrument=Instrument.INDEX)
        elif first == "day":
            self.feed.at(dt.date.fromisoformat(words[0]))
        else:
            self.feed.time(first)
            told = dict(word.split("=") for word in words[2:])
            getattr(self, f"_{words[1]}")(words[0], told)

    # What happens -----------------------------------------------------------------------------

    def _traded(self, code: str, told: dict[str, str]) -> None:
        fields = {f"{PRICES[n]}_price_e2": int(told[n]) * 100 for n in PRICES if n in told}
        fields |= {VOLUMES[n]: int(told[n]) for n in VOLUMES if n in told}
        active = {side: int(told[side.lower()]) for side in ("BUY", "SELL") if side.lower() in told}
        self.feed.stats(code, phase_side_volume_shares=sides(**active), **fields)

    def _foreign(self, code: str, told: dict[str, str]) -> None:
        self.feed.put(FOREIGN, code, **{FLOWS[name]: int(told[name]) for name in told})

    def _deal(self, code: str, told: dict[str, str]) -> None:
        units = {"volume": "shares", "value": "vnd"}
        self.feed.put(PUT_THROUGH, code, **{f"total_{n}_{units[n]}": int(told[n]) for n in told})

    def _facts(self, code: str, told: dict[str, str]) -> None:
        baskets = [IndexMember[name] for name in told.get("baskets", "NONE").split("+")]
        self.feed.put(
            REFERENCE, code, indices=sum(baskets), listed_shares=int(told.get("listed", 0))
        )

    def _value(self, code: str, told: dict[str, str]) -> None:
        now, prior = (int(Decimal(told[name]) * 100) for name in ("now", "prior"))
        self.feed.put(INDEX, code, value_e2=now, prior_value_e2=prior)

    # What is shown ----------------------------------------------------------------------------

    def _show_market(self, key: str, expected: list[str]) -> list[str]:
        return [_fields(self.feed.latest(MARKET, key), expected[0])]

    def _show_foreign(self, key: str, expected: list[str]) -> list[str]:
        return [_fields(self.feed.latest(FOREIGN_SUMMARY, key), expected[0])]

    def _show_movers(self, key: str, _expected: list[str]) -> list[str]:
        return [", ".join(f"{code} {measure}" for code, measure in self.feed.top(key)) or "-"]

    def _show_points(self, key: str, _expected: list[str]) -> list[str]:
        row = self.feed.latest(ATTRIBUTION, key)
        shown = [f"{WeightsSource(row['weights_source']).name} {row['points_e4'] / 10_000}"]
        for end in ("top", "bottom"):
            pairs = list(zip(row[f"{end}_code"], row[f"{end}_points_e4"], strict=True))
            texts = [f"{c.decode()} {p / 10_000}" for c, p in pairs[: row[f"{end}_count"]]]
            shown.append(", ".join(texts) or "-")
        return shown


def _fields(row: dict, wanted: str) -> str:
    """Return the fields that a line asks for, as it would write them."""
    names = [word.split("=")[0] for word in wanted.split()]
    return " ".join(
        f"{name}={Phase(row[name]).name if name == 'phase' else row[name]}" for name in names
    )

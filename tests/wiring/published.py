"""The published day of 15 July 2021, read and added up by plain Python: what the tape must end on.

Nothing of the engine is imported here, so that a mistake of the engine cannot be on both sides of a
comparison. Prices are VND, or points x 100 of the future.
"""

import csv
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).resolve().parents[2] / "engine" / "feed" / "data"
BAND_PERCENT = {"HOSE": 7, "HNX": 10, "UPCOM": 15}
QUARTER_S = 15 * 60


class Stock(NamedTuple):
    """One line of the table."""

    code: str
    venue: str
    prior: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def ppm(self) -> int:
        """The day's change in parts per million of the prior close, rounded down."""
        return (self.close - self.prior) * 1_000_000 // self.prior

    def ceiling(self) -> int:
        """The highest price the exchange takes: the band, rounded into itself to a tick."""
        top = self.prior * (100 + BAND_PERCENT[self.venue]) // 100
        tick = self.tick(top)
        return max(top // tick * tick, self.prior)

    def floor(self) -> int:
        """The lowest one."""
        bottom = -(-self.prior * (100 - BAND_PERCENT[self.venue]) // 100)
        tick = self.tick(bottom)
        return min(-(-bottom // tick) * tick, self.prior)

    def tick(self, price: int) -> int:
        """The step of prices around one: HOSE has three, the others one."""
        if self.venue != "HOSE":
            return 100
        return 10 if price < 10_000 else 50 if price < 50_000 else 100


class Quarter(NamedTuple):
    """One published fifteen-minute bar of the future, or some joined."""

    open: int
    high: int
    low: int
    close: int
    volume: int

    def and_then(self, other: "Quarter") -> "Quarter":
        """Both as one bar."""
        return Quarter(
            self.open,
            max(self.high, other.high),
            min(self.low, other.low),
            other.close,
            self.volume + other.volume,
        )


def stocks() -> list[Stock]:
    """All 701 lines of the table."""
    with (DATA / "market-day-2021-07-15.csv").open(encoding="utf-8", newline="") as file:
        return [
            Stock(
                line["symbol"],
                line["exchange"],
                *(
                    int(line[f"{name}_vnd"])
                    for name in ("prior_close", "open", "high", "low", "close")
                ),
                int(line["volume_shares"]),
            )
            for line in csv.DictReader(file)
        ]


def members() -> set[str]:
    """The thirty of the VN30, a setting of the day and no figure of it."""
    with (DATA / "vn30-2021-02-01.csv").open(encoding="utf-8", newline="") as file:
        return {line["symbol"] for line in csv.DictReader(file)}


def quarters() -> dict[str, Quarter]:
    """The future's bars by their start, HH:MM."""

    def e2(text: str) -> int:
        whole, _, part = text.partition(".")
        return int(whole) * 100 + int(f"{part:0<2}")

    with (DATA / "vn30f1m-15min-2021-07-15.csv").open(encoding="utf-8", newline="") as file:
        return {
            line["start"][11:16]: Quarter(
                *(e2(line[name]) for name in ("open", "high", "low", "close")),
                int(line["volume_contracts"]),
            )
            for line in csv.DictReader(file)
        }


def scope(name: str) -> list[Stock]:
    """The stocks of a market, of all, or of the VN30."""
    inside = members()
    return [
        stock
        for stock in stocks()
        if name in ("ALL", stock.venue) or (name == "VN30" and stock.code in inside)
    ]


def breadth(name: str) -> dict[str, int]:
    """How many of a scope rose, fell, stood, ended at a limit, or did not trade."""
    listed = scope(name)
    traded = [stock for stock in listed if stock.volume]
    up = [stock for stock in traded if stock.close > stock.prior]
    down = [stock for stock in traded if stock.close < stock.prior]
    return {
        "advances": len(up),
        "declines": len(down),
        "unchanged": len(traded) - len(up) - len(down),
        "ceilings": sum(stock.close == stock.ceiling() for stock in up),
        "floors": sum(stock.close == stock.floor() for stock in down),
        "untraded": len(listed) - len(traded),
        "symbol_count": len(listed),
        "volume_shares": sum(stock.volume for stock in traded),
    }


def ranked(name: str, ranking: str) -> list[tuple[str, int]]:
    """The first ten of GAIN or LOSS: code and change in parts per million."""
    sign = {"GAIN": 1, "LOSS": -1}[ranking]
    moved = [
        (-sign * stock.ppm, stock.code)
        for stock in scope(name)
        if stock.volume and sign * (stock.close - stock.prior) > 0
    ]
    return [(code, -sign * measure) for measure, code in sorted(moved)[:10]]

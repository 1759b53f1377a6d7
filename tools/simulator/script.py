"""What is played: a synthetic day, as lines in order of time, and who is in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.feed.synthetic import (
    ALL_TYPES,
    NORMAL,
    PAIR_TYPES,
    X_TYPES,
    Day,
    iter_messages,
    iter_zero_messages,
    plan_day,
    read_day,
    read_members,
)
from tools.simulator.figures import REST_MARKETS, Figures
from tools.simulator.lines import Line
from tools.simulator.rest import Instrument

TYPES = {
    "pair": PAIR_TYPES,
    "x": X_TYPES,
    "all": ALL_TYPES,
    "v3": PAIR_TYPES | {"OL"},  # what v3 has a topic for
}


class ScriptSettings(NamedTuple):
    """Which day. Without a table the one that ships is played, with its future."""

    table: Path | None = None
    futures: Path | None = None
    seed: int = 1
    trades_max: int | None = None
    mode: str = "pair"


class Script:
    """A planned day.

    Raises
    ------
    ConfigError
        A table or the numbers cannot make a day.
    """

    def __init__(self, settings: ScriptSettings) -> None:
        table, bars = read_day(settings.table, settings.futures)
        self.names = {listing.code: listing.name for listing in table.listings}
        self._types = TYPES[settings.mode]
        self._day = plan_day(
            table, bars, seed=settings.seed, trades_max=settings.trades_max or NORMAL.trades_max
        )
        self.instruments = [
            Instrument(
                symbol.code,
                REST_MARKETS.get(symbol.venue, symbol.venue.name),
                self.names.get(symbol.code, ""),
            )
            for symbol in self._day.symbols
        ]
        self.figures = Figures(self._day)
        self.vn30 = [code for code in read_members() if code in self.names]

    @property
    def day(self) -> Day:
        """The planned day."""
        return self._day

    @property
    def first_ms(self) -> int:
        """When the first thing happens: milliseconds since midnight in Vietnam."""
        return int(self._day.events["time_ms"][0])

    def lines(self) -> Iterator[Line]:
        """Render the day, message by message."""
        return iter_messages(self._day, self._types)

    def zeroes(self, time_ms: int) -> Iterator[Line]:
        """Render every symbol's numbers as zeroes: what comes before the open (ssi-wire 3.2)."""
        return iter_zero_messages(self._day, time_ms, self._types)

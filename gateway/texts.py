"""How numbers are written in JSON: exact decimals, times, dates. Pure, and remembered."""

import json
from collections.abc import Callable
from typing import Final

import numpy as np

from engine.clock import iso_ict


class Texts(dict[int, str]):
    """Remembers how numbers are written. Forgets everything when full: a bound, not a policy."""

    def __init__(self, render: Callable[[int], str], entries_max: int = 100_000) -> None:
        super().__init__()
        self._render = render
        self._entries_max = entries_max

    def __missing__(self, key: int) -> str:
        if len(self) >= self._entries_max:
            self.clear()
        text = self[key] = self._render(key)
        return text


def decimal_text(value: int, digits: int) -> str:
    """Write ``value / 10**digits`` exactly, without zeros at its end: 128390, 2 -> "1283.9"."""
    whole, rest = divmod(abs(value), 10**digits)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}" + (f".{rest:0{digits}d}".rstrip("0") if rest else "")


def price_text(price_e2: int) -> str:
    """Write hundredths exactly: 2530000 -> "25300", 128390 -> "1283.9"."""
    return decimal_text(price_e2, 2)


def string(text: str) -> str:
    """Write a JSON string in ASCII: names are Vietnamese, frames are not."""
    return json.dumps(text)


PRICES: Final = Texts(price_text)
POINTS: Final = Texts(lambda points_e4: decimal_text(points_e4, 4))
TIMES: Final = Texts(lambda exch_s: f'"{iso_ict(exch_s)}"' if exch_s else "null")
DATES: Final = Texts(lambda day: f'"{np.datetime64(day, "D")}"' if day else "null")

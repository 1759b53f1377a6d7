"""The topic grammar of v3 (ssi-wire section 8): ``TYPE.FILTER[@INTERVAL]`` and ``market.flag``.

The type is matched in any case, the filter is upper-cased, as the real server does. A filter is
``*``, one code or a range ``A-B``; there are no comma lists. ``1m`` and ``5m`` ask for bars,
``tick`` for what the topic means without it. ``@*`` fans a basket or an exchange out.
"""

import re
from dataclasses import dataclass
from typing import Final

FLAG: Final = "market.flag"
TICK: Final = "tick"
BAR_MINUTES: Final = {"1m": 1, "5m": 5}
FAN_OUT: Final = "*"

_WITH_BARS: Final = frozenset({"trade", "trade.index"})
_WITH_FAN_OUT: Final = frozenset({"trade", "quote", "room", "put", "oddlot"})
_TOPIC: Final = re.compile(
    r"(trade\.index|indexsummary|trade|quote|room|put|oddlot|market)"
    r"\.(\*|[a-z0-9]+(?:-[a-z0-9]+)?)(?:@(tick|1m|5m|\*))?",
    re.IGNORECASE,
)
_ONE_CODE: Final = re.compile(r"[A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `filter_` is ``*``, a code or ``A-B``; `interval` is empty, 1m, 5m or ``*``."""

    kind: str
    filter_: str = ""
    interval: str = ""

    def __str__(self) -> str:
        """Return the topic as the server lists it."""
        name = f"{self.kind}.{self.filter_}" if self.filter_ else self.kind
        return f"{name}@{self.interval}" if self.interval else name

    def takes(self, code: str) -> bool:
        """Return whether the filter names a code; a fan-out's members are the caller's to know."""
        if self.filter_ == "*":
            return True
        first, dash, last = self.filter_.partition("-")
        return first <= code <= last if dash else code == first


def parse(text: object) -> Topic | None:
    """Read one topic, or return None when the server would not know it."""
    if not isinstance(text, str):
        return None
    if text.lower() == FLAG:
        return Topic(FLAG)
    match = _TOPIC.fullmatch(text)
    if match is None:
        return None
    kind, filter_, interval = match[1].lower(), match[2].upper(), (match[3] or "").lower()
    one_code = bool(_ONE_CODE.fullmatch(filter_))
    if interval == FAN_OUT:
        known = kind in _WITH_FAN_OUT and one_code
    elif interval:
        known = kind in _WITH_BARS and (kind != "trade.index" or one_code)
    else:
        known = True
    return Topic(kind, filter_, "" if interval == TICK else interval) if known else None

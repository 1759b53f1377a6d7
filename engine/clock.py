"""Time as an argument. Nothing below wiring reads a clock; what needs the time is given one."""

import time
from typing import Protocol

import numpy as np

ICT_OFFSET_S = 7 * 3600  # Asia/Ho_Chi_Minh: UTC+7, no daylight saving since 1975
DAY_S = 86_400


class Clock(Protocol):
    """What a process asks for the time."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        ...


class SystemClock:
    """The machine's clock. The only place that reads it."""

    def now_ns(self) -> int:
        """Return UTC nanoseconds since 1970."""
        return time.time_ns()


class ManualClock:
    """A clock that stands still until told: for tests, replays and the local wiring."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the time it was last set to."""
        return self._now_ns

    def advance_ns(self, delta_ns: int) -> None:
        """Move forward. A clock that runs backwards is a bug of the caller."""
        assert delta_ns >= 0, f"clock moved back by {-delta_ns} ns"
        self._now_ns += delta_ns


def trade_day(exch_s: int) -> int:
    """Return the exchange's calendar day of a stamp: days since 1970-01-01 in UTC+7."""
    return (exch_s + ICT_OFFSET_S) // DAY_S


def iso_ict(exch_s: int) -> str:
    """Return an exchange stamp as ISO-8601 with +07:00."""
    return f"{np.datetime64(int(exch_s) + ICT_OFFSET_S, 's')}+07:00"

"""When one venue matches on one date, and when its prints arrive.

Times are milliseconds of the day, ICT. The timetable is engine.market.sessions'; the shape of the
day (busy after each opening, a slow rise towards each end) is ours.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.market.sessions import UNCROSS_GRACE_S, Span, timetable
from engine.schema.codes import FeedSession, Phase, Venue

# Continuous prints keep clear of the seconds in which an auction's print may still arrive, so
# that nobody has to guess which of the two a print is.
AFTER_AUCTION_MS: Final = (UNCROSS_GRACE_S + 1) * 1000
PLO_DELAY_MS: Final = 5_000
_MINUTE_MS: Final = 60_000

# What the feed's TradingSession says in each phase (ssi-wire 3.10; PLO: "expect C").
SESSION_OF_PHASE: Final[dict[Phase, FeedSession]] = {
    Phase.PRE: FeedSession.C,
    Phase.ATO: FeedSession.ATO,
    Phase.CONTINUOUS: FeedSession.LO,
    Phase.BREAK: FeedSession.BREAK,
    Phase.ATC: FeedSession.ATC,
    Phase.PLO: FeedSession.C,
    Phase.CLOSED: FeedSession.C,
}

Window = tuple[int, int]  # first millisecond, and the first one after the end


class Hours(NamedTuple):
    """The matching windows of one venue on one date.

    The trading axis is the continuous windows glued together: its length is `edges_ms[-1]`, and
    positions on it are what bursts and quotes are drawn from, so nothing lands in a break.
    """

    spans: tuple[Span, ...]
    opening: Window | None  # the ATO call; its print is stamped at its end
    closing: Window | None  # the ATC call; its print is stamped at its end
    after: tuple[Window, ...]  # HNX's PLO, where it matches
    windows: tuple[Window, ...]  # continuous matching
    edges_ms: NDArray[np.float64]  # (M,) minute marks on the trading axis
    busy: NDArray[np.float64]  # (M,) share of the day's prints before each mark, 0 to 1

    def wall_ms(self, axis_ms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the times of day of positions on the trading axis."""
        starts = np.array([start for start, _ in self.windows], np.float64)
        offsets = np.concatenate([[0.0], np.cumsum([end - start for start, end in self.windows])])
        place = np.clip(np.searchsorted(offsets, axis_ms, side="right") - 1, 0, starts.size - 1)
        wall = starts[place] + (axis_ms - offsets[place])
        times: NDArray[np.int64] = np.minimum(wall.astype(np.int64), self.windows[-1][1] - 1)
        return times

    def axis_ms(self, wall_ms: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return positions on the trading axis; a time in a break is the end of its morning."""
        points, offset, wall_marks = [], 0.0, []
        for start, end in self.windows:
            wall_marks += [float(start), float(end)]
            points += [offset, offset + end - start]
            offset += end - start
        return np.interp(wall_ms.astype(np.float64), wall_marks, points)

    def arrivals_ms(self, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
        """Turn uniform draws into ascending times of day that follow the shape of the day."""
        return self.wall_ms(np.interp(np.sort(uniforms), self.busy, self.edges_ms))

    def session_at(self, time_ms: int) -> FeedSession:
        """Return the feed's session word at a time of day."""
        phase = next(span.phase for span in self.spans if time_ms < span.end_s * 1000)
        return SESSION_OF_PHASE[phase]


def hours_of(venue: Venue, day: int) -> Hours:
    """Return the windows of a venue on a date (`day`: days since 1970-01-01, ICT)."""
    spans = timetable(venue, day)
    by_phase: dict[Phase, list[Window]] = {}
    for span in spans:
        if span.matching:
            by_phase.setdefault(span.phase, []).append((span.start_s * 1000, span.end_s * 1000))
    opening = by_phase.get(Phase.ATO, [None])[0]
    closing = by_phase.get(Phase.ATC, [None])[0]
    windows = by_phase[Phase.CONTINUOUS]
    if opening is not None:
        windows[0] = (windows[0][0] + AFTER_AUCTION_MS, windows[0][1])
    after = tuple((start + PLO_DELAY_MS, end) for start, end in by_phase.get(Phase.PLO, []))
    edges, busy = _shape(windows)
    return Hours(spans, opening, closing, after, tuple(windows), edges, busy)


def _shape(windows: list[Window]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return minute marks on the trading axis and the share of prints before each."""
    edges, weights = [np.zeros(1)], [np.zeros(1)]
    offset = 0.0
    for start, end in windows:
        marks = np.arange(0, end - start + _MINUTE_MS, _MINUTE_MS).clip(max=end - start)[1:]
        length = float(end - start) / _MINUTE_MS
        minute = np.arange(marks.size, dtype=np.float64)
        edges.append(marks + offset)
        weights.append(
            0.7
            + 2.4 / (1.0 + minute / 4.0)
            + 1.6 / (1.0 + np.maximum(length - 1.0 - minute, 0.0) / 10.0)
        )
        offset += end - start
    total = np.cumsum(np.concatenate(weights))
    return np.concatenate(edges), total / total[-1]

"""Is the tape alive? The link's state, judged with the hour and with the silence. Pure.

A connected socket proves little: a feed that sends keep-alives and no data at 10:00 is broken,
the same silence at lunch or at night is healthy. The judge uses market time, so that a replay or
a simulated day is judged by its own clock. Stamps of the last session are no replay: a link that
is made on a Sunday may be told Friday's last prices once more.
"""

from functools import cache

from engine.clock import DAY_S, ICT_OFFSET_S, trade_day
from engine.market.days import date_of, day_number, is_trading_day, previous_trading_day
from engine.market.sessions import matching_at, phase_at, timetable
from engine.schema.codes import FeedState, Phase, Venue

# The hours in which a link belongs up: from SSI's first snapshots (08:00) to the last foreign
# room messages (15:32), ssi-wire sections 1.7 and 5.3.
OPEN_START_S = 8 * 3_600
OPEN_END_S = 15 * 3_600 + 35 * 60

QUIET_S = 60.0  # a live link without data for this long, outside those hours, is at rest
OTHER_TIME_S = 12 * 3_600  # stamps this far from the wall clock are another day's: a replay

# The venues with a timetable of their own; that of UNKNOWN is wider than any.
VENUES = (Venue.HOSE, Venue.HNX, Venue.UPCOM, Venue.DERIVATIVES)
# Which phase a silence is told by, when venues are in several: the busiest first.
LOUDEST = (Phase.CONTINUOUS, Phase.ATC, Phase.ATO, Phase.PLO)


@cache
def _matching_spans(day: int) -> tuple[tuple[int, int], ...]:
    """Return when any venue is matching, as (start, end) seconds of the day, joined."""
    spans = sorted(
        (span.start_s, span.end_s)
        for venue in VENUES
        for span in timetable(venue, day)
        if span.matching
    )
    joined = [spans[0]]
    for start_s, end_s in spans[1:]:
        if start_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        else:
            joined.append((start_s, end_s))
    return tuple(joined)


@cache
def _last_session(day: int) -> int:
    """Return the trading day before a day."""
    return day_number(previous_trading_day(date_of(day)))


def _phase_name(day: int, second_of_day: int) -> str:
    phases = {
        phase_at(venue, day, second_of_day)
        for venue in VENUES
        if matching_at(venue, day, second_of_day)
    }
    return next(phase for phase in LOUDEST if phase in phases).name


class FeedHealth:
    """Judges one feed. Tell it about the link as it changes, ask it once in a while.

    ======================  ==================  ==================================================
    the link                and                 the feed is
    ======================  ==================  ==================================================
    down or connecting      outside 08:00-15:35 CLOSED, with the link's reason
    live                    outside, and no     CLOSED
                            data for 60 s
    live                    any venue matches,  STALE
                            no data for stale_s
    any                     otherwise           what the link is, in its own words
    ======================  ==================  ==================================================

    Hours are ICT of trading days. Silence counts from the last data, but not from before the link
    was live or the phase began. Keep-alives are no data.

    Parameters
    ----------
    stale_s
        Longest silence in a matching phase.
    """

    def __init__(self, stale_s: float) -> None:
        self._stale_s = stale_s
        self._state = FeedState.DOWN
        self._detail = "not started"
        self._live_ns: int | None = None  # when we first saw this link live

    def link(self, state: FeedState, detail: str) -> None:
        """Note the state of the connection alone, and the line that says why."""
        if state <= FeedState.CONNECTING:
            self._live_ns = None
        self._state, self._detail = state, detail

    def judge(
        self, now_ns: int, last_frame_ns: int, last_data_ns: int, last_exch_s: int
    ) -> tuple[FeedState, str]:
        """Return the feed's state and one line that says why; the line holds still with the state.

        Parameters
        ----------
        now_ns
            The wall clock.
        last_frame_ns, last_data_ns
            When a frame of any kind, and one with data, last arrived, on the same clock; 0: never.
        last_exch_s
            The newest stamp of the exchange; 0: none yet.
        """
        state, detail = self._state, self._detail
        market_s = self._market_s(now_ns, last_data_ns, last_exch_s)
        is_open = _is_open(market_s, last_exch_s)
        if state <= FeedState.CONNECTING:
            if is_open:
                return state, detail
            return FeedState.CLOSED, f"{detail} (outside trading hours)"
        if self._live_ns is None:
            self._live_ns = now_ns
        if state is not FeedState.LIVE:
            return state, detail
        silence_s = (now_ns - max(last_data_ns, self._live_ns)) / 1e9
        if not is_open:
            if silence_s >= QUIET_S:
                return FeedState.CLOSED, "outside trading hours"
            return state, detail
        day, second_of_day = trade_day(int(market_s)), (market_s + ICT_OFFSET_S) % DAY_S
        for start_s, end_s in _matching_spans(day):
            if start_s <= second_of_day < end_s:
                silence_s = min(silence_s, second_of_day - start_s)
                if silence_s >= self._stale_s:
                    return FeedState.STALE, self._stale_line(
                        last_frame_ns > last_data_ns, _phase_name(day, int(second_of_day))
                    )
        return state, detail

    def _stale_line(self, frames_arrive: bool, phase: str) -> str:
        """Word a silence by its limit: its length would make every second news."""
        line = f"no market data for {self._stale_s:g} s in {phase}"
        return f"{line}, only keep-alives" if frames_arrive else line

    @staticmethod
    def _market_s(now_ns: int, last_data_ns: int, last_exch_s: int) -> float:
        """Return the time on the market's clock, UTC seconds."""
        now_s = now_ns / 1e9
        if last_exch_s <= 0 or trade_day(last_exch_s) >= _last_session(trade_day(int(now_s))):
            return now_s
        elapsed_s = max(0.0, now_s - last_data_ns / 1e9) if last_data_ns > 0 else 0.0
        market_s = last_exch_s + elapsed_s
        return market_s if abs(market_s - now_s) > OTHER_TIME_S else now_s


def _is_open(market_s: float, last_exch_s: int) -> bool:
    """Return whether a feed is expected: the hour, on a day that trades.

    A day the feed has stamped is a trading day, whatever the calendar says (a make-up Saturday).
    """
    day = trade_day(int(market_s))
    if not OPEN_START_S <= (market_s + ICT_OFFSET_S) % DAY_S < OPEN_END_S:
        return False
    return is_trading_day(date_of(day)) or (last_exch_s > 0 and trade_day(last_exch_s) == day)

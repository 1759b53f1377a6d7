"""Is the market's day over? Judged by the market's own clock, so that a simulated day ends too."""

from engine.clock import trade_day
from engine.market.sessions import ict_second, phase_at, put_through_open
from engine.schema.codes import Phase, Venue

VENUES = (Venue.HOSE, Venue.HNX, Venue.UPCOM, Venue.DERIVATIVES)
NS_PER_S = 1_000_000_000


def is_over(exch_s: int, recv_ns: int, now_ns: int) -> bool:
    """Return whether every venue has closed.

    Parameters
    ----------
    exch_s
        Newest stamp of the exchange; 0: nothing was heard, so nothing is over.
    recv_ns
        When it was received. The market's clock has gone on from there as ours has.
    now_ns
        Now, UTC ns.
    """
    if not exch_s:
        return False
    market_s = exch_s + max(0, now_ns - recv_ns) // NS_PER_S
    day, second = trade_day(market_s), ict_second(market_s)
    return day > trade_day(exch_s) or all(
        phase_at(venue, day, second) is Phase.CLOSED and not put_through_open(venue, day, second)
        for venue in VENUES
    )

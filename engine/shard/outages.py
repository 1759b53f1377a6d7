"""When the feed was away, what a symbol must forget, and why volume was missed.

Sources: market-behaviour section 11, design law 1. Time without a feed arrives as data: CONTROL
slots. What concerns every symbol is kept in row 0 of classify's state, which is no symbol.

Outage
    The feed goes away when a FEED_STATE says DOWN or CONNECTING after it was here; it is here when
    a FEED_STATE says LIVE or STALE, or when a trade or quote comes. So the very first connection
    is no outage, and CLOSED (outside trading hours) says nothing. LOST, frames that our own
    backlog dropped, is an outage too. Outages are numbered; of two between two messages of a
    symbol the newer one gives the reason.
First news
    A symbol's first TRADE or QUOTE slot since is marked AFTER_OUTAGE, and before it is judged the
    book and the last price are forgotten: a side may not come from either.
Cause of missed volume
    BASELINE for the symbol's first trade message of the day; else OUTAGE or LOST when there was one
    since the last trade message that told the symbol's total; else UNTOLD when the message
    tells no match; else SKIPPED.
"""

from typing import Any

from engine.jit import kernel
from engine.schema.codes import ControlOp, FeedState, GapCause, Side

FEED_STATE, LOST = int(ControlOp.FEED_STATE), int(ControlOp.LOST)
DOWN, CONNECTING = int(FeedState.DOWN), int(FeedState.CONNECTING)
LIVE, STALE = int(FeedState.LIVE), int(FeedState.STALE)
BY_BASELINE, BY_OUTAGE = int(GapCause.BASELINE), int(GapCause.OUTAGE)
BY_SKIPPED, BY_UNTOLD, BY_LOST = (
    int(GapCause.SKIPPED),
    int(GapCause.UNTOLD),
    int(GapCause.LOST),
)
UNKNOWN = int(Side.UNKNOWN)

OUTAGE_FIELDS: list[Any] = [
    ("outage_no", "<u4"),  # row 0: outages so far; a symbol: as of its last trade or quote
    ("outage_total_no", "<u4"),  # a symbol: as of the last message that told its total
    ("outage_cause", "u1"),  # row 0: GapCause of the newest outage
    ("feed_here", "u1"),  # row 0
]


@kernel
def note_outage(market: Any, cause: Any) -> None:
    """Count one more outage."""
    market["outage_no"] += 1
    market["outage_cause"] = cause


@kernel
def watch_feed(market: Any, control: Any) -> None:
    """Let a CONTROL slot say whether the feed is here (`market` is row 0, written)."""
    op, feed_state = control["op"], control["arg0"]
    if op == LOST:
        note_outage(market, BY_LOST)
    elif op == FEED_STATE:
        if feed_state in (LIVE, STALE):
            market["feed_here"] = 1
        elif feed_state in (DOWN, CONNECTING) and market["feed_here"]:
            market["feed_here"] = 0
            note_outage(market, BY_OUTAGE)


@kernel
def first_news(market: Any, own: Any) -> Any:
    """Return whether this trade or quote is the symbol's first since the feed was away.

    Then the book and the prices from before are forgotten (both rows are written).
    """
    market["feed_here"] = 1
    if own["outage_no"] == market["outage_no"]:
        return False
    own["outage_no"] = market["outage_no"]
    own["bid_price_e2"] = 0
    own["ask_price_e2"] = 0
    own["last_price_e2"] = 0
    own["last_tick"] = UNKNOWN
    return True


@kernel
def cause_of(market: Any, own: Any, match_told: Any) -> Any:
    """Return the GapCause of volume missed before, or in, a trade message."""
    if not own["trade_seen"]:
        return BY_BASELINE
    if own["outage_total_no"] != market["outage_no"]:
        return market["outage_cause"]
    return BY_SKIPPED if match_told else BY_UNTOLD

"""What is missing in the middle of a symbol's day, and which messages of it are old news.

Sources: market-behaviour sections 1 and 11. SSI sends no sequence numbers; the exchange's
cumulative volume is the only order there is. A match of size v told with the total t covers the
shares [t - v, t) of the day. Shares the exchange counted and no message showed are a hole; a
match that lies inside a hole has never been told, one that does not has.

Per symbol and day: the last SEEN_COUNT messages that were counted, as (total, exchange stamp), and
up to HOLE_COUNT holes, disjoint and ascending, each with the newest stamp known when it opened.
"""

from typing import Any

from engine.jit import kernel

SEEN_COUNT = 8
HOLE_COUNT = 4
NO_HOLE = -1

SEEN_FIELDS: list[Any] = [
    ("seen_total_shares", "<i8", (SEEN_COUNT,)),  # 0: nothing yet
    ("seen_exch_s", "<u4", (SEEN_COUNT,)),
    ("seen_next", "<i8"),  # the oldest of them: overwritten next
]
HOLE_FIELDS: list[Any] = [
    ("hole_count", "<i8"),
    ("hole_from_shares", "<i8", (HOLE_COUNT,)),
    ("hole_to_shares", "<i8", (HOLE_COUNT,)),  # exclusive
    ("hole_exch_s", "<u4", (HOLE_COUNT,)),
]


@kernel
def forget_holes(own: Any) -> None:
    """Begin a day: nothing was told and nothing is missing."""
    own["seen_total_shares"][:] = 0
    own["seen_next"] = 0
    own["hole_count"] = 0


@kernel
def remember(own: Any, total: Any, exch_s: Any) -> None:
    """Note that a message with this total and stamp was counted."""
    place = own["seen_next"]
    own["seen_total_shares"][place] = total
    own["seen_exch_s"][place] = exch_s
    own["seen_next"] = (place + 1) % SEEN_COUNT


@kernel
def was_seen(own: Any, total: Any, exch_s: Any) -> Any:
    """Return whether one of the last counted messages had this total and stamp."""
    for place in range(SEEN_COUNT):
        if own["seen_total_shares"][place] == total and own["seen_exch_s"][place] == exch_s:
            return total > 0
    return False


@kernel
def put_hole(own: Any, place: Any, start: Any, end: Any, exch_s: Any) -> None:
    """Write one hole."""
    own["hole_from_shares"][place] = start
    own["hole_to_shares"][place] = end
    own["hole_exch_s"][place] = exch_s


@kernel
def move_hole(own: Any, source: Any, target: Any) -> None:
    """Copy one hole to another place."""
    put_hole(
        own,
        target,
        own["hole_from_shares"][source],
        own["hole_to_shares"][source],
        own["hole_exch_s"][source],
    )


@kernel
def open_hole(own: Any, start: Any, end: Any, exch_s: Any) -> None:
    """Add the hole [start, end), which lies behind all others; a fifth drives out the oldest."""
    count = own["hole_count"]
    if count == HOLE_COUNT:
        for place in range(1, HOLE_COUNT):
            move_hole(own, place, place - 1)
        count -= 1
    put_hole(own, count, start, end, exch_s)
    own["hole_count"] = count + 1


@kernel
def hole_around(own: Any, start: Any, end: Any, exch_s: Any) -> Any:
    """Return the place of the hole that has all of [start, end) and is no older than `exch_s`.

    NO_HOLE when there is none: then some of these shares have been told, or the message is
    newer than the one that showed the hole and cannot be a late one.
    """
    for place in range(own["hole_count"]):
        if own["hole_from_shares"][place] <= start and end <= own["hole_to_shares"][place]:
            return place if exch_s <= own["hole_exch_s"][place] else NO_HOLE
    return NO_HOLE


@kernel
def fill_hole(own: Any, place: Any, start: Any, end: Any) -> None:
    """Take [start, end) out of the hole at `place`: it goes, shrinks or splits.

    When it splits and there is no room for one more, its smaller part (on a tie the earlier) is
    forgotten: matches of it that still arrive will be taken for repeats.
    """
    before, after = start - own["hole_from_shares"][place], own["hole_to_shares"][place] - end
    count = own["hole_count"]
    if before == 0 and after == 0:
        for later in range(place + 1, count):
            move_hole(own, later, later - 1)
        own["hole_count"] = count - 1
    elif before > 0 and after > 0 and count < HOLE_COUNT:
        for later in range(count, place, -1):
            move_hole(own, later - 1, later)
        own["hole_to_shares"][place] = start
        own["hole_from_shares"][place + 1] = end
        own["hole_count"] = count + 1
    elif before > after:
        own["hole_to_shares"][place] = start
    else:
        own["hole_from_shares"][place] = end


@kernel
def cut_holes(own: Any, total: Any) -> None:
    """Forget what was missing above `total`: the exchange has taken it back."""
    while own["hole_count"] > 0:
        last = own["hole_count"] - 1
        if own["hole_to_shares"][last] <= total:
            return
        if own["hole_from_shares"][last] < total:
            own["hole_to_shares"][last] = total
            return
        own["hole_count"] = last

"""Which phase it is on a venue, and which phase a match belongs to.

Source: market-behaviour section 2, ssi-wire sections 3.10, 4.1 and 4.2. Two questions that must
not be mixed up:

* ``phase_at`` is the timetable: what a clock on the wall of the venue says.
* ``match_phase`` is the accounting: the auction's print arrives seconds after the auction's
  call has ended by that clock, and still belongs to the auction.

This module knows hours, not dates: the feed's TradingDate is trusted (a make-up Saturday may
trade), so a Sunday has the same timetable as a Monday. Ask ``days.is_trading_day`` for dates.

What it leaves to others: HALT is a state of a symbol, never of a timetable. PUT_THROUGH overlaps
every other phase and has its own table. Government-bond futures have no ATC and trade
continuously until 14:45 (ssi-wire 4.1): an exception of single symbols that these tables, kept
per venue, do not make; their matches after 14:30 are booked as ATC.
"""

from bisect import bisect_right
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.clock import DAY_S, ICT_OFFSET_S
from engine.market.facts import change_days, in_force, read, second_of
from engine.schema.codes import FeedSession, Phase, Venue

MATCHING_PHASES: Final[frozenset[Phase]] = frozenset(
    {Phase.ATO, Phase.CONTINUOUS, Phase.ATC, Phase.PLO}
)

# The feed's word for each auction. PLO has one only in theory (ssi-wire 3.10).
AUCTION_CODES: Final[dict[Phase, FeedSession]] = {
    Phase.ATO: FeedSession.ATO,
    Phase.ATC: FeedSession.ATC,
}

# An auction's prints, and the last continuous prints before a call, may be stamped this many
# seconds late: stamps have a resolution of 1 s and come from a system that is busy just then.
UNCROSS_GRACE_S: Final = 3

NO_PHASE: Final = 255  # "nobody" in PhaseTables.grace_phase

MINUTE_S: Final = 60
MINUTE_COUNT: Final = DAY_S // MINUTE_S
assert UNCROSS_GRACE_S <= MINUTE_S, "the grace must fit in the minute it starts"


class Span(NamedTuple):
    """One line of a timetable: a phase from `start_s` up to, not including, `end_s` (ICT)."""

    phase: Phase
    start_s: int
    end_s: int
    matching: bool  # False also in the order-entry part of HNX's PLO since KRX


class PhaseTables(NamedTuple):
    """The timetables by minute, for kernels. Read-only arrays.

    E eras; the last era whose start is <= the day applies. The first starts at the smallest
    int32, so one always applies. All boundaries are whole minutes.

    ======================  ==================  ===================================================
    era_start_day           int32 (E,)          day number (ICT) from which the era applies
    phase                   uint8 (E, V, 1440)  Phase by the clock
    match_phase             uint8 (E, V, 1440)  Phase a match of this minute belongs to (never PRE,
                                                BREAK or CLOSED), unless grace_phase claims it
    grace_phase             uint8 (E, V, 1440)  NO_PHASE, or the Phase that just ended and may
                                                claim matches in the first UNCROSS_GRACE_S seconds
    ======================  ==================  ===================================================

    How a kernel uses them, equal to ``match_phase`` for every argument::

        m, g = match_phase[era, venue, minute], grace_phase[era, venue, minute]
        if g != NO_PHASE and second_of_minute < UNCROSS_GRACE_S:
            if g is ATO or ATC:                  # an auction just ended: is this its print?
                if session == AUCTION_CODES[g] or uncross_e2[g] in (0, price_e2): m = g
            elif session != AUCTION_CODES[m]:    # a call just began: a late continuous stamp
                m = g
    """

    era_start_day: NDArray[np.int32]
    phase: NDArray[np.uint8]
    match_phase: NDArray[np.uint8]
    grace_phase: NDArray[np.uint8]


_SESSION_ROWS = read("sessions")
_PUT_THROUGH_ROWS = read("put_through")
_ERA_DAYS = change_days(_SESSION_ROWS)
_PUT_THROUGH_ERA_DAYS = change_days(_PUT_THROUGH_ROWS)


def ict_second(exch_s: int) -> int:
    """Return the second of the day in ICT of an exchange stamp (UTC seconds)."""
    return (exch_s + ICT_OFFSET_S) % DAY_S


@cache
def _timetable_of_era(venue: Venue, era_day: int) -> tuple[Span, ...]:
    rows = [row for row in in_force(_SESSION_ROWS, era_day) if row["venue"] == venue.name]
    spans = sorted(
        (
            Span(
                Phase[row["phase"]],
                second_of(row["start"]),
                second_of(row["end"]),
                {"yes": True, "no": False}[row["matching"]],
            )
            for row in rows
        ),
        key=lambda span: span.start_s,
    )
    assert spans, f"sessions.csv has no timetable for {venue.name} on day {era_day}"
    spans.insert(0, Span(Phase.PRE, 0, spans[0].start_s, matching=False))
    spans.append(Span(Phase.CLOSED, spans[-1].end_s, DAY_S, matching=False))
    for span, follower in pairwise(spans):
        assert span.end_s == follower.start_s, f"{venue.name}: gap or overlap after {span}"
    for span in spans:
        assert span.start_s < span.end_s, f"{venue.name}: empty span {span}"
        assert not span.matching or span.phase in MATCHING_PHASES, f"{venue.name}: {span}"
    return tuple(spans)


def timetable(venue: Venue, day: int) -> tuple[Span, ...]:
    """Return a venue's whole day, midnight to midnight without a gap, as in force on `day`.

    Parameters
    ----------
    venue
        Any Venue; UNKNOWN and HNXBOND have a timetable too (see data/sessions.csv).
    day
        Trading date as days since 1970-01-01 (ICT). Before the first fact: the first facts.
    """
    era = max(bisect_right(_ERA_DAYS, day) - 1, 0)
    return _timetable_of_era(Venue(venue), _ERA_DAYS[era])


def _position(spans: tuple[Span, ...], second_of_day: int) -> int:
    assert 0 <= second_of_day < DAY_S, f"second of day {second_of_day} is not in 0..{DAY_S - 1}"
    return next(i for i, span in enumerate(spans) if second_of_day < span.end_s)


def phase_at(venue: Venue, day: int, second_of_day: int) -> Phase:
    """Return the phase by the clock: PRE, ATO, CONTINUOUS, BREAK, ATC, PLO or CLOSED.

    Parameters
    ----------
    venue
        Any Venue.
    day
        Trading date as days since 1970-01-01 (ICT); only picks the rules in force, no calendar.
    second_of_day
        ICT, 0..86,399. A boundary belongs to the phase it opens: 09:15:00 on HOSE is CONTINUOUS.
    """
    spans = timetable(venue, day)
    return spans[_position(spans, second_of_day)].phase


def matching_at(venue: Venue, day: int, second_of_day: int) -> bool:
    """Return whether the main board is in a phase that ends or proceeds in matches, by the clock.

    True in an auction's call (its match comes at the end); False in HNX's PLO from 14:45 to 14:55
    since 2025-05-05, when orders are only entered (ssi-wire 4.2).
    """
    spans = timetable(venue, day)
    return spans[_position(spans, second_of_day)].matching


@cache
def _put_through_of_era(venue: Venue, era_day: int) -> tuple[tuple[int, int], ...]:
    return tuple(
        (second_of(row["start"]), second_of(row["end"]))
        for row in in_force(_PUT_THROUGH_ROWS, era_day)
        if row["venue"] == venue.name
    )


def put_through_open(venue: Venue, day: int, second_of_day: int) -> bool:
    """Return whether put-through deals may be reported (ssi-wire 4.1); overlaps other phases."""
    era = max(bisect_right(_PUT_THROUGH_ERA_DAYS, day) - 1, 0)
    windows = _put_through_of_era(Venue(venue), _PUT_THROUGH_ERA_DAYS[era])
    return any(start_s <= second_of_day < end_s for start_s, end_s in windows)


def grace_phase_at(venue: Venue, day: int, second_of_day: int) -> Phase | None:
    """Return the phase that ended up to UNCROSS_GRACE_S seconds ago and may still claim a match.

    An auction before CONTINUOUS or PLO, or CONTINUOUS before an auction's call; else None.
    """
    spans = timetable(venue, day)
    here = _position(spans, second_of_day)
    if here == 0 or second_of_day - spans[here].start_s >= UNCROSS_GRACE_S:
        return None
    before, now = spans[here - 1].phase, spans[here].phase
    print_of_auction = before in AUCTION_CODES and now in {Phase.CONTINUOUS, Phase.PLO}
    late_continuous = before is Phase.CONTINUOUS and now in AUCTION_CODES
    return before if print_of_auction or late_continuous else None


def match_phase(
    venue: Venue,
    day: int,
    second_of_day: int,
    session: FeedSession,
    price_e2: int,
    uncross_price_e2: int,
) -> Phase:
    """Return the phase a match is booked to: always one of MATCHING_PHASES.

    The plain form of the rule that the shard's kernel applies through PhaseTables.

    1. A match is never HALT, whatever the feed's session says.
    2. Clock says CONTINUOUS or PLO, and an auction ended less than UNCROSS_GRACE_S seconds ago:
       the match is the auction's if the feed says so, or if no print of that auction was
       seen yet, or if it has the auction's price. All prints of an uncross share one price.
    3. Clock says ATO or ATC: the auction, except that right after CONTINUOUS ended a match which
       the feed does not call the auction's is a late stamp of CONTINUOUS.
    4. Clock says PRE, BREAK or CLOSED: the last phase that could match before, or the day's first.
       (A real closing print of HOSE is stamped 14:45:00 with session C: it is ATC.)

    Matches stamped in the order-entry part of HNX's PLO stay PLO: the exchange said there was a
    match, our timetable is the weaker witness.

    Parameters
    ----------
    venue, day, second_of_day
        As for ``phase_at``.
    session
        The feed's word, a hint only.
    price_e2
        Price of the match.
    uncross_price_e2
        Price of the first match booked today to the auction that ``grace_phase_at`` names; 0 if
        none. Not looked at outside the grace of an auction.
    """
    spans = timetable(venue, day)
    here = _position(spans, second_of_day)
    phase = spans[here].phase
    rival = grace_phase_at(venue, day, second_of_day)
    if phase in {Phase.CONTINUOUS, Phase.PLO}:
        if rival is not None and (
            session == AUCTION_CODES[rival] or uncross_price_e2 in {0, price_e2}
        ):
            return rival
        return phase
    if phase in AUCTION_CODES:
        return phase if rival is None or session == AUCTION_CODES[phase] else rival
    earlier = [span.phase for span in spans[:here] if span.matching]
    later = [span.phase for span in spans[here:] if span.matching]
    return earlier[-1] if earlier else later[0]


@cache
def phase_tables() -> PhaseTables:
    """Return the timetables of every era and venue by minute. Built once, read-only, shared."""
    shape = (len(_ERA_DAYS), len(Venue), MINUTE_COUNT)
    clock, match = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    grace = np.full(shape, NO_PHASE, np.uint8)
    for era, day in enumerate(_ERA_DAYS):
        for venue in Venue:
            _fill(timetable(venue, day), clock[era, venue], match[era, venue], grace[era, venue])
    starts = np.array(_ERA_DAYS, np.int32)
    starts[0] = np.iinfo(np.int32).min  # days before the first fact are given the first facts
    tables = PhaseTables(starts, clock, match, grace)
    for table in tables:
        table.flags.writeable = False
    return tables


def _fill(
    spans: tuple[Span, ...],
    clock: NDArray[np.uint8],
    match: NDArray[np.uint8],
    grace: NDArray[np.uint8],
) -> None:
    """Write one venue's day: three arrays of 1,440 minutes."""
    can_match = [span.phase for span in spans if span.matching]
    booked_to = can_match[0]
    before = Phase.PRE
    for span in spans:
        assert span.start_s % MINUTE_S == span.end_s % MINUTE_S == 0, f"not whole minutes: {span}"
        first, end = span.start_s // MINUTE_S, span.end_s // MINUTE_S
        if span.phase in MATCHING_PHASES:
            booked_to = span.phase
            if (before in AUCTION_CODES and span.phase not in AUCTION_CODES) or (
                before is Phase.CONTINUOUS and span.phase in AUCTION_CODES
            ):
                grace[first] = before
        clock[first:end] = span.phase
        match[first:end] = booked_to
        before = span.phase

"""Timetables and the phase of a match, as tables a trader could read."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market import facts
from engine.market.sessions import (
    AUCTION_CODES,
    MATCHING_PHASES,
    NO_PHASE,
    UNCROSS_GRACE_S,
    grace_phase_at,
    ict_second,
    match_phase,
    matching_at,
    phase_at,
    phase_tables,
    put_through_open,
    timetable,
)
from engine.schema.codes import FeedSession, Phase, Venue

BEFORE_KRX, SINCE_KRX = "2025-05-04", "2025-05-05"
CLOCK = """
2026-08-14  HOSE         00:00:00  PRE
2026-08-14  HOSE         08:59:59  PRE
2026-08-14  HOSE         09:00:00  ATO
2026-08-14  HOSE         09:14:59  ATO
2026-08-14  HOSE         09:15:00  CONTINUOUS
2026-08-14  HOSE         11:29:59  CONTINUOUS
2026-08-14  HOSE         11:30:00  BREAK
2026-08-14  HOSE         12:59:59  BREAK
2026-08-14  HOSE         13:00:00  CONTINUOUS
2026-08-14  HOSE         14:29:59  CONTINUOUS
2026-08-14  HOSE         14:30:00  ATC
2026-08-14  HOSE         14:44:59  ATC
2026-08-14  HOSE         14:45:00  CLOSED
2026-08-14  HOSE         23:59:59  CLOSED
2026-08-14  HNX          08:59:59  PRE
2026-08-14  HNX          09:00:00  CONTINUOUS
2026-08-14  HNX          11:30:00  BREAK
2026-08-14  HNX          13:00:00  CONTINUOUS
2026-08-14  HNX          14:30:00  ATC
2026-08-14  HNX          14:44:59  ATC
2026-08-14  HNX          14:45:00  PLO
2026-08-14  HNX          14:54:59  PLO
2026-08-14  HNX          14:55:00  PLO
2026-08-14  HNX          14:59:59  PLO
2026-08-14  HNX          15:00:00  CLOSED
2021-07-15  HNX          14:45:00  PLO
2021-07-15  HNX          14:59:59  PLO
2021-07-15  HNX          15:00:00  CLOSED
2026-08-14  UPCOM        08:59:59  PRE
2026-08-14  UPCOM        09:00:00  CONTINUOUS
2026-08-14  UPCOM        12:00:00  BREAK
2026-08-14  UPCOM        14:30:00  CONTINUOUS
2026-08-14  UPCOM        14:59:59  CONTINUOUS
2026-08-14  UPCOM        15:00:00  CLOSED
2026-08-14  DERIVATIVES  08:44:59  PRE
2026-08-14  DERIVATIVES  08:45:00  ATO
2026-08-14  DERIVATIVES  09:00:00  CONTINUOUS
2026-08-14  DERIVATIVES  11:30:00  BREAK
2026-08-14  DERIVATIVES  13:00:00  CONTINUOUS
2026-08-14  DERIVATIVES  14:30:00  ATC
2026-08-14  DERIVATIVES  14:45:00  CLOSED
2026-08-14  HNXBOND      09:00:00  CONTINUOUS
2026-08-14  HNXBOND      11:30:00  BREAK
2026-08-14  HNXBOND      14:59:59  CONTINUOUS
2026-08-14  HNXBOND      15:00:00  CLOSED
2026-08-14  UNKNOWN      08:59:59  PRE
2026-08-14  UNKNOWN      12:00:00  CONTINUOUS
2026-08-14  UNKNOWN      15:00:00  CLOSED
2010-01-04  HOSE         09:05:00  ATO
2026-08-16  HOSE         09:05:00  ATO
"""

# price and uncross in VND or points; uncross 0 = no print of that auction was seen today
MATCHES = """
#                                   hint  price uncross  phase       why
2026-08-14  HOSE         08:59:59  NONE   24500      0  ATO         before the day: its first
2026-08-14  HOSE         09:10:00  ATO    24500      0  ATO
2026-08-14  HOSE         09:15:00  ATO    24500  24500  ATO         the print, at its call's end
2026-08-14  HOSE         09:15:01  LO     24500      0  ATO         nothing of the auction seen yet
2026-08-14  HOSE         09:15:02  LO     24500  24500  ATO         another slice of the uncross
2026-08-14  HOSE         09:15:02  LO     24550  24500  CONTINUOUS  another price
2026-08-14  HOSE         09:15:02  ATO    24550  24500  ATO         the exchange says so
2026-08-14  HOSE         09:15:03  ATO    24500      0  CONTINUOUS  too late to be believed
2026-08-14  HOSE         10:00:00  HALT   24500  24500  CONTINUOUS  a match is never halted
2026-08-14  HOSE         10:00:00  ATC    24500  24500  CONTINUOUS
2026-08-14  HOSE         11:30:00  BREAK  24500      0  CONTINUOUS  late stamp into the break
2026-08-14  HOSE         12:15:00  NONE   24500      0  CONTINUOUS
2026-08-14  HOSE         13:00:01  LO     24500      0  CONTINUOUS
2026-08-14  HOSE         14:30:00  LO     24500      0  CONTINUOUS  late stamp into the call
2026-08-14  HOSE         14:30:02  NONE   24500      0  CONTINUOUS
2026-08-14  HOSE         14:30:02  ATC    24500      0  ATC
2026-08-14  HOSE         14:30:03  LO     24500      0  ATC
2026-08-14  HOSE         14:45:00  C      24500      0  ATC         SSI's print in ssi-wire 3.4
2026-08-14  HOSE         14:46:30  C      24500  24500  ATC
2026-08-14  HOSE         18:00:00  PT     24500  24500  ATC
2026-08-14  HNX          08:00:00  C      21300      0  CONTINUOUS
2026-08-14  HNX          09:00:00  ATO    21300      0  CONTINUOUS  HNX has no opening auction
2026-08-14  HNX          14:30:01  LO     21300      0  CONTINUOUS
2026-08-14  HNX          14:40:00  LO     21300      0  ATC
2026-08-14  HNX          14:45:00  C      21300      0  ATC
2026-08-14  HNX          14:45:02  OTHER  21300  21300  ATC
2026-08-14  HNX          14:45:02  OTHER  21400  21300  PLO
2026-08-14  HNX          14:45:02  ATC    21400  21300  ATC
2026-08-14  HNX          14:45:03  C      21300  21300  PLO
2026-08-14  HNX          14:50:00  C      21300  21300  PLO         order entry only, yet a match
2026-08-14  HNX          14:55:00  C      21300  21300  PLO
2026-08-14  HNX          15:00:16  C      21300  21300  PLO
2021-07-15  HNX          14:45:00  C      21300      0  ATC
2021-07-15  HNX          14:50:00  C      21300  21300  PLO
2026-08-14  UPCOM        14:30:01  ATC    21300      0  CONTINUOUS  UPCOM has no auctions
2026-08-14  UPCOM        14:45:00  C      21300      0  CONTINUOUS
2026-08-14  UPCOM        15:00:05  C      21300      0  CONTINUOUS
2026-08-14  DERIVATIVES  08:44:00  C       1290      0  ATO
2026-08-14  DERIVATIVES  09:00:02  LO      1290      0  ATO
2026-08-14  DERIVATIVES  09:00:02  LO      1290   1291  CONTINUOUS
2026-08-14  DERIVATIVES  14:30:00  LO      1290      0  CONTINUOUS
2026-08-14  DERIVATIVES  14:45:02  C       1290      0  ATC
2026-08-14  HNXBOND      14:45:00  C       1290      0  CONTINUOUS
2026-08-14  UNKNOWN      23:00:00  OTHER   1290      0  CONTINUOUS
"""


def _lines(table):
    return [line.split() for line in table.strip().splitlines() if not line.startswith("#")]


def _day(text):
    return facts.day_number(dt.date.fromisoformat(text))


def _second(text):
    hours, minutes, seconds = map(int, text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _kernel(venue, day, second, session, price_e2, uncross_price_e2):
    """The rule as PhaseTables' docstring tells the shard to apply it."""
    tables = phase_tables()
    era = max(i for i, start in enumerate(tables.era_start_day) if start <= day)
    phase = tables.match_phase[era, venue, second // 60]
    grace = tables.grace_phase[era, venue, second // 60]
    if grace != NO_PHASE and second % 60 < UNCROSS_GRACE_S:
        if Phase(grace) in AUCTION_CODES:
            if session == AUCTION_CODES[Phase(grace)] or uncross_price_e2 in {0, price_e2}:
                phase = grace
        elif session != AUCTION_CODES[Phase(phase)]:
            phase = grace
    return Phase(phase)


@pytest.mark.parametrize(("date", "venue", "time", "phase"), _lines(CLOCK))
def test_the_timetable(date, venue, time, phase):
    assert phase_at(Venue[venue], _day(date), _second(time)) is Phase[phase]


@pytest.mark.parametrize("line", _lines(MATCHES), ids=lambda line: " ".join(line[:6]))
def test_the_phase_of_a_match(line):
    date, venue, time, hint, price, uncross, phase, *_ = line
    arguments = (
        Venue[venue],
        _day(date),
        _second(time),
        FeedSession[hint],
        int(price) * 100,
        int(uncross) * 100,
    )
    assert match_phase(*arguments) is Phase[phase]
    assert _kernel(*arguments) is Phase[phase]


@pytest.mark.parametrize(
    ("date", "time", "matching"),
    [
        (BEFORE_KRX, "14:44:59", True),
        (BEFORE_KRX, "14:45:00", True),
        (BEFORE_KRX, "14:54:59", True),
        (BEFORE_KRX, "14:59:59", True),
        (BEFORE_KRX, "15:00:00", False),
        (SINCE_KRX, "14:44:59", True),
        (SINCE_KRX, "14:45:00", False),
        (SINCE_KRX, "14:54:59", False),
        (SINCE_KRX, "14:55:00", True),
        (SINCE_KRX, "14:59:59", True),
        (SINCE_KRX, "15:00:00", False),
    ],
)
def test_hnx_plo_matches_only_from_1455_since_krx(date, time, matching):
    assert matching_at(Venue.HNX, _day(date), _second(time)) is matching


@pytest.mark.parametrize(
    ("venue", "windows"),
    [
        ("HOSE", ["09:00-11:30", "13:00-15:00"]),
        ("HNX", ["09:00-11:30", "13:00-15:00"]),
        ("UPCOM", ["09:00-11:30", "13:00-15:00"]),
        ("DERIVATIVES", ["08:45-11:30", "13:00-14:45"]),
        ("HNXBOND", ["09:00-11:30", "13:00-15:00"]),
        ("UNKNOWN", ["09:00-15:00"]),
    ],
)
def test_put_through_has_its_own_hours(venue, windows):
    spans = [tuple(_second(f"{end}:00") for end in window.split("-")) for window in windows]
    for minute in range(1440):
        for second in (minute * 60, minute * 60 + 59):
            expected = any(start <= second < end for start, end in spans)
            assert put_through_open(Venue[venue], _day("2026-08-14"), second) is expected


def test_put_through_goes_on_when_hose_has_closed():
    at = (Venue.HOSE, _day("2026-08-14"), _second("14:50:00"))
    assert phase_at(*at) is Phase.CLOSED
    assert put_through_open(*at)


@pytest.mark.parametrize(
    ("venue", "time", "rival"),
    [
        ("HOSE", "09:15:00", Phase.ATO),
        ("HOSE", "09:15:02", Phase.ATO),
        ("HOSE", "09:15:03", None),
        ("HOSE", "14:30:00", Phase.CONTINUOUS),
        ("HOSE", "14:45:00", None),
        ("HOSE", "00:00:00", None),
        ("HNX", "09:00:00", None),
        ("HNX", "14:45:01", Phase.ATC),
        ("HNX", "14:55:00", None),
        ("DERIVATIVES", "09:00:01", Phase.ATO),
        ("UPCOM", "13:00:00", None),
    ],
)
def test_who_may_still_claim_a_match(venue, time, rival):
    assert grace_phase_at(Venue[venue], _day("2026-08-14"), _second(time)) is rival


def test_a_match_may_be_in_four_phases():
    assert {Phase.ATO, Phase.CONTINUOUS, Phase.ATC, Phase.PLO} == MATCHING_PHASES
    assert UNCROSS_GRACE_S == 3


def test_seconds_of_a_stamp_are_those_of_vietnam():
    assert ict_second(0) == 7 * 3600
    assert ict_second(1_786_693_500) == _second("14:45:00")  # 2026-08-14T07:45:00Z


@pytest.mark.parametrize("second", [-1, 86_400])
def test_a_second_outside_the_day_is_a_bug(second):
    with pytest.raises(AssertionError, match="second of day"):
        phase_at(Venue.HOSE, 0, second)


# ---- properties ----

ERA_DAYS = [
    _day("2010-01-04"),
    _day("2021-07-15"),
    _day(BEFORE_KRX),
    _day(SINCE_KRX),
    _day("2030-01-01"),
]


@pytest.mark.parametrize("day", ERA_DAYS)
@pytest.mark.parametrize("venue", list(Venue))
def test_a_timetable_covers_the_day_exactly_once(venue, day):
    covered = [0] * 86_400
    for span in timetable(venue, day):
        for second in range(span.start_s, span.end_s):
            covered[second] += 1
    assert set(covered) == {1}


@pytest.mark.parametrize("day", ERA_DAYS)
@pytest.mark.parametrize("venue", list(Venue))
def test_the_tables_are_the_timetable_for_every_minute(venue, day):
    tables = phase_tables()
    era = max(i for i, start in enumerate(tables.era_start_day) if start <= day)
    after_grace = (FeedSession.NONE, 100, 0)
    for minute in range(1440):
        for second in (minute * 60, minute * 60 + 59):
            assert tables.phase[era, venue, minute] == phase_at(venue, day, second)
        booked = match_phase(venue, day, minute * 60 + UNCROSS_GRACE_S, *after_grace)
        assert tables.match_phase[era, venue, minute] == booked
        rival = grace_phase_at(venue, day, minute * 60)
        assert tables.grace_phase[era, venue, minute] == (NO_PHASE if rival is None else rival)


def test_the_tables_have_the_shapes_kernels_rely_on():
    tables = phase_tables()
    assert [table.dtype.name for table in tables] == ["int32", "uint8", "uint8", "uint8"]
    assert tables.era_start_day.tolist() == [-(2**31), _day(SINCE_KRX)]
    for table in tables[1:]:
        assert table.shape == (2, len(Venue), 1440)
        assert table.flags.c_contiguous
        assert not table.flags.writeable
    assert set(tables.match_phase.flat) <= set(MATCHING_PHASES)
    assert phase_tables() is tables


ARGUMENTS = st.tuples(
    st.sampled_from(list(Venue)),
    st.integers(_day("2020-01-01"), _day("2030-01-01")),
    st.one_of(
        st.integers(0, 86_399),  # anywhere, and close to the minutes that matter
        st.builds(
            lambda minute, second: minute * 60 + second,
            st.sampled_from([525, 540, 555, 690, 780, 870, 885, 895, 900]),
            st.integers(-3, 5),
        ),
    ),
    st.sampled_from(list(FeedSession)),
    st.sampled_from([24_500_00, 24_550_00]),
    st.sampled_from([0, 24_500_00, 24_550_00]),
)


@settings(deadline=None, derandomize=True)
@given(ARGUMENTS)
def test_the_kernel_rule_over_the_tables_is_match_phase(arguments):
    booked = match_phase(*arguments)
    assert booked in MATCHING_PHASES
    assert _kernel(*arguments) is booked


@settings(deadline=None, derandomize=True)
@given(ARGUMENTS)
def test_a_match_is_only_booked_to_a_phase_its_venue_has(arguments):
    venue, day = arguments[:2]
    assert match_phase(*arguments) in {span.phase for span in timetable(venue, day)}

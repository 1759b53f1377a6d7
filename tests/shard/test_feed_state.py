"""Channel ``feed``: states, outages, lost frames, and which shard speaks."""

import pytest

from engine.schema.codes import FeedState, Instrument, NoteFlag, SlotKind
from engine.shard import feed_state
from tests.shard.judged import (
    DAYS,
    FEED_ID,
    Single,
    Teller,
    feed_is,
    frames_lost,
    introduce,
    note_of,
    told_by,
)
from tests.shard.messages import exch_s

DOWN, CONNECTING, LIVE, STALE, CLOSED = FeedState
SECOND = 10**9


def news(*judged) -> list[dict]:
    """Introduce the feed, run messages, each a group of its own."""
    return Single(feed_state.STAGE).run([[introduce()], *([each] for each in judged)])


def outage(row: dict) -> tuple[int, int, int]:
    """Return (count, from, to) of a row."""
    return row["outage_count"], row["outage_from_ns"], row["outage_to_ns"]


def states(*told: FeedState) -> list[dict]:
    """Run states, one a nanosecond from 1 on."""
    return news(*(feed_is(state, ns) for ns, state in enumerate(told, 1)))


def test_the_first_state_is_news_and_a_first_connection_is_no_outage():
    rows = states(DOWN, CONNECTING, LIVE)
    assert [row["feed_state"] for row in rows] == [DOWN, CONNECTING, LIVE]
    assert [row["since_ns"] for row in rows] == [1, 2, 3]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert {outage(row) for row in rows} == {(0, 0, 0)}
    assert {row["symbol_id"] for row in rows} == {FEED_ID}


def test_an_outage_lasts_until_the_feed_is_back():
    rows = states(LIVE, DOWN, CONNECTING, DOWN, LIVE, STALE, CONNECTING, STALE)
    assert [outage(row) for row in rows] == [
        (0, 0, 0),
        (1, 2, 0),
        (1, 2, 0),
        (1, 2, 0),
        (1, 2, 5),
        (1, 2, 5),
        (2, 7, 0),
        (2, 7, 8),
    ]


def test_stale_is_no_outage():
    assert [outage(row) for row in states(LIVE, STALE, LIVE)] == [(0, 0, 0)] * 3


def test_closing_time_ends_an_outage_and_being_away_after_it_is_none():
    rows = states(LIVE, DOWN, CLOSED, DOWN, LIVE, CLOSED, CONNECTING)
    assert outage(rows[2]) == (1, 2, 3)
    assert {outage(row) for row in rows[2:]} == {(1, 2, 3)}


def test_the_same_state_again_is_news_only_with_another_reason():
    rows = news(
        feed_is(DOWN, 1, b"refused"),
        feed_is(DOWN, 2, b"refused"),
        feed_is(DOWN, 3, b"502"),
        feed_is(LIVE, 4),
        feed_is(LIVE, 5),
    )
    assert [(row["detail"], row["since_ns"], row["recv_ns"]) for row in rows] == [
        (b"refused", 1, 1),
        (b"502", 1, 3),
        (b"", 4, 4),
    ]


def test_a_first_down_without_a_reason_is_not_taken_for_the_blank_row():
    assert len(states(DOWN)) == 1


def test_lost_frames_add_up_and_leave_the_state_alone():
    rows = news(feed_is(LIVE, 1, b"v2"), frames_lost(7, 2), frames_lost(5, 3))
    assert [row["lost_frames"] for row in rows] == [0, 7, 12]
    assert {(row["feed_state"], row["since_ns"], row["detail"]) for row in rows} == {
        (LIVE, 1, b"v2")
    }


def test_states_of_one_group_do_not_merge():
    rows = Single(feed_state.STAGE).run([[introduce(), feed_is(LIVE, 1), feed_is(DOWN, 2)]])
    assert [(row["seq"], row["updates"], row["feed_state"]) for row in rows] == [
        (1, 1, LIVE),
        (2, 1, DOWN),
    ]


@pytest.mark.parametrize("symbol_id", [0, 1, 8, 2**32 - 1])
def test_a_shard_that_does_not_know_the_feed_says_nothing(symbol_id):
    stage = Single(feed_state.STAGE)
    judged = [introduce(1, Instrument.STOCK), introduce(9), introduce()]
    judged += [feed_is(LIVE, 1, symbol_id=symbol_id), frames_lost(1, 2, symbol_id=symbol_id)]
    assert stage.run([[each] for each in judged]) == []


@pytest.mark.parametrize("state", [-1, 5, 2**40])
def test_a_state_nobody_knows_is_ignored(state):
    assert news(feed_is(state, 1)) == []


def test_other_control_slots_are_none_of_its_business():
    timer = told_by({"kind": SlotKind.CONTROL, "symbol_id": FEED_ID, "op": 1, "arg0": 9})
    assert news(timer) == []


def test_rows_carry_the_market_s_time():
    own = Teller()
    start = exch_s(DAYS[0], "09:30:00")
    at = {"recv_ns": 5_000 * SECOND}  # a simulated day: our clock is somewhere else
    quote = own.at("09:30:00", SlotKind.QUOTE) | at
    yesterday = quote | {"exch_s": start + 99}
    judged = [
        feed_is(LIVE, 4_000 * SECOND),
        (quote, note_of()),
        (quote | {"exch_s": start - 60, "recv_ns": 5_001 * SECOND}, note_of()),  # older: no news
        (yesterday, note_of(flags=NoteFlag.STALE_DAY)),
        (own.at("15:00:00", SlotKind.REFERENCE), note_of()),
        (own.at("15:00:00", SlotKind.BACKFILL), note_of()),
        feed_is(DOWN, 5_007 * SECOND + 999),
        feed_is(LIVE, 4_999 * SECOND),  # our clock stepped back
    ]
    assert [row["exch_s"] for row in news(*judged)] == [4_000, start + 7, start]

"""The kernels' table look-up against market/sessions, second by second around every boundary."""

import numpy as np
import pytest

from engine.market.sessions import grace_phase_at, match_phase, phase_at, phase_tables, timetable
from engine.schema.codes import FeedSession, Phase, Venue
from engine.schema.slots import SLOT
from engine.shard.classify import PARAMS, STATE
from engine.shard.phases import book_match, clock_phase, fill_phase_params

DAYS = sorted(
    {max(int(day), 0) + offset for day in phase_tables().era_start_day for offset in (-1, 0, 1)}
    | {18_823}
)
PRICE = 5_000


@pytest.fixture(scope="module")
def params():
    filled = np.zeros(1, PARAMS)
    fill_phase_params(filled)
    return filled


def seconds(venue: Venue, day: int) -> list[int]:
    """Seconds around every boundary of the timetable."""
    edges = {span.start_s for span in timetable(venue, day)} | {0, 86_399}
    return sorted(
        {second for edge in edges for second in range(edge - 2, edge + 6) if 0 <= second < 86_400}
    )


@pytest.mark.parametrize("venue", list(Venue), ids=lambda venue: venue.name)
def test_clock_phase_is_phase_at(venue, params):
    for day in DAYS:
        for second in seconds(venue, day):
            assert clock_phase(params, day, second, venue) == phase_at(venue, day, second)


@pytest.mark.parametrize("venue", list(Venue), ids=lambda venue: venue.name)
def test_book_match_is_match_phase(venue, params):
    state = np.zeros(1, STATE)
    heads = np.zeros(1, SLOT)
    heads["venue"] = venue
    for day in DAYS[-3:]:
        for second in seconds(venue, day):
            ended = grace_phase_at(venue, day, second)
            for session in (
                FeedSession.NONE,
                FeedSession.LO,
                FeedSession.ATO,
                FeedSession.ATC,
                FeedSession.C,
                FeedSession.HALT,
            ):
                for uncross in (0, PRICE, PRICE + 10):
                    heads["session"] = session
                    state["uncross_price_e2"] = 0
                    if ended in (Phase.ATO, Phase.ATC):
                        state[0]["uncross_price_e2"][ended] = uncross
                    got = book_match(params, state[0], day, second, heads[0], PRICE)
                    assert got == match_phase(venue, day, second, session, PRICE, uncross)


def test_the_first_print_of_an_auction_is_remembered(params):
    state = np.zeros(1, STATE)
    heads = np.zeros(1, SLOT)
    heads["venue"] = Venue.HOSE
    at = 9 * 3600 + 15 * 60
    phases = [
        Phase(int(book_match(params, state[0], 18_823, at + late, heads[0], price)))
        for late, price in ((0, 100), (1, 101), (1, 100), (3, 100))
    ]
    assert phases == [Phase.ATO, Phase.CONTINUOUS, Phase.ATO, Phase.CONTINUOUS]
    assert state[0]["uncross_price_e2"][Phase.ATO] == 100

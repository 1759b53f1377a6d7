"""Venues: wire spellings and boards."""

import pytest

from engine.market.venues import BOARDS, WIRE_VENUES
from engine.schema.codes import Venue


@pytest.mark.parametrize(
    ("wire_name", "venue"),
    [
        ("HOSE", Venue.HOSE),
        ("HNX", Venue.HNX),
        ("UPCOM", Venue.UPCOM),
        ("DERIVATIVES", Venue.DERIVATIVES),
        ("DER", Venue.DERIVATIVES),
        ("HNXBOND", Venue.HNXBOND),
    ],
)
def test_every_spelling_on_the_wire_has_its_venue(wire_name, venue):
    assert WIRE_VENUES[wire_name] is venue


def test_there_are_no_other_spellings():
    assert len(WIRE_VENUES) == 6
    assert WIRE_VENUES.get("XSTC", Venue.UNKNOWN) is Venue.UNKNOWN


def test_boards_are_those_of_ssi_wire_4_3():
    assert {venue.name: tuple(board) for venue, board in BOARDS.items()} == {
        "UNKNOWN": (1, 0, 10),
        "HOSE": (100, 500_000, 3),
        "HNX": (100, 0, 10),
        "UPCOM": (100, 0, 10),
        "DERIVATIVES": (1, 500, 10),
        "HNXBOND": (1, 0, 10),
    }

"""Venues: how the wire spells them, and what their boards look like."""

from typing import NamedTuple

from engine.market.facts import LATEST_DAY, in_force, read
from engine.schema.codes import Venue

_ROWS = in_force(read("venues"), LATEST_DAY)

# Exact wire spelling -> Venue. Use .get(name, Venue.UNKNOWN): a new venue must not stop the tape.
WIRE_VENUES: dict[str, Venue] = {row["wire_name"]: Venue[row["venue"]] for row in _ROWS}


class Board(NamedTuple):
    """What one venue's main board looks like."""

    lot_shares: int  # round lot (contracts for futures); 1 where we know none
    order_max_shares: int  # largest order, 0 = not known to us
    shown_level_count: int  # book levels the feed fills; the rest of the ten are zero


# Every Venue has a board, UNKNOWN the most permissive one.
BOARDS: dict[Venue, Board] = {Venue.UNKNOWN: Board(1, 0, 10)} | {
    Venue[row["venue"]]: Board(
        int(row["lot"]), int(row["order_max"] or 0), int(row["shown_levels"])
    )
    for row in _ROWS
}
assert set(BOARDS) == set(Venue), "venues.csv misses a venue"

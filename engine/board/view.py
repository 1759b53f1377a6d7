"""One trading day of what is known, laid out by share: what every summary starts from.

The day is the newest trading date that any row has. A row of an older date counts as no row: its
symbol has said nothing today. Baskets are those that today's reference rows tell.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.board.keys import BASKETS, VENUE_INDICES, VENUE_SCOPES, clock_of, venue_of
from engine.board.known import Known, opaque
from engine.clock import trade_day
from engine.market.sessions import ict_second, phase_at
from engine.schema.channels import FOREIGN, INDEX, PUT_THROUGH, REFERENCE, STATS, SYMBOL, Channel

DATED = (STATS, REFERENCE, FOREIGN, INDEX, PUT_THROUGH)

Rows = NDArray[np.void]
Mask = NDArray[np.bool_]


class View(NamedTuple):
    """The shares, ascending by code, with today's rows; N shares.

    ``stats``, ``reference``, ``foreign`` and ``put_through`` are arrays of their channel's dtype,
    shape (N,), blank where a share has no row of the day.
    """

    day: int  # days since 1970-01-01, ICT; 0 while nothing is known
    exch_s: int  # newest exchange stamp of the day, of any symbol
    recv_ns: int  # newest receive stamp of the day, of any symbol
    codes: NDArray[np.bytes_]
    stats: Rows
    reference: Rows
    foreign: Rows
    put_through: Rows
    members: dict[str, Mask]  # scope or index -> which shares belong to it
    indices: dict[str, np.void]  # today's INDEX_DELTA rows by code


def see(known: Known) -> View:
    """Lay out the newest day of what is known."""
    dated = [known.rows[channel.name] for channel in DATED]
    day = max(int(rows["trade_day"].max()) for rows in dated)
    todays = [(rows, rows["trade_day"] == day) for rows in dated]
    ids = known.shares
    names = _pick(known.rows[SYMBOL.name], ids)
    stats, reference, foreign, put_through = (
        _of_day(known, channel, ids, day) for channel in (STATS, REFERENCE, FOREIGN, PUT_THROUGH)
    )
    index_rows = known.rows[INDEX.name]
    return View(
        day,
        max(int(rows["exch_s"][today].max(initial=0)) for rows, today in todays),
        max(int(rows["recv_ns"][today].max(initial=0)) for rows, today in todays),
        names["code"],
        stats,
        reference,
        foreign,
        put_through,
        _members(names["venue"], reference["indices"]),
        {
            code: index_rows[symbol_id]
            for code, symbol_id in known.indices.items()
            if index_rows[symbol_id]["trade_day"] == day
        },
    )


def _pick(rows: Rows, ids: NDArray[np.intp]) -> Rows:
    return opaque(rows)[ids].view(rows.dtype)


def _of_day(known: Known, channel: Channel, ids: NDArray[np.intp], day: int) -> Rows:
    """Copy a channel's rows of these ids, blank where they are of another day."""
    rows = _pick(known.rows[channel.name], ids)
    plain = opaque(rows)
    plain[rows["trade_day"] != day] = np.zeros((), plain.dtype)
    return rows


def _members(venues: NDArray[np.uint8], baskets: NDArray[np.uint32]) -> dict[str, Mask]:
    """Say which shares belong to what; a basket is empty until a reference row told of it."""
    return {
        "ALL": np.ones(len(venues), np.bool_),
        **{key: venues == venue for key, venue in {**VENUE_SCOPES, **VENUE_INDICES}.items()},
        **{key: baskets & np.uint32(basket) != 0 for key, basket in BASKETS.items()},
    }


def stamp(row: np.void, key: str, view: View, members: Mask, *sources: Rows) -> None:
    """Write the head of a summary, except seq, updates and symbol_id.

    Parameters
    ----------
    row
        Row of a board channel, written.
    key
        Whose row; decides venue and, by that venue's clock at the day's newest stamp, the phase.
    view
        The day.
    members
        Which shares went in.
    sources
        Rows by share, of which the newest stamps are taken; 0 when there was none.
    """
    row["recv_ns"] = max(int(rows["recv_ns"][members].max(initial=0)) for rows in sources)
    row["exch_s"] = max(int(rows["exch_s"][members].max(initial=0)) for rows in sources)
    row["venue"] = venue_of(key)
    row["phase"] = phase_at(clock_of(key), trade_day(view.exch_s), ict_second(view.exch_s))
    row["trade_day"] = view.day

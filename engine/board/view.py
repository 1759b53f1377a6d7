"""One trading day of what is known, laid out by share: what every summary starts from.

The day is the newest trading date that any row has. A row of an older date counts as no row: its
symbol has said nothing today.

Who belongs to an index is decided here, for every summary alike: the codes that the operator's
file names for it; else, of a basket, those that today's reference rows tell, and of the index of a
venue, all its shares.

The time is the market's: the newest exchange stamp of what the exchange sent. REST's reference rows
have a made-up stamp, and count only while there is nothing else of the day.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.board.keys import BASKETS, VENUE_INDICES, VENUE_SCOPES, clock_of, venue_of
from engine.board.known import Known, opaque
from engine.board.weights import Weights
from engine.clock import trade_day
from engine.market.sessions import ict_second, phase_at
from engine.schema.channels import FOREIGN, INDEX, PUT_THROUGH, REFERENCE, STATS, SYMBOL, Channel

TIMED = (STATS, FOREIGN, INDEX, PUT_THROUGH)  # what the exchange stamps
DATED = (*TIMED, REFERENCE)

Rows = NDArray[np.void]
Mask = NDArray[np.bool_]


class View(NamedTuple):
    """The shares, ascending by code, with today's rows; N shares.

    ``stats``, ``reference``, ``foreign`` and ``put_through`` are arrays of their channel's dtype,
    shape (N,), blank where a share has no row of the day.
    """

    day: int  # days since 1970-01-01, ICT; 0 while nothing is known
    exch_s: int  # market time: newest exchange stamp of the day, of any symbol
    recv_ns: int  # newest receive stamp of the day, of any symbol
    codes: NDArray[np.bytes_]
    stats: Rows
    reference: Rows
    foreign: Rows
    put_through: Rows
    members: dict[str, Mask]  # scope or index -> which shares belong to it
    indices: dict[str, np.void]  # today's INDEX_DELTA rows by code


def see(known: Known, weights: Weights) -> View:
    """Lay out the newest day of what is known; `weights` name the members of their indices."""
    day = max(int(known.rows[channel.name]["trade_day"].max()) for channel in DATED)
    ids = known.shares
    names = _pick(known.rows[SYMBOL.name], ids)
    stats, reference, foreign, put_through = (
        _of_day(known, channel, ids, day) for channel in (STATS, REFERENCE, FOREIGN, PUT_THROUGH)
    )
    index_rows = known.rows[INDEX.name]
    return View(
        day,
        _newest(known, "exch_s", TIMED, day) or _newest(known, "exch_s", (REFERENCE,), day),
        _newest(known, "recv_ns", DATED, day),
        names["code"],
        stats,
        reference,
        foreign,
        put_through,
        _members(names, reference["indices"], weights),
        {
            code: index_rows[symbol_id]
            for code, symbol_id in known.indices.items()
            if index_rows[symbol_id]["trade_day"] == day
        },
    )


def _newest(known: Known, stamp_name: str, channels: tuple[Channel, ...], day: int) -> int:
    """Return the newest stamp that rows of the day have; 0 without any."""
    tables = (known.rows[channel.name] for channel in channels)
    return max(int(rows[stamp_name][rows["trade_day"] == day].max(initial=0)) for rows in tables)


def _pick(rows: Rows, ids: NDArray[np.intp]) -> Rows:
    return opaque(rows)[ids].view(rows.dtype)


def _of_day(known: Known, channel: Channel, ids: NDArray[np.intp], day: int) -> Rows:
    """Copy a channel's rows of these ids, blank where they are of another day."""
    rows = _pick(known.rows[channel.name], ids)
    plain = opaque(rows)
    plain[rows["trade_day"] != day] = np.zeros((), plain.dtype)
    return rows


def _members(names: Rows, baskets: NDArray[np.uint32], weights: Weights) -> dict[str, Mask]:
    """Say which shares belong to what; a basket nobody told of is empty."""
    venues, codes = names["venue"], names["code"]
    return {
        "ALL": np.ones(len(venues), np.bool_),
        **{key: venues == venue for key, venue in {**VENUE_SCOPES, **VENUE_INDICES}.items()},
        **{key: baskets & np.uint32(basket) != 0 for key, basket in BASKETS.items()},
        **{
            index: np.isin(codes, np.array([code.encode() for code in told], codes.dtype))
            for index, told in weights.items()
        },
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

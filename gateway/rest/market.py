"""What the market is at this moment: answers of /api/market, from the follower's rows.

Rows are written by the gateway's own codec, so a number is the same text here and on the WebSocket.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.clock import iso_ict
from engine.schema.channels import (
    BASIS,
    BASIS_TREND,
    FOREIGN,
    FOREIGN_SUMMARY,
    INDEX,
    MARKET,
    REFERENCE,
    STATS,
    SYMBOL,
    Channel,
)
from engine.schema.codes import FeedState, IndexMember, Venue
from gateway import status
from gateway.rest.answers import Answer, document, etag_of, listed, told
from gateway.rest.errors import BadParameter
from gateway.rest.follower import Follower
from gateway.rows import pick

Values = Mapping[str, Any]
Rows = NDArray[np.void]
Ids = NDArray[np.int64]

BASKETS: Final = {name: IndexMember[name] for name in ("VN30", "VN100", "HNX30")}
VENUES: Final = {
    "HOSE": Venue.HOSE,
    "HNX": Venue.HNX,
    "UPCOM": Venue.UPCOM,
    "VNINDEX": Venue.HOSE,
    "HNXINDEX": Venue.HNX,
}
INDICES: Final = (*BASKETS, *VENUES)
SUMMARY_OF: Final = {"VNINDEX": "HOSE", "HNXINDEX": "HNX"}  # the board sums up by scope


def _net(rows: Rows) -> Ids:
    net: Ids = rows["buy_value_vnd"] - rows["sell_value_vnd"]
    return net


def _room_used(rows: Rows) -> Ids:
    """Return the room used in parts per million, -1 where there is none."""
    room = rows["total_room_shares"].astype(np.float64)
    used = room - rows["current_room_shares"]
    share = np.divide(1e6 * used, room, out=np.full(len(rows), -1.0), where=room > 0)
    used_ppm: Ids = share.astype(np.int64)
    return used_ppm


def _field(name: str) -> Callable[[Rows], Ids]:
    def value(rows: Rows) -> Ids:
        found: Ids = rows[name]
        return found

    return value


SORTS: Final[Mapping[str, Callable[[Rows], Ids]]] = {  # the largest first
    "net_buy": _net,
    "net_sell": lambda rows: -_net(rows),
    "buy_value": _field("buy_value_vnd"),
    "sell_value": _field("sell_value_vnd"),
    "room_used": _room_used,
    "speed_buy": _field("net_value_5m_vnd"),
    "speed_sell": lambda rows: -_field("net_value_5m_vnd")(rows),
}


class Market:
    """Answers questions about the present.

    Parameters
    ----------
    follower
        The rows.
    feed_state
        The ingest's verdict; None: nobody knows.
    """

    def __init__(self, follower: Follower, feed_state: Callable[[], FeedState | None]) -> None:
        self._follower = follower
        self._feed_state = feed_state

    def snapshot(self, _values: Values) -> Answer:
        """Return the market at a glance: boards, indices, sessions, feed."""
        follower = self._follower
        parts = [(channel, follower.known_ids(channel)) for channel in (MARKET, INDEX)]
        newest_s = int(follower.latest_exch_s.max())
        head = {
            "epoch": follower.epoch,
            "exch_time": iso_ict(newest_s) if newest_s else None,
            "feed": status.feed(self._feed_state()),
            "session": status.sessions(follower.latest_exch_s),
        }

        def body() -> bytes:
            rows = {channel.name: self._states(channel, ids) for channel, ids in parts}
            return document({**{name: told(value) for name, value in head.items()}, **rows})

        return Answer(self._etag(parts, head), body)

    def foreign_detail(self, values: Values) -> Answer:
        """Return foreign flow by symbol, sorted, and summed up."""
        follower = self._follower
        ids = follower.known_ids(FOREIGN)
        symbols: tuple[str, ...] = values["symbol"]
        index: str | None = values["index"]
        if symbols:
            ids = np.intersect1d(ids, self.ids_of("symbol", symbols))
        if index is not None:
            ids = ids[self._members(index)[ids]]
        rows = follower.mirror.take(FOREIGN.code, ids)
        codes = np.array([follower.directory.code(i) for i in ids.tolist()])
        order = np.lexsort((codes, -SORTS[values["sort"]](rows))) if len(ids) else ids
        order = order[: values["limit"]]
        chosen, rows = ids[order], pick(rows, order)
        scope = "ALL" if index is None else SUMMARY_OF.get(index, index)
        summary = follower.directory.find(scope, board=True)
        has_summary = summary and follower.mirror.seq[FOREIGN_SUMMARY.code][summary]
        sums = np.array([summary] if has_summary and not symbols else [], np.int64)

        def body() -> bytes:
            return document(
                {
                    "epoch": told(follower.epoch),
                    "matching": told(len(ids)),
                    "foreign": listed(follower.states(FOREIGN, rows)),
                    "foreign_summary": self._states(FOREIGN_SUMMARY, sums),
                }
            )

        return Answer(
            self._etag([(FOREIGN, chosen), (FOREIGN_SUMMARY, sums)], "foreign", len(ids)), body
        )

    def volume_stats(self, values: Values) -> Answer:
        """Return the day of one or more symbols by phase and side."""
        follower = self._follower
        wanted = self.ids_of("symbol", values["symbol"])
        has_row = follower.mirror.seq[STATS.code][wanted] > 0
        ids = wanted[has_row]
        untold = [follower.directory.code(i) for i in wanted[~has_row].tolist()]

        def body() -> bytes:
            return document(
                {
                    "epoch": told(follower.epoch),
                    "stats": self._states(STATS, ids),
                    "no_data": told(untold),
                }
            )

        return Answer(self._etag([(STATS, ids)], "stats", untold), body)

    def basis_trend(self, values: Values) -> Answer:
        """Return the last minutes of each contract's basis, and what it is now."""
        follower, minutes = self._follower, int(values["minutes"])
        ids, now_ids = follower.known_ids(BASIS_TREND), follower.known_ids(BASIS)
        if values["contract"]:
            wanted = self.ids_of("contract", values["contract"])
            ids, now_ids = np.intersect1d(ids, wanted), np.intersect1d(now_ids, wanted)

        def body() -> bytes:
            rows = last_minutes(follower.mirror.take(BASIS_TREND.code, ids), minutes)
            return document(
                {
                    "epoch": told(follower.epoch),
                    "basis": self._states(BASIS, now_ids),
                    "trend": listed(follower.states(BASIS_TREND, rows)),
                }
            )

        return Answer(self._etag([(BASIS_TREND, ids), (BASIS, now_ids)], "trend", minutes), body)

    def ids_of(self, field: str, codes: tuple[str, ...]) -> Ids:
        """Return the ids of symbols, in the order asked for.

        Raises
        ------
        BadParameter
            Nobody has introduced one of them.
        """
        ids = [self._follower.directory.find(code) for code in codes]
        if unknown := [code for code, found in zip(codes, ids, strict=True) if not found]:
            raise BadParameter(field, f"nobody has told of {', '.join(unknown)} today")
        return np.array(ids, np.int64)

    def _states(self, channel: Channel, ids: Ids) -> bytes:
        rows = self._follower.mirror.take(channel.code, ids)
        return listed(self._follower.states(channel, rows))

    def _members(self, index: str) -> NDArray[np.bool_]:
        """Return which ids belong to a basket or are listed at a venue; bool (capacity,)."""
        mirror = self._follower.mirror
        if index in BASKETS:
            baskets: NDArray[np.bool_] = (
                mirror.rows[REFERENCE.code]["indices"] & BASKETS[index] != 0
            )
            return baskets
        listed_at: NDArray[np.bool_] = mirror.rows[FOREIGN.code]["venue"] == VENUES[index]
        return listed_at

    def _etag(self, parts: list[tuple[Channel, Ids]], *more: object) -> str:
        """Return the tag of rows: a key's row is named by its epoch and seq, its name likewise."""
        mirror = self._follower.mirror
        shown = [
            item
            for channel, ids in parts
            for item in (ids, mirror.seq[channel.code][ids], mirror.seq[SYMBOL.code][ids])
        ]
        return etag_of(self._follower.epoch, *shown, *more)


def last_minutes(rows: Rows, minutes: int) -> Rows:
    """Return copies of rows of a series with only its last minutes.

    Parameters
    ----------
    rows
        Of channel basis.trend or index.series.
    minutes
        How many, counted back from the newest entry of each row.
    """
    rows = rows.copy()
    series = [name for name in rows.dtype.names or () if name.startswith("series_")]
    series.remove("series_count")
    for i in range(len(rows)):
        count = int(rows["series_count"][i])
        if not count:
            continue
        times = rows["series_exch_s"][i, :count].astype(np.int64)
        first = int(np.searchsorted(times, times[-1] - 60 * minutes, side="right"))
        for name in series:
            kept = rows[name][i, first:count].copy()
            rows[name][i] = 0
            rows[name][i, : count - first] = kept
        rows["series_count"][i] = count - first
    return rows

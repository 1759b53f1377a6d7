"""What happened: answers of /api/market/alerts, /feed and /gaps, from what the follower keeps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np

from engine.clock import iso_ict
from engine.schema.channels import ALERTS, FEED, GAPS
from engine.schema.codes import AlertType, FeedState, GapState, Severity
from gateway import status
from gateway.recent import Query
from gateway.rest.answers import Answer, document, etag_of, listed, told
from gateway.rest.follower import FEED_KEEP, Follower
from gateway.rest.market import Market

NS: Final = 1_000_000_000
ALERT_TYPES: Final = {code.name.lower(): code for code in AlertType if code}
SEVERITIES: Final = {code.name.lower(): code for code in Severity if code}
GAP_STATES: Final = {"open": GapState.OPEN, "closed": GapState.CLOSED, "all": GapState.NONE}

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeyQuery(Query):
    """A query for rows of some keys."""

    ids: frozenset[int] = frozenset()  # empty: of all

    def wants(self, row: np.void) -> bool:
        """Return whether a row is meant."""
        # No super() without arguments: slots make the class anew.
        return (not self.ids or int(row["symbol_id"]) in self.ids) and Query.wants(self, row)


class Notable:
    """Answers questions about events.

    Parameters
    ----------
    follower
        The rows.
    market
        Finds symbols.
    feed_state
        The ingest's verdict; None: nobody knows.
    """

    def __init__(
        self,
        follower: Follower,
        market: Market,
        feed_state: Callable[[], FeedState | None],
    ) -> None:
        self._follower = follower
        self._market = market
        self._feed_state = feed_state

    def alerts(self, values: Values) -> Answer:
        """Return the newest alerts, newest last."""
        follower = self._follower
        query = KeyQuery(
            ALERTS,
            values["limit"],
            ALERT_TYPES.get(values["type"] or ""),
            SEVERITIES.get(values["severity"] or "", Severity.NONE),
            frozenset(self._market.ids_of("symbol", values["symbol"]).tolist()),
        )
        texts = follower.alerts.find(query)  # written once, remembered
        return self._answer("alerts", texts)

    def feed(self, _values: Values) -> Answer:
        """Return the feed's verdict, and its states and outages, newest last."""
        follower = self._follower
        return self._answer(
            "states",
            follower.feed.find(Query(FEED, FEED_KEEP)),
            feed=status.feed(self._feed_state()),
            session=status.sessions(follower.latest_exch_s),
        )

    def gaps(self, values: Values) -> Answer:
        """Return what the feed did not show, last changed first."""
        follower = self._follower
        ids = set(self._market.ids_of("symbol", values["symbol"]).tolist())
        state = GAP_STATES[values["state"]]
        known = follower.directory.known
        found = (
            row
            for row in follower.gaps.newest()
            if known[row["symbol_id"][0]]
            and (not ids or int(row["symbol_id"][0]) in ids)
            and (not state or row["gap_state"][0] == state)
        )
        chosen = list(islice(found, values["limit"]))
        rows = np.concatenate(chosen) if chosen else np.zeros(0, GAPS.dtype)
        head = {"epoch": follower.epoch, "heard_since": _time(follower.heard_since_ns)}

        def body() -> bytes:
            shown = listed(follower.states(GAPS, rows))
            return document({**{name: told(x) for name, x in head.items()}, "gaps": shown})

        return Answer(etag_of("gaps", head, rows["symbol_id"], rows["gap_no"], rows["seq"]), body)

    def _answer(self, name: str, texts: list[str], **more: object) -> Answer:
        follower = self._follower
        head = {
            "epoch": follower.epoch,
            "heard_since": _time(follower.heard_since_ns),
            **more,
        }

        def body() -> bytes:
            return document({**{key: told(x) for key, x in head.items()}, name: listed(texts)})

        return Answer(etag_of(name, head, *texts), body)


def _time(stamp_ns: int) -> str:
    return iso_ict(stamp_ns // NS)

"""Is the tape alive, and where in its day is each venue? What hello and heartbeats say."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.clock import iso_ict, trade_day
from engine.market.sessions import ict_second, phase_at
from engine.schema import SCHEMA_ID
from engine.schema.codes import FeedState, Venue
from gateway.conversation import MESSAGES_PER_SECOND_MAX, Conversation, Limits, State
from gateway.groups import Format
from gateway.settings import GatewaySettings

PROTOCOL_VERSION = 1
LOAD_HEARTBEAT_NS = 5_000_000_000  # data flows and still: one heartbeat at least this often

FeedStateSource = Callable[[], FeedState | None]


def sessions(latest_exch_s: NDArray[np.uint32]) -> dict[str, str]:
    """Return the phase of every venue heard of, at the newest exchange time it stamped.

    Time is the exchange's own: in a replay the session is the replayed one.
    """
    found = {}
    for venue in Venue:
        exch_s = int(latest_exch_s[venue])
        if exch_s and venue is not Venue.UNKNOWN:
            found[venue.name] = phase_at(venue, trade_day(exch_s), ict_second(exch_s)).name
    return found


def feed(state: FeedState | None) -> dict[str, str]:
    """Return the feed's state as clients see it; nobody knowing is a state of its own."""
    return {"state": "unknown" if state is None else state.name.lower()}


def hello(
    settings: GatewaySettings,
    limits: Limits,
    form: Format,
    conversation: Conversation,
    epoch: str,
    state: FeedState | None,
    latest_exch_s: NDArray[np.uint32],
    now_ns: int,
    *,
    needs_token: bool,
) -> dict[str, object]:
    """Return the first frame of every connection."""
    token = conversation.token
    auth: dict[str, object] = {"auth": "none"}
    if conversation.state is State.WAITING:
        auth = {"auth": "required"}
    elif needs_token and token is not None:
        auth = {"auth": "ok", "name": token.name, "scopes": list(token.scopes)}
    return {
        "op": "hello",
        "v": PROTOCOL_VERSION,
        "format": form,
        **auth,
        "epoch": epoch,
        "schema": SCHEMA_ID,
        "session": sessions(latest_exch_s),
        "feed": feed(state),
        "limits": {
            "topics": limits.topics_max,
            "message_bytes": limits.message_bytes_max,
            "messages_per_s": MESSAGES_PER_SECOND_MAX,
            "connections": settings.clients_max,
            "address_clients": settings.address_clients_max,
            "replays": settings.replays_max,
            "budget_bytes": settings.client_budget_bytes,
            "intervals_ms": list(limits.intervals_ms),
        },
        "conflate_ms": settings.conflate_ms,
        "heartbeat_ms": settings.heartbeat_ms,
        "now_ns": now_ns,
    }


def heartbeat(
    state: FeedState | None,
    epoch: str,
    latest_exch_s: NDArray[np.uint32],
    lag_ns: int | None,
    now_ns: int,
) -> dict[str, object]:
    """Return a heartbeat: feed state, sessions, newest exchange time, lag.

    `lag_ns` is how long after our receipt of a message its deltas reached this gateway, as last
    measured; null before the first.
    """
    newest = int(latest_exch_s.max())
    return {
        "op": "heartbeat",
        "now_ns": now_ns,
        "epoch": epoch,
        "feed": feed(state),
        "session": sessions(latest_exch_s),
        "exch_time": iso_ict(newest) if newest else None,
        "lag_ns": lag_ns,
    }

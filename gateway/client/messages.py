"""What a user of the client sees."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Format = Literal["json", "bin"]
Link = Literal["connecting", "up", "waiting", "closed"]
Reason = Literal["lost", "resume", "skip", "bus", "epoch"]


class Update(NamedTuple):
    """One row of one key.

    Attributes
    ----------
    topic
        The key, such as `trade.FPT`.
    channel
        Its channel, such as `trade`.
    seq
        Number of the row: 1, 2, 3 ... per key and epoch.
    n
        How many rows this is news of, the last of which is `row`; 0 when it is no news.
    news
        False for a state that was asked for: do not count its trade.
    row
        The whole row: a dict in JSON, a ``numpy.void`` view (read only) in binary.
    merged
        Exact sums of the `n` rows (conflated trades only): a dict in JSON, a ``numpy.void`` in
        binary. None with n > 1: nothing is known of the n - 1 rows before this one.
    kind
        "snap" or "d", as the frame was.
    epoch
        The numbering that `seq` belongs to; an opaque text, "" while it is not known.
    """

    topic: str
    channel: str
    seq: int
    n: int
    news: bool
    row: Any
    merged: Any
    kind: Literal["snap", "d"]
    epoch: str


class Gap(NamedTuple):
    """Rows that were not told, and never will be.

    Attributes
    ----------
    topic
        The key, or None when the gateway cannot say which keys it is about.
    first_seq, last_seq
        The rows, both included; None when `topic` is. Of reason "epoch" in the new numbering, and
        last_seq is first_seq - 1 when nothing of it is missing.
    reason
        "resume": while away, and the gateway had not kept them. "skip": mode skip, we read too
        slowly. "bus": the gateway itself missed them. "epoch": numbering starts over; how the old
        one ended is not known. "lost": any other jump.
    """

    topic: str | None
    first_seq: int | None
    last_seq: int | None
    reason: Reason


class State(NamedTuple):
    """How it stands: show `feed` to your user, an old number must not look alive.

    Attributes
    ----------
    link
        "connecting", "up", "waiting" (for the next attempt) or "closed" (for good).
    feed
        State of the exchange feed as the gateway says: "live", "stale", "closed" and so on.
        "unknown" unless the link is up.
    session
        Venue -> phase, as the gateway said last.
    reason
        Why the link is not up, for people; else "".
    retry_in_s
        With link "waiting": how long.
    """

    link: Link
    feed: str = "unknown"
    session: Mapping[str, str] = {}
    reason: str = ""
    retry_in_s: float = 0.0


class Answer(NamedTuple):
    """What a request for topics led to.

    Attributes
    ----------
    topics
        Topic -> how it is delivered, as the gateway says (`mode`, `interval_ms`, `ch`, `seq` ...).
    refused
        Topic -> error code, such as 4004 for a topic that names nothing.
    """

    topics: Mapping[str, Mapping[str, Any]]
    refused: Mapping[str, int]


class Refused(Exception):
    """The gateway said no, and asking again would not help.

    Attributes
    ----------
    code
        Of client-protocol.md (4000, 4001 ...), or the HTTP status of a refused upgrade.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code

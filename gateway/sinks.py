"""A client as the fan-out sees it: where its bytes go, what it wants, and what it is owed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.groups import Format, Group, Subscriptions

if TYPE_CHECKING:
    from gateway.conflation import Lag
    from gateway.skipping import Skipped

Send = Callable[[bytes], int]


class Sink(Protocol):
    """Where a client's bytes go. Never waits."""

    def send(self, data: bytes) -> int:
        """Give to the kernel what it takes at once; return how many bytes that were.

        Only when nothing is queued: bytes must not overtake those that wait.

        Raises
        ------
        BlockingIOError
            It takes none.
        OSError
            The line is dead; its transport will say so.
        """
        ...

    def queue(self, data: bytes) -> None:
        """Put bytes behind those that wait for the kernel."""
        ...

    def buffered(self) -> int:
        """Return the bytes queued and not yet given to the kernel."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what is queued, then hang up."""
        ...


class Client:
    """One connection.

    Attributes
    ----------
    lags
        Interval in ms -> conflated keys it is owed.
    skipped
        What it was not sent in mode skip, while it is behind.
    grace_bytes
        What it asked for itself (snapshots, answers) is not held against it.
    heard_ns
        Last frame of its own; those of its group are in `Group.heard_ns`.
    told_ns
        Last heartbeat.
    """

    __slots__ = (
        "closed",
        "format",
        "grace_bytes",
        "group",
        "heard_ns",
        "lags",
        "sink",
        "skipped",
        "subscriptions",
        "told_ns",
        "warned",
    )

    def __init__(self, sink: Sink, form: Format = "json") -> None:
        self.sink = sink
        self.format: Format = form
        self.subscriptions: Subscriptions = {}
        self.group: Group | None = None
        self.lags: dict[int, Lag] = {}
        self.skipped: Skipped | None = None
        self.grace_bytes = 0
        self.heard_ns = 0
        self.told_ns = 0
        self.warned = False
        self.closed = False

    @property
    def last_heard_ns(self) -> int:
        """When it was sent anything last, alone or with its group."""
        group = self.group
        if group is not None and self in group.active:
            return max(self.heard_ns, group.heard_ns)
        return self.heard_ns

"""What is played and who hears it: the seam between the player and the two protocols."""

from collections.abc import Callable, Sequence
from typing import Protocol

# One message of the day: milliseconds since midnight in Vietnam, type, code, and the hub message
# as it stands in a v2 frame. What `engine.feed.synthetic.iter_messages` yields. It is the v2
# message also where a v3 client listens: faults edit lines, and a v3 subscription renders them.
Line = tuple[int, str, str, bytes]

# The time of the lines that greet a new subscriber: the last word on what came before.
GREETING_MS = 0


class Subscription(Protocol):
    """What one connection has asked for, and how it wants to be told."""

    @property
    def key(self) -> object:
        """Hashable; equal for connections that get the same bytes."""
        ...

    def __bool__(self) -> bool:
        """Return whether anything at all is wanted."""
        ...

    def wants(self, kind: str, code: str) -> bool:
        """Return whether lines of this v2 type (``X-TRADE``, ...) and code reach the client."""
        ...

    def frames(
        self, lines: Sequence[Line], per_frame: int, next_cursor: Callable[[], int]
    ) -> bytes:
        """Return what is wanted of `lines` as WebSocket frames in one piece; may be empty.

        Called once per distinct `key` and batch.

        Parameters
        ----------
        lines
            In order of sending; those of a greeting all carry the time `GREETING_MS`.
        per_frame
            Most messages in one frame, where the protocol can put several into one.
        next_cursor
            Returns a number no frame has had.
        """
        ...

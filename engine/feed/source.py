"""The seam between the outside and the engine: a source pushes frames and states into a sink."""

from typing import Protocol

from engine.errors import VntapeError
from engine.schema.codes import FeedState


class FeedError(VntapeError):
    """The link cannot be made or has broken. One line for an operator, never with a secret.

    Parameters
    ----------
    text
        The line. What it quotes from a server is cleaned before it is shown.
    status
        HTTP status that says so, in the status line or in the body; 0 when there is none.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Sink(Protocol):
    """Where a source delivers."""

    def on_frame(self, frame: memoryview | bytes, recv_ns: int) -> None:
        """Take one whole frame. The buffer is only valid during the call."""
        ...

    def on_state(self, state: FeedState, detail: str) -> None:
        """Take a change of the link's state, with one line that says why.

        The same state again is news about a link that goes on: an error the server reported.
        """
        ...


class Source(Protocol):
    """A feed."""

    async def run(self, sink: Sink) -> None:
        """Deliver until `stop` is called. A failing sink is a bug and ends the run."""
        ...

    def stop(self) -> None:
        """Make `run` close its connection and return."""
        ...

    def pause(self) -> None:
        """Stop reading. What has already been received may still be delivered.

        For sources that may be paced by their reader (a simulator, a recording); never called
        on a live feed, which drops what nobody reads.
        """
        ...

    def resume(self) -> None:
        """Read again."""
        ...

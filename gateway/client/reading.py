"""Messages of either format, as data frames for the ledger or as control messages."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from gateway.client.ledger import Data, Event, Ledger


class Reader:
    """Reads messages; rows go through the ledger to whoever wants them.

    Parameters
    ----------
    ledger
        Which rows are news.
    tell
        Called with every event, in order.
    """

    def __init__(self, ledger: Ledger, tell: Callable[[Event], None]) -> None:
        self._ledger, self._tell = ledger, tell
        self._read: Callable[[bytes], list[Data]] | None = None  # binary frames
        self._schema = ""
        self._waiting: list[bytes] = []  # binary frames that came before the layouts

    def begin(self, schema: str) -> bool:
        """Begin a connection; return whether its layouts are known."""
        self._waiting.clear()
        if self._schema != schema:
            self._read = None
        return self._read is not None

    def learn(self, answer: Mapping[str, Any], schema: str) -> None:
        """Take the layouts, and read what waited for them."""
        from gateway.client.layouts import Layouts  # numpy is needed for binary frames only

        self._read = Layouts(answer, self._ledger.channel_of).read
        self._schema = schema
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._rows(self._read(message), message)

    def read(self, message: bytes) -> Mapping[str, Any] | None:
        """Take a message; return it when it is no data."""
        if message[:1] != b"{":  # control messages are JSON in both formats
            if self._read is None:
                self._waiting.append(message)
            else:
                self._rows(self._read(message), message)
            return None
        frame: dict[str, Any] = json.loads(message)
        op = frame.get("op")
        if op != "d" and op != "snap":
            return frame
        data = Data(
            op,
            frame["ch"],
            frame["seq"],
            frame["n"],
            frame["data"],
            frame.get("merged"),
            frame.get("topic", ""),
            frame.get("epoch", ""),
        )
        self._rows([data], message)
        return None

    def _rows(self, frames: list[Data], message: bytes) -> None:
        self._ledger.received(frames[0], message)
        for frame in frames:
            for event in self._ledger.data(frame):
                self._tell(event)

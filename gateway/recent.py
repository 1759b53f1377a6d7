"""The last rows of a channel over all its keys: what a client that comes later can still ask for.

The mirror keeps one row per key. Of channels with ``Channel.keep`` (alerts) the last rows are
kept beside it, in the order they arrived. After a restart of the gateway that is what the snapshot
shows: the newest row of each key. A source that starts over takes its rows along.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import Channel
from engine.schema.codes import AlertType, Severity
from gateway.directory import Directory
from gateway.encode import JsonCodec


@dataclass(frozen=True, slots=True)
class Query:
    """What a client wants to see again."""

    channel: Channel
    limit: int
    alert_type: AlertType | None = None
    severity: Severity = Severity.NONE  # at least

    def wants(self, row: np.void) -> bool:
        """Return whether a row is meant. Who asks for a type or severity asks for alerts."""
        return (self.alert_type is None or bool(row["alert_type"] == self.alert_type)) and (
            self.severity is Severity.NONE or bool(row["severity"] >= self.severity)
        )


class _Entry:
    """A row, and its text once somebody asked for it."""

    __slots__ = ("row", "text")

    def __init__(self, row: NDArray[np.void]) -> None:
        self.row = row  # shape (1,)
        self.text = ""


class Recent:
    """Rows of one channel, oldest first.

    Parameters
    ----------
    channel
        With ``keep`` > 0: that many rows are remembered.
    codec
        Writes them.
    directory
        Rows whose key has no name yet are not shown.
    """

    def __init__(self, channel: Channel, codec: JsonCodec, directory: Directory) -> None:
        self._entries: deque[_Entry] = deque(maxlen=channel.keep)
        self._codec = codec
        self._directory = directory

    def add(self, rows: NDArray[np.void], *, in_order: bool) -> None:
        """Remember rows that are news.

        Parameters
        ----------
        rows
            Of the channel.
        in_order
            True as they were published. False: rows of a snapshot, which come by key; they are
            put in their place by the time we received what caused them.
        """
        entries = (_Entry(rows[i : i + 1].copy()) for i in range(len(rows)))
        if in_order:
            self._entries.extend(entries)
            return
        self._keep(sorted([*self._entries, *entries], key=lambda e: int(e.row["recv_ns"][0])))

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop the rows of these keys: their source starts over."""
        gone = set(ids.tolist())
        self._keep(entry for entry in self._entries if int(entry.row["symbol_id"][0]) not in gone)

    def find(self, query: Query) -> list[str]:
        """Return the newest rows that are meant as JSON objects, newest last."""
        return list(islice(self._texts(query), query.limit))[::-1]

    def _texts(self, query: Query) -> Iterator[str]:
        for entry in reversed(self._entries):
            row = entry.row[0]
            if self._directory.known[row["symbol_id"]] and query.wants(row):
                entry.text = entry.text or self._codec.states(entry.row)[0]
                yield entry.text

    def _keep(self, entries: Iterable[_Entry]) -> None:
        kept = list(entries)
        self._entries.clear()
        self._entries.extend(kept)

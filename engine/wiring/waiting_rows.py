"""Rows of one table that wait for their segment, as columns as soon as somebody asks."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.history.tables import Table, empty, join, to_arrow
from engine.schema.channels import Channel


class WaitingRows:
    """Collects rows of a table's channels.

    Parameters
    ----------
    table
        Which one.

    Attributes
    ----------
    count
        Rows that wait.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.count = 0
        self._columns: list[pa.Table] = []
        self._raw: list[tuple[Channel, NDArray[np.void]]] = []

    def add(self, channel: Channel, rows: NDArray[np.void]) -> None:
        """Keep rows of a channel; they are copied."""
        self.count += len(rows)
        self._raw.append((channel, rows.copy()))

    def columns(self, codes: NDArray[np.bytes_]) -> pa.Table:
        """Return all rows as columns; what was turned into columns before is not again.

        Parameters
        ----------
        codes
            S16 (symbol_capacity,): the code of each symbol_id.
        """
        by_channel: dict[int, tuple[Channel, list[NDArray[np.void]]]] = {}
        for channel, rows in self._raw:
            by_channel.setdefault(channel.code, (channel, []))[1].append(rows)
        self._raw = []
        self._columns += [
            to_arrow(self.table, channel, _joined(parts), codes)
            for channel, parts in by_channel.values()
        ]
        if len(self._columns) > 1:
            self._columns = [join(self._columns)]
        return self._columns[0] if self._columns else empty(self.table)


def _joined(parts: list[NDArray[np.void]]) -> NDArray[np.void]:
    """Return arrays of records as one: joined as bytes, which numpy does at once, not by field."""
    whole: NDArray[np.void] = np.concatenate([part.view(np.uint8) for part in parts])
    return whole.view(parts[0].dtype)

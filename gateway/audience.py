"""Which groups want which keys, for one way of delivery (mode all, mode skip, one interval).

A group is a column, a key a row of bits, one table per channel. A batch of rows looks up its keys
and has every group that wants any of them, without asking the others: a thousand clients with
a thousand different watch lists cost what those few cost that want the rows.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.groups import Group, Masks

BITS = 8


class Audience:
    """Groups by the keys they want.

    Parameters
    ----------
    capacity
        Ids of keys.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._groups: list[Group | None] = []  # by column
        self._masks: dict[Group, tuple[int, Masks]] = {}
        self._free: list[int] = []
        self._bits: dict[int, NDArray[np.uint8]] = {}  # code -> (capacity, columns / 8)
        self._wanted: dict[int, NDArray[np.int32]] = {}  # code -> (capacity,): by how many groups

    def __len__(self) -> int:
        return len(self._masks)

    def __contains__(self, group: Group) -> bool:
        return group in self._masks

    def __iter__(self) -> Iterator[Group]:
        return iter(self._masks)

    def put(self, group: Group, masks: Masks) -> None:
        """Add a group, or give it other masks; without masks it is removed."""
        self.remove(group)
        if not masks:
            return
        if self._free:
            column = self._free.pop()
            self._groups[column] = group
        else:
            column = len(self._groups)
            self._groups.append(group)
        self._masks[group] = (column, masks)
        byte, bit = divmod(column, BITS)
        for code, mask in masks.items():
            table = self._table(code, byte)
            table[:, byte] |= mask.astype(np.uint8) << bit
            self._wanted[code] += mask

    def remove(self, group: Group) -> None:
        """Forget a group; nothing happens when it is not here."""
        column, masks = self._masks.pop(group, (-1, {}))
        if column < 0:
            return
        byte, bit = divmod(column, BITS)
        for code, mask in masks.items():
            self._bits[code][:, byte] &= np.uint8(255 ^ 1 << bit)
            self._wanted[code] -= mask
        self._groups[column] = None
        self._free.append(column)

    def codes(self) -> list[int]:
        """Return the channels that anybody wants something of."""
        return [code for code, wanted in self._wanted.items() if wanted.any()]

    def watched(self, code: int) -> NDArray[np.bool_] | None:
        """Return which keys of a channel anybody wants, None for none ever."""
        wanted = self._wanted.get(code)
        return None if wanted is None else wanted > 0

    def masks(self, group: Group) -> Masks:
        """Return what a group wants here."""
        return self._masks[group][1] if group in self._masks else {}

    def hits(
        self, code: int, ids: NDArray[np.int64]
    ) -> list[tuple[Group, NDArray[np.bool_] | None]]:
        """Return who wants rows of these keys.

        Returns
        -------
        list of (group, keep)
            `keep` is bool (n,) over `ids`; None when the group wants all of them.
        """
        table = self._bits.get(code)
        if table is None:
            return []
        rows = table[ids]
        some = np.bitwise_or.reduce(rows, axis=0)
        every = np.bitwise_and.reduce(rows, axis=0)
        found: list[tuple[Group, NDArray[np.bool_] | None]] = []
        columns = np.flatnonzero(np.unpackbits(some, bitorder="little")).tolist()
        for column in columns:
            group = self._groups[column]
            assert group is not None, "a column without its group"
            byte, bit = divmod(column, BITS)
            whole = bool(every[byte] >> bit & 1)
            found.append((group, None if whole else (rows[:, byte] >> bit & 1).astype(np.bool_)))
        return found

    def _table(self, code: int, byte: int) -> NDArray[np.uint8]:
        """Return a channel's table with room for a column in this byte."""
        table = self._bits.get(code)
        if table is None:
            table = np.zeros((self._capacity, byte + 1), np.uint8)
            self._wanted[code] = np.zeros(self._capacity, np.int32)
        elif table.shape[1] <= byte:
            wider = np.zeros((self._capacity, max(byte + 1, 2 * table.shape[1])), np.uint8)
            wider[:, : table.shape[1]] = table
            table = wider
        self._bits[code] = table
        return table

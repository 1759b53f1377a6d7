"""Picking rows out of structured arrays, as bytes.

numpy moves structured rows field by field; seen as opaque bytes of the same size they move ten
times faster. The result is the same, byte for byte.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def opaque(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Return a view of one-dimensional contiguous rows as bytes without fields."""
    return rows.view(f"V{rows.dtype.itemsize}")


def pick(rows: NDArray[np.void], index: NDArray[Any]) -> NDArray[np.void]:
    """Return ``rows[index]``, a copy, for an array of ids or a mask."""
    chosen: NDArray[np.void] = opaque(rows)[index].view(rows.dtype)
    return chosen


def joined_rows(parts: list[NDArray[np.void]]) -> NDArray[np.void]:
    """Return ``np.concatenate(parts)`` of rows of one dtype; a single part is not copied."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([opaque(part) for part in parts]).view(parts[0].dtype)

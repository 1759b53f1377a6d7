"""Which code is which symbol_id. Learnt from the `symbol` channel, so it needs no other source."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.slots import CODE_BYTES


class Directory:
    """Codes, ids and what the gateway must know of a symbol.

    Attributes
    ----------
    known
        bool (capacity,): ids that have a name; everything else cannot be shown to a client.
    multiplier
        int64 (capacity,): VND per 1.00 of price and unit of volume.
    version
        Grows with every change, so that others know when to look again.
    """

    def __init__(self, capacity: int) -> None:
        self.known: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self.multiplier: NDArray[np.int64] = np.ones(capacity, np.int64)
        self.version: int = 0
        self._codes: Final = np.zeros(capacity, f"S{CODE_BYTES}")
        self._ids: dict[str, int] = {}

    def learn(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Take rows of the `symbol` channel; return the ids that are new or changed their name."""
        changed = []
        for symbol_id, code, multiplier in zip(
            rows["symbol_id"].tolist(),
            rows["code"].tolist(),
            rows["value_multiplier"].tolist(),
            strict=True,
        ):
            self.multiplier[symbol_id] = multiplier
            if self.known[symbol_id]:
                if self._codes[symbol_id] == code:
                    continue
                self._ids.pop(self.code(symbol_id), None)
            self._codes[symbol_id] = code
            self.known[symbol_id] = True
            self._ids[self.code(symbol_id)] = symbol_id
            changed.append(symbol_id)
        self.version += bool(changed)
        return np.array(changed, np.int64)

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop the names of these ids: their shard starts over."""
        for symbol_id in ids[self.known[ids]].tolist():
            self._ids.pop(self.code(symbol_id), None)
        self.known[ids] = False
        self.version += 1

    def code(self, symbol_id: int) -> str:
        """Return the code of an id; bytes that are not ASCII are shown escaped."""
        return bytes(self._codes[symbol_id]).decode("ascii", "backslashreplace")

    def find(self, code: str) -> int:
        """Return the id of a code, 0 when nobody has introduced it."""
        return self._ids.get(code, 0)

    def codes(self) -> list[str]:
        """Return all codes, sorted."""
        return sorted(self._ids)

    def match(self, pattern: str, *, prefix: bool) -> NDArray[np.bool_]:
        """Return which ids a pattern names: exactly one code, or all that start with it."""
        if not prefix:
            mask = np.zeros_like(self.known)
            mask[self.find(pattern)] = True
            return mask & self.known
        if not pattern:
            return self.known.copy()
        return np.char.startswith(self._codes, pattern.encode("ascii", "replace")) & self.known

"""Which code is which id. Learnt from the `symbol` channel, so it needs no other source.

There are two namespaces, because VN30 is an index and a basket of the market-wide board: the
symbols, and the board's own keys. A channel's keys are of one of them (``Channel.board``).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.codes import Instrument
from engine.schema.slots import CODE_BYTES


class Directory:
    """Codes, ids and what the gateway must know of a key.

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
        self._board: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self._codes: Final = np.zeros(capacity, f"S{CODE_BYTES}")
        self._ids: tuple[dict[str, int], dict[str, int]] = ({}, {})  # of symbols, of the board
        self._sorted: dict[bool, tuple[int, list[str]]] = {}  # board -> version, codes: many ask

    def learn(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """Take rows of the `symbol` channel; return the ids that are new or changed their name."""
        changed = []
        for symbol_id, code, multiplier, instrument in zip(
            rows["symbol_id"].tolist(),
            rows["code"].tolist(),
            rows["value_multiplier"].tolist(),
            rows["instrument"].tolist(),
            strict=True,
        ):
            self.multiplier[symbol_id] = multiplier
            board = instrument == Instrument.BOARD
            if self.known[symbol_id]:
                if self._codes[symbol_id] == code and self._board[symbol_id] == board:
                    continue
                self._unname(symbol_id)
            self._codes[symbol_id], self._board[symbol_id] = code, board
            self.known[symbol_id] = True
            self._ids[board][self.code(symbol_id)] = symbol_id
            changed.append(symbol_id)
        self.version += bool(changed)
        return np.array(changed, np.int64)

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop the names of these ids: their source starts over."""
        for symbol_id in ids[self.known[ids]].tolist():
            self._unname(symbol_id)
        self.known[ids] = False
        self.version += 1

    def _unname(self, symbol_id: int) -> None:
        self._ids[bool(self._board[symbol_id])].pop(self.code(symbol_id), None)

    def code(self, symbol_id: int) -> str:
        """Return the code of an id; bytes that are not ASCII are shown escaped."""
        return bytes(self._codes[symbol_id]).decode("ascii", "backslashreplace")

    def name(self, key_id: int, *, board: bool) -> str | None:
        """Return the code of an id, None when it has none among symbols, or the board's keys."""
        named = self.known[key_id] and bool(self._board[key_id]) == board
        return self.code(key_id) if named else None

    def find(self, code: str, *, board: bool = False) -> int:
        """Return the id of a symbol, or of a key of the board; 0 when nobody has introduced it."""
        return self._ids[board].get(code, 0)

    def codes(self, *, board: bool = False) -> list[str]:
        """Return all codes of symbols, or of the board, sorted; not to be changed."""
        version, codes = self._sorted.get(board, (-1, []))
        if version != self.version:
            codes = sorted(self._ids[board])
            self._sorted[board] = (self.version, codes)
        return codes

    def match(self, pattern: str, *, prefix: bool, board: bool = False) -> NDArray[np.bool_]:
        """Return which ids a pattern names: exactly one code, or all that start with it."""
        ours: NDArray[np.bool_] = self.known & (self._board == board)
        if not prefix:
            mask = np.zeros_like(self.known)
            mask[self.find(pattern, board=board)] = True
            ours &= mask
        elif pattern:
            ours &= np.char.startswith(self._codes, pattern.encode("ascii", "replace"))
        return ours

"""Events and rows as they come, then sorted into one day."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic.day import EVENT, FOREIGN, INDEX, ODD_LOT, QUOTE, TRADE, EventKind
from engine.feed.synthetic.tape import Tape


class Merge:
    """Collects the events of all symbols, kind by kind."""

    _TABLES: Final = {
        EventKind.TRADE: TRADE,
        EventKind.QUOTE: QUOTE,
        EventKind.FOREIGN: FOREIGN,
        EventKind.INDEX: INDEX,
        EventKind.ODD_LOT: ODD_LOT,
    }

    def __init__(self) -> None:
        self._events: list[NDArray[np.void]] = []
        self._rows: dict[EventKind, list[NDArray[np.void]]] = {
            kind: [np.empty(0, dtype)] for kind, dtype in self._TABLES.items()
        }
        self._counts = dict.fromkeys(self._TABLES, 0)

    def add(
        self,
        kind: EventKind,
        symbol: int,
        time_ms: NDArray[np.int64],
        session: NDArray[np.uint8],
        rows: NDArray[np.void] | None = None,
    ) -> None:
        """Add events of one kind and symbol, ascending in time."""
        events = np.zeros(time_ms.size, EVENT)
        events["time_ms"], events["symbol"] = time_ms, symbol
        events["kind"], events["session"] = kind, session
        if rows is not None:
            events["row"] = self._take(kind, rows) + np.arange(rows.size)
        self._events.append(events)

    def add_tape(self, symbol: int, tape: Tape) -> None:
        """Add one symbol's prints and books, which are interleaved."""
        events = np.zeros(tape.time_ms.size, EVENT)
        events["time_ms"], events["symbol"] = tape.time_ms, symbol
        events["session"] = tape.session
        events["kind"] = np.where(tape.is_trade, EventKind.TRADE, EventKind.QUOTE)
        for kind, mine, rows in (
            (EventKind.TRADE, tape.is_trade, tape.trades),
            (EventKind.QUOTE, ~tape.is_trade, tape.quotes),
        ):
            events["row"][mine] = self._take(kind, rows) + np.arange(rows.size)
        self._events.append(events)

    def sorted(self) -> tuple[NDArray[np.void], dict[EventKind, NDArray[np.void]]]:
        """Return all events by time, ties in the order of adding, and the tables in step."""
        events = np.concatenate(self._events)
        events = events[np.argsort(events["time_ms"], kind="stable")]
        tables = {}
        for kind, parts in self._rows.items():
            mine = events["kind"] == kind
            tables[kind] = np.concatenate(parts)[events["row"][mine]]
            events["row"][mine] = np.arange(tables[kind].size)
        return events, tables

    def _take(self, kind: EventKind, rows: NDArray[np.void]) -> int:
        first = self._counts[kind]
        self._rows[kind].append(rows)
        self._counts[kind] += rows.size
        return first

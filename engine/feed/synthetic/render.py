"""Events to bytes: SSI v2 hub messages and the SignalR frames that carry them.

Everything constant about a symbol is written into %-templates once, already escaped for its
place two strings deep; prices, book sides and changes are written once per rung. What is left
for a message is one formatting of a dozen pieces.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.feed.synthetic.day import Day, EventKind
from engine.feed.synthetic.faces import IndexFace, StockFace
from engine.feed.synthetic.text import clock
from engine.schema.codes import FeedSession, Side

PAIR_TYPES: Final = frozenset({"X-QUOTE", "X-TRADE", "R", "MI", "F"})
X_TYPES: Final = frozenset({"X", "R", "MI", "F"})
ALL_TYPES: Final = frozenset({"X", "X-QUOTE", "X-TRADE", "R", "MI", "F", "B", "OL"})

SESSION_TEXT: Final = {code: "" if code is FeedSession.NONE else code.name for code in FeedSession}
SIDE_TEXT: Final = {
    Side.UNKNOWN: "Unknown",
    Side.BUY: "BU",
    Side.SELL: "SD",
    Side.NEUTRAL: "Unknown",
}
_SESSIONS: Final = [SESSION_TEXT[code] for code in FeedSession]
_SIDES: Final = [SIDE_TEXT[code] for code in Side]
# Plain integers: they compare faster than IntEnum members, and the loop compares a lot.
QUOTE, TRADE, STATUS, FOREIGN, INDEX, SNAPSHOT = (
    int(kind)
    for kind in (
        EventKind.QUOTE,
        EventKind.TRADE,
        EventKind.STATUS,
        EventKind.FOREIGN,
        EventKind.INDEX,
        EventKind.SNAPSHOT,
    )
)
_CHUNK: Final = 16_384  # events turned into Python numbers at a time

Message = tuple[int, str, str, bytes]
Channels = Collection[str] | Mapping[str, Collection[str] | None]


def iter_messages(
    day: Day, types: Channels = PAIR_TYPES, symbols: Collection[str] | None = None
) -> Iterator[Message]:
    """Render a day, message by message, in order of time.

    Parameters
    ----------
    day
        From `plan_day`.
    types
        SSI message types: X, X-QUOTE, X-TRADE, R, MI, F, B, OL. Or a mapping from type to the
        codes wanted of it, None meaning all: what ``X:SSI-VND,MI:ALL`` subscribes to.
    symbols
        Codes wanted of every type; None for all. Index ids count as codes, in any case.

    Yields
    ------
    tuple
        Time of day in ms (ICT), message type, code, and the hub message
        ``{"H":...,"M":"Broadcast","A":[...]}`` as it stands inside a frame. An event that several
        types carry (a match in X, X-TRADE and B) yields one message for each.

    Raises
    ------
    ValueError
        An unknown message type.
    """
    wanted = {
        name: None if codes is None else frozenset(code.upper() for code in codes)
        for name, codes in _by_type(types, symbols).items()
    }
    unknown = wanted.keys() - ALL_TYPES
    if unknown:
        raise ValueError(f"no such message type: {', '.join(sorted(unknown))}")
    return _render(day, wanted)


def iter_zero_messages(
    day: Day, time_ms: int, types: Collection[str] = PAIR_TYPES
) -> Iterator[Message]:
    """Render what a server says of every symbol when it starts in the morning: nothing but zeroes.

    Parameters
    ----------
    day
        From `plan_day`; only who is listed matters.
    time_ms
        Time of day (ICT) the messages are stamped with.
    types
        Message types; of these X, X-QUOTE and X-TRADE have such a message.

    Yields
    ------
    tuple
        As from `iter_messages`; session C (ssi-wire 3.2).
    """
    date, now = f"{day.date:%d/%m/%Y}", clock(time_ms // 1000)
    phase = SESSION_TEXT[FeedSession.C]
    for place, symbol in enumerate(day.symbols):
        face = StockFace(symbol, place, date)
        for kind, write in (
            ("X", face.snapshot),
            ("X-QUOTE", face.zero_quote),
            ("X-TRADE", face.zero_trade),
        ):
            if kind in types:
                yield time_ms, kind, face.code, write(now, phase)


def frames(
    day: Day,
    messages_per_frame: int = 1,
    types: Channels = PAIR_TYPES,
    symbols: Collection[str] | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Render a day as SignalR data frames.

    Parameters
    ----------
    messages_per_frame
        Most hub messages in one frame (a real server sends up to 10). A frame never mixes
        seconds, so it can be sent when its time comes.
    day, types, symbols
        As for `iter_messages`.

    Yields
    ------
    tuple
        Time of day in ms (ICT) of the frame's last message, and the frame.
    """
    if messages_per_frame < 1:
        raise ValueError(f"messages_per_frame is {messages_per_frame}, a frame needs one")
    pending: list[bytes] = []
    last_ms = 0
    number = 0
    for time_ms, _, _, message in iter_messages(day, types, symbols):
        full = len(pending) == messages_per_frame
        if pending and (full or time_ms // 1000 != last_ms // 1000):
            yield last_ms, frame(number, pending)
            number += 1
            pending = []
        pending.append(message)
        last_ms = time_ms
    if pending:
        yield last_ms, frame(number, pending)


def frame(number: int, messages: list[bytes]) -> bytes:
    """Put hub messages into one frame; the cursor `C` changes with `number` (ssi-wire 1.4)."""
    return b'{"C":"d-8F1AB453-B,%X|C,0|D,1|E,0","M":[%b]}' % (number, b",".join(messages))


def _by_type(
    types: Channels,
    symbols: Collection[str] | None,
) -> dict[str, Collection[str] | None]:
    """Return what is wanted of each type, `symbols` applied to all."""
    asked = types if isinstance(types, Mapping) else dict.fromkeys(types)
    if symbols is None:
        return dict(asked)
    return {
        name: symbols if codes is None else set(codes) & set(symbols)
        for name, codes in asked.items()
    }


def _flags(codes: list[str], wanted: Mapping[str, frozenset[str] | None], name: str) -> list[bool]:
    """Return for each symbol whether messages of a type are wanted."""
    if name not in wanted:
        return [False] * len(codes)
    chosen = wanted[name]
    return [chosen is None or code.upper() in chosen for code in codes]


def _render(day: Day, wanted: Mapping[str, frozenset[str] | None]) -> Iterator[Message]:
    codes = [symbol.code for symbol in day.symbols]
    date = f"{day.date:%d/%m/%Y}"
    faces = [StockFace(symbol, place, date) for place, symbol in enumerate(day.symbols)]
    index_faces = [IndexFace(index, date) for index in day.indices]
    x, quote, trade, status, foreign, bar, odd = (
        _flags(codes, wanted, name) for name in ("X", "X-QUOTE", "X-TRADE", "F", "R", "B", "OL")
    )
    index = _flags([each.code for each in day.indices], wanted, "MI")
    for events in _needed(day, wanted):
        quotes, trades, foreigns, values, odd_lots = (_cells(day, each, events) for each in COLUMNS)
        for time_ms, symbol, kind, session in zip(
            *(events[name].tolist() for name in ("time_ms", "symbol", "kind", "session")),
            strict=True,
        ):
            now = clock(time_ms // 1000)
            phase = _SESSIONS[session]
            if kind == QUOTE:
                row = next(quotes)
                face = faces[symbol]
                if quote[symbol] or x[symbol]:
                    bids, asks = face.sides(row)
                    if x[symbol]:
                        yield (
                            time_ms,
                            "X",
                            face.code,
                            face.x_after_quote(now, phase, bids, asks, row[4]),
                        )
                    if quote[symbol]:
                        yield (
                            time_ms,
                            "X-QUOTE",
                            face.code,
                            (face.quote_template % (now, *asks, *bids, phase)).encode(),
                        )
            elif kind == TRADE:
                row = next(trades)
                face = faces[symbol]
                if x[symbol]:
                    yield time_ms, "X", face.code, face.x_after_trade(now, phase, row)
                if trade[symbol]:
                    yield time_ms, "X-TRADE", face.code, face.trade(now, phase, row, _SIDES[row[4]])
                if bar[symbol]:
                    yield time_ms, "B", face.code, face.bar(now, row)
            elif kind == STATUS:
                if status[symbol]:
                    yield time_ms, "F", codes[symbol], faces[symbol].status(now, phase)
            elif kind == FOREIGN:
                row = next(foreigns)
                if foreign[symbol]:
                    yield time_ms, "R", codes[symbol], faces[symbol].foreign(now, row)
            elif kind == INDEX:
                row = next(values)
                if index[symbol]:
                    yield (
                        time_ms,
                        "MI",
                        index_faces[symbol].code,
                        index_faces[symbol].value(now, phase, row),
                    )
            elif kind == SNAPSHOT:
                if x[symbol]:
                    yield time_ms, "X", codes[symbol], faces[symbol].snapshot(now, phase)
            elif odd[symbol]:
                yield (
                    time_ms,
                    "OL",
                    codes[symbol],
                    faces[symbol].odd_lot(now, phase, next(odd_lots)),
                )
            else:
                next(odd_lots)


# Which kinds of event a message type is made of.
_KINDS: Final = {
    "X": (EventKind.QUOTE, EventKind.TRADE, EventKind.SNAPSHOT),
    "X-QUOTE": (EventKind.QUOTE,),
    "X-TRADE": (EventKind.TRADE,),
    "B": (EventKind.TRADE,),
    "F": (EventKind.STATUS,),
    "R": (EventKind.FOREIGN,),
    "MI": (EventKind.INDEX,),
    "OL": (EventKind.ODD_LOT,),
}


def _needed(day: Day, wanted: Mapping[str, frozenset[str] | None]) -> Iterator[NDArray[np.void]]:
    """Yield stretches of the events of the kinds that are wanted, nothing else."""
    kinds = np.zeros(256, np.bool_)
    for name in wanted:
        kinds[list(_KINDS[name])] = True
    for first in range(0, day.events.size, _CHUNK):
        events = day.events[first : first + _CHUNK]
        chosen = events[kinds[events["kind"]]]
        if chosen.size:
            yield chosen


def _cells(day: Day, kind: EventKind, events: NDArray[np.void]) -> Iterator[tuple[Any, ...]]:
    """Return the table rows of one kind in a stretch, as tuples of the columns faces ask for."""
    table = day.table_of(kind)
    assert table is not None, f"{kind!r} has no table"
    rows = events["row"][events["kind"] == kind]
    if rows.size == 0:
        return iter(())
    stretch = table[rows[0] : int(rows[-1]) + 1]
    return zip(*(stretch[name].tolist() for name in COLUMNS[kind]), strict=True)


COLUMNS: Final = {
    EventKind.QUOTE: (
        "bid_rung",
        "bid_volume",
        "ask_rung",
        "ask_volume",
        "estimate_rung",
        "bid_depth",
        "ask_depth",
    ),
    EventKind.TRADE: (
        "rung",
        "volume",
        "high_rung",
        "low_rung",
        "side",
        "total_volume",
        "total_value_vnd",
    ),
    EventKind.FOREIGN: ("room", "buy_volume", "sell_volume", "buy_value_vnd", "sell_value_vnd"),
    EventKind.INDEX: (
        "value_e2",
        "volume",
        "value_vnd",
        "advances",
        "unchanged",
        "declines",
        "ceilings",
        "floors",
        "put_through_volume",
        "put_through_value_vnd",
    ),
    EventKind.ODD_LOT: (
        "rung",
        "open_rung",
        "high_rung",
        "low_rung",
        "bid_rung",
        "ask_rung",
        "volume",
        "total_volume",
        "total_value_vnd",
        "bid_volume",
        "ask_volume",
    ),
}

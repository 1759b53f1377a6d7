"""The plain path: orjson three times, then the field table. It decides what every frame means.

The scanner must agree with it to the byte; what the scanner declines, it decodes. It tolerates what
the feed is known to do (ssi-wire 3.9): any key order, unknown keys, aliases, numbers as text,
"NaN", null, exponents, Content as an object, and any other JSON spelling of the same.

What a frame is (ssi-wire 1.4)                                  counted as
--------------------------------------------------------------  ------------------------------------
``{}``, init (``S``), closing (``T``), empty ``M``, ``{"I":..}``  one keepalive
``{"I":..,"E":..}``, a hub message with method Error            one hub error
a Broadcast                                                     one message: slots, or a rejection
any other hub method, another hub, another shape                one message, rejected MESSAGE_SHAPE
not JSON, or not such an object                                 one message, rejected FRAME_...
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.decode.dates import BAD_STAMP, NO_HORIZON_S, latest_s, stamp_s
from engine.decode.fields import MESSAGE_TYPES, NUMBERS, TYPE_BY_NAME, Kind, MessageType
from engine.decode.grammar import place_of
from engine.decode.numbers import BadValueError, fixed_point, is_absent
from engine.decode.outcome import Head, Outcome
from engine.decode.symbols import SymbolTable
from engine.decode.values import code_of, first, session_of, side_of, status_of, venue_of
from engine.schema.codes import Instrument, Reject, SourceType, Venue
from engine.schema.slots import SLOT_BYTES, STATUS

HUB = "fcmarketdatav2hub"  # SignalR compares hub names without case, method names with it


@dataclass(frozen=True, slots=True)
class _Number:
    """One stored number of a type: its keys, and its place among the message's slots."""

    keys: tuple[str, ...]
    decimals: int
    maximum: int
    required: bool
    is_i8: bool
    place: int  # in int64s or int32s from the first slot

    def read(self, record: dict[str, Any]) -> int:
        raw = first(record, self.keys)
        if is_absent(raw):
            if self.required:
                raise BadValueError(Reject.MISSING_FIELD)
            return 0
        return fixed_point(raw, self.decimals, self.maximum)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The field table of one type, sorted by what the oracle does with it."""

    heads: dict[Kind, tuple[str, ...]]  # wire keys by kind, the canonical one first
    numbers: tuple[_Number, ...]


def _plan(message_type: MessageType) -> _Plan:
    return _Plan(
        {
            each.kind: (each.wire, *each.aliases)
            for each in message_type.fields
            if each.kind not in NUMBERS and each.kind != Kind.SKIP
        },
        tuple(
            _Number(
                (each.wire, *each.aliases),
                2 if each.kind == Kind.PRICE_E2 else 0,
                each.maximum,
                each.required,
                each.kind == Kind.COUNT_I8,
                place_of(message_type, each),
            )
            for each in message_type.fields
            if each.kind in NUMBERS
        ),
    )


_PLANS = {message_type.name: _plan(message_type) for message_type in MESSAGE_TYPES}


class Oracle:
    """Decodes one frame at a time, with the symbol table it shares with the scanner.

    Parameters
    ----------
    symbols
        Ids are taken from here, new codes are interned here.
    horizon_s
        Seconds a stamp may lie after its frame's arrival; beyond, the message is BAD_TIME.
    """

    def __init__(self, symbols: SymbolTable, horizon_s: int = NO_HORIZON_S) -> None:
        self._symbols = symbols
        self._horizon_s = horizon_s

    def decode(self, frame: bytes, recv_ns: int, out: NDArray[np.void], at: int) -> Outcome:
        """Write the frame's slots to ``out[at:]`` (dtype SLOT; room is the caller's duty)."""
        outcome = Outcome()
        try:
            parsed = orjson.loads(frame)
        except orjson.JSONDecodeError:
            outcome.reject(Reject.FRAME_NOT_JSON)
            return outcome
        if not isinstance(parsed, dict):
            outcome.reject(Reject.FRAME_SHAPE)
        elif "I" in parsed:
            if is_absent(parsed.get("E")):
                outcome.keepalives = 1
            else:
                outcome.hub_errors = 1
        elif isinstance(parsed.get("M"), list):
            for message in parsed["M"]:
                self._hub_message(message, recv_ns, out, at, outcome)
            outcome.keepalives = 0 if parsed["M"] else 1
        elif "M" not in parsed and (not parsed or "S" in parsed or "T" in parsed):
            outcome.keepalives = 1
        else:
            outcome.reject(Reject.FRAME_SHAPE)
        return outcome

    def _hub_message(
        self, message: object, recv_ns: int, out: NDArray[np.void], at: int, outcome: Outcome
    ) -> None:
        """Decode one element of M."""
        if isinstance(message, dict) and message.get("M") == "Error":
            outcome.hub_errors += 1
            return
        try:
            slot_count, exch_s = self._broadcast(message, recv_ns, out, at + outcome.slot_count)
        except BadValueError as bad:
            outcome.reject(bad.reason)
            return
        outcome.accept(slot_count, exch_s)

    def _broadcast(
        self, message: object, recv_ns: int, out: NDArray[np.void], at: int
    ) -> tuple[int, int]:
        """Return how many slots a Broadcast became, and its exch_s."""
        if not isinstance(message, dict) or message.get("M") != "Broadcast":
            raise BadValueError(Reject.MESSAGE_SHAPE)
        if str(message.get("H", HUB)).lower() != HUB:
            raise BadValueError(Reject.MESSAGE_SHAPE)
        arguments = message.get("A")
        if not isinstance(arguments, list) or len(arguments) != 1:
            raise BadValueError(Reject.MESSAGE_SHAPE)
        envelope = _object(arguments[0], text_only=True)
        name = first(envelope, ("DataType", "datatype", "Datatype"))
        if not isinstance(name, str):
            raise BadValueError(Reject.MESSAGE_SHAPE)
        message_type = TYPE_BY_NAME.get(name)
        if message_type is None:
            raise BadValueError(Reject.UNKNOWN_TYPE)
        record = _object(first(envelope, ("Content", "content")))
        plan = _PLANS[message_type.name]
        head = self._head(message_type, record, recv_ns)
        numbers = [(each, each.read(record)) for each in plan.numbers]
        # Nothing below refuses the message but a full table: a rejection leaves no trace.
        head.intern(
            self._symbols, Instrument.INDEX if message_type.source == SourceType.MI else None
        )
        mine = head.introduce(self._symbols, out, at)
        head.write(out, mine, message_type.kinds)
        i4, i8 = out.view(np.int32), out.view(np.int64)
        base_i4, base_i8 = mine * (SLOT_BYTES // 4), mine * (SLOT_BYTES // 8)
        for each, value in numbers:
            if each.is_i8:
                i8[base_i8 + each.place] = value
            else:
                i4[base_i4 + each.place] = value
        if message_type.source == SourceType.F:
            out.view(STATUS)[mine]["odd_lot_session"] = session_of(record.get("TradingOlSession"))
        return mine + len(message_type.kinds) - at, head.exch_s

    def _head(self, message_type: MessageType, record: dict[str, Any], recv_ns: int) -> Head:
        """Read what is not a number, in the order of the reasons a message is refused for."""
        keys = _PLANS[message_type.name].heads
        raw = {kind: first(record, each) for kind, each in keys.items()}
        any_case = Kind.SYMBOL_ANY_CASE in raw
        code = code_of(raw[Kind.SYMBOL_ANY_CASE if any_case else Kind.SYMBOL], any_case=any_case)
        date, time = raw[Kind.DATE], raw[Kind.TIME]
        if not isinstance(date, str) or not isinstance(time, str):
            raise BadValueError(Reject.BAD_TIME)
        exch_s = stamp_s(date, time)
        if exch_s == BAD_STAMP or exch_s > latest_s(recv_ns, self._horizon_s):
            raise BadValueError(Reject.BAD_TIME)
        venue = venue_of(raw.get(Kind.EXCHANGE))
        return Head(
            message_type.source,
            recv_ns,
            exch_s,
            code,
            venue if venue != Venue.UNKNOWN else venue_of(raw.get(Kind.MARKET)),
            session_of(raw.get(Kind.SESSION)),
            status_of(raw.get(Kind.STATUS)),
            side_of(raw.get(Kind.SIDE)),
        )


def _object(raw: object, *, text_only: bool = False) -> dict[str, Any]:
    """Return the object that a layer holds, as JSON text or (Content only) as it is."""
    if isinstance(raw, str):
        try:
            raw = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise BadValueError(Reject.MESSAGE_NOT_JSON) from None
    elif text_only:
        raise BadValueError(Reject.MESSAGE_SHAPE)
    if not isinstance(raw, dict):
        raise BadValueError(Reject.MESSAGE_SHAPE)
    return raw

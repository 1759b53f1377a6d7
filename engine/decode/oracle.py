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

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.decode.dates import BAD_STAMP, stamp_s
from engine.decode.fields import (
    MESSAGE_TYPES,
    NUMBERS,
    SESSION_WORDS,
    SIDE_WORDS,
    STATUS_WORDS,
    TYPE_BY_NAME,
    VENUE_WORDS,
    Kind,
    MessageType,
)
from engine.decode.grammar import place_of
from engine.decode.numbers import BadValueError, fixed_point, is_absent
from engine.decode.symbols import SymbolTable
from engine.schema.codes import (
    FeedSession,
    Instrument,
    Reject,
    Side,
    SlotKind,
    SourceType,
    TradingStatus,
    Venue,
)
from engine.schema.slots import SLOT, SLOT_BYTES, STATUS, SYMBOL

HUB = "fcmarketdatav2hub"  # SignalR compares hub names without case, method names with it
_CODE = re.compile(rb"[A-Z0-9._-]{1,16}")
_ZERO_SLOT = np.zeros(1, SLOT)[0]


@dataclass(slots=True)
class Outcome:
    """What became of one frame."""

    slot_count: int = 0
    messages: int = 0
    keepalives: int = 0
    hub_errors: int = 0
    last_exch_s: int = 0  # of the last decoded message, 0 if there was none
    rejected: list[Reject] = field(default_factory=list)  # one entry per rejected message

    def reject(self, reason: Reject) -> None:
        """Count one message, refused."""
        self.messages += 1
        self.rejected.append(reason)


@dataclass(slots=True)
class _Head:
    """What a record says about all its slots."""

    code: bytes
    exch_s: int
    venue: Venue
    session: FeedSession
    status: TradingStatus
    side: Side


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
        raw = _first(record, self.keys)
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
    """Decodes one frame at a time, with the symbol table it shares with the scanner."""

    def __init__(self, symbols: SymbolTable) -> None:
        self._symbols = symbols

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
        outcome.messages += 1
        outcome.slot_count += slot_count
        outcome.last_exch_s = exch_s

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
        name = _first(envelope, ("DataType", "datatype", "Datatype"))
        if not isinstance(name, str):
            raise BadValueError(Reject.MESSAGE_SHAPE)
        message_type = TYPE_BY_NAME.get(name)
        if message_type is None:
            raise BadValueError(Reject.UNKNOWN_TYPE)
        record = _object(_first(envelope, ("Content", "content")))
        plan = _PLANS[message_type.name]
        head = _head(plan, record)
        numbers = [(each, each.read(record)) for each in plan.numbers]
        # Nothing below refuses the message but a full table: a rejection leaves no trace.
        proven = Instrument.INDEX if message_type.source == SourceType.MI else None
        symbol_id = self._symbols.intern(head.code, head.venue, proven)
        if symbol_id == 0:
            raise BadValueError(Reject.SYMBOLS_FULL)
        row = self._symbols.rows[symbol_id]
        if head.venue == Venue.UNKNOWN:
            head.venue = Venue(int(row["venue"]))
        first = at
        if self._symbols.introduce(symbol_id):
            _write_head(out, at, SlotKind.SYMBOL, message_type, symbol_id, recv_ns, head)
            introduction = out.view(SYMBOL)[at]
            for column in ("code", "value_multiplier", "instrument", "venue"):
                introduction[column] = row[column]
            first += 1
        for i, kind in enumerate(message_type.kinds):
            _write_head(out, first + i, kind, message_type, symbol_id, recv_ns, head)
            out[first + i]["session"], out[first + i]["status"] = head.session, head.status
        out[first]["side"] = head.side
        i4, i8 = out.view(np.int32), out.view(np.int64)
        base_i4, base_i8 = first * (SLOT_BYTES // 4), first * (SLOT_BYTES // 8)
        for each, value in numbers:
            if each.is_i8:
                i8[base_i8 + each.place] = value
            else:
                i4[base_i4 + each.place] = value
        if message_type.source == SourceType.F:
            out.view(STATUS)[first]["odd_lot_session"] = _session(record.get("TradingOlSession"))
        return first + len(message_type.kinds) - at, head.exch_s


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


def _first(record: dict[str, Any], keys: tuple[str, ...]) -> object:
    """Return the first value that is present and not null."""
    for key in keys:
        value: object = record.get(key)
        if value is not None:
            return value
    return None


def _head(plan: _Plan, record: dict[str, Any]) -> _Head:
    """Read what is not a number, in the order of the reasons a message is refused for."""
    raw = {kind: _first(record, keys) for kind, keys in plan.heads.items()}
    any_case = Kind.SYMBOL_ANY_CASE in raw
    code = _code(raw[Kind.SYMBOL_ANY_CASE if any_case else Kind.SYMBOL], any_case=any_case)
    date, time = raw[Kind.DATE], raw[Kind.TIME]
    if not isinstance(date, str) or not isinstance(time, str):
        raise BadValueError(Reject.BAD_TIME)
    exch_s = stamp_s(date, time)
    if exch_s == BAD_STAMP:
        raise BadValueError(Reject.BAD_TIME)
    venue = _venue(raw.get(Kind.EXCHANGE))
    return _Head(
        code,
        exch_s,
        venue if venue != Venue.UNKNOWN else _venue(raw.get(Kind.MARKET)),
        _session(raw.get(Kind.SESSION)),
        _status(raw.get(Kind.STATUS)),
        _side(raw.get(Kind.SIDE)),
    )


def _code(raw: object, *, any_case: bool) -> bytes:
    if is_absent(raw) and raw != "NaN":
        raise BadValueError(Reject.MISSING_FIELD)
    if not isinstance(raw, str) or not raw.isascii():
        raise BadValueError(Reject.BAD_SYMBOL)
    code = (raw.upper() if any_case else raw).encode()
    if _CODE.fullmatch(code) is None:
        raise BadValueError(Reject.BAD_SYMBOL)
    return code


def _venue(raw: object) -> Venue:
    return VENUE_WORDS.get(raw, Venue.UNKNOWN) if isinstance(raw, str) else Venue.UNKNOWN


def _session(raw: object) -> FeedSession:
    if raw is None or raw == "":
        return FeedSession.NONE
    return SESSION_WORDS.get(raw, FeedSession.OTHER) if isinstance(raw, str) else FeedSession.OTHER


def _status(raw: object) -> TradingStatus:
    if raw is None or raw == "":
        return TradingStatus.NONE
    if not isinstance(raw, str):
        return TradingStatus.OTHER
    return STATUS_WORDS.get(raw, TradingStatus.OTHER)


def _side(raw: object) -> Side:
    return SIDE_WORDS.get(raw, Side.UNKNOWN) if isinstance(raw, str) else Side.UNKNOWN


def _write_head(
    out: NDArray[np.void],
    at: int,
    kind: SlotKind,
    message_type: MessageType,
    symbol_id: int,
    recv_ns: int,
    head: _Head,
) -> None:
    """Start a slot: everything zero but its head."""
    out[at] = _ZERO_SLOT
    slot = out[at]
    slot["recv_ns"], slot["exch_s"], slot["symbol_id"] = recv_ns, head.exch_s, symbol_id
    slot["kind"], slot["venue"], slot["source_type"] = kind, head.venue, message_type.source

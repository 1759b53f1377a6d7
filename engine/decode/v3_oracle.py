"""The plain path of v3: orjson once, then the topic table. It decides what every frame means.

The scanner must agree with it to the byte; what the scanner declines, it decodes. It takes any key
order, unknown keys, numbers as text ("1234.0"), null, and any JSON spelling of the same.

What a frame is (ssi-wire section 8)                            counted as
--------------------------------------------------------------  ------------------------------------
a `topic` on channel DATA                                       one message: slots, or a rejection
a topic nobody told us about, or on another channel             one message, rejected UNKNOWN_TYPE
acks, pongs, pings, list replies, ``{}``                        one keepalive
``{"code":..,"msg":..}``, an ack whose status is "error"         one hub error
not JSON, or no such object                                     one message, rejected FRAME_...
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.decode.fields import NUMBERS, Field, Kind, MessageType
from engine.decode.frame_oracle import FrameOracle, Number, numbers_of, write_numbers
from engine.decode.numbers import BadValueError, fixed_point, is_absent, signed_fixed_point
from engine.decode.outcome import Head, Outcome
from engine.decode.v3_dates import stamp_of
from engine.decode.v3_fields import ORDER_WORDS, TOPIC_TYPES, type_of_topic
from engine.decode.values import code_of, session_of, side_of, venue_of
from engine.schema.codes import ControlOp, Instrument, Reject, SlotKind, SourceType, Venue
from engine.schema.record import cut_text
from engine.schema.slots import (
    CONTROL,
    DETAIL_BYTES,
    INDEX,
    LEVEL_VOLUME_MAX,
    ODD_LOT,
    PRICE_E2_MAX,
    QUOTE,
)

CHANNEL = "data"  # compared without case
_BOOKS = {SlotKind.QUOTE: QUOTE, SlotKind.ODD_LOT: ODD_LOT}

Book = tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """One topic type, sorted by what the oracle does with its keys."""

    kinds: frozenset[Kind]
    numbers: tuple[Number, ...]
    books: tuple[Field, ...]
    told: tuple[str, ...]  # a message without any of these says nothing


def _plan(kind: MessageType) -> _Plan:
    return _Plan(
        frozenset(each.kind for each in kind.fields),
        numbers_of(kind),
        tuple(each for each in kind.fields if each.kind == Kind.LEVELS),
        tuple(each.wire for each in kind.fields if each.kind in {*NUMBERS, Kind.LEVELS}),
    )


_PLANS = {each.source: _plan(each) for each in TOPIC_TYPES}


class V3Oracle(FrameOracle):
    """The oracle of v3."""

    def _messages(self, parsed: dict[str, Any], outcome: Outcome) -> Sequence[object]:
        if "topic" in parsed:
            return (parsed,)
        if _is_refusal(parsed):
            outcome.hub_errors = 1
        elif _is_reply(parsed):
            outcome.keepalives = 1
        else:
            outcome.reject(Reject.FRAME_SHAPE)
        return ()

    def _message(
        self, message: dict[str, Any], recv_ns: int, out: NDArray[np.void], at: int
    ) -> tuple[int, int]:
        """Decode a frame with a topic."""
        channel, topic = message.get("channel", CHANNEL), message["topic"]
        if not isinstance(topic, str) or not isinstance(channel, str):
            raise BadValueError(Reject.MESSAGE_SHAPE)
        kind = type_of_topic(topic) if channel.lower() == CHANNEL else None
        if kind is None:
            raise BadValueError(Reject.UNKNOWN_TYPE)
        record = message.get("data")
        if not isinstance(record, dict):
            raise BadValueError(Reject.MESSAGE_SHAPE)
        if kind.source == SourceType.V3_MARKET_FLAG:
            return self._board(kind, record, recv_ns, out, at)
        plan = _PLANS[kind.source]
        head = self._head(kind, record, recv_ns)
        if all(is_absent(record.get(key)) for key in plan.told):
            raise BadValueError(Reject.MISSING_FIELD)
        numbers = [(each, each.read(record)) for each in plan.numbers]
        books = [(each, _book(record.get(each.wire), each.level)) for each in plan.books]
        prior = _prior(record) if kind.source == SourceType.V3_INDEX else 0
        # Nothing below refuses the message but a full table: a rejection leaves no trace.
        head.intern(
            self._symbols, Instrument.INDEX if topic.lower().startswith("trade.index.") else None
        )
        if head.venue == Venue.UNKNOWN and self._names_a_future(head.symbol_id):
            head.venue = Venue.DERIVATIVES
            head.intern(self._symbols)
        mine = head.introduce(self._symbols, out, at)
        head.write(out, mine, kind.kinds)
        write_numbers(numbers, out, mine)
        for each, (prices, volumes) in books:
            slot = out.view(_BOOKS[each.view])[mine]
            slot[f"{each.target}_price_e2"][: len(prices)] = prices
            slot[f"{each.target}_volume_shares"][: len(volumes)] = volumes
        if prior:
            out.view(INDEX)[mine][_CHANGE.target] = prior
        return mine + 1 - at, head.exch_s

    def _names_a_future(self, symbol_id: int) -> bool:
        """Whether a symbol of no known venue can only be listed on the derivatives board."""
        return bool(self._symbols.rows[symbol_id]["instrument"] == Instrument.FUTURE)

    def _head(self, kind: MessageType, record: dict[str, Any], recv_ns: int) -> Head:
        """Read what is not a number, in the order of the reasons a message is refused for."""
        kinds = _PLANS[kind.source].kinds
        code = code_of(record.get("s"), any_case=Kind.SYMBOL_ANY_CASE in kinds)
        exch_s = self._timely(stamp_of(record.get("t"), recv_ns), recv_ns)
        head = Head(kind.source, recv_ns, exch_s, code, venue_of(record.get("b")))
        head.session = session_of(record.get("ss"))
        if Kind.SIDE in kinds:
            head.side = side_of(record.get("si"))
        return head

    def _board(
        self,
        kind: MessageType,
        record: dict[str, Any],
        recv_ns: int,
        out: NDArray[np.void],
        at: int,
    ) -> tuple[int, int]:
        """Turn the session of a whole board into a CONTROL slot about no symbol."""
        board, flag = record.get("b"), record.get("f")
        if is_absent(board) or is_absent(flag):
            raise BadValueError(Reject.MISSING_FIELD)
        exch_s = self._timely(stamp_of(record.get("t"), recv_ns), recv_ns)
        head = Head(kind.source, recv_ns, exch_s, b"", venue_of(board), session_of(flag))
        head.write(out, at, kind.kinds)
        slot = out.view(CONTROL)[at]
        slot["op"], slot["arg0"], slot["arg1"] = ControlOp.BOARD, head.venue, head.session
        slot["detail"] = _line(f"{board} {flag}")
        return 1, exch_s


_INDEX_TYPE = next(each for each in TOPIC_TYPES if each.source == SourceType.V3_INDEX)
_VALUE = next(each for each in numbers_of(_INDEX_TYPE) if each.keys == ("v",))
_CHANGE = next(each for each in _INDEX_TYPE.fields if each.kind == Kind.CHANGE_E2)


def _is_refusal(parsed: dict[str, Any]) -> bool:
    """Whether the server says no: to the connection, or to a request."""
    if "code" in parsed and ("msg" in parsed or "message" in parsed):
        return True
    return "method" in parsed and str(parsed.get("status")).lower() == "error"


def _is_reply(parsed: dict[str, Any]) -> bool:
    """Whether a frame without a topic is one the server may send."""
    if not parsed or "method" in parsed or str(parsed.get("channel")).lower() == "heartbeat":
        return True
    listed = [parsed[key] for key in ("trading", "data") if key in parsed]
    return bool(listed) and all(each is None or isinstance(each, str) for each in listed)


def _book(raw: object, shown: int) -> Book:
    """Return prices and volumes of one side, best first; a side that is absent is empty.

    A share at its ceiling has no asks, and some serialisers leave an empty list out. Levels beyond
    `shown` are not looked at.
    """
    prices: list[int] = []
    volumes: list[int] = []
    if is_absent(raw):
        return prices, volumes
    if not isinstance(raw, list):
        raise BadValueError(Reject.MESSAGE_SHAPE)
    for level in raw[:shown]:
        if not isinstance(level, list) or len(level) < 2:
            raise BadValueError(Reject.MESSAGE_SHAPE)
        price, volume = level[:2]
        market = is_absent(price) or (isinstance(price, str) and price in ORDER_WORDS)
        prices.append(0 if market else fixed_point(price, 2, PRICE_E2_MAX))
        volumes.append(0 if is_absent(volume) else fixed_point(volume, 0, LEVEL_VOLUME_MAX))
    return prices, volumes


def _prior(record: dict[str, Any]) -> int:
    """Return an index's prior value in hundredths; 0 when its change is not told."""
    change = record.get(_CHANGE.wire)
    if is_absent(change):
        return 0
    prior = _VALUE.read(record) - signed_fixed_point(change, 2, _CHANGE.maximum)
    if not 0 <= prior <= _CHANGE.maximum:
        raise BadValueError(Reject.OUT_OF_RANGE)
    return prior


def _line(text: str) -> bytes:
    """Return text as one line of at most DETAIL_BYTES of UTF-8, cut at a character."""
    shown = "".join(each if each.isprintable() else " " for each in text[:DETAIL_BYTES])
    return cut_text(shown, DETAIL_BYTES)

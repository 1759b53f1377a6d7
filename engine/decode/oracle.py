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

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.decode.dates import stamp_s
from engine.decode.fields import MESSAGE_TYPES, NUMBERS, TYPE_BY_NAME, Kind, MessageType
from engine.decode.frame_oracle import FrameOracle, numbers_of, write_numbers
from engine.decode.numbers import BadValueError, is_absent
from engine.decode.outcome import Head, Outcome
from engine.decode.values import code_of, first, session_of, side_of, status_of, venue_of
from engine.schema.codes import Instrument, Reject, SourceType, Venue
from engine.schema.slots import STATUS

HUB = "fcmarketdatav2hub"  # SignalR compares hub names without case, method names with it


# By type: the wire keys of what is no number by kind, the canonical one first; and the numbers.
_HEADS: dict[SourceType, dict[Kind, tuple[str, ...]]] = {
    message_type.source: {
        each.kind: (each.wire, *each.aliases)
        for each in message_type.fields
        if each.kind not in NUMBERS and each.kind != Kind.SKIP
    }
    for message_type in MESSAGE_TYPES
}
_NUMBERS = {each.source: numbers_of(each) for each in MESSAGE_TYPES}


class Oracle(FrameOracle):
    """The oracle of v2."""

    def _messages(self, parsed: dict[str, Any], outcome: Outcome) -> Sequence[object]:
        if "I" in parsed:
            if is_absent(parsed.get("E")):
                outcome.keepalives = 1
            else:
                outcome.hub_errors = 1
        elif isinstance(parsed.get("M"), list):
            messages = [each for each in parsed["M"] if not _is_error(each)]
            outcome.hub_errors = len(parsed["M"]) - len(messages)
            outcome.keepalives = 0 if parsed["M"] else 1
            return messages
        elif "M" not in parsed and (not parsed or "S" in parsed or "T" in parsed):
            outcome.keepalives = 1
        else:
            outcome.reject(Reject.FRAME_SHAPE)
        return ()

    def _message(
        self, message: object, recv_ns: int, out: NDArray[np.void], at: int
    ) -> tuple[int, int]:
        """Decode one element of M, which must be a Broadcast."""
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
        head = self._head(message_type, record, recv_ns)
        numbers = [(each, each.read(record)) for each in _NUMBERS[message_type.source]]
        # Nothing below refuses the message but a full table: a rejection leaves no trace.
        head.intern(
            self._symbols, Instrument.INDEX if message_type.source == SourceType.MI else None
        )
        mine = head.introduce(self._symbols, out, at)
        head.write(out, mine, message_type.kinds)
        write_numbers(numbers, out, mine)
        if message_type.source == SourceType.F:
            out.view(STATUS)[mine]["odd_lot_session"] = session_of(record.get("TradingOlSession"))
        return mine + len(message_type.kinds) - at, head.exch_s

    def _head(self, message_type: MessageType, record: dict[str, Any], recv_ns: int) -> Head:
        """Read what is not a number, in the order of the reasons a message is refused for."""
        keys = _HEADS[message_type.source]
        raw = {kind: first(record, each) for kind, each in keys.items()}
        any_case = Kind.SYMBOL_ANY_CASE in raw
        code = code_of(raw[Kind.SYMBOL_ANY_CASE if any_case else Kind.SYMBOL], any_case=any_case)
        date, time = raw[Kind.DATE], raw[Kind.TIME]
        if not isinstance(date, str) or not isinstance(time, str):
            raise BadValueError(Reject.BAD_TIME)
        exch_s = self._timely(stamp_s(date, time), recv_ns)
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


def _is_error(message: object) -> bool:
    """Whether an element of M is the hub's Error."""
    return isinstance(message, dict) and message.get("M") == "Error"


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

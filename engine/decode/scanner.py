"""The hot path: raw v2 frames to slots, eight bytes at a time, without Python objects.

The scanner knows one spelling of everything: the feed's own (grammar.py). It predicts each next key
from the type's fixed order and compares it as words. Whatever it does not recognise to the last
byte (another order, an escape, null for a number, a new symbol, an exponent, trailing space) makes
it decline the whole frame and change nothing; the oracle then decides. So it never rejects, and
what it accepts is exactly what the oracle would have made.

It reads only bytes [start, end) of the frame: every load of eight bytes is preceded by its bound.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.dates import (
    BAD_STAMP,
    DATE_BYTES,
    TIME_BYTES,
    latest_s,
    midnight_s,
    seconds_of_day,
)
from engine.decode.fields import SLOTS_PER_MESSAGE_MAX, Kind
from engine.decode.grammar import (
    FRAME_MESSAGES,
    FRAME_START,
    GRAMMAR,
    INNER_QUOTE,
    MESSAGE_LAST,
    MESSAGE_NEXT,
    MESSAGE_START,
    RECORD_START,
    Grammar,
)
from engine.decode.numbers import DECLINED, read_number
from engine.decode.scalars import (
    is_quoted,
    plain_end,
    quote_of,
    read_code,
    read_text,
    skip_scalar,
)
from engine.decode.scan import (
    SLOT_I4,
    SLOT_I8,
    FrameScanner,
    Known,
    Scan,
    Source,
    Target,
    clear_slots,
    settled_venue,
    write_head,
)
from engine.decode.symbols import find_id
from engine.decode.words import eight, is_text, lowest_bits, not_plain, text_word, upper_case
from engine.jit import inlined_kernel, lean_kernel
from engine.schema.codes import FeedSession, Side, TradingStatus, Venue
from engine.schema.slots import SLOT_BYTES

# No accepted message is shorter than this on the wire, in either decoder: its own framing, a date,
# a time and a symbol take more. It bounds the slots of a frame before reading it.
MESSAGE_BYTES_MIN = 64

_SKIP, _SYMBOL, _SYMBOL_ANY_CASE, _DATE, _TIME = (
    int(kind) for kind in (Kind.SKIP, Kind.SYMBOL, Kind.SYMBOL_ANY_CASE, Kind.DATE, Kind.TIME)
)
_EXCHANGE, _MARKET, _SESSION, _STATUS, _SIDE = (
    int(kind) for kind in (Kind.EXCHANGE, Kind.MARKET, Kind.SESSION, Kind.STATUS, Kind.SIDE)
)
_ODD_LOT_SESSION, _PRICE_E2, _COUNT_I8 = (
    int(kind) for kind in (Kind.ODD_LOT_SESSION, Kind.PRICE_E2, Kind.COUNT_I8)
)
_OTHER_SESSION, _NO_SESSION = int(FeedSession.OTHER), int(FeedSession.NONE)
_OTHER_STATUS, _NO_STATUS = int(TradingStatus.OTHER), int(TradingStatus.NONE)
_UNKNOWN_SIDE, _UNKNOWN_VENUE = int(Side.UNKNOWN), int(Venue.UNKNOWN)

_QUOTE = quote_of(INNER_QUOTE)
_SIX = 0xFFFFFFFFFFFF
_SEVEN = 0xFFFFFFFFFFFFFF
_COMMA, _BRACE = ord(","), ord("}")

_FRAME_START = text_word(FRAME_START)
_FRAME_MESSAGES = text_word(FRAME_MESSAGES)
_RECORD_START_0 = text_word(RECORD_START[:8])
_RECORD_START_1 = text_word(RECORD_START[8:16])
_RECORD_START_2 = text_word(RECORD_START[-8:])
_MESSAGE_NEXT = text_word(MESSAGE_NEXT)
_MESSAGE_LAST = text_word(MESSAGE_LAST)
_MESSAGE_START_BYTES = len(MESSAGE_START)
_RECORD_START_BYTES = len(RECORD_START)

assert len(FRAME_START) == 6
assert len(FRAME_MESSAGES) == 7
assert len(MESSAGE_NEXT) == len(MESSAGE_LAST) == 8
assert 16 < _RECORD_START_BYTES <= 24


@inlined_kernel
def is_key(words: NDArray[np.void], at: int, end: int, field: np.void) -> bool:
    """Whether the key of a FIELD_ROW stands at `at`."""
    return (
        at + int(field["length"]) <= end
        and eight(words, at) == int(field["key_0"])
        and eight(words, at + int(field["offset_1"])) == int(field["key_1"])
        and eight(words, at + int(field["offset_2"])) == int(field["key_2"])
        and eight(words, at + int(field["offset_3"])) == int(field["key_3"])
    )


@lean_kernel
def scan_record(
    scan: Scan[Grammar], at: int, end: int, type_at: int, recv_ns: int, slot: int
) -> tuple[int, int]:
    """Turn one record into the slots of its type.

    Parameters
    ----------
    at, end
        After the record's opening brace; the frame's end.
    type_at
        Row of ``grammar.types``.
    slot
        First slot to write; all of the type's slots are overwritten, whatever happens.

    Returns
    -------
    tuple[int, int]
        Where the record's closing brace ends, or DECLINED; and its exch_s.
    """
    words, grammar, known, target = scan.words, scan.grammar, scan.known, scan.target
    fields, sessions, venues = grammar.fields, grammar.sessions, grammar.venues
    i4, i8 = target.i4, target.i8
    slot_count = int(grammar.types[type_at]["slot_count"])
    base_i8, base_i4 = slot * SLOT_I8, slot * SLOT_I4
    clear_slots(i8, slot, slot_count)
    field_at = int(grammar.types[type_at]["first"])
    last = int(grammar.types[type_at]["last"])
    symbol_id, midnight, second = 0, BAD_STAMP, BAD_STAMP
    exchange, market, session, status, side = 0, 0, 0, 0, 0
    while True:
        # The predicted key, or a later one if only optional ones are left out.
        while field_at < last and not is_key(words, at, end, fields[np.uint64(field_at)]):
            if fields[np.uint64(field_at)]["required"] != 0:
                return DECLINED, 0
            field_at += 1
        if field_at == last:
            return DECLINED, 0
        field = fields[np.uint64(field_at)]
        field_at += 1
        at += int(field["length"])
        kind = int(field["kind"])
        if kind >= _PRICE_E2:
            value, at = read_number(words, at, end, 2 if kind == _PRICE_E2 else 0)
            if at < 0 or value > int(field["maximum"]):
                return DECLINED, 0
            if kind == _COUNT_I8:
                i8[base_i8 + int(field["place"])] = value
            else:
                i4[base_i4 + int(field["place"])] = value
        elif kind == _SKIP:
            at = skip_scalar(words, at, end, _QUOTE)
        elif kind == _SESSION:
            session, at = read_code(words, at, end, _QUOTE, sessions, _OTHER_SESSION, _NO_SESSION)
        elif kind == _EXCHANGE:
            exchange, at = read_code(words, at, end, _QUOTE, venues, _UNKNOWN_VENUE, _UNKNOWN_VENUE)
        elif kind == _MARKET:
            market, at = read_code(words, at, end, _QUOTE, venues, _UNKNOWN_VENUE, _UNKNOWN_VENUE)
        elif kind == _STATUS:
            status, at = read_code(
                words, at, end, _QUOTE, grammar.statuses, _OTHER_STATUS, _NO_STATUS
            )
        elif kind == _SIDE:
            side, at = read_code(
                words, at, end, _QUOTE, grammar.sides, _UNKNOWN_SIDE, _UNKNOWN_SIDE
            )
        elif kind in (_SYMBOL, _SYMBOL_ANY_CASE):
            low, high, at = read_text(words, at, end, _QUOTE)
            if kind == _SYMBOL_ANY_CASE:
                low, high = upper_case(low), upper_case(high)
            symbol_id = find_id(known.cells, known.codes, low, high)
            if symbol_id == 0:
                return DECLINED, 0
        elif kind == _DATE:
            if not is_quoted(words, at, end, DATE_BYTES, _QUOTE):
                return DECLINED, 0
            at += _QUOTE.length
            midnight = midnight_s(
                eight(words, at), eight(words, at + DATE_BYTES - 8), scan.date_cache
            )
            at += DATE_BYTES + _QUOTE.length
        elif kind == _TIME:
            if not is_quoted(words, at, end, TIME_BYTES, _QUOTE):
                return DECLINED, 0
            second = seconds_of_day(eight(words, at + _QUOTE.length))
            at += TIME_BYTES + 2 * _QUOTE.length
        else:  # _ODD_LOT_SESSION
            code, at = read_code(words, at, end, _QUOTE, sessions, _OTHER_SESSION, _NO_SESSION)
            target.bytes[slot * SLOT_BYTES + int(field["place"])] = code
        if at < 0 or at + 8 > end:
            return DECLINED, 0
        follows = eight(words, at) & 0xFF
        at += 1
        if follows == _COMMA:
            continue
        if follows == _BRACE:
            break
        return DECLINED, 0
    if field_at < grammar.optional_from[type_at] or midnight == BAD_STAMP or second == BAD_STAMP:
        return DECLINED, 0
    exch_s = midnight + second
    if exch_s > latest_s(recv_ns, scan.horizon_s):
        return DECLINED, 0
    venue = settled_venue(known, symbol_id, exchange if exchange != _UNKNOWN_VENUE else market)
    if venue < 0:
        return DECLINED, 0
    source = int(grammar.types[type_at]["source"])
    for i in range(slot_count):
        slot_kind = int(grammar.types[type_at]["slot_kind"][i])
        write_head(
            target.slots,
            slot + i,
            recv_ns,
            exch_s,
            symbol_id,
            slot_kind,
            venue,
            session,
            status,
            source,
        )
    target.slots[slot]["side"] = side
    return at, exch_s


@lean_kernel
def scan_frame(
    scan: Scan[Grammar], at: int, end: int, recv_ns: int, slot: int
) -> tuple[int, int, int]:
    """Turn one frame into slots.

    Returns
    -------
    tuple[int, int, int]
        The slot after the last one written, or DECLINED; its messages; the last one's exch_s.
    """
    words, grammar = scan.words, scan.grammar
    messages, exch_s = 0, 0
    if at + 8 > end or eight(words, at) & _SIX != _FRAME_START:
        return DECLINED, 0, 0
    at = plain_end(words, at + 6, end)
    if at < 0 or at + 8 > end or eight(words, at) & _SEVEN != _FRAME_MESSAGES:
        return DECLINED, 0, 0
    at += 7
    while True:
        if at + _MESSAGE_START_BYTES + 8 > end:
            return DECLINED, 0, 0
        if not is_text(words, at, grammar.message_start, _MESSAGE_START_BYTES):
            return DECLINED, 0, 0
        at += _MESSAGE_START_BYTES
        name = eight(words, at)
        marks = not_plain(name)
        if marks == 0:
            return DECLINED, 0, 0
        bits = lowest_bits(marks)
        name &= (1 << bits) - 1
        type_at = 0
        while type_at < len(grammar.types) and name != int(grammar.types[type_at]["name"]):
            type_at += 1
        at += bits >> 3
        if (
            type_at == len(grammar.types)
            or at + _RECORD_START_BYTES > end
            or eight(words, at) != _RECORD_START_0
            or eight(words, at + 8) != _RECORD_START_1
            or eight(words, at + _RECORD_START_BYTES - 8) != _RECORD_START_2
        ):
            return DECLINED, 0, 0
        at, exch_s = scan_record(scan, at + _RECORD_START_BYTES, end, type_at, recv_ns, slot)
        if at < 0 or at + 8 > end:
            return DECLINED, 0, 0
        slot += int(grammar.types[type_at]["slot_count"])
        messages += 1
        tail = eight(words, at)
        if tail == _MESSAGE_NEXT:
            at += 7
        elif tail == _MESSAGE_LAST and at + 8 == end:
            return slot, messages, exch_s
        else:
            return DECLINED, 0, 0


@lean_kernel
def scan_batch(
    source: Source,
    grammar: Grammar,
    known: Known,
    target: Target,
    date_cache: NDArray[np.int64],
    horizon_s: int,
    first: int,
    count: int,
    slot: int,
) -> tuple[int, int, int, int]:
    """Decode frames [first, count) until one is declined or might not fit: see Progress."""
    scan = Scan(source.words, grammar, known, target, date_cache, horizon_s)
    capacity = len(target.slots)
    messages, exch_s = 0, 0
    start = int(source.ends[first - 1]) if first > 0 else 0
    for frame in range(first, count):
        end = int(source.ends[frame])
        if slot + slots_max(end - start) > capacity:
            return frame, slot, messages, exch_s
        after, its_messages, its_exch_s = scan_frame(
            scan, start, end, int(source.recv_ns[frame]), slot
        )
        if after < 0:
            return frame, slot, messages, exch_s
        slot = after
        messages += its_messages
        exch_s = its_exch_s
        start = end
    return count, slot, messages, exch_s


@inlined_kernel
def slots_max(frame_bytes: int) -> int:
    """Return an upper bound for the slots a frame of this length can become."""
    return (frame_bytes // MESSAGE_BYTES_MIN + 1) * SLOTS_PER_MESSAGE_MAX


class Scanner(FrameScanner[Grammar]):
    """The scanner of v2."""

    grammar = GRAMMAR
    kernel = staticmethod(scan_batch)

    def slots_max(self, frame_bytes: int) -> int:
        """Return an upper bound for the slots a frame of this length can become."""
        return slots_max(frame_bytes)

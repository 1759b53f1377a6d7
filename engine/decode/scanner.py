"""The hot path: raw v2 frames to slots, eight bytes at a time, without Python objects.

The scanner knows one spelling of everything: the feed's own (grammar.py). It predicts each next key
from the type's fixed order and compares it as words. Whatever it does not recognise to the last
byte (another order, an escape, null for a number, a new symbol, an exponent, trailing space) makes
it decline the whole frame and change nothing; the oracle then decides. So it never rejects, and
what it accepts is exactly what the oracle would have made.

It reads only bytes [start, end) of the frame: every load of eight bytes is preceded by its bound.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decode.dates import (
    BAD_STAMP,
    DATE_BYTES,
    DATE_CACHE_CELLS,
    NO_HORIZON_S,
    TIME_BYTES,
    latest_s,
    midnight_s,
    seconds_of_day,
)
from engine.decode.fields import SLOTS_PER_MESSAGE_MAX, Kind
from engine.decode.frames import FrameBatch
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
from engine.decode.numbers import DECLINED, read_number, skip_number
from engine.decode.symbols import SymbolTable, find_id
from engine.decode.words import (
    eight,
    lowest_bits,
    not_plain,
    text_word,
    upper_case,
)
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

_QUOTE = text_word(INNER_QUOTE)
_NULL = text_word(b"null")
_TRUE = text_word(b"true")
_FALSE = text_word(b"fals")
_FOUR = 0xFFFFFFFF
_SIX = 0xFFFFFFFFFFFF
_SEVEN = 0xFFFFFFFFFFFFFF
_COMMA, _BRACE, _BACKSLASH, _DOUBLE_QUOTE = ord(","), ord("}"), ord("\\"), ord('"')

_FRAME_START = text_word(FRAME_START)
_FRAME_MESSAGES = text_word(FRAME_MESSAGES)
_RECORD_START_0 = text_word(RECORD_START[:8])
_RECORD_START_1 = text_word(RECORD_START[8:16])
_RECORD_START_2 = text_word(RECORD_START[-8:])
_MESSAGE_NEXT = text_word(MESSAGE_NEXT)
_MESSAGE_LAST = text_word(MESSAGE_LAST)
_MESSAGE_START_BYTES = len(MESSAGE_START)
_RECORD_START_BYTES = len(RECORD_START)
_SLOT_I8, _SLOT_I4 = SLOT_BYTES // 8, SLOT_BYTES // 4

assert len(FRAME_START) == 6
assert len(FRAME_MESSAGES) == 7
assert len(MESSAGE_NEXT) == len(MESSAGE_LAST) == 8
assert 16 < _RECORD_START_BYTES <= 24


class Source(NamedTuple):
    """The batch the scanner reads."""

    words: NDArray[np.void]  # WORD, element p = the eight bytes at p
    ends: NDArray[np.int64]
    recv_ns: NDArray[np.int64]


class Known(NamedTuple):
    """The symbols it can resolve."""

    cells: NDArray[np.int32]
    codes: NDArray[np.int64]
    rows: NDArray[np.void]  # SYMBOL_ROW


class Target(NamedTuple):
    """The slots it writes: one memory, four views."""

    slots: NDArray[np.void]  # SLOT
    bytes: NDArray[np.uint8]
    i4: NDArray[np.int32]
    i8: NDArray[np.int64]


class Progress(NamedTuple):
    """Where a scan stopped."""

    next_frame: int  # the first frame not decoded
    slot_count: int
    messages: int
    last_exch_s: int  # of the last message, 0 if there was none


@inlined_kernel
def read_text(words: NDArray[np.void], at: int, end: int) -> tuple[int, int, int]:
    r"""Read up to 15 plain bytes between inner quotes (``\\\"``).

    Returns
    -------
    tuple[int, int, int]
        The text zero-padded to 16 bytes as two words, and where the closing quote ends; DECLINED
        as the last when it is no such text.
    """
    if at + 12 > end or eight(words, at) & _FOUR != _QUOTE:
        return 0, 0, DECLINED
    at += 4
    low = eight(words, at)
    high = 0
    marks = not_plain(low)
    if marks != 0:
        bits = lowest_bits(marks)
        low &= (1 << bits) - 1
        at += bits >> 3
    else:
        if at + 16 > end:
            return 0, 0, DECLINED
        high = eight(words, at + 8)
        marks = not_plain(high)
        if marks == 0:
            return 0, 0, DECLINED
        bits = lowest_bits(marks)
        high &= (1 << bits) - 1
        at += 8 + (bits >> 3)
    if at + 8 > end or eight(words, at) & _FOUR != _QUOTE:
        return 0, 0, DECLINED
    return low, high, at + 4


@inlined_kernel
def plain_end(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where the run of plain bytes that starts at `at` ends, or DECLINED."""
    while at + 8 <= end:
        marks = not_plain(eight(words, at))
        if marks != 0:
            return at + (lowest_bits(marks) >> 3)
        at += 8
    return DECLINED


@inlined_kernel
def skip_value(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where a scalar value ends (number, plain text, null, true, false), or DECLINED."""
    if at + 8 > end:
        return DECLINED
    head = eight(words, at) & _FOUR
    if head & 0xFF != _BACKSLASH:
        if head in (_NULL, _TRUE):
            return at + 4
        if head == _FALSE:
            return at + 5 if (eight(words, at) >> 32) & 0xFF == ord("e") else DECLINED
        return skip_number(words, at, end)
    if head != _QUOTE:
        return DECLINED
    at = plain_end(words, at + 4, end)
    if at < 0 or at + 8 > end or eight(words, at) & _FOUR != _QUOTE:
        return DECLINED
    return at + 4


@inlined_kernel
def code_of(vocabulary: NDArray[np.void], low: int, high: int, unknown: int) -> int:
    """Return the code of a word, or `unknown`."""
    for i in range(len(vocabulary)):
        if low == int(vocabulary[i]["low"]) and high == int(vocabulary[i]["high"]):
            return int(vocabulary[i]["code"])
    return unknown


@inlined_kernel
def read_code(
    words: NDArray[np.void],
    at: int,
    end: int,
    vocabulary: NDArray[np.void],
    unknown: int,
    none: int,
) -> tuple[int, int]:
    """Read one word of a vocabulary: its code (`none` for null and "") and where it ends."""
    if at + 8 <= end and eight(words, at) & _FOUR == _NULL:
        return none, at + 4
    low, high, stop = read_text(words, at, end)
    if low == 0:
        return none, stop
    return code_of(vocabulary, low, high, unknown), stop


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
    words: NDArray[np.void],
    at: int,
    end: int,
    type_at: int,
    recv_ns: int,
    latest: int,
    grammar: Grammar,
    known: Known,
    date_cache: NDArray[np.int64],
    target: Target,
    slot: int,
) -> tuple[int, int]:
    """Turn one record into the slots of its type.

    Parameters
    ----------
    at, end
        After the record's opening brace; the frame's end.
    type_at
        Row of ``grammar.types``.
    latest
        The latest stamp it may carry, see `dates.latest_s`.
    slot
        First slot to write; all of the type's slots are overwritten, whatever happens.

    Returns
    -------
    tuple[int, int]
        Where the record's closing brace ends, or DECLINED; and its exch_s.
    """
    fields, sessions, venues = grammar.fields, grammar.sessions, grammar.venues
    i4, i8 = target.i4, target.i8
    slot_count = int(grammar.types[type_at]["slot_count"])
    base_i8, base_i4 = slot * _SLOT_I8, slot * _SLOT_I4
    for i in range(base_i8, base_i8 + slot_count * _SLOT_I8):
        i8[i] = 0
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
            at = skip_value(words, at, end)
        elif kind == _SESSION:
            session, at = read_code(words, at, end, sessions, _OTHER_SESSION, _NO_SESSION)
        elif kind == _EXCHANGE:
            exchange, at = read_code(words, at, end, venues, _UNKNOWN_VENUE, _UNKNOWN_VENUE)
        elif kind == _MARKET:
            market, at = read_code(words, at, end, venues, _UNKNOWN_VENUE, _UNKNOWN_VENUE)
        elif kind == _STATUS:
            status, at = read_code(words, at, end, grammar.statuses, _OTHER_STATUS, _NO_STATUS)
        elif kind == _SIDE:
            side, at = read_code(words, at, end, grammar.sides, _UNKNOWN_SIDE, _UNKNOWN_SIDE)
        elif kind in (_SYMBOL, _SYMBOL_ANY_CASE):
            low, high, at = read_text(words, at, end)
            if kind == _SYMBOL_ANY_CASE:
                low, high = upper_case(low), upper_case(high)
            symbol_id = find_id(known.cells, known.codes, low, high)
            if symbol_id == 0:
                return DECLINED, 0
        elif kind == _DATE:
            if (
                at + DATE_BYTES + 16 > end
                or eight(words, at) & _FOUR != _QUOTE
                or eight(words, at + 4 + DATE_BYTES) & _FOUR != _QUOTE
            ):
                return DECLINED, 0
            midnight = midnight_s(
                eight(words, at + 4), eight(words, at + 4 + DATE_BYTES - 8), date_cache
            )
            at += 8 + DATE_BYTES
        elif kind == _TIME:
            if (
                at + TIME_BYTES + 16 > end
                or eight(words, at) & _FOUR != _QUOTE
                or eight(words, at + 4 + TIME_BYTES) & _FOUR != _QUOTE
            ):
                return DECLINED, 0
            second = seconds_of_day(eight(words, at + 4))
            at += 8 + TIME_BYTES
        else:  # _ODD_LOT_SESSION
            code, at = read_code(words, at, end, sessions, _OTHER_SESSION, _NO_SESSION)
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
    if midnight + second > latest:
        return DECLINED, 0
    venue = exchange if exchange != _UNKNOWN_VENUE else market
    listed = int(known.rows[symbol_id]["venue"])
    if venue == _UNKNOWN_VENUE:
        venue = listed
    elif listed == _UNKNOWN_VENUE:
        return DECLINED, 0  # the symbol learns its venue: introduced again by the oracle
    for i in range(slot_count):
        head = target.slots[slot + i]
        head["recv_ns"] = recv_ns
        head["exch_s"] = midnight + second
        head["symbol_id"] = symbol_id
        head["kind"] = grammar.types[type_at]["slot_kind"][i]
        head["venue"] = venue
        head["session"] = session
        head["status"] = status
        head["source_type"] = grammar.types[type_at]["source"]
    target.slots[slot]["side"] = side
    return at, midnight + second


@lean_kernel
def scan_frame(
    words: NDArray[np.void],
    at: int,
    end: int,
    recv_ns: int,
    latest: int,
    grammar: Grammar,
    known: Known,
    date_cache: NDArray[np.int64],
    target: Target,
    slot: int,
) -> tuple[int, int, int]:
    """Turn one frame into slots.

    Returns
    -------
    tuple[int, int, int]
        The slot after the last one written, or DECLINED; its messages; the last one's exch_s.
    """
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
        count = len(grammar.message_start)
        for i in range(count):
            offset = 8 * i if i < count - 1 else _MESSAGE_START_BYTES - 8
            if eight(words, at + offset) != int(grammar.message_start[i]):
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
        at, exch_s = scan_record(
            words,
            at + _RECORD_START_BYTES,
            end,
            type_at,
            recv_ns,
            latest,
            grammar,
            known,
            date_cache,
            target,
            slot,
        )
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
    first: int,
    count: int,
    horizon_s: int,
    grammar: Grammar,
    known: Known,
    date_cache: NDArray[np.int64],
    target: Target,
    slot: int,
) -> tuple[int, int, int, int]:
    """Decode frames [first, count) until one is declined or might not fit: see Progress."""
    capacity = len(target.slots)
    messages, exch_s = 0, 0
    start = int(source.ends[first - 1]) if first > 0 else 0
    for frame in range(first, count):
        end = int(source.ends[frame])
        if slot + slots_max(end - start) > capacity:
            return frame, slot, messages, exch_s
        after, its_messages, its_exch_s = scan_frame(
            source.words,
            start,
            end,
            int(source.recv_ns[frame]),
            latest_s(int(source.recv_ns[frame]), horizon_s),
            grammar,
            known,
            date_cache,
            target,
            slot,
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


def target_over(out: NDArray[np.void]) -> Target:
    """Return the views of `out` (dtype SLOT, contiguous) the scanner writes through."""
    return Target(out, out.view(np.uint8), out.view(np.int32), out.view(np.int64))


class Scanner:
    """The kernel with its own date cache, for one symbol table.

    Parameters
    ----------
    symbols
        Codes it has introduced are the ones it resolves.
    horizon_s
        Seconds a stamp may lie after its frame's arrival; beyond, the frame is declined.
    """

    def __init__(self, symbols: SymbolTable, horizon_s: int = NO_HORIZON_S) -> None:
        self._known = Known(symbols.index, symbols.codes, symbols.rows)
        self._horizon_s = horizon_s
        self._date_cache: NDArray[np.int64] = np.zeros(DATE_CACHE_CELLS, np.int64)

    def slots_max(self, frame_bytes: int) -> int:
        """Return an upper bound for the slots a frame of this length can become."""
        return slots_max(frame_bytes)

    def scan(self, batch: FrameBatch, first: int, target: Target, slot: int) -> Progress:
        """Decode frames from `first` into ``target.slots[slot:]`` as far as it goes.

        It stops before a frame it declines, and before one that might not fit.
        """
        progress = scan_batch(
            Source(batch.words, batch.ends, batch.recv_ns),
            first,
            batch.count,
            self._horizon_s,
            GRAMMAR,
            self._known,
            self._date_cache,
            target,
            slot,
        )
        return Progress(*(int(each) for each in progress))

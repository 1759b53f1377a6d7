"""The hot path of v3: trades and quotes to slots, eight bytes at a time, without Python objects.

Everything else about v3 is rare and left to the oracle. The order of keys is not known for certain
(v3_fields), so the scanner expects the table's order and takes any; numbers may be bare or quoted;
keys it does not know are skipped when their value is a plain scalar. Whatever else it meets (an
escape, a space, a new symbol, an exponent, an odd stamp, a twelfth level) makes it decline the
frame and change nothing. So it never rejects, and what it accepts is exactly what the oracle would
have made.

Where it reads: a word may reach up to PADDING_BYTES past the frame's end, into the next frame or
the batch's padding. Nothing is taken from there: what is consumed advances byte by byte, and only a
frame consumed exactly to its end is accepted.
"""

import numpy as np
from numpy.typing import NDArray

from engine.decode.dates import DATE_CACHE_CELLS, NO_HORIZON_S, latest_s
from engine.decode.fields import Kind
from engine.decode.frames import PADDING_BYTES, FrameBatch
from engine.decode.numbers import DECLINED
from engine.decode.scanner import Known, Progress, Source, Target, plain_end
from engine.decode.symbols import SymbolTable, find_id
from engine.decode.v3_dates import read_stamp
from engine.decode.v3_grammar import DATA_START, FRAME_START, V3_GRAMMAR, V3Grammar
from engine.decode.v3_values import (
    FOUR_BYTES,
    NULL,
    byte_at,
    read_either,
    read_v3_code,
    read_word,
    skip_scalar,
)
from engine.decode.words import eight, lowest_bits, not_plain, same_bytes, text_word, upper_case
from engine.jit import inlined_kernel, lean_kernel
from engine.schema.codes import FeedSession, Instrument, Side, Venue
from engine.schema.slots import LEVEL_COUNT, LEVEL_VOLUME_MAX, PRICE_E2_MAX, SLOT_BYTES

SLOTS_PER_FRAME_MAX = 2  # SYMBOL and data

_SKIP, _SYMBOL, _STAMP, _EXCHANGE, _SESSION, _SIDE = (
    int(kind)
    for kind in (Kind.SKIP, Kind.SYMBOL, Kind.STAMP, Kind.EXCHANGE, Kind.SESSION, Kind.SIDE)
)
_PRICE_E2, _COUNT_I8, _LEVELS = (int(kind) for kind in (Kind.PRICE_E2, Kind.COUNT_I8, Kind.LEVELS))
_OTHER_SESSION, _NO_SESSION = int(FeedSession.OTHER), int(FeedSession.NONE)
_UNKNOWN_SIDE, _UNKNOWN_VENUE = int(Side.UNKNOWN), int(Venue.UNKNOWN)
_FUTURE = int(Instrument.FUTURE)

_TRADE_STEM, _QUOTE_STEM = text_word(b"trade."), text_word(b"quote.")
_INDEX_STEM, _TICK, _ALL = text_word(b"INDEX."), text_word(b'@tick"'), text_word(b'@*"')
_DATA_START_0, _DATA_START_1 = text_word(DATA_START[:8]), text_word(DATA_START[-8:])
_ATO, _ATC = text_word(b'"ATO"'), text_word(b'"ATC"')
_FRAME_START_BYTES, _DATA_START_BYTES = len(FRAME_START), len(DATA_START)
_FRAME_BYTES_MIN = _FRAME_START_BYTES + 16  # its loads before the first bounds check
_THREE, _FIVE, _SIX = 0xFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF
_COMMA, _BRACE, _MARK, _OPEN = (ord(c) for c in ',}"[')
_EMPTY, _KEY_END, _NEXT_LEVEL, _LAST_LEVEL = (
    text_word(each) for each in (b"[]", b'":', b"],", b"]]")
)
_AT_SIGNS = text_word(b"@@@@@@@@")
_SLOT_I8, _SLOT_I4 = SLOT_BYTES // 8, SLOT_BYTES // 4


@lean_kernel
def scan_levels(
    words: NDArray[np.void], at: int, end: int, i4: NDArray[np.int32], prices: int
) -> int:
    """Read one side of a book, ``[[price, volume], ...]``; return where it ends, or DECLINED.

    Parameters
    ----------
    i4, prices
        Prices go to ``i4[prices:]``, volumes to the LEVEL_COUNT cells after them.
    """
    if at + 8 > end:
        return DECLINED
    if eight(words, at) & 0xFFFF == _EMPTY:
        return at + 2
    if byte_at(words, at) != _OPEN:
        return DECLINED
    at += 1
    for level in range(LEVEL_COUNT):
        if at + 8 > end or byte_at(words, at) != _OPEN:
            return DECLINED
        at += 1
        word = eight(words, at) & _FIVE
        if word in (_ATO, _ATC):  # an order at whatever price comes
            at += 5
        else:
            price, at = read_either(words, at, end, 2)
            if at < 0 or price > PRICE_E2_MAX:
                return DECLINED
            i4[prices + level] = price
        if at + 8 > end or byte_at(words, at) != _COMMA:
            return DECLINED
        volume, at = read_either(words, at + 1, end, 0)
        if at < 0 or volume > LEVEL_VOLUME_MAX or at + 8 > end:
            return DECLINED
        i4[prices + LEVEL_COUNT + level] = volume
        follows = eight(words, at) & 0xFFFF
        at += 2
        if follows == _LAST_LEVEL:
            return at
        if follows != _NEXT_LEVEL:
            return DECLINED
    return DECLINED


@inlined_kernel
def topic_end(words: NDArray[np.void], at: int, end: int) -> int:
    """Return where a topic's closing quote stands, or DECLINED for one of candles."""
    while True:
        if at + 8 > end:
            return DECLINED
        word = eight(words, at)
        marks = not_plain(word) | same_bytes(word, _AT_SIGNS)
        if marks != 0:
            break
        at += 8
    at += lowest_bits(marks) >> 3
    if at + 8 > end:
        return DECLINED
    word = eight(words, at)
    if word & 0xFF == _MARK:
        return at
    if word & _SIX == _TICK:
        return at + 5
    return at + 2 if word & _THREE == _ALL else DECLINED


@lean_kernel
def scan_v3_record(
    words: NDArray[np.void],
    at: int,
    end: int,
    row: int,
    recv_ns: int,
    latest: int,
    grammar: V3Grammar,
    known: Known,
    date_cache: NDArray[np.int64],
    target: Target,
    slot: int,
) -> tuple[int, int]:
    """Turn the object of one frame into a slot.

    Parameters
    ----------
    at, end
        After the opening brace; how far words may reach.
    row
        Which type, a row of the grammar.
    latest
        The latest stamp it may carry, see `dates.latest_s`.
    slot
        The slot to write; overwritten whatever happens.

    Returns
    -------
    tuple[int, int]
        Where the closing brace ends, or DECLINED; and its exch_s.
    """
    keys = grammar.keys[row]
    i4, i8 = target.i4, target.i8
    base_i8, base_i4 = slot * _SLOT_I8, slot * _SLOT_I4
    for i in range(base_i8, base_i8 + _SLOT_I8):
        i8[i] = 0
    symbol_id, exch_s, seen, expected = 0, 0, 0, 0
    exchange, session, side = 0, 0, 0
    while True:
        if at + 16 > end:
            return DECLINED, 0
        word = eight(words, at)
        key_at = expected
        if word & int(keys[key_at]["mask"]) != int(keys[key_at]["key"]):
            key_at = 0
            while key_at < len(keys) and word & int(keys[key_at]["mask"]) != int(
                keys[key_at]["key"]
            ):
                key_at += 1
        if key_at == len(keys):
            if word & 0xFF != _MARK:
                return DECLINED, 0
            at = plain_end(words, at + 1, end)
            if at < 0 or at + 8 > end or eight(words, at) & 0xFFFF != _KEY_END:
                return DECLINED, 0
            at = skip_scalar(words, at + 2, end)
        else:
            key = keys[key_at]
            expected = key_at + 1 if key_at + 1 < len(keys) else 0
            at += int(key["length"])
            bit, kind = int(key["bit"]), int(key["kind"])
            if seen & bit != 0 or at + 8 > end:
                return DECLINED, 0
            seen |= bit
            if kind in (_PRICE_E2, _COUNT_I8):
                if eight(words, at) & FOUR_BYTES == NULL and key["required"] == 0:
                    at += 4
                else:
                    value, at = read_either(words, at, end, 2 if kind == _PRICE_E2 else 0)
                    if at < 0 or value > int(key["maximum"]):
                        return DECLINED, 0
                    if kind == _COUNT_I8:
                        i8[base_i8 + int(key["place"])] = value
                    else:
                        i4[base_i4 + int(key["place"])] = value
            elif kind == _LEVELS:
                at = scan_levels(words, at, end, i4, base_i4 + int(key["place"]))
            elif kind == _STAMP:
                exch_s, at = read_stamp(words, at, end, recv_ns, date_cache)
            elif kind == _SYMBOL:
                low, high, at = read_word(words, at, end)
                symbol_id = find_id(known.cells, known.codes, low, high)
                if symbol_id == 0:
                    return DECLINED, 0
            elif kind == _SIDE:
                side, at = read_v3_code(words, at, end, grammar.sides, _UNKNOWN_SIDE, _UNKNOWN_SIDE)
            elif kind == _EXCHANGE:
                exchange, at = read_v3_code(
                    words, at, end, grammar.venues, _UNKNOWN_VENUE, _UNKNOWN_VENUE
                )
            elif kind == _SESSION:
                session, at = read_v3_code(
                    words, at, end, grammar.sessions, _OTHER_SESSION, _NO_SESSION
                )
            else:  # _SKIP
                at = skip_scalar(words, at, end)
        if at < 0 or at + 8 > end:
            return DECLINED, 0
        follows = eight(words, at) & 0xFF
        at += 1
        if follows == _COMMA:
            continue
        if follows == _BRACE:
            break
        return DECLINED, 0
    required = int(grammar.required[row])
    if seen & required != required or exch_s > latest:
        return DECLINED, 0
    venue, listed = exchange, int(known.rows[symbol_id]["venue"])
    if listed == _UNKNOWN_VENUE:
        # The symbol learns its venue: introduced again by the oracle.
        if venue != _UNKNOWN_VENUE or int(known.rows[symbol_id]["instrument"]) == _FUTURE:
            return DECLINED, 0
    elif venue == _UNKNOWN_VENUE:
        venue = listed
    head = target.slots[slot]
    head["recv_ns"] = recv_ns
    head["exch_s"] = exch_s
    head["symbol_id"] = symbol_id
    head["kind"] = grammar.slot_kinds[row]
    head["venue"] = venue
    head["session"] = session
    head["side"] = side
    head["source_type"] = grammar.sources[row]
    return at, exch_s


@lean_kernel
def scan_v3_frame(
    words: NDArray[np.void],
    at: int,
    frame_end: int,
    recv_ns: int,
    latest: int,
    grammar: V3Grammar,
    known: Known,
    date_cache: NDArray[np.int64],
    target: Target,
    slot: int,
) -> int:
    """Turn one frame into a slot; return its exch_s, or DECLINED."""
    if at + _FRAME_BYTES_MIN > frame_end:
        return DECLINED
    end = frame_end + PADDING_BYTES
    count = len(grammar.frame_start)
    for i in range(count):
        offset = 8 * i if i < count - 1 else _FRAME_START_BYTES - 8
        if eight(words, at + offset) != int(grammar.frame_start[i]):
            return DECLINED
    at += _FRAME_START_BYTES
    stem = eight(words, at) & _SIX
    at += 6
    if stem == _TRADE_STEM:
        row = 0
        if upper_case(eight(words, at) & _SIX) == _INDEX_STEM:
            return DECLINED
    elif stem == _QUOTE_STEM:
        row = 1
    else:
        return DECLINED
    at = topic_end(words, at, end)
    if (
        at < 0
        or at + _DATA_START_BYTES + 8 > end
        or eight(words, at) != _DATA_START_0
        or eight(words, at + _DATA_START_BYTES - 8) != _DATA_START_1
    ):
        return DECLINED
    at, exch_s = scan_v3_record(
        words,
        at + _DATA_START_BYTES,
        end,
        row,
        recv_ns,
        latest,
        grammar,
        known,
        date_cache,
        target,
        slot,
    )
    if at < 0 or at + 1 != frame_end or eight(words, at) & 0xFF != _BRACE:
        return DECLINED
    return exch_s


@lean_kernel
def scan_v3_batch(
    source: Source,
    first: int,
    count: int,
    horizon_s: int,
    grammar: V3Grammar,
    known: Known,
    date_cache: NDArray[np.int64],
    target: Target,
    slot: int,
) -> tuple[int, int, int, int]:
    """Decode frames [first, count) until one is declined or might not fit: see Progress."""
    capacity = len(target.slots)
    start_slot, exch_s = slot, 0
    start = int(source.ends[first - 1]) if first > 0 else 0
    for frame in range(first, count):
        if slot + SLOTS_PER_FRAME_MAX > capacity:
            return frame, slot, slot - start_slot, exch_s
        end = int(source.ends[frame])
        its_exch_s = scan_v3_frame(
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
        if its_exch_s < 0:
            return frame, slot, slot - start_slot, exch_s
        slot += 1
        exch_s = its_exch_s
        start = end
    return count, slot, slot - start_slot, exch_s


class V3Scanner:
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

    def slots_max(self, _frame_bytes: int) -> int:
        """Return an upper bound for the slots a frame can become, however long it is."""
        return SLOTS_PER_FRAME_MAX

    def scan(self, batch: FrameBatch, first: int, target: Target, slot: int) -> Progress:
        """Decode frames from `first` into ``target.slots[slot:]`` as far as it goes.

        It stops before a frame it declines, and before one that might not fit.
        """
        progress = scan_v3_batch(
            Source(batch.words, batch.ends, batch.recv_ns),
            first,
            batch.count,
            self._horizon_s,
            V3_GRAMMAR,
            self._known,
            self._date_cache,
            target,
            slot,
        )
        return Progress(*(int(each) for each in progress))

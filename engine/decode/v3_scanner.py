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

from engine.decode.dates import latest_s
from engine.decode.fields import Kind
from engine.decode.frames import PADDING_BYTES
from engine.decode.numbers import DECLINED
from engine.decode.scalars import (
    byte_at,
    is_null,
    plain_end,
    quote_of,
    read_code,
    read_either,
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
from engine.decode.v3_dates import read_stamp
from engine.decode.v3_grammar import DATA_START, FRAME_START, V3_GRAMMAR, V3Grammar
from engine.decode.words import (
    eight,
    is_text,
    lowest_bits,
    not_plain,
    same_bytes,
    text_word,
    upper_case,
)
from engine.jit import inlined_kernel, lean_kernel
from engine.schema.codes import FeedSession, Instrument, Side, TradingStatus, Venue
from engine.schema.slots import LEVEL_COUNT, LEVEL_VOLUME_MAX, PRICE_E2_MAX

SLOTS_PER_FRAME_MAX = 2  # SYMBOL and data

_SKIP, _SYMBOL, _STAMP, _EXCHANGE, _SESSION, _SIDE = (
    int(kind)
    for kind in (Kind.SKIP, Kind.SYMBOL, Kind.STAMP, Kind.EXCHANGE, Kind.SESSION, Kind.SIDE)
)
_PRICE_E2, _COUNT_I8, _LEVELS = (int(kind) for kind in (Kind.PRICE_E2, Kind.COUNT_I8, Kind.LEVELS))
_OTHER_SESSION, _NO_SESSION = int(FeedSession.OTHER), int(FeedSession.NONE)
_UNKNOWN_SIDE, _UNKNOWN_VENUE = int(Side.UNKNOWN), int(Venue.UNKNOWN)
_FUTURE, _NO_STATUS = int(Instrument.FUTURE), int(TradingStatus.NONE)

_QUOTE = quote_of(b'"')
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
    scan: Scan[V3Grammar], at: int, end: int, row: int, recv_ns: int, slot: int
) -> tuple[int, int]:
    """Turn the object of one frame into a slot.

    Parameters
    ----------
    at, end
        After the opening brace; how far words may reach.
    row
        Which type, a row of the grammar.
    slot
        The slot to write; overwritten whatever happens.

    Returns
    -------
    tuple[int, int]
        Where the closing brace ends, or DECLINED; and its exch_s.
    """
    words, grammar, known, target = scan.words, scan.grammar, scan.known, scan.target
    keys = grammar.keys[row]
    i4, i8 = target.i4, target.i8
    base_i8, base_i4 = slot * SLOT_I8, slot * SLOT_I4
    clear_slots(i8, slot, 1)
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
            at = skip_scalar(words, at + 2, end, _QUOTE)
        else:
            key = keys[key_at]
            expected = key_at + 1 if key_at + 1 < len(keys) else 0
            at += int(key["length"])
            bit, kind = int(key["bit"]), int(key["kind"])
            if seen & bit != 0 or at + 8 > end:
                return DECLINED, 0
            seen |= bit
            if kind in (_PRICE_E2, _COUNT_I8):
                if is_null(words, at) and key["required"] == 0:
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
                exch_s, at = read_stamp(words, at, end, recv_ns, scan.date_cache)
            elif kind == _SYMBOL:
                low, high, at = read_text(words, at, end, _QUOTE)
                symbol_id = find_id(known.cells, known.codes, low, high)
                if symbol_id == 0:
                    return DECLINED, 0
            elif kind == _SIDE:
                side, at = read_code(
                    words, at, end, _QUOTE, grammar.sides, _UNKNOWN_SIDE, _UNKNOWN_SIDE
                )
            elif kind == _EXCHANGE:
                exchange, at = read_code(
                    words, at, end, _QUOTE, grammar.venues, _UNKNOWN_VENUE, _UNKNOWN_VENUE
                )
            elif kind == _SESSION:
                session, at = read_code(
                    words, at, end, _QUOTE, grammar.sessions, _OTHER_SESSION, _NO_SESSION
                )
            else:  # _SKIP
                at = skip_scalar(words, at, end, _QUOTE)
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
    if seen & required != required or exch_s > latest_s(recv_ns, scan.horizon_s):
        return DECLINED, 0
    venue = settled_venue(known, symbol_id, exchange)
    if venue < 0 or (
        # The oracle knows where futures are listed.
        venue == _UNKNOWN_VENUE and int(known.rows[symbol_id]["instrument"]) == _FUTURE
    ):
        return DECLINED, 0
    write_head(
        target.slots,
        slot,
        recv_ns,
        exch_s,
        symbol_id,
        int(grammar.slot_kinds[row]),
        venue,
        session,
        _NO_STATUS,
        int(grammar.sources[row]),
    )
    target.slots[slot]["side"] = side
    return at, exch_s


@lean_kernel
def scan_v3_frame(scan: Scan[V3Grammar], at: int, frame_end: int, recv_ns: int, slot: int) -> int:
    """Turn one frame into a slot; return its exch_s, or DECLINED."""
    words = scan.words
    end = frame_end + PADDING_BYTES
    if at + _FRAME_BYTES_MIN > frame_end or not is_text(
        words, at, scan.grammar.frame_start, _FRAME_START_BYTES
    ):
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
    at, exch_s = scan_v3_record(scan, at + _DATA_START_BYTES, end, row, recv_ns, slot)
    if at < 0 or at + 1 != frame_end or eight(words, at) & 0xFF != _BRACE:
        return DECLINED
    return exch_s


@lean_kernel
def scan_v3_batch(
    source: Source,
    grammar: V3Grammar,
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
    start_slot, exch_s = slot, 0
    start = int(source.ends[first - 1]) if first > 0 else 0
    for frame in range(first, count):
        if slot + SLOTS_PER_FRAME_MAX > capacity:
            return frame, slot, slot - start_slot, exch_s
        end = int(source.ends[frame])
        its_exch_s = scan_v3_frame(scan, start, end, int(source.recv_ns[frame]), slot)
        if its_exch_s < 0:
            return frame, slot, slot - start_slot, exch_s
        slot += 1
        exch_s = its_exch_s
        start = end
    return count, slot, slot - start_slot, exch_s


class V3Scanner(FrameScanner[V3Grammar]):
    """The scanner of v3."""

    grammar = V3_GRAMMAR
    kernel = staticmethod(scan_v3_batch)

    def slots_max(self, _frame_bytes: int) -> int:
        """Return an upper bound for the slots a frame can become, however long it is."""
        return SLOTS_PER_FRAME_MAX

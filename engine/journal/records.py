"""Slots as records of a journal, and back: the checksum, and the kernels that write and prove it.

The checksum is 64 bits over the 24 words of a slot. Four lanes take every fourth word, so that the
processor works on four products at once; then the lanes are folded into one. Each step

    state = (state ^ word) * odd;  state ^= state >> 29

can be undone when the word is known, and the word can be got back when the state is. So two slots
that differ in a single word (one flipped byte, say) never have the same checksum; those that differ
in more have it with a chance of 2**-64. A record of zeros, which a power cut may leave, is wrong.

Kernels see slots and records as unsigned words, because their products wrap.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.jit import U64, inlined_kernel, kernel
from engine.schema.codes import SlotFlag, SlotKind
from engine.schema.journal import JOURNAL_RECORD
from engine.schema.slots import SLOT, SLOT_BYTES

WORD_BYTES: Final = 8
SLOT_WORDS: Final = SLOT_BYTES // WORD_BYTES
RECORD_BYTES: Final = JOURNAL_RECORD.itemsize
RECORD_WORDS: Final = RECORD_BYTES // WORD_BYTES

# What kernels know of a slot's head.
SEQ_WORD: Final = 0
CHECKSUM_WORD: Final = SLOT_WORDS
FLAGS_WORD: Final = 3  # kind, flags, venue, ...: a byte each
_KIND_MASK = U64(0xFF)
_SYMBOL = U64(int(SlotKind.SYMBOL))
_LAST = U64(int(SlotFlag.LAST) << 8)
_BITE = U64(int(SlotFlag.BITE) << 8)

assert SLOT.fields is not None
assert SLOT.fields["seq"][1] == SEQ_WORD * WORD_BYTES
assert SLOT.fields["kind"][1] == FLAGS_WORD * WORD_BYTES
assert SLOT.fields["flags"][1] == FLAGS_WORD * WORD_BYTES + 1
assert SLOT_WORDS % 4 == 0 and RECORD_WORDS == SLOT_WORDS + 1

_ALL = U64(0xFFFF_FFFF_FFFF_FFFF)
_ODD = U64(0xD6E8_2B4F_1C93_A57B)
_SHIFT = U64(29)
_ZERO = U64(0)
_SEED_A = U64(0x7674_6170_652D_6A31)
_SEED_B = U64(0x1F83_D9AB_53C7_06E5)
_SEED_C = U64(0xA4C1_62E9_8B70_5D3F)
_SEED_D = U64(0x3B97_E40D_C6A8_1259)

Words = NDArray[np.uint64]


@inlined_kernel
def _stir(state: int, word: int) -> int:
    """Mix one word in; a different word, or a different state, gives a different result."""
    mixed: int = ((state ^ word) * _ODD) & _ALL
    stirred: int = mixed ^ (mixed >> _SHIFT)
    return stirred


@inlined_kernel
def _sum_of(rows: Words, row: int) -> int:
    """Return the checksum of the first SLOT_WORDS words of a row."""
    a, b, c, d = _SEED_A, _SEED_B, _SEED_C, _SEED_D
    for word in range(0, SLOT_WORDS, 4):
        a = _stir(a, U64(rows[row, word]))
        b = _stir(b, U64(rows[row, word + 1]))
        c = _stir(c, U64(rows[row, word + 2]))
        d = _stir(d, U64(rows[row, word + 3]))
    return _stir(_stir(_stir(a, b), c), d)


@kernel
def checksum(rows: Words, row: int) -> int:
    """Return the checksum of one row: 64 bits over its first 24 words.

    Parameters
    ----------
    rows : uint64, shape (n, at least SLOT_WORDS)
    row
        Which one.
    """
    return _sum_of(rows, row)


@kernel
def seal(words: Words, first: int, count: int, records: Words) -> None:
    """Turn slots into records: a copy and its checksum.

    Parameters
    ----------
    words : uint64, shape (n, SLOT_WORDS)
        Slots; words[first : first + count] are read.
    first, count
        Which ones.
    records : uint64, shape (m, RECORD_WORDS), m >= count
        Written from row 0 on.
    """
    for i in range(count):
        for word in range(SLOT_WORDS):
            records[i, word] = words[first + i, word]
        records[i, CHECKSUM_WORD] = _sum_of(words, first + i)


@kernel
def open_records(
    records: Words, count: int, first_seq: int, words: Words, bad: NDArray[np.int64]
) -> int:
    """Turn records into slots again and prove each one.

    Parameters
    ----------
    records : uint64, shape (m, RECORD_WORDS)
        The first `count` are read.
    count
        How many.
    first_seq
        The number the first slot must carry; a slot with another one is bad too.
    words : uint64, shape (n, SLOT_WORDS), n >= count
        Written: the slots, bad ones as they were found.
    bad : int64, shape (at least count,)
        Written: rows of the bad ones, in order.

    Returns
    -------
    int
        How many are bad.
    """
    bad_count = 0
    for i in range(count):
        for word in range(SLOT_WORDS):
            words[i, word] = records[i, word]
        right = U64(records[i, CHECKSUM_WORD]) == _sum_of(records, i)
        if not right or U64(records[i, SEQ_WORD]) != U64(first_seq + i):
            bad[bad_count] = i
            bad_count += 1
    return bad_count


@kernel
def whole_groups(words: Words, count: int) -> int:
    """Return how many of the first `count` slots are whole groups: up to the last LAST."""
    for i in range(count - 1, -1, -1):
        if U64(words[i, FLAGS_WORD]) & _LAST != _ZERO:
            return i + 1
    return 0


@kernel
def inspect(
    records: Words,
    count: int,
    first_seq: int,
    bad: NDArray[np.int64],
    symbols: NDArray[np.int64],
) -> tuple[int, int, int, int, int]:
    """Prove records where they lie and note what a survey wants to know.

    Parameters
    ----------
    records, count, first_seq
        As for `open_records`.
    bad, symbols : int64, shape (at least count,)
        Written: rows of the bad records, and rows of the good SYMBOL slots, in order.

    Returns
    -------
    tuple
        How many are bad; how many introduce a symbol; where the last group ends (a bad record
        ends one); where the last bite ends; where the last record ends that is not all zeros.
        Ends are rows after the thing, 0 when there is none.
    """
    bad_count = 0
    symbol_count = 0
    group_end = 0
    bite_end = 0
    solid_end = 0
    for i in range(count):
        right = U64(records[i, CHECKSUM_WORD]) == _sum_of(records, i)
        if not right or U64(records[i, SEQ_WORD]) != U64(first_seq + i):
            bad[bad_count] = i
            bad_count += 1
            group_end = i + 1
            for word in range(RECORD_WORDS):
                if U64(records[i, word]) != _ZERO:
                    solid_end = i + 1
            continue
        solid_end = i + 1
        head = U64(records[i, FLAGS_WORD])
        if head & _LAST != _ZERO:
            group_end = i + 1
        if head & _BITE != _ZERO:
            bite_end = i + 1
        if head & _KIND_MASK == _SYMBOL:
            symbols[symbol_count] = i
            symbol_count += 1
    return bad_count, symbol_count, group_end, bite_end, solid_end


@kernel
def find_symbols(records: Words, count: int, symbols: NDArray[np.int64]) -> int:
    """Note the rows of the good SYMBOL slots, proving those alone; return how many."""
    symbol_count = 0
    for i in range(count):
        if U64(records[i, FLAGS_WORD]) & _KIND_MASK != _SYMBOL:
            continue
        if U64(records[i, CHECKSUM_WORD]) == _sum_of(records, i):
            symbols[symbol_count] = i
            symbol_count += 1
    return symbol_count


def words_of(slots: NDArray[Any]) -> Words:
    """See slots (dtype SLOT or a view of it, contiguous) as words; no copy."""
    return slots.view(np.uint64).reshape(len(slots), SLOT_WORDS)


def new_records(count: int) -> Words:
    """Make room for `count` records."""
    return np.zeros((count, RECORD_WORDS), np.uint64)


def bytes_of(records: Words) -> memoryview:
    """See records as bytes, for a disk to read or to fill; no copy."""
    return records.data.cast("B")

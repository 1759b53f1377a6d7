"""The v3 table as arrays a kernel can read: trades and quotes, keyed by the letters of their keys.

Everything here is derived from v3_fields and fields; nothing is said twice.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decode.fields import (
    NUMBERS,
    SESSION_WORDS,
    SIDE_WORDS,
    VENUE_WORDS,
    Field,
    Kind,
    MessageType,
)
from engine.decode.grammar import LAYOUTS, place_of, vocabulary
from engine.decode.v3_fields import QUOTE, TRADE
from engine.decode.words import text_word, text_words
from engine.schema.codes import SlotKind
from engine.schema.slots import LEVEL_COUNT

FRAME_START = b'{"channel":"DATA","topic":"'
DATA_START = b'","data":{'

# One key of a type. A number's place is in int32s or int64s from the slot's start; a book side's
# place is where its prices start, its volumes follow.
KEY_ROW = np.dtype(
    [
        ("key", "<i8"),  # "name": as a word
        ("mask", "<i8"),  # of its bytes
        ("length", "<i8"),
        ("kind", "<i8"),  # Kind
        ("bit", "<i8"),  # in the set of keys seen; each may come once
        ("required", "<i8"),
        ("maximum", "<i8"),
        ("place", "<i8"),
    ]
)


class V3Grammar(NamedTuple):
    """What the scanner knows about v3; row 0 of what is per type is trades, row 1 quotes."""

    keys: NDArray[np.void]  # KEY_ROW, shape (2, most keys of a type)
    required: NDArray[np.int64]  # bits a message needs
    sources: NDArray[np.int64]
    slot_kinds: NDArray[np.int64]
    frame_start: NDArray[np.int64]  # FRAME_START as words, the last one overlapping
    venues: NDArray[np.void]  # VOCABULARY_ROW
    sessions: NDArray[np.void]
    sides: NDArray[np.void]


def _column_place(view: SlotKind, column: str) -> int:
    fields = LAYOUTS[view].fields
    assert fields is not None
    return int(fields[column][1]) // 4


def _place(kind: MessageType, field: Field) -> int:
    if field.kind in NUMBERS:
        return place_of(kind, field)
    if field.kind != Kind.LEVELS:
        return 0
    start = _column_place(field.view, f"{field.target}_price_e2")
    assert _column_place(field.view, f"{field.target}_volume_shares") == start + LEVEL_COUNT
    return start


def _key_row(kind: MessageType, field: Field, at: int) -> tuple[Any, ...]:
    text = f'"{field.wire}":'.encode()
    assert 4 <= len(text) < 8, f"{field.wire}: a key has one to four letters"
    mask = (1 << 8 * len(text)) - 1
    # A book without one side goes to the oracle.
    required = field.required or field.kind == Kind.LEVELS
    place = _place(kind, field)
    return text_word(text), mask, len(text), field.kind, 1 << at, required, field.maximum, place


def _build() -> V3Grammar:
    types = (TRADE, QUOTE)
    keys = np.zeros((len(types), max(len(each.fields) for each in types)), KEY_ROW)
    keys["mask"] = -1  # a row beyond a type's keys compares eight bytes with zeros
    for row, kind in zip(keys, types, strict=True):
        for at, field in enumerate(kind.fields):
            row[at] = _key_row(kind, field, at)
    return V3Grammar(
        keys,
        (keys["bit"] * (keys["required"] != 0)).sum(axis=1),
        np.array([each.source for each in types], np.int64),
        np.array([each.kinds[0] for each in types], np.int64),
        text_words(FRAME_START),
        vocabulary(VENUE_WORDS),
        vocabulary(SESSION_WORDS),
        vocabulary(SIDE_WORDS),
    )


V3_GRAMMAR = _build()

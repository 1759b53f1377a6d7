"""The v2 field table as arrays a kernel can read: keys as words to compare, places as indexes.

Everything here is derived from fields.MESSAGE_TYPES; nothing is said twice.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.decode.fields import (
    MESSAGE_TYPES,
    NUMBERS,
    SESSION_WORDS,
    SIDE_WORDS,
    STATUS_WORDS,
    VENUE_WORDS,
    Field,
    Kind,
    MessageType,
)
from engine.decode.words import text_word, text_words
from engine.schema.codes import SlotKind
from engine.schema.slots import (
    BAR,
    FOREIGN,
    INDEX,
    ODD_LOT,
    PUT_THROUGH,
    QUOTE,
    REFERENCE,
    SLOT_BYTES,
    STATUS,
    TRADE,
)

# Inside a frame the record is a string in a string: its quotes are written \\\" (ssi-wire 1.4).
INNER_QUOTE = b'\\\\\\"'
RECORD_START = b'\\",\\"Content\\":\\"{'  # from the end of the DataType to the record
MESSAGE_START = b'{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\\"DataType\\":\\"'
MESSAGE_NEXT = b'\\"}"]},{'  # after the record's closing brace, another message follows
MESSAGE_LAST = b'\\"}"]}]}'  # or the frame ends
FRAME_START = b'{"C":"'
FRAME_MESSAGES = b'","M":['
KEY_BYTES_MAX = 32

LAYOUTS: dict[SlotKind, np.dtype[Any]] = {
    SlotKind.TRADE: TRADE,
    SlotKind.QUOTE: QUOTE,
    SlotKind.INDEX: INDEX,
    SlotKind.FOREIGN: FOREIGN,
    SlotKind.STATUS: STATUS,
    SlotKind.BAR: BAR,
    SlotKind.ODD_LOT: ODD_LOT,
    SlotKind.PUT_THROUGH: PUT_THROUGH,
    SlotKind.REFERENCE: REFERENCE,
}

# One wire key. Its text is compared as four words that may overlap, so that a comparison neither
# branches on the key's length nor reads past it.
FIELD_ROW = np.dtype(
    [
        ("key_0", "<i8"),  # the words of \\\"Name\\\": ...
        ("key_1", "<i8"),
        ("key_2", "<i8"),
        ("key_3", "<i8"),
        ("offset_1", "<i8"),  # ... and where all but the first start
        ("offset_2", "<i8"),
        ("offset_3", "<i8"),
        ("length", "<i8"),  # of the key in bytes
        ("kind", "<i8"),  # Kind
        ("required", "<i8"),
        ("maximum", "<i8"),
        # Where the value goes, from the message's first slot: int32s for PRICE_E2 and COUNT_I4,
        # int64s for COUNT_I8, bytes for ODD_LOT_SESSION.
        ("place", "<i8"),
    ]
)

# One message type; its fields are rows [first, last).
TYPE_ROW = np.dtype(
    [
        ("name", "<i8"),  # as a word
        ("first", "<i8"),
        ("last", "<i8"),
        ("source", "<i8"),
        ("slot_count", "<i8"),
        ("slot_kind", "<i8", (2,)),
    ]
)

# One word of a vocabulary, zero-padded to 16 bytes.
VOCABULARY_ROW = np.dtype([("low", "<i8"), ("high", "<i8"), ("code", "<i8")])


class Grammar(NamedTuple):
    """What the scanner knows about the feed."""

    types: NDArray[np.void]  # TYPE_ROW
    fields: NDArray[np.void]  # FIELD_ROW
    optional_from: NDArray[np.int64]  # a record may end before fields [optional_from[type], last)
    message_start: NDArray[np.int64]  # MESSAGE_START as words, the last one overlapping
    venues: NDArray[np.void]  # VOCABULARY_ROW
    sessions: NDArray[np.void]
    statuses: NDArray[np.void]
    sides: NDArray[np.void]


_WIDTHS = {Kind.PRICE_E2: 4, Kind.COUNT_I4: 4, Kind.COUNT_I8: 8}


def place_of(message: MessageType, field: Field) -> int:
    """Return where a stored field lies from the message's first slot, in units of its width."""
    fields = LAYOUTS[field.view].fields
    assert fields is not None
    dtype, offset = fields[field.target][:2]
    width = (dtype.subdtype[0] if dtype.subdtype else dtype).itemsize
    assert width == _WIDTHS.get(field.kind, 1), f"{field.wire} does not fit {field.target}"
    assert offset % width == 0
    start = message.kinds.index(field.view) * SLOT_BYTES + offset
    return int(start // width) + field.level


def _field_row(message: MessageType, field: Field) -> tuple[Any, ...]:
    key = INNER_QUOTE + field.wire.encode() + INNER_QUOTE + b":"
    assert 8 <= len(key) <= KEY_BYTES_MAX, f"{field.wire}: a key has 8 to {KEY_BYTES_MAX} bytes"
    offsets = [min(8 * i, len(key) - 8) for i in range(4)]
    stored = field.kind in NUMBERS or field.kind == Kind.ODD_LOT_SESSION
    place = place_of(message, field) if stored else 0
    return (
        *(text_word(key[at : at + 8]) for at in offsets),
        *offsets[1:],
        len(key),
        field.kind,
        field.required,
        field.maximum,
        place,
    )


def vocabulary(words: Mapping[str, int]) -> NDArray[np.void]:
    """Return a vocabulary as VOCABULARY_ROWs, in its own order."""
    rows = [
        (text_word(word.encode()[:8]), text_word(word.encode()[8:16]), int(code))
        for word, code in words.items()
    ]
    return np.array(rows, VOCABULARY_ROW)


def _build() -> Grammar:
    types: list[tuple[Any, ...]] = []
    fields: list[tuple[Any, ...]] = []
    optional_from: list[int] = []
    for message in MESSAGE_TYPES:
        first = len(fields)
        fields += [_field_row(message, field) for field in message.fields]
        last_required = max(i for i, field in enumerate(message.fields) if field.required)
        optional_from.append(first + last_required + 1)
        kinds = [*message.kinds, SlotKind.NONE]
        types.append(
            (
                text_word(message.name.encode()),
                first,
                len(fields),
                message.source,
                len(message.kinds),
                kinds[:2],
            )
        )
    return Grammar(
        np.array(types, TYPE_ROW),
        np.array(fields, FIELD_ROW),
        np.array(optional_from, np.int64),
        text_words(MESSAGE_START),
        vocabulary(VENUE_WORDS),
        vocabulary(SESSION_WORDS),
        vocabulary(STATUS_WORDS),
        vocabulary(SIDE_WORDS),
    )


GRAMMAR = _build()

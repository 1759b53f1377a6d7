"""What the oracles of both protocols share: a frame's account, time, and numbers by the table."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.decode.dates import BAD_STAMP, NO_HORIZON_S, latest_s
from engine.decode.fields import NUMBERS, Kind, MessageType
from engine.decode.grammar import place_of
from engine.decode.numbers import BadValueError, fixed_point, is_absent
from engine.decode.outcome import Outcome
from engine.decode.symbols import SymbolTable
from engine.decode.values import first
from engine.schema.codes import Reject
from engine.schema.slots import SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Number:
    """One stored number of a type: its keys, and its place among the message's slots."""

    keys: tuple[str, ...]
    decimals: int
    maximum: int
    required: bool
    is_i8: bool
    place: int  # in int64s or int32s from the first slot

    def read(self, record: dict[str, Any]) -> int:
        """Return its value, 0 when it is optional and absent.

        Raises
        ------
        BadValueError
            MISSING_FIELD when it is required and absent, else as `fixed_point`.
        """
        raw = first(record, self.keys)
        if is_absent(raw):
            if self.required:
                raise BadValueError(Reject.MISSING_FIELD)
            return 0
        return fixed_point(raw, self.decimals, self.maximum)


def numbers_of(message_type: MessageType) -> tuple[Number, ...]:
    """Return the numbers of a type in wire order."""
    return tuple(
        Number(
            (each.wire, *each.aliases),
            2 if each.kind == Kind.PRICE_E2 else 0,
            each.maximum,
            each.required,
            each.kind == Kind.COUNT_I8,
            place_of(message_type, each),
        )
        for each in message_type.fields
        if each.kind in NUMBERS
    )


def write_numbers(
    numbers: Iterable[tuple[Number, int]], out: NDArray[np.void], first_slot: int
) -> None:
    """Store values where they belong among the slots of a message."""
    i4, i8 = out.view(np.int32), out.view(np.int64)
    base_i4, base_i8 = first_slot * (SLOT_BYTES // 4), first_slot * (SLOT_BYTES // 8)
    for each, value in numbers:
        if each.is_i8:
            i8[base_i8 + each.place] = value
        else:
            i4[base_i4 + each.place] = value


class FrameOracle(ABC):
    """Decodes one frame at a time, with the symbol table it shares with the scanner.

    Parameters
    ----------
    symbols
        Ids are taken from here, new codes are interned here.
    horizon_s
        Seconds a stamp may lie after its frame's arrival; beyond, the message is BAD_TIME.
    """

    def __init__(self, symbols: SymbolTable, horizon_s: int = NO_HORIZON_S) -> None:
        self._symbols = symbols
        self._horizon_s = horizon_s

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
            return outcome
        for message in self._messages(parsed, outcome):
            try:
                accepted = self._message(message, recv_ns, out, at + outcome.slot_count)
            except BadValueError as bad:
                outcome.reject(bad.reason)
            else:
                outcome.accept(*accepted)
        return outcome

    @abstractmethod
    def _messages(self, parsed: dict[str, Any], outcome: Outcome) -> Sequence[object]:
        """Return the messages of a frame; count in `outcome` what is none."""

    @abstractmethod
    def _message(
        self, message: Any, recv_ns: int, out: NDArray[np.void], at: int
    ) -> tuple[int, int]:
        """Return how many slots a message became, and its exch_s, or raise BadValueError."""

    def _timely(self, exch_s: int, recv_ns: int) -> int:
        """Return a stamp, refused BAD_TIME when it is none or lies beyond the horizon."""
        if exch_s == BAD_STAMP or exch_s > latest_s(recv_ns, self._horizon_s):
            raise BadValueError(Reject.BAD_TIME)
        return exch_s

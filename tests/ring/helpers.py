"""Small ways of making rings and slots, shared by the tests of this room."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.ring.layout import RING_SLOTS_MIN, format_ring, ring_bytes, words_of
from engine.ring.reader import BATCH_SLOTS_MIN
from engine.schema.codes import SlotFlag
from engine.schema.slots import SLOT

CAPACITY = RING_SLOTS_MIN
CREATED_NS = 1_626_314_400_000_000_000


def new_ring(capacity: int = CAPACITY) -> NDArray[np.uint8]:
    memory = np.zeros(ring_bytes(capacity), np.uint8)
    format_ring(memory, capacity, CREATED_NS)
    return memory


def slots_of(payloads: list[int]) -> NDArray[np.void]:
    """Slots whose every word is told by one number, so that a torn one cannot pass for whole."""
    slots = np.zeros(len(payloads), SLOT)
    words_of(slots)[:] = np.array(payloads, np.int64).reshape(-1, 1) * 64 + np.arange(24)
    slots["seq"] = -1  # what a caller leaves in seq and LAST must not matter
    slots["flags"] = SlotFlag.LAST
    return slots


def new_batch(count: int = BATCH_SLOTS_MIN) -> NDArray[np.void]:
    return np.zeros(count, SLOT)


def taken(batch: NDArray[np.void], count: int) -> list[tuple[int, int, bool]]:
    """Return (seq, payload, ends a group) of a batch, refusing a slot that is not of one piece."""
    words = words_of(batch)[:count]
    payloads = words[:, 1] // 64
    expected = payloads.reshape(-1, 1) * 64 + np.arange(24)
    whole = np.delete(words, (0, 3), axis=1) == np.delete(expected, (0, 3), axis=1)
    assert whole.all(), f"torn slots at {np.flatnonzero(~whole.all(axis=1))[:5]}"
    flags = batch["flags"][:count]
    assert np.isin(flags, (0, 1)).all()
    return list(
        zip(batch["seq"][:count].tolist(), payloads.tolist(), (flags == 1).tolist(), strict=True)
    )


def plain(kernel: Any) -> Callable[..., Any]:
    """The Python function of a kernel, whichever lane runs: tests can look inside it."""
    return getattr(kernel, "py_func", kernel)

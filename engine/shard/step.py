"""All stages as one machine-code call over one block of memory.

Calling nine kernels from Python costs 33 us a batch: each call looks at some fifteen arrays before
it does anything. Fused, a batch of one slot costs 2.3 us, and 6.1 us when numba counts references
to the views (bench_stages, 2-core machine). So a function that calls every kernel in the order of
the tuple is written as text, compiled without reference counting, and given five arguments.
Everything it works on lies in one block, cut into places by `plan`:

    notes | stage 0: state, params, out | stage 1: state, params, out | ... | tally

The function is nothing but the loop "for each stage, call its kernel" written out, because numba
cannot loop over kernels of different types. A stage knows nothing of it. A stage that looks at few
kinds of slots is skipped when the batch has none of them, which is most of what a calm tape saves:
a match meets half of the stages.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.jit import kernel, lean_kernel
from engine.schema.codes import NoteFlag, SlotKind, TradeEvent
from engine.schema.notes import NOTE
from engine.schema.slots import rows_over
from engine.shard.stage import Stage

PLACE_ALIGN_BYTES = 64
KIND_BITS = 31
assert max(SlotKind) <= KIND_BITS

STALE_DAY = int(NoteFlag.STALE_DAY)
NEW_DAY = int(NoteFlag.NEW_DAY)
MATCH, BASELINE = int(TradeEvent.MATCH), int(TradeEvent.BASELINE)
REPEAT, CORRECTION = int(TradeEvent.REPEAT), int(TradeEvent.CORRECTION)
LATE = int(TradeEvent.LATE)

# What happened since the start, over all symbols.
TALLY = np.dtype(
    [
        ("slots", "<i8"),
        ("matches", "<i8"),
        ("repeats", "<i8"),
        ("corrections", "<i8"),
        ("baselines", "<i8"),
        ("late", "<i8"),  # matches that arrived after later ones; not among `matches`
        ("missed_volume_shares", "<i8"),  # net: a late match and a correction take away
        ("ignored_slots", "<i8"),  # of an older trading date, or of a symbol_id outside the table
        ("day_rolls", "<i8"),  # symbols that began a trading date
    ]
)

Step = Callable[
    [NDArray[np.void], int, NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]], None
]


class Place(NamedTuple):
    """One array inside the block: bytes [start, end) seen as `dtype`."""

    dtype: np.dtype[Any]
    start: int
    end: int

    def view(self, memory: NDArray[np.uint8]) -> NDArray[np.void]:
        """Return the array; no copy."""
        return memory[self.start : self.end].view(self.dtype)


class StagePlaces(NamedTuple):
    """The three arrays of one stage."""

    state: Place
    params: Place
    out: Place


class Plan(NamedTuple):
    """Where everything lies in the block."""

    notes: Place
    stages: tuple[StagePlaces, ...]
    tally: Place
    size_bytes: int

    def bounds(self) -> NDArray[np.int64]:
        """Return (start, end) of every place in the order the step takes them, int64 (n, 2)."""
        places = [self.notes, *(place for stage in self.stages for place in stage), self.tally]
        return np.array([(place.start, place.end) for place in places], np.int64)


def plan(stages: Sequence[Stage], symbol_capacity: int, batch_capacity: int) -> Plan:
    """Lay out the block for `stages`; every place starts on a cache line."""
    cursor = 0

    def place(dtype: np.dtype[Any], count: int) -> Place:
        nonlocal cursor
        start = cursor
        end = start + dtype.itemsize * count
        cursor = end + -end % PLACE_ALIGN_BYTES
        return Place(dtype, start, end)

    notes = place(NOTE, batch_capacity)
    triples = tuple(
        StagePlaces(
            place(stage.state_dtype, symbol_capacity),
            place(stage.params_dtype, 1),
            place(stage.channel.dtype, batch_capacity * stage.rows_per_slot)
            if stage.channel
            else place(NOTE, 0),
        )
        for stage in stages
    )
    tally = place(TALLY, 1)
    return Plan(notes, triples, tally, cursor)


views_over = kernel(rows_over)


@kernel
def kinds_in(slots: Any, count: Any) -> Any:
    """Return a bit for each SlotKind among the first `count` slots.

    A kind of another schema sets a bit of some kind or other: a stage is called in vain.
    """
    found = np.int64(0)
    for i in range(count):
        found |= np.int64(1) << np.int64(slots[i]["kind"] & KIND_BITS)
    return found


@kernel
def highest_id(slots: Any, count: Any, state: Any, before: Any) -> Any:
    """Return the highest id with a row in `state` among the first `count` slots, or `before`."""
    highest = before
    for i in range(count):
        symbol_id = np.int64(slots[i]["symbol_id"])
        if highest < symbol_id < state.shape[0]:
            highest = symbol_id
    return highest


def bits_of(kinds: Iterable[SlotKind]) -> int:
    """Return a bit for each of these kinds, as `kinds_in` numbers them."""
    return sum(1 << int(kind) for kind in kinds)


@kernel
def add_to_tally(notes: Any, count: Any, tally: Any) -> None:
    """Count what the notes of one batch say into ``tally[0]``."""
    total = tally[0]
    total["slots"] += count
    for i in range(count):
        note = notes[i]
        event, flags = note["event"], note["flags"]
        total["missed_volume_shares"] += note["missed_volume_shares"]
        if event == MATCH:
            total["matches"] += 1
        elif event == REPEAT:
            total["repeats"] += 1
        elif event == CORRECTION:
            total["corrections"] += 1
        elif event == BASELINE:
            total["baselines"] += 1
        elif event == LATE:
            total["late"] += 1
        if flags & STALE_DAY:
            total["ignored_slots"] += 1
        if flags & NEW_DAY:
            total["day_rolls"] += 1


def step_source(name: str, stages: Sequence[Stage]) -> str:
    """Return the text of the fused function: a line per stage, and one for those with kinds."""
    lines = [
        f"def {name}(slots, count, memory, bounds, counts):",
        "    rows = views_over(slots, count)",
        "    kinds = kinds_in(slots, count)",
        "    notes = memory[bounds[0, 0]:bounds[0, 1]].view(NOTE)",
    ]
    for index, stage in enumerate(stages):
        state, params, out = (
            f"memory[bounds[{at}, 0]:bounds[{at}, 1]].view({dtype}{index})"
            for at, dtype in zip(
                range(1 + 3 * index, 4 + 3 * index), ("STATE", "PARAMS", "OUT"), strict=True
            )
        )
        call = f"counts[{index}] = kernel{index}(rows, notes, {state}, {params}, {out})"
        if stage.kinds >= frozenset(SlotKind):
            lines.append(f"    {call}")
        else:
            lines += [
                f"    counts[{index}] = 0",
                f"    if kinds & {bits_of(stage.kinds)}:",
                f"        {call}",
            ]
    at = 1 + 3 * len(stages)
    lines += [
        f"    add_to_tally(notes, count, memory[bounds[{at}, 0]:bounds[{at}, 1]].view(TALLY))",
        "    state = memory[bounds[1, 0]:bounds[1, 1]].view(STATE0)",
        f"    counts[{len(stages)}] = highest_id(slots, count, state, counts[{len(stages)}])",
    ]
    return "\n".join(lines) + "\n"


@cache
def fuse(stages: tuple[Stage, ...]) -> Step:
    """Return ``step(slots, count, memory, bounds, counts)`` for these stages in this order.

    Parameters
    ----------
    stages
        At least one. Their kernels are called with views into `memory`.

    Returns
    -------
    Step
        slots: SLOT, shape (>= count,), read. memory: uint8, the block of `plan`. bounds: int64,
        ``Plan.bounds()``. counts: int64, shape (len(stages) + 1,), written: out rows of each stage,
        and the highest symbol id met so far.

    Notes
    -----
    numba's cache knows a function by its file, its name and its bytecode, and two step functions
    of equally many stages have the same bytecode. So the name carries a hash of which kernels
    it calls. What the kernels contain is the cache folder's business (``engine.jit``).
    """
    names = [
        f"{stage.kernel.__module__}.{stage.kernel.__qualname__} {bits_of(stage.kinds)}"
        for stage in stages
    ]
    tag = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    name = f"step_{tag}"
    space: dict[str, Any] = {
        "views_over": views_over,
        "kinds_in": kinds_in,
        "add_to_tally": add_to_tally,
        "highest_id": highest_id,
        "NOTE": NOTE,
        "TALLY": TALLY,
    }
    for index, stage in enumerate(stages):
        space[f"kernel{index}"] = stage.kernel
        space[f"STATE{index}"] = stage.state_dtype
        space[f"PARAMS{index}"] = stage.params_dtype
        space[f"OUT{index}"] = stage.channel.dtype if stage.channel else NOTE
    space["__name__"] = __name__
    # The text is made of stage numbers only, see step_source; nothing from outside is in it.
    exec(compile(step_source(name, stages), __file__, "exec"), space)  # noqa: S102
    step: Step = lean_kernel(space[name])
    return step

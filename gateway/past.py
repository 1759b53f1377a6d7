"""What a client that comes back is told of the keys it was at: all of it, or the state. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.schema.channels import TRADE
from gateway.backlog import Backlog
from gateway.directory import Directory
from gateway.groups import Group
from gateway.merge import Merged, MergedPart
from gateway.mirror import Mirror
from gateway.resume import UNASKED, VOID, Positions, Recovery, recoveries

ROWS_MAX: Final = 50_000  # of one channel: who missed more is better served by the state


@dataclass(frozen=True, slots=True)
class Owed:
    """Conflated keys that go on: one frame each, news of all that was missed."""

    interval_ms: int
    ids: NDArray[np.int64]
    prev: NDArray[np.int64]
    merged: MergedPart | None


@dataclass(frozen=True, slots=True)
class Past:
    """One channel of a client that comes back.

    Attributes
    ----------
    rows
        Those it missed in modes all and skip, in the order they were published.
    owed
        The same in mode conflate.
    complete
        bool (capacity,): keys that go on. The others are shown as they are.
    missed
        How many keys do not go on although their position was told.
    topics
        How each topic goes on.
    """

    code: int
    rows: NDArray[np.void]
    owed: list[Owed]
    complete: NDArray[np.bool_]
    missed: int
    topics: dict[str, Recovery] = field(default_factory=dict)


def past_of(
    group: Group,
    code: int,
    keys: NDArray[np.bool_],
    positions: Positions,
    backlog: Backlog,
    mirror: Mirror,
    directory: Directory,
) -> Past:
    """Find what a client missed of a channel.

    Parameters
    ----------
    group
        Its group: says in which mode it wants each key.
    code
        The channel.
    keys
        bool (capacity,): those it subscribes to now.
    positions
        Where it was.
    """
    seq = mirror.seq[code]
    at = positions.get(code)
    if at is None:
        at = np.full(mirror.capacity, UNASKED, np.int64)
    asked, void = keys & (at >= 0), keys & (at == VOID)
    stream = np.zeros(mirror.capacity, np.bool_)
    for masks in (group.every, group.skip):
        if code in masks:
            stream |= masks[code]
    rows, complete = backlog.after(code, np.where(asked & stream, at, UNASKED), seq)
    if len(rows) > ROWS_MAX:
        rows, complete = rows[:0], asked & stream & (at == seq)
    owed = []
    for interval_ms, masks in group.conflated.items():
        mine = asked & masks[code] if code in masks else None
        if mine is None or not mine.any():
            continue
        merged = None
        if code == TRADE.code:
            trades, mine = backlog.after(code, np.where(mine, at, UNASKED), seq)
            merged = Merged(mirror.capacity)
            merged.add_trades(trades)
        complete = complete | mine
        ids = np.flatnonzero(mine & (seq > at))
        part = merged.take(ids) if merged is not None else None
        owed.append(Owed(interval_ms, ids, at[ids], part))
    texts, owner = group.deciding(code, directory)
    owner = np.where(keys, owner, -1).astype(np.int32)
    told = np.where(complete, seq - at, 0)
    return Past(
        code,
        rows,
        owed,
        complete,
        int(((asked & ~complete) | void).sum()),
        recoveries(texts, owner, (seq > 0) | void, complete, told),
    )


def by_topic(pasts: Iterable[Past], shown: frozenset[str]) -> dict[str, Recovery]:
    """Return how each topic goes on over all its channels."""
    found = {text: Recovery(recovered=True, rows=0) for text in shown}
    for past in pasts:
        for text, recovery in past.topics.items():
            if text in found:
                found[text].recovered &= recovery.recovered
                found[text].rows += recovery.rows
    return found

"""The one plug-in shape: trackers, alert rules and the core statistics are all a Stage.

A kernel is called in the order of the stage tuple, once per batch that has a slot of its kinds:

    kernel(rows, notes, state, params, out) -> count

rows    schema.slots.Rows, read-only; row i is valid for i < rows.count, and rows.count rows are a
        whole number of groups (the last one has SlotFlag.LAST)
notes   NOTE array, one per row; classify writes them, the ledger adds which gap opened or closed,
        everybody else reads
state   the stage's own rows, `state_dtype`, shape (symbol_capacity,), index symbol_id
params  the stage's own record, `params_dtype`, shape (1,): a value, so that a changed setting
        never meets a constant frozen into machine code
out     rows of the stage's channel, shape (out_capacity,), room for `rows_per_slot` rows for every
        slot of the largest batch; the kernel fills [0, count)

It may not allocate, raise, read a clock, or depend on where a batch was cut. At most one out row
per symbol and group, except on channels that carry every event (trade, gaps, feed, alerts ...).
A stage with `kinds` is not called for a batch without them: it must not wait for NoteFlag.NEW_DAY,
which may come with a slot of another kind, but look at the trading date of its own slots.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.config import AlertsConfig, Config
from engine.schema.channels import Channel
from engine.schema.codes import SlotKind
from engine.schema.slots import Rows

Kernel = Callable[
    [Rows, NDArray[np.void], NDArray[np.void], NDArray[np.void], NDArray[np.void]], int
]


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What of the configuration decides what stages say. A replay needs the very same."""

    side_precedence: tuple[str, ...] = ("EXCHANGE", "QUOTE", "TICK")
    alerts: AlertsConfig = field(default_factory=AlertsConfig)

    @classmethod
    def of(cls, config: Config) -> "StageSettings":
        """Pick them out of a configuration."""
        return cls(tuple(config.engine.side_precedence), config.alerts)


FillParams = Callable[[NDArray[np.void], StageSettings], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A named kernel with its own state, settings and channel."""

    name: str
    scope: Literal["symbol", "market"]
    state_dtype: np.dtype[Any]
    params_dtype: np.dtype[Any]
    channel: Channel | None
    kernel: Kernel
    meaning: str
    rows_per_slot: int = 1  # most out rows one slot may give: sizes `out`
    kinds: frozenset[SlotKind] = frozenset(SlotKind)  # slots it looks at
    fill: FillParams | None = None  # writes ``params[0]``, once, when a fold is made

"""What others know of a shard's day: how far the recorder may follow its journal."""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np

from engine.ring.layout import RingView


class Upstream(NamedTuple):
    """How far a shard's day has come; each is asked again and again.

    Attributes
    ----------
    published
        Slots below this are published: they are final, if the journal has them.
    folded
        Slots below this did not kill the shard's worker. Those that do are quarantined before it
        goes on behind them, so who reads no further never folds them.
    quarantined
        How many slots are quarantined. When it has changed, the list has.
    """

    published: Callable[[], int]
    folded: Callable[[], int]
    quarantined: Callable[[], int]

    @classmethod
    def live(cls, ring: RingView, cell: np.void) -> Self:
        """Follow a shard by its ring and its SHARD_COUNTERS record."""
        return cls(
            lambda: ring.write_seq,
            lambda: int(cell["folded_seq"]),
            lambda: int(cell["quarantined_slots"]),
        )

    @classmethod
    def ended(cls, end_seq: int) -> Self:
        """Return what is known of a day that is over: all slots below `end_seq`."""
        return cls(lambda: end_seq, lambda: end_seq, lambda: 0)

    @property
    def limit_seq(self) -> int:
        """Below this the journal may be read."""
        return min(self.published(), self.folded())

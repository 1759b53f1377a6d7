"""A shard with a bug: a match of a certain size kills it, natively or by an exception.

Started in place of ``engine.wiring.shard``; ``poisoned_up`` is a ``vntape up`` that does so. Its
`make_fold` is what ``vntape capsule --folds`` needs to see the bug again.
"""

import ctypes
from collections.abc import Sequence

from engine.alerts.rulebook import compile_rules
from engine.config import RuleConfig
from engine.process import run_main
from engine.schema.codes import SlotKind
from engine.schema.slots import Rows
from engine.shard.fold import Fold, Sections
from engine.shard.stage import StageSettings
from engine.wiring import shard
from engine.wiring.stages import STAGES

SEGFAULT_SHARES = 66_600
RAISE_SHARES = 77_700


class PoisonedFold(Fold):
    """Folds like any other, but for two sizes of a match."""

    def fold(self, rows: Rows) -> Sections:
        """Fold one batch, or die of it."""
        is_trade = rows.head["kind"][: rows.count] == SlotKind.TRADE
        volumes = rows.trade["last_volume_shares"][: rows.count][is_trade]
        if (volumes == SEGFAULT_SHARES).any():
            ctypes.string_at(0)
        if (volumes == RAISE_SHARES).any():
            raise ZeroDivisionError("a poisoned slot")
        return super().fold(rows)


def make_fold(
    symbols_max: int,
    batch_slots: int,
    settings: StageSettings,
    rules: Sequence[RuleConfig] = (),
    *,
    hash_deltas: bool = False,
) -> Fold:
    """Return a fold with the bug; see `engine.wiring.stages.make_fold`."""
    return PoisonedFold(
        symbols_max,
        batch_slots,
        settings,
        hash_deltas=hash_deltas,
        stages=STAGES,
        rules=compile_rules(rules, settings.alerts),
    )


if __name__ == "__main__":
    vars(shard)["make_fold"] = make_fold
    run_main("shard", shard.main)

"""A tiny stage named `alerts`: every match of 1,000 shares or more is a block.

What a rule book needs of the real one is its rows and their seq. With this one the tests of the
rules do not depend on what the built-in alerts find worth telling.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.jit import kernel
from engine.schema import channels
from engine.schema.codes import AlertType, SlotKind, TradeEvent
from engine.schema.deltas import ALERT_DELTA
from engine.shard import classify, directory, quote, stats, tape
from engine.shard.fold import Fold, RuleBook
from engine.shard.groups import NO_PARAMS, stamp
from engine.shard.stage import Stage

MATCH = int(TradeEvent.MATCH)
BLOCK = int(AlertType.BLOCK_TRADE)
BLOCK_SHARES = 1_000

STATE = np.dtype([("row", ALERT_DELTA)])


@kernel
def blocks(rows: Any, notes: Any, state: Any, params: Any, out: Any) -> Any:
    """Publish every block."""
    count = 0
    for i in range(rows.count):
        if notes[i]["event"] == MATCH and notes[i]["volume_shares"] >= BLOCK_SHARES:
            head = rows.head[i]
            own = state[head["symbol_id"]]
            seq = own["row"]["seq"]
            own["row"] = state[0]["row"]
            row = own["row"]
            stamp(row, head, notes[i]["phase"], 0)
            row["seq"] = seq + 1
            row["updates"] = 1
            row["alert_type"] = BLOCK
            row["volume_shares"] = notes[i]["volume_shares"]
            out[count] = row
            count += 1
    return count


STAGE = Stage(
    "alerts",
    "symbol",
    STATE,
    NO_PARAMS,
    channels.ALERTS,
    blocks,
    "blocks only",
    kinds=frozenset({SlotKind.TRADE}),
)
STAGES = (directory.STAGE, classify.STAGE, tape.STAGE, stats.STAGE, quote.STAGE, STAGE)


def fold_with(rules: RuleBook | None, stages: Sequence[Stage] = STAGES) -> Fold:
    """Return a small fold of these stages that obeys these rules."""
    return Fold(8, 256, stages=stages, rules=rules, hash_deltas=True)

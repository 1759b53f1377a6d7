"""The stages of a shard in the order they run. Adding one costs its file and one line here.

`classify` writes the notes that everybody after it reads; `directory` needs none of them.
"""

from engine.shard import (
    book,
    classify,
    directory,
    feed_state,
    ledger,
    quote,
    reference,
    stats,
    tape,
)
from engine.shard.stage import Stage

STAGES: tuple[Stage, ...] = (
    directory.STAGE,
    classify.STAGE,
    tape.STAGE,
    stats.STAGE,
    ledger.STAGE,
    reference.STAGE,
    feed_state.STAGE,
    quote.STAGE,
    book.STAGE,
)

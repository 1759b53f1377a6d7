"""The stages of a shard in the order they run. Adding one costs its file and one line here.

`classify` writes the notes that everybody after it reads; `directory` needs none of them.
"""

from engine.shard import book, classify, directory, quote, stats, tape
from engine.shard.stage import Stage

STAGES: tuple[Stage, ...] = (
    directory.STAGE,
    classify.STAGE,
    tape.STAGE,
    stats.STAGE,
    quote.STAGE,
    book.STAGE,
)

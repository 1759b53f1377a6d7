"""``vntape replay DIR --digest`` of a trading day's journal: each shard folded from its start.

    shard-0 sha256:...  slots 4983121
    all     sha256:...

The digests are what the shards said when they stopped (log line ``stopped``), and what they will
say after any restart. Damage and holes are named with their position; the rest is folded.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.errors import ConfigError, SchemaMismatch
from engine.journal.days import About, read_about
from engine.journal.layout import FILE_SUFFIX
from engine.journal.reader import JournalReader
from engine.schema import SCHEMA_ID
from engine.schema.slots import SLOT, rows_over
from engine.shard.digest import combine
from engine.shard.fold import Fold
from engine.wiring.follow import tell_loss
from engine.wiring.stages import fold_of
from engine.wiring.worker import BATCH_SLOTS


class Replayed(NamedTuple):
    """A shard's day, folded."""

    fold: Fold
    reader: JournalReader
    holes: list[tuple[int, int]]


def is_journal(path: Path) -> bool:
    """Return whether a path is the folder of a day's journal."""
    return path.is_dir() and any(path.glob(f"*{FILE_SUFFIX}"))


def about_of(folder: Path) -> About:
    """Return what is known of the day, if this program can fold it.

    Raises
    ------
    ConfigError
        There is no about.json.
    SchemaMismatch
        The day was written with other layouts.
    """
    about = read_about(folder)
    if about is None:
        raise ConfigError(f"{folder} has no about.json: it is not the journal of a trading day")
    if about.schema != SCHEMA_ID:
        raise SchemaMismatch(
            f"{folder} was written by vntape {about.vntape} with schema {about.schema}, this "
            f"program has {SCHEMA_ID}: use that version to replay it"
        )
    return about


def replay_shard(
    folder: Path, shard: int, about: About, batch_slots: int = BATCH_SLOTS
) -> Replayed:
    """Fold a shard's journal of one day."""
    fold = fold_of(about, batch_slots, hash_deltas=True)
    reader = JournalReader(folder, shard)
    batch = np.zeros(batch_slots, SLOT)
    rows = rows_over(batch, 0)
    holes: list[tuple[int, int]] = []
    stamps = (0, 0)
    while True:
        count = reader.read(batch)
        if count:
            stamps = int(batch["recv_ns"][count - 1]), int(batch["exch_s"][count - 1])
        elif reader.hole is not None:
            holes.append(reader.hole)
            count = tell_loss(batch, reader.hole, stamps, reader.feed_symbol_id)
            reader.skip_hole()
        else:
            return Replayed(fold, reader, holes)
        fold.fold(rows._replace(count=count))


def run_digest(folder: Path) -> int:
    """Print the digest of every shard of a day, and of all together."""
    about = about_of(folder)
    digests = []
    for shard in range(about.shards):
        fold, reader, holes = replay_shard(folder, shard, about)
        digest = fold.digest()
        digests.append(digest)
        print(f"shard-{shard} {digest}  slots {fold.counts.slots}")
        for damage in reader.damage:
            print(f"shard-{shard} damaged: {damage}")
        for first, end in holes:
            print(f"shard-{shard} missing: slots {first} to {end - 1} were not written")
    print(f"all     {combine(digests)}")
    return 0

"""Which shard a symbol lives on. Data, versioned, written to the manifest.

What must be seen in order together shares a ring: indices and futures all live on shard 0, so
that a basis is computed from events in their true order. Stocks spread by a hash of their code.
A symbol's shard is stored in the symbol table when it is first seen and never recomputed.
"""

import zlib
from collections.abc import Callable

from engine.schema.codes import Instrument

VERSION = 1
RULE = "indices and futures: shard 0; stocks: crc32(code) mod shards"


def shard_rule(shards: int) -> Callable[[bytes, Instrument], int]:
    """Return the placement function for a number of shards."""

    def shard_of(code: bytes, instrument: Instrument) -> int:
        if instrument is not Instrument.STOCK:
            return 0
        return zlib.crc32(code) % shards

    return shard_of

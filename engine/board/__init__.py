"""The market-wide board: summaries over all shards. Pure: rows in, rows out.

In: the latest rows of the shards' channels. Out: rows of the channels with ``Channel.board``. May
lose: nothing; a summary is a function of the latest rows, so a lost bus frame heals with the
snapshot that follows. Counts: BOARD_COUNTERS, by ``wiring.board``.

Reading order: ``board``, then ``known`` (the latest rows), ``view`` (one trading day of them, share
by share), one file per channel (``market``, ``foreign``, ``movers``, ``attribution``), ``shelf``
(what of a summary is news). ``keys`` names what rows are about, ``weights`` reads the operator's
file.
"""

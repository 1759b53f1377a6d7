"""The shard: slots in, a classified and counted day out. A pure fold, no clock, no sockets.

In: batches of slots (``schema.slots.Rows``), whole groups each. Out: delta rows per channel.
Owner of the memory: ``fold.Fold``; rows it returns are valid until its next call.
May lose: nothing. A slot of an older trading date, or of a symbol outside the table, is ignored.
What the feed did not show is found here: as missed volume of a trade, and as a gap in the ledger.
Counts: ``Fold.counts`` (matches, late matches, repeats, corrections, baselines, missed volume,
ignored slots).

Reading order: ``stage`` (the plug-in shape), ``stages`` (the order), ``classify`` (the rules that
decide what happened, with ``phases``, ``sides``, ``holes`` and ``outages``), then ``directory``,
``tape``, ``stats``, ``ledger``, ``reference``, ``feed_state``, ``quote`` and ``book`` with
``auction_book`` (what each channel publishes), ``groups`` (how slots of one group become one row),
``step`` (all stages as one machine-code call) and ``fold`` (what the worker holds).
"""

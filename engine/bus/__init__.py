"""Deltas between processes, over ZeroMQ.

In: delta rows of a shard. Out: the same rows, in the same order, in a gateway.
Owner of the memory: `publisher` owns its frame buffers; a received frame owns its bytes and the
rows are read-only views over them. May lose: a frame that a slow gateway had no room for; the
gateway notices by the frame's number and asks for a snapshot. Counts: frames, rows, bytes,
snapshots served (publisher); frames, gaps, refusals by reason (subscriber).

`wire` is pure bytes; `publisher` and `subscriber` are the only ones that know ZeroMQ, which makes
this room the seam for another bus.
"""

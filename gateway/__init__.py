"""Where clients connect: deltas in from the bus, JSON out over WebSocket.

In: bus frames of every shard and of the board. Out: frames of client-protocol.md to every client.
Owner of the memory: `mirror` owns the latest row of every channel and key, `recent` the last
alerts; a client owns nothing but what its transport still has to send. May lose: intermediate
states of a conflated subscription (the frame says how many), and a client in mode `all` that does
not keep up (it is told where to resume). Counts: GATEWAY_COUNTERS.

Reading order: settings, directory (which key is which id), mirror (the latest rows; rows copies
them), topics (what a topic names), texts and words (numbers and codes as JSON), plan (a dtype's
fields), derived (what follows from them), encode (row -> JSON, frames -> WebSocket), merge (exact
aggregates of conflated trades), recent (rows for who comes later), groups (who wants what),
conflation (what waits for its interval, and for a slow reader), fanout (who gets what, when),
protocol and errors (the conversation, pure), status (is the tape alive), upgrade (what an HTTP
request gets), server (the only socket), wiring and __main__ (a process of it).
"""

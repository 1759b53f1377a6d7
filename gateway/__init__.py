"""Where clients connect: deltas in from the bus, frames out over WebSocket, answers over HTTP.

In: bus frames of every shard and of the board. Out: frames of client-protocol.md to every client.
Owner of the memory: `mirror` owns the latest row of every channel and key, `backlog` past rows,
`recent` the last alerts; a client owns nothing but what its transport still has to send. May lose:
intermediate states of a conflated subscription (the frame says how many), rows of one in mode
`skip` (it is told which), and a client in mode `all` that does not keep up (it is told where to
resume). Counts: GATEWAY_COUNTERS.

Reading order of a row: settings, directory (which key is which id), mirror (the latest rows; rows
copies them), topics (what a topic names), groups (who wants the same), audience (which groups want
a row), texts, words, plan, derived (numbers and codes as JSON), encode and binary (rows -> frames;
layouts describes the latter), merge (exact aggregates of conflated trades), conflation (what waits
for its interval, and for a slow reader), skipping, sinks (a client), delivery (bytes to those who
keep up, and to those who do not), fanout (who gets what, when).

Of who comes back: backlog (past rows), resume (where it was), past (what it missed), replays and
travels (time travel). Of a conversation: errors, conversation, arguments, verbs, protocol (pure);
recent, status (is the tape alive), presets. Of the door: addresses, origins, scopes, tls, upgrade
(what an HTTP request gets), door (the port), connection (one WebSocket), reception (who is here and
what they say). Then server (bus in, passes, joining and gap between them), wiring and __main__.

Packages: rest (a process: the same over HTTP, health, metrics), asyncapi (the protocol as a
document), client (for desks; needs nothing of all this).
"""

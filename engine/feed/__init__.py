"""The room that talks to the exchange's data vendor: SSI FastConnect v2 and v3, streams and REST.

In: sockets, or nothing but a seed (`synthetic`), or a file (`recording`). Out: raw frames with
their receive time, the state of the link, and what REST tells: reference data, bars. Owner of the
memory: the socket's buffer, lent for the length of one call. May lose: whatever the vendor sent
while the link was down; the state events say when that was. Counts: REST requests and failures,
frames recorded; of the stream nothing, as every frame, good or garbage, reaches the sink.
No text that leaves this room holds a key, a secret, a one-time password or a token.

    source            the seam: what a feed is to the engine, and FeedError
    signalr, v3_link  what frames mean for a connection, as pure state machines
    link, hub_socket  one WebSocket: whole frames, silence, a goodbye
    ssi_v2, ssi_v3    one connection at a time, kept up for ever
    rest_v2, rest_v3  tokens and lookups (`session_v3`: v3's one session, `refresh_file` its token)
    http, redact      one request, every failure of it one line; what no line may hold
    tokens, reconnect, health    pure: when to renew, how long to wait, whether the tape is alive
    reference, reference_rows    what is known of a symbol before it trades, and its cache
    backfill, bars    REST's minutes of every gap (`rest_values`: how REST writes things)
    recording         everything that enters the engine, to a file and back
    synthetic         a whole day from published figures and a seed
"""

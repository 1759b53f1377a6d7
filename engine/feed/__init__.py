"""The room that talks to the exchange's data vendor.

In: a socket (`ssi_v2`), or nothing but a seed (`synthetic`). Out: raw frames with their receive
time, and the state of the link. Owner of the memory: the socket's buffer, lent for the length of
one call. May lose: whatever the vendor sent while the link was down; the state events say when
that was. Counts: nothing itself; every frame, good or garbage, reaches the sink, which counts.

    source    the seam: what a feed is to the engine
    signalr   the protocol as a pure state machine
    ssi_v2    the sockets around it
"""

"""A FastConnect server, v2 and v3, that plays a synthetic trading day: SSI without SSI.

    http          requests and responses, as small as they can be
    websocket     RFC 6455 frames, server side
    hub           SignalR's words and the channel grammar
    lines         what is played, and how a subscription of either version is told of it
    connection    one TCP connection: HTTP first, then perhaps a WebSocket
    rest          AccessToken and the lookups; figures: the day as they tell it
    script        the day as rendered hub messages
    player        the day against the clock, or as fast as it is read
    server        all of it behind one port
    v3_*          the v3 half: topics, rendering, REST, signing in

What can go wrong, from a script (``--faults``; examples in ``scripts/``):

    faults        the language; words and moments: its words, times and lengths
    edits         what a fault does to lines; record: what is inside one
    executor      a day and a script made into one stream of steps
    links         what a fault does to connections and requests
    truth         what a client connected all day could not know (``--truth-file``)

Its faithfulness to the real server is listed in ssi-wire sections 1, 2.1 and 5.3. One port serves
REST and stream, requests are routed by path alone (the node client leaves upgrade headers on
plain requests), and that is why it is not built on a web framework: none does this.
"""

"""A FastConnect v2 server that plays a synthetic trading day: SSI without SSI.

    http          requests and responses, as small as they can be
    websocket     RFC 6455 frames, server side
    hub           SignalR's words and the channel grammar
    connection    one TCP connection: HTTP first, then perhaps a WebSocket
    rest          AccessToken and the lookups
    script        the day as rendered hub messages
    player        the day against the clock, or as fast as it is read
    server        all of it behind one port

Its faithfulness to the real server is listed in ssi-wire sections 1, 2.1 and 5.3. One port serves
REST and stream, requests are routed by path alone (the node client leaves upgrade headers on
plain requests), and that is why it is not built on a web framework: none does this.
"""

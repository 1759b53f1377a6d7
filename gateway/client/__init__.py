"""A small client of vntape.v1 that needs nothing of vntape: copy this folder and it works.

In: frames of a gateway. Out: every row once, in order, and a word about each row that was missed.

    from gateway.client import connect

    async with connect("ws://127.0.0.1:8765/ws") as client:
        await client.subscribe("trade.FPT", "stats.VN30*")
        async for update in client:
            print(update.topic, update.seq, update.row)

It reconnects by itself and goes on where it was. It needs Python 3.11 and the package `websockets`;
`format="bin"` also needs numpy, for rows that are views of the bytes received.

Reading order: messages (what a user sees), ledger (which rows are news; pure), wishes (what is
asked for after a reconnect; pure), layouts (binary frames), retry, client (the socket).
"""

from gateway.client.client import Client, connect
from gateway.client.messages import Answer, Gap, Refused, State, Update

__all__ = ["Answer", "Client", "Gap", "Refused", "State", "Update", "connect"]

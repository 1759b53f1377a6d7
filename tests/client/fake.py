"""A small gateway that does what a test tells it: cut lines, lose the past, fall silent.

It knows channel `trade` in mode all, in both formats, and it is a model: what a client was told can
be compared with `rows`.
"""

import asyncio
import contextlib
import struct
import zlib

import orjson
from websockets.asyncio.server import serve

HEADER = struct.Struct("<BBBBIq")
KEY = struct.Struct("<q56s")
RECORD = struct.Struct("<qqi4x")
LAYOUT = {
    "bytes": 24,
    "fields": [
        {"name": "seq", "type": "i8", "offset": 0, "shape": []},
        {"name": "recv_ns", "type": "i8", "offset": 8, "shape": []},
        {"name": "price_e2", "type": "i4", "offset": 16, "shape": []},
    ],
}
SCHEMA = {
    "op": "schema_ok",
    "schema": "sha256:1",
    "key": {
        "bytes": 64,
        "fields": [
            {"name": "epoch", "type": "i8", "offset": 0, "shape": []},
            {"name": "topic", "type": "S56", "offset": 8, "shape": []},
        ],
    },
    "merged": {
        "bytes": 8,
        "fields": [{"name": "count", "type": "i8", "offset": 0, "shape": []}],
    },
    "channels": {"trade": {"code": 1, "layout": LAYOUT}},
}
RECV_NS = 1_626_316_203_000_000_005  # a JavaScript number would round it


class Fake:
    """Attributes are switches: set them while it runs."""

    def __init__(self, *topics):
        self.epoch = "7"
        self.rows = dict.fromkeys(topics, 0)  # topic -> newest seq; row i has price i
        self.kept_from = 1  # older rows cannot be replayed
        self.token = None
        self.refuse_with = None  # close code instead of hello
        self.silent = False
        self.heartbeat_ms = 1000
        self.message_bytes = 65_536
        self.mangle = lambda payload: payload  # of replayed frames
        self.requests = []
        self.hellos = 0
        self.lines = {}  # connection -> its topics

    @contextlib.asynccontextmanager
    async def running(self):
        async with serve(
            self._talk,
            "127.0.0.1",
            0,
            subprotocols=["vntape.v1.json", "vntape.v1.bin"],
            compression=None,
            ping_interval=None,
        ) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
            yield self

    def ch(self, topic):
        return 1 << 20 | [*self.rows].index(topic) + 1

    async def publish(self, topic, count=1):
        """New rows, to everybody who wants them."""
        for _ in range(count):
            self.rows[topic] += 1
            for line, topics in list(self.lines.items()):
                if self._named(topic, topics):
                    await self._send(line, topic, self.rows[topic], 1)

    async def start_over(self, epoch):
        """As a shard that lost its past."""
        self.epoch = epoch
        self.rows = dict.fromkeys(self.rows, 0)
        for line in list(self.lines):
            await self.say(line, op="gap", reason="epoch", shard=0, epoch=epoch)
            self.lines[line] = dict.fromkeys(self.lines[line], False)

    async def cut(self, close=None, **word):
        """Close all lines, with a word if there is one; without a code just cut them."""
        for line in list(self.lines):
            if word:
                await self.say(line, **word)
            if close is None:
                line.transport.abort()
            else:
                await line.close(close)
            await line.wait_closed()
        while self.lines:
            await asyncio.sleep(0.001)

    async def say(self, line, **frame):
        with contextlib.suppress(Exception):
            await line.send(orjson.dumps(frame).decode())

    async def heartbeat(self):
        for line in list(self.lines):
            await self.say(line, **self._status("heartbeat"))

    # --- one line --------------------------------------------------------------------------------

    def _status(self, op):
        return {"op": op, "epoch": self.epoch, "feed": {"state": "live"}, "session": {}}

    def _named(self, key, topics):
        return any(
            topic == key or (topic[-1] == "*" and key.startswith(topic[:-1])) for topic in topics
        )

    async def _talk(self, line):
        if self.refuse_with:
            await line.close(self.refuse_with)
            return
        self.hellos += 1
        given = line.request.headers.get("Authorization", "").removeprefix("Bearer ")
        authorized = self.token is None or given == self.token
        await self.say(
            line,
            **self._status("hello"),
            v=1,
            auth="none" if self.token is None else "ok" if authorized else "required",
            schema="sha256:1",
            heartbeat_ms=self.heartbeat_ms,
            limits={"message_bytes": self.message_bytes},
        )
        self.lines[line] = {}
        try:
            async for message in line:
                request = orjson.loads(message)
                self.requests.append(request)
                if not self.silent:
                    await self._answer(line, request)
        except Exception as failure:
            if "ConnectionClosed" not in type(failure).__name__:
                raise
        finally:
            del self.lines[line]

    async def _answer(self, line, request):
        head = {"id": request["id"]} if "id" in request else {}
        op = request["op"]
        if op == "auth":
            if request["token"] == self.token:
                await self.say(line, op="auth_ok", name="desk-1", scopes=["*"], **head)
            else:
                await self.say(line, op="error", code=4001, message="wrong token", retry="none")
                await line.close(4001)
        elif op == "schema":
            await self.say(line, **SCHEMA, **head)
        elif op == "unsub":
            for topic in request["topics"]:
                self.lines[line].pop(topic, None)
            await self.say(line, op="unsub_ok", topics=request["topics"], **head)
        elif op == "sub":
            await self._subscribe(line, request, head)
        else:
            await self.say(line, op="error", code=4000, message="what?", retry="none", **head)

    async def _subscribe(self, line, request, head):
        had = dict(self.lines[line])
        since = request.get("since", {"epoch": "", "seq": {}})
        granted, refused, keys = {}, {}, []
        for topic in request["topics"]:
            mine = [key for key in self.rows if self._named(key, [topic])]
            if not mine:
                refused[topic] = 4004
                continue
            self.lines[line][topic] = True
            keys += [key for key in mine if not self._named(key, had) and key not in keys]
            granted[topic] = {"mode": "all", "interval_ms": 0}
            if topic in self.rows:
                granted[topic] |= {"ch": self.ch(topic), "seq": self.rows[topic]}
        back = {}
        for key in keys:
            seq = since["seq"].get(key)
            if seq is not None and self.epoch in since["epoch"].split("-"):
                back[key] = seq + 1 >= self.kept_from
        replayed = sum(self.rows[key] - since["seq"][key] for key, whole in back.items() if whole)
        for entry in granted.values():
            if "since" in request:
                entry |= {"recovered": all(back.get(key) for key in keys), "replayed": replayed}
        answer = {"op": "sub_ok", "topics": granted, **head}
        await self.say(line, **answer | ({"err": refused} if refused else {}))
        for key in keys:
            if back.get(key):
                await self._replay(line, key, since["seq"][key])
            elif self.rows[key]:
                await self._send(line, key, self.rows[key], 0)

    async def _replay(self, line, key, since):
        crc = 0
        for seq in range(since + 1, self.rows[key] + 1):
            payload = self._payload(line, key, seq, 1, "d")
            crc = zlib.crc32(payload if isinstance(payload, bytes) else payload.encode(), crc)
            if (sent := self.mangle(payload)) is not None:
                await line.send(sent)
        n = self.rows[key] - since
        if n:
            span = {"from": since + 1, "to": self.rows[key], "n": n, "crc": crc}
            await self.say(line, op="replay_end", ch=self.ch(key), **span)

    async def _send(self, line, key, seq, n):
        first = n and seq == 1  # its introduction
        kind = "snap" if first or not n else "d"
        with contextlib.suppress(Exception):
            await line.send(self._payload(line, key, seq, n, kind))

    def _payload(self, line, key, seq, n, kind):
        if line.subprotocol == "vntape.v1.bin":
            head = HEADER.pack(1, 1 if kind == "snap" else 2, 0, 1, self.ch(key), seq - n + 1)
            name = KEY.pack(int(self.epoch), key.encode()) if kind == "snap" else b""
            return head + name + RECORD.pack(seq, RECV_NS + seq, seq)
        frame = {"op": kind, "ch": self.ch(key), "seq": seq, "n": n}
        frame |= {"data": {"recv_ns": RECV_NS + seq, "price": seq}}
        if kind == "snap":
            frame |= {"topic": key, "epoch": self.epoch}
        return orjson.dumps(frame).decode()

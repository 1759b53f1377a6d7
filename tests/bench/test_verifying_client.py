"""The verifying client as a client: it subscribes to all, and comes back from every kind of end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from bench import verifying_client
from bench.verifying_client import Client

HEARTBEAT_MS = 40
WATCHDOG_S = 20.0
CHANNELS = {"trade": {"mode": "all"}, "stats": {"mode": "conflate"}, "bar.1m": {"mode": "conflate"}}
EPOCH = "7"


class Desk(WSListener):
    """A gateway of one key, in as many words as the client needs."""

    def __init__(self, hall: "Hall") -> None:
        self.hall = hall

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.hall.connections.append(transport)
        self.say(transport, {"op": "hello", "heartbeat_ms": HEARTBEAT_MS})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        request = orjson.loads(frame.get_payload_as_bytes())
        if request["op"] == "list":
            self.say(transport, {"op": "list_ok", "channels": CHANNELS})
        elif request["op"] == "sub":
            self.hall.asked.append(request)
            self.say(transport, {"op": "sub_ok", "id": request["id"], "topics": {}})
            if request["mode"] == "all":
                self.say(transport, row("snap", self.hall.seq))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.hall.left += 1

    def say(self, transport: WSTransport, message: dict[str, Any]) -> None:
        transport.send(WSMsgType.TEXT, orjson.dumps(message))


class Hall:
    """All connections of a test."""

    def __init__(self) -> None:
        self.connections: list[WSTransport] = []
        self.asked: list[dict[str, Any]] = []
        self.seq = 5
        self.left = 0

    def tell(self) -> None:
        """Tell the next row to the newest connection."""
        self.seq += 1
        self.connections[-1].send(WSMsgType.TEXT, orjson.dumps(row("d", self.seq)))


def row(op: str, seq: int) -> dict[str, Any]:
    head = {"op": op, "ch": 1, "seq": seq, "n": int(op == "d"), "data": {"price": seq}}
    return head | ({"topic": "trade.FPT", "epoch": EPOCH} if op == "snap" else {})


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WATCHDOG_S):
        while not true():
            await asyncio.sleep(0.005)


def play(story: Callable[[Hall, Client], Awaitable[None]], slow_upgrade: bool = False) -> Client:
    """Run a story against a client and a server of their own."""

    async def run() -> Client:
        hall = Hall()
        server = await ws_create_server(lambda _request: Desk(hall), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        door = await _slow_door(port) if slow_upgrade else None
        if door is not None:
            port = door.sockets[0].getsockname()[1]
        client = Client(f"ws://127.0.0.1:{port}/ws")
        running = asyncio.create_task(client.run())
        try:
            await story(hall, client)
        finally:
            running.cancel()
            await asyncio.wait([running])
            await until(lambda: hall.left == len(hall.connections))
            for each in (door, server):
                if each is not None:
                    each.close()
                    await each.wait_closed()
            if door is not None:
                await until(lambda: len(asyncio.all_tasks()) == 1)
        return client

    return asyncio.run(run())


async def _slow_door(port: int) -> asyncio.Server:
    """Open a door that lets nobody through before a second one knocks, and then everybody."""
    knocked = asyncio.Event()
    first = True

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
        target.close()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        if first:
            first = False
            await knocked.wait()
        knocked.set()
        there, back = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError):
            await asyncio.gather(copy(reader, back), copy(there, writer))
        for each in (writer, back):
            each.close()

    return await asyncio.start_server(enter, "127.0.0.1", 0)


def test_it_follows_events_row_by_row_and_the_rest_conflated() -> None:
    async def story(hall: Hall, client: Client) -> None:
        await until(lambda: client.subscribed_ns)
        for _ in range(3):
            hall.tell()
        await until(lambda: client.checker.rows["trade.FPT"].seq == 8)
        asked = {request["mode"]: request for request in hall.asked}
        assert asked["all"]["topics"] == ["trade.*"]
        assert sorted(asked["conflate"]["topics"]) == ["bar.1m.*", "stats.*"]
        assert asked["conflate"]["interval_ms"] == verifying_client.INTERVAL_MS

    client = play(story)
    status = client.answer("status")
    assert (status["fault_count"], status["rows"], status["connects"]) == (0, 3, 1)


def test_it_comes_back_when_cut_off() -> None:
    async def story(hall: Hall, client: Client) -> None:
        for number in range(1, 4):

            def is_back(wanted: int = number) -> bool:
                return client.subscriptions == wanted

            await until(is_back)
            hall.tell()
            await until(lambda: client.checker.rows["trade.FPT"].seq == hall.seq)
            hall.connections[-1].disconnect()

    client = play(story)
    assert client.checker.faults == []
    assert client.connects >= 3


def test_it_leaves_a_connection_that_is_silent() -> None:
    async def story(hall: Hall, client: Client) -> None:
        await until(lambda: client.subscriptions == 2)  # nobody cut the first one
        hall.tell()
        await until(lambda: client.checker.rows["trade.FPT"].seq == 6)

    assert play(story).checker.faults == []


def test_a_connection_given_up_while_it_was_made_is_not_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifying_client, "CONNECT_LIMIT_S", 0.1)

    async def story(hall: Hall, client: Client) -> None:
        await until(lambda: client.subscribed_ns)
        for _ in range(5):
            hall.tell()
        await until(lambda: client.checker.rows["trade.FPT"].seq == hall.seq)

    assert play(story, slow_upgrade=True).checker.faults == []


def test_wrong_rows_come_out_in_the_status() -> None:
    async def story(hall: Hall, client: Client) -> None:
        await until(lambda: client.subscribed_ns)
        hall.seq += 1  # one row is never told
        hall.tell()
        await until(lambda: client.checker.fault_count)

    status = play(story).answer("status")
    assert status["fault_count"] == 1
    assert "trade.FPT" in status["faults"][0]

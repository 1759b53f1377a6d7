"""A client that keeps every row it was sent, by key, and can come back where it was."""

import asyncio
import contextlib
import json
from collections import defaultdict
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from engine.rundir import RunDir
from tests.e2e.running import Tape, wait_for

Frame = dict[str, Any]

WATCHDOG_S = 30.0


class Desk:
    """What one trader's program has, over all its connections."""

    def __init__(self) -> None:
        self.epoch = ""
        self.topic_of: dict[int, str] = {}
        self.seq: dict[str, int] = {}
        self.rows: dict[str, dict[int, Frame]] = defaultdict(dict)
        self.controls: list[Frame] = []
        self.told = 0  # rows
        self.close_code: int | None = None

    def since(self, *wildcards: str) -> Frame:
        """Return where it is; keys of these wildcards it has not heard of begin at their first."""
        return {"epoch": self.epoch, "seq": dict.fromkeys(wildcards, 0) | self.seq}

    def take(self, frame: Frame) -> None:
        """Take a frame; fail when a row is missing or comes twice."""
        if frame["op"] not in ("snap", "d"):
            self.controls.append(frame)
            if frame["op"] == "hello":
                self.epoch = frame["epoch"]
            return
        if frame["op"] == "snap":
            self.topic_of[frame["ch"]] = frame["topic"]
        topic, seq = self.topic_of[frame["ch"]], frame["seq"]
        if frame["n"]:  # else it is the state, no news
            assert frame["n"] == 1, f"{topic}: {frame}"
            assert seq == self.seq.get(topic, 0) + 1, f"{topic}: {self.seq.get(topic)}, then {seq}"
            self.told += 1
        else:
            assert topic not in self.seq, f"{topic} was to go on, and is shown anew"
        self.seq[topic] = seq
        self.rows[topic][seq] = frame["data"]

    async def read(self, socket: ClientConnection, rows: int = 0, op: str = "") -> Frame:
        """Read so many more rows, or up to a message; return the last frame."""
        wanted = self.told + rows
        async with asyncio.timeout(WATCHDOG_S):
            while True:
                frame: Frame = json.loads(await socket.recv())
                self.take(frame)
                if frame["op"] == op or (rows and self.told >= wanted):
                    return frame

    async def read_to_the_end(self, socket: ClientConnection) -> None:
        """Read until the line ends, however it does."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(WATCHDOG_S):
                while True:
                    self.take(json.loads(await socket.recv()))
        self.close_code = socket.close_code


def line(port: int) -> connect:
    """Connect to a gateway."""
    protocols = [Subprotocol("vntape.v1.json")]
    # Without a limit: a client that stops reading would not see its close answered either.
    return connect(
        f"ws://127.0.0.1:{port}/ws", subprotocols=protocols, max_size=None, max_queue=None
    )


async def say(socket: ClientConnection, **message: object) -> None:
    """Send one request."""
    await socket.send(json.dumps(message))


def port_of(running: Tape, index: int = 0) -> int:
    """Return where a gateway listens, once it does."""
    counters = RunDir(running.run_dir).open_counters("gateway", index)
    return wait_for(f"gateway {index}", lambda: int(counters[0]["port"]))


def same_rows(one: Desk, other: Desk) -> int:
    """Fail when two were told different things of a row; return how many both were told."""
    both = 0
    for topic, rows in one.rows.items():
        for seq in rows.keys() & other.rows[topic].keys():
            assert rows[seq] == other.rows[topic][seq], f"{topic} {seq}"
            both += 1
    return both

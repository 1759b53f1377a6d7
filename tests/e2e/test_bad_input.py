"""What must not be on the wire comes all the same: one counted rejection, and the tape goes on."""

import asyncio
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect

from engine import config as configuration
from engine.clock import SystemClock
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID
from engine.schema.codes import FeedState, Reject
from tests.e2e.running import SHM, WATCHDOG_S, Process, wait_for
from tools.simulator.hub import HUB, broadcast, data_frame
from tools.simulator.player import Pace
from tools.simulator.server import Options, Simulator

pytestmark = pytest.mark.e2e

KEYS = {"VNTAPE_CONSUMER_ID": "any-consumer-id", "VNTAPE_CONSUMER_SECRET": "any-consumer-secret"}
NUMBERS = count(1)  # every valid message is a match of its own


def record(number: int, **changes: Any) -> dict[str, Any]:
    """Return an X-TRADE record: the day's match number `number`, 100 shares like all before."""
    return {
        "RType": "X-TRADE",
        "TradingDate": "14/08/2026",
        "Time": "10:00:00",
        "Isin": "SSI",
        "Symbol": "SSI",
        "Ceiling": 32100.0,
        "Floor": 27900.0,
        "RefPrice": 30000.0,
        "AvgPrice": 30000.0,
        "PriorVal": 30000.0,
        "LastPrice": 30000.0,
        "LastVol": 100.0,
        "TotalVal": 3_000_000.0 * number,
        "TotalVol": 100.0 * number,
        "MarketId": "HOSE",
        "Exchange": "HOSE",
        "TradingSession": "LO",
        "TradingStatus": "N",
        "Change": 0.0,
        "RatioChange": 0.0,
        "EstMatchedPrice": 0.0,
        "Highest": 30000.0,
        "Lowest": 30000.0,
        "Side": "BU",
        **changes,
    }


def envelope(content: object, data_type: str = "X-TRADE") -> bytes:
    """Wrap a record as the server does, two strings deep, in a frame of its own."""
    text = content if isinstance(content, str) else json.dumps(content)
    return data_frame(1, [broadcast(json.dumps({"DataType": data_type, "Content": text}))])


def without(key: str) -> dict[str, Any]:
    """Return a record that lacks a key."""
    return {name: value for name, value in record(1).items() if name != key}


VALID = envelope(record(1))

REJECTED: list[tuple[str, bytes, Reject]] = [
    ("truncated in the middle", VALID[: len(VALID) // 2], Reject.FRAME_NOT_JSON),
    ("one byte short", VALID[:-1], Reject.FRAME_NOT_JSON),
    ("binary as text", bytes(range(256)), Reject.FRAME_NOT_JSON),
    ("half a character", b'{"M":["\xe1\xba"]}', Reject.FRAME_NOT_JSON),
    ("empty frame", b"", Reject.FRAME_NOT_JSON),
    ("deeper than any parser goes", b"[" * 100_000, Reject.FRAME_NOT_JSON),
    ("a list", b"[1,2,3]", Reject.FRAME_SHAPE),
    ("messages that are no list", b'{"C":"d","M":{"H":"x"}}', Reject.FRAME_SHAPE),
    ("more than 1 MiB", VALID + b" " * (1 << 20), Reject.FRAME_TOO_LARGE),
    ("1 MiB of nothing", b"\0" * ((1 << 20) + 1), Reject.FRAME_TOO_LARGE),
    (
        "another method",
        b'{"C":"d","M":[{"H":"FcMarketDataV2Hub","M":"Shout","A":["x"]}]}',
        Reject.MESSAGE_SHAPE,
    ),
    (
        "arguments that are no text",
        b'{"C":"d","M":[{"H":"FcMarketDataV2Hub","M":"Broadcast","A":[7]}]}',
        Reject.MESSAGE_SHAPE,
    ),
    ("content that is no JSON", envelope("{broken"), Reject.MESSAGE_NOT_JSON),
    ("unknown type", envelope(record(1), "X-RUMOUR"), Reject.UNKNOWN_TYPE),
    ("no symbol", envelope(without("Symbol")), Reject.MISSING_FIELD),
    ("a symbol that is a number", envelope(record(1, Symbol=7)), Reject.BAD_SYMBOL),
    ("a symbol that is a sentence", envelope(record(1, Symbol="'; DROP TABLE")), Reject.BAD_SYMBOL),
    ("a price in words", envelope(record(1, LastPrice="thirty")), Reject.BAD_NUMBER),
    ("a volume that is a list", envelope(record(1, TotalVol=[1])), Reject.BAD_NUMBER),
    ("a price beyond any", envelope(record(1, LastPrice=1e15)), Reject.OUT_OF_RANGE),
    ("a time that is none", envelope(record(1, Time="25:61:00")), Reject.BAD_TIME),
    ("a date that is a number", envelope(record(1, TradingDate=14082026)), Reject.BAD_TIME),
]


class Feed:
    """A simulator with nothing to play, in a loop of its own, that sends what it is told to."""

    def __init__(self) -> None:
        clock = SystemClock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._simulator = Simulator([], Pace(None, 0, clock.now_ns()), clock, Options())
        self._call(self._simulator.start())
        self.port = self._simulator.port

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WATCHDOG_S)

    def send(self, payload: bytes) -> None:
        """Send one text frame of any content."""
        self._loop.call_soon_threadsafe(self._simulator.send_raw, payload)

    def stop(self) -> None:
        """End the simulator, the loop and the thread."""
        self._call(self._simulator.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WATCHDOG_S)
        self._loop.close()


class Engine(Process):
    """``vntape up`` against a feed."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(
            [
                "-m",
                "engine",
                "up",
                "--set",
                f"run.dir={folder}",
                "--set",
                f"run.data_dir={folder}/data",
                "--set",
                "history.record=off",
                "--set",
                "gateway.port=0",
                "--set",
                "engine.ring_slots=16384",
                "--set",
                f"feed.url=http://127.0.0.1:{port}/",
                "--set",
                f"feed.stream_url=http://127.0.0.1:{port}/",
            ],
            KEYS,
        )
        self.url = self.line(r"clients connect to (ws://\S+)")[1]
        self._cell = RunDir(folder / "vntape-main").open_counters("ingest", 0)[0]
        self.until("the feed to be live", lambda: self._cell["feed_state"] == FeedState.LIVE)

    def until(self, what: str, probe: Callable[[], Any]) -> None:
        """Wait for a condition; fail at once when the engine ends."""

        def alive() -> Any:
            assert self.popen.poll() is None, self.text
            return probe()

        wait_for(what, alive)

    def counters(self) -> SimpleNamespace:
        """Return what ingest has counted so far, as plain numbers."""
        cell = self._cell
        return SimpleNamespace(
            rejected=cell["rejected"].tolist(),
            **{
                name: int(cell[name])
                for name in (
                    "pid",
                    "messages",
                    "hub_errors",
                    "connects",
                    "disconnects",
                    "feed_state",
                    "symbols",
                )
            },
        )


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    running = Feed()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def engine(feed: Feed) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as folder:
        running = Engine(Path(folder), feed.port)
        try:
            # The first message of a symbol is its baseline; every later one is a match.
            feed.send(envelope(record(next(NUMBERS))))
            running.until("the first message", lambda: running.counters().messages)
            yield running
        finally:
            code = running.stop()
        assert code == 0, running.text
        assert "Traceback" not in running.text
        assert "any-consumer" not in running.text
        left = [path for path in Path(folder).iterdir() if path.name != "data"]
        assert not left, "left something behind"


def arrives(engine: Engine, feed: Feed) -> None:
    """Send one valid message and fail unless a client gets it."""
    number = next(NUMBERS)

    async def client() -> None:
        async with (
            connect(engine.url, subprotocols=["vntape.v1.json"]) as socket,
            asyncio.timeout(WATCHDOG_S),
        ):
            await socket.send('{"op":"sub","id":1,"topics":["trade.*"],"mode":"all"}')
            while json.loads(await socket.recv())["op"] != "sub_ok":
                pass
            feed.send(envelope(record(number)))
            async for text in socket:
                frame = json.loads(text)
                total = frame.get("data", {}).get("total_volume_shares")
                if frame["op"] in ("d", "snap") and total == 100 * number:
                    assert frame["data"]["volume_shares"] == 100
                    assert frame["data"]["missed_volume_shares"] == 0
                    return
            raise AssertionError("the gateway closed the connection")

    asyncio.run(client())


def unharmed(before: SimpleNamespace, after: SimpleNamespace) -> None:
    """Fail if the process or its connection is not the one it was."""
    for name in ("pid", "connects", "disconnects", "symbols"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.feed_state == FeedState.LIVE


@pytest.mark.parametrize(
    ("frame", "reason"), [each[1:] for each in REJECTED], ids=[each[0] for each in REJECTED]
)
def test_one_bad_frame_is_one_rejection(
    engine: Engine, feed: Feed, frame: bytes, reason: Reject
) -> None:
    before = engine.counters()
    feed.send(frame)
    engine.until("a rejection", lambda: sum(engine.counters().rejected) > sum(before.rejected))
    arrives(engine, feed)
    after = engine.counters()
    before.rejected[reason] += 1
    assert after.rejected == before.rejected
    assert after.messages == before.messages + 2
    assert after.hub_errors == before.hub_errors
    unharmed(before, after)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"C":"d-1","M":[{"H":"%b","M":"Error","A":["You are not allowed to"]}]}' % HUB.encode(),
        b'{"I":"99","E":"There was an error invoking Hub method"}',
    ],
    ids=["an Error message", "an answer nobody asked for"],
)
def test_a_hub_error_is_counted_and_no_rejection(engine: Engine, feed: Feed, frame: bytes) -> None:
    before = engine.counters()
    feed.send(frame)
    engine.until("a hub error", lambda: engine.counters().hub_errors > before.hub_errors)
    arrives(engine, feed)
    after = engine.counters()
    assert after.hub_errors == before.hub_errors + 1
    assert after.rejected == before.rejected
    assert after.messages == before.messages + 1
    unharmed(before, after)


def test_one_bad_message_does_not_take_its_neighbours_along(engine: Engine, feed: Feed) -> None:
    before = engine.counters()
    good = [next(NUMBERS), next(NUMBERS)]
    messages = [
        broadcast(json.dumps({"DataType": kind, "Content": json.dumps(content)}))
        for kind, content in (
            ("X-TRADE", record(good[0])),
            ("HEARSAY", record(1)),
            ("X-TRADE", record(good[1])),
        )
    ]
    feed.send(data_frame(2, messages))
    engine.until("all three", lambda: engine.counters().messages == before.messages + 3)
    arrives(engine, feed)  # it would have missed volume, had a neighbour been lost
    after = engine.counters()
    before.rejected[Reject.UNKNOWN_TYPE] += 1
    assert after.rejected == before.rejected
    unharmed(before, after)


def test_operators_see_what_was_refused(engine: Engine, feed: Feed) -> None:
    def said(word: str) -> bool:
        feed.send(envelope(record(1), "X-RUMOUR"))  # the log skips what comes within a second
        return any("messages rejected" in line and word in line for line in engine.lines)

    engine.until("a sample in the log", lambda: said("UNKNOWN_TYPE"))
    engine.until("the status line", lambda: said("PROBLEM: "))


# A run directory of another schema ----------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "role", "more"),
    [
        ("engine.wiring.shard", "shard", ("--index", "0", "--doorbell", "0")),
        ("engine.wiring.ingest", "ingest", ("--doorbells", "0")),
        ("gateway", "gateway", ("--index", "0")),
    ],
    ids=["shard", "ingest", "gateway"],
)
def test_a_run_directory_of_another_schema_is_refused(
    module: str, role: str, more: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory(dir=SHM, prefix="vt-") as folder:
        run = RunDir(Path(folder))
        run.write_config(configuration.load(environ={}, overrides=[f"run.dir={folder}"]))
        run.write_manifest({})
        other = "vntape-schema-of-yesterday"
        facts = json.loads(run.manifest_file.read_text(encoding="utf-8"))
        assert facts["schema"] == SCHEMA_ID
        run.manifest_file.write_text(json.dumps({**facts, "schema": other}), encoding="utf-8")
        process = Process(
            ["-m", module, "--run-dir", folder, "--parent", str(os.getpid()), *more], KEYS
        )
        assert process.wait() == 78, process.text
    (sentence,) = process.lines
    assert sentence.startswith(f"vntape {role}: ")
    assert other in sentence
    assert SCHEMA_ID in sentence

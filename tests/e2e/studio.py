"""A real engine whose feed says exactly what a test tells it to say.

SSI's server is the simulator in a thread of the test, with no day of its own: what a scenario
wants the exchange to say it says with `Studio.say`, message by message, over a real hub connection
to a real ``vntape up``. Clients are real WebSockets. Time is what the messages are stamped with.

Scenarios of one module share one engine; each has symbols of its own (`Studio.fresh`), so none
sees another's. Nothing sleeps: `Viewer.until` waits for frames, `Studio.settle` for everything
said so far to have gone through engine and gateway.
"""

import asyncio
import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from engine.clock import SystemClock
from tests.e2e.running import SHM, WATCHDOG_S, Engine, wait_for
from tests.gateway.client import ClientModel
from tools.simulator import hub
from tools.simulator.player import Pace
from tools.simulator.server import Options, Simulator

DAY = "2025-07-15"  # a Tuesday, KRX rules
NEXT_DAY = "2025-07-16"
MESSAGES_PER_FRAME = 10
LEVELS = range(1, 11)
SENTINEL = "ZZZ"  # a symbol no scenario uses

Record = dict[str, Any]


# What the exchange says --------------------------------------------------------------------------


def _stamp(kind: str, code: str, time: str, day: str, exchange: str) -> Record:
    year, month, date = day.split("-")
    return {
        "RType": kind,
        "TradingDate": f"{date}/{month}/{year}",
        "Time": time,
        "Isin": code,
        "Symbol": code,
        "MarketId": exchange,
        "Exchange": exchange,
    }


def trade(
    code: str,
    time: str,
    price: float,
    volume: float,
    total: float,
    *,
    side: str = "",
    day: str = DAY,
    exchange: str = "HOSE",
    session: str = "LO",
    limits: tuple[float, float, float] | None = None,
    **more: Any,
) -> Record:
    """X-TRADE: a match that brings the day to `total`. `limits`: ceiling, floor, reference."""
    ceiling, floor, reference = limits or (0, 0, 0)
    return {
        **_stamp("X-TRADE", code, time, day, exchange),
        "Ceiling": ceiling,
        "Floor": floor,
        "RefPrice": reference,
        "PriorVal": reference,
        "LastPrice": price,
        "LastVol": volume,
        "TotalVal": price * total,
        "TotalVol": total,
        "TradingSession": session,
        "TradingStatus": "N",
        "EstMatchedPrice": 0,
        "Highest": 0,
        "Lowest": 0,
        "Side": side,
        **more,
    }


def quote(
    code: str,
    time: str,
    bids: Sequence[tuple[float, float]],
    asks: Sequence[tuple[float, float]],
    *,
    day: str = DAY,
    exchange: str = "HOSE",
    session: str = "LO",
) -> Record:
    """X-QUOTE: (price, volume) per level, best first."""
    record = _stamp("X-QUOTE", code, time, day, exchange)
    for side, levels in (("Ask", asks), ("Bid", bids)):
        padded = [*levels, *[(0, 0)] * (len(LEVELS) - len(levels))]
        for level, (price, volume) in zip(LEVELS, padded, strict=True):
            record[f"{side}Price{level}"], record[f"{side}Vol{level}"] = price, volume
    return {**record, "TradingSession": session}


def foreign(
    code: str,
    time: str,
    buy: tuple[float, float],
    sell: tuple[float, float],
    *,
    room: tuple[float, float] = (1_000_000_000, 500_000_000),
    day: str = DAY,
    exchange: str = "HOSE",
) -> Record:
    """R: cumulative (volume, value) bought and sold; `room` is (total, current)."""
    return {
        **_stamp("R", code, time, day, exchange),
        "TotalRoom": room[0],
        "CurrentRoom": room[1],
        "BuyVol": buy[0],
        "SellVol": sell[0],
        "BuyVal": buy[1],
        "SellVal": sell[1],
    }


def index(
    code: str,
    time: str,
    value: float,
    prior: float,
    *,
    breadth: tuple[int, int, int, int, int] = (10, 5, 15, 1, 1),
    volume: float = 0,
    day: str = DAY,
    session: str = "LO",
) -> Record:
    """MI: `breadth` is advances, unchanged, declines, ceilings, floors."""
    year, month, date = day.split("-")
    return {
        "IndexId": code,
        "IndexValue": value,
        "PriorIndexValue": prior,
        "TradingDate": f"{date}/{month}/{year}",
        "Time": time,
        "TotalTrade": 0,
        "TotalQtty": volume,
        "TotalValue": 20_000 * volume,
        "IndexName": code,
        **dict(
            zip(("Advances", "NoChanges", "Declines", "Ceilings", "Floors"), breadth, strict=True)
        ),
        "Change": round(value - prior, 2),
        "RatioChange": 0,
        "TotalQttyPt": 0,
        "TotalValuePt": 0,
        "Exchange": "HOSE",
        "AllQty": volume,
        "AllValue": 20_000 * volume,
        "IndexType": "Main",
        "TradingSession": session,
        "MarketId": "HOSE",
        "RType": "MI",
        "TotalQttyOd": 0,
        "TotalValueOd": 0,
    }


def status(
    code: str,
    time: str,
    session: str = "LO",
    word: str = "N",
    *,
    day: str = DAY,
    exchange: str = "HOSE",
) -> Record:
    """F: session and trading status of a symbol."""
    return {
        **_stamp("F", code, time, day, exchange),
        "TradingSession": session,
        "TradingStatus": word,
    }


# What clients see --------------------------------------------------------------------------------


class Model(ClientModel):
    """A ``ClientModel`` for several sources, of which one may start over while others go on.

    What it knows of a key it forgets when the key's `snap` comes with another epoch, and no sooner.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: dict[str, str] = {}  # topic -> epoch
        self._doubted: set[int] = set()  # ch that a source may have given to another key

    def on_gap(self, frame: Record) -> None:
        self.controls.append(frame)
        if frame["reason"] == "epoch":
            self._doubted |= self.topic_of.keys()

    def on_snap(self, frame: Record) -> None:
        topic, epoch, ch = frame["topic"], frame["epoch"], frame["ch"]
        if ch in self._doubted and self.epoch.get(topic) != epoch:
            self.topic_of.pop(ch, None)
            self.seq.pop(topic, None)
            self.data.pop(topic, None)
        self._doubted.discard(ch)
        self.epoch[topic] = epoch
        super().on_snap(frame)


class Viewer:
    """A WebSocket client that believes nothing (``Model``) and can be waited for."""

    def __init__(self, url: str, topics: Sequence[str], *, mode: str | None = None) -> None:
        self.model = Model()
        self.closed = False
        self.failure: BaseException | None = None  # a frame that no client should get
        self._ids = count(1)
        self._changed = threading.Condition()
        opened = connect(url, subprotocols=["vntape.v1.json"], max_size=None)
        self._socket = opened.__enter__()  # left in `__exit__`
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        request: dict[str, Any] = {"op": "sub", "topics": list(topics)}
        answer = self.ask({**request, "mode": mode} if mode else request)
        assert "err" not in answer, f"refused: {answer['err']}"

    def _read(self) -> None:
        try:
            for text in self._socket:
                with self._changed:
                    self.model.read([text.encode() if isinstance(text, str) else text])
                    self._changed.notify_all()
        except ConnectionClosed:  # without a goodbye
            pass
        except Exception as error:  # told by `until`, in the thread of the test
            self.failure = error
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()
        self._reader.join(WATCHDOG_S)

    def until(self, what: str, probe: Callable[[], Any]) -> Any:
        """Return the first truthy answer of `probe`, asked again after every frame."""
        found: Any = None

        def asked() -> bool:
            nonlocal found
            found = probe()
            return bool(found) or self.closed

        with self._changed:
            assert self._changed.wait_for(asked, WATCHDOG_S), f"never came: {what}"
        if self.failure is not None:
            raise self.failure
        assert found, f"the gateway closed before: {what}"
        return found

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer."""
        number = next(self._ids)
        self._socket.send(json.dumps({**request, "id": number}))
        answer: dict[str, Any] = self.until(
            f"an answer to {request}",
            lambda: next((f for f in self.model.controls if f.get("id") == number), None),
        )
        return answer

    def data(self, topic: str) -> dict[str, Any]:
        """Return the latest `data` of a topic, {} if there is none yet."""
        return dict(self.model.data.get(topic, {}))

    def rows(self, topic: str) -> list[dict[str, Any]]:
        """Return the `data` of every snap and delta of a topic, in order of arrival."""
        named = self.model.topic_of
        return [
            frame["data"]
            for frame in list(self.model.frames)
            if frame["op"] in ("snap", "d") and named.get(frame["ch"]) == topic
        ]

    def wait(self, topic: str, **wanted: Any) -> dict[str, Any]:
        """Return the topic's data once it says all of this."""
        self.until(
            f"{topic} with {wanted}; last was {self.data(topic)}",
            lambda: (
                all(self.data(topic).get(name) == value for name, value in wanted.items())
                and self.data(topic)
            ),
        )
        return self.data(topic)


class Studio:
    """The exchange, an engine that listens to it, and where clients find it."""

    def __init__(self, folder: Path, settings: Sequence[str], program: str = "engine") -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        clock = SystemClock()
        self.simulator = self._call(self._make(clock))
        url = f"http://127.0.0.1:{self.simulator.port}/"
        argv = ["-m", program, "up"]
        for setting in (
            f"feed.url={url}",
            f"feed.stream_url={url}",
            "feed.reconnect_base_ms=20",
            "feed.reconnect_cap_ms=50",
            "feed.reference=off",
            "feed.backfill=off",
            "board.interval_ms=20",
            f"run.dir={folder}",
            f"run.data_dir={folder}/data",
            "history.record=off",  # two processes that no scenario looks at
            "gateway.port=0",
            "gateway.conflate_ms=10",
            "supervisor.status_ms=100",
            *settings,
        ):
            argv += ["--set", setting]
        keys = {"VNTAPE_CONSUMER_ID": "0" * 32, "VNTAPE_CONSUMER_SECRET": "1" * 32}
        self.engine = Engine(argv, folder / "vntape-main", keys)
        self._numbers = count(1)
        self._sentinels = count(1)
        try:
            self.url = self.engine.url
            self.wait_connected()
        except BaseException:
            self.close()  # nobody else could: the caller never gets to see us
            raise

    async def _make(self, clock: SystemClock) -> Simulator:
        simulator = Simulator([], Pace(None, 0, None), clock, Options(snapshot=False))
        await simulator.start()
        return simulator

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WATCHDOG_S)

    def wait_connected(self) -> None:
        """Return once the engine listens to us."""

        def listening() -> bool:
            return any(each.subscription for each in list(self.simulator.connections))

        wait_for("the engine to subscribe", listening)

    def close(self) -> None:
        """Stop everything."""
        try:
            self.engine.stop()
        finally:
            self._call(self.simulator.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(WATCHDOG_S)
            self._loop.close()

    def fresh(self) -> str:
        """Return a code no other scenario uses."""
        number = next(self._numbers)
        return "T" + "".join(chr(ord("A") + number // 26**power % 26) for power in (1, 0))

    def say(self, *records: Record) -> None:
        """Let the exchange say these messages, in this order."""
        for first in range(0, len(records), MESSAGES_PER_FRAME):
            messages = [
                hub.broadcast(json.dumps({"DataType": each["RType"], "Content": json.dumps(each)}))
                for each in records[first : first + MESSAGES_PER_FRAME]
            ]
            self._call(self._send(b",".join(messages)))

    async def _send(self, messages: bytes) -> None:
        cursor = self.simulator.player.next_cursor()
        self.simulator.send_raw(b'{"C":"d-%d","M":[%s]}' % (cursor, messages))

    def drop(self) -> None:
        """Cut every connection of the engine, as a network would."""

        async def cut() -> None:
            for each in list(self.simulator.connections):
                each.abort()

        self._call(cut())

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Keep the engine away from the exchange for the length of a ``with``."""
        player = self.simulator.player

        async def begin() -> None:
            player.outage_count += 1
            gone = [each for each in self.simulator.connections if each.is_websocket]
            for each in gone:
                each.abort()
                await each.gone.wait()

        async def end() -> None:
            player.outage_count -= 1

        self._call(begin())
        try:
            yield
        finally:
            self._call(end())
        self.wait_connected()

    def kill(self, role: str) -> None:
        """Kill a child of the supervisor with -9; return once another has taken its place."""
        killed = self._pid(role)
        os.kill(killed, signal.SIGKILL)
        wait_for(f"another {role}", lambda: self._pid(role) not in (0, killed))

    def _pid(self, role: str) -> int:
        """Return the process id of a child, 0 while there is none."""
        supervisor = self.engine.popen.pid
        module = "gateway" if role == "gateway" else f"engine.wiring.{role}"
        listed = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text(encoding="ascii")
        for child in listed.split():
            with suppress(FileNotFoundError, ProcessLookupError):
                argv = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
                if argv[1:3] == ["-m", module]:
                    return int(child)
        return 0

    def view(self, *topics: str, mode: str | None = None) -> Viewer:
        """Return a client that has subscribed to these topics; use it in a ``with``."""
        return Viewer(self.url, topics, mode=mode)

    def settle(self, viewer: Viewer) -> None:
        """Return when everything said so far has reached `viewer`, or never will.

        The exchange says one more thing, about a symbol of no scenario. When that is through, all
        that was said before it is; then the gateway answers a ping behind all it had to send.
        """
        number = next(self._sentinels)
        volume = 100 * number
        with self.view("stats.*", "trade.*") as witness:
            self.say(trade(SENTINEL, "10:00:00", 10_000, 100, volume))
            witness.until(
                "the sentinel",
                lambda: witness.data(f"trade.{SENTINEL}").get("total_volume_shares") == volume,
            )
            # Whoever changes topics has the gateway send first what waits for its interval.
            witness.ask({"op": "unsub", "topics": ["stats.*"]})
        viewer.ask({"op": "ping"})


@contextmanager
def studio(*settings: str, program: str = "engine") -> Iterator[Studio]:
    """Run a studio and make sure that nothing of it is left afterwards.

    `program` is the module that plays ``vntape``.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=SHM, prefix="vt-")))
        made = Studio(folder, settings, program)
        stack.callback(made.close)
        yield made

"""The processes of a fan-out bench, and how they are spoken to: lines in, lines of JSON out."""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench.fanout_native import Programs, build
from bench.fanout_prebuilt import PROTOCOLS, capture
from bench.fanout_rows import TOPICS
from gateway.settings import GatewaySettings

WATCHDOG_S: Final = 120.0
QUIET_S: Final = 0.2  # a client that got nothing for so long has got everything
BUDGET_BYTES: Final = GatewaySettings(endpoints=()).client_budget_bytes
SNDBUF_BYTES: Final = GatewaySettings(endpoints=()).kernel_buffer_bytes
PREBUILT_FRAMES: Final = 1_000
CLIENTS_MORE: Final = 8  # the capturing client, and room for those that are just leaving


def cpu_ns(pid: int) -> int:
    """Return the processor time a process has used, all its threads together.

    From the scheduler's own account, which is exact to the nanosecond; /proc/PID/stat knows
    hundredths of a second only.
    """
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total


class Program:
    """A child that obeys lines on its stdin."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.name = " ".join(argv[1:3] if argv[0] == sys.executable else argv[:1])
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        self._text = b""

    def line(self) -> bytes:
        """Return the next line it prints; a child that hangs or dies is an error."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        deadline = time.monotonic() + WATCHDOG_S
        while b"\n" not in self._text:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
                raise RuntimeError(f"{self.name} said nothing for {WATCHDOG_S:.0f} s")
            piece = os.read(fd, 1 << 20)
            if not piece:
                raise RuntimeError(f"{self.name} ended with code {self._process.wait()}")
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        return line

    def ask(self, order: str) -> Any:
        """Give an order and return its answer."""
        self.say(order)
        return self.answer()

    def say(self, order: str) -> None:
        """Give an order; `answer` waits for what it says."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return the answer to the oldest order that was only said."""
        return orjson.loads(self.line())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Load(Program):
    """Clients, all subscribed: see bench/native/load_client.c."""

    def idle(self) -> dict[str, Any]:
        """Wait until nothing comes any more, and return the counts."""
        seen: dict[str, Any] = self.ask("status")
        deadline = time.monotonic() + WATCHDOG_S
        while time.monotonic() < deadline:
            time.sleep(QUIET_S)
            before, seen = seen, self.ask("status")
            if seen["frames"] == before["frames"]:
                return seen
        raise RuntimeError(f"frames kept coming for {WATCHDOG_S:.0f} s after the last was made")


@dataclass(frozen=True, slots=True)
class Server:
    """Somebody clients connect to, and who makes it send.

    Attributes
    ----------
    name
        ``gateway``, ``delivery`` or ``reference``.
    port
        Where clients connect.
    pid
        Whose processor time is measured.
    player
        Takes ``play`` orders: the source of a gateway, the server itself otherwise.
    """

    name: str
    port: int
    pid: int
    player: Program


class Stage:
    """Everything a bench starts, below one folder; all of it ends with the stage.

    Parameters
    ----------
    folder
        Scratch space in memory: sockets, programs, prebuilt frames.
    symbol_count
        Symbols of the made-up market.
    client_count
        Most clients at a time.
    form
        ``json`` or ``bin``.
    """

    def __init__(self, folder: Path, symbol_count: int, client_count: int, form: str) -> None:
        self.programs: Programs = build(folder)
        self.form = form
        self._folder = folder
        self._symbols = symbol_count
        self._clients = client_count + CLIENTS_MORE
        self._children: list[Program] = []

    def _start(self, child: Program) -> Program:
        self._children.append(child)
        return child

    def gateway(self, budget_bytes: int = BUDGET_BYTES) -> Server:
        """Start a gateway and the publisher it follows."""
        number = len(self._children)
        endpoints = [f"ipc://{self._folder}/{kind}{number}" for kind in ("d", "s")]
        source = self._start(Program(_python("fanout_source", *endpoints, self._symbols)))
        assert source.line() == b"ready"
        words = (*endpoints, self._symbols, self._clients, budget_bytes)
        gateway = self._start(Program(_python("fanout_gateway", *words)))
        return Server("gateway", int(gateway.line()), gateway.pid, source)

    def prebuilt(self, gateway: Server) -> Path:
        """Have a gateway send some frames and keep them."""
        path = self._folder / "prebuilt"
        capture(
            gateway.port,
            self.form,
            {"op": "sub", "topics": TOPICS, "mode": "all", "snapshot": False},
            lambda: gateway.player.say(f"play 1000 {PREBUILT_FRAMES // 100} 0.1"),
            PREBUILT_FRAMES,
        ).write(path)
        gateway.player.answer()
        return path

    def delivery(self, prebuilt: Path) -> Server:
        """Start delivery alone."""
        words = (prebuilt, self._clients, BUDGET_BYTES)
        server = self._start(Program(_python("fanout_delivery", *words)))
        return Server("delivery", int(server.line()), server.pid, server)

    def reference(self, prebuilt: Path, unsent_low_bytes: int) -> Server:
        """Start the reference server, with the gateway's own socket options."""
        argv = (*self.programs.reference_server, prebuilt, SNDBUF_BYTES, unsent_low_bytes)
        server = self._start(Program([str(word) for word in argv]))
        return Server("reference", int(server.line()), server.pid, server)

    @contextlib.contextmanager
    def load(
        self,
        server: Server,
        count: int,
        requests: Sequence[dict[str, Any]],
        *,
        checked: int = 2,
        every: int = 1,
        receive_bytes: int = 0,
    ) -> Iterator[Load]:
        """Connect clients; client i says request i, again from the first when they are more.

        Raises
        ------
        RuntimeError
            Somebody was refused.
        """
        path = self._folder / f"requests-{server.name}"
        path.write_bytes(b"".join(orjson.dumps(request) + b"\n" for request in requests))
        words = (server.port, count, PROTOCOLS[self.form], path, checked, every, receive_bytes)
        load = Load([*self.programs.load_client, *map(str, words)])
        try:
            assert load.line() == b"ready"
            told = load.ask("status")
            if told["error"] or told["open"] != count:
                raise RuntimeError(f"{server.name}: {told['open']} of {count} in: {told['error']}")
            yield load
        finally:
            load.close()

    def close(self) -> None:
        """End everybody."""
        for child in reversed(self._children):
            child.close()


@contextlib.contextmanager
def stage(symbol_count: int, client_count: int, form: str = "json") -> Iterator[Stage]:
    """Set up a stage in memory, and clear it away."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vb-") as folder:
        it = Stage(Path(folder), symbol_count, client_count, form)
        try:
            yield it
        finally:
            it.close()


def _python(module: str, *words: object) -> list[str]:
    return [sys.executable, "-m", f"bench.{module}", *map(str, words)]

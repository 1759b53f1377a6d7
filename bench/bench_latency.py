"""How old news is when a desk reads it: from the feed's send, through the whole engine, to clients.

    sender -> socket -> ingest -> journal, ring -> shard -> bus -> gateway -> 100 clients

Everything between sender and clients is a running instance as an operator starts it: journal,
recorder, board and REST beside the tape. The sender speaks SSI's v2 link and puts the moment of
sending into every quote (bench.fanout_stamped); the clients, compiled, take it from what they are
told. So `from_send` is the age of every single quote at every single client, on one clock; and
`from_receive` is the age of every row since the ingest read its message, trades too. Each client
follows quotes and trades of 30 symbols in mode all: no conflation's interval is in the figures.

    python -m bench.bench_latency [--small] [--json PATH]
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

from bench.cli import Size, main
from bench.fanout_figures import ages_ms
from bench.fanout_native import build
from bench.fanout_prebuilt import PROTOCOLS
from bench.fanout_stage import Load, cpu_ns
from bench.fanout_stamped import render
from bench.pace import RateFile
from bench.steady_instance import free_port, stay_in_one_day
from bench.workload import SEED
from engine import config as configuration
from engine.config import ENV_CONSUMER_ID, ENV_CONSUMER_SECRET
from engine.feed.synthetic import table as tables
from engine.feed.synthetic.plan import plan_day
from engine.feed.synthetic.render import frames
from engine.wiring.children import ChildSpec
from engine.wiring.supervisor import Supervisor

QUOTES_PER_TRADE: Final = 14.0  # as many as a measurement of the whole market saw
SYMBOLS_EACH: Final = 30
STEP: Final = 7  # client i begins at symbol 7 i: neighbours share some symbols, not all
FORM: Final = "json"
READY_LIMIT_S: Final = 600.0  # kernels may have to be compiled first
POLL_S: Final = 0.05
CHECKED: Final = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """A size of the bench.

    Attributes
    ----------
    warm_s
        Played before anybody connects, so that symbols are known and kernels are warm.
    """

    clients: int
    messages_per_s: int
    warm_s: float
    seconds: float
    trades: int


PLANS: Final[dict[Size, Plan]] = {
    "full": Plan(100, 10_000, 5.0, 30.0, 40_000),
    "small": Plan(10, 2_000, 3.0, 2.0, 2_000),
}


def requests(symbols: Sequence[str], client_count: int) -> list[dict[str, Any]]:
    """Return what each client subscribes to."""
    found = []
    for number in range(client_count):
        some = itertools.islice(
            itertools.cycle(symbols), number * STEP, number * STEP + SYMBOLS_EACH
        )
        topics = [f"{channel}.{code}" for code in some for channel in ("quote", "trade")]
        found.append({"op": "sub", "topics": topics, "mode": "all", "interval_ms": 0})
    return found


def prepare(plan: Plan, folder: Path) -> list[str]:
    """Render the day; return the symbols that are quoted while the engine warms up."""
    day = plan_day(
        tables.read_table(tables.SHIPPED_TABLE),
        tables.read_futures(tables.SHIPPED_FUTURES),
        seed=SEED,
        trades_max=plan.trades,
        quotes_per_trade=QUOTES_PER_TRADE,
    )
    warm = round(plan.messages_per_s * plan.warm_s)
    wanted = round(plan.messages_per_s * (plan.warm_s + plan.seconds + 2))
    payloads = (payload for _, payload in frames(day, 1))
    early = folder / "early"
    early.mkdir()
    symbols = render(itertools.islice((p for _, p in frames(day, 1)), warm * 3 // 4), early)
    render(itertools.islice(payloads, wanted), folder)
    if len(symbols) < SYMBOLS_EACH:
        raise RuntimeError(f"{len(symbols)} symbols are quoted in the first {plan.warm_s:.0f} s")
    return symbols


async def _ready(supervisor: Supervisor, task: "asyncio.Task[None]") -> int:
    """Wait until the instance is up; return the gateway's port."""
    run_dir = supervisor.run_dir
    deadline = time.monotonic() + READY_LIMIT_S
    while not task.done() and time.monotonic() < deadline:
        if run_dir.manifest_file.exists():
            port = int(run_dir.open_counters("gateway", 0)[0]["port"])
            if port > 0:
                return port
        await asyncio.sleep(POLL_S)
    raise RuntimeError("the engine did not come up; its log says why")


async def _measure(plan: Plan, supervisor: Supervisor, rate: RateFile, load: Load) -> Any:
    assert await asyncio.to_thread(load.line) == b"ready"
    told = await asyncio.to_thread(load.ask, "mark")
    if told["error"] or told["open"] != plan.clients:
        raise RuntimeError(f"{told['open']} of {plan.clients} clients are in: {told['error']}")
    pids = {child.spec.name: child.pid for child in supervisor.children}
    before_ns = {name: cpu_ns(pid) for name, pid in pids.items()}
    ingest = supervisor.run_dir.open_counters("ingest", 0)[0]
    messages, began_s = int(ingest["messages"]), time.monotonic()
    await asyncio.sleep(plan.seconds)
    took_s = time.monotonic() - began_s
    played = int(ingest["messages"]) - messages
    cores = {
        name: round((cpu_ns(pid) - before_ns[name]) / 1e9 / took_s, 3) for name, pid in pids.items()
    }
    rate.set(0)
    got = await asyncio.to_thread(load.idle)
    if got["breaks"] or got["open"] != plan.clients or got["ops"].get("gap"):
        raise RuntimeError(
            f"{got['breaks']} rows out of order, {got['open']} clients left, told {got['ops']}"
        )
    return {
        "clients": plan.clients,
        "symbols_each": SYMBOLS_EACH,
        "messages_per_s": round(played / took_s),
        "deliveries_per_s": round(got["updates"] / took_s),
        "from_send_ms": ages_ms(got["feed_age_us"]),
        "from_receive_ms": ages_ms(got["age_us"]),
        "core_share": cores,
        "client_core_share": round(got["cpu_ns"] / 1e9 / took_s, 3),
    }


async def one_run(plan: Plan, folder: Path, shared: Path) -> dict[str, Any]:
    """Start an instance, let it warm up, and measure."""
    symbols = prepare(plan, folder)
    programs = build(shared)
    wishes = folder / "requests"
    wishes.write_bytes(
        b"".join(orjson.dumps(each) + b"\n" for each in requests(symbols, plan.clients))
    )
    port, rate = free_port(), RateFile(folder / "rate")
    argv = [sys.executable, "-m", "bench.fanout_feed", str(folder), str(folder / "rate"), str(port)]
    url = f"http://127.0.0.1:{port}/"
    settings = configuration.load(
        environ={},
        overrides=[
            "run.name=latency",
            f"run.dir={shared}",
            f"run.data_dir={folder / 'data'}",
            f"feed.url={url}",
            f"feed.stream_url={url}",
            "feed.backfill=off",
            "gateway.port=0",
            "rest.port=0",
            "supervisor.status_ms=0",
        ],
    )
    supervisor = Supervisor(
        settings, companions=[ChildSpec("sender", argv)], say=lambda _text: None
    )
    task = asyncio.create_task(supervisor.run())
    load: Load | None = None
    try:
        gateway_port = await _ready(supervisor, task)
        rate.set(plan.messages_per_s)
        ingest = supervisor.run_dir.open_counters("ingest", 0)[0]
        deadline = time.monotonic() + READY_LIMIT_S
        while int(ingest["messages"]) < plan.messages_per_s * plan.warm_s:
            if task.done() or time.monotonic() > deadline:
                raise RuntimeError("the ingest does not hear the sender; its log says why")
            await asyncio.sleep(POLL_S)
        words = (gateway_port, plan.clients, PROTOCOLS[FORM], wishes, CHECKED, 1, 0)
        load = Load([*programs.load_client, *map(str, words)])
        found: dict[str, Any] = await _measure(plan, supervisor, rate, load)
        return found
    finally:
        if load is not None:
            load.close()
        supervisor.request_stop()
        await task


def run(size: Size) -> dict[str, Any]:
    """Run the bench.

    Returns
    -------
    dict
        Ages in milliseconds from sending and from receiving, and each process's share of a core.
    """
    plan = PLANS[size]
    stay_in_one_day(round(plan.seconds + plan.warm_s) + 60)
    # Any key will do for our own sender.
    os.environ[ENV_CONSUMER_ID] = os.environ[ENV_CONSUMER_SECRET] = "bench"
    with (
        tempfile.TemporaryDirectory(prefix="vb-") as folder,
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="vb-") as shared,
    ):
        return uvloop.run(one_run(plan, Path(folder), Path(shared)))


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

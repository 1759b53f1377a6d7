"""How long the feed is away: from a dropped connection to live again, and until silence is noticed.

The production source with its default settings against the simulator of SSI's server in the same
process, on real sockets. The delay before the first attempt is random, up to
`feed.reconnect_base_ms`; a real server adds its own time to every step of the handshake.

    python -m bench.bench_reconnect [--small] [--json PATH]
"""

import asyncio
import random
import statistics
import sys
import time
from typing import Any

import uvloop

from bench.cli import Size, main
from engine.clock import SystemClock
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from engine.schema.codes import FeedState
from tools.simulator.player import Pace
from tools.simulator.server import Options, Simulator

SEED = 20210715
ROUNDS: dict[Size, tuple[int, int]] = {"small": (3, 1), "full": (60, 5)}
KEEPALIVE_S = {"small": 0.5, "full": 2.0}  # the server announces twice this as its timeout
LIVED_S = {"small": 0.1, "full": 1.0}  # how long a connection lasts before it is dropped


class Watch:
    """A sink that knows when the state changed."""

    def __init__(self) -> None:
        self.moments: list[tuple[FeedState, float]] = []
        self._changed = asyncio.Event()

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:
        """Take no notice."""

    def on_state(self, state: FeedState, detail: str) -> None:  # noqa: ARG002
        """Note the moment."""
        self.moments.append((state, time.perf_counter()))
        self._changed.set()

    async def next(self, state: FeedState, since: int) -> float:
        """Return when a state was reached after the first `since` moments, now or later."""
        while True:
            for known, moment in self.moments[since:]:
                if known is state:
                    return moment
            self._changed.clear()
            await self._changed.wait()


async def measure(size: Size) -> dict[str, Any]:
    """Drop and silence connections; return the times."""
    drops, silences = ROUNDS[size]
    simulator = Simulator(
        [], Pace(1.0, 0, None), SystemClock(), Options(keepalive_s=KEEPALIVE_S[size])
    )
    await simulator.start()
    url = f"http://127.0.0.1:{simulator.port}/"
    settings = FeedSettings(
        url=url,
        stream_url=url,
        consumer_id="bench",
        consumer_secret="bench",  # noqa: S106 - the simulator takes any
    )
    watch = Watch()
    source = SsiV2Source(settings, SystemClock(), random.Random(SEED))
    running = asyncio.create_task(source.run(watch))
    await watch.next(FeedState.LIVE, 0)
    away_s, noticed_s = [], []
    for _ in range(drops):
        await asyncio.sleep(LIVED_S[size])
        since, began = len(watch.moments), time.perf_counter()
        for connection in list(simulator.connections):
            connection.abort()
        away_s.append(await watch.next(FeedState.LIVE, since) - began)
    for _ in range(silences):
        await asyncio.sleep(LIVED_S[size])
        since = len(watch.moments)
        simulator.faults.silent, began = True, time.perf_counter()
        noticed_s.append(await watch.next(FeedState.DOWN, since) - began)
        simulator.faults.silent = False
        await watch.next(FeedState.LIVE, since)
    source.stop()
    await running
    await simulator.stop()
    return {
        "drop_to_live_ms": {
            "rounds": drops,
            "median": round(1_000 * statistics.median(away_s), 1),
            "worst": round(1_000 * max(away_s), 1),
        },
        "half_open_noticed_s": {
            "rounds": silences,
            "negotiated_timeout_s": 2 * KEEPALIVE_S[size],
            "median": round(statistics.median(noticed_s), 3),
            "worst": round(max(noticed_s), 3),
        },
        "reconnect_base_ms": settings.reconnect_base_ms,
    }


def run(size: Size = "full") -> dict[str, Any]:
    """Measure both.

    Returns
    -------
    dict
        ``drop_to_live_ms`` with backoff as it grows while drops come this fast;
        ``half_open_noticed_s`` from the last byte sent, with the timeout that was negotiated.
    """
    return uvloop.run(measure(size))


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

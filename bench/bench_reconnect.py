"""How long the feed is away: from a dropped connection to live again, and until silence is noticed.

The production source with its default settings against the simulator of SSI's server, which drops
and silences it by script. The delay before the first attempt is random, up to
`feed.reconnect_base_ms`; a real server adds its own time to every step of the handshake.

    python -m bench.bench_reconnect [--small] [--json PATH]
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from bench.cli import Size, main
from bench.simulated import simulator
from engine.clock import SystemClock
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from engine.schema.codes import FeedState

SEED = 20210715
FIRST_S = 9 * 3_600 + 30 * 60  # market time of the first fault; the day runs at its own speed
DROPS: dict[Size, int] = {"small": 3, "full": 25}
HALF_OPENS: dict[Size, int] = {"small": 1, "full": 4}
APART_S = {"drop": 3, "half-open": 10}
CAP_MS = 1_000  # a link that lasted longer is a new incident: each drop meets a fresh backoff
KEEPALIVE_S = 2.0  # the server announces twice this as its timeout


class Watch:
    """A sink that knows how long the feed was away, and how long silence went unnoticed."""

    def __init__(self, rounds: int) -> None:
        self.away_s: list[float] = []
        self.noticed_s: list[float] = []
        self.done = asyncio.Event()
        self._rounds = rounds
        self._down_s = 0.0
        self._heard_s = 0.0

    def on_frame(self, frame: bytes | memoryview, recv_ns: int) -> None:  # noqa: ARG002
        """Note that the line is alive."""
        self._heard_s = time.perf_counter()

    def on_state(self, state: FeedState, detail: str) -> None:  # noqa: ARG002
        """Note when the link went, and when it is back."""
        now_s = time.perf_counter()
        if state is FeedState.DOWN and not self._down_s:
            self._down_s = now_s
            self.noticed_s.append(now_s - self._heard_s)
        elif state is FeedState.LIVE and self._down_s:
            self.away_s.append(now_s - self._down_s)
            self._down_s = 0.0
            if len(self.away_s) == self._rounds:
                self.done.set()


def script(what: str, rounds: int) -> str:
    """Return a fault script with `rounds` faults of one kind."""
    moments = [FIRST_S + 5 + APART_S[what] * i for i in range(rounds)]
    tail = " 1s" if what == "half-open" else ""
    return "\n".join(
        f"{at // 3_600:02}:{at // 60 % 60:02}:{at % 60:02} {what}{tail}" for at in moments
    )


async def watch(port: int, rounds: int) -> Watch:
    """Keep the production source connected through all faults."""
    url = f"http://127.0.0.1:{port}/"
    settings = FeedSettings(
        url=url,
        stream_url=url,
        consumer_id="bench",
        consumer_secret="bench",  # noqa: S106 - the simulator takes any
        reconnect_cap_ms=CAP_MS,
    )
    sink = Watch(rounds)
    source = SsiV2Source(settings, SystemClock(), random.Random(SEED))
    running = asyncio.create_task(source.run(sink))
    await sink.done.wait()
    source.stop()
    await running
    return sink


def measure(what: str, rounds: int) -> Watch:
    """Run one kind of fault."""
    with tempfile.TemporaryDirectory(prefix="vntape-bench-") as folder:
        faults = Path(folder) / "bench.faults"
        faults.write_text(script(what, rounds), encoding="ascii")
        day = ("--trades-max", "2000", "--start", "09:30", "--keepalive-s", str(KEEPALIVE_S))
        with simulator(*day, "--faults", str(faults)) as port:
            return uvloop.run(watch(port, rounds))


def run(size: Size = "full") -> dict[str, Any]:
    """Measure both kinds.

    Returns
    -------
    dict
        ``drop_to_live_ms``: from the noticed drop to live again, each an incident of its own.
        ``half_open_noticed_s``: from the last frame to the link being given up, with the timeout
        that was negotiated.
    """
    drops = measure("drop", DROPS[size]).away_s
    silences = measure("half-open", HALF_OPENS[size]).noticed_s[: HALF_OPENS[size]]  # not our stop
    return {
        "drop_to_live_ms": {
            "rounds": len(drops),
            "median": round(1_000 * statistics.median(drops), 1),
            "worst": round(1_000 * max(drops), 1),
        },
        "half_open_noticed_s": {
            "rounds": len(silences),
            "negotiated_timeout_s": 2 * KEEPALIVE_S,
            "median": round(statistics.median(silences), 3),
            "worst": round(max(silences), 3),
        },
    }


if __name__ == "__main__":
    sys.exit(main(__doc__, run))

"""A small history on disk, and its service on a real port in the loop of the test."""

import asyncio
from pathlib import Path

import aiohttp
import numpy as np
import uvloop

from engine.clock import SystemClock
from engine.history.segments import SegmentStore
from engine.history.tables import BARS, BY_NAME, TRADES, to_arrow
from engine.schema.channels import BAR_1M, BAR_5M, TRADE
from engine.schema.codes import Phase, Side, Venue
from engine.schema.counters import HISTORY_COUNTERS
from gateway import history as history_module
from gateway.history import HistorySettings

WATCHDOG_S = 60.0
DAY = 20_777  # 2026-11-20
NINE_S = DAY * 86_400 + 2 * 3_600  # 09:00 in Vietnam
CODES = np.array([b"", b"FPT", b"HPG"], "S16")
TRADES_COUNT = 50


def trades(count: int = TRADES_COUNT, symbols: int = 2) -> np.ndarray:
    """Return matches, one a minute, each symbol in turn."""
    rows = np.zeros(count, TRADE.dtype)
    number = np.arange(count)
    rows["seq"], rows["exch_s"] = 1 + number // symbols, NINE_S + 60 * number
    rows["recv_ns"] = rows["exch_s"].astype(np.int64) * 10**9
    rows["symbol_id"] = 1 + number % symbols
    rows["price_e2"], rows["volume_shares"] = 10_000_000 + 5_000 * number, 100 * (1 + number)
    rows["value_vnd"] = rows["price_e2"] // 100 * rows["volume_shares"]
    rows["side"], rows["venue"], rows["phase"] = Side.BUY, Venue.HOSE, Phase.CONTINUOUS
    return rows


def bars(channel, interval_s: int, count: int = 4) -> np.ndarray:
    """Return finished bars of FPT."""
    rows = np.zeros(count, channel.dtype)
    rows["seq"], rows["symbol_id"], rows["interval_s"] = 1 + np.arange(count), 1, interval_s
    rows["start_exch_s"] = NINE_S + interval_s * np.arange(count)
    rows["bar_phase"], rows["trade_day"] = Phase.CONTINUOUS, DAY
    return rows


def write_history(root: Path) -> SegmentStore:
    """Commit a day of two symbols."""
    store = SegmentStore(root)
    tables = {
        "trades": to_arrow(TRADES, TRADE, trades(), CODES),
        "bars": to_arrow(BARS, BAR_1M, bars(BAR_1M, 60), CODES),
    }
    store.commit(DAY, 0, 0, 100, tables)
    store.commit(DAY, 0, 100, 200, {"bars": to_arrow(BARS, BAR_5M, bars(BAR_5M, 300), CODES)})
    return store


class Service:
    """The service, and a client of it."""

    def __init__(self, folder: Path, settings: dict[str, object]) -> None:
        self.settings = HistorySettings(
            root=folder, tail_endpoint=f"ipc://{folder}/tail.ipc", port=0, **settings
        )
        self.cell = np.zeros(1, HISTORY_COUNTERS)[0]
        self.lag_slots = 0
        self.stop = asyncio.Event()

    async def __aenter__(self) -> "Service":
        listening = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(
            history_module.serve(
                self.settings,
                self.cell,
                SystemClock(),
                listening.set_result,
                lag_slots=lambda: self.lag_slots,
                stop=self.stop,
            )
        )
        await asyncio.wait([listening, self._serving], return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            await self._serving
        self.url = f"http://127.0.0.1:{await listening}"
        self.client = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.client.close()
        self.stop.set()
        await self._serving

    async def get(self, path: str, **parameters: object) -> tuple[int, dict[str, object]]:
        """Return status and JSON of a request; `from_` stands for the parameter `from`."""
        query = {name.rstrip("_"): str(value) for name, value in parameters.items()}
        async with self.client.get(self.url + path, params=query) as answer:
            return answer.status, await answer.json()


def run(scenario, folder: Path, **settings: object) -> None:
    """Run ``scenario(service)`` against a live service."""

    async def main() -> None:
        async with asyncio.timeout(WATCHDOG_S), Service(folder, settings) as service:
            await scenario(service)

    uvloop.run(main())


assert set(BY_NAME) >= {"trades", "bars"}

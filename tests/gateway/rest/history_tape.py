"""A small history on disk, and a REST process that answers from it."""

from pathlib import Path

import numpy as np

from engine.history.segments import SegmentStore
from engine.history.tables import BARS, BY_NAME, TRADES, to_arrow
from engine.schema.channels import BAR_1M, BAR_5M, TRADE
from engine.schema.codes import Phase, Side, Venue
from tests.gateway.rest import service

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


def run(scenario, folder: Path, **settings: object) -> None:
    """Run ``scenario(service)`` against a live service with a history and no bus."""
    told = {"history_root": folder, "tail_endpoint": f"ipc://{folder}/tail.ipc", **settings}
    service.run(scenario, folder, None, **told)


assert set(BY_NAME) >= {"trades", "bars"}

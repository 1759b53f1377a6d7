"""One-minute candles from conflated trades, in binary: few frames, no match lost.

python -m gateway.client.examples.candles ws://127.0.0.1:8765/ws FPT

`merged` sums up the matches that a frame is news of, so prices and volumes stay exact however
slowly we read; only matches that are merged over the turn of a minute all count in the later one.
A candle with missed matches says so.
"""

import asyncio
import os
import sys
from dataclasses import dataclass

from gateway.client import Gap, Update, connect

INTERVAL_MS = 200
MINUTE_S = 60


@dataclass
class Candle:
    """One minute of one symbol. Prices are hundredths."""

    minute: int
    open_e2: int
    high_e2: int
    low_e2: int
    close_e2: int = 0
    volume_shares: int = 0
    whole: bool = True


candles: dict[str, Candle] = {}


def add(update: Update) -> None:
    """Count the matches of one frame."""
    if not update.news:
        return
    row, merged = update.row, update.merged
    if merged is None:  # one match
        price = int(row["price_e2"])
        first, high, low, volume = price, price, price, int(row["volume_shares"])
    else:
        first, high, low = (int(merged[name]) for name in ("open_e2", "high_e2", "low_e2"))
        volume = int(merged["volume_shares"])
    minute = int(row["exch_s"]) // MINUTE_S
    candle = candles.get(update.topic)
    if candle is None or candle.minute != minute:
        if candle is not None:
            show(update.topic, candle)
        candle = candles[update.topic] = Candle(minute, first, high, low)
    candle.high_e2, candle.low_e2 = max(candle.high_e2, high), min(candle.low_e2, low)
    candle.close_e2 = int(row["price_e2"])
    candle.volume_shares += volume
    known = 1 if merged is None else int(merged["count"])
    candle.whole = candle.whole and known == update.n


def missed(gap: Gap) -> None:
    """Mark what is not whole."""
    for topic, candle in candles.items():
        if gap.topic in (None, topic):
            candle.whole = False


def show(topic: str, candle: Candle) -> None:
    """Print a candle that is over."""
    seconds = (candle.minute * MINUTE_S + 7 * 3600) % 86_400
    prices = [candle.open_e2, candle.high_e2, candle.low_e2, candle.close_e2]
    text = " ".join(f"{price / 100:.10g}" for price in prices)
    flaw = "" if candle.whole else "  (not whole)"
    name = topic.removeprefix("trade.")
    hour, minute = seconds // 3600, seconds // 60 % 60
    print(f"{hour:02}:{minute:02} {name:9} {text} x {candle.volume_shares:,}{flaw}", flush=True)


async def main(url: str, *codes: str) -> None:
    """Run until interrupted."""
    async with connect(url, os.environ.get("VNTAPE_TOKEN"), format="bin") as client:
        client.on("trade.*", add)
        client.on_gap(missed)
        topics = [f"trade.{code}" for code in codes or ("*",)]
        await client.subscribe(*topics, mode="conflate", interval_ms=INTERVAL_MS)
        await client.run()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass

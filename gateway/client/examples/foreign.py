"""Watch foreign flow (khối ngoại): who is bought and sold, net, in thousand million VND.

python -m gateway.client.examples.foreign ws://127.0.0.1:8765/ws VNM HPG
"""

import asyncio
import os
import sys

from gateway.client import Update, connect

BILLION_VND = 1_000_000_000


def show(update: Update) -> None:
    """Print the day so far of one symbol; `foreign` is state, so a snapshot counts too."""
    row = update.row
    buy, sell = row["buy_value_vnd"] / BILLION_VND, row["sell_value_vnd"] / BILLION_VND
    name = update.topic.removeprefix("foreign.")
    print(f"{name:9} mua {buy:10.3f}  bán {sell:10.3f}  ròng {buy - sell:+10.3f}", flush=True)


async def main(url: str, *codes: str) -> None:
    """Run until interrupted."""
    async with connect(url, os.environ.get("VNTAPE_TOKEN")) as client:
        client.on("foreign.*", show)
        await client.subscribe(*(f"foreign.{code}" for code in codes or ("*",)), interval_ms=500)
        await client.run()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass

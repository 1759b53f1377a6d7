"""Print the tape: every match of some symbols, and a word about each that was missed.

python -m gateway.client.examples.tape ws://127.0.0.1:8765/ws FPT HPG 'VN30F*'

The token, if the gateway wants one, is read from VNTAPE_TOKEN.
"""

import asyncio
import os
import sys

from gateway.client import Gap, State, Update, connect

SIDES = {"BUY": "mua", "SELL": "bán"}


def show(update: Update) -> None:
    """Print a match; a state that was asked for is not one."""
    if update.news:
        row = update.row
        code = update.topic.removeprefix("trade.")
        side = SIDES.get(row["side"], "")
        print(f"{row['exch_time']} {code:9} {row['price']:>10} x {row['volume_shares']:>9,} {side}")


def missed(gap: Gap) -> None:
    """Say that the list is not whole."""
    print(
        f"*** {gap.topic or 'some'}: rows {gap.first_seq} to {gap.last_seq} missed ({gap.reason})"
    )


def stands(state: State) -> None:
    """Show the feed's state: an old tape must not look alive."""
    print(f"*** link {state.link}, feed {state.feed} {state.reason}", file=sys.stderr)


async def main(url: str, *codes: str) -> None:
    """Run until interrupted."""
    async with connect(url, os.environ.get("VNTAPE_TOKEN")) as client:
        client.on_gap(missed)
        client.on_state(stands)
        answer = await client.subscribe(*(f"trade.{code}" for code in codes or ("*",)))
        for topic, code in answer.refused.items():
            print(f"*** {topic} is refused: {code}", file=sys.stderr)
        async for update in client:
            show(update)
            sys.stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass

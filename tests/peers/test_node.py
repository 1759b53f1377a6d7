"""Node's `ws` package, the most used WebSocket of its world, talks to the gateway."""

import json

import pytest

from tests.client.programs import ROOT, program, tool, ws_folder
from tests.gateway.live import run

pytestmark = [pytest.mark.e2e, pytest.mark.peer]

SCRIPT = ROOT / "tests" / "peers" / "ws_client.mjs"


@pytest.fixture(scope="module")
def peer():
    """Return the command of the peer."""
    return tool("node"), SCRIPT, ws_folder()


def url(tape):
    return f"ws://127.0.0.1:{tape.port}/ws"


async def told(peer, part):
    return json.loads(await peer.line(part))


def test_ws_shakes_hands_pings_and_closes_as_the_rfc_says(peer, tmp_path):
    async def scenario(tape):
        tape.market.trade("FPT")
        await tape.publish()
        async with program(*peer, url(tape), "raw", "trade.FPT") as node:
            opened = await told(node, "protocol")
            assert opened == {"protocol": "vntape.v1.json", "extensions": ""}  # never compressed
            await node.line('"op":"hello"')
            assert (await told(node, "pong")) == {"pong": "are you there"}
            assert (await told(node, '"op":"sub_ok"'))["topics"]["trade.FPT"]["seq"] == 1
            assert (await told(node, '"op":"snap"'))["n"] == 0
            tape.stop.set()
            assert (await told(node, '"op":"shutdown"'))["code"] == 1012
            assert (await told(node, "closed")) == {"closed": 1012, "reason": "shutdown"}

    run(scenario, tmp_path)


@pytest.mark.parametrize("way", ["json", "bin"])
def test_our_module_over_ws_shows_every_row(peer, way, tmp_path):
    async def scenario(tape):
        tape.market.trade("FPT")
        await tape.publish()
        async with program(*peer, url(tape), way, "trade.*") as node:
            assert (await told(node, '"topics"'))["topics"]["trade.*"]["mode"] == "all"
            state = await told(node, '"kind":"snap"')
            assert (state["topic"], state["seq"], state["news"]) == ("trade.FPT", 1, False)
            for seq in range(2, 12):
                row = tape.market.trade("FPT", price_e2=2_500_000 + seq)
                await tape.publish()
                update = await told(node, '"kind":"d"')
                assert (update["seq"], update["n"], update["merged"]) == (seq, 1, None)
                assert int(update["row"]["recv_ns"]) == row["recv_ns"]
                if way == "bin":
                    assert update["row"]["price_e2"] == row["price_e2"]
                else:
                    assert update["row"]["price"] == row["price_e2"] / 100

    run(scenario, tmp_path)

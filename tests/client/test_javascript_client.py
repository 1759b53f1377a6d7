"""The JavaScript client, in Node, against a gateway that misbehaves on purpose."""

import asyncio
import contextlib
import json
import random

import pytest
import uvloop

from gateway.client import Gap, Update
from tests.client.fake import RECV_NS, Fake
from tests.client.programs import ROOT, node_with_websocket, program
from tests.client.told import Told

pytestmark = pytest.mark.e2e

SCRIPT = ROOT / "tests" / "client" / "js_client.mjs"
WATCHDOG_S = 60.0


def run(scenario, fake, *topics, **options):
    """Run ``scenario(fake, program)`` beside a connected client."""
    argv = [*node_with_websocket(), SCRIPT]

    async def main():
        async with asyncio.timeout(WATCHDOG_S), fake.running():
            peer = program(*argv, fake.url, json.dumps(options), *topics)
            async with peer as node:
                await scenario(fake, node)

    uvloop.run(main())


async def read(node, told, upto):
    """Read what the client tells until it has told of the newest row of every key."""
    at = {}
    while at != upto:
        event = json.loads(await node.line("{"))
        if event.pop("gap", None):
            told(Gap(**event))
        elif "kind" in event:
            told(Update(**event))
        else:
            continue
        at = told.check()


def up(fake):
    return fake.lines and all(fake.lines.values())


@pytest.mark.parametrize("kind", ["json", "bin"])
@pytest.mark.parametrize("seed", range(2))
def test_a_wild_life_shows_every_row_once_or_says_that_it_is_gone(kind, seed):
    dice = random.Random(seed)

    async def scenario(fake, node):
        told = Told()
        while not up(fake):
            await asyncio.sleep(0.002)
        for _ in range(30):
            for _ in range(dice.randrange(3)):
                await fake.publish(dice.choice([*fake.rows]), dice.randrange(1, 4))
            match dice.randrange(4):
                case 0:
                    await fake.cut()
                case 1:
                    await fake.cut(1012, op="shutdown", code=1012, reason="r", retry="reconnect")
                case 2:
                    fake.kept_from = dice.choice([1, max(fake.rows.values()) - 1])
            if dice.random() < 0.6:
                while not up(fake):
                    await asyncio.sleep(0.002)
                await fake.heartbeat()
        while not up(fake):
            await asyncio.sleep(0.002)
        for topic in fake.rows:
            await fake.publish(topic)
        await read(node, told, fake.rows)
        assert fake.hellos > 5
        assert all(int(update.row["recv_ns"]) == RECV_NS + update.seq for update in told.updates)

    run(scenario, Fake("trade.FPT", "trade.HPG", "trade.VNM"), "trade.*", format=kind)


def test_who_reads_too_slowly_leaves_and_comes_back_to_where_it_was():
    async def scenario(fake, node):
        await node.line('"topics"')
        await fake.publish("trade.FPT", 300)
        line = json.loads(await node.line("wait to be taken"))
        assert line["state"]["link"] == "waiting"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):  # it stays away
                while fake.hellos == 1:
                    await asyncio.sleep(0.01)
        assert fake.hellos == 1
        node.say("go on\n")
        told = Told()
        await read(node, told, {"trade.FPT": 300})
        assert told.news("trade.FPT") == [*range(1, 301)]
        assert not told.gaps

    run(scenario, Fake("trade.FPT"), "trade.FPT", slow=True, queueMax=20)


def test_a_refusal_ends_it_with_the_reason():
    async def scenario(fake, node):
        await node.line('"topics"')
        await fake.cut(4003, op="error", code=4003, message="not for you", retry="none")
        assert json.loads(await node.line("failed")) == {
            "failed": "4003: not for you",
            "code": 4003,
        }
        assert fake.hellos == 1

    run(scenario, Fake("trade.FPT"), "trade.FPT")


@pytest.mark.parametrize("token", ["secret", "wrong", None])
def test_a_token_is_said_and_never_put_in_the_address(token):
    fake = Fake("trade.FPT")
    fake.token = "secret"

    async def scenario(fake, node):
        if token == "secret":
            await node.line('"topics"')
            assert fake.requests[0] == {"op": "auth", "token": "secret"}
        else:
            assert json.loads(await node.line("failed"))["code"] == 4001

    run(scenario, fake, "trade.FPT", **({"token": token} if token else {}))


def test_silence_is_a_dead_line():
    fake = Fake("trade.FPT")
    fake.heartbeat_ms = 40

    async def scenario(fake, node):
        assert "silence" in await node.line("waiting")
        while fake.hellos < 2:
            await asyncio.sleep(0.01)

    run(scenario, fake, "trade.FPT")

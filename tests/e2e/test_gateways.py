"""Several gateways, one tape: the same numbers at each, and nothing lost when one dies."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection

from engine.rundir import RunDir
from tests.e2e.running import Tape, tape, wait_for
from tests.e2e.wired import Desk, line, port_of, same_rows, say

pytestmark = pytest.mark.e2e

TOPICS = ["trade.*", "quote.VN30F*", "stats.HPG"]
WILD = ("trade.*", "quote.VN30F*")


@pytest.fixture(scope="module")
def running() -> Iterator[Tape]:
    """Give a busy morning behind two gateways."""
    arguments = ("--speed", "60", "--trades-max", "60000", "--start", "09:20")
    with tape(*arguments, "--set", "gateway.count=2") as instance:
        instance.status("^OK .* 2021-07-15 09:2")
        yield instance


async def subscribe(desk: Desk, socket: ClientConnection, **more: object) -> None:
    await say(socket, op="sub", topics=TOPICS, mode="all", **more)
    answer = await desk.read(socket, op="sub_ok")
    assert "err" not in answer, answer


async def come_back(desk: Desk, socket: ClientConnection) -> None:
    """Go on where it was; everything must be there."""
    await desk.read(socket, op="hello")
    since = {"epoch": desk.controls[0]["epoch"], "seq": desk.since(*WILD)["seq"]}
    await subscribe(desk, socket, since=since)
    topics = desk.controls[-1]["topics"]
    assert [granted["recovered"] for granted in topics.values()] == [True] * len(TOPICS), topics


def copy(desk: Desk) -> Desk:
    """Return another program with the same past."""
    twin = Desk()
    twin.epoch, twin.seq, twin.topic_of = desk.epoch, dict(desk.seq), dict(desk.topic_of)
    twin.controls = desk.controls[:1]
    return twin


def end(running: Tape, number: signal.Signals) -> None:
    """Have the first gateway end, and wait until another has taken its place."""
    counters = RunDir(running.run_dir).open_counters("gateway", 0)
    before = int(counters[0]["pid"])
    os.kill(before, number)
    wait_for("another gateway", lambda: int(counters[0]["pid"]) != before)


def test_two_gateways_show_the_same_numbers(running: Tape) -> None:
    async def scenario() -> None:
        desks = [Desk(), Desk()]

        async def one(index: int) -> None:
            async with line(port_of(running, index)) as socket:
                await subscribe(desks[index], socket)
                await desks[index].read(socket, rows=600)

        await asyncio.gather(one(0), one(1))
        assert desks[0].epoch == desks[1].epoch
        assert desks[0].topic_of.items() & desks[1].topic_of.items()
        assert same_rows(*desks) > 500

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_comes_back_misses_nothing(running: Tape, number: signal.Signals) -> None:
    """At the gateway beside it, and at the one that has just been started."""

    async def scenario() -> None:
        desk = Desk()
        first, other = port_of(running, 0), port_of(running, 1)
        async with line(first) as socket:
            await subscribe(desk, socket)
            await desk.read(socket, rows=300)
            restarted = asyncio.create_task(asyncio.to_thread(end, running, number))
            await desk.read_to_the_end(socket)
        if number is signal.SIGTERM:
            assert desk.controls[-1]["op"] == "shutdown"
            assert desk.close_code == 1012
        else:
            assert desk.close_code == 1006
        twin = copy(desk)
        async with line(other) as socket:
            await come_back(desk, socket)
            await desk.read(socket, rows=300)
        await restarted
        async with line(await listening(first)) as socket:  # its port is the same
            await come_back(twin, socket)
            await twin.read(socket, rows=300)
        assert same_rows(desk, twin) > 200

    asyncio.run(scenario())


async def listening(port: int) -> int:
    """Wait until somebody listens at a port."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return port

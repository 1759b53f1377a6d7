"""Time travel on a running instance: the morning again, and on into live without a seam."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.rundir import RunDir
from tests.e2e.running import Tape, tape, wait_for
from tests.e2e.wired import Desk, Frame, line, port_of, same_rows, say

pytestmark = pytest.mark.e2e

TOPICS = ["trade.F*", "trade.H*", "trade.V*", "quote.VN30F*", "stats.HPG"]


@pytest.fixture(scope="module")
def running() -> Iterator[Tape]:
    """Give a busy morning, some minutes after 09:15."""
    with tape("--speed", "60", "--trades-max", "60000", "--start", "09:14") as instance:
        instance.status("^OK .* 2021-07-15 09:1[89]")
        yield instance


def travels(running: Tape) -> list[int]:
    """Return the processes of time travels that go on."""
    gateway = int(RunDir(running.run_dir).open_counters("gateway", 0)[0]["pid"])
    return [
        int(pid) for pid in Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
    ]


async def begin(desk: Desk, running: Tape, socket: object, **request: object) -> Frame:
    """Ask for a replay and return its answer."""
    await say(socket, **{"op": "replay", "topics": TOPICS, "from": "09:15:00", **request})  # type: ignore[arg-type]
    return await desk.read(socket, op="replay_ok")  # type: ignore[arg-type]


@pytest.mark.parametrize("speed", [0, 1_000])
def test_the_morning_again_joins_live_without_a_seam(running: Tape, speed: int) -> None:
    async def scenario() -> None:
        live, again = Desk(), Desk()
        async with line(port_of(running)) as beside, line(port_of(running)) as socket:
            await say(beside, op="sub", topics=TOPICS, mode="all")
            await live.read(beside, rows=50)
            answer = await begin(again, running, socket, id=9, speed=speed, mode="all")
            assert list(answer["topics"]) == TOPICS
            assert (answer["id"], answer["from"], answer["speed"]) == (9, "09:15:00", speed)
            end = await again.read(socket, op="replay_end")
            assert (end["id"], end["reason"], end["recovered"]) == (9, "live", True)
            assert end["n"] >= again.told > 200
            earliest = min(
                row["exch_time"] for rows in again.rows.values() for row in list(rows.values())[1:2]
            )
            assert "T09:15" in earliest
            await again.read(socket, rows=100)  # each is the one after the last, or it fails
            await live.read(beside, rows=100)
            assert same_rows(live, again) > 50
            await say(socket, op="unsub", topics=TOPICS)
            left = await again.read(socket, op="unsub_ok")
            assert left["topics"] == TOPICS, "they are subscriptions as any"

    asyncio.run(scenario())
    wait_for("its process to go", lambda: not travels(running))


def test_what_cannot_be_replayed(running: Tape) -> None:
    async def scenario() -> None:
        desk = Desk()
        async with line(port_of(running)) as socket:
            await say(socket, op="sub", topics=["trade.HPG"], mode="all")
            topics = ["trade.H*", "trade.HPG", "market.*", "*", "trade.NONE", "quote.HPG"]
            answer = await begin(desk, running, socket, topics=topics, speed=1)
            assert list(answer["topics"]) == ["quote.HPG"]
            assert answer["err"] == {
                "trade.H*": 4000,
                "trade.HPG": 4000,
                "market.*": 4004,
                "*": 4004,
                "trade.NONE": 4004,
            }
            await say(socket, op="sub", topics=["quote.H*", "quote.FLC"], id=2)
            taken = await desk.read(socket, op="sub_ok")
            assert taken["err"] == {"quote.H*": 4000}
            for wrong in ({}, {"from": "25:00"}, {"from": "09:15", "speed": -1}, {"from": 33_300}):
                request = {"op": "replay", "topics": ["stats.HPG"], "from": "09:15", **wrong}
                await say(socket, **request)
                error = await desk.read(socket, op="error")
                assert error["code"] == 4000, wrong

    asyncio.run(scenario())
    wait_for("its process to go", lambda: not travels(running))


def test_there_are_so_many_replays_and_leaving_one_makes_room(running: Tape) -> None:
    async def scenario() -> None:
        desk = Desk()
        port = port_of(running)
        async with line(port) as one, line(port) as two, line(port) as three:
            for socket in (one, two):
                await begin(Desk(), running, socket, speed=1)
            await say(three, **{"op": "replay", "topics": TOPICS, "from": "09:15", "speed": 1})
            error = await desk.read(three, op="error")
            assert (error["code"], error["retry"]) == (4029, "backoff")
            assert len(travels(running)) == 2
            await say(one, op="unsub", topics=TOPICS[:1])
            await Desk().read(one, op="unsub_ok")
            await begin(desk, running, three, speed=1)
            await two.close()
            await asyncio.to_thread(
                wait_for, "one process to go", lambda: len(travels(running)) == 1
            )
            await begin(Desk(), running, one, speed=1)

    asyncio.run(scenario())
    wait_for("their processes to go", lambda: not travels(running))


def test_a_replay_that_dies_is_told_and_its_topics_are_free(running: Tape) -> None:
    async def scenario() -> None:
        desk = Desk()
        async with line(port_of(running)) as socket:
            await begin(desk, running, socket, id="r", speed=1)
            (pid,) = await asyncio.to_thread(wait_for, "its process", lambda: travels(running))
            os.kill(pid, signal.SIGKILL)
            end = await desk.read(socket, op="replay_end")
            assert (end["id"], end["reason"]) == ("r", "failed")
            assert end["message"]
            assert str(Path(running.run_dir)) not in end["message"]
            await say(socket, op="sub", topics=TOPICS, mode="all", since=desk.since())
            answer = await desk.read(socket, op="sub_ok")
            assert list(answer["topics"]) == TOPICS

    asyncio.run(scenario())


def test_a_moment_that_is_yet_to_come_is_now(running: Tape) -> None:
    async def scenario() -> None:
        desk = Desk()
        async with line(port_of(running)) as socket:
            await begin(desk, running, socket, speed=0, mode="all", **{"from": "23:00"})
            end = await desk.read(socket, op="replay_end")
            assert (end["reason"], end["recovered"]) == ("live", True)
            await desk.read(socket, rows=20)

    asyncio.run(scenario())

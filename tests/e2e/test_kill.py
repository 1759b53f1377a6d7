"""kill -9 of any child: it comes back, the others never stop, and the numbers stay right."""

import asyncio
import json
import os
import signal

import pytest
from websockets.asyncio.client import connect

from tests.e2e.running import Tape, receive, tape, verify_day, wait_for

pytestmark = pytest.mark.e2e

ROLES = ("shard", "gateway", "ingest", "simulator")


def kill(running: Tape, role: str) -> None:
    """Kill one child and wait until another process has taken its place."""
    before = running.children()
    os.kill(before[role], signal.SIGKILL)
    wait_for(f"another {role}", lambda: running.children().get(role, before[role]) != before[role])
    after = running.children()
    assert {r: after[r] for r in ROLES if r != role} == {r: before[r] for r in ROLES if r != role}


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_child_is_back_and_the_tape_goes_on(role: str) -> None:
    with tape("--speed", "60", "--trades-max", "6000", "--start", "13:30") as running:
        assert running.url
        running.status("^OK .* 2021-07-15 13:3")
        kill(running, role)
        running.line(f"{role}.*died.*signal SIGKILL")
        running.status(r"^OK .* [1-9][\d,]* msg/s")


def test_a_shard_killed_in_mid_day_ends_on_the_published_figures() -> None:
    # The default ring holds the whole small day, so nothing is lost with the shard's memory.
    with tape("--speed", "2500", "--trades-max", "20000", "--seed", "11") as running:
        running.status(r"^OK .* 2021-07-15 (09|1[0-3]):")
        kill(running, "shard")
        running.status(r"\| CLOSED \|")
        code, text = verify_day(running.url)
        assert code == 0, text
        assert "701 of 701" in text


def test_a_client_hears_of_a_killed_shard_and_ends_right() -> None:
    async def scenario(running: Tape) -> tuple[list[str], int, int]:
        ops: list[str] = []
        async with connect(running.url, subprotocols=["vntape.v1.json"], max_size=None) as socket:
            await socket.send('{"op":"sub","id":1,"topics":["trade.VN30F2107*"],"mode":"all"}')
            first = await receive(socket, "snap")
            total, count = first["data"]["total_volume_shares"], 1
            await asyncio.to_thread(kill, running, "shard")
            async with asyncio.timeout(60):
                async for text in socket:
                    frame = json.loads(text)
                    ops.append(frame["op"])
                    if frame["op"] in ("d", "snap"):
                        assert frame["data"]["total_volume_shares"] >= total, "went back in time"
                        total, count = frame["data"]["total_volume_shares"], count + 1
                    if count > 60:
                        break
        return ops, total, count

    with tape("--speed", "200", "--trades-max", "20000", "--start", "13:30") as running:
        running.status("^OK")
        ops, total, _ = asyncio.run(scenario(running))
    assert total > 0
    assert "bye" not in ops


def test_a_gateway_killed_in_mid_day_serves_snapshots_at_once() -> None:
    async def snapshot(url: str) -> int:
        async with connect(url, subprotocols=["vntape.v1.json"]) as socket:
            await socket.send('{"op":"sub","id":1,"topics":["stats.VN30F2107"]}')
            answer = await receive(socket, "sub_ok")
            assert not answer.get("err"), answer
            seq: int = (await receive(socket, "snap"))["seq"]
            return seq

    with tape("--speed", "60", "--trades-max", "20000", "--start", "13:30") as running:
        running.status("^OK .* 2021-07-15 13:3")
        before = asyncio.run(snapshot(running.url))
        port = running.url
        kill(running, "gateway")
        counters = running.run_dir / "counters-gateway-0"
        assert counters.exists()

        def again() -> int:
            try:
                return asyncio.run(snapshot(port))
            except OSError:
                return 0

        assert wait_for("the gateway to answer on its port", again) >= before

"""What a newcomer does: start it, connect, look, stop it."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from engine.feed.synthetic import SHIPPED_TABLE, read_table
from tests.e2e.running import ROOT, Process, Tape, receive, tape, wait_for

pytestmark = pytest.mark.e2e


def published_volume(symbol: str) -> int:
    """Return what the shipped table says."""
    listings = read_table(SHIPPED_TABLE).listings
    return next(each.volume_shares for each in listings if each.code == symbol)


SMALL = ("--trades-max", "6000", "--seed", "7")


def test_hello_subscription_snapshot_and_contiguous_deltas() -> None:
    async def client(url: str) -> list[dict[str, Any]]:
        async with connect(url, subprotocols=["vntape.v1.json"]) as socket:
            hello = await receive(socket, "hello")
            assert hello["feed"]["state"] in ("live", "connecting", "down")
            session = hello["session"]  # of the venues heard of so far
            while not set(session) >= {"HOSE", "HNX", "UPCOM", "DERIVATIVES"}:
                session = (await receive(socket, "heartbeat"))["session"]
            await socket.send('{"op":"sub","id":7,"topics":["trade.VN30F2107","x.Y"],"mode":"all"}')
            answer = await receive(socket, "sub_ok")
            assert answer["id"] == 7
            assert answer["err"]["x.Y"] == 4004
            frames = [await receive(socket, "snap")]
            frames += [await receive(socket, "d") for _ in range(20)]
            return frames

    with tape("--speed", "400", *SMALL) as running:
        running.status("^OK .* 2021-07-15")
        frames = asyncio.run(client(running.url))
    assert [frame["seq"] for frame in frames] == list(
        range(frames[0]["seq"], frames[0]["seq"] + 21)
    )
    assert frames[0]["topic"] == "trade.VN30F2107"
    for frame in frames:
        data = frame["data"]
        assert data["exch_time"].startswith("2021-07-15T")
        assert data["exch_time"].endswith("+07:00")
        assert data["value_vnd"] == round(data["price"] * data["volume_shares"] * 100_000)
        assert data["side_rule"] in ("EXCHANGE", "QUOTE", "TICK", "AUCTION", "NONE")


def test_the_readme_s_first_client_runs_as_printed(tmp_path: Path) -> None:
    code = re.search(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert code is not None
    with tape("--speed", "400", *SMALL) as running:
        running.status(r"^OK .* 70\d symbols")  # before that nobody knows HPG: 4004
        script = tmp_path / "first_client.py"
        script.write_text(code[1].replace("ws://127.0.0.1:8765/ws", running.url), encoding="utf-8")
        client = Process(["-u", str(script)])
        for line in (
            "^hello",
            "^sub_ok",
            r"^snap stats\.HPG",
            r"^snap quote\.VN30F2107",
            r"^d \d+",
        ):
            client.line(line)
        client.stop(signal.SIGKILL)


def test_late_joiners_and_early_ones_see_the_same(tmp_path: Path) -> None:
    async def latest(url: str) -> dict[str, Any]:
        async with connect(url, subprotocols=["vntape.v1.json"]) as socket:
            await socket.send('{"op":"sub","id":1,"topics":["stats.HPG"],"mode":"conflate"}')
            return await receive(socket, "snap")

    with tape("--speed", "max", *SMALL) as running:
        running.status(r"\| CLOSED \|")
        first, second = asyncio.run(latest(running.url)), asyncio.run(latest(running.url))
    assert first == second
    assert first["data"]["volume_shares"] == published_volume("HPG")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(number: signal.Signals) -> None:
    with tape("--speed", "400", *SMALL) as running:
        assert running.url
        children = running.children()
        assert set(children) == {"ingest", "shard", "gateway", "simulator"}
        assert running.stop(number) == 0
        assert "Traceback" not in running.text
        for role, pid in children.items():
            assert not Path(f"/proc/{pid}").exists(), role
        assert not running.run_dir.exists()


def test_clients_are_told_before_it_stops() -> None:
    async def client(running: Tape) -> tuple[dict[str, Any], int | None]:
        async with connect(running.url, subprotocols=["vntape.v1.json"]) as socket:
            await receive(socket, "hello")
            running.popen.send_signal(signal.SIGINT)
            farewell = await receive(socket, "shutdown")
            await socket.wait_closed()
            return farewell, socket.close_code

    with tape("--speed", "400", *SMALL) as running:
        farewell, code = asyncio.run(client(running))
    assert farewell["op"] == "shutdown"
    assert code == 1012


def test_a_killed_supervisor_takes_its_children_along() -> None:
    with tape("--speed", "400", *SMALL) as running:
        assert running.url
        children = running.children()
        running.popen.kill()
        running.wait()
        wait_for(
            "the children to end",
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in children.values()),
        )
        assert running.run_dir.exists(), "nobody was left to remove it"
        sweeper = Tape(running.run_dir.parent, "--speed", "400", *SMALL)
        assert sweeper.url, "the next one sweeps what the dead one left"
        sweeper.stop()

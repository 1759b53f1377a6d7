"""REST beside a running instance: the same numbers as the WebSocket, killed, and back."""

import asyncio
import json
import os
import re
import signal
import urllib.error
import urllib.request

import pytest
import websockets
from prometheus_client.parser import text_string_to_metric_families

from engine.rundir import RunDir
from tests.e2e.running import receive, tape, wait_for
from tests.gateway.rest.test_metrics import told_expressions

pytestmark = pytest.mark.e2e
SYMBOLS = 5


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""  # not there


async def same_rows(client_url: str, rest: str) -> int:
    """Ask both sides for the day of some symbols; return how many rows were of one seq."""
    found = 0
    async with websockets.connect(client_url, max_queue=None) as socket:
        _, text = get(f"{rest}/api/market/foreign-detail?limit={SYMBOLS}&sort=buy_value")
        for state in json.loads(text)["foreign"]:
            code = state["topic"].rpartition(".")[2]
            say = {"op": "sub", "topics": [f"stats.{code}"], "interval_ms": 60_000}
            await socket.send(json.dumps(say))
            snap = await receive(socket, "snap")
            _, text = get(f"{rest}/api/market/volume-stats?symbol={code}")
            for told in json.loads(text)["stats"]:
                if told["seq"] == snap["seq"]:
                    assert told["data"] == snap["data"]
                    found += 1
    return found


def test_it_says_what_the_websocket_says_and_comes_back_when_it_is_killed():
    with tape("--speed", "60") as running:
        rest = running.line(r"REST at (http://\S+)/openapi.json")[1]
        wait_for("a ready tape", lambda: get(f"{rest}/readyz")[0] == 200)

        def market():
            return json.loads(get(f"{rest}/api/market/snapshot")[1])["market"]

        wait_for("boards", market)
        wait_for("the same row", lambda: asyncio.run(same_rows(running.url, rest)))
        names = {
            sample.name
            for family in text_string_to_metric_families(get(f"{rest}/metrics")[1].decode())
            for sample in family.samples
        }
        used = {
            name
            for _, expressions in told_expressions()
            for expression in expressions
            for name in re.findall(r"vntape_\w+", expression)
        }
        assert {name for name in used - names if not name.startswith("vntape_recorder_")} == set()
        status = json.loads(get(f"{rest}/statusz")[1])
        assert {process["name"] for process in status["processes"]} == {
            "ingest",
            "shard-0",
            "board",
            "gateway-0",
            "rest",
        }
        assert get(f"{rest}/api/history")[0] == 503  # the demo of the tests records none
        cell = RunDir(running.run_dir).open_counters("rest", 0)[0]
        pid = int(cell["pid"])
        os.kill(pid, signal.SIGKILL)
        wait_for("a new process", lambda: int(cell["pid"]) not in (0, pid))
        wait_for("the port it had", lambda: get(f"{rest}/readyz")[0] == 200)
        assert wait_for("boards again", market)

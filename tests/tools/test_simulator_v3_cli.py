"""``python -m tools.simulator`` as a process, met by a v3 client."""

import signal
from contextlib import contextmanager

import aiohttp
import pytest

from tests.tools.played import run
from tests.tools.test_simulator_cli import arguments, next_event, start

pytestmark = pytest.mark.e2e

KEY = {"apiKey": "a", "apiSecret": "b"}


@contextmanager
def serving(folder, *more):
    process = start([*arguments(folder), *more])
    try:
        assert next_event(process)["event"] == "listening"
        yield f"http://127.0.0.1:{(folder / 'port').read_text().strip()}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


async def topics_of_the_day(base, otp):
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{base}/api/v3/auth/token", json={**KEY, "otp": otp}) as reply:
            assert reply.status == 200
            token = (await reply.json())["accessToken"]
        headers = {"Authorization": f"Bearer {token}"}
        socket = await http.ws_connect(f"{base}/ws/v3", headers=headers)
        topics = ["trade.*", "quote.*", "put.*", "oddlot.*", "market.flag"]
        await socket.send_json({"method": "subscribe", "channel": "DATA", "topics": topics})
        told = set()
        while told < {"trade", "quote", "put", "oddlot", "market"}:
            frame = await socket.receive_json()
            if "topic" in frame:
                told.add(frame["topic"].partition(".")[0])
        await socket.close()
        return told


def test_the_day_is_played_to_a_v3_client(tmp_path):
    with serving(tmp_path, "--mode", "v3", "--otp", "7") as base:
        assert len(run(topics_of_the_day(base, "7"))) == 5


def test_another_otp_is_not_accepted(tmp_path):
    with serving(tmp_path, "--otp", "7") as base, pytest.raises(AssertionError):
        run(topics_of_the_day(base, "8"))

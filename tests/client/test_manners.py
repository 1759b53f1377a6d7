"""How the Python client comes, goes, waits and refuses to go on."""

import random
import subprocess
import sys

import pytest
import uvloop

from gateway.client import Refused, connect
from gateway.client.retry import Backoff
from tests.client.desk import run, until
from tests.client.fake import Fake


@pytest.mark.parametrize("way", ["header", "message"])
def test_a_token_goes_in_the_header_or_is_said_when_asked_for(way):
    fake = Fake("trade.FPT")
    fake.token = "secret"

    async def scenario(fake, client, told):
        said = [request for request in fake.requests if request["op"] == "auth"]
        assert said == ([] if way == "header" else [{"op": "auth", "token": "secret"}])
        assert "secret" not in fake.url
        assert (await client.subscribe("trade.FPT")).topics

    # A proxy that strips the header: the gateway asks again.
    run(scenario, fake, token="secret", **({} if way == "header" else {"additional_headers": {}}))


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_wrong_token_is_no_reason_to_try_again(token):
    fake = Fake("trade.FPT")
    fake.token = "secret"
    with pytest.raises(Refused) as refused:
        run(None, fake, token=token)
    assert refused.value.code == 4001
    assert "secret" not in str(refused.value)
    assert fake.hellos == 1


def test_a_code_that_is_final_reaches_who_iterates():
    async def scenario(fake, client, told):
        await client.subscribe("trade.FPT")
        await fake.cut(4003, op="error", code=4003, message="not for you", retry="none")
        with pytest.raises(Refused, match="4003: not for you"):
            await client.run()
        with pytest.raises(Refused):
            await client.subscribe("trade.HPG")
        assert client.state.link == "closed"
        assert fake.hellos == 1

    run(scenario)


def test_silence_is_a_dead_line():
    async def scenario(fake, client, told):
        await until(lambda: fake.hellos == 2)

    fake = Fake("trade.FPT")
    fake.heartbeat_ms = 40
    run(scenario, fake)


def test_a_dead_line_never_looks_alive():
    async def scenario(fake, client, told):
        states = []
        client.on_state(states.append)
        assert (client.state.link, client.state.feed) == ("up", "live")
        await fake.cut()
        await until(lambda: [state.link for state in states][-1:] == ["up"])
        assert [(state.link, state.feed) for state in states] == [
            ("waiting", "unknown"),
            ("connecting", "unknown"),
            ("up", "live"),
        ]

    run(scenario)


def test_an_exception_in_a_callback_is_not_swallowed():
    async def scenario(fake, client, told):
        client.on("trade.FPT", lambda update: update.row["no such field"])
        await client.subscribe("trade.FPT")
        await fake.publish("trade.FPT")
        with pytest.raises(KeyError):
            await client.run()

    run(scenario)


def test_a_request_that_makes_no_sense_is_refused_and_not_wished_again():
    async def scenario(fake, client, told):
        with pytest.raises(Refused, match="what"):
            await client.request(op="nonsense")
        assert await client.subscribe("trade.FPT")  # the connection lives

    run(scenario)


def test_topics_left_are_not_asked_for_again():
    async def scenario(fake, client, told):
        await client.subscribe("trade.FPT", "trade.HPG")
        await client.unsubscribe("trade.HPG")
        await fake.cut()
        await until(lambda: fake.lines and all(fake.lines.values()))
        assert fake.requests[-1]["topics"] == ["trade.FPT"]

    run(scenario)


def test_nobody_there_is_told_with_the_reason():
    async def main():
        fake = Fake()
        async with fake.running():
            url = fake.url
        with pytest.raises(TimeoutError, match="cannot connect"):
            async with connect(url, timeout_s=0.05):
                pass

    uvloop.run(main())


def test_waits_double_are_random_and_begin_at_once_after_a_good_connection():
    class Longest(random.Random):
        def uniform(self, low, high):
            assert low == 0.0
            return high

    backoff = Backoff(Longest())
    assert [backoff.wait_s(at_once=False) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.lived(1.0)  # not long enough to be called good
    assert backoff.wait_s(at_once=True) == 30
    backoff.lived(5.0)
    assert [backoff.wait_s(at_once=True) for _ in range(3)] == [0, 2, 4]


BLOCKER = """
import sys
class No:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"numpy", "engine", "picows", "orjson", "zmq", "uvloop", "numba"}:
            raise ImportError(f"{name} is not to be imported")
sys.meta_path.insert(0, No())
from gateway.client import connect
import gateway.client.reading
assert not {name for name in sys.modules if name.startswith("gateway") and
            not name.startswith("gateway.client") and name != "gateway"}
try:
    import gateway.client.layouts
except ImportError as error:
    print(error)
"""


def test_it_needs_nothing_of_the_engine_and_numpy_only_for_binary():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("numpy is not to be imported\n", "")

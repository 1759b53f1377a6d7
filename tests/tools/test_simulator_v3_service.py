"""The v3 stream as clients meet it: acknowledgements, refusals, pings."""

from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.tools.played import CONSUMER_ID, SECRET, almanac, played, record, run, simulator
from tools.simulator.player import Pace
from tools.simulator.v3_auth import Keys
from tools.simulator.v3_service import FastConnectV3, V3Options

OTP = "314159"
KEY = {"apiKey": CONSUMER_ID, "apiSecret": SECRET}


class Visitor:
    """A client that speaks by hand."""

    def __init__(self, http, server, v3):
        self.http, self.server, self.v3 = http, server, v3
        self.base = f"http://127.0.0.1:{server.port}"

    async def sign_in(self, **body):
        async with self.http.post(f"{self.base}/api/v3/auth/token", json={**KEY, **body}) as reply:
            assert reply.status == 200
            self.http.headers["Authorization"] = f"Bearer {(await reply.json())['accessToken']}"

    async def connect(self, path="/ws/v3"):
        return await self.http.ws_connect(self.base + path)

    async def get(self, name, **query):
        async with self.http.get(f"{self.base}/api/v3/data/{name}", params=query) as reply:
            return reply.status, await reply.json()


@asynccontextmanager
async def visiting(some=(), *, options=None, **parts):
    v3 = FastConnectV3(almanac(), options or V3Options(keys=Keys(CONSUMER_ID, SECRET, OTP)))
    server = simulator(list(some), v3=v3, **parts)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Visitor(http, server, v3)
    finally:
        await server.stop()


async def asked(socket, request):
    await socket.send_json(request)
    return await socket.receive_json()


def test_every_request_is_acknowledged_in_any_case():
    async def body():
        async with visiting() as visitor:
            await visitor.sign_in(otp=OTP)
            socket = await visitor.connect()
            want = {"channel": "DATA", "topics": ["trade.SSI", "quote.*"]}
            table = [
                ({"method": "Subscribe", **want}, ("SUBSCRIBE", "DATA", "ok")),
                ({"method": "SUBSCRIBE", **want}, ("SUBSCRIBE", "DATA", "ok")),
                (
                    {"method": "subscribe", "channel": "DATA", "topics": ["room.SSI", "x"]},
                    ("SUBSCRIBE", "DATA", "error"),
                ),
                (
                    {"method": "subscribe", "channel": "TRADING", "topics": ["order.*"]},
                    ("SUBSCRIBE", "TRADING", "error"),
                ),
                ({"method": "subscribe", "topics": ["room.SSI"]}, ("SUBSCRIBE", "", "error")),
                ({"method": "subscribe", "channel": "DATA"}, ("SUBSCRIBE", "DATA", "error")),
                (
                    {"method": "unsubscribe", "channel": "data", "topics": ["trade.ssi"]},
                    ("UNSUBSCRIBE", "DATA", "ok"),
                ),
                ({"method": "ping_pong", "channel": "HEARTBEAT"}, ("PING_PONG", "HEARTBEAT", "ok")),
                ({"method": "dance"}, ("DANCE", "", "error")),
                ([], ("", "", "error")),
            ]
            for request, answer in table:
                ack = await asked(socket, request)
                assert (ack["method"], ack["channel"], ack["status"]) == answer, request
            assert await asked(socket, {"method": "LIST_SUBSCRIPTION"}) == {
                "trading": "",
                "data": "quote.*;room.SSI",
            }
            await socket.close()

    run(body())


def test_what_is_larger_than_the_server_reads_is_dropped_without_a_word():
    async def body():
        async with visiting() as visitor:
            await visitor.sign_in(otp=OTP)
            socket = await visitor.connect()
            topics = [f"trade.A{number:04}" for number in range(400)]
            await socket.send_json({"method": "subscribe", "channel": "DATA", "topics": topics})
            assert (await asked(socket, {"method": "list_subscription"}))["data"] == ""
            await socket.close()

    run(body())


async def refusal_of(visitor):
    socket = await visitor.connect()
    frame = await socket.receive_json()
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await socket.close()
    assert socket.close_code == 1008
    return frame["code"]


def test_refusals_come_as_a_frame_and_then_a_close():
    async def body():
        async with visiting() as visitor:
            assert await refusal_of(visitor) == 401
            visitor.http.headers["Authorization"] = "Bearer a.b.c"
            assert await refusal_of(visitor) == 401
            await visitor.sign_in()
            assert await refusal_of(visitor) == 403
            await visitor.sign_in(otp=OTP)
            visitor.v3.refusals += [503, 429]
            assert [await refusal_of(visitor) for _ in range(2)] == [503, 429]
            sockets = [await visitor.connect() for _ in range(10)]
            assert await refusal_of(visitor) == 429
            await sockets.pop().close()
            sockets.append(await visitor.connect())
            assert (await asked(sockets[-1], {"method": "ping_pong"}))["message"] == "pong"
            for socket in sockets:
                await socket.close()
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await visitor.connect("/ws/v3/trading")
            async with visitor.http.get(f"{visitor.base}/ws/v3") as reply:
                assert reply.status == 400

    run(body())


def test_a_stream_may_be_open_to_those_without_an_otp():
    async def body():
        async with visiting(options=V3Options(otp_required=False)) as visitor:
            await visitor.sign_in()
            socket = await visitor.connect()
            assert (await asked(socket, {"method": "ping_pong"}))["status"] == "ok"
            await socket.close()

    run(body())


def test_both_protocols_play_the_same_day_on_one_port():
    async def body():
        some = [line for line in played() if line[1] == "X-TRADE" and line[2] == "HPG"]
        async with visiting(some, pace=Pace(None, 0, 0)) as visitor:
            await visitor.sign_in(otp=OTP)
            socket = await visitor.connect()
            await asked(socket, {"method": "subscribe", "channel": "DATA", "topics": ["trade.HPG"]})
            got = [await socket.receive_json() for _ in some]
            assert [frame["data"]["v"] for frame in got] == [
                record(line)["TotalVol"] for line in some
            ]
            async with visitor.http.get(f"{visitor.base}/v2.0/signalr/ping") as reply:
                assert reply.status == 200
            await socket.close()

    run(body())


def test_a_later_subscription_is_greeted_with_the_last_word_on_what_is_new():
    async def body():
        some = [line for line in played() if line[2] == "HPG"]
        async with visiting(some) as visitor:
            await visitor.sign_in(otp=OTP)
            socket = await visitor.connect()
            want = {"method": "subscribe", "channel": "DATA"}
            await asked(socket, {**want, "topics": ["room.HPG"]})
            rooms = [line for line in some if line[1] == "R"]
            for _ in rooms:
                assert (await socket.receive_json())["topic"] == "room.HPG"
            await visitor.server.playing
            await asked(socket, {**want, "topics": ["room.HPG", "trade.HPG"]})
            greeting = await socket.receive_json()
            await socket.send_json({"method": "ping_pong"})
            assert (await socket.receive_json())["message"] == "pong", "nothing else comes"
            await socket.close()
            return greeting

    last = [record(line) for line in played() if line[1] == "X-TRADE" and line[2] == "HPG"][-1]
    greeting = run(body())
    assert (greeting["topic"], greeting["data"]["v"]) == ("trade.HPG", last["TotalVol"])


def test_the_server_pings():
    async def body():
        async with visiting(keepalive_s=0.01) as visitor:
            await visitor.sign_in(otp=OTP)
            socket = await visitor.http.ws_connect(f"{visitor.base}/ws/v3", autoping=False)
            assert (await socket.receive()).type is aiohttp.WSMsgType.PING
            await socket.close()

    run(body())


def test_the_market_time_of_rest_is_that_of_the_stream():
    async def body():
        some = [line for line in played() if line[0] < 10 * 3_600_000]
        async with visiting(some) as visitor:
            await visitor.sign_in(otp=OTP)
            query = {
                "from": "2021/07/15 00:00:00",
                "to": "2021/07/15 23:59:59",
                "symbol": "HPG",
                "timeFrame": "1m",
                "pageSize": "1000",
            }
            before = await visitor.get("ohlc", **query)
            socket = await visitor.connect()
            await asked(socket, {"method": "subscribe", "channel": "DATA", "topics": ["room.X"]})
            await visitor.server.playing
            after = await visitor.get("ohlc", **query)
            await socket.close()
            return before, after

    (_, before), (_, after) = run(body())
    assert before["data"][0]["tradingDate"] > "2021/07/15 14"
    assert after["data"][0]["tradingDate"] < "2021/07/15 10"

"""The simulator as clients meet it, and the pace at which it plays."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import pytest

from engine.clock import ManualClock
from engine.feed.signalr import connect_url, negotiate_url, start_url
from tests.feed.simulated import (
    CONSUMER_ID,
    NINE_MS,
    SECRET,
    build,
    day,
    line,
    run,
    simulating,
)
from tools.simulator.hub import HUB, Subscription
from tools.simulator.player import Pace, Player
from tools.simulator.rest import TOKEN_LIFE_S, is_valid_token, issue_token

KEY = {"consumerID": CONSUMER_ID, "consumerSecret": SECRET}


class Visitor:
    """A client that speaks by hand."""

    def __init__(self, http, port):
        self.http = http
        self.base = f"http://127.0.0.1:{port}"
        self.root = f"{self.base}/v2.0/signalr"

    async def sign_in(self):
        answer = await self.rest("POST", "AccessToken", json=KEY)
        self.http.headers["Authorization"] = f"Bearer {answer['data']['accessToken']}"
        return answer["data"]["accessToken"]

    async def rest(self, method, name, **arguments):
        async with self.http.request(
            method, f"{self.base}/api/v2/Market/{name}", **arguments
        ) as response:
            assert response.status == 200
            return await response.json()

    async def get(self, url, method="GET", **arguments):
        async with self.http.request(method, url, **arguments) as response:
            return response.status, await response.read()

    async def negotiate(self, method="POST"):
        status, body = await self.get(negotiate_url(self.root, HUB), method)
        assert status == 200
        return json.loads(body)

    async def connect(self):
        token = (await self.negotiate())["ConnectionToken"]
        return await self.http.ws_connect(connect_url(self.root, HUB, token))


@asynccontextmanager
async def visiting(**options):
    async with simulating(**options) as simulator, aiohttp.ClientSession() as http:
        yield simulator, Visitor(http, simulator.port)


def test_the_token_is_what_the_official_client_can_read():
    async def body():
        async with visiting() as (_, visitor):
            token = await visitor.sign_in()
            _, middle, _ = token.split(".")
            claims = json.loads(base64.b64decode(middle + "=" * (-len(middle) % 4), validate=True))
            assert claims["exp"] - claims["iat"] == TOKEN_LIFE_S

    run(body())


def test_tokens_expire_and_cannot_be_made_up():
    token = issue_token("me", 1_000)
    assert is_valid_token(token, 1_000 + TOKEN_LIFE_S - 1)
    assert not is_valid_token(token, 1_000 + TOKEN_LIFE_S)
    for forged in ("", "a.b.c", token[:-1], token.replace(".", ".A", 1), "Ünsinn"):
        assert not is_valid_token(forged, 1_000)


@pytest.mark.parametrize(
    "asked",
    [
        {**KEY, "consumerSecret": "x"},
        {**KEY, "consumerID": ""},
        {"consumerID": CONSUMER_ID},
        [],
        7,
    ],
)
def test_a_wrong_key_does_not_exist(asked):
    async def body():
        async with visiting() as (_, visitor):
            assert await visitor.rest("POST", "AccessToken", json=asked) == {
                "message": "Key does not exist.",
                "status": 400,
                "data": None,
            }

    run(body())


def test_lookups_answer_in_ssis_envelope():
    async def body():
        async with visiting() as (_, visitor):
            assert await visitor.rest("GET", "Securities") == {
                "message": "Missing Authorization header",
                "status": 401,
            }
            await visitor.sign_in()
            answer = await visitor.rest("GET", "Securities?lookupRequest.market=HOSE&pageSize=10")
            assert answer == {
                "data": [
                    {
                        "Market": "HOSE",
                        "Symbol": "SSI",
                        "StockName": "SSI Securities",
                        "StockEnName": None,
                    },
                    {"Market": "HOSE", "Symbol": "VND", "StockName": None, "StockEnName": None},
                ],
                "message": "Success",
                "status": "Success",
                "totalRecord": 2,
            }
            answer = await visitor.rest("GET", "SecuritiesDetails?market=DER")
            (details,) = answer["data"][0]["RepeatedInfo"]
            assert (details["Symbol"], details["ContractMultiplier"]) == ("41I1G8000", "100000")
            answer = await visitor.rest("GET", "IndexComponents?indexCode=vn30")
            assert [row["StockSymbol"] for row in answer["data"][0]["IndexComponent"]] == [
                "SSI",
                "VND",
            ]
            answer = await visitor.rest("GET", "IndexList?exchange=HNX")
            assert [row["IndexCode"] for row in answer["data"]] == ["HNXIndex", "HNX30"]
            for nothing in ("Securities?pageIndex=2", "IndexComponents?indexCode=NONE"):
                answer = await visitor.rest("GET", nothing)
                assert (answer["data"], answer["message"]) == (None, "No data")
            assert (await visitor.get(f"{visitor.base}/api/v2/Market/Nothing"))[0] == 404

    run(body())


def test_negotiate_announces_twice_the_keepalive():
    async def body():
        async with visiting(keepalive_s=10.0) as (_, visitor):
            assert (await visitor.get(negotiate_url(visitor.root, HUB), "POST"))[0] == 401
            await visitor.sign_in()
            for method in ("GET", "POST"):
                answer = await visitor.negotiate(method)
                assert list(answer)[:3] == ["Url", "ConnectionToken", "ConnectionId"]
                assert (answer["KeepAliveTimeout"], answer["DisconnectTimeout"]) == (20.0, 30.0)
                assert answer["ProtocolVersion"] == "1.5"
                assert set("+/=") <= set(answer["ConnectionToken"])
            for asked, answered in (("1.0", "1.2"), ("1.3", "1.3"), ("9.9", "2.0"), ("x", "1.2")):
                _, body_ = await visitor.get(f"{visitor.root}/negotiate?clientProtocol={asked}")
                assert json.loads(body_)["ProtocolVersion"] == answered
            _, body_ = await visitor.get(f"{visitor.root}/negotiate")
            assert b'"KeepAliveTimeout":20.0,' in body_

    run(body())


def test_connection_tokens_are_checked():
    async def body():
        async with visiting() as (_, visitor):
            await visitor.sign_in()
            token = (await visitor.negotiate())["ConnectionToken"]
            raw = f"{visitor.root}/start?transport=webSockets&connectionToken="
            table = [
                (start_url(visitor.root, HUB, token), 200, b'{ "Response": "started" }'),
                (f"{visitor.root}/ping", 200, b'{ "Response": "pong" }'),
                (f"{visitor.root}/start", 400, None),
                (f"{visitor.root}/connect?{urlencode({'connectionToken': token})}", 400, None),
                (raw + "unknown", 403, None),
                (raw + token, 403, None),  # not URL-encoded: the plus has become a space
                (f"{visitor.root}/nothing", 404, None),
                (f"{visitor.base}/start", 404, None),
            ]
            for url, status, answer in table:
                got = await visitor.get(aiohttp.client.URL(url, encoded=True))
                assert got[0] == status, url
                assert answer in (None, got[1]), url
            assert await visitor.get(f"{visitor.root}/abort", "POST") == (200, b"")

    run(body())


def test_requests_are_routed_by_path_whatever_their_headers_say():
    async def body():
        async with visiting() as (_, visitor):
            await visitor.sign_in()
            token = (await visitor.negotiate())["ConnectionToken"]
            leftover = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x"}
            assert (await visitor.get(start_url(visitor.root, HUB, token), headers=leftover))[
                0
            ] == 200

    run(body())


async def frames_until(socket, condition):
    got = []
    while not condition(got):
        got.append(await socket.receive_str())
    return got


def test_subscribing_works_before_init_without_start_and_with_any_invocation_number():
    async def body():
        async with visiting() as (_, visitor):
            await visitor.sign_in()
            socket = await visitor.connect()
            for number, text in ((0, "X:NONE"), ("1", "X:NONE"), ("last", "F:SSI,MI:VND")):
                await socket.send_json(
                    {"H": "fcMARKETdataV2hub", "M": "SwitchChannels", "A": [text], "I": number}
                )
            got = await frames_until(socket, lambda got: "".join(got).count("Broadcast") == 100)
            assert '"S":1' in got[0]
            replies = [frame for frame in got if frame.startswith('{"I"')]
            assert replies == ['{"I":"0"}', '{"I":"1"}', '{"I":"last"}']
            wire = "".join(got)
            assert wire.count('\\"DataType\\":\\"F\\"') == 50
            assert wire.count('\\"DataType\\":\\"MI\\"') == 50
            assert sum('"G":"' in frame for frame in got) == 3
            cursors = [json.loads(frame)["C"] for frame in got if '"C"' in frame]
            assert len(set(cursors)) == len(cursors)
            await socket.close()

    run(body())


def test_what_cannot_be_invoked_is_refused_in_the_reply():
    async def body():
        async with visiting() as (_, visitor):
            await visitor.sign_in()
            socket = await visitor.connect()
            await socket.send_str("not an invocation")
            await socket.send_json({"H": HUB, "M": "Nothing", "A": ["X:ALL"], "I": 1})
            await socket.send_json({"H": HUB, "M": "SwitchChannels", "A": [], "I": 2})
            got = await frames_until(socket, lambda got: len(got) == 3)
            assert json.loads(got[1]) == {"I": "1", "E": "'Nothing' method could not be resolved."}
            assert json.loads(got[2])["E"]
            await socket.ping()
            await socket.close()

    run(body())


def test_a_leaving_server_says_so():
    async def body():
        async with visiting(lines=[]) as (simulator, visitor):
            await visitor.sign_in()
            socket = await visitor.connect()
            assert '"S":1' in await socket.receive_str()
            stopping = asyncio.create_task(simulator.stop())
            assert '"T":1' in await socket.receive_str()
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1001
            await socket.close()
            await stopping
            await simulator.start()  # for the block to stop

    run(body())


def test_two_clients_get_the_same_and_each_what_it_asked_for():
    async def body():
        async with visiting(lines=day(200), speed=1_000.0, start_ms=NINE_MS - 200_000) as (
            _,
            visitor,
        ):
            await visitor.sign_in()
            sockets = [await visitor.connect() for _ in range(3)]
            for socket, channels in zip(sockets, ("F:ALL", "F:ALL", "F:VND"), strict=True):
                await socket.send_json({"H": HUB, "M": "SwitchChannels", "A": [channels], "I": 0})
            got = [
                await frames_until(
                    socket, lambda got, count=count: "".join(got).count("Broadcast") == count
                )
                for socket, count in zip(sockets, (400, 400, 200), strict=True)
            ]
            data = [[frame for frame in frames if "Broadcast" in frame] for frames in got]
            assert data[0] == data[1]
            assert "SSI" not in "".join(data[2])
            for socket in sockets:
                await socket.close()

    run(body())


class Ear:
    """Stands in for a connection."""

    def __init__(self, channels):
        self.subscription = Subscription()
        self.subscription.switch(channels)
        self.greeted = False
        self.unsent_bytes = 0
        self.lost_count = 0
        self.heard = []

    def write(self, data):
        self.heard.append(data)

    async def drained(self):
        await asyncio.sleep(0)

    @property
    def messages(self):
        return b"".join(self.heard).count(b"Broadcast")


def player_of(lines, ear, clock, *, speed=1.0, start_ms=0, origin_ns=0, **options):
    return Player(lines, Pace(speed, start_ms, origin_ns), clock, lambda: [ear], **options)


async def settle(condition):
    while not condition():
        await asyncio.sleep(0)


def test_the_clock_decides_what_is_due():
    async def body():
        clock, ear = ManualClock(5_000_000_000), Ear("F:ALL")
        lines = [line(1_000 * number, "F", "SSI") for number in range(11)]
        player = player_of(lines, ear, clock, speed=2.0, origin_ns=5_000_000_000)
        playing = asyncio.create_task(player.run())
        await settle(lambda: player.sent_count == 1)
        for passed_s, sent in ((0, 1), (1, 3), (1, 5), (3, 11)):
            clock.advance_ns(passed_s * 1_000_000_000)
            await settle(lambda sent=sent: player.sent_count == sent)
            assert ear.messages == sent
        await playing

    run(body())


def test_a_restarted_day_resumes_where_it_is_and_tells_the_last_state():
    async def body():
        clock, ear = ManualClock(60_000_000_000), Ear("F:ALL,X-TRADE:SSI")
        lines = [
            line(1_000 * number, kind, symbol, number)
            for number in range(100)
            for kind in ("F", "X-TRADE")
            for symbol in ("SSI", "VND")
        ]
        player = player_of(lines, ear, clock, origin_ns=0)
        playing = asyncio.create_task(player.run())
        await settle(lambda: player.sent_count > 0)
        greeting, live = ear.heard[0], b"".join(ear.heard[1:])
        assert greeting.count(b"Broadcast") == 3  # the last word before second 60
        assert greeting.count(b"Number") == greeting.count(b":59}") == 3
        assert live.count(b"Broadcast") == 3  # second 60 is due: F of both, X-TRADE of SSI
        player.subscribed(ear)
        assert ear.messages == 6, "greeted once"
        playing.cancel()

    run(body())


def test_frames_grow_with_what_is_due_and_never_beyond_the_limit():
    async def body():
        for due, per_frame in ((1, 1), (15, 1), (16, 2), (100, 7), (500, 10)):
            ear = Ear("F:ALL")
            lines = [line(0, "F", "SSI", number) for number in range(due)]
            await player_of(lines, ear, ManualClock(0)).run()
            frames = b"".join(ear.heard).split(b'{"C":')[1:]
            assert max(frame.count(b"Broadcast") for frame in frames) == per_frame
            assert ear.messages == due

    run(body())


def test_flat_out_waits_for_somebody_and_loses_nothing():
    async def body():
        ear = Ear("F:ALL")
        audience = []
        lines = [line(0, "F", "SSI", number) for number in range(5_500)]
        player = Player(lines, Pace(None, 0, 0), ManualClock(0), lambda: audience)
        playing = asyncio.create_task(player.run())
        for _ in range(100):
            await asyncio.sleep(0)
        assert player.sent_count == 0
        audience.append(ear)
        player.subscribed(ear)
        await playing
        assert ear.messages == player.sent_count == 5_500

    run(body())


def test_a_slow_reader_of_a_running_clock_loses_silently():
    async def body():
        ear = Ear("F:ALL")
        ear.unsent_bytes = 2**40
        await player_of([line(0, "F", "SSI")] * 7, ear, ManualClock(0)).run()
        assert (ear.messages, ear.lost_count) == (0, 7)

    run(body())


def test_keepalives_go_on_after_the_day():
    async def body():
        simulator = build(lines=[], speed=1.0, keepalive_s=0.02)
        await simulator.start()
        await simulator.playing
        async with aiohttp.ClientSession() as http:
            visitor = Visitor(http, simulator.port)
            await visitor.sign_in()
            socket = await visitor.connect()
            await frames_until(socket, lambda got: got.count("{}") == 3)
            await socket.close()
        await simulator.stop()

    run(body())

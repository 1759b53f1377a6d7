"""v3's session and lookups: login, OTP, refresh, rows (ssi-wire section 8, official SDK)."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from engine.clock import ManualClock, SystemClock
from engine.feed import lookups, rest_v3
from engine.feed.refresh_file import RefreshFile, RefreshToken
from engine.feed.rest_v3 import RestV3
from engine.feed.session_v3 import SESSION_OVER, RestV3Settings
from engine.feed.source import FeedError
from engine.feed.v3_link import Refused
from tests.feed.fake_v3 import (
    API_KEY,
    API_SECRET,
    NOT_A_REFRESH_TOKEN,
    OTP,
    AsyncioWith,
    serving,
)
from tests.feed.simulated import run

LOGIN = "/api/v3/auth/token"
REFRESH = "/api/v3/auth/refresh"
REQUEST = "/api/v3/auth/requestOtp"
OHLC = "/api/v3/data/ohlc"
KEY = {"apiKey": API_KEY, "apiSecret": API_SECRET}
PENDING = (202, {"code": 401_114, "msg": "Push-approval is pending"})


def client(server, clock=None, **changes):
    return RestV3(
        RestV3Settings(
            **{
                "url": f"http://127.0.0.1:{server.port}/",
                "api_key": API_KEY,
                "api_secret": API_SECRET,
                "otp": "",
                "token_file": None,
                "timeout_s": 5.0,
                "interval_s": 0.0,
                "token_margin_s": 900.0,
                "otp_poll_s": 0.0,
                "otp_poll_max": 3,
                **changes,
            }
        ),
        clock or SystemClock(),
    )


@asynccontextmanager
async def asking(**bends):
    async with serving(**bends) as server, aiohttp.ClientSession() as http:
        yield server, http


def paths(server):
    return [path for path, _ in server.asked]


# -- tokens -------------------------------------------------------------------------------------


def test_one_token_serves_everyone_until_its_margin():
    async def body():
        async with asking() as (server, http):
            rest = client(server)
            first = await asyncio.gather(*(rest.token(http) for _ in range(5)))
            assert set(first) == set(server.tokens)
            assert server.asked == [(LOGIN, KEY)]
            assert (rest.request_count, rest.failure_count) == (1, 0)

    run(body())


def test_a_token_near_its_end_is_prolonged_with_the_refresh_token():
    async def body():
        async with asking() as (server, http):
            clock = ManualClock(SystemClock().now_ns())
            rest = client(server, clock)
            await rest.token(http)
            refresh = server.refresh_token
            clock.advance_ns((28_800 - 900 - 60) * 10**9)
            assert await rest.token(http) == server.tokens[0]
            clock.advance_ns(120 * 10**9)
            assert await rest.token(http) == server.tokens[1]
            assert server.asked[1:] == [(REFRESH, {"refreshToken": refresh})]

    run(body())


def test_a_short_life_is_not_spent_on_renewals():
    async def body():
        async with asking(token_life_s=600) as (server, http):  # less than the margin
            rest = client(server)
            assert await rest.token(http) == await rest.token(http)
            assert rest.margin_s == pytest.approx(300, abs=2)
            assert len(server.tokens) == 1

    run(body())


def test_a_renewal_that_fails_keeps_the_token():
    async def body():
        async with asking() as (server, http):
            rest = client(server)
            token, expires_s = await rest.token(http), rest.token_expires_s
            server.scripted[REFRESH] = [(500, {"code": 500, "msg": "oops"})]
            with pytest.raises(Refused, match="auth/refresh answered 500 oops: the server has"):
                await rest.renew(http)
            assert (await rest.token(http), rest.token_expires_s) == (token, expires_s)
            assert await rest.renew(http) == server.tokens[1]

    run(body())


def test_the_session_ends_when_the_refresh_token_does():
    async def body():
        async with asking() as (server, http):
            now_s = int(SystemClock().now_ns() / 1e9)
            server.scripted[LOGIN] = [
                (
                    200,
                    {  # without an envelope, in seconds
                        "accessToken": "access-1",
                        "expiresAt": now_s + 5_000,
                        "refreshToken": "refresh-1",
                        "refreshExpiresAt": now_s + 3_000,
                    },
                )
            ]
            clock = ManualClock(SystemClock().now_ns())
            rest = client(server, clock)
            await rest.token(http)
            assert rest.token_expires_s == now_s + 3_000
            clock.advance_ns(3_001 * 10**9)
            await rest.token(http)
            assert paths(server) == [LOGIN, LOGIN]  # a dead refresh token is not even tried

    run(body())


@pytest.mark.parametrize(
    ("status", "document", "says"),
    [
        (200, {"accessToken": ""}, "answered something that cannot be a token"),
        (200, {"accessToken": "a\nb"}, "answered something that cannot be a token"),
        (200, {"data": {"accessToken": 7}}, "answered something that cannot be a token"),
        (200, [], "answered JSON that is not an object"),
        (200, {"code": 400_101, "msg": "not linked"}, "answered 400101 not linked"),
        (401, {"code": 401_105, "msg": API_SECRET}, r"answered 401105 \*\*\*: the key or its"),
        (503, "busy", "answered 503 Service Unavailable: the server has a problem"),
        (302, {}, "answered 302 Found"),
    ],
)
def test_bad_answers_to_a_login_are_one_line(status, document, says):
    async def body():
        async with asking() as (server, http):
            server.scripted[LOGIN] = [(status, document)]
            rest = client(server)
            with pytest.raises(FeedError, match=f"auth/token {says}") as caught:
                await rest.token(http)
            assert API_SECRET not in str(caught.value)
            assert "\n" not in str(caught.value)
            assert rest.failure_count == 1
            assert await rest.token(http) == server.tokens[0]

    run(body())


def test_nobody_there_is_one_line():
    async def body():
        async with asking() as (server, http):
            await server.stop()
            with pytest.raises(FeedError, match=r"auth/token: cannot reach 127\.0\.0\.1:.*refused"):
                await client(server).token(http)

    run(body())


# -- OTP ----------------------------------------------------------------------------------------


def test_a_code_is_used_once_and_then_a_person_is_asked():
    async def body():
        async with asking(wants_otp=True) as (server, http):
            rest = client(server, otp=OTP)
            await rest.token(http)
            assert server.asked == [(LOGIN, {**KEY, "otp": OTP})]
            server.refresh_token = ""  # the session was ended elsewhere
            rest.forget_token()
            with pytest.raises(
                Refused, match=r"SSI has ended the session .401103.: set VNTAPE_OTP"
            ):
                await rest.token(http)
            with pytest.raises(Refused, match="the OTP was used: set VNTAPE_OTP") as caught:
                await rest.token(http)
            assert caught.value.status == 401
            assert paths(server) == [LOGIN, REFRESH]  # no code is tried twice, nothing is hammered

    run(body())


def test_a_wrong_code_is_not_tried_again_and_not_shown():
    async def body():
        async with asking(wants_otp=True) as (server, http):
            rest = client(server, otp="654321")
            with pytest.raises(Refused, match=r"401100 wrong OTP \*\*\*"):
                await rest.token(http)
            with pytest.raises(Refused, match="the OTP was used"):
                await rest.token(http)
            assert len(server.asked) == 1

    run(body())


def test_a_code_survives_a_server_that_is_down():
    async def body():
        async with asking(wants_otp=True) as (server, http):
            server.scripted[LOGIN] = [(503, {}), (429, {"code": 429, "msg": "slow down"})]
            rest = client(server, otp=OTP)
            for status in (503, 429):
                with pytest.raises(Refused) as caught:
                    await rest.token(http)
                assert caught.value.status == status
            assert await rest.token(http) == server.tokens[0]

    run(body())


def test_an_approval_is_asked_for_once_and_waited_for():
    async def body():
        async with asking(wants_otp=True, otp_answer={"data": {"transactionId": "push-77"}}) as (
            server,
            http,
        ):
            server.scripted[LOGIN] = [PENDING] * 4
            rest = client(server, otp="request")
            told = []
            rest.tell = told.append
            with pytest.raises(Refused, match="nobody has approved the login") as caught:
                await rest.token(http)
            assert caught.value.status == 401
            assert len(server.asked) == 4
            assert await rest.token(http) == server.tokens[0]
            assert paths(server) == [REQUEST] + [LOGIN] * 5  # three questions, then two
            assert server.asked[-1][1] == {**KEY, "transactionId": "push-77"}
            assert told == ["waiting for the login to be approved on the device"] * 2

    run(body())


@pytest.mark.parametrize("code", [401_113, 401_115, 401_116])
def test_an_approval_that_was_refused_is_not_asked_for_again(code):
    async def body():
        async with asking(otp_answer={"transactionId": "push-77"}) as (server, http):
            server.scripted[LOGIN] = [PENDING, (401, {"code": code, "msg": "no push-77"})]
            rest = client(server, otp="request")
            with pytest.raises(Refused, match=f"the login was not approved .{code}."):
                await rest.token(http)
            with pytest.raises(Refused, match="set VNTAPE_OTP"):
                await rest.token(http)
            assert paths(server) == [REQUEST, LOGIN, LOGIN]

    run(body())


def test_a_code_that_comes_by_message_is_asked_for_once():
    async def body():
        async with asking() as (server, http):
            rest = client(server, otp="request")
            with pytest.raises(Refused, match="SSI has sent a code by message: set VNTAPE_OTP"):
                await rest.token(http)
            with pytest.raises(Refused, match="set VNTAPE_OTP"):
                await rest.token(http)
            assert paths(server) == [REQUEST]

    run(body())


# -- the file -----------------------------------------------------------------------------------


def test_a_restart_needs_no_new_otp(tmp_path):
    path = tmp_path / "new" / "refresh.json"

    async def body():
        async with asking(wants_otp=True) as (server, http):
            await client(server, otp=OTP, token_file=path).token(http)
            assert path.stat().st_mode & 0o777 == 0o600
            assert orjson.loads(path.read_bytes())["refresh_token"] == server.refresh_token
            for _ in range(2):  # each start uses the token once and keeps its successor
                await client(server, token_file=path).token(http)
            assert paths(server) == [LOGIN, REFRESH, REFRESH]
            assert orjson.loads(path.read_bytes())["refresh_token"] == server.refresh_token
            assert [each.name for each in path.parent.iterdir()] == [path.name]
            assert API_KEY not in path.read_text()

    run(body())


@pytest.mark.parametrize("code", sorted(SESSION_OVER))
def test_a_dead_refresh_token_is_forgotten_and_a_person_is_told(tmp_path, code):
    path = tmp_path / "refresh.json"
    RefreshFile(path, API_KEY).store(RefreshToken("refresh-token-of-yesterday"))

    async def body():
        async with asking() as (server, http):
            said = "refresh-token-of-yesterday is dead"
            server.scripted[REFRESH] = [(401, {"code": code, "msg": said})]
            rest = client(server, token_file=path)
            with pytest.raises(
                Refused, match=f"SSI has ended the session .{code}.: set VNTAPE_OTP"
            ):
                await rest.token(http)
            assert not path.exists()
            assert await rest.token(http) == server.tokens[0]  # a key that needs no OTP goes on
            assert paths(server) == [REFRESH, LOGIN]

    run(body())


def test_a_dead_refresh_token_and_a_fresh_code_log_in_at_once(tmp_path):
    path = tmp_path / "refresh.json"
    RefreshFile(path, API_KEY).store(RefreshToken("refresh-token-of-yesterday"))

    async def body():
        async with asking(wants_otp=True) as (server, http):
            await client(server, otp=OTP, token_file=path).token(http)
            assert paths(server) == [REFRESH, LOGIN]
            assert orjson.loads(path.read_bytes())["refresh_token"] == server.refresh_token

    run(body())


def test_trouble_of_the_server_is_no_reason_to_forget(tmp_path):
    path = tmp_path / "refresh.json"
    RefreshFile(path, API_KEY).store(RefreshToken("refresh-token-of-yesterday"))

    async def body():
        async with asking(refresh_token="refresh-token-of-yesterday") as (server, http):
            server.scripted[REFRESH] = [(502, {}), (429, {}), (403, {"code": 403_100, "msg": ""})]
            rest = client(server, token_file=path)
            for _ in range(3):
                with pytest.raises(Refused):
                    await rest.token(http)
            assert await rest.token(http) == server.tokens[0]
            assert paths(server) == [REFRESH] * 4

    run(body())


def test_a_refresh_under_way_is_finished_and_kept_when_we_are_stopped(tmp_path):
    path = tmp_path / "refresh.json"
    RefreshFile(path, API_KEY).store(RefreshToken("refresh-1"))

    async def body():
        async with asking(refresh_token="refresh-1") as (server, http):
            server.holding = asyncio.Event()
            task = asyncio.create_task(client(server, token_file=path).token(http))
            while not server.asked:  # the server has taken the token: only its answer has the next
                await asyncio.sleep(0)
            task.cancel()
            asyncio.get_running_loop().call_later(0.05, server.holding.set)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert orjson.loads(path.read_bytes())["refresh_token"] == server.refresh_token
            assert server.refresh_token != "refresh-1"

    run(body())


def test_a_file_that_cannot_be_written_is_told_and_costs_nothing(tmp_path):
    (tmp_path / "occupied").write_text("a file, not a folder")

    async def body():
        async with asking() as (server, http):
            rest = client(server)
            rest._file = RefreshFile(tmp_path / "refresh.json", API_KEY)
            rest._file.store = lambda token: (_ for _ in ()).throw(OSError(28, "No space left"))
            told = []
            rest.tell = told.append
            assert await rest.token(http) == server.tokens[0]
            assert told == [
                "the refresh token cannot be written, so a restart will need a new OTP: "
                "No space left"
            ]
            assert await rest.renew(http) == server.tokens[1]

    run(body())


# -- lookups ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ([{"a": 1}], [{"a": 1}]),
        ({"data": [{"a": 1}], "pagesCount": 1}, [{"a": 1}]),
        ({"code": 200, "msg": "ok", "data": [{"a": 1}]}, [{"a": 1}]),
        ({"data": None}, []),
        ({"code": 204}, []),
        ({"code": 204, "msg": "No content"}, []),
        ({"code": "204", "message": "No content"}, []),
    ],
)
def test_rows_come_bare_or_in_an_envelope_or_not_at_all(document, rows):
    async def body():
        async with asking(rows={OHLC: document}) as (server, http):
            rest = client(server)
            assert await rest.get(http, "ohlc", symbol="SSI", pageIndex=1) == rows
            assert await rest.get(http, OHLC, **{"from": "2026/11/20 00:00:00"}) == rows
            assert server.asked[1:] == [
                (OHLC, {"symbol": "SSI", "pageIndex": "1"}),
                (OHLC, {"from": "2026/11/20 00:00:00"}),
            ]

    run(body())


@pytest.mark.parametrize("document", [{"data": {"a": 1}}, [1], {"data": ["x"]}, "text", 7])
def test_other_documents_are_no_rows(document):
    async def body():
        async with asking(rows={OHLC: document}) as (server, http):
            with pytest.raises(FeedError, match="/api/v3/data/ohlc answered no rows"):
                await client(server).get(http, "ohlc")

    run(body())


def test_a_refused_token_is_renewed_once():
    async def body():
        async with asking(rows={OHLC: [{"a": 1}]}) as (server, http):
            rest = client(server)
            await rest.token(http)
            server.tokens.append("the server wants another one")
            assert await rest.get(http, "ohlc") == [{"a": 1}]
            assert paths(server) == [LOGIN, OHLC, REFRESH, OHLC]
            server.scripted[OHLC] = [(401, {"code": 401, "msg": "no"})] * 2
            with pytest.raises(Refused, match="ohlc answered 401 no"):
                await rest.get(http, "ohlc")
            assert paths(server)[4:] == [OHLC, REFRESH, OHLC]

    run(body())


def test_a_429_is_waited_out_once(monkeypatch):
    waited = []

    async def sleep(delay_s):
        waited.append(delay_s)

    monkeypatch.setattr(rest_v3, "asyncio", AsyncioWith(sleep))

    async def body():
        async with asking(rows={OHLC: [{"a": 1}]}) as (server, http):
            rest = client(server)
            slow = (429, {"code": 429, "msg": "slow down"})
            server.scripted[OHLC] = [(*slow, {"Retry-After": "7"})]
            assert await rest.get(http, "ohlc") == [{"a": 1}]
            server.scripted[OHLC] = [(*slow, {"Retry-After": "9999"})]
            assert await rest.get(http, "ohlc") == [{"a": 1}]
            server.scripted[OHLC] = [slow, slow]
            with pytest.raises(Refused, match="ohlc answered 429 slow down"):
                await rest.get(http, "ohlc")
            assert [each for each in waited if each] == [7.0, 30.0, 1.0]

    run(body())


def test_lookups_keep_their_distance(monkeypatch):
    waited = []

    async def sleep(delay_s):
        waited.append(delay_s)

    monkeypatch.setattr(lookups, "asyncio", AsyncioWith(sleep))

    async def body():
        async with asking(rows={OHLC: []}) as (server, http):
            rest = client(server, interval_s=50.0)
            await asyncio.gather(*(rest.get(http, "ohlc") for _ in range(3)))
            assert waited[0] == 0.0
            assert all(40.0 < each <= 50.0 for each in waited[1:])

    run(body())


def test_a_login_that_is_refused_costs_a_turn_too(monkeypatch):
    waited = []

    async def sleep(delay_s):
        waited.append(delay_s)

    monkeypatch.setattr(lookups, "asyncio", AsyncioWith(sleep))

    async def body():
        async with asking() as (server, http):
            server.scripted[LOGIN] = [(401, {"code": 401, "msg": "wrong key"})] * 3
            rest = client(server, interval_s=50.0)
            for _ in range(3):
                with pytest.raises(FeedError, match="wrong key"):
                    await rest.get(http, "ohlc")
            assert waited[0] == 0.0
            assert len(waited) == 3
            assert all(40.0 < each <= 50.0 for each in waited[1:])

    run(body())


def test_pages_are_read_until_a_short_one():
    async def body():
        async with asking() as (server, http):
            whole = [{"n": number} for number in range(2_500)]
            server.scripted[OHLC] = [
                (200, {"data": whole[at : at + 1_000]}) for at in range(0, 3_000, 1_000)
            ]
            assert await client(server).pages(http, "ohlc", symbol="SSI") == whole
            assert [query for _, query in server.asked[1:]] == [
                {"symbol": "SSI", "pageIndex": str(number), "pageSize": "1000"}
                for number in (1, 2, 3)
            ]

    run(body())


def test_a_server_that_repeats_its_page_is_not_asked_for_ever():
    async def body():
        page = [{"n": number} for number in range(1_000)]
        async with asking(rows={OHLC: page}) as (server, http):
            assert await client(server).pages(http, "ohlc") == page
            assert len(server.asked) == 3

    run(body())


def test_nothing_shown_holds_a_secret():
    async def body():
        async with asking(wants_otp=True) as (server, http):
            rest = client(server, otp=OTP)
            token = await rest.token(http)
            secrets = [API_KEY, API_SECRET, OTP, token, server.refresh_token]
            assert rest.clean(" ".join(secrets)) == " ".join(["***"] * 5)
            shown = repr(rest) + repr(rest._settings) + repr(rest._refresh)
            assert not any(secret in shown for secret in secrets)

    run(body())


def test_the_answer_of_a_server_that_shows_our_secrets_is_cleaned():
    async def body():
        async with asking() as (server, http):
            rest = client(server)
            token = await rest.token(http)
            said = f"{token} {server.refresh_token} {API_KEY}\n{API_SECRET}"
            server.scripted[OHLC] = [(500, {"code": 500, "msg": said})]
            with pytest.raises(Refused) as caught:
                await rest.get(http, "ohlc")
            assert str(caught.value) == (
                "ohlc answered 500 *** *** *** ***: the server has a problem"
            )

    run(body())


def test_a_dead_session_says_so_whatever_the_status():
    assert Refused("x", NOT_A_REFRESH_TOKEN[1]["code"]).status == 401

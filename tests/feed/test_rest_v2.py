"""The REST client against the simulator, over the loopback."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest

from engine.clock import ManualClock
from engine.feed.http import open_session
from engine.feed.lookups import PAGE_SIZE, PAGES_MAX
from engine.feed.rest_v2 import RestSettings, RestV2
from engine.feed.source import FeedError
from tests.feed.simulated import (
    CONSUMER_ID,
    SECRET,
    answering,
    json_answer,
    run,
    simulating,
    verbs,
)
from tools.simulator.http import Response
from tools.simulator.rest import TOKEN_LIFE_S, issue_token

pytestmark = pytest.mark.usefixtures("no_secret_is_logged")

MARGIN_S = 900
START_S = 1_786_676_400  # 2026-08-14 10:00 ICT
QUOTA = "API calls quota exceeded! maximum admitted 1 per 0.05 s"


def rest_settings(port, **changes):
    return RestSettings(
        **{
            "url": f"http://127.0.0.1:{port}/",
            "consumer_id": CONSUMER_ID,
            "consumer_secret": SECRET,
            "timeout_s": 5.0,
            "interval_s": 0.0,
            "token_margin_s": MARGIN_S,
            **changes,
        }
    )


@asynccontextmanager
async def asking(clock=None, answers=None, **changes):
    """A simulator, the requests it gets, and a client of its."""
    clock = clock or ManualClock(START_S * 10**9)
    async with simulating(lines=[], clock=clock) as simulator, open_session(None) as http:
        requests = answering(simulator, **(answers or {}))
        yield RestV2(rest_settings(simulator.port, **changes), clock), http, requests


def rows_answer(rows, **changes):
    return json_answer(
        {"data": rows, "message": "Success", "status": "Success", "totalRecord": 1, **changes}
    )


def refusal(message, status):
    return json_answer({"message": message, "status": status})


def token_answer(token):
    return json_answer({"message": "Success", "status": 200, "data": {"accessToken": token}})


# Token --------------------------------------------------------------------------------------


def test_a_token_is_kept_until_its_margin():
    async def body():
        clock = ManualClock(START_S * 10**9)
        async with asking(clock) as (rest, http, requests):
            assert rest.token_expires_s == 0
            first = await rest.token(http)
            assert rest.token_expires_s == START_S + TOKEN_LIFE_S
            clock.advance_ns((TOKEN_LIFE_S - MARGIN_S - 1) * 10**9)
            assert await rest.token(http) == first
            clock.advance_ns(10**9)
            second = await rest.token(http)
            assert second != first
            assert rest.token_expires_s > START_S + TOKEN_LIFE_S
            assert (len(requests), rest.request_count, rest.failure_count) == (2, 2, 0)

    run(body())


def test_one_token_is_fetched_for_all_who_wait():
    async def body():
        async with asking() as (rest, http, requests):
            tokens = await asyncio.gather(*(rest.token(http) for _ in range(10)))
            assert len(set(tokens)) == len(requests) == 1

    run(body())


def test_a_forgotten_token_is_fetched_again_and_a_renewed_one_replaces_the_kept():
    async def body():
        clock = ManualClock(START_S * 10**9)
        async with asking(clock) as (rest, http, requests):
            first = await rest.token(http)
            rest.forget_token()
            assert rest.token_expires_s == 0
            await rest.token(http)
            clock.advance_ns(10**9)
            renewed = await rest.renew(http)
            assert renewed != first
            assert await rest.token(http) == renewed
            assert len(requests) == 3

    run(body())


def test_a_failed_renewal_keeps_the_token():
    async def body():
        async with asking(answers={"AccessToken": [None, Response(500)]}) as (rest, http, _):
            token = await rest.token(http)
            with pytest.raises(FeedError, match="AccessToken answered 500"):
                await rest.renew(http)
            assert await rest.token(http) == token

    run(body())


@pytest.mark.parametrize("token", ["opaque", issue_token("x", START_S - 2 * TOKEN_LIFE_S)])
def test_a_token_of_unknown_or_past_expiry_is_used_once(token):
    async def body():
        answers = {"AccessToken": [token_answer(token)]}
        async with asking(answers=answers) as (rest, http, requests):
            assert await rest.token(http) == token
            assert rest.token_expires_s == 0
            assert await rest.token(http) != token
            assert len(requests) == 2

    run(body())


def test_half_of_a_short_life_is_used():
    async def body():
        clock = ManualClock(START_S * 10**9)
        short = issue_token("x", START_S + 600 - TOKEN_LIFE_S)  # ten minutes, less than the margin
        async with asking(clock, {"AccessToken": [token_answer(short)]}) as (rest, http, requests):
            await rest.token(http)
            assert rest.margin_s == 300
            clock.advance_ns(299 * 10**9)
            assert await rest.token(http) == short
            clock.advance_ns(2 * 10**9)
            assert await rest.token(http) != short
            assert rest.margin_s == MARGIN_S
            assert len(requests) == 2

    run(body())


# What AccessToken may answer | status of the error | its text
REFUSALS = [
    (refusal("Key does not exist.", 400), 401, "AccessToken was refused: Key does not exist. ("),
    (refusal("The connection is invalid", 400), 401, "refused: The connection is invalid (check"),
    (refusal(None, 400), 401, "AccessToken was refused: no reason given (check the consumer id"),
    (json_answer({"data": {}}), 401, "AccessToken was refused: no reason given"),
    (json_answer({"data": "x"}), 401, "AccessToken was refused: no reason given"),
    (refusal(QUOTA, 429), 429, "AccessToken was refused: API calls quota exceeded!"),
    (token_answer(7), 0, "AccessToken answered something that cannot be a token"),
    (token_answer("a\nb"), 0, "AccessToken answered something that cannot be a token"),
    (token_answer(""), 0, "AccessToken answered an empty token"),
    (Response(200, b"<html>"), 0, "AccessToken answered 6 bytes that are not JSON"),
    (Response(200, b"[]"), 0, "AccessToken answered JSON that is not an object"),
    (
        json_answer({"message": "Key does not exist."}, 400),
        400,
        "AccessToken answered 400 Bad Request: Key does not exist.: the server does not accept",
    ),
    (Response(401), 401, "AccessToken answered 401 Unauthorized: the key or its token"),
    (Response(403), 403, "AccessToken answered 403 Forbidden: is this machine's address among"),
    (Response(429), 429, "AccessToken answered 429 Too Many Requests: too many requests"),
    (Response(503), 503, "AccessToken answered 503 Service Unavailable: the server has a problem"),
    (Response(302, headers={"Location": "http://127.0.0.1:1/"}), 302, "redirects are not followed"),
    (refusal(f"no {CONSUMER_ID}\nwith {SECRET}", 400), 401, r"refused: no \*\*\* with \*\*\* ("),
]


@pytest.mark.parametrize(("answer", "status", "says"), REFUSALS)
def test_no_token(answer, status, says):
    async def body():
        async with asking(answers={"AccessToken": [answer]}) as (rest, http, requests):
            with pytest.raises(FeedError, match=says.replace("(", r"\(")) as caught:
                await rest.token(http)
            assert caught.value.status == status
            assert (len(requests), rest.request_count, rest.failure_count) == (1, 1, 1)
            assert rest.token_expires_s == 0

    run(body())


# Lookups ------------------------------------------------------------------------------------


def test_rows_of_a_lookup():
    async def body():
        async with asking() as (rest, http, requests):
            rows = await rest.get(http, "Securities", market="HOSE", pageIndex=1, pageSize=50)
            assert [row["Symbol"] for row in rows] == ["SSI", "VND"]
            assert requests[-1].query == {"market": "HOSE", "pageindex": "1", "pagesize": "50"}
            assert await rest.get(http, "Securities", market="BOND") == []
            assert verbs(requests) == ["AccessToken", "Securities", "Securities"]

    run(body())


ROW = {"Symbol": "SSI"}
TABLE = [
    (rows_answer([ROW]), [ROW]),
    (rows_answer([ROW], status=200), [ROW]),
    (rows_answer([]), []),
    (rows_answer(None, message="No data"), []),
    (rows_answer(None, message="There is no data"), []),
    (json_answer({"status": "Success"}), []),
]


@pytest.mark.parametrize(("answer", "rows"), TABLE)
def test_answers_with_and_without_rows(answer, rows):
    async def body():
        async with asking(answers={"DailyOhlc": [answer]}) as (rest, http, _):
            assert await rest.get(http, "DailyOhlc") == rows
            assert rest.failure_count == 0

    run(body())


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (rows_answer(None, status="Error", message="Invalid page"), 0, "refused: Invalid page"),
        (rows_answer([1]), 0, "DailyOhlc answered rows that are not objects"),
        (rows_answer("x"), 0, "DailyOhlc was refused"),
        (refusal("what?", 400), 400, "DailyOhlc was refused: what?"),
        (Response(200, b"garbage"), 0, "DailyOhlc answered 7 bytes that are not JSON"),
        (Response(502), 502, "DailyOhlc answered 502 Bad Gateway: normal outside trading hours"),
        (refusal(f"{SECRET} is bad", 400), 400, r"refused: \*\*\* is bad"),
    ],
)
def test_no_rows(answer, status, says):
    async def body():
        async with asking(answers={"DailyOhlc": [answer]}) as (rest, http, requests):
            with pytest.raises(FeedError, match=says.replace("?", r"\?")) as caught:
                await rest.get(http, "DailyOhlc")
            assert caught.value.status == status
            assert rest.failure_count == 1
            assert verbs(requests) == ["AccessToken", "DailyOhlc"]

    run(body())


@pytest.mark.parametrize(
    "refused", [refusal("Missing Authorization header", 401), Response(401)], ids=["body", "status"]
)
def test_a_refused_token_is_renewed_once(refused):
    async def body():
        async with asking(answers={"Securities": [refused]}) as (rest, http, requests):
            assert len(await rest.get(http, "Securities", market="HNX")) == 1
            assert verbs(requests) == ["AccessToken", "Securities"] * 2
        async with asking(answers={"Securities": [refused, refused]}) as (rest, http, requests):
            with pytest.raises(FeedError) as caught:
                await rest.get(http, "Securities")
            assert caught.value.status == 401
            assert verbs(requests) == ["AccessToken", "Securities"] * 2

    run(body())


@pytest.mark.parametrize("answer", [refusal(QUOTA, "Error"), Response(429)], ids=["body", "status"])
def test_the_quota_is_waited_out_once(answer):
    async def body():
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        async with asking(answers={"Securities": [answer]}) as (rest, http, requests):
            assert len(await rest.get(http, "Securities", market="HNX")) == 1
            assert verbs(requests) == ["AccessToken", "Securities", "Securities"]
            assert rest.failure_count == 1
        assert now_s() - began_s >= (0.05 if answer.status == 200 else 0.0)
        async with asking(answers={"Securities": [answer, answer]}) as (rest, http, requests):
            with pytest.raises(FeedError) as caught:
                await rest.get(http, "Securities")
            assert caught.value.status == 429
            assert len(requests) == 3

    run(body())


def test_lookups_keep_their_distance_and_their_order():
    async def body():
        now_s = asyncio.get_running_loop().time
        moments_s = []
        async with asking(interval_s=0.05) as (rest, http, requests):

            async def lookup(number):
                await rest.get(http, "Securities", pageSize=10, pageIndex=number)
                moments_s.append(now_s())

            await asyncio.gather(*(lookup(number) for number in (1, 2, 3)))
            asked = [request.query["pageindex"] for request in requests[1:]]
            assert asked == ["1", "2", "3"]
        assert min(later - sooner for sooner, later in itertools.pairwise(moments_s)) >= 0.05

    run(body())


def test_a_token_that_is_refused_costs_a_turn_too():
    async def body():
        now_s = asyncio.get_running_loop().time
        moments_s = []
        refused = refusal("ConsumerID is invalid", 400)
        async with asking(answers={"AccessToken": [refused] * 3}, interval_s=0.05) as (
            rest,
            http,
            requests,
        ):
            for _ in range(3):
                with pytest.raises(FeedError, match="AccessToken was refused"):
                    await rest.get(http, "IntradayOhlc", symbol="SSI")
                moments_s.append(now_s())
            assert len(requests) == 3
        assert min(later - sooner for sooner, later in itertools.pairwise(moments_s)) >= 0.05

    run(body())


def page(count, first=0):
    return rows_answer([{"Symbol": str(first + number)} for number in range(count)])


def wrapped(count, first=0):
    rows = [{"Symbol": str(first + number)} for number in range(count)]
    return rows_answer([{"RType": "y", "RepeatedInfo": rows}])


@pytest.mark.parametrize(
    ("pages", "asked", "rows"),
    [
        ([page(3)], 1, 3),
        ([page(PAGE_SIZE), page(2, PAGE_SIZE)], 2, PAGE_SIZE + 2),
        ([page(PAGE_SIZE), page(0)], 2, PAGE_SIZE),
        ([page(PAGE_SIZE), page(PAGE_SIZE), page(1)], 2, PAGE_SIZE),  # it repeats itself
        ([page(PAGE_SIZE, PAGE_SIZE * n) for n in range(11)], PAGES_MAX, PAGES_MAX * PAGE_SIZE),
        ([wrapped(PAGE_SIZE), wrapped(7, PAGE_SIZE)], 2, 2),
        ([wrapped(7)], 1, 1),
    ],
)
def test_pages(pages, asked, rows):
    async def body():
        answers = {"SecuritiesDetails": list(pages)}
        async with asking(answers=answers) as (rest, http, requests):
            assert len(await rest.pages(http, "SecuritiesDetails", market="HOSE")) == rows
            numbers = [request.query["pageindex"] for request in requests[1:]]
            assert numbers == [str(number + 1) for number in range(asked)]
            assert {request.query["pagesize"] for request in requests[1:]} == {str(PAGE_SIZE)}

    run(body())


def test_an_answer_without_end_is_given_up(monkeypatch):
    async def body():
        answers = {"Securities": [Response(200, b" " * 5_000)]}
        async with asking(answers=answers) as (rest, http, _):
            with pytest.raises(FeedError, match="Securities answered more than 1000 bytes"):
                await rest.get(http, "Securities")

    monkeypatch.setattr("engine.feed.http.ANSWER_BYTES_MAX", 1_000)
    run(body())


def test_nobody_there():
    async def body():
        async with simulating(lines=[]) as simulator:
            port = simulator.port
        async with open_session(None) as http:
            rest = RestV2(rest_settings(port), ManualClock())
            with pytest.raises(FeedError, match="AccessToken: cannot reach 127"):
                await rest.get(http, "Securities")

    run(body())


def test_settings_hide_the_key():
    shown = repr(rest_settings(1))
    assert "http://127.0.0.1:1/" in shown
    assert CONSUMER_ID not in shown
    assert SECRET not in shown

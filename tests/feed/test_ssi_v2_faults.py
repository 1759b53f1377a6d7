"""Every way a v2 link can fail, over real sockets, and what the operator reads about it."""

import asyncio
import gc
import re
import tracemalloc
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.feed.hub_socket import REMARKS_MAX, HubSocket
from engine.feed.signalr import HubLink
from tests.feed.simulated import (
    CONSUMER_ID,
    SECRET,
    Recorder,
    answering,
    day,
    feeding,
    hub_error,
    json_answer,
    most_at_once,
    run,
    settings,
    simulating,
    verbs,
    websockets,
)
from tools.simulator.http import Response
from tools.simulator.rest import TOKEN_LIFE_S

pytestmark = pytest.mark.usefixtures("no_secret_is_logged")

TEN_O_CLOCK_S = 1_786_676_400  # 2026-08-14 10:00 ICT, a Friday
QUOTA = "Connection has been blocked, quota 10 exceeded by 2"


class Counting(Recorder):
    """A sink that keeps no frames, so that memory can be watched."""

    def on_frame(self, frame, recv_ns):
        self._changed.set()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def at_rest():
    """Count tasks and descriptors once the loop has opened those it keeps: at its first server."""
    async with simulating(lines=[]):
        pass
    return len(asyncio.all_tasks()), open_descriptors()


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def living(kind):
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


# Storms -------------------------------------------------------------------------------------


def test_a_hundred_drops_in_a_row_leave_one_connection_and_nothing_else():
    async def body():
        before = await at_rest()
        trace = []
        async with simulating(lines=[], trace=trace) as simulator:
            most = most_at_once(simulator)
            async with feeding(settings(simulator.port), Counting()) as (source, sink):

                async def dropped(times):
                    for _ in range(times):
                        lives = sink.count("LIVE")
                        for connection in websockets(simulator):
                            connection.abort()
                        await sink.until(lambda lives=lives: sink.count("LIVE") > lives)

                await sink.until(lambda: sink.count("LIVE") == 1)
                await dropped(10)  # whatever is made once has been made
                await until(lambda: len(simulator.connections) == 1)
                descriptors, tasks = open_descriptors(), len(asyncio.all_tasks())
                gc.collect()
                tracemalloc.start()
                memory_bytes, _ = tracemalloc.get_traced_memory()
                await dropped(90)
                await until(lambda: len(simulator.connections) == 1)
                await until(lambda: open_descriptors() == descriptors)
                assert len(asyncio.all_tasks()) == tasks
                assert living(HubSocket) == living(HubLink) == 1
                grown_bytes = tracemalloc.get_traced_memory()[0] - memory_bytes
                tracemalloc.stop()
                assert (
                    grown_bytes < 1024 * 1024
                )  # URLs in the libraries' caches, until these are full
                assert sink.count("DOWN") == 100
                assert len(set(sink.details("DOWN"))) == 1
                assert (
                    sum("AccessToken" in entry for entry in trace) == 1
                )  # one token serves them all
                assert source._backoff.failures > 0
        assert most[-1] == 1
        await until(lambda: (len(asyncio.all_tasks()), open_descriptors()) == before)

    run(body(), deadline_s=60.0)


@pytest.mark.parametrize("verb", ["AccessToken", "negotiate", "connect", "start"])
def test_failures_of_every_step_leave_nothing(verb):
    async def body():
        before = await at_rest()
        async with simulating(lines=[]) as simulator:
            requests = answering(simulator, **{verb: [Response(500)] * 20})
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
            assert sink.count("DOWN") == 21
            assert sink.details("DOWN")[0] == (
                f"{verb} answered 500{'' if verb == 'connect' else ' Internal Server Error'}: "
                "the server has a problem"
            )
            assert verbs(requests).count(verb) == 21
        await until(lambda: (len(asyncio.all_tasks()), open_descriptors()) == before)
        assert living(HubSocket) == 0

    run(body())


def test_a_half_open_link_is_left_before_the_next_one_is_made():
    async def body():
        async with simulating(lines=[], keepalive_s=0.05) as simulator:
            most = most_at_once(simulator)
            async with feeding(settings(simulator.port)) as (_, sink):
                for lives in (1, 2, 3):
                    await sink.until(lambda lives=lives: sink.count("LIVE") == lives)
                    simulator.faults.silent = True
                    await sink.until(lambda lives=lives: sink.count("DOWN") == lives)
                    simulator.faults.silent = False
                await sink.until(lambda: sink.count("LIVE") == 4)
        assert most[-1] == 1
        assert set(sink.details("DOWN")[:-1]) == {
            "no frame, not even a ping, for 0.1 s: the link is dead"
        }

    run(body())


# Ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, "bye"), (1001, "going away"), (1006, "abnormal"), (1011, "internal error"), (1000, "")],
)
def test_a_close_is_told_and_answered_with_a_new_connection(code, reason):
    async def body():
        async with simulating() as simulator, feeding(settings(simulator.port)) as (_, sink):
            await sink.until(lambda: sink.messages == len(day()))
            (connection,) = websockets(simulator)
            connection.close(code, reason)
            await sink.until(lambda: sink.count("LIVE") == 2)
            assert sink.details("DOWN") == [
                f"the server closed the stream: {code} {reason}".strip()
            ]
            await sink.until(lambda: sink.messages > len(day()))

    run(body())


# The verb that is answered otherwise | the answer | the line
ODD_ANSWERS = [
    ("AccessToken", Response(200, b"<html>"), "AccessToken answered 6 bytes that are not JSON"),
    ("AccessToken", Response(403), "AccessToken answered 403 Forbidden: is this machine's address"),
    ("negotiate", Response(200, b"<html>"), "negotiate answered 6 bytes that are not JSON"),
    ("negotiate", Response(200, b"{}"), "negotiate answered without a ConnectionToken"),
    ("negotiate", Response(302, headers={"Location": "/x"}), "redirects are not followed"),
    ("connect", Response(200, b"hello"), "connect answered 200"),
    ("connect", Response(302, headers={"Location": "/x"}), "redirects are not followed"),
    ("connect", Response(403), "connect answered 403: is this machine's address among those"),
    ("start", Response(200, b'{"Response":"no"}'), "start answered, but not that it has started"),
    ("start", Response(200, b"garbage"), "start answered 7 bytes that are not JSON"),
    ("start", Response(403), "start answered 403 Forbidden"),
    ("start", Response(302, headers={"Location": "/x"}), "redirects are not followed"),
]


@pytest.mark.parametrize(("verb", "answer", "says"), ODD_ANSWERS)
def test_an_odd_answer_is_told_in_one_line_and_overcome(verb, answer, says):
    async def body():
        async with simulating() as simulator:
            answering(simulator, **{verb: [answer]})
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.messages == len(day()))
        detail, stopped = sink.details("DOWN")
        assert says in detail
        assert "\n" not in detail
        assert stopped == "stopped"

    run(body())


@pytest.mark.parametrize("verb", ["AccessToken", "negotiate", "connect", "start"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nothing_of_ours_follows_a_redirect(verb, status):
    async def body():
        async with simulating() as elsewhere, simulating() as simulator:
            visits = answering(elsewhere)
            url = f"http://127.0.0.1:{elsewhere.port}/"
            answering(simulator, **{verb: [Response(status, headers={"Location": url})]})
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
            assert visits == []
        assert "redirects are not followed, set the final address" in sink.details("DOWN")[0]

    run(body())


# Keys and tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["negotiate", "connect", "start"])
def test_a_refused_token_is_forgotten(verb):
    async def body():
        async with simulating(lines=[]) as simulator:
            requests = answering(simulator, **{verb: [Response(401)]})
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                assert verbs(requests).count("AccessToken") == 2
        assert sink.details("DOWN")[0].startswith(f"{verb} answered 401")

    run(body())


@pytest.mark.parametrize(
    ("verb", "answer", "says"),
    [
        ("negotiate", Response(401), "negotiate answered 401 Unauthorized: the key or its token"),
        ("negotiate", Response(403), "negotiate answered 403 Forbidden: is this machine's address"),
        (
            "AccessToken",
            json_answer({"message": "Key does not exist.", "status": 400, "data": None}),
            "AccessToken was refused: Key does not exist. (check the consumer id and secret",
        ),
        (
            "AccessToken",
            json_answer({"message": "Key does not exist.", "status": 400}, 400),
            "AccessToken answered 400 Bad Request: Key does not exist.",
        ),
    ],
)
def test_what_only_the_operator_can_mend_is_tried_again_slowly(verb, answer, says):
    async def body():
        async with simulating() as simulator:
            answering(simulator, **{verb: [answer, answer]})
            cap = {"reconnect_cap_ms": 20_000}
            async with feeding(settings(simulator.port, **cap)) as (_, sink):
                await sink.until(lambda: sink.count("DOWN") == 2)
        first, second, _ = sink.details("DOWN")
        assert first.startswith(says)
        assert second.startswith(says)
        assert "next try" not in first
        wait_s = int(re.search(r"; next try in (\d+) s$", second)[1])
        assert 10 <= wait_s <= 20

    run(body())


@pytest.mark.parametrize("verb", ["AccessToken", "negotiate", "connect", "start"])
def test_too_many_requests_are_followed_by_half_a_minute_of_none(verb):
    async def body():
        async with simulating() as simulator:
            answering(simulator, **{verb: [Response(429)]})
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("DOWN") == 1)
        detail = sink.details("DOWN")[0]
        assert "429" in detail
        assert detail.endswith("too many requests with this key; next try in 30 s")

    run(body())


def test_a_server_that_repeats_our_secrets_does_not_make_us_repeat_them():
    async def body():
        echo = json_answer({"message": f"{CONSUMER_ID} and {SECRET}\n are wrong"}, 500)
        async with simulating(lines=[]) as simulator:
            requests = answering(simulator, AccessToken=[echo])

            def negotiate(connection, request, usual=simulator.answer):
                response = usual(connection, request)
                if request.path.endswith("negotiate") and len(requests) < 4:
                    return json_answer({"message": f"bad token {request.bearer}"}, 500)
                return response

            simulator.answer = negotiate
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                bearer, token = requests[-1].bearer, requests[-1].query["connectiontoken"]
                simulator.send_raw(hub_error(f"no quota for {bearer}"))
                simulator.send_raw(hub_error(f"{token} has been {SECRET}"))
                await sink.until(lambda: sink.count("LIVE") == 3)
                (connection,) = websockets(simulator)
                connection.close(1008, f"who is {CONSUMER_ID}?")
                await sink.until(lambda: sink.count("LIVE") == 4)
        told = " | ".join(detail for _, detail in sink.states)
        for secret in (CONSUMER_ID, SECRET, bearer, token):
            assert secret not in told
        assert "*** and *** are wrong" in told
        assert "bad token ***" in told
        assert "the hub says: no quota for ***" in told
        assert "the hub says: *** has been ***" in told
        assert "the server closed the stream: 1008 who is ***?" in told

    run(body())


# What the hub complains of ------------------------------------------------------------------


def test_a_complaint_of_the_hub_is_told_once_and_ends_nothing():
    async def body():
        async with simulating(lines=[]) as simulator, feeding(settings(simulator.port)) as both:
            _, sink = both
            await sink.until(lambda: sink.count("LIVE") == 1)
            for excess in range(50):
                simulator.send_raw(hub_error(QUOTA.replace("by 2", f"by {excess}")))
            simulator.send_raw(b'{"I":"41","E":"not ours"}')
            simulator.send_raw(b"the end")
            await sink.until(lambda: sink.frames[-1:] == [b"the end"])
            assert sink.details("LIVE")[1:] == [
                f"the hub says: {QUOTA.replace('by 2', 'by 0')}",
                "the hub says: invocation 41 failed: not ours",
            ]
            assert sink.frames.count(hub_error(QUOTA)) == 1  # the decoder counts them all
            assert sink.count("DOWN") == 0

    run(body())


def test_endless_complaints_are_not_endless_lines():
    async def body():
        async with simulating(lines=[]) as simulator, feeding(settings(simulator.port)) as both:
            _, sink = both
            await sink.until(lambda: sink.count("LIVE") == 1)
            for number in range(200):
                simulator.send_raw(hub_error("x" * number))
            simulator.send_raw(b"the end")
            await sink.until(lambda: sink.frames[-1:] == [b"the end"])
            assert sink.count("LIVE") == 1 + REMARKS_MAX

    run(body())


def test_a_complaint_before_we_are_live_is_told_as_connecting():
    async def body():
        async with simulating(lines=[]) as simulator:
            usual = simulator.invoked

            def invoked(connection, text):
                simulator.send_raw(hub_error(QUOTA))
                usual(connection, text)

            simulator.invoked = invoked
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
        assert [state for state, _ in sink.states] == ["CONNECTING", "CONNECTING", "LIVE", "DOWN"]
        assert sink.states[1][1] == f"the hub says: {QUOTA}"

    run(body())


# Token renewal ------------------------------------------------------------------------------


@pytest.fixture
def eager(monkeypatch):
    """Look at the clock often."""
    monkeypatch.setattr("engine.feed.ssi_v2.RENEW_LOOK_S", 0.005)


async def looked(times=3):
    """Let the source look at its clock a few times: nothing is expected to happen."""
    await asyncio.sleep(0.005 * times)


@pytest.mark.usefixtures("eager")
def test_a_connection_is_exchanged_before_its_token_expires():
    async def body():
        clock = ManualClock(TEN_O_CLOCK_S * 10**9)
        async with simulating(lines=[], clock=clock) as simulator:
            most, requests = (
                most_at_once(simulator),
                answering(simulator, negotiate=[Response(500)]),
            )
            async with feeding(settings(simulator.port), clock=clock) as (source, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                clock.advance_ns((TOKEN_LIFE_S - 900 - 1) * 10**9)  # 17:44:59
                await looked(times=20)  # live for longer than the cap of the backoff
                assert len(sink.states) == 4
                for lives in (2, 3):
                    clock.advance_ns(10**9)
                    await sink.until(lambda lives=lives: sink.count("LIVE") == lives)
                    clock.advance_ns((TOKEN_LIFE_S - 900 - 1) * 10**9)
                assert source._backoff.failures == 0
        failed, renewed = ["CONNECTING", "DOWN"], ["CONNECTING", "LIVE"] * 3
        assert [state for state, _ in sink.states] == [*failed, *renewed, "DOWN"]
        assert sink.details("CONNECTING")[2:] == ["token renewal"] * 2
        again = ["AccessToken", "negotiate", "connect", "start"] * 2
        assert verbs(requests)[-len(again) :] == again
        assert len({request.bearer for request in requests if request.bearer}) == 3
        assert most[-1] == 1

    run(body())


@pytest.mark.usefixtures("eager")
def test_a_connection_outlives_a_renewal_that_fails():
    async def body():
        clock = ManualClock(TEN_O_CLOCK_S * 10**9)
        refused = [None, Response(500), Response(500)]
        async with simulating(lines=[], clock=clock) as simulator:
            requests = answering(simulator, AccessToken=refused)
            async with feeding(settings(simulator.port), clock=clock) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                clock.advance_ns((TOKEN_LIFE_S - 900) * 10**9)
                await until(lambda: len(refused) == 1)
                await looked()
                assert len(refused) == 1  # not again before a minute is over
                clock.advance_ns(60 * 10**9)
                await until(lambda: len(refused) == 0)
                assert sink.count("DOWN") == 0
                clock.advance_ns(60 * 10**9)
                await sink.until(lambda: "token renewal" in sink.details("CONNECTING"))
                await sink.until(lambda: sink.count("LIVE") == 3)
        assert sink.details("LIVE")[1] == (
            "the token was not renewed: AccessToken answered 500 Internal Server Error: "
            "the server has a problem"
        )
        assert verbs(requests).count("AccessToken") == 4
        assert sink.details("DOWN") == ["stopped"]

    run(body())


@pytest.mark.usefixtures("eager")
def test_a_server_that_gives_the_same_token_again_costs_no_reconnect():
    async def body():
        clock = ManualClock(TEN_O_CLOCK_S * 10**9)
        async with simulating(lines=[], clock=clock) as simulator:
            waiting = []
            requests = answering(simulator, AccessToken=waiting)
            async with feeding(settings(simulator.port), clock=clock) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                same = {"status": 200, "data": {"accessToken": requests[-1].bearer}}
                waiting += [json_answer(same)] * 2
                clock.advance_ns((TOKEN_LIFE_S - 900) * 10**9)
                await until(lambda: len(waiting) == 1)
                await looked()
                assert len(waiting) == 1
                assert len(sink.states) == 2
                clock.advance_ns(60 * 10**9)
                await until(lambda: not waiting)
                clock.advance_ns(60 * 10**9)
                await sink.until(lambda: sink.count("LIVE") == 2)

    run(body())


@pytest.mark.usefixtures("eager")
def test_an_end_while_a_token_is_due_is_an_end():
    async def body():
        clock = ManualClock(TEN_O_CLOCK_S * 10**9)
        async with simulating(lines=[], clock=clock) as simulator:
            answering(simulator, AccessToken=[None] + [Response(500)] * 3)
            async with feeding(settings(simulator.port), clock=clock) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                clock.advance_ns((TOKEN_LIFE_S - 900) * 10**9)
                await sink.until(lambda: sink.count("LIVE") == 2)
                (connection,) = websockets(simulator)
                connection.abort()
                await sink.until(lambda: sink.count("LIVE") == 3)
        assert sink.details("DOWN")[0] == "the connection dropped"

    run(body())

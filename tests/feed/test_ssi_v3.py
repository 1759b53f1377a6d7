"""The real v3 client against a small server, over the loopback."""

import asyncio
import gc
import random
import shutil
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from engine.clock import ManualClock, SystemClock
from engine.feed import reconnect, ssi_v3
from engine.feed.rest_v3 import RestV3
from engine.feed.source import FeedError
from engine.feed.ssi_v3 import SsiV3Source, V3Settings
from tests.feed.fake_v3 import (
    API_KEY,
    API_SECRET,
    OTP,
    TOPICS,
    AsyncioWith,
    FakeV3,
    ack,
    feeding,
    serving,
    settings,
    trade,
)
from tests.feed.simulated import Recorder, run
from tools.simulator.websocket import Opcode, encode

LOGIN = "/api/v3/auth/token"
REFRESH = "/api/v3/auth/refresh"


@pytest.fixture(autouse=True)
def every_log_line(caplog):
    """Record what any library logs at any level, and show that it holds no secret."""
    caplog.set_level(1)
    yield caplog
    for record in caplog.get_records("call"):
        text = record.getMessage()
        for secret in (API_SECRET, OTP, "Bearer", "eyJ", "refresh-token"):
            assert secret not in text


def trades(sink):
    return [frame for frame in sink.frames if b'"topic":"trade' in frame]


def test_a_connection_goes_live_and_delivers_everything_in_order():
    async def body():
        wanted = [trade(number) for number in range(1, 3_001)]
        async with (
            serving(greeting=wanted) as server,
            feeding(settings(server.port), clock=ManualClock(77)) as (_, sink),
        ):
            await sink.until(lambda: len(trades(sink)) == len(wanted))
            assert trades(sink) == wanted
            assert set(sink.stamps_ns) == {77}
            assert any(b'"SUBSCRIBE"' in frame for frame in sink.frames)  # acks are delivered too
            assert server.subscribed() == list(TOPICS)
            assert server.bearers == server.tokens
            assert [path for path, _ in server.asked] == [LOGIN]
            host = f"127.0.0.1:{server.port}"
        assert sink.states == [
            ("CONNECTING", f"connecting to {host}"),
            ("LIVE", f"live on {host}"),
            ("DOWN", "stopped"),
        ]

    run(body())


def test_the_state_is_told_before_the_first_data():
    class Strict(Recorder):
        def on_frame(self, frame, recv_ns):
            if b'"topic"' in frame:
                assert self.count("LIVE") == 1
            super().on_frame(frame, recv_ns)

    async def body():
        async with (
            serving(acks=lambda request: []) as server,  # data alone makes it live
            feeding(settings(server.port), Strict()) as (_, sink),
        ):
            await sink.until(lambda: trades(sink))

    run(body())


def test_long_lists_of_topics_are_split_and_all_of_them_acknowledged():
    async def body():
        topics = tuple(f"trade.S{number:04}" for number in range(1_500))
        async with (
            serving(greeting=[]) as server,
            feeding(settings(server.port, topics=topics)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            assert server.subscribed() == list(topics)
            assert server.bytes_max <= 4_000
            assert sum(b'"SUBSCRIBE"' in frame for frame in sink.frames) == len(server.requests) > 4

    run(body())


def test_missing_acknowledgements_are_a_failure():
    async def body():
        async with (
            serving(acks=lambda request: [], greeting=[]) as server,
            feeding(settings(server.port, connect_timeout_ms=100)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("DOWN") >= 1)
            assert sink.details("DOWN")[0] == "the answers to subscribe did not come within 0.1 s"
            assert sink.count("LIVE") == 0

    run(body())


def test_a_denied_topic_is_one_line_and_no_reason_to_leave():
    async def body():
        def acks(request):
            denied = ack(request, "error", f"Invalid topic quote.* for {API_KEY}")
            return [denied, denied, ack(request)]

        async with (
            serving(acks=acks, greeting=[]) as server,
            feeding(settings(server.port)) as (_, sink),
        ):
            await sink.until(lambda: sum(b"Invalid" in frame for frame in sink.frames) == 2)
            await server.send(trade(1))
            await sink.until(lambda: trades(sink))
            assert sink.count("DOWN") == 0
            told = [detail for _, detail in sink.states if "not accepted" in detail]
            assert told == [
                f"connected to 127.0.0.1:{server.port}, but 1 subscription(s) not accepted: "
                "Invalid topic quote.* for ***"
            ]
            assert [name for name, _ in sink.states] == ["CONNECTING", "STALE", "LIVE"]

    run(body())


def test_a_denial_that_comes_late_is_told_once():
    async def body():
        async with serving() as server, feeding(settings(server.port)) as (_, sink):
            await sink.until(lambda: trades(sink))
            for name in ("first", "second"):
                await server.send(
                    b'{"method":"subscribe","status":"error","message":"%b"}' % name.encode()
                )
            await server.send(trade(2))
            await sink.until(lambda: len(trades(sink)) == 2)
            assert sink.details("LIVE")[1:] == ["1 subscription(s) not accepted: first"]

    run(body())


def test_pings_go_both_ways_and_keep_a_quiet_link():
    async def body():
        async with (
            serving(greeting=[]) as server,
            feeding(settings(server.port, ping_ms=20, silence_ms=500)) as (_, sink),
        ):
            await sink.until(lambda: sum(b"PING_PONG" in frame for frame in sink.frames) >= 40)
            assert server.pong_count >= 3
            assert sink.count("DOWN") == 0
            ping = next(each for each in server.requests if each["method"] == "ping_pong")
            assert ping["channel"] == "HEARTBEAT"

    run(body())


def test_the_servers_pings_alone_are_signs_of_life():
    async def body():
        async with (
            serving(greeting=[], ping_s=0.02) as server,
            feeding(settings(server.port, silence_ms=400)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            while server.pong_count < 60:  # three times the silence allowed
                await asyncio.sleep(0.01)
            assert sink.count("DOWN") == 0

    run(body())


def test_a_half_open_link_is_noticed_by_its_silence():
    async def body():
        async with (
            serving() as server,
            feeding(settings(server.port, silence_ms=900, ping_ms=200)) as (_, sink),
        ):
            await sink.until(lambda: trades(sink))
            server.silent = True
            await sink.until(lambda: sink.count("DOWN") == 1)
            assert sink.details("STALE")[0].startswith("no frame, not even a ping, for 0.")
            assert (
                sink.details("DOWN")[0] == "no frame, not even a ping, for 0.9 s: the link is dead"
            )
            assert sum(each["method"] == "ping_pong" for each in server.requests) >= 1
            server.silent = False
            await sink.until(lambda: sink.count("LIVE") == 2)

    run(body())


def test_frames_after_a_suspicious_silence_are_good_news():
    async def body():
        async with (
            serving(greeting=[]) as server,
            feeding(settings(server.port, silence_ms=3_000)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            server.silent = True
            await sink.until(lambda: sink.count("STALE") == 1)
            server.silent = False
            await sink.until(lambda: sink.count("LIVE") == 2)
            assert sink.details("LIVE")[1] == "frames arrive again"
            assert sink.count("DOWN") == 0

    run(body())


def descriptor_count():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_hundred_drops_in_a_row_leave_one_connection_and_nothing_else():
    async def body():
        async with (
            serving(greeting=[]) as server,
            feeding(settings(server.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            tasks, descriptors = len(asyncio.all_tasks()), descriptor_count()
            for number in range(2, 102):
                server.drop()
                await sink.until(lambda number=number: sink.count("LIVE") == number)
            assert server.open_most == 1
            assert len(server.connections) == 1
            assert set(sink.details("DOWN")) == {"the connection dropped"}
            assert [path for path, _ in server.asked] == [LOGIN]  # one token was enough
            gc.collect()
            assert len(asyncio.all_tasks()) <= tasks + 1
            assert descriptor_count() <= descriptors + 2
            assert server.subscribed() == list(TOPICS) * 101

    run(body(), 60.0)


def test_a_close_is_told_with_its_code():
    async def body():
        async with serving() as server, feeding(settings(server.port)) as (_, sink):
            await sink.until(lambda: trades(sink))
            for socket in list(server.connections):
                await socket.close(code=1012, message=b"restart")
            await sink.until(lambda: sink.count("LIVE") == 2)
            assert sink.details("DOWN")[0] == "the server closed the stream: 1012 restart"

    run(body())


@pytest.fixture
def waits(monkeypatch):
    """Every delay the source asked for, none of it waited for."""
    asked = []

    async def short(delay_s):
        asked.append(delay_s)
        await asyncio.sleep(0)

    monkeypatch.setattr(ssi_v3, "asyncio", AsyncioWith(short))
    return asked


def test_a_stale_token_is_replaced_soon_and_a_second_refusal_waits_long(waits):
    async def body():
        refusals = [(401, "token is not valid")] * 3
        async with (
            serving(refusals=refusals) as server,
            feeding(settings(server.port, reconnect_cap_ms=30_000)) as (_, sink),
        ):
            await sink.until(lambda: trades(sink))
            assert len(set(server.bearers)) == 4  # each time another token
            assert [path for path, _ in server.asked] == [LOGIN] + [REFRESH] * 3
            assert sink.details("DOWN")[0] == "the stream was refused: 401 token is not valid"
            first, second, third = waits[:3]
            assert first < 1.0
            assert min(second, third) >= 15.0

    run(body())


@pytest.mark.parametrize("where", ["upgrade", "frame"])
@pytest.mark.parametrize(
    ("status", "least_s", "says"),
    [
        (403, 0.0, "403"),
        (429, reconnect.QUOTA_WAIT_S, "429"),
        (500, 0.0, "500"),
        (503, 0.0, "503"),
    ],
)
def test_refusals_are_told_waited_for_and_survived(waits, where, status, least_s, says):
    async def body():
        bends = {"refusals": [(status, "no")] if where == "frame" else []}
        if where == "upgrade":
            bends["upgrade_statuses"] = [status]
        async with (
            serving(**bends) as server,
            feeding(settings(server.port)) as (_, sink),
        ):
            await sink.until(lambda: trades(sink))
            down = sink.details("DOWN")
            assert len(down) == 1
            assert says in down[0]
            assert "eyJ" not in down[0]
            assert waits[0] >= least_s
            assert len(server.tokens) == (2 if status == 403 else 1)

    run(body())


def test_a_refusal_that_repeats_our_secrets_is_cleaned(waits):
    async def body():
        async with serving() as server:
            server._issue()
            said = f"no {API_SECRET}\nfor {API_KEY}: {server.tokens[0]}"
            server.refusals = [(500, said)]
            async with feeding(settings(server.port)) as (_, sink):
                await sink.until(lambda: trades(sink))
            assert sink.details("DOWN")[0] == "the stream was refused: 500 no *** for ***: ***"

    run(body())


def test_a_wrong_key_is_one_line_without_the_key_and_is_tried_again_slowly(waits):
    async def body():
        wrong = "0123456789abcdef0123456789abcdef"
        async with (
            serving() as server,
            feeding(settings(server.port, consumer_id=wrong, reconnect_cap_ms=30_000)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("DOWN") >= 3)
            assert server.upgrade_count == 0
        for detail in sink.details("DOWN")[:3]:
            assert detail.startswith("auth/token answered 401105 no key ***: the key or its token")
            assert wrong not in detail
        assert min(waits[1:3]) >= 15.0
        assert sink.details("DOWN")[1].endswith(f"; next try in {waits[1]:.0f} s")

    run(body())


def test_a_token_is_replaced_before_it_expires_without_a_word_of_trouble():
    async def body():
        async with (
            serving(token_life_s=4) as server,
            feeding(settings(server.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 2)
            assert sink.count("DOWN") == 0
            assert sink.details("CONNECTING")[1] == "changing to a new token"
            assert server.bearers == server.tokens[:2]
            assert server.open_most == 1
            assert [path for path, _ in server.asked] == [LOGIN, REFRESH]

    run(body())


def test_a_token_that_cannot_be_replaced_costs_no_stream():
    async def body():
        async with serving(token_life_s=4) as server:
            server.scripted[REFRESH] = [(503, {"code": 503, "msg": f"{API_SECRET} busy"})] * 2
            async with feeding(settings(server.port)) as (_, sink):
                await sink.until(lambda: sink.count("LIVE") == 3)
                said = sink.details("LIVE")[1]
                assert said.startswith("the stream goes on with its old token: auth/refresh")
                assert "*** busy" in said
                assert server.upgrade_count == 1
                await sink.until(lambda: sink.count("CONNECTING") == 2)
                await sink.until(lambda: sink.details("LIVE")[-1].startswith("live on"))
            assert sink.count("DOWN") == 1  # the stop

    run(body())


def test_a_token_of_unknown_age_is_used_until_it_is_refused():
    async def body():
        async with serving() as server:
            server.tokens.append("opaque-token-without-a-date")
            server.scripted[LOGIN] = [(200, {"accessToken": server.tokens[-1]})]
            async with feeding(settings(server.port)) as (source, sink):
                await sink.until(lambda: sink.count("LIVE") == 1)
                assert source._rest.token_expires_s == 0
                server.drop()
                await sink.until(lambda: sink.count("LIVE") == 2)
                assert len(server.asked) == 1
                server.tokens.append("another-token-was-given-elsewhere")
                server.drop()
                await sink.until(lambda: sink.count("LIVE") == 3)
                assert [path for path, _ in server.asked] == [LOGIN, LOGIN]

    run(body())


def test_fragments_are_joined_and_odd_frames_do_no_harm():
    async def body():
        odd = [b"garbage", b"[]", b'{"X":1}', b"", b'{"trading":"","data":"trade.*"}']
        async with serving(greeting=[]) as server, feeding(settings(server.port)) as (_, sink):
            await sink.until(lambda: sink.count("LIVE") == 1)
            await server.send(*odd)
            (transport,) = server.connections.values()
            for part, opcode, final in (
                (b'{"channel":"DATA",', Opcode.TEXT, False),
                (b'"topic":"trade.SSI"', Opcode.CONTINUATION, False),
                (b"}", Opcode.CONTINUATION, True),
            ):
                transport.write(encode(part, opcode, final=final))
            await server.send(b"x" * (2 * 1024 * 1024), b"the end")
            await sink.until(lambda: sink.frames[-1:] == [b"the end"])
            arrived = [frame for frame in sink.frames if b"SUBSCRIBE" not in frame]
            assert arrived[: len(odd)] == odd
            assert arrived[len(odd)] == b'{"channel":"DATA","topic":"trade.SSI"}'
            assert len(arrived[-2]) == 2 * 1024 * 1024
            assert sink.count("DOWN") == 0

    run(body())


def test_a_pause_is_not_taken_for_the_servers_silence():
    async def body():
        async with (
            serving(greeting=[]) as server,
            feeding(settings(server.port, silence_ms=100, ping_ms=20)) as (source, sink),
        ):
            await sink.until(lambda: any(b"PING_PONG" in frame for frame in sink.frames))
            source.pause()
            await server.send(trade(1))
            await asyncio.sleep(0.5)  # five times the timeout: the silence itself is the test
            assert not trades(sink)
            assert sink.count("DOWN") == 0
            source.resume()
            await sink.until(lambda: trades(sink))
            assert sink.count("DOWN") == 0

    run(body())


def test_a_pause_lasts_through_a_reconnect():
    async def body():
        async with serving(greeting=[]) as server, feeding(settings(server.port)) as (source, sink):
            await sink.until(lambda: sink.count("LIVE") == 1)
            source.pause()
            server.drop()
            await sink.until(lambda: sink.count("LIVE") == 2)
            source.resume()
            await server.send(trade(1))
            await sink.until(lambda: trades(sink))

    run(body())


def test_a_bug_in_the_sink_ends_the_run():
    class Broken(Recorder):
        def on_frame(self, frame, recv_ns):
            raise ZeroDivisionError(len(frame) + recv_ns)

    async def body():
        async with serving() as server:
            source = SsiV3Source(settings(server.port), ManualClock(), random.Random(1))
            with pytest.raises(ZeroDivisionError):
                await source.run(Broken())

    run(body())


def test_stop_before_and_during_a_connection():
    async def body():
        async with serving() as server:
            source = SsiV3Source(settings(server.port), ManualClock(), random.Random(1))
            source.stop()
            await source.run(Recorder())
            assert not server.asked
            async with feeding(settings(server.port)) as (_, sink):
                await sink.until(lambda: sink.count("CONNECTING") == 1)
            assert sink.details("DOWN") == ["stopped"]

    run(body())


def test_wrong_topics_are_refused_at_once():
    with pytest.raises(FeedError, match=r"'order\.\*'"):
        SsiV3Source(settings(1, topics=("order.*",)), ManualClock(), random.Random(1))


def test_settings_hide_the_key():
    shown = repr(V3Settings("http://a/", "ws://b/", API_KEY, API_SECRET, OTP))
    assert "ws://b/" in shown
    assert API_KEY not in shown
    assert API_SECRET not in shown
    assert OTP not in shown
    assert API_SECRET not in repr(settings(1).rest())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody trusts."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is needed to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", files[0], "-keyout", files[1]],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return files


@pytest.mark.parametrize("trusted", [True, False])
def test_the_servers_certificate_is_verified(certificate, trusted, monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def body():
        async with serving(FakeV3(tls=tls)) as server:
            secure = settings(
                server.port,
                url=f"https://127.0.0.1:{server.port}/",
                stream_url=f"wss://127.0.0.1:{server.port}/ws/v3",
            )
            async with feeding(secure) as (_, sink):
                if trusted:
                    await sink.until(lambda: trades(sink))
                    return
                await sink.until(lambda: sink.count("DOWN") >= 1)
                assert "certificate" in sink.details("DOWN")[0]
                assert not server.asked

    run(body())


def test_the_streams_certificate_is_verified_too(certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)

    async def body():
        async with serving() as rest, serving(FakeV3(tls=tls)) as stream:
            mixed = settings(rest.port, stream_url=f"wss://127.0.0.1:{stream.port}/ws/v3")
            async with feeding(mixed) as (_, sink):
                await sink.until(lambda: sink.count("DOWN") >= 1)
                assert "certificate" in sink.details("DOWN")[0]
                assert not stream.bearers

    run(body())


def test_one_session_is_shared_with_lookups():
    async def body():
        async with serving() as server:
            server.rows["/api/v3/data/masterdata"] = {"data": [{"symbol": "SSI"}]}
            given = settings(server.port)
            rest = RestV3(given.rest(), SystemClock())
            async with feeding(given, rest=rest) as (_, sink):
                await sink.until(lambda: trades(sink))
                async with aiohttp.ClientSession() as http:
                    assert await rest.get(http, "masterdata") == [{"symbol": "SSI"}]
            assert len(server.tokens) == 1

    run(body())

"""The real client against the simulator, over the loopback."""

import asyncio
import logging
import random

import pytest

from engine.clock import ManualClock
from engine.feed.ssi_v2 import FeedSettings, SsiV2Source
from tests.feed.simulated import (
    CONSUMER_ID,
    EVERYTHING,
    KINDS,
    SECRET,
    Recorder,
    build,
    day,
    feeding,
    line,
    run,
    settings,
    simulating,
)
from tools.simulator.websocket import Opcode, encode

HANDSHAKE = [
    "POST /api/v2/Market/AccessToken",
    "POST /v2.0/signalr/negotiate",
    "GET /v2.0/signalr/connect",
    "GET /v2.0/signalr/start",
    f"SwitchChannels ['{EVERYTHING}']",
]


pytestmark = pytest.mark.usefixtures("no_secret_is_logged")


def test_the_handshake_goes_in_order_and_every_type_arrives():
    async def body():
        trace = []
        async with (
            simulating(trace=trace) as simulator,
            feeding(settings(simulator.port), clock=ManualClock(77)) as (_, sink),
        ):
            await sink.until(lambda: sink.messages == len(day()))
            assert trace == HANDSHAKE
            assert sink.count("LIVE") == 1
            wire = b"".join(sink.frames)
            for kind in KINDS:
                assert wire.count(b'\\"DataType\\":\\"%b\\"' % kind.encode()) == 100
            assert set(sink.stamps_ns) == {77}
            assert wire.startswith(b'{"C":')  # what is no data is delivered too: the init frame
            assert b'{"I":"0"}' in sink.frames
        assert [name for name, _ in sink.states] == ["CONNECTING", "LIVE", "DOWN"]
        assert sink.details("DOWN") == ["stopped"]

    run(body())


def test_messages_arrive_in_the_order_of_the_day():
    async def body():
        lines = [line(0, "X-TRADE", "SSI", number) for number in range(5_000)]
        async with (
            simulating(lines=lines) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.messages == len(lines))
            wire = b"".join(sink.frames)
            places = [wire.find(b'Number\\\\\\":%d}' % number) for number in (0, 7, 999, 4_999)]
            assert places == sorted(places)
            assert places[0] >= 0

    run(body())


def test_a_wrong_key_is_told_in_one_line_without_the_key():
    async def body():
        wrong = "0123456789abcdef0123456789abcdef"
        async with (
            simulating() as simulator,
            feeding(settings(simulator.port, consumer_secret=wrong)) as (source, sink),
        ):
            await sink.until(lambda: sink.count("DOWN") >= 2)
            assert wrong not in repr(source._settings)
            assert CONSUMER_ID not in repr(source._settings)
        line_ = sink.details("DOWN")[0]
        assert line_ == (
            "AccessToken was refused: Key does not exist. (check the consumer id and secret, and "
            "the key's age)"
        )
        assert sink.count("LIVE") == 0

    run(body())


def test_a_restarted_server_is_found_again_and_asked_again():
    async def body():
        trace = []
        first = build(trace=trace)
        await first.start()
        async with feeding(settings(first.port)) as (_, sink):
            await sink.until(lambda: sink.messages == len(day()))
            await first.stop()
            await sink.until(lambda: sink.count("DOWN") >= 1)
            assert "shutting down" in sink.details("DOWN")[0]
            second = build(trace=trace, port=first.port)
            await second.start()
            await sink.until(lambda: sink.messages == 2 * len(day()))
            assert sink.count("LIVE") == 2
            assert [entry for entry in trace if entry.startswith("Switch")] == HANDSHAKE[-1:] * 2
        await second.stop()

    run(body())


def test_a_dropped_connection_is_made_again():
    async def body():
        async with simulating() as simulator, feeding(settings(simulator.port)) as (_, sink):
            await sink.until(lambda: sink.count("LIVE") == 1)
            for connection in list(simulator.connections):
                connection.abort()
            await sink.until(lambda: sink.count("LIVE") == 2)
            assert sink.details("DOWN")[0] == "the connection dropped"

    run(body())


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "negotiate answered 400 Bad Request: the server does not accept"),
        (401, "negotiate answered 401 Unauthorized: the key or its token is not accepted"),
        (403, "negotiate answered 403 Forbidden: is this machine's address among those"),
        (500, "negotiate answered 500 Internal Server Error: the server has a problem"),
        (502, "negotiate answered 502 Bad Gateway: normal outside trading hours; else: is"),
    ],
)
def test_a_refused_negotiate_says_so_and_recovers(status, says):
    async def body():
        async with simulating() as simulator:
            simulator.faults.negotiate_statuses = [status, status]
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.messages == len(day()))
        down = sink.details("DOWN")[:-1]
        assert len(down) == 2
        assert all(detail.startswith(says) and "\n" not in detail for detail in down)

    run(body())


def test_nobody_there_is_told_in_one_line():
    async def body():
        simulator = build()
        await simulator.start()
        await simulator.stop()
        async with feeding(settings(simulator.port)) as (_, sink):
            await sink.until(lambda: sink.count("DOWN") >= 1)
        assert sink.details("DOWN")[0] == (
            f"AccessToken: cannot reach 127.0.0.1:{simulator.port}: Connection refused"
        )

    run(body())


def test_a_half_open_link_is_noticed_by_its_silence():
    async def body():
        async with (
            simulating(keepalive_s=0.15) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.messages == len(day()))
            simulator.faults.silent = True
            await sink.until(lambda: sink.count("DOWN") == 1)
            assert sink.count("STALE") >= 1
            assert sink.details("DOWN")[0] == (
                "no frame, not even a ping, for 0.3 s: the link is dead"
            )
            simulator.faults.silent = False
            await sink.until(lambda: sink.count("LIVE") == 2)

    run(body())


def test_keepalives_alone_keep_a_link():
    async def body():
        async with (
            simulating(lines=[], keepalive_s=0.05) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.frames.count(b"{}") >= 10)
            assert sink.count("DOWN") == 0

    run(body())


def test_a_pause_is_not_taken_for_the_servers_silence():
    async def body():
        async with (
            simulating(lines=[], keepalive_s=0.05) as simulator,
            feeding(settings(simulator.port)) as (source, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            source.pause()
            seen = len(sink.frames)
            await asyncio.sleep(0.5)  # five times the timeout: the silence itself is the test
            assert sink.count("DOWN") == 0
            assert len(sink.frames) == seen
            source.resume()
            await sink.until(lambda: len(sink.frames) > seen)
            assert sink.count("DOWN") == 0

    run(body())


def test_a_paused_reader_holds_the_day_back_and_loses_nothing():
    async def body():
        lines = [line(0, "X-TRADE", "SSI", number) for number in range(60_000)]
        async with (
            simulating(lines=lines, messages_per_frame=1) as simulator,
            feeding(settings(simulator.port)) as (source, sink),
        ):
            await sink.until(lambda: sink.messages > 0)
            source.pause()
            sent = -1
            while sent != simulator.player.sent_count:  # until the socket is full
                sent = simulator.player.sent_count
                await asyncio.sleep(0.2)
            held_back = sent < len(lines)
            source.resume()
            await sink.until(lambda: len(sink.frames) > len(lines))
            assert sink.messages == len(lines)
            assert held_back

    run(body())


def test_unknown_and_garbage_frames_are_delivered_and_do_no_harm():
    async def body():
        odd = [
            b"garbage",
            b"[]",
            b'{"X":1}',
            b'{"I":"99"}',
            b"",
            b'{"C":"c","G":"g","M":[]}',
            b'{"M":[{"H":"other","M":"Broadcast","A":[]}]}',
            b'{"S":1,"M":[]}',
        ]
        async with (
            simulating(lines=[]) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            for payload in odd:
                simulator.send_raw(payload)
            simulator.send_raw(b"the end")
            await sink.until(lambda: sink.frames[-1:] == [b"the end"])
            assert sink.frames[-len(odd) - 1 : -1] == odd
            assert sink.count("DOWN") == 0

    run(body())


def test_a_fragmented_message_is_joined():
    async def body():
        async with (
            simulating(lines=[]) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            (socket,) = (each for each in simulator.connections if each.is_websocket)
            for part, opcode, final in (
                (b'{"C":"c",', Opcode.TEXT, False),
                (b'"M":[{', Opcode.CONTINUATION, False),
                (b"}]}", Opcode.CONTINUATION, True),
            ):
                socket.write(encode(part, opcode, final=final))
            socket.write(encode(b"after"))
            await sink.until(lambda: sink.frames[-1:] == [b"after"])
            assert sink.frames[-2] == b'{"C":"c","M":[{}]}'

    run(body())


def test_an_absurd_frame_costs_no_connection():
    async def body():
        async with (
            simulating(lines=[]) as simulator,
            feeding(settings(simulator.port)) as (_, sink),
        ):
            await sink.until(lambda: sink.count("LIVE") == 1)
            simulator.send_raw(b"x" * (2 * 1024 * 1024))
            simulator.send_raw(b"after")
            await sink.until(lambda: sink.frames[-1:] == [b"after"])
            assert len(sink.frames[-2]) == 2 * 1024 * 1024
            assert sink.count("DOWN") == 0

    run(body())


def test_a_refused_subscription_is_a_failure():
    async def body():
        async with (
            simulating() as simulator,
            feeding(settings(simulator.port, hub="OtherHub")) as (_, sink),
        ):
            await sink.until(lambda: sink.count("DOWN") >= 1)
        assert sink.details("DOWN")[0] == (
            "SwitchChannels was refused: 'OtherHub' Hub could not be resolved."
        )

    run(body())


def test_a_hub_that_says_nothing_is_given_up():
    async def body():
        async with simulating() as simulator:
            simulator.faults.silent = True
            async with feeding(settings(simulator.port, connect_timeout_ms=100)) as (_, sink):
                await sink.until(lambda: sink.count("DOWN") >= 1)
        assert sink.details("DOWN")[0] == "the init frame did not come within 0.1 s"

    run(body())


def test_a_bug_in_the_sink_ends_the_run():
    class Broken(Recorder):
        def on_frame(self, frame, recv_ns):
            raise ZeroDivisionError(len(frame) + recv_ns)

    async def body():
        async with simulating() as simulator:
            source = SsiV2Source(settings(simulator.port), ManualClock(), random.Random(1))
            with pytest.raises(ZeroDivisionError):
                await source.run(Broken())

    run(body())


def test_stop_before_and_during_a_connection():
    async def body():
        async with simulating() as simulator:
            source = SsiV2Source(settings(simulator.port), ManualClock(), random.Random(1))
            source.stop()
            await source.run(Recorder())
            assert not simulator.connections
            async with feeding(settings(simulator.port)) as (_, sink):
                await sink.until(lambda: sink.count("CONNECTING") == 1)
            assert sink.details("DOWN") == ["stopped"]

    run(body())


def test_settings_hide_the_key():
    shown = repr(FeedSettings("http://a/", "http://b/", CONSUMER_ID, SECRET))
    assert "http://a/" in shown
    assert CONSUMER_ID not in shown
    assert SECRET not in shown


def test_the_sockets_library_logs_no_headers():
    assert not logging.getLogger("vntape.feed.socket").isEnabledFor(logging.CRITICAL)

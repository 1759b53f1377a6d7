"""Fault scripts over real sockets: the client sees what the truth says it can see."""

import asyncio

import aiohttp
import pytest

from engine.clock import ManualClock, SystemClock
from tests.feed.simulated import (
    CONSUMER_ID,
    NINE_MS,
    SECRET,
    feeding,
    run,
    settings,
)
from tests.tools.small_days import book, matches, merged, prints_in
from tests.tools.test_simulator_server import Ear, Visitor, settle
from tools.simulator.executor import Act
from tools.simulator.faults import parse
from tools.simulator.http import Request
from tools.simulator.hub import HUB
from tools.simulator.links import Faults, Links, Refusal
from tools.simulator.player import Mishaps, Pace, Player
from tools.simulator.rest import Keys
from tools.simulator.server import Options, Simulator
from tools.simulator.truth import CLIENT_LEFT, NOT_WANTED, Truth

CHANNELS = "X-QUOTE:ALL,X-TRADE:ALL"
DAY = merged(
    matches("SSI", 600),
    matches("VND", 200, start_ms=NINE_MS + 300, step_ms=3_000, volume=500),
    [book(NINE_MS + 500 + second * 1_000, "SSI", second + 1) for second in range(600)],
)


def simulator(lines, script, *, speed=None, keepalive_s=5.0, clock=None, trace=None, **options):
    """Return a simulator with a fault script, and its truth."""
    clock, truth = clock or SystemClock(), Truth()
    made = Simulator(
        lines,
        Pace(speed, NINE_MS, None),
        clock,
        Options(keepalive_s=keepalive_s, keys=Keys(CONSUMER_ID, SECRET), **options),
        mishaps=Mishaps(parse(script), truth=truth),
        trace=(trace.append if trace is not None else lambda _line: None),
    )
    return made, truth


def storm(script, *, lines=DAY, channels=CHANNELS, **options):
    """Play a day to its end for our own client; return what it saw and the truth."""

    async def body():
        made, truth = simulator(lines, script, **options)
        await made.start()
        async with feeding(settings(made.port, channels=channels)) as (_, sink):
            await made.playing
            await made.stop()
        return sink, truth.document("2021-07-15")

    return run(body())


def gaps(document, code):
    return [
        (gap["from_time"], gap["to_time"], gap["missed_shares"], gap["cause"])
        for gap in document["symbols"][code]["gaps"]
    ]


def assert_told(sink, document):
    """What arrived is what the truth says was delivered."""
    seen = prints_in(sink.frames)
    for code, account in document["symbols"].items():
        arrived = dict(seen.get(code, []))
        assert sum(arrived.values()) == account["delivered_shares"], code
        missed = sum(gap["missed_shares"] for gap in account["gaps"])
        assert account["delivered_shares"] + missed == account["total_shares"]


def test_a_drop_loses_its_length_and_the_snapshot_tells_the_last_word():
    sink, document = storm("09:01:00 drop 20s")
    assert gaps(document, "SSI") == [("09:01:00", "09:01:18", 1_900, "drop")]
    assert gaps(document, "VND") == [("09:01:00.300", "09:01:15.300", 3_000, "drop")]
    assert_told(sink, document)
    assert sink.count("LIVE") == 2


def test_without_a_snapshot_the_last_word_is_missing_too():
    sink, document = storm("09:01:00 drop 20s", snapshot=False)
    assert gaps(document, "SSI") == [("09:01:00", "09:01:19", 2_000, "drop")]
    assert_told(sink, document)


@pytest.mark.parametrize("cut", ["drop", "close 1000", "close 1011", "shutdown"])
def test_a_cut_of_no_length_loses_nothing(cut):
    sink, document = storm(f"09:01 {cut}\n09:02 {cut}\n09:02 {cut}")
    assert gaps(document, "SSI") == gaps(document, "VND") == []
    assert_told(sink, document)
    assert sink.count("LIVE") == 4


def test_a_half_open_link_is_left_by_its_silence():
    sink, document = storm("09:01 half-open 30s", keepalive_s=0.2)
    assert gaps(document, "SSI") == [("09:01:00", "09:01:28", 2_900, "half-open")]
    assert_told(sink, document)
    assert any("no frame, not even a ping" in detail for detail in sink.details("DOWN"))


def test_a_half_open_link_answers_nothing_any_more():
    async def body():
        trace = []
        made, _ = simulator(matches("SSI", 2), "09:00:00.500 half-open 1s", trace=trace)
        await made.start()
        async with aiohttp.ClientSession() as http:
            visitor = Visitor(http, made.port)
            await visitor.sign_in()
            socket = await visitor.connect()
            ask = {"H": HUB, "M": "SwitchChannels", "A": [CHANNELS], "I": 0}
            await socket.send_json(ask)
            while "Broadcast" not in await socket.receive_str():
                pass
            await settle(lambda: not made.player.outage_count and made.player.market_ms > NINE_MS)
            await socket.send_json(ask)
            await settle(lambda: sum("SwitchChannels" in line for line in trace) == 2)
            await made.stop()
            assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
            assert socket.close_code == 1006

    run(body())


def test_a_stormy_hour_is_the_same_every_time():
    script = """
        09:00:30 skip SSI x3
        09:01:00 drop 20s
        09:01:00 refuse negotiate 502 x2
        09:02:00 swap SSI x3
        09:02:10 repeat VND x2
        09:02:30 late 11s for 30s
        09:03:30 drop 1s
        09:03:31.500 drop 1s
        09:04:00 skip VND
        09:04:00 close 1001 9s
        09:05:00 unknown-type x2
        09:05:10 bad-json x2
        09:05:20 bad-frame
        09:05:30 error "Connection has been blocked, quota 10 exceeded by 2"
        09:06:00 burst 1000 for 1s
        09:07:00 replay SSI x5
        09:08:00 stall 30s
        09:09:00 refuse token 500
        09:09:00 refuse connect 500
        09:09:00 drop
    """
    first, again = storm(script), storm(script)
    assert first[1] == again[1]
    assert prints_in(first[0].frames) == prints_in(again[0].frames)
    sink, document = first
    assert_told(sink, document)
    assert [each["line"] for each in document["faults"]] == [fault.line for fault in parse(script)]
    ours = [(missed, cause) for _, _, missed, cause in gaps(document, "SSI")]
    assert ours == [(300, "skip"), (1_900, "drop"), (800, "close")]
    assert [cause for *_, cause in gaps(document, "VND")] == ["drop", "skip+close"]
    arrived = [total // 100 for total, _ in prints_in(sink.frames)["SSI"]]
    assert arrived[arrived.index(122) - 1 :][:4] == [123, 122, 121, 124]
    assert b"quota 10 exceeded by 2" in b"".join(sink.frames)


def test_a_hundred_drops_leave_one_connection():
    async def body():
        script = "\n".join(
            f"09:{second // 60:02}:{second % 60:02} drop" for second in range(5, 105)
        )
        made, truth = simulator(DAY, script)
        await made.start()
        async with feeding(settings(made.port, channels=CHANNELS)) as (_, sink):
            await made.playing
            assert sum(each.is_websocket for each in made.connections) == 1
            assert sink.count("LIVE") == 101
            await made.stop()
        assert gaps(truth.document(""), "SSI") == []

    run(body())


def test_whoever_knocks_during_an_outage_is_turned_away():
    async def body():
        clock = ManualClock(0)
        made, _ = simulator(DAY, "09:01 drop 10s", speed=1.0, clock=clock)
        await made.start()
        async with aiohttp.ClientSession() as http:
            visitor = Visitor(http, made.port)
            await visitor.sign_in()
            socket = await visitor.connect()
            await socket.send_json({"H": HUB, "M": "SwitchChannels", "A": [CHANNELS], "I": 0})
            while '"G":' not in await socket.receive_str():
                pass
            await settle(lambda: made.player.sent_count > 0)
            clock.advance_ns(61_000_000_000)
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert socket.close_code == 1006
            for _ in range(2):
                with pytest.raises(aiohttp.ClientConnectionError):
                    await visitor.get(f"{visitor.root}/ping")
            clock.advance_ns(10_000_000_000)
            await settle(
                lambda: made.player.market_ms >= NINE_MS + 71_000 and not made.player.outage_count
            )
            assert (await visitor.get(f"{visitor.root}/ping"))[0] == 200
        await made.stop()

    run(body())


def test_refusals_meet_the_requests_they_are_for():
    faults = Faults()
    script = """
        09:00 refuse token 401
        09:00 refuse rest quota
        09:00 refuse IntradayOhlc no-data
        09:00 refuse negotiate 502 x2
        09:00 refuse connect 500
        09:00 refuse start 503
        09:00 refuse token unknown-key
    """
    faults.refusals += [Refusal(fault, fault.count) for fault in parse(script)]

    def asked(path):
        met = faults.refuse(Request("GET", path, {}, {}))
        return None if met is None else (met[0].status, met[0].body, met[1].line)

    hub = "/v2.0/signalr"
    lookup = "/api/v2/Market"
    assert asked(f"{hub}/ping") is None
    assert asked(f"{hub}/negotiate") == (502, b"", 5)
    assert asked(f"{hub}/negotiate") == (502, b"", 5)
    assert asked(f"{hub}/negotiate") is None
    assert asked(f"{lookup}/AccessToken")[::2] == (401, 2)
    status, body, line = asked(f"{lookup}/AccessToken")
    assert (status, line) == (200, 8)
    assert b"Key does not exist." in body
    status, body, line = asked(f"{lookup}/IntradayOhlc")
    assert (status, line) == (200, 3)
    assert b"API calls quota exceeded!" in body
    status, body, line = asked(f"{lookup}/IntradayOhlc")
    assert (status, line) == (200, 4)
    assert b"No data" in body
    assert asked(f"{lookup}/IntradayOhlc") is None
    assert asked("/ws/v3")[::2] == (500, 6)
    assert asked(f"{hub}/start")[::2] == (503, 7)
    assert faults.refusals == []


def test_v3_is_refused_in_its_own_words():
    faults = Faults()
    faults.refusals += [Refusal(fault, 1) for fault in parse("09:00 refuse rest quota")]
    met = faults.refuse(Request("GET", "/api/v3/data/ohlc", {}, {}))
    assert met[0].status == 429


def test_a_refused_switch_is_told_in_the_reply():
    async def body():
        made, _ = simulator(DAY, '09:00 refuse switch "not yet"')
        made.faults.refusals += [
            Refusal(fault, 1) for fault in parse('09:00 refuse switch "not yet"')
        ]
        await made.start()
        async with aiohttp.ClientSession() as http:
            visitor = Visitor(http, made.port)
            await visitor.sign_in()
            socket = await visitor.connect()
            ask = {"H": HUB, "M": "SwitchChannels", "A": [CHANNELS], "I": 7}
            await socket.send_json(ask)
            while not (said := await socket.receive_str()).startswith('{"I"'):
                pass
            assert said == '{"I":"7","E":"not yet"}'
            await socket.close()
        await made.stop()

    run(body())


def play(lines, *ears):
    """Play lines by the clock to ears, the newest last; return the truth."""

    async def body():
        truth, clock = Truth(), ManualClock(0)
        player = Player(
            lines, Pace(1.0, 0, 0), clock, lambda: list(ears), mishaps=Mishaps(truth=truth)
        )
        playing = asyncio.create_task(player.run())
        await settle(lambda: player.sent_count > 0)
        clock.advance_ns(60_000_000_000)
        await playing
        return truth.document("")

    return run(body())


def test_the_newest_listener_is_the_data_connection():
    old, new = Ear("X-TRADE:SSI-VND"), Ear("X-TRADE:VND")
    day = merged(matches("SSI", 3, start_ms=0), matches("VND", 3, start_ms=0))
    document = play(day, old, new)
    assert [gap["cause"] for gap in document["symbols"]["SSI"]["gaps"]] == [NOT_WANTED]
    assert document["symbols"]["VND"]["gaps"] == []
    document = play(day, new, old)
    assert document["symbols"]["SSI"]["gaps"] == []


def test_a_client_that_leaves_by_itself_is_blamed_itself():
    async def body():
        ears, truth, clock = [Ear("X-TRADE:ALL")], Truth(), ManualClock(0)
        player = Player(
            matches("SSI", 4, start_ms=0),
            Pace(1.0, 0, 0),
            clock,
            lambda: list(ears),
            mishaps=Mishaps(truth=truth),
        )
        playing = asyncio.create_task(player.run())
        await settle(lambda: player.sent_count == 1)
        ears.clear()
        clock.advance_ns(3_000_000_000)
        await playing
        (gap,) = truth.document("")["symbols"]["SSI"]["gaps"]
        assert (gap["missed_shares"], gap["cause"]) == (300, CLIENT_LEFT)

    run(body())


def test_a_slow_reader_is_blamed_for_its_own_loss():
    ear = Ear("X-TRADE:ALL")
    ear.unsent_bytes = 2**40
    document = play(matches("SSI", 2, start_ms=0), ear)
    assert [gap["cause"] for gap in document["symbols"]["SSI"]["gaps"]] == ["slow reader"]


def test_a_stall_sends_nothing_and_then_everything():
    async def body():
        ear, clock = Ear("X-TRADE:ALL"), ManualClock(NINE_MS * 1_000_000)
        player = Player(
            matches("SSI", 10),
            Pace(1.0, 0, 0),
            clock,
            lambda: [ear],
            mishaps=Mishaps(parse("09:00:02 stall 5s")),
        )
        playing = asyncio.create_task(player.run())
        await settle(lambda: ear.messages == 1)
        for _ in range(4):  # to 09:00:06
            clock.advance_ns(1_500_000_000)
            await settle(lambda: player.sent_count == (player.market_ms - NINE_MS) // 1_000 + 1)
            assert ear.messages == 2
        clock.advance_ns(1_000_000_000)
        await settle(lambda: ear.messages == 8)
        clock.advance_ns(5_000_000_000)
        await playing
        assert ear.messages == 10

    run(body())


class Socket:
    """Stands in for an open connection."""

    def __init__(self, *, is_v3=False):
        self.is_v3 = is_v3
        self.told = []
        self.gone = asyncio.Event()
        self.gone.set()

    def write(self, data):
        self.told.append(data)

    def end(self, code=None):
        self.told.append(code)

    def mute(self):
        self.told.append("mute")


@pytest.mark.parametrize(
    ("script", "v2", "v3"),
    [
        ("drop", [None], [None]),
        ("close 1011", [1011], [1011]),
        ("half-open 1s", ["mute"], ["mute"]),
        ("shutdown", [b'"T":1', 1001], [1001]),
        ('error "quota"', [b'"M":"Error","A":["quota"]'], [b"refused: quota", 1008]),
        ("bad-frame x2", [b'"H":\x81'], [b'"H":\x81']),
    ],
)
def test_what_a_fault_does_to_a_connection(script, v2, v3):
    async def body():
        sockets = [Socket(), Socket(is_v3=True)]
        links = Links(
            Faults(), lambda: sockets, lambda: 7, lambda text: b"refused: " + text.encode()
        )
        (fault,) = parse(f"09:00 {script}")
        await links.perform(Act(fault.time_ms, fault), wait=True)
        await links.perform(Act(fault.time_ms, fault, ends=True), wait=True)
        for socket, expected in zip(sockets, (v2, v3), strict=True):
            assert len(socket.told) == len(expected)
            for told, wanted in zip(socket.told, expected, strict=True):
                assert wanted in told if isinstance(wanted, bytes) else wanted == told

    run(body())

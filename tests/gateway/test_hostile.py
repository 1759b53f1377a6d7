"""Nothing a client sends, or fails to read, harms a good client; each attack ends with its name.

A good client is subscribed to everything in mode all throughout, and gets every row.
"""

import asyncio
import contextlib
import random
import resource

import pytest

from gateway import door
from gateway.fanout import Fanout
from tests.gateway.hostile import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    UPGRADE,
    frame,
    text,
    web_socket,
    wire,
    witness,
)
from tests.gateway.live import run
from tests.gateway.sinks import Desk

pytestmark = pytest.mark.e2e

GROWN_BYTES_MAX = 64 << 20  # of the whole process, this test's own part included
TIGHT = {"client_budget_bytes": 20_000, "kernel_buffer_bytes": 8_192}


def attacked(tmp_path, attack, **settings):
    """Run an attack beside a good client."""

    async def scenario(tape):
        async with witness(tape) as good:
            await attack(tape)
        assert good.grown_bytes < GROWN_BYTES_MAX
        await tape.until(lambda: tape.cell("clients") == 0, "everybody is gone")

    run(scenario, tmp_path, **settings)


# --- the request ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /ws HTTP/1.1", ["Upgrade: websocket"], 426),
        ("GET /ws HTTP/1.1", [*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3]], 426),
        ("GET /ws HTTP/1.1", [*UPGRADE[:3], "Sec-WebSocket-Key: short"], 400),
        ("GET /ws HTTP/1.1", [*UPGRADE, UPGRADE[3]], 400),
        ("GET /ws HTTP/1.1", [*UPGRADE, "Origin: https://evil.example"], 403),
        ("GET /ws?token=abc HTTP/1.1", UPGRADE, 400),
        ("GET /ws/../ws HTTP/1.1", UPGRADE, 404),
        ("GET /" + "a" * 2_000 + " HTTP/1.1", UPGRADE, 414),
        ("GET /ws HTTP/1.1", [*UPGRADE, "X: " + "a" * 5_000], 431),
    ],
)
def test_a_wrong_request_is_answered_and_counted(tmp_path, request_line, headers, status):
    async def attack(tape):
        async with wire(tape.port) as attacker:
            lines = [request_line, f"Host: 127.0.0.1:{tape.port}", *headers]
            attacker.send(("\r\n".join(lines) + "\r\n\r\n").encode())
            assert await attacker.answer() == status
            assert await attacker.reader.read() != b"", "it says why"
        assert tape.cell("refused_upgrades") == 1

    attacked(tmp_path, attack)


@pytest.mark.parametrize(
    "request_text",
    [
        "POST /ws HTTP/1.1\r\n\r\n",
        "GET /ws HTTP/1.0\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",  # TLS where there is none
        "GET /ws HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789",
        "GET /ws HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /ws HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /ws HTTP/1.1\r\nX: a\r\n folded\r\n\r\n",
        "GET /ws HTTP/1.1\r\n\x00: a\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_400_and_is_counted(tmp_path, request_text):
    async def attack(tape):
        async with wire(tape.port) as attacker:
            attacker.send(request_text.encode("latin-1"))
            assert await attacker.answer() == 400
            await attacker.reader.read()
        await tape.until(lambda: tape.cell("refused_upgrades") == 1, "it is counted")

    attacked(tmp_path, attack)


def test_headers_without_an_end_are_cut_off_and_counted(tmp_path):
    async def attack(tape):
        async with wire(tape.port) as attacker:
            attacker.send(b"GET /ws HTTP/1.1\r\n" + b"X: " + b"a" * 20_000)
            assert await attacker.answer() == 0
        await tape.until(lambda: tape.cell("refused_upgrades") == 1, "it is counted")

    attacked(tmp_path, attack)


def test_fuzzed_requests_never_open_anything(tmp_path, seed):
    """Bytes of a good request exchanged, left out, doubled: an answer, or the line is cut."""
    dice = random.Random(seed)
    good = ("\r\n".join(["GET /ws HTTP/1.1", "Host: x", *UPGRADE]) + "\r\n\r\n").encode()

    def spoiled():
        data = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data) - 4)  # its end stays, or we would wait for the timeout
            what = dice.randrange(3)
            if what == 0:
                data[at] = dice.randrange(256)
            elif what == 1:
                del data[at]
            else:
                data[at:at] = data[at : at + dice.randint(1, 40)]
        return bytes(data)

    async def one(tape):
        async with wire(tape.port) as attacker:
            attacker.send(spoiled())
            status = await attacker.answer()
            assert status in (101, 200, 400, 403, 404, 414, 426, 431, 0)
            assert b"Traceback" not in attacker.head
            return status

    async def attack(tape):
        statuses = [await one(tape) for _ in range(300)]
        refused = sum(status not in (101, 200) for status in statuses)
        assert refused > 30, "the fuzz spoils something"
        await tape.until(lambda: tape.cell("refused_upgrades") == refused, "all are counted")

    attacked(tmp_path, attack)


@pytest.fixture
def short_handshake(monkeypatch):
    monkeypatch.setattr(door, "HANDSHAKE_S", 0.3)


@pytest.mark.usefixtures("short_handshake")
def test_a_slow_request_is_reaped_and_counted(tmp_path):
    """Slowloris: a byte of a header now and then does not keep a connection."""

    async def attack(tape):
        async with wire(tape.port) as attacker:
            attacker.send(b"GET /ws HTTP/1.1\r\n")
            dribbled = 0
            while not attacker.reader.at_eof():
                attacker.send(b"X")
                dribbled += 1
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(0.01):
                        assert not await attacker.reader.read(1)
        assert dribbled > 3
        await tape.until(lambda: tape.cell("refused_upgrades") == 1, "it is counted")

    attacked(tmp_path, attack)


@pytest.mark.usefixtures("short_handshake")
def test_five_hundred_half_open_sockets(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4_096)), hard))

    async def attack(tape):
        async with contextlib.AsyncExitStack() as stack:
            attackers = [await stack.enter_async_context(wire(tape.port)) for _ in range(500)]
            async with tape.client() as desk:  # there is room beside them
                await desk.sub("trade.*")
            for attacker in attackers:
                assert await attacker.answer() == 0
        await tape.until(lambda: tape.cell("refused_upgrades") == 500, "all are counted")

    attacked(tmp_path, attack)


# --- frames ---------------------------------------------------------------------------------------

BROKEN = {
    "not masked": (frame(b"{}", mask=b""), 1002),
    "no such opcode": (frame(b"{}", 3), 1002),
    "no such control opcode": (frame(b"", 11), 1002),
    "a ping in pieces": (frame(b"", PING, fin=False), 1002),
    "a ping of 126 bytes": (frame(b"x" * 126, PING), 1002),
    "a small length in 16 bits": (frame(b"{}", wide=16), 1002),
    "a small length in 64 bits": (frame(b"{}", wide=64), 1002),
    "a length of 2^63": (frame(size=1 << 63), 1002),
    "a length of 1 TiB": (frame(size=1 << 40), 1009),
    "a length of 1 MiB and a byte": (frame(size=(1 << 20) + 1), 1009),
    "a close of one byte": (frame(b"\x03", CLOSE), 1002),
    "a close with a code nobody may send": (frame((1005).to_bytes(2, "big"), CLOSE), 1002),
    "a close with a broken reason": (frame(b"\x03\xe8\xff\xfe", CLOSE), 1007),
    "a reserved bit": (frame(b"{}", rsv=4), 1002),
    "a reserved bit on a ping": (frame(b"", PING, rsv=1), 1002),
    "an end without a beginning": (frame(b"{}", CONTINUATION), 1002),
    "a message inside a message": (frame(b"{", fin=False) + frame(b"{}"), 1002),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_ends_the_connection_and_is_counted(tmp_path, name):
    data, code = BROKEN[name]

    async def attack(tape):
        async with web_socket(tape.port) as attacker:
            attacker.send(data)
            assert await attacker.read() == code
        await tape.until(lambda: tape.cell("broken_frames") == 1, "it is counted")

    attacked(tmp_path, attack)


def test_fuzzed_frames_end_one_connection_each_at_worst(tmp_path, seed):
    """Verbs with odd values, and bytes exchanged in their frames."""
    dice = random.Random(seed)
    odd = (
        *(None, True, -1, 0, 1 << 62, 1 << 70, 1.5, 1e308, "", "x" * 70, "\x00", "*", "trade.*"),
        *([], {}, [None], ["*"], ["trade.FPT", "trade.FPT"], [["*"]], ["\ud7ff" * 64], {"seq": 1}),
        *({"epoch": "1", "seq": {"*": 0}}, {"epoch": "1", "seq": {"trade.FPT": -1}}, "09:15", []),
        {"epoch": "1", "seq": {"trade.FPT": 1 << 63, "nothing.*": 5}},
    )
    ops = ("sub", "unsub", "set", "list", "recent", "schema", "ping", "auth", "replay", "no", None)
    keys = (
        *("id", "topics", "mode", "interval_ms", "snapshot", "since", "from", "speed"),
        *("channel", "limit", "type", "severity", "token"),
    )

    def message():
        said = {"topics": ["trade.*"]} if dice.random() < 0.5 else {}
        said.update((dice.choice(keys), dice.choice(odd)) for _ in range(dice.randint(0, 4)))
        data = text(op=dice.choice(ops), **{k: v for k, v in said.items() if v != 1 << 70})
        if dice.random() < 0.1:
            spoiled = bytearray(data)
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
            return bytes(spoiled)
        return data

    async def attack(tape):
        for _ in range(25):
            async with web_socket(tape.port) as attacker:
                for _ in range(40):
                    attacker.send(message())
                attacker.send(frame((1000).to_bytes(2, "big"), CLOSE))
                # A spoiled length may have swallowed our close; then nothing more comes.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        code = await attacker.read()
                        assert code in (None, 0, 1000, 1002, 1007, 1009, 4009, 4029), code
        assert tape.cell("bad_requests") > 50

    attacked(tmp_path, attack)


def test_a_message_that_is_too_long_is_refused_and_one_without_end_is_the_last(tmp_path):
    async def attack(tape):
        async with web_socket(tape.port) as attacker:
            attacker.send(frame(b"x" * 65_537))
            attacker.send(frame(b"x" * 40_000, fin=False) + frame(b"x" * 40_000, CONTINUATION))
            attacker.send(text(op="ping"))
            await attacker.read(lambda a: a.count("pong"))
            assert attacker.codes() == [4009, 4009]
        assert tape.cell("too_large") == 2
        async with web_socket(tape.port) as attacker:  # pieces that add up
            attacker.send(frame(b"x", fin=False))
            for _ in range(17):
                attacker.send(frame(b"x" * 65_000, CONTINUATION, fin=False))
            assert await attacker.read() == 4009
        async with web_socket(tape.port) as attacker:  # and those that do not
            attacker.send(frame(fin=False) + frame(opcode=CONTINUATION, fin=False) * 5_000)
            assert await attacker.read() == 4009
        assert tape.cell("too_large") == 4

    attacked(tmp_path, attack, message_bytes_max=65_536)


def test_a_flood_of_pings_is_no_flood_of_pongs_in_memory(tmp_path):
    async def attack(tape):
        async with web_socket(tape.port, receive_bytes=4_096) as attacker:
            attacker.send(frame(b"x" * 125, PING) * 100_000)
            await asyncio.sleep(0.5)

    attacked(tmp_path, attack, **TIGHT)


# --- messages -------------------------------------------------------------------------------------


def test_ten_thousand_subscriptions(tmp_path):
    async def attack(tape):
        async with web_socket(tape.port) as attacker:
            for begin in range(0, 10_000, 2_500):
                topics = [f"trade.A{number:05}*" for number in range(begin, begin + 2_500)]
                attacker.send(text(op="sub", topics=topics, id=begin))
            await attacker.read(lambda a: a.count("sub_ok") == 4)
            answers = [m for m in attacker.messages if m["op"] == "sub_ok"]
            assert sum(len(answer["topics"]) for answer in answers) == 4_096
            refused = [code for answer in answers for code in answer.get("err", {}).values()]
            assert refused == [4005] * (10_000 - 4_096)
            assert tape.cell("subscriptions") == 4_096 + 2  # and those of the good client

    attacked(tmp_path, attack)


def test_a_flood_of_messages_is_refused_then_closed(tmp_path):
    async def attack(tape):
        async with web_socket(tape.port) as attacker:
            attacker.send(text(op="ping") * 150)
            assert await attacker.read() == 4029
            assert attacker.count("pong") == 100
            assert attacker.codes() == [4029] * 20
        assert tape.cell("rate_limited") == 20

    attacked(tmp_path, attack)


def test_one_address_cannot_flood_through_many_connections(tmp_path):
    async def attack(tape):
        async with contextlib.AsyncExitStack() as stack:
            attackers = [
                await stack.enter_async_context(web_socket(tape.port, from_address="127.0.0.9"))
                for _ in range(8)
            ]
            other = await stack.enter_async_context(web_socket(tape.port))
            for attacker in attackers:
                attacker.send(text(op="ping") * 19)  # none of them alone says too much
            for attacker in attackers:
                await attacker.read(lambda a: a.count("pong") + a.count("error") == 19)
            answered = sum(attacker.count("pong") for attacker in attackers)
            # The second may have ended meanwhile, and another begun.
            assert 50 <= answered <= 100
            assert {code for attacker in attackers for code in attacker.codes()} == {4029}
            assert tape.cell("rate_limited") == 8 * 19 - answered
            other.send(text(op="ping"))
            await other.read(lambda a: a.count("pong"))

    attacked(tmp_path, attack, address_messages_max=50)


def test_one_address_cannot_take_all_connections(tmp_path):
    async def attack(tape):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(5):
                attacker = await stack.enter_async_context(
                    web_socket(tape.port, from_address="127.0.0.9")
                )
                await attacker.read(lambda a: a.count("hello"))
            async with web_socket(tape.port, from_address="127.0.0.9") as sixth:
                assert await sixth.read() == 4006
                assert sixth.codes() == [4006]
                assert sixth.count("hello") == 0
            async with web_socket(tape.port) as other:
                await other.read(lambda a: a.count("hello"))
        await tape.until(lambda: tape.cell("clients") == 1, "they are gone")
        async with web_socket(tape.port, from_address="127.0.0.9") as again:
            await again.read(lambda a: a.count("hello"))
        assert tape.cell("connection_limited") == 1

    attacked(tmp_path, attack, address_clients_max=5)


def test_who_asks_and_does_not_read_is_answered_when_it_reads(tmp_path):
    """What was asked for is not held against it, but a hundred snapshots in a burst have an end."""
    pair = text(op="sub", topics=["*"], mode="all") + text(op="unsub", topics=["*"])

    codes = tuple(f"S{n:02}" for n in range(50))

    async def scenario(tape):
        for code in codes:
            tape.market.trade(code)
            tape.market.quote(code, 1, 2)
        await tape.publish()
        await tape.until(lambda: tape.cell("bus_rows") >= 150, "all is there")
        async with web_socket(tape.port, receive_bytes=4_096) as attacker:
            attacker.send(pair * 45)
            await asyncio.sleep(0.3)
            assert tape.cell("client_frames") < 20 * 100, "some snapshots of 100 keys, not 45"
            await attacker.read(lambda a: a.count("unsub_ok") == 45)
            assert attacker.codes() == []
            assert attacker.count("snap") == 45 * 100

    run(scenario, tmp_path, codes=codes, client_budget_bytes=200_000, kernel_buffer_bytes=8_192)


# --- reading --------------------------------------------------------------------------------------


def test_who_never_reads_is_parted_with_only_in_mode_all(tmp_path):
    async def attack(tape):
        async with contextlib.AsyncExitStack() as stack:
            lazy = {
                mode: await stack.enter_async_context(web_socket(tape.port, receive_bytes=4_096))
                for mode in ("all", "conflate", "skip")
            }
            for mode, attacker in lazy.items():
                attacker.send(text(op="sub", topics=["*"], mode=mode, interval_ms=0))
            await tape.until(
                lambda: (
                    tape.cell("slow_closed") and tape.cell("conflated") and tape.cell("skipped")
                ),
                "each mode does what it says",
            )
            assert tape.cell("slow_closed") == 1
            assert await lazy["all"].read() == 4008
            bye = lazy["all"].last("bye")
            assert bye["retry"] == "reconnect"
            assert bye["resume"]["seq"]["trade.FPT"] >= lazy["all"].last("d")["seq"] - 10**6
            for mode in ("conflate", "skip"):  # they wake up, and are live again
                at = tape.market.latest["trade"][1]["seq"]
                await lazy[mode].read(
                    lambda a, at=at: any(m["op"] == "d" and m["seq"] > at for m in a.messages[-50:])
                )
            assert lazy["skip"].last("skip")["rows"] > 0

    attacked(tmp_path, attack, **TIGHT)


@pytest.mark.parametrize("mode", ["all", "conflate", "skip"])
def test_a_byte_at_a_time_is_as_good_as_nothing(tmp_path, mode):
    async def attack(tape):
        async with web_socket(tape.port, receive_bytes=4_096) as attacker:
            attacker.send(text(op="sub", topics=["*"], mode=mode, interval_ms=0))
            cell = {"all": "slow_closed", "conflate": "conflated", "skip": "skipped"}[mode]
            while not tape.cell(cell):
                await attacker.reader.read(1)
                await asyncio.sleep(0.005)
            assert tape.cell("slow_closed") == (mode == "all")

    attacked(tmp_path, attack, **TIGHT)


def test_a_crowd_that_comes_and_goes(tmp_path, seed):
    """Joins, leaves and broken lines in mid-message while the tape goes on."""
    dice = random.Random(seed)

    async def one(tape):
        async with web_socket(tape.port) as attacker:
            attacker.send(text(op="sub", topics=["trade.*"], mode=dice.choice(["all", "skip"])))
            if dice.random() < 0.5:
                await attacker.read(lambda a: a.count("sub_ok"))
            attacker.send(frame(b'{"op":"un', fin=False))

    async def attack(tape):
        for _ in range(20):
            await asyncio.gather(*(one(tape) for _ in range(10)))

    attacked(tmp_path, attack)


def test_a_client_does_not_write_our_log(tmp_path, capfd):
    """Broken frames by the thousand must not fill the operator's disk."""

    async def attack(tape):
        for _ in range(20):
            async with web_socket(tape.port) as attacker:
                attacker.send(frame(b"{}", BINARY, mask=b""))
                await attacker.read()

    attacked(tmp_path, attack)
    assert capfd.readouterr() == ("", "")


def test_a_bug_in_an_answer_ends_the_gateway(tmp_path, monkeypatch):
    """picows would close that client, and go on with whatever is left."""

    def bug(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Fanout, "answer", bug)

    async def scenario(tape):
        async with web_socket(tape.port) as attacker:
            attacker.send(text(op="ping"))
            await attacker.read()

    with pytest.raises(ZeroDivisionError):
        run(scenario, tmp_path)


def test_the_end_of_slow_readers_takes_nothing_from_who_comes_after(market):
    """They are of a group that is gone, or is another one by then: both were removed once."""
    desk = Desk(budget_bytes=2_000)
    for name in ("slow", "slower"):
        desk.join(name, "trade.*", mode="all").full = True
    while not all(desk.clients[name].closed for name in ("slow", "slower")):
        market.trade("FPT")
        desk.feed(market.frame())
    desk.fanout.remove(desk.clients["slow"], desk.now_ns)
    desk.join("good", "trade.*", mode="all")
    desk.fanout.remove(desk.clients["slower"], desk.now_ns)
    last = desk.read("good").seq["trade.FPT"]
    market.trade("FPT")
    desk.feed(market.frame())
    assert desk.read("good").seq["trade.FPT"] == last + 1
    market.list("NEW")
    market.trade("NEW")
    desk.feed(market.frame())
    assert desk.read("good").seq["trade.NEW"] == 1, "its wildcard finds what is new"
    desk.fanout.remove(desk.clients["good"], desk.now_ns)
    assert not desk.fanout.clients

"""The gateway on a real port: real bus, real WebSockets, the `websockets` package as client."""

import asyncio
import socket
import threading

import numpy as np
import orjson
import pytest
import websockets

from engine.clock import SystemClock
from engine.config import Config, EngineConfig
from engine.errors import ConfigError
from engine.rundir import RunDir
from engine.schema import SCHEMA_ID
from engine.schema.channels import ALERTS
from engine.schema.codes import AlertType, FeedState, Severity
from engine.schema.counters import GATEWAY_COUNTERS
from gateway.__main__ import settings_of
from gateway.settings import GatewaySettings
from gateway.wiring import run as run_gateway
from tests.gateway.live import Tape, run

pytestmark = pytest.mark.e2e


def test_hello_sub_snap_deltas_unsub_list_ping(tmp_path):
    async def scenario(tape: Tape):
        tape.market.trade("FPT", 2_530_000)
        await tape.publish()
        await tape.until(lambda: tape.cell("bus_rows") == 4, "the trade is there")
        async with tape.client() as desk:
            await desk.read(lambda m: m.frames, "hello")
            hello = desk.model.frames[0]
            assert (hello["op"], hello["v"], hello["schema"]) == ("hello", 1, SCHEMA_ID)
            assert hello["epoch"] == "1"
            assert hello["session"] == {"HOSE": "CONTINUOUS"}
            assert hello["feed"] == {"state": "live"}
            assert hello["heartbeat_ms"] == 1_000
            assert hello["limits"]["topics"] == 4_096
            assert desk.socket.subprotocol == "vntape.v1.json"
            await desk.sub("trade.FPT", "trade.NONE", id=7)
            answer = desk.last("sub_ok")
            assert answer["id"] == 7
            assert answer["topics"]["trade.FPT"]["seq"] == 1
            assert answer["err"] == {"trade.NONE": 4004}
            for price in (2_540_000, 2_550_000):
                tape.market.trade("FPT", price)
                await tape.publish()
            model = await desk.read(lambda m: m.seq.get("trade.FPT") == 3, "both trades")
            data = [f for f in model.frames if f["op"] in ("snap", "d")]
            assert [(f["op"], f["seq"]) for f in data] == [("snap", 1), ("d", 2), ("d", 3)]
            await desk.say(op="list", id="l")
            await desk.say(op="ping", id="p")
            await desk.say(op="unsub", id="u", topics=["trade.FPT"])
            await desk.read(lambda m: desk.count("unsub_ok"), "all answers")
            assert desk.last("list_ok")["symbols"] == ["FPT", "HPG", "VNM"]
            assert desk.last("pong")["id"] == "p"
            tape.market.trade("FPT", 1)
            await tape.publish()
            await tape.until(lambda: tape.cell("bus_rows") == 7, "one more trade")
            await desk.say(op="ping", id="after")
            await desk.read(lambda m: desk.last("pong")["id"] == "after", "pong")
            assert desk.model.seq["trade.FPT"] == 3
            assert tape.cell("subscriptions") == 0
            assert tape.cell("clients") == 1
        await tape.until(lambda: tape.cell("clients") == 0, "the client is gone")

    run(scenario, tmp_path)


def test_a_gateway_that_starts_late_knows_its_symbols_before_the_first_client(tmp_path):
    async def scenario(tape: Tape):
        assert tape.rows_when_ready == 3

    run(scenario, tmp_path)


def test_recent_alerts_for_a_client_that_comes_late(tmp_path):
    async def scenario(tape: Tape):
        for number in range(1, 4):
            for code, severity in (("FPT", Severity.INFO), ("HPG", Severity.CRITICAL)):
                tape.market.put(
                    ALERTS,
                    code,
                    alert_type=AlertType.PRICE_LIMIT,
                    severity=severity,
                    alert_no=number,
                    trade_day=18_823,
                )
            await tape.publish()
        await tape.until(lambda: tape.cell("bus_rows") == 9, "three names and six alerts")
        async with tape.client() as desk:
            await desk.say(op="recent", id=3, channel="alerts", limit=2, severity="warning")
            await desk.say(op="recent", id=4, channel="alerts", type="price_limit")
            await desk.say(op="recent", id=5, channel="alerts", type="halt")
            await desk.say(op="recent", id=6, channel="alerts", limit=0)
            await desk.read(lambda m: desk.count("error"), "all answers")
            answers = {f["id"]: f for f in desk.model.frames if f["op"] == "recent_ok"}
            assert [(row["topic"], row["seq"]) for row in answers[3]["rows"]] == [
                ("alerts.HPG", 2),
                ("alerts.HPG", 3),
            ]
            assert [row["data"]["id"] for row in answers[4]["rows"]] == [
                f"20210715-price_limit-{code}-{number}"
                for number in (1, 2, 3)
                for code in ("FPT", "HPG")
            ]
            assert answers[5]["rows"] == []
            assert "limit" in desk.last("error")["message"]
            await desk.sub("alerts.*")  # a snapshot shows the newest of each key
            model = await desk.read(lambda m: len(m.data) == 2, "both keys")
            assert set(model.seq.values()) == {3}
            assert desk.model.data["alerts.FPT"] == answers[4]["rows"][4]["data"]

    run(scenario, tmp_path)


def test_ten_lines_of_client(tmp_path):
    async def scenario(tape: Tape):
        tape.market.quote("HPG", 100, 200)
        await tape.publish()
        async with websockets.connect(f"ws://127.0.0.1:{tape.port}/ws") as ws:  # no sub-protocol
            await ws.send('{"op":"sub","topics":["quote.HPG"]}')
            ops = [orjson.loads(await ws.recv())["op"] for _ in range(3)]
        assert ops == ["hello", "sub_ok", "snap"]

    run(scenario, tmp_path)


def test_a_late_joiner_gets_the_state_then_contiguous_deltas(tmp_path):
    async def scenario(tape: Tape):
        async def trading():
            for i in range(300):
                tape.market.trade(("FPT", "HPG")[i % 2], 100 + i)
                await tape.publish()
                if i % 10 == 0:
                    await asyncio.sleep(0.001)

        busy = asyncio.ensure_future(trading())
        await tape.until(lambda: tape.cell("bus_rows") > 100, "trading goes on")
        async with tape.client() as desk:
            await desk.sub("trade.*")
            await busy
            model = await desk.read(
                lambda m: m.seq.get("trade.FPT") == 150 and m.seq.get("trade.HPG") == 150, "the end"
            )
            assert all(f["n"] == 1 for f in model.frames if f["op"] == "d")

    run(scenario, tmp_path)


def test_equal_clients_get_equal_bytes_and_frames_are_encoded_once(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as one, tape.client() as two:
            for desk in (one, two):
                await desk.sub("trade.*", "stats.*")
            for i in range(50):
                tape.market.trade("FPT", 100 + i)
                tape.market.stats("FPT", volume_shares=i)
                await tape.publish()
            for desk in (one, two):
                await desk.read(
                    lambda m: m.seq.get("trade.FPT") == 50 and m.seq.get("stats.FPT") == 50, "all"
                )
            data = [
                [text for text in desk.raw if '"ch"' in text and "topics" not in text]
                for desk in (one, two)
            ]
            assert data[0] == data[1]

    run(scenario, tmp_path)


def test_conflation_over_the_wire_is_exact(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.sub("trade.FPT", "quote.*", mode="conflate", interval_ms=20)
            for i in range(400):
                tape.market.trade("FPT", 100 + i, 1 + i)
                tape.market.quote("HPG", i, i + 1)
                await tape.publish()
            model = await desk.read(
                lambda m: m.seq.get("trade.FPT") == 400 and m.seq.get("quote.HPG") == 400,
                "the last state",
            )
            assert sum(m["volume_shares"] for *_, m in model.news["trade.FPT"]) == sum(
                range(1, 401)
            )
            assert sum(m["count"] for *_, m in model.news["trade.FPT"]) == 400
            assert len(model.news["trade.FPT"]) < 400

    run(scenario, tmp_path)


def test_a_symbol_that_appears_later(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.sub("trade.VN30*")
            tape.market.list("VN30F2108", multiplier=100_000)
            tape.market.trade("VN30F2108", 143_210)
            await tape.publish()
            model = await desk.read(lambda m: m.data, "the future")
            assert model.data["trade.VN30F2108"]["price"] == 1432.1

    run(scenario, tmp_path)


def test_lost_bus_frames_are_told_and_repaired(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.sub("quote.*", interval_ms=0)
            tape.market.quote("FPT", 100, 200)
            await tape.publish()
            await desk.read(lambda m: m.seq.get("quote.FPT") == 1, "the first")
            tape.market.quote("FPT", 300, 400)
            tape.lose()
            tape.market.quote("HPG", 500, 600)
            await tape.publish()
            model = await desk.read(lambda m: m.seq.get("quote.FPT") == 2, "the repair")
            gap = desk.last("gap")
            assert (gap["reason"], gap["lost_frames"]) == ("bus", 1)
            assert model.data["quote.FPT"]["bid_price"] == 3
            assert tape.cell("bus_gaps") == tape.gaps_before + 1

    run(scenario, tmp_path)


def test_a_restarted_shard_is_followed_and_its_clients_told(tmp_path):
    async def scenario(tape: Tape):
        tape.market.trade("FPT", 100)
        await tape.publish()
        async with tape.client() as desk:
            await desk.sub("trade.FPT")
            await desk.read(lambda m: m.data, "the old state")
            await tape.restart_shard()
            tape.market.trade("FPT", 700)
            await tape.publish()
            model = await desk.read(
                lambda m: m.data.get("trade.FPT", {}).get("price") == 7, "the new state"
            )
            assert desk.last("gap")["reason"] == "epoch"
            assert desk.last("snap")["epoch"] == "2"
            assert model.seq["trade.FPT"] == 1

    run(scenario, tmp_path)


def test_slow_readers_harm_nobody_and_end_right(tmp_path):
    """One reads nothing in mode all and is closed; one conflated ends in the right state."""

    async def scenario(tape: Tape):
        async with (
            tape.client() as fast,
            tape.slow_client() as slow_all,
            tape.slow_client() as slow_conflated,
        ):
            await fast.sub("stats.FPT", mode="all")
            await slow_all.sub("stats.FPT", mode="all")
            await slow_conflated.sub("stats.FPT", "trade.FPT", mode="conflate", interval_ms=0)
            while not (tape.cell("slow_closed") and tape.cell("conflated")):
                for _ in range(20):
                    tape.market.stats("FPT", volume_shares=77)
                    tape.market.trade("FPT", volume=1)
                sent = int(tape.market.latest["stats"][1]["seq"])
                await tape.publish()
                await fast.read(lambda m, sent=sent: m.seq.get("stats.FPT") == sent, "in time")
            assert tape.cell("slow_closed") == 1
            await slow_conflated.read(
                lambda m: m.seq.get("stats.FPT") == sent and m.seq.get("trade.FPT") == sent,
                "the right state",
            )
            model = slow_conflated.model
            assert model.data == {**model.data, "stats.FPT": fast.model.data["stats.FPT"]}
            assert sum(m["volume_shares"] for *_, m in model.news["trade.FPT"]) == sent
            with pytest.raises(websockets.ConnectionClosed):
                await slow_all.read(lambda m: False, "closed")

    run(scenario, tmp_path, client_budget_bytes=20_000, kernel_buffer_bytes=8_192)


def test_nonsense_gets_errors_not_a_disconnect_until_it_is_all_there_is(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.socket.send("{")
            await desk.socket.send(b"\xff\x00")  # binary is read as text would be
            await desk.socket.send("x" * 270_000)
            await desk.socket.send(iter(["y" * 140_000, "y" * 140_000]))  # in pieces
            await desk.socket.send(iter(['{"op":', '"ping",', '"id":1}']))
            await desk.read(lambda m: desk.count("pong"), "still alive")
            errors = [f["code"] for f in desk.model.frames if f["op"] == "error"]
            assert errors == [4000, 4000, 4009, 4009]
            await tape.until(lambda: tape.cell("bad_requests") == 4, "they are counted")
            for _ in range(30):
                await desk.socket.send("{")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await desk.read(lambda m: False, "closed")
            assert closed.value.rcvd.code == 4029
            assert desk.last("error")["code"] == 4029
        async with tape.client() as desk:
            await desk.socket.send("x" * 2_000_000)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await desk.read(lambda m: False, "closed")
            assert closed.value.rcvd.code == 1009

    run(scenario, tmp_path)


def test_one_connection_too_many_is_told_so(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.sub("trade.*")
            async with tape.client() as extra:
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await extra.read(lambda m: False, "closed")
                assert closed.value.rcvd.code == 4006
                assert extra.last("error")["retry"] == "backoff"
        await tape.until(lambda: tape.cell("clients") == 0, "room again")
        async with tape.client() as desk:
            await desk.sub("trade.*")

    run(scenario, tmp_path, clients_max=1)


def test_heartbeats_when_idle_and_the_moment_the_feed_dies(tmp_path):
    async def scenario(tape: Tape):
        tape.market.trade("FPT")
        await tape.publish()
        async with tape.client() as desk:
            await desk.read(lambda m: desk.count("heartbeat") >= 2, "two heartbeats")
            beat = desk.last("heartbeat")
            assert beat["feed"] == {"state": "live"}
            assert beat["session"] == {"HOSE": "CONTINUOUS"}
            assert beat["exch_time"] == "2021-07-15T09:30:04+07:00"
            assert beat["lag_ns"] > 0
            tape.feed_state = FeedState.DOWN
            await desk.read(
                lambda m: desk.last("heartbeat")["feed"] == {"state": "down"}, "the bad news"
            )
        assert tape.cell("heartbeat_ns") > 0

    run(scenario, tmp_path, heartbeat_ms=50)


def test_shutdown_says_so_then_closes_1012(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.sub("trade.*")
            tape.stop.set()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await desk.read(lambda m: False, "closed")
            assert closed.value.rcvd.code == 1012
            assert desk.last("shutdown")["retry"] == "reconnect"

    run(scenario, tmp_path)


def test_a_client_that_closes_gets_its_close_back(tmp_path):
    async def scenario(tape: Tape):
        async with tape.client() as desk:
            await desk.sub("trade.*")
            await desk.socket.close()
            assert desk.socket.protocol.close_rcvd is not None
        await tape.until(lambda: tape.cell("clients") == 0, "it is gone")

    run(scenario, tmp_path)


async def http(port, path, *headers):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split()[1])
    body = b"" if status == 101 else await reader.read()
    writer.close()
    await writer.wait_closed()
    return status, head, body


UPGRADE = (
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


def test_other_requests_get_a_page_or_a_polite_no(tmp_path):
    async def scenario(tape: Tape):
        status, head, body = await http(tape.port, "/")
        assert status == 200
        assert b"text/html" in head
        assert b"vntape" in body
        for path, headers, want, word in (
            ("/nothing", (), 404, b"/ws"),
            ("/ws", (), 426, b"WebSocket"),
            ("/ws", (*UPGRADE, "Origin: https://evil.example"), 403, b"host"),
            ("/ws", (*UPGRADE, "Sec-WebSocket-Protocol: chat"), 400, b"sub-protocol"),
        ):
            status, _, body = await http(tape.port, path, *headers)
            assert status == want
            assert word in body
        ours = f"Origin: http://localhost:{tape.port}"
        status, head, _ = await http(
            tape.port,
            "/ws?x=1",
            *UPGRADE,
            ours,
            "Sec-WebSocket-Protocol: chat, vntape.v1.json",
        )
        assert status == 101  # Firefox's Connection header included
        assert b"vntape.v1.json" in head

    run(scenario, tmp_path)


def settings_for(tmp_path, **values):
    return GatewaySettings(((f"ipc://{tmp_path}/d", f"ipc://{tmp_path}/s"),), **values)


def refuses(settings):
    with pytest.raises(ConfigError) as refused:
        run_gateway(settings, np.zeros(1, GATEWAY_COUNTERS), SystemClock(), lambda port: None)
    return str(refused.value)


def test_a_busy_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is taken" in refuses(settings_for(tmp_path, port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
def test_a_public_address_is_refused(tmp_path, host):
    assert "loopback" in refuses(settings_for(tmp_path, host=host))


def test_settings_that_cannot_work(tmp_path):
    assert "symbols_max" in refuses(settings_for(tmp_path, symbols_max=1 << 21))
    assert "symbols_max" in refuses(settings_for(tmp_path, symbols_max=(1 << 20) - 63))
    assert "no shard" in refuses(GatewaySettings(()))


def test_a_gateway_follows_every_shard_and_the_board(tmp_path):
    config = Config(engine=EngineConfig(shards=3, symbols_max=500))
    run_dir = RunDir(tmp_path)
    settings = settings_of(run_dir, config, index=1, last_port=0)
    assert settings.endpoints == tuple(
        (run_dir.delta_endpoint(source), run_dir.snapshot_endpoint(source)) for source in range(4)
    )
    assert settings.capacity == 564
    settings.check()


def test_run_is_stopped_by_a_signal(tmp_path):
    """`run` is what a process calls: it comes back on SIGTERM, and leaves nothing behind."""
    import os
    import signal

    threads = threading.active_count()
    run_gateway(
        settings_for(tmp_path, port=0),
        np.zeros(1, GATEWAY_COUNTERS),
        SystemClock(),
        lambda port: os.kill(os.getpid(), signal.SIGTERM),
    )
    assert threading.active_count() == threads


def test_a_lossless_gateway_waits_for_its_reader(tmp_path):
    """The shard is paced by what the gateway reports as done, the gateway by its reader."""

    async def scenario(tape: Tape):
        def behind():
            return tape.publisher.frame_seq - int(tape.counters[0]["done_bus_frame"][0])

        async def paced():
            for i in range(1_500):
                tape.market.stats("FPT", volume_shares=i)
                await tape.publish()
                await tape.until(lambda: behind() < 64, "the gateway comes after")

        async with tape.slow_client() as desk:
            await desk.sub("stats.*", mode="all")
            publishing = asyncio.ensure_future(paced())
            model = await desk.read(lambda m: m.seq.get("stats.FPT") == 1_500, "everything")
            await publishing
            assert all(f["n"] == 1 for f in model.frames if f["op"] == "d")
        assert tape.cell("slow_closed") == 0
        await tape.until(lambda: behind() == 0, "all is reported as done")

    run(scenario, tmp_path, client_budget_bytes=20_000, kernel_buffer_bytes=8_192, lossless=True)


def test_a_client_that_is_a_moment_ahead_of_us_waits_for_the_bus(tmp_path):
    """Gateways side by side are not at the same row at the same time."""

    async def scenario(tape: Tape):
        tape.market.trade("FPT")
        await tape.publish()
        await tape.until(lambda: tape.cell("bus_rows") > 3, "it came")
        async with tape.client() as desk:
            since = {"epoch": str(tape.market.epoch), "seq": {"trade.FPT": 2}}
            await desk.say(op="sub", id=1, topics=["trade.FPT"], since=since)
            await desk.say(op="ping", id=2)
            tape.market.trade("FPT")
            tape.market.trade("FPT")
            await tape.publish()
            await desk.read(lambda m: desk.count("pong"), "answered in order")
            answers = [f["op"] for f in desk.model.frames if f["op"] in ("sub_ok", "pong")]
            assert answers == ["sub_ok", "pong"]
            assert desk.last("sub_ok")["topics"]["trade.FPT"]["recovered"] is True
            assert desk.last("sub_ok")["topics"]["trade.FPT"]["replayed"] == 1
        async with tape.client() as desk:  # what never comes is not waited for
            since["seq"]["trade.FPT"] = 99
            answer = await desk.sub("trade.FPT", since=since)
            assert answer is desk.model
            assert desk.last("sub_ok")["topics"]["trade.FPT"]["recovered"] is False

    run(scenario, tmp_path)

"""The fan-out benches: what their figures mean, and that they would notice what is missing."""

import shutil
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from bench import bench_fanout, bench_latency, bench_stall, fanout_client, fanout_native
from bench.bench_fanout import Scenario, one_run
from bench.fanout_figures import ages_ms, joined, percentile_us, ratio, spread
from bench.fanout_play import Play
from bench.fanout_prebuilt import frames_of, is_delta, pack, read
from bench.fanout_reference import upgrade
from bench.fanout_rows import FIRST_SEQ, Rows, code_of
from bench.fanout_stage import stage
from bench.fanout_stamped import STAMP_FROM, Stamped, framed, render, stamp_of
from engine.clock import ManualClock
from engine.schema.channels import QUOTE, TRADE
from gateway.connection import UNSENT_LOW_BYTES

NATIVE = shutil.which("cc") is not None


@pytest.mark.parametrize(
    ("ages", "share", "expected"),
    [
        ([], 0.5, None),
        ([[7, 1]], 0.99, 7),
        ([[1, 50], [2, 50]], 0.5, 1),
        ([[1, 50], [2, 50]], 0.51, 2),
        ([[10, 98], [20, 1], [900, 1]], 0.99, 20),
        ([[10, 98], [20, 1], [900, 1]], 1.0, 900),
    ],
)
def test_a_percentile_is_the_least_age_that_so_many_are_not_above(ages, share, expected):
    assert percentile_us(ages, share) == expected


def test_ages_are_told_in_milliseconds():
    told = ages_ms([[500, 99], [12_500, 1]])
    assert told == {"count": 100, "p50": 0.5, "p99": 0.5, "p99_9": 12.5, "max": 12.5}
    assert ages_ms([])["max"] is None


def test_tables_of_ages_are_added_up():
    assert joined([[[1, 2], [9, 1]], [[9, 4]], []]) == [[1, 2], [9, 5]]


def test_a_ratio_is_of_pairs_and_below_one_when_we_are_dearer():
    assert ratio([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == {"median": 1.0, "min": 0.5, "max": 1.5}
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_a_play_makes_as_many_writes_as_ordered_however_late_it_is():
    clock = ManualClock(1_000_000_000)
    play = Play("play 100 7 0.05", clock.now_ns())
    written = []

    def write(count, now_ns):
        written.append((count, now_ns))

    assert play.step(clock, write) == 10_000_000
    assert written == []
    clock.advance_ns(10_000_000)
    assert play.step(clock, write) == 10_000_000
    clock.advance_ns(1_000_000_000)
    play.step(clock, write)
    assert [count for count, _ in written] == [7] * 5
    assert play.left == 0
    assert play.done() == {
        "writes": 5,
        "frames": 35,
        "late_ns": 1_010_000_000 - 20_000_000,
        "began_ns": 1_000_000_000,
    }


@pytest.mark.parametrize("order", ["stop 1 1 1", "play 0 1 1", "play 1 0 1", "play 1 1"])
def test_an_order_that_makes_no_sense_is_refused(order):
    with pytest.raises(ValueError, match=r"play|unpack"):
        Play(order, 0)


def test_every_row_is_the_next_of_its_key():
    rows = Rows(symbol_count=3)
    seen = {QUOTE.name: {}, TRADE.name: {}}
    taken = 0
    for count in (1, 2, 5, 1, 40, 3):
        for channel, some in rows.take(count, now_ns=count):
            taken += len(some)
            for row in some:
                before = seen[channel.name].get(int(row["symbol_id"]), FIRST_SEQ)
                assert row["seq"] == before + 1
                assert row["recv_ns"] == count
                seen[channel.name][int(row["symbol_id"])] = int(row["seq"])
    assert taken == 52
    quotes, trades = (sum(last - FIRST_SEQ for last in seen[c].values()) for c in seen)
    assert (quotes, trades) == (39, 13)
    assert rows.latest["symbol"]["code"][3].decode() == code_of(3)


TEXTS = [
    b'{"op":"d","ch":7,"seq":%d,"n":1,"data":{"recv_ns":1626314400000000000}}' % seq
    for seq in (1, 22)
]


def test_frames_come_out_of_a_stream_whole_however_it_is_cut():
    stream = b"".join(framed(text) for text in (*TEXTS, b"x" * 200, b"y" * 70_000))
    for size in (1, 3, 1_000, len(stream)):
        buffer, found = bytearray(), []
        for at in range(0, len(stream), size):
            buffer += stream[at : at + size]
            found += [payload for _, payload in frames_of(buffer)]
        assert found == [*TEXTS, b"x" * 200, b"y" * 70_000]


def test_prebuilt_frames_are_stamped_where_their_stamps_are(tmp_path):
    pack([(framed(text), text) for text in TEXTS]).write(tmp_path / "it")
    prebuilt = read(tmp_path / "it")
    now_ns = 1_800_000_000_123_456_789
    fresh = [text.replace(b"1626314400000000000", b"%d" % now_ns) for text in TEXTS]
    assert prebuilt.stamped(0, 2, now_ns) == framed(fresh[0]) + framed(fresh[1])
    assert prebuilt.stamped(1, 1, now_ns + 1).endswith(b"123456790}}")


def test_a_binary_frame_is_stamped_in_its_record():
    payload = struct.pack("<BBBBIq", 1, 2, 0, 1, 7, 5) + struct.pack("<qq", 5, 1) + bytes(40)
    frame = bytes((0x82, len(payload))) + payload
    assert is_delta(frame, payload)
    prebuilt = pack([(frame, payload)])
    assert prebuilt.digits == 0
    assert struct.unpack_from("<qq", prebuilt.stamped(0, 1, 99), 2 + 16) == (5, 99)


def hub(kind, symbol, bid):
    record = rf"\"Symbol\":\"{symbol}\",\"RType\":\"{kind}\",\"BidVol1\":{bid}.0,\"BidVol10\":3.0"
    return f'{{"M":[{{"A":["{record}"]}}]}}'.encode()


def test_quotes_carry_the_moment_they_are_sent(tmp_path):
    day = [hub("X-QUOTE", "FPT", 2_400), hub("MI", "VN30", 0), hub("X-QUOTE", "HPG", 17)]
    assert render(day, tmp_path) == ["FPT", "HPG"]
    stamped = Stamped(tmp_path)
    now_ns = 1_800_000_000_123_456_789
    stamp = stamp_of(now_ns)
    assert STAMP_FROM <= stamp < 2 * STAMP_FROM
    sent = [hub("X-QUOTE", "FPT", stamp), day[1], hub("X-QUOTE", "HPG", stamp)]
    assert stamped.take(0, 3, now_ns) == b"".join(framed(text) for text in sent)
    assert stamped.take(2, 1, now_ns) == framed(sent[2])
    assert stamped.count == 3


def test_a_side_without_orders_stays_without(tmp_path):
    assert render([hub("X-QUOTE", "FPT", 0)], tmp_path) == ["FPT"]
    assert Stamped(tmp_path).take(0, 1, 1) == framed(hub("X-QUOTE", "FPT", 0))


def test_each_client_follows_thirty_symbols():
    wishes = bench_latency.requests([f"S{i}" for i in range(70)], 100)
    assert len(wishes) == 100
    assert {len(set(wish["topics"])) for wish in wishes} == {60}
    assert wishes[0]["topics"] != wishes[1]["topics"]


@pytest.mark.skipif(not NATIVE, reason="there is no C compiler")
def test_a_program_with_a_mistake_says_so(tmp_path, monkeypatch):
    for name in ("load_client", "reference_server"):
        (tmp_path / f"{name}.c").write_text("int main(void) { return nobody; }\n")
    monkeypatch.setattr(fanout_native, "SOURCES", tmp_path)
    with pytest.raises(RuntimeError, match="nobody"):
        fanout_native.build(tmp_path)


def test_without_a_compiler_there_are_stand_ins(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert fanout_native.build(tmp_path).kind == "python"


@pytest.fixture
def programs(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr("bench.fanout_stage.build", lambda _folder: fanout_native.stand_ins())
    elif not NATIVE:
        pytest.skip("there is no C compiler")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("bench.bench_fanout.WARM_S", 0.05)
    monkeypatch.setattr("bench.fanout_stage.QUIET_S", 0.1)


KINDS = [
    ("native", "json"),
    ("native", "bin"),
    pytest.param("python", "bin", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("programs", "form"), KINDS, indirect=["programs"])
@pytest.mark.usefixtures("programs", "quick")
def test_every_server_gives_every_client_every_update(form):
    with stage(20, 3, form) as on:
        gateway = on.gateway()
        prebuilt = on.prebuilt(gateway)
        for server in (gateway, on.delivery(prebuilt), on.reference(prebuilt, UNSENT_LOW_BYTES)):
            figures = one_run(on, server, Scenario(3, 100, 4), seconds=0.1)
            assert sum(count for _, count in figures["age_us"]) == 10 * 4 * 3
            assert figures["cpu_us_per_delivery"] > 0


@pytest.mark.parametrize("programs", ["native", "python"], indirect=True)
@pytest.mark.usefixtures("programs")
def test_a_client_that_was_not_let_in_is_an_error():
    with stage(5, 1) as on:
        gateway = on.gateway()
        wish = {"op": "sub", "topics": ["nothing.FPT"], "mode": "all"}
        with pytest.raises(RuntimeError, match="gateway"), on.load(gateway, 1, [wish]):
            pass


@pytest.mark.parametrize("programs", ["native"], indirect=True)
@pytest.mark.usefixtures("programs", "quick")
def test_a_lost_update_is_an_error(monkeypatch):
    with stage(5, 1) as on:
        gateway = on.gateway()
        wish = {**bench_fanout.EVERYTHING, "topics": ["trade.*"]}
        monkeypatch.setattr(bench_fanout, "EVERYTHING", wish)
        with pytest.raises(bench_fanout.NotCarriedError, match="5 updates of 20 x 1"):
            one_run(on, gateway, Scenario(1, 100, 2), seconds=0.1)


def drip(listening):
    """A server that cuts its stream anywhere, asks whether one is there, and hangs up with 4008."""
    line, _ = listening.accept()
    with line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(upgrade(line.recv(65_536)))
        line.recv(65_536)
        stream = b"".join(map(framed, (b'{"op":"sub_ok"}', *TEXTS, b'{"op":"bye"}')))
        stream += b"\x89\x02hi"
        for at in range(0, len(stream), 5):
            line.sendall(stream[at : at + 5])
            time.sleep(0.001)
        pong = line.recv(65_536)
        assert (pong[0], len(pong)) == (0x8A, 8)
        line.sendall(b"\x88\x02" + (4_008).to_bytes(2, "big"))
        line.recv(65_536)


@pytest.mark.parametrize("programs", ["native", "python"], indirect=True)
@pytest.mark.usefixtures("programs", "quick")
def test_a_client_reads_frames_however_they_are_cut():
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        ThreadPoolExecutor() as pool,
        stage(1, 1) as on,
    ):
        talk = pool.submit(drip, listening)
        server = SimpleNamespace(name="drip", port=listening.getsockname()[1])
        with on.load(server, 1, [{"op": "sub"}]) as load:
            while (told := load.ask("status"))["open"]:
                time.sleep(0.01)
        talk.result()
    assert (told["frames"], told["updates"], told["breaks"]) == (2, 2, 1)  # seq 22 after 1
    assert told["ops"] == {"sub_ok": 1, "bye": 1}
    assert told["closes"] == {"4008": 1}


@pytest.mark.parametrize("programs", ["native", "python"], indirect=True)
@pytest.mark.usefixtures("programs", "quick")
def test_a_conflated_frame_counts_for_every_update_it_merged():
    wish = {**bench_fanout.EVERYTHING, "mode": "conflate", "interval_ms": 50}
    with stage(2, 1) as on:
        gateway = on.gateway()
        with on.load(gateway, 1, [wish]) as load:
            gateway.player.ask("play 200 8 0.1")
            told = load.idle()
    assert told["updates"] == 160
    assert 0 < told["frames"] < 160
    assert told["breaks"] == 0


def test_the_stand_in_knows_where_a_quote_has_its_bid():
    assert QUOTE.dtype.fields["bid_volume_shares"][1] == fanout_client.BID_AT


@pytest.mark.usefixtures("quick")
def test_a_stalled_client_costs_nobody_an_update(monkeypatch):
    monkeypatch.setitem(bench_stall.PLANS, "small", bench_stall.Plan(2, 1, 50, 5, 0.2))
    monkeypatch.setattr(bench_stall, "AFTER_S", 0.1)
    found = bench_stall.run("small", ("skip",))["skip"]
    assert found["got"]["updates_share"] == 1.0  # so short a stall fits the kernel's buffers
    assert found["got"]["out_of_order"] == 0
    assert found["others_ms"]["count"] == 2 * 50
    assert np.isfinite(found["others_p99_ratio"])

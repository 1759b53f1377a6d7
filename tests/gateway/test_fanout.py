"""Who gets what, when: groups, snapshots, conflation, slow readers, wildcards, epochs."""

import pytest

from engine.schema.channels import ATTRIBUTION, INDEX
from engine.schema.codes import Instrument, Side
from tests.gateway.market import Market
from tests.gateway.sinks import Desk


@pytest.fixture
def market():
    return Market("FPT", "HPG", "VNM")


@pytest.fixture
def desk():
    return Desk()


def ops(model):
    return [frame["op"] for frame in model.frames]


def test_a_snapshot_then_every_delta_in_order(market, desk):
    market.trade("FPT")
    market.trade("FPT")
    desk.feed(market.frame())
    desk.join("a", "trade.FPT")
    for price in (2_540_000, 2_550_000, 2_560_000):
        market.trade("FPT", price)
    desk.feed(market.frame())
    model = desk.read("a")
    assert ops(model) == ["snap", "d", "d", "d"]
    assert [frame["seq"] for frame in model.frames] == [2, 3, 4, 5]
    assert [frame["n"] for frame in model.frames] == [0, 1, 1, 1]
    assert [frame["data"]["price"] for frame in model.frames[1:]] == [25400, 25500, 25600]
    assert model.frames[0]["topic"] == "trade.FPT"
    assert model.frames[0]["epoch"] == "1"


def test_nobody_gets_what_he_did_not_ask_for(market, desk):
    desk.feed(market.frame())
    desk.join("a", "trade.FPT")
    desk.join("b", "quote.HPG", interval_ms=0)
    market.trade("FPT")
    market.trade("HPG")
    market.quote("FPT", 1, 2)
    market.quote("HPG", 3, 4)
    desk.feed(market.frame())
    assert list(desk.read("a").data) == ["trade.FPT"]
    assert list(desk.read("b").data) == ["quote.HPG"]


def test_equal_subscriptions_get_equal_bytes_in_one_write_per_pass(market, desk):
    desk.feed(market.frame())
    one, two = desk.join("a", "trade.*"), desk.join("b", "trade.*")
    before = one.writes
    for code in ("FPT", "HPG", "FPT"):
        market.trade(code)
    desk.feed(market.frame())
    assert bytes(one.sent) == bytes(two.sent) != b""
    assert one.writes == before + 1
    assert len(desk.fanout._groups) == 1


def test_overlapping_groups_share_the_same_frames(market, desk):
    desk.feed(market.frame())
    wide, narrow = desk.join("a", "trade.*"), desk.join("b", "trade.HPG")
    market.trade("FPT")
    market.trade("HPG")
    desk.feed(market.frame())
    assert bytes(narrow.sent) in bytes(wide.sent)


def test_a_key_named_twice_is_delivered_once_by_the_most_specific_topic(market, desk):
    desk.feed(market.frame())
    desk.join("a", "trade.*", mode="conflate")
    desk.join("a", "trade.F*", mode="conflate", interval_ms=1_000)
    desk.join("a", "trade.FPT", mode="all")
    for code in ("FPT", "HPG"):
        market.trade(code)
        market.trade(code)
    desk.feed(market.frame())
    desk.wait(2_000)
    model = desk.read("a")
    assert [n for n, *_ in model.news["trade.FPT"]] == [0, 1]
    assert [(n, m) for n, m, _ in model.news["trade.HPG"]] == [(0, 2)]


@pytest.mark.parametrize(
    ("topic", "shown"),
    [
        ("index.VN30", {"index.VN30": 1428.73}),
        ("index.*", {"index.VN30": 1428.73}),
        ("attribution.VN30", {"attribution.VN30": 1428.74}),
        ("attribution.V*", {"attribution.VN30": 1428.74}),
        ("*", {"index.VN30": 1428.73, "attribution.VN30": 1428.74}),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_an_index_and_a_board_key_of_one_name_are_two_keys(market, desk, topic, shown, late):
    market.list("VN30", instrument=Instrument.INDEX)
    market.list("VN30", instrument=Instrument.BOARD, name="board")
    desk.feed(market.frame())
    if not late:
        desk.join("a", topic, interval_ms=0)
    market.put(INDEX, "VN30", value_e2=142_873)
    market.put(ATTRIBUTION, "board", value_e2=142_874)
    desk.feed(market.frame())
    if late:
        desk.join("a", topic, interval_ms=0)
    model = desk.read("a")
    assert {name: data["value"] for name, data in model.data.items()} == shown
    fanout = desk.fanout
    assert fanout.key_id(INDEX, "VN30") != fanout.key_id(ATTRIBUTION, "VN30")
    assert fanout.seq_of(ATTRIBUTION, "VN30") == 1
    assert fanout.seq_of(ATTRIBUTION, "FPT") == fanout.key_id(ATTRIBUTION, "FPT") == 0


def test_the_order_of_subscribing_does_not_decide(market, desk):
    desk.feed(market.frame())
    desk.join("a", "trade.FPT", mode="all")
    desk.join("a", "trade.*", "*", mode="conflate", interval_ms=1_000)
    desk.wait(1_000)
    for _ in range(3):
        market.trade("FPT")
        desk.feed(market.frame())
    assert len(desk.read("a").news["trade.FPT"]) == 3


def test_unsubscribing_the_exact_topic_falls_back_to_the_wildcard(market, desk):
    market.trade("FPT")
    desk.feed(market.frame())
    desk.join("a", "trade.*", mode="conflate")
    desk.join("a", "trade.FPT", mode="all")
    market.trade("FPT")
    desk.feed(market.frame())
    desk.leave("a", "trade.FPT")
    market.trade("FPT")
    market.trade("FPT")
    desk.feed(market.frame())
    desk.wait(100)
    model = desk.read("a")
    assert model.seq["trade.FPT"] == 4
    assert model.news["trade.FPT"][-1][:2] == (2, 4)
    desk.leave("a", "trade.*")
    market.trade("FPT")
    desk.feed(market.frame())
    desk.wait(100)
    assert desk.read("a").seq["trade.FPT"] == 4


def test_conflation_keeps_the_latest_state_and_exact_aggregates(market, desk):
    market.trade("FPT", 2_500_000, 10)
    desk.feed(market.frame())
    desk.join("a", "trade.FPT", mode="conflate", interval_ms=50)
    desk.wait(50)
    for price, volume, side in (
        (2_510_000, 100, Side.BUY),
        (2_490_000, 200, Side.SELL),
        (2_520_000, 300, Side.NEUTRAL),
        (2_500_000, 400, Side.BUY),
    ):
        market.trade("FPT", price, volume, side, missed_volume_shares=1)
        desk.now_ns += 1
        desk.fanout.on_frame(market.frame(), desk.now_ns)
    desk.wait(50)
    model = desk.read("a")
    frame = model.frames[-1]
    assert (frame["op"], frame["seq"], frame["n"]) == ("d", 5, 4)
    assert frame["data"]["price"] == 25_000
    assert frame["merged"] == {
        "count": 4,
        "open": 25_100,
        "high": 25_200,
        "low": 24_900,
        "volume_shares": 1_000,
        "value_vnd": 25_100 * 100 + 24_900 * 200 + 25_200 * 300 + 25_000 * 400,
        "buy_volume_shares": 500,
        "sell_volume_shares": 200,
        "missed_volume_shares": 4,
    }


def test_conflation_is_at_once_when_idle_then_waits_its_interval(market, desk):
    desk.feed(market.frame())
    desk.join("a", "quote.FPT", interval_ms=50)
    desk.wait(60)
    market.quote("FPT", 1, 2)
    desk.feed(market.frame())
    assert desk.read("a").seq["quote.FPT"] == 1
    market.quote("FPT", 2, 3)
    desk.feed(market.frame())
    assert desk.read("a").seq["quote.FPT"] == 1
    assert desk.fanout.next_due_ns() == desk.now_ns + 50_000_000
    desk.wait(50)
    assert desk.read("a").seq["quote.FPT"] == 2
    assert desk.fanout.next_due_ns() is None


def test_joining_in_the_middle_of_an_interval_is_exact_for_old_and_new(market, desk):
    desk.feed(market.frame())
    desk.join("old", "trade.*", mode="conflate", interval_ms=1_000)
    desk.wait(1_000)
    market.trade("FPT", volume=1)
    desk.feed(market.frame())  # at once: idle
    market.trade("FPT", volume=10)
    desk.feed(market.frame())  # waits
    desk.join("new", "trade.*", mode="conflate", interval_ms=1_000)
    market.trade("FPT", volume=100)
    desk.feed(market.frame())
    desk.wait(1_000)
    old, new = desk.read("old"), desk.read("new")
    assert old.data == new.data
    assert [m["volume_shares"] for *_, m in old.news["trade.FPT"]] == [1, 10, 100]
    assert [m["volume_shares"] for *_, m in new.news["trade.FPT"]] == [100]


def test_a_wildcard_finds_symbols_that_appear_later(market, desk):
    desk.join("a", "trade.VN30*")
    desk.join("b", "*", interval_ms=0)
    desk.feed(market.frame())
    market.list("VN30F2108", multiplier=100_000)
    market.trade("VN30F2108", 143_210)
    market.trade("FPT")
    desk.feed(market.frame())
    model = desk.read("a")
    assert model.data["trade.VN30F2108"]["price"] == 1432.1
    assert ops(model) == ["snap"]
    assert model.frames[0]["n"] == 1
    assert set(desk.read("b").data) == {"trade.VN30F2108", "trade.FPT"}


def test_rows_that_came_before_their_name_are_shown_when_the_name_comes(market, desk):
    desk.join("a", "trade.*")
    desk.join("b", "trade.*", mode="conflate", interval_ms=0)
    names = market.frame()
    market.trade("FPT")
    market.trade("FPT")
    desk.feed(market.frame())
    assert desk.read("a").frames == desk.read("b").frames == []
    desk.feed(names)
    for name in ("a", "b"):
        assert desk.read(name).seq == {"trade.FPT": 2}


def test_a_new_epoch_is_announced_and_shown_anew(market, desk):
    market.trade("FPT", 100)
    desk.feed(market.frame())
    desk.join("a", "trade.*")
    desk.join("b", "trade.FPT", mode="conflate", interval_ms=0)
    desk.join("idle")
    market.trade("FPT", 200)
    desk.feed(market.frame())
    market.start_over(epoch=2)
    market.trade("FPT", 30_000)
    desk.feed(market.frame())
    for name in ("a", "b"):
        model = desk.read(name)
        assert [f["op"] for f in model.frames] == ["snap", "d", "gap", "snap"]
        assert model.frames[2]["reason"] == "epoch"
        assert model.frames[3]["epoch"] == "2"
        assert (model.seq["trade.FPT"], model.data["trade.FPT"]["price"]) == (1, 300)
    assert desk.read("idle").frames == []


def test_what_the_old_epoch_said_goes_out_before_the_news(market, desk):
    desk.feed(market.frame())
    desk.join("a", "trade.FPT")
    desk.join("b", "quote.FPT", interval_ms=1_000)
    market.trade("FPT", 100)
    market.quote("FPT", 100, 200)
    old = market.frame()
    market.start_over(epoch=2)
    market.trade("FPT", 300)
    market.quote("FPT", 300, 400)
    desk.feed(old, market.frame())  # one pass
    desk.wait(1_000)
    for name in ("a", "b"):
        assert ops(desk.read(name)) == ["snap", "gap", "snap"]


def test_a_laggard_is_not_owed_what_an_epoch_took_away(market, desk):
    market.trade("FPT")
    market.trade("HPG")
    desk.feed(market.frame())
    sink = desk.join("a", "trade.*", mode="conflate", interval_ms=0)
    desk.read("a")
    sink.full = True
    for _ in range(2):
        market.trade("FPT")
        market.trade("HPG")
        desk.feed(market.frame())
    market.start_over(epoch=2)
    market.trade("FPT", 100)
    desk.feed(market.frame())
    desk.drain("a")
    model = desk.read("a")
    assert model.seq == {"trade.FPT": 1}
    assert ops(model)[-2:] == ["gap", "snap"]


def test_a_loss_on_the_bus_is_told_and_n_shows_it(market, desk):
    desk.feed(market.frame())
    desk.join("a", "trade.FPT", mode="all")
    market.trade("FPT")
    desk.feed(market.frame())
    market.trade("FPT")
    market.frame()  # lost
    market.trade("FPT")
    frame = market.frame()
    object.__setattr__(frame, "lost_frames", 1)
    desk.feed(frame)
    model = desk.read("a")
    assert ops(model) == ["snap", "gap", "d"]
    assert (model.frames[1]["reason"], model.frames[1]["lost_frames"]) == ("bus", 1)
    assert model.frames[2]["n"] == 2


def test_a_slow_conflated_reader_is_bounded_right_at_the_end_and_harms_nobody(market, desk):
    desk.feed(market.frame())
    slow = desk.join("slow", "trade.*", "quote.*", mode="conflate", interval_ms=0)
    desk.join("fast", "trade.*", "quote.*", mode="conflate", interval_ms=0)
    slow.full = True
    total = 0
    for i in range(500):
        for code in ("FPT", "HPG", "VNM"):
            market.trade(code, 10_000 + 100 * (i % 7), 10 + i)
            market.quote(code, i, i + 1)
        total += 10 + i
        desk.feed(market.frame())
    assert slow.queued_max < 5_000  # one flush, however long it lasts
    assert desk.fanout.tally.conflated > 2_000
    assert slow.closed_with is None
    fast = desk.read("fast")
    assert len(fast.frames) == 500 * 6
    desk.drain("slow")
    model = desk.read("slow")
    assert model.data == fast.data
    assert sum(m["volume_shares"] for *_, m in model.news["trade.FPT"]) == total
    assert max(m["high"] for *_, m in model.news["trade.FPT"]) == 106
    assert desk.clients["slow"].lags == {}
    assert desk.fanout.next_due_ns() is None
    market.trade("FPT")
    desk.feed(market.frame())
    assert desk.read("slow").data == desk.read("fast").data  # and it is a normal client again


def test_a_slow_reader_in_mode_all_is_warned_then_told_where_to_resume_and_closed(market):
    desk = Desk(budget_bytes=4_000)
    market.trade("HPG")
    desk.feed(market.frame())
    slow, fast = desk.join("slow", "trade.*"), desk.join("fast", "trade.*")
    desk.read("slow")
    slow.full = True
    while slow.closed_with is None:
        market.trade("FPT")
        desk.feed(market.frame())
    assert slow.closed_with == 4008
    assert desk.fanout.tally.slow_closed == 1
    slow.sent += slow.queued
    model = desk.read("slow")
    assert [op for op in ops(model) if op in ("warn", "bye")] == ["warn", "bye"]
    bye = model.frames[-1]
    assert bye["code"] == 4008
    assert bye["resume"]["seq"] == {"trade.HPG": 1, "trade.FPT": model.seq["trade.FPT"]}
    assert len(slow.queued) < 4_000 + 2_000
    market.trade("FPT")
    desk.feed(market.frame())  # nothing is written after close: FakeSink asserts it
    assert desk.fanout.tally.slow_closed == 1
    assert desk.read("fast").seq["trade.FPT"] == market.latest["trade"][1]["seq"]
    assert fast.closed_with is None


def test_its_own_snapshots_do_not_close_a_client(market):
    desk = Desk(budget_bytes=1_000)
    for code in ("FPT", "HPG", "VNM"):
        market.trade(code)
    desk.feed(market.frame())
    sink = desk.join("a")
    sink.full = True
    desk.join("a", "trade.*")
    assert len(sink.queued) > 1_000
    market.trade("FPT")
    desk.feed(market.frame())
    assert sink.closed_with is None
    desk.drain("a")
    assert desk.read("a").seq["trade.FPT"] == 2
    assert desk.clients["a"].grace_bytes == 0


def test_conflated_snapshots_wait_for_the_reader(market, desk):
    for code in ("FPT", "HPG", "VNM"):
        market.trade(code)
    desk.feed(market.frame())
    sink = desk.join("a")
    sink.full = True
    sink.queued += b"\x81\x02{}"  # something is on its way
    desk.join("a", "trade.*", mode="conflate", interval_ms=0)
    assert len(sink.queued) == 4
    market.trade("FPT", 777_700)
    desk.feed(market.frame())
    sink.queued.clear()
    desk.drain("a")
    model = desk.read("a")
    assert [f["n"] for f in model.frames] == [0, 0, 0]
    assert model.data["trade.FPT"]["price"] == 7777
    assert model.seq == {"trade.FPT": 2, "trade.HPG": 1, "trade.VNM": 1}


def test_changing_topics_while_behind_loses_nothing(market, desk):
    market.trade("FPT")
    desk.feed(market.frame())
    sink = desk.join("a", "trade.FPT", mode="conflate", interval_ms=0)
    sink.full = True
    for _ in range(3):
        market.trade("FPT")
        desk.feed(market.frame())
    desk.join("a", "trade.HPG", mode="conflate", interval_ms=0, snapshot=False)
    desk.join("a", "trade.FPT", mode="all", snapshot=False)
    desk.drain("a")
    assert desk.read("a").seq["trade.FPT"] == 4


def test_a_client_that_leaves_takes_everything_along(market, desk):
    desk.feed(market.frame())
    desk.join("a", "trade.*", "quote.*")
    desk.fanout.remove(desk.clients["a"], desk.now_ns)
    desk.fanout.flush_due(desk.now_ns)
    assert not desk.fanout.clients
    assert not desk.fanout._groups
    assert not desk.fanout._conflations
    assert not desk.fanout._every


def test_rows_of_impossible_symbols_are_dropped_and_counted(market, desk):
    desk.join("a", "*")
    for symbol_id in (0, 64, 2**32 - 1):
        market.latest["quote"][1]["symbol_id"] = symbol_id
        market.ids["FPT"] = 1
        row = market.quote("FPT", 1, 2)
        market.pending[-1][1]["symbol_id"] = symbol_id
        assert row is not None
    desk.feed(market.frame())
    assert desk.fanout.mirror.refused_rows == 3
    assert not desk.fanout.mirror.seq[2].any()

"""Mode skip: every row or a word about it, and never closed."""

import pytest

from tests.gateway.market import Market
from tests.gateway.sinks import Desk

BUDGET_BYTES = 4_000


@pytest.fixture
def market():
    return Market("FPT", "HPG", "VNM")


@pytest.fixture
def desk(market):
    desk = Desk(budget_bytes=BUDGET_BYTES)
    market.trade("FPT")
    desk.feed(market.frame())
    return desk


def skips(model):
    return [frame for frame in model.controls if frame["op"] == "skip"]


def trade(market, desk, code, count):
    for _ in range(count):
        market.trade(code)
        desk.feed(market.frame())


def test_who_keeps_up_gets_every_row(market, desk):
    desk.join("a", "trade.*", mode="skip")
    trade(market, desk, "FPT", 50)
    model = desk.read("a")
    assert [seq for _, seq, _ in model.news["trade.FPT"]] == list(range(2, 52))
    assert skips(model) == []


def test_a_slow_reader_is_told_what_it_missed_then_shown_the_state_then_goes_on(market, desk):
    line = desk.join("a", "trade.*", mode="skip")
    desk.read("a")
    line.full = True
    trade(market, desk, "FPT", 40)
    trade(market, desk, "HPG", 2)
    queued = len(line.queued)
    trade(market, desk, "FPT", 60)
    assert BUDGET_BYTES // 2 < queued < BUDGET_BYTES
    assert len(line.queued) == queued, "nothing more is queued"
    desk.drain("a")
    trade(market, desk, "FPT", 1)
    model = desk.read("a")
    (skip,) = skips(model)
    last = model.news["trade.FPT"][-2][1]  # the last row that was queued
    assert skip["keys"] == {"trade.FPT": [last + 1, 101], "trade.HPG": [1, 2]}
    assert (skip["rows"], skip["more"]) == (101 - last + 2, 0)
    assert [(f["op"], f["seq"], f.get("n")) for f in model.frames[-3:]] == [
        ("snap", 101, 0),
        ("snap", 2, 0),
        ("d", 102, 1),
    ]
    assert desk.fanout.tally.skipped == skip["rows"]


def test_it_is_never_closed_and_harms_nobody(market, desk):
    slow, _ = desk.join("slow", "trade.*", mode="skip"), desk.join("fast", "trade.*", mode="skip")
    slow.full = True
    trade(market, desk, "FPT", 500)
    assert slow.closed_with is None
    assert slow.queued_max < BUDGET_BYTES
    assert len(desk.read("fast").news["trade.FPT"]) == 500
    assert skips(desk.read("fast")) == []


def test_modes_of_one_client_do_not_mix(market, desk):
    line = desk.join("a", "trade.*", mode="skip")
    desk.join("a", "quote.*", mode="conflate", interval_ms=0)
    desk.wait(1)
    desk.read("a")
    line.full = True
    trade(market, desk, "FPT", 100)
    market.quote("HPG", 1, 2)
    desk.feed(market.frame())
    desk.drain("a")
    model = desk.read("a")
    assert list(skips(model)[0]["keys"]) == ["trade.FPT"]
    assert model.seq == {"trade.FPT": 101, "quote.HPG": 1}


def test_another_topic_is_answered_after_the_debt_is_told(market, desk):
    line = desk.join("a", "trade.FPT", mode="skip")
    desk.read("a")
    line.full = True
    trade(market, desk, "FPT", 100)
    desk.join("a", "trade.HPG", mode="skip")
    trade(market, desk, "HPG", 1)
    desk.drain("a")
    model = desk.read("a")
    assert len(skips(model)) == 1
    assert model.seq == {"trade.FPT": 101, "trade.HPG": 1}


def test_a_shard_that_starts_over_takes_its_debts_along(market, desk):
    line = desk.join("a", "trade.*", mode="skip")
    desk.read("a")
    line.full = True
    trade(market, desk, "FPT", 100)
    market.start_over(epoch=2)
    market.trade("HPG")
    desk.feed(market.frame())
    desk.drain("a")
    model = desk.read("a")
    assert skips(model)[0]["keys"] == {"trade.HPG": [1, 1]}
    assert model.seq == {"trade.HPG": 1}
    assert model.epoch == {"trade.HPG": "2"}

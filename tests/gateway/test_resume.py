"""Coming back: what is told of the keys a client had, in every mode, and when it is not all."""

import pytest

from tests.gateway.conformance_house import House
from tests.gateway.market import Market
from tests.gateway.sinks import Desk

PLENTY_BYTES = 1 << 24


@pytest.fixture
def house():
    return House(budget_bytes=1 << 20, backlog_bytes=PLENTY_BYTES)


def trade(house, count, code="FPT", *, lost=0):
    source = house.sources[0]
    for _ in range(count):
        source.trade(code)
    house.feed([(source, source.frame(), lost)])


def away(house, seat, what):
    """The line is cut, something happens, the client is back; what it is told then."""
    house.hang_up(seat)
    what()
    before = len(seat.judge.frames)
    house.come_back(seat, wildcards=False)
    house.read(seat)
    return seat.judge.frames[before:]


def at_desk(house, topic="trade.FPT", form="json", mode="all"):
    seat = house.sit_down(form)
    seat.ways[topic] = (mode, 50)
    house.say(seat, op="sub", topics=[topic], mode=mode, interval_ms=50)
    house.read(seat)
    return seat


def went(frames):
    """(recovered, replayed) of the first answer."""
    (entry,) = frames[0]["topics"].values()
    return entry["recovered"], entry["replayed"]


@pytest.mark.parametrize("form", ["json", "bin"])
@pytest.mark.parametrize("mode", ["all", "skip"])
@pytest.mark.parametrize("missed", [0, 1, 28])
def test_streams_are_replayed_row_by_row(house, form, mode, missed):
    trade(house, 3)
    seat = at_desk(house, form=form, mode=mode)
    frames = away(house, seat, lambda: trade(house, missed) if missed else None)
    assert went(frames) == (True, missed)
    assert [(f["op"], f["seq"], f["n"]) for f in frames[1 : 1 + missed]] == [
        ("d", seq, 1) for seq in range(4, 4 + missed)
    ]
    ends = [(f["op"], f["from"], f["to"], f["n"]) for f in frames[1 + missed :]]
    assert ends == ([("replay_end", 4, 3 + missed, missed)] if missed else [])
    trade(house, 1)
    house.settle()


@pytest.mark.parametrize("form", ["json", "bin"])
def test_conflated_keys_get_one_frame_that_sums_up(house, form):
    trade(house, 3)
    seat = at_desk(house, form=form, mode="conflate")
    frames = away(house, seat, lambda: trade(house, 28))
    assert went(frames) == (True, 28)
    (frame,) = frames[1:]
    assert (frame["op"], frame["seq"], frame["n"]) == ("d", 31, 28)
    assert frame["merged"]["count"] == 28


def test_a_key_that_is_new_meanwhile_is_told_from_its_first_row(house):
    trade(house, 1)
    seat = at_desk(house, "trade.*")
    house.hang_up(seat)
    trade(house, 2, "HPG")
    house.come_back(seat, wildcards=True)
    house.read(seat)
    told = [(f["op"], f.get("n")) for f in seat.judge.frames[-4:]]
    assert told == [("sub_ok", None), ("snap", 1), ("d", 1), ("replay_end", 2)]


def test_rows_that_the_bus_lost_cannot_be_told(house):
    trade(house, 3)
    seat = at_desk(house)

    def lose():
        source = house.sources[0]
        source.trade("FPT")
        source.frame()
        trade(house, 1, lost=1)

    frames = away(house, seat, lose)
    assert went(frames) == (False, 0)
    assert [(f["op"], f["seq"], f["n"]) for f in frames[1:]] == [("snap", 5, 0)]


def test_a_gateway_that_starts_has_what_the_bus_had_lost(house):
    trade(house, 3)
    seat = at_desk(house)

    def lose():
        source = house.sources[0]
        source.trade("FPT")
        source.frame()
        house.restart(old_log=False)

    assert went(away(house, seat, lose)) == (True, 1)


def test_without_a_backlog_only_who_missed_nothing_goes_on():
    house = House(budget_bytes=1 << 20, backlog_bytes=0)
    trade(house, 3)
    seat = at_desk(house)
    assert went(away(house, seat, lambda: None)) == (True, 0)
    frames = away(house, seat, lambda: trade(house, 1))
    assert went(frames) == (False, 0)
    assert [(f["op"], f["seq"], f["n"]) for f in frames[1:]] == [("snap", 4, 0)]


@pytest.mark.parametrize("spoken", [0, 2, 5])
def test_numbers_of_another_epoch_are_not_believed(house, spoken):
    trade(house, 3)
    seat = at_desk(house)

    def start_over():
        house.sources[0].start_over()
        trade(house, spoken)

    frames = away(house, seat, start_over)
    assert went(frames) == (False, 0)
    house.settle()


def test_what_bye_says_resumes_completely_new_keys_too():
    house = House(budget_bytes=2_000, backlog_bytes=PLENTY_BYTES)
    trade(house, 1)
    seat = at_desk(house, "trade.*")
    seat.line.full = True
    trade(house, 20)
    trade(house, 3, "HPG")  # beyond the budget, and never heard of before
    assert seat.client is None
    assert seat.resume["seq"] == {"trade.FPT": 21, "trade.HPG": 0}
    house.come_back(seat, wildcards=False)
    house.read(seat)
    answer = next(f for f in reversed(seat.judge.frames) if f["op"] == "sub_ok")
    assert answer["topics"]["trade.*"]["recovered"] is True
    assert answer["topics"]["trade.*"]["replayed"] == 3
    house.settle()


def test_a_log_of_an_older_epoch_is_not_mixed_up_with_the_new_one(house):
    """A reader of logs is told that their epoch may change."""
    trade(house, 9)
    house.sources[0].start_over()
    trade(house, 1)
    seat = at_desk(house)

    def restart():
        house.sources[0].trade("FPT")
        house.sources[0].frame()
        house.restart(old_log=True)

    frames = away(house, seat, restart)
    assert went(frames) == (True, 1)
    assert frames[1]["seq"] == 2
    house.settle()


def test_who_catches_up_while_others_are_served_gets_nothing_twice():
    desk, market = Desk(), Market("FPT")
    desk.feed(market.frame())
    slow = desk.join("slow", "trade.*", mode="conflate", interval_ms=1_000)
    desk.join("fast", "trade.*", mode="conflate", interval_ms=1_000)
    desk.wait(1_000)
    slow.full = True
    for _ in range(2):
        market.trade("FPT")
        desk.feed(market.frame())
        desk.wait(1_000)
    market.trade("FPT")
    desk.feed(market.frame())
    desk.drain("slow")  # in the middle of an interval
    market.trade("FPT")
    desk.feed(market.frame())
    desk.wait(1_000)
    assert desk.read("slow").data == desk.read("fast").data
    assert desk.models["slow"].seq == {"trade.FPT": 4}


def test_what_an_interval_holds_back_from_who_is_behind_survives_another_mode():
    desk, market = Desk(), Market("FPT")
    desk.feed(market.frame())
    line = desk.join("a", "quote.FPT", mode="conflate", interval_ms=1_000)
    desk.wait(1_000)
    line.full = True
    market.quote("FPT", 1, 2)
    desk.feed(market.frame())
    market.quote("FPT", 2, 3)
    desk.feed(market.frame())  # waits for its interval
    desk.join("a", "quote.FPT", mode="all", snapshot=False)
    desk.drain("a")
    assert desk.read("a").seq == {"quote.FPT": 2}

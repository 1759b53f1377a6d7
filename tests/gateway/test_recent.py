"""What is remembered for clients that come later: order, bounds, filters, restarts."""

import orjson
import pytest

from engine.schema.channels import ALERTS
from engine.schema.codes import AlertType, Severity
from gateway.recent import Query
from tests.gateway.market import Market
from tests.gateway.sinks import Desk

KINDS = (AlertType.HALT, AlertType.BLOCK_TRADE)


@pytest.fixture
def desk():
    return Desk()


def tell(market, code, number=0, alert_type=AlertType.HALT, severity=Severity.WARNING):
    return market.put(
        ALERTS,
        code,
        alert_type=alert_type,
        severity=severity,
        alert_no=number,
        trade_day=18_823,
    )


def recent(fanout, limit=500, **wanted):
    """Code and number of what is found, oldest first."""
    rows = [orjson.loads(text) for text in fanout.recent(Query(ALERTS, limit, **wanted))]
    return [(row["topic"].removeprefix("alerts."), row["data"]["alert_no"]) for row in rows]


def test_rows_of_all_keys_in_the_order_they_were_told(desk):
    market = Market("FPT", "HPG")
    for number, code in enumerate(("HPG", "FPT", "FPT", "HPG")):
        tell(market, code, number)
        if number % 2:
            desk.feed(market.frame())
    assert recent(desk.fanout) == [("HPG", 0), ("FPT", 1), ("FPT", 2), ("HPG", 3)]
    assert recent(desk.fanout, 2) == [("FPT", 2), ("HPG", 3)]


def test_an_entry_is_what_a_frame_would_say(desk):
    market = Market("FPT")
    tell(market, "FPT", 1)
    desk.feed(market.frame())
    desk.join("a", "alerts.FPT")
    (text,) = desk.fanout.recent(Query(ALERTS, 1))
    (frame,) = desk.read("a").frames
    assert orjson.loads(text) == {name: frame[name] for name in ("topic", "seq", "data")}


def test_only_the_last_are_kept(desk):
    market = Market("FPT", "HPG")
    for number in range(ALERTS.keep + 7):
        tell(market, ("FPT", "HPG")[number % 2], number)
    desk.feed(market.frame())
    assert [number for _, number in recent(desk.fanout)] == list(range(7, ALERTS.keep + 7))


def test_a_type_and_a_least_severity(desk):
    market = Market("FPT")
    cases = [(kind, severity) for kind in KINDS for severity in Severity if severity]
    for number, (kind, severity) in enumerate(cases):
        tell(market, "FPT", number, kind, severity)
    desk.feed(market.frame())
    for kind in (None, *KINDS, AlertType.RULE):
        for least in Severity:
            want = [
                ("FPT", number)
                for number, (its_kind, severity) in enumerate(cases)
                if kind in (None, its_kind) and severity >= least
            ]
            assert recent(desk.fanout, alert_type=kind, severity=least) == want
            assert recent(desk.fanout, 1, alert_type=kind, severity=least) == want[-1:]


def test_what_is_repeated_or_overtaken_on_the_bus_is_remembered_once(desk):
    market = Market("FPT")
    tell(market, "FPT", 1)
    first = market.frame()
    tell(market, "FPT", 2)
    desk.feed(first, first, market.frame(), first, market.snapshot())
    assert recent(desk.fanout) == [("FPT", 1), ("FPT", 2)]


def test_after_a_restart_the_snapshot_is_what_is_known_and_the_tape_goes_on(desk):
    market = Market("AAA", "BBB", "CCC")
    for number, code in enumerate(("CCC", "AAA", "CCC", "BBB", "AAA")):
        tell(market, code, number)
    market.frame()  # told to nobody here
    desk.feed(market.snapshot())
    assert recent(desk.fanout) == [("CCC", 2), ("BBB", 3), ("AAA", 4)]
    tell(market, "CCC", 5)
    desk.feed(market.frame())
    assert recent(desk.fanout) == [("CCC", 2), ("BBB", 3), ("AAA", 4), ("CCC", 5)]


def test_a_repair_puts_what_was_missed_in_its_place(desk):
    market = Market("AAA", "BBB", "CCC")
    tell(market, "AAA", 0)
    desk.feed(market.frame())
    tell(market, "BBB", 1)
    market.frame()  # lost
    tell(market, "CCC", 2)
    desk.feed(market.frame(), market.snapshot())
    assert recent(desk.fanout) == [("AAA", 0), ("BBB", 1), ("CCC", 2)]


def test_a_shard_that_starts_over_takes_its_alerts_along(desk):
    mine, other = Market("AAA", "BBB"), Market("X", "Y", "CCC", shard=1)
    other.pending = other.pending[2:]  # ids are the tape's: this shard has the third
    tell(mine, "AAA", 1)
    tell(other, "CCC", 2)
    desk.feed(mine.frame(), other.frame())
    assert recent(desk.fanout) == [("AAA", 1), ("CCC", 2)]
    mine.start_over(2)
    tell(mine, "BBB", 3)
    desk.feed(mine.frame())
    assert recent(desk.fanout) == [("CCC", 2), ("BBB", 3)]


def test_rows_without_a_name_wait_for_it(desk):
    market = Market("FPT")
    names, market.pending = market.pending, []
    tell(market, "FPT", 1)
    desk.feed(market.frame())
    assert recent(desk.fanout) == []
    market.pending = names
    desk.feed(market.frame())
    assert recent(desk.fanout) == [("FPT", 1)]


def test_an_answer_is_not_held_against_who_asked():
    market, desk = Market("FPT"), Desk(budget_bytes=2_000)
    desk.feed(market.frame())
    sink = desk.join("a", "trade.FPT")
    sink.full = True
    desk.fanout.answer(desk.clients["a"], b"x" * 10_000, desk.now_ns)
    for _ in range(2):
        market.trade("FPT")
        desk.feed(market.frame())
    assert sink.closed_with is None
    for _ in range(9):
        market.trade("FPT")
        desk.feed(market.frame())
    assert sink.closed_with == 4008  # the tape itself is

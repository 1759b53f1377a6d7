"""What all rules have in common: repeats, numbers, dates, and the order of alerts."""

from engine.alerts import stage
from engine.schema.codes import AlertState, AlertType
from tests.alerts.market import Market


def market(**thresholds: int) -> Market:
    """Return a market with two stocks that trade."""
    one = Market(**thresholds)
    for name in ("FPT", "SSI"):
        one.symbol(name)
        one.at("09:30:00").match(name, "50000")
    return one


def test_the_same_type_and_symbol_are_told_at_most_once_in_sixty_seconds():
    one = market()
    assert len(one.match("FPT", "50000", 100_000)) == 1
    assert one.at("09:30:59").match("FPT", "50000", 100_000) == []
    assert len(one.at("09:31:00").match("FPT", "50000", 100_000)) == 1
    assert len(one.match("SSI", "50000", 100_000)) == 1  # another symbol
    assert len(one.status("FPT", "H")) == 1  # another type


def test_the_time_between_repeats_is_configurable():
    one = market(repeat_s=5)
    assert len(one.match("FPT", "50000", 100_000)) == 1
    assert len(one.at("09:30:05").match("FPT", "50000", 100_000)) == 1
    every = market(repeat_s=0)
    assert len(every.match("FPT", "50000", 100_000)) == 1
    assert len(every.match("FPT", "50000", 100_000)) == 1


def test_a_stamp_that_steps_back_makes_no_repeat_new():
    one = market()
    assert len(one.match("FPT", "50000", 100_000)) == 1
    assert one.at("09:20:00").match("FPT", "50000", 100_000) == []


def test_an_end_is_always_told_when_its_begin_was():
    one = market()
    for minute in (31, 33):
        assert len(one.at(f"09:{minute}:00").status("FPT", "H")) == 1
        assert len(one.at(f"09:{minute}:01").status("FPT", "N")) == 1


def test_ids_are_deterministic_and_begin_anew_with_the_trading_date():
    one = market()
    ids = []
    for time in ("09:31:00", "09:33:00"):
        one.at(time).match("FPT", "50000", 100_000)
        ids += one.told_ids()
    one.on("2021-07-16")
    one.at("09:31:00").match("FPT", "50000", 100_000)
    assert [*ids, *one.told_ids()] == [
        "20210715-block_trade-FPT-1",
        "20210715-block_trade-FPT-2",
        "20210716-block_trade-FPT-1",
    ]


def test_a_repeat_is_forgotten_with_the_trading_date_and_seq_goes_on():
    one = market(repeat_s=10**6)
    (first,) = one.match("FPT", "50000", 100_000)
    one.on("2021-07-16")
    (second,) = one.match("FPT", "50000", 100_000)
    assert (first["seq"], second["seq"]) == (1, 2)
    assert second["trade_day"] == first["trade_day"] + 1


def test_an_older_trading_date_changes_nothing():
    one = market()
    one.on("2021-07-14")
    assert one.match("FPT", "50000", 100_000) == []
    assert one.status("FPT", "H") == []


def test_a_suppressed_alert_leaves_the_last_one_as_what_latecomers_are_shown():
    one = market()
    (told,) = one.match("FPT", "50000", 100_000)
    one.at("09:30:10").match("FPT", "50000", 200_000)
    latest = one.fold.latest["alerts"][one.ids["FPT"]]
    assert latest["volume_shares"] == told["volume_shares"] == 100_000


def test_alerts_of_one_slot_come_in_the_order_of_the_rules():
    one = market()
    one.limit("FPT", "53500", "46500")
    for _ in range(10):
        one.match("FPT", "50000")
    rows = one.match("FPT", "53500", 200_000, skipped=500)
    assert [row["alert_type"] for row in rows] == [
        AlertType.FEED,
        AlertType.PRICE_LIMIT,
        AlertType.VOLUME_SPIKE,
        AlertType.BLOCK_TRADE,
    ]
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert [row["alert_state"] for row in rows][:2] == [AlertState.BEGIN, AlertState.BEGIN]


def test_an_alert_does_not_inherit_numbers_of_the_one_before():
    one = market()
    one.match("FPT", "50000", 100_000)
    (row,) = one.status("FPT", "H")
    assert (row["volume_shares"], row["value_vnd"], row["measured"]) == (0, 0, 0)


def test_there_is_room_in_the_out_buffer_for_all_that_one_slot_can_tell():
    assert stage.STAGE.rows_per_slot >= 16 + 9


def test_slots_outside_the_table_are_ignored():
    one = market()
    strange = one.trade("FPT", "50000", 100, 100) | {"symbol_id": 10**6}
    assert one.send(strange) == []
    assert one.send({"kind": 8, "symbol_id": 10**6, "code": b"X", "instrument": 4}) == []

"""Messages taken apart, changed and put together again."""

import pytest

from engine.feed.synthetic import (
    ALL_TYPES,
    SHIPPED_TABLE,
    iter_messages,
    iter_zero_messages,
    plan_day,
    read_table,
)
from tests.tools.small_days import book, match
from tools.simulator.record import (
    read_record,
    total_shares,
    with_market_orders,
    with_session,
    with_type,
    write_record,
)


@pytest.fixture(scope="module")
def day():
    return plan_day(read_table(SHIPPED_TABLE), trades_max=300, symbols=("SSI", "SHS", "BSR"))


def test_whatever_is_read_can_be_written_back(day):
    kinds = set()
    for _, kind, _, told in iter_messages(day, ALL_TYPES):
        kinds.add(kind)
        data_type, record = read_record(told)
        assert data_type == kind
        assert write_record(kind, record) == told
    assert kinds == ALL_TYPES


def test_volumes_are_those_of_the_plan(day):
    ends = {}
    for line in iter_messages(day, {"X-TRADE", "X-QUOTE", "X"}):
        total = total_shares(line)
        assert total == int(read_record(line[3])[1].get("TotalVol", 0))
        if line[1] == "X-TRADE":
            ends[line[2]] = total
    assert ends == {code: listing.volume_shares for code, listing in day.expected.items()}


def test_only_prints_have_a_volume():
    assert total_shares(match(0, "SSI", 12_300)) == 12_300
    assert total_shares(match(0, "SSI", 12_300, kind="OL")) == 0
    assert total_shares(book(0, "SSI")) == 0


def test_sessions_are_replaced_and_nothing_else(day):
    for _, _, _, told in iter_messages(day, ALL_TYPES):
        changed = with_session(told, b"NEW")
        data_type, record = read_record(told)
        if "TradingSession" in record:
            assert read_record(changed) == (data_type, {**record, "TradingSession": "NEW"})
        else:
            assert changed == told


def test_a_strange_type_names_the_symbol_and_no_numbers():
    told = with_type(match(0, "SSI", 500)[3], "X-NEW")
    assert read_record(told) == ("X-NEW", {"RType": "X-NEW", "Symbol": "SSI"})


def test_market_orders_take_level_one(day):
    changed = 0
    for _, kind, _, told in iter_messages(day, {"X-QUOTE", "X"}):
        after = with_market_orders(told)
        _, record = read_record(told)
        if record["TradingSession"] not in ("ATO", "ATC"):
            assert after == told
            continue
        _, shown = read_record(after)
        for side in ("Bid", "Ask"):
            levels = [(record[f"{side}Price{n}"], record[f"{side}Vol{n}"]) for n in range(1, 11)]
            moved = [(shown[f"{side}Price{n}"], shown[f"{side}Vol{n}"]) for n in range(1, 11)]
            count = sum(1 for price, _ in levels if price)
            if count:
                changed += 1
                assert moved == [(0.0, levels[0][1]), *levels[: count - 1], *levels[count:]]
            else:
                assert moved == levels
        assert after.startswith(told[:40])
        assert kind in ("X", "X-QUOTE")
    assert changed > 10


def test_zero_messages_say_nothing_but_names(day):
    lines = list(iter_zero_messages(day, 28_800_000, ALL_TYPES))
    assert [line[1:3] for line in lines[:3]] == [
        ("X", "BSR"),
        ("X-QUOTE", "BSR"),
        ("X-TRADE", "BSR"),
    ]
    assert len(lines) == 3 * len(day.symbols)
    for _, kind, code, told in lines:
        data_type, record = read_record(told)
        assert (data_type, record["Symbol"], record["Time"]) == (kind, code, "08:00:00")
        assert record["TradingSession"] == "C"
        numbers = {
            key: value
            for key, value in record.items()
            if isinstance(value, float | int)
            and key not in ("Ceiling", "Floor", "RefPrice", "PriorVal", "Change", "RatioChange")
        }
        assert set(numbers.values()) == {0}
        if kind != "X-QUOTE":
            assert record["AvgPrice"] == "NaN"
            assert record["RatioChange"] == -100.0
    pair = list(iter_zero_messages(day, 28_800_000))
    assert {line[1] for line in pair} == {"X-QUOTE", "X-TRADE"}

"""The fast renderer says what json.dumps would, in the order and number style of real captures."""

import json
from pathlib import Path

import orjson
import pytest

from engine.feed.synthetic import (
    ALL_TYPES,
    PAIR_TYPES,
    SHIPPED_FUTURES,
    SHIPPED_TABLE,
    SMALL,
    X_TYPES,
    frames,
    iter_messages,
    plan_day,
    read_futures,
    read_table,
)
from engine.feed.synthetic.faces import rounded_average
from engine.feed.synthetic.text import clock, difference, hundredths, percent, whole_number
from tests.oracle import synthetic_messages

GOLDEN = Path(__file__).parent.parent / "data" / "ssi-golden.jsonl"
# Large, small, untraded, limit-locked, three exchanges; AGP needs prints below a round lot.
SYMBOLS = (
    "ACB",
    "ADC",
    "AGP",
    "BSI",
    "BWS",
    "FLC",
    "HPG",
    "LHC",
    "MH3",
    "PXT",
    "SHB",
    "WCS",
    "YBM",
)


@pytest.fixture(scope="module")
def day():
    table = read_table(SHIPPED_TABLE)
    codes = {listing.code for listing in table.listings} & set(SYMBOLS)
    return plan_day(
        table,
        read_futures(SHIPPED_FUTURES),
        seed=3,
        symbols=codes,
        **SMALL._replace(trades_max=2_000)._asdict(),
    )


@pytest.fixture(scope="module")
def everything(day):
    return list(iter_messages(day, ALL_TYPES))


def record_of(message: bytes):
    return orjson.loads(orjson.loads(orjson.loads(message)["A"][0])["Content"])


def test_equals_the_twin_byte_for_byte(day, everything):
    expected = list(synthetic_messages.messages(day))
    assert len(everything) == len(expected)
    for mine, theirs in zip(everything, expected, strict=True):
        assert mine == theirs


def test_every_type_is_there(everything):
    assert {data_type for _, data_type, _, _ in everything} == ALL_TYPES


def test_keys_stand_in_the_order_of_real_messages(everything):
    """Where no real message is public (OL), the official guide's."""
    orders: dict[str, list[str]] = {}
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        golden = json.loads(line)
        if golden["kind"] == "REAL" or golden["type"] == "OL":
            content = json.loads(golden["envelope"])["Content"]
            orders.setdefault(golden["type"], list(json.loads(content)))
    assert orders.keys() >= ALL_TYPES
    for _, data_type, _, message in everything:
        assert list(record_of(message)) == orders[data_type]


def test_numbers_look_as_in_real_messages(everything):
    """Kinds of every value (float, int, string, null) are those of the captures."""
    kinds: dict[tuple[str, str], set[type]] = {}
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        golden = json.loads(line)
        if golden["kind"] == "REAL" or golden["type"] == "OL":
            for key, value in json.loads(json.loads(golden["envelope"])["Content"]).items():
                kinds.setdefault((golden["type"], key), set()).add(type(value))
    for _, data_type, code, message in everything:
        for key, value in record_of(message).items():
            if code.startswith("VN30F") and key in ("Highest", "Lowest"):
                assert type(value) is float  # no capture shows a future's (ssi-wire section 6)
            elif (data_type, key) == ("X", "AvgPrice"):
                assert type(value) is float or value == "NaN"
            elif (data_type, key) == ("OL", "TotalVal"):
                assert type(value) is int  # the only sample has a float's rounding noise here
            else:
                assert type(value) in kinds[data_type, key], (data_type, key, value)


def test_snapshot_is_all_zero(day, everything):
    snapshots = [
        record_of(message)
        for time_ms, data_type, _, message in everything
        if data_type == "X" and time_ms < 8.5 * 3_600_000
    ]
    assert [record["Symbol"] for record in snapshots] == [each.code for each in day.symbols]
    for record in snapshots:
        assert record["Time"].startswith("08:00:0")
        assert (record["LastPrice"], record["TotalVol"], record["AvgPrice"]) == (0.0, 0.0, "NaN")
        assert record["Change"] == -record["RefPrice"]
        assert record["RatioChange"] == -100.0
        assert record["TradingSession"] == "C"
        assert all(
            record[f"{side}{part}{i}"] == 0.0
            for side in ("Bid", "Ask")
            for part in ("Price", "Vol")
            for i in range(1, 11)
        )


def test_an_untraded_symbol_never_shows_a_trade(everything):
    for _, data_type, code, message in everything:
        if code == "ADC":
            assert data_type not in ("X-TRADE", "B")
            if data_type == "X":
                record = record_of(message)
                assert (record["LastPrice"], record["TotalVol"]) == (0.0, 0.0)


def test_hose_shows_three_levels_and_others_up_to_ten(everything):
    depth = {"HOSE": 0, "HNX": 0, "UPCOM": 0, "DERIVATIVES": 0}
    for _, data_type, _, message in everything:
        if data_type == "X-QUOTE":
            record = record_of(message)
            shown = sum(record[f"AskVol{i}"] > 0 for i in range(1, 11))
            depth[record["Exchange"]] = max(depth[record["Exchange"]], shown)
    assert depth == {"HOSE": 3, "HNX": 10, "UPCOM": 10, "DERIVATIVES": 10}


def test_filter_by_type_and_symbol(day, everything):
    some = list(iter_messages(day, {"X-TRADE", "R"}, {"ACB", "HPG"}))
    assert some == [
        each for each in everything if each[1] in ("X-TRADE", "R") and each[2] in ("ACB", "HPG")
    ]
    channels = {"X-QUOTE": ["HPG"], "MI": ["hnxindex"], "F": None}
    chosen = list(iter_messages(day, channels))
    assert chosen == [
        each
        for each in everything
        if (each[1], each[2]) in (("X-QUOTE", "HPG"), ("MI", "HNXIndex")) or each[1] == "F"
    ]
    assert list(iter_messages(day, set())) == []
    assert list(iter_messages(day, channels, symbols=[])) == []


def test_pair_and_x_carry_the_same_events(day):
    pair = list(iter_messages(day, PAIR_TYPES))
    x = list(iter_messages(day, X_TYPES))
    assert len(x) == len(pair) + len(day.symbols)  # the zero snapshots


def test_unknown_type_is_refused(day):
    with pytest.raises(ValueError, match="X-QUOTES"):
        iter_messages(day, {"X-QUOTES"})
    with pytest.raises(ValueError, match="messages_per_frame is 0"):
        next(frames(day, 0))


@pytest.mark.parametrize("messages_per_frame", [1, 3, 10])
def test_frames_hold_all_messages_in_order(day, messages_per_frame):
    cursors = set()
    inside = []
    for time_ms, data in frames(day, messages_per_frame, ALL_TYPES):
        parsed = orjson.loads(data)
        assert list(parsed) == ["C", "M"]
        cursors.add(parsed["C"])
        assert 1 <= len(parsed["M"]) <= messages_per_frame
        for message in parsed["M"]:
            inside.append(message)
            record = orjson.loads(orjson.loads(message["A"][0])["Content"])
            assert record["Time"] == clock(time_ms // 1000)
        number = len(cursors)
    assert inside == [orjson.loads(each[3]) for each in iter_messages(day, ALL_TYPES)]
    assert number == len(list(frames(day, messages_per_frame, ALL_TYPES)))


def test_frame_bytes_are_the_reference_bytes():
    """The envelope of ssi-wire section 1.4, escapes verbatim."""
    golden = next(
        json.loads(line)
        for line in GOLDEN.read_text(encoding="utf-8").splitlines()
        if json.loads(line)["type"] == "F"
    )
    record = json.loads(json.loads(golden["envelope"])["Content"])
    message = synthetic_messages.hub_message("F", record)
    assert orjson.loads(message)["A"] == [golden["envelope"]]
    assert message.startswith(
        rb'{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{\"DataType\":\"F\",\"Content\":'
        rb"\"{\\\"RType\\\":\\\"F\\\","
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (60_500, "60500.0"),
        (838_234_940_000, "838234940000.0"),
        (10**15 - 1, "999999999999999.0"),
        (10**15, "1E+15"),
        (1_234_567_890_123_456, "1.234567890123456E+15"),
        (2**53, "9.007199254740992E+15"),
        (-(10**16), "-1E+16"),
        (10**22, "1E+22"),
    ],
)
def test_whole_numbers_as_newtonsoft_writes_them(value, text):
    assert whole_number(value) == text
    assert float(text) == float(value)


def test_changes_as_real_captures_have_them():
    assert difference(128_390, 129_000) == "-6.099999999999909"  # the 2024 X capture
    assert percent(128_390, 129_000) == "-0.47"
    assert percent(2_450_000, 2_500_000) == "-2.0"  # the 2026 X-TRADE capture
    assert percent(0, 188_000) == "-100.0"
    assert percent(129_000, 129_000) == percent(12_899_999, 12_900_000) == "0.0"
    assert hundredths(128_390) == "1283.9"
    assert hundredths(2_530_000) == "25300.0"
    assert rounded_average(34_016_200, 838_234_940_000) == 24642.228

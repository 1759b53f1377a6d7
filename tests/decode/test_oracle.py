"""What a frame means: tolerances, reasons for refusal, and the frames that hold no message."""

import orjson
import pytest

from engine.schema.codes import Reject
from tests.oracle.decode_frames import (
    CANONICAL,
    TYPES,
    Decoded,
    OracleOnly,
    assert_no_message,
    compare,
    envelope,
    frame,
    hub,
    record,
    render,
    text,
)


def same_as_canonical(kind, changed):
    """Assert that both decoders make of a frame what they make of the canonical one."""
    expected = OracleOnly().feed(frame(kind))
    got = compare(changed)
    assert render(got.slots[: len(expected.slots)]) == render(expected.slots)
    assert not got.rejected


@pytest.mark.parametrize("kind", TYPES)
def test_key_order_does_not_matter(kind):
    turned = dict(reversed(CANONICAL[kind].items()))
    same_as_canonical(kind, hub(envelope(kind, turned)))


@pytest.mark.parametrize("kind", TYPES)
def test_unknown_keys_do_not_matter(kind):
    more = {"New": {"deep": [1, [2]]}, **CANONICAL[kind], "New2": 'x\\"y', "StockNo": "1138"}
    same_as_canonical(kind, hub(envelope(kind, more)))


@pytest.mark.parametrize("kind", TYPES)
def test_numbers_may_be_text_or_exponents(kind):
    as_text = {k: repr(v) if isinstance(v, float | int) else v for k, v in CANONICAL[kind].items()}
    same_as_canonical(kind, hub(envelope(kind, as_text)))
    exponents = text(CANONICAL[kind]).replace(".0,", ".0E+0,").replace(".0}", ".0e0}")
    same_as_canonical(kind, hub(envelope(kind, exponents)))


@pytest.mark.parametrize("kind", TYPES)
def test_content_may_be_an_object_and_its_json_spelled_otherwise(kind):
    same_as_canonical(kind, hub(text({"DataType": kind, "Content": CANONICAL[kind]})))
    same_as_canonical(kind, hub(text({"content": text(CANONICAL[kind]), "datatype": kind})))
    spaced = orjson.dumps(CANONICAL[kind], option=orjson.OPT_INDENT_2).decode()
    same_as_canonical(kind, hub(text({"Datatype": kind, "Content": spaced})))
    escaped = text(CANONICAL[kind]).replace("S", "\\u0053")
    same_as_canonical(kind, hub(text({"DataType": kind, "Content": escaped})))
    same_as_canonical(kind, b" " + frame(kind) + b"\r\n")


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("X-QUOTE", "RType", "Rtype"),
        ("X-QUOTE", "Time", "TradingTime"),
        ("X", "High", "Highest"),
        ("X", "Low", "Lowest"),
        ("X-TRADE", "Highest", "High"),
        ("X-TRADE", "Lowest", "Low"),
        ("OL", "High", "Highest"),
        ("X", "AvgPrice", "Avg"),
        ("R", "BuyVol", "FBuyVol"),
        ("R", "SellVol", "FSellVol"),
        ("R", "BuyVal", "FBuyVal"),
        ("R", "SellVal", "FSellVal"),
        ("MI", "Ceilings", "Ceiling"),
        ("MI", "Floors", "Floor"),
        ("MI", "NoChanges", "Nochanges"),
        ("MI", "MarketId", "MarketID"),
        ("MI", "MarketId", "Market"),
        ("MI", "TotalQttyPt", "TotalQttyPT"),
        ("X", "Isin", "ISIN"),
    ],
)
def test_aliases(kind, old, new):
    renamed = {new if key == old else key: value for key, value in CANONICAL[kind].items()}
    same_as_canonical(kind, hub(envelope(kind, renamed)))


@pytest.mark.parametrize(("alias", "kind"), [("Quote", "X-QUOTE"), ("Trade", "X-TRADE")])
def test_old_type_names(alias, kind):
    same_as_canonical(kind, hub(envelope(alias, record(kind))))


@pytest.mark.parametrize("nothing", [None, "", "NaN"])
def test_an_optional_number_that_says_nothing_is_zero(nothing):
    decoded = compare(frame("X-TRADE", EstMatchedPrice=nothing, PriorVal=nothing))
    assert "estimated_price_e2" not in render(decoded.slots)
    assert not decoded.rejected


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("X-TRADE", {"TradingDate": None}, "BAD_TIME"),
        ("X-TRADE", {"TradingDate": "28072026"}, "BAD_TIME"),
        ("X-TRADE", {"TradingDate": "30/02/2026"}, "BAD_TIME"),
        ("X-TRADE", {"TradingDate": 14082026}, "BAD_TIME"),
        ("X-TRADE", {"Time": ""}, "BAD_TIME"),
        ("X-TRADE", {"Time": "24:00:00"}, "BAD_TIME"),
        ("X-TRADE", {"Time": "9:15:00"}, "BAD_TIME"),
        ("X-TRADE", {"Symbol": None}, "MISSING_FIELD"),
        ("X-TRADE", {"Symbol": ""}, "MISSING_FIELD"),
        ("X-TRADE", {"Symbol": "ssi"}, "BAD_SYMBOL"),
        ("X-TRADE", {"Symbol": "0.8536:"}, "BAD_SYMBOL"),
        ("X-TRADE", {"Symbol": "A" * 17}, "BAD_SYMBOL"),
        ("X-TRADE", {"Symbol": "ĐHB"}, "BAD_SYMBOL"),
        ("X-TRADE", {"Symbol": 7}, "BAD_SYMBOL"),
        ("MI", {"IndexId": "\u017f"}, "BAD_SYMBOL"),  # upper() would make it an S
        ("X-TRADE", {"TotalVol": None}, "MISSING_FIELD"),
        ("X-TRADE", {"LastPrice": "NaN"}, "MISSING_FIELD"),
        ("X-TRADE", {"LastPrice": "n/a"}, "BAD_NUMBER"),
        ("X-TRADE", {"LastPrice": True}, "BAD_NUMBER"),
        ("X-TRADE", {"LastPrice": [24500.0]}, "BAD_NUMBER"),
        ("X-TRADE", {"LastPrice": "٣"}, "BAD_NUMBER"),
        ("X-TRADE", {"LastPrice": "1" * 65}, "BAD_NUMBER"),
        ("X-TRADE", {"LastPrice": -24500.0}, "OUT_OF_RANGE"),
        ("X-TRADE", {"LastPrice": 20_000_000.01}, "OUT_OF_RANGE"),
        ("X-TRADE", {"LastPrice": "1e99999999999999999999"}, "OUT_OF_RANGE"),
        ("X-TRADE", {"LastVol": 2_000_000_001}, "OUT_OF_RANGE"),
        ("X-TRADE", {"TotalVal": 1e30}, "OUT_OF_RANGE"),
        ("X-QUOTE", {"BidVol3": -1.0}, "OUT_OF_RANGE"),
        ("X-QUOTE", {"AskPrice10": 1e300}, "OUT_OF_RANGE"),
    ],
)
def test_a_record_is_refused_whole_for_one_reason(kind, changes, reason):
    decoded = compare(frame(kind, **changes))
    assert decoded.rejected == {reason: 2}
    assert len(decoded.slots) == 0
    assert decoded.symbols.count == 1  # a rejection leaves no symbol behind


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "FRAME_NOT_JSON"),
        (b"\x00\xff", "FRAME_NOT_JSON"),
        (b"hello", "FRAME_NOT_JSON"),
        (b"[" * 5000, "FRAME_NOT_JSON"),
        (b'{"C":"x","M":[', "FRAME_NOT_JSON"),
        (b"[]", "FRAME_SHAPE"),
        (b"7", "FRAME_SHAPE"),
        (b'{"a":1}', "FRAME_SHAPE"),
        (b'{"M":null}', "FRAME_SHAPE"),
        (b'{"C":"x","M":{}}', "FRAME_SHAPE"),
        (b'{"M":[7]}', "MESSAGE_SHAPE"),
        (b'{"M":[{"M":"broadcast","A":["{}"]}]}', "MESSAGE_SHAPE"),
        (b'{"M":[{"H":"Other","M":"Broadcast","A":["{}"]}]}', "MESSAGE_SHAPE"),
        (b'{"M":[{"M":"Broadcast","A":[]}]}', "MESSAGE_SHAPE"),
        (b'{"M":[{"M":"Broadcast","A":["{}","{}"]}]}', "MESSAGE_SHAPE"),
        (b'{"M":[{"M":"Broadcast","A":"{}"}]}', "MESSAGE_SHAPE"),
        (b'{"M":[{"M":"Broadcast","A":[{}]}]}', "MESSAGE_SHAPE"),
        (hub("{"), "MESSAGE_NOT_JSON"),
        (hub("[]"), "MESSAGE_SHAPE"),
        (hub("{}"), "MESSAGE_SHAPE"),
        (hub(text({"DataType": "F"})), "MESSAGE_SHAPE"),
        (hub(text({"DataType": 7, "Content": "{}"})), "MESSAGE_SHAPE"),
        (hub(envelope("F", "[]")), "MESSAGE_SHAPE"),
        (hub(envelope("F", "{")), "MESSAGE_NOT_JSON"),
        (hub(envelope("ZZ", record("F"))), "UNKNOWN_TYPE"),
        (hub(envelope("x-quote", record("X-QUOTE"))), "UNKNOWN_TYPE"),
        (hub(envelope("F", "{}")), "MISSING_FIELD"),
    ],
)
def test_a_frame_or_message_is_refused_for_one_reason(raw, reason):
    decoded = compare(raw)
    assert decoded.rejected == {reason: 2}
    assert decoded.decoder.samples == {Reject[reason]: raw[:2048]}


@pytest.mark.parametrize(
    ("raw", "keepalives", "hub_errors"),
    [
        (b"{}", 1, 0),
        (b'{"C":"d-8F1AB453-B,0","S":1,"M":[]}', 1, 0),
        (b'{"C":"d-8F1AB453-B,0","M":[]}', 1, 0),
        (b'{"C":"d-8F1AB453-B,0","T":1}', 1, 0),
        (b'{"I":"0"}', 1, 0),
        (b'{"I":"0","E":"quota"}', 0, 1),
        (b'{"C":"d","M":[{"H":"FcMarketDataV2Hub","M":"Error","A":["blocked"]}]}', 0, 1),
    ],
)
def test_frames_without_a_message(raw, keepalives, hub_errors):
    assert_no_message(compare(raw), 2 * keepalives, 2 * hub_errors)


def test_hub_names_have_no_case_and_state_is_ignored():
    raw = frame("F").replace(b"FcMarketDataV2Hub", b"fcmarketdatav2hub")
    same_as_canonical("F", raw.replace(b'"M":"Broadcast"', b'"S":{"a":1},"M":"Broadcast"'))


def test_one_bad_message_does_not_harm_its_neighbours():
    raw = hub(envelope("F", record("F")), envelope("ZZ", {}), envelope("X", record("X")))
    decoded = compare(raw)
    assert decoded.rejected == {"UNKNOWN_TYPE": 2}
    assert [int(kind) for kind in decoded.slots["kind"]] == [8, 5, 1, 2, 5, 1, 2]


def test_index_ids_are_interned_in_upper_case():
    decoded = compare(
        frame("MI", IndexId="HNXindex", Exchange="HNX"),
        frame("MI", IndexId="HNXIndex", Exchange="HNX"),
        frame("B", Symbol="HnxIndex"),
    )
    assert decoded.symbols.count == 2
    assert decoded.symbols.find(b"HNXINDEX") == 1
    assert "BAR HNXINDEX HNX " in render(decoded.slots)
    assert Decoded().feed(frame("X", Symbol="HNXindex")).rejected == {"BAD_SYMBOL": 1}


def test_an_index_is_an_index_whatever_its_code():
    decoded = compare(frame("MI", IndexId="NEWINDEX9"))
    assert "instrument=INDEX" in render(decoded.slots)


def test_a_symbol_that_learns_its_venue_is_introduced_again():
    bar = frame("B", Symbol="ABC")
    decoded = compare(bar, frame("X-QUOTE", Symbol="ABC"), bar)
    heads = [line.split()[:3] for line in render(decoded.slots).splitlines() if line[0] != " "]
    assert heads[:5] == [
        ["SYMBOL", "ABC", "UNKNOWN"],
        ["BAR", "ABC", "UNKNOWN"],
        ["SYMBOL", "ABC", "HOSE"],
        ["QUOTE", "ABC", "HOSE"],
        ["BAR", "ABC", "HOSE"],
    ]

"""What a v3 frame means: tolerances, reasons for refusal, and the frames that hold no message."""

import json

import orjson
import pytest

from engine.schema.codes import Reject
from tests.oracle.decode_frames import Decoded, OracleOnly, assert_no_message, render
from tests.oracle.decode_v3 import (
    CANONICAL_V3,
    RECV_NS,
    TOPICS,
    compare_v3,
    frame_v3,
    v3,
    without,
)


def same_as_canonical(kind, changed):
    """Assert that both decoders make of a frame what they make of the canonical one."""
    expected = OracleOnly(protocol="v3").feed(v3(kind))
    got = compare_v3(changed)
    assert render(got.slots[: len(expected.slots)]) == render(expected.slots)
    assert not got.rejected


@pytest.mark.parametrize("kind", TOPICS)
def test_key_order_and_unknown_keys_do_not_matter(kind):
    topic, data = CANONICAL_V3[kind]
    same_as_canonical(kind, frame_v3(topic, dict(reversed(data.items()))))
    more = {"new": {"deep": [1, [2]]}, **data, "tt": 'x"y', "zz": None, "x": -1.5}
    same_as_canonical(kind, frame_v3(topic, more, id=7))


@pytest.mark.parametrize("kind", TOPICS)
def test_numbers_may_be_text_or_exponents(kind):
    def as_text(value):
        if isinstance(value, list):
            return [as_text(each) for each in value]
        return repr(value) if isinstance(value, int | float) else value

    topic, data = CANONICAL_V3[kind]
    same_as_canonical(kind, frame_v3(topic, {key: as_text(each) for key, each in data.items()}))
    exponents = v3(kind).replace(b".0,", b".0E+0,").replace(b".0}", b".0e0}")
    same_as_canonical(kind, exponents)


@pytest.mark.parametrize("kind", TOPICS)
def test_json_may_be_spelled_otherwise(kind):
    same_as_canonical(kind, orjson.dumps(orjson.loads(v3(kind)), option=orjson.OPT_INDENT_2))
    same_as_canonical(kind, v3(kind).replace(b"SSI", b"\\u0053SI"))
    same_as_canonical(kind, b" " + v3(kind) + b"\r\n")
    turned = dict(reversed(orjson.loads(v3(kind)).items()))
    same_as_canonical(kind, json.dumps(turned).encode())


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("trade.*", "trade"),
        ("trade.VN30@*", "trade"),
        ("trade.SSI@tick", "trade"),
        ("TRADE.SSI@TICK", "trade"),
        ("trade.indexed", "trade"),
        ("quote.HOSE@*", "quote"),
        ("quote.A-B", "quote"),
        ("ROOM.SSI", "room"),
        ("market.FLAG", "market.flag"),
        ("market.HOSE", "market"),
        ("trade.INDEX.VN30", "trade.index"),
        ("trade.index.VN30@tick", "trade.index"),
        ("trade.SSI@5m", "bar"),
        ("trade.index.VN30@1M", "bar"),
    ],
)
def test_topics(topic, kind):
    raw = frame_v3(topic, CANONICAL_V3[kind][1])
    if topic == "trade.index.VN30@1M":  # a candle of an index: SSI would then be one
        assert "instrument=INDEX" in render(compare_v3(raw).slots)
    else:
        same_as_canonical(kind, raw)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "trade",
        "tradeSSI",
        "trade.SSI@1d",
        "trade.SSI@1m@tick",
        "trade.index.VN30@15m",
        "indexsummary.VN30",
        "order.1234561",
        "bar.SSI",
        "index.VN30",
        "market-flag",
    ],
)
def test_topics_nobody_told_us_about(topic):
    assert compare_v3(frame_v3(topic, CANONICAL_V3["trade"][1])).rejected == {"UNKNOWN_TYPE": 2}


def test_other_channels_are_not_ours():
    raw = v3("trade")
    same_as_canonical("trade", raw.replace(b'"DATA"', b'"data"'))
    same_as_canonical("trade", raw.replace(b'"channel":"DATA",', b""))
    rejected = compare_v3(raw.replace(b'"DATA"', b'"TRADING"')).rejected
    assert rejected == {"UNKNOWN_TYPE": 2}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (v3("trade", t=None), "BAD_TIME"),
        (v3("trade", t="2026/02/30 10:00:00"), "BAD_TIME"),
        (v3("trade", t=True), "BAD_TIME"),
        (v3("market.flag", t=""), "BAD_TIME"),
        (v3("trade", s=None), "MISSING_FIELD"),
        (v3("trade", s=""), "MISSING_FIELD"),
        (v3("trade", s="ssi"), "BAD_SYMBOL"),
        (v3("trade", s=7), "BAD_SYMBOL"),
        (v3("trade", s="A" * 17), "BAD_SYMBOL"),
        (v3("trade.index", s="VN 30"), "BAD_SYMBOL"),
        (v3("trade", v=None), "MISSING_FIELD"),
        (v3("trade", p="NaN"), "MISSING_FIELD"),
        (v3("trade", p="ATO"), "BAD_NUMBER"),
        (v3("trade", p="24,500"), "BAD_NUMBER"),
        (v3("trade", p=[24500]), "BAD_NUMBER"),
        (v3("trade", p=-1), "OUT_OF_RANGE"),
        (v3("trade", q=2_000_000_001), "OUT_OF_RANGE"),
        (v3("trade", v="1e99999999999999999999"), "OUT_OF_RANGE"),
        (v3("quote", bids={}), "MESSAGE_SHAPE"),
        (v3("quote", bids=[24450.0, 1200]), "MESSAGE_SHAPE"),
        (v3("quote", asks=[[24450.0]]), "MESSAGE_SHAPE"),
        (v3("quote", asks=[["ABC", 100]]), "BAD_NUMBER"),
        (v3("quote", asks=[[24450.0, -1]]), "OUT_OF_RANGE"),
        (v3("quote", asks=[[24450.0, True]]), "BAD_NUMBER"),
        (without("quote", "bids", "asks"), "MISSING_FIELD"),
        (without("oddlot", "bids", "asks", "p", "q"), "MISSING_FIELD"),
        (without("market", "ce", "fl", "ref"), "MISSING_FIELD"),
        (without("room", "sv"), "MISSING_FIELD"),
        (without("put", "q"), "MISSING_FIELD"),
        (without("bar", "v"), "MISSING_FIELD"),
        (without("trade.index", "v"), "MISSING_FIELD"),
        (without("market.flag", "f"), "MISSING_FIELD"),
        (without("market.flag", "b"), "MISSING_FIELD"),
        (v3("trade.index", c=2000), "OUT_OF_RANGE"),  # the prior value would be negative
        (v3("trade.index", c="--1"), "BAD_NUMBER"),
        (v3("trade.index", c=[]), "BAD_NUMBER"),
        (frame_v3("trade.SSI", []), "MESSAGE_SHAPE"),
        (frame_v3("trade.SSI", None), "MESSAGE_SHAPE"),
        (frame_v3(7, {}), "MESSAGE_SHAPE"),
        (frame_v3("trade.SSI", {}), "MISSING_FIELD"),
        (frame_v3("trade.SSI", {}, channel=None), "MESSAGE_SHAPE"),
        (b"", "FRAME_NOT_JSON"),
        (b"[" * 5000, "FRAME_NOT_JSON"),
        (b"[]", "FRAME_SHAPE"),
        (b'{"a":1}', "FRAME_SHAPE"),
        (b'{"channel":"DATA","data":{"s":"SSI"}}', "FRAME_SHAPE"),
        (b'{"code":500}', "FRAME_SHAPE"),
    ],
)
def test_a_message_is_refused_whole_for_one_reason(raw, reason):
    decoded = compare_v3(raw)
    assert decoded.rejected == {reason: 2}
    assert len(decoded.slots) == 0
    assert decoded.symbols.count == 1  # a rejection leaves no symbol behind
    assert decoded.decoder.samples == {Reject[reason]: raw[:2048]}


@pytest.mark.parametrize(
    ("raw", "keepalives", "hub_errors"),
    [
        (b"{}", 1, 0),
        (b'{"method":"PING_PONG","channel":"HEARTBEAT","status":"ok","message":"pong"}', 1, 0),
        (b'{"method":"ping_pong","channel":"HEARTBEAT"}', 1, 0),
        (b'{"channel":"HEARTBEAT"}', 1, 0),
        (b'{"method":"subscribe","channel":"DATA","status":"ok","message":"x"}', 1, 0),
        (b'{"method":"subscribe","channel":"DATA","status":"ERROR","message":"x"}', 0, 1),
        (b'{"trading":"","data":"trade.SSI;quote.SSI"}', 1, 0),
        (b'{"data":null}', 1, 0),
        (b'{"code":401,"msg":"unauthorized"}', 0, 1),
        (b'{"code":503,"message":"later"}', 0, 1),
    ],
)
def test_frames_without_a_message(raw, keepalives, hub_errors):
    assert_no_message(compare_v3(raw), 2 * keepalives, 2 * hub_errors)


def test_a_v2_frame_on_a_v3_connection_is_refused():
    raw = b'{"C":"d-0","M":[{"H":"FcMarketDataV2Hub","M":"Broadcast","A":["{}"]}]}'
    assert Decoded(protocol="v3").feed(raw).rejected == {"FRAME_SHAPE": 1}


@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize("empty", [[], None, ""])
def test_a_side_of_the_book_may_be_empty(side, empty):
    other = {"bids": "ask", "asks": "bid"}[side]
    for raw in (v3("quote", **{side: empty}), without("quote", side)):
        text = render(compare_v3(raw).slots)
        assert f"{other}_price_e2" in text
        assert f"{side[:-1]}_price_e2" not in text


def test_an_empty_book_is_a_book():
    assert "QUOTE SSI" in render(compare_v3(v3("quote", bids=[], asks=[])).slots)


def test_orders_at_any_price_come_at_price_zero():
    book = [[word, 100] for word in ("ATO", "ATC", "MP", "MTL", "MOK", "MAK", "PLO")]
    text = render(compare_v3(v3("quote", bids=book, asks=[])).slots)
    assert "bid_volume_shares=100,100,100,100,100,100,100\n" in text + "\n"
    assert "bid_price_e2" not in text


def test_levels_beyond_the_slots_are_left_out():
    book = [[1000.0 - i, 10] for i in range(14)]
    decoded = compare_v3(v3("quote", bids=book), v3("oddlot", asks=book))
    lines = render(decoded.slots)
    assert "bid_volume_shares=" + ",".join(["10"] * 10) + "\n" in lines
    assert "ask_volume_shares=10,10,10\n" in lines + "\n"


def test_a_symbol_learns_its_venue_from_any_message_and_keeps_it():
    decoded = compare_v3(v3("trade"), v3("market"), v3("trade"), v3("quote", b="MOON"))
    heads = [line.split()[:3] for line in render(decoded.slots).splitlines() if line[0] != " "]
    assert heads[:6] == [
        ["SYMBOL", "SSI", "UNKNOWN"],
        ["TRADE", "SSI", "UNKNOWN"],
        ["SYMBOL", "SSI", "HOSE"],
        ["REFERENCE", "SSI", "HOSE"],
        ["TRADE", "SSI", "HOSE"],
        ["QUOTE", "SSI", "HOSE"],
    ]


def test_a_future_is_listed_on_the_derivatives_board_without_being_told():
    decoded = compare_v3(v3("trade", s="41I1G8000"), v3("quote", s="VN30F2407"))
    text = render(decoded.slots)
    assert "TRADE 41I1G8000 DERIVATIVES" in text
    assert "QUOTE VN30F2407 DERIVATIVES" in text
    assert "value_multiplier=100000 instrument=FUTURE" in text


def test_an_index_is_an_index_whatever_its_code_or_case():
    text = render(compare_v3(v3("trade.index", s="NewIndex9")).slots)
    assert "code=NEWINDEX9" in text
    assert "instrument=INDEX" in text


@pytest.mark.parametrize(
    ("change", "prior"),
    [(-32.42, 190923), (32.42, 184439), ("-0.005", 187682), (0, 187681), (None, 0), ("", 0)],
)
def test_an_index_tells_its_prior_value_by_its_change(change, prior):
    text = render(compare_v3(v3("trade.index", c=change)).slots)
    assert f"prior_value_e2={prior} " in text or (prior == 0 and "prior_value" not in text)


def test_a_boards_flag_is_about_no_symbol():
    decoded = compare_v3(v3("market.flag", b="DER", f="LO"), v3("market.flag", b="?", f="NEW"))
    lines = render(decoded.slots[:2]).splitlines()
    assert lines == [
        "CONTROL - DERIVATIVES 2026-08-14T14:45:03 session=LO status=NONE side=UNKNOWN",
        "  op=4 arg0=4 arg1=3 detail=DER LO",
        "CONTROL - UNKNOWN 2026-08-14T14:45:03 session=OTHER status=NONE side=UNKNOWN",
        "  op=4 arg1=1 detail=? NEW",
    ]
    assert decoded.symbols.count == 1


def test_a_flags_detail_is_one_line_that_fits():
    decoded = compare_v3(v3("market.flag", b="HO\nSE", f="Đ" * 200))
    line = render(decoded.slots[:1]).splitlines()[1]
    assert line == "  op=4 arg1=1 detail=HO SE " + "Đ" * 45


def test_full_symbol_table():
    decoded = Decoded(symbols_capacity=2, protocol="v3")
    decoded.feed(v3("trade"), v3("trade", s="VND"), v3("quote"), recv_ns=RECV_NS)
    assert decoded.rejected == {"SYMBOLS_FULL": 1}
    decoded.assert_conserved()

"""Rows to JSON: one table of values in both directions, golden frames, derived ratios."""

import json
from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ICT_OFFSET_S
from engine.schema.channels import (
    ALERTS,
    BOOK,
    CHANNELS,
    QUOTE,
    STATS,
    TRADE,
)
from engine.schema.codes import (
    AlertType,
    DeltaFlag,
    Instrument,
    Phase,
    Side,
    SideRule,
    Venue,
)
from gateway.derived import told_measures
from gateway.directory import Directory
from gateway.encode import REQUESTED, ch_of, json_codecs
from gateway.merge import Merged
from gateway.texts import price_text
from tests.gateway.client import split_frames
from tests.gateway.gallery import GOLDEN, golden_frames, payloads, stats_of


@pytest.mark.parametrize(
    ("price_e2", "text"),
    [
        (0, "0"),
        (100, "1"),
        (1, "0.01"),
        (10, "0.1"),
        (110, "1.1"),
        (2_530_000, "25300"),
        (128_390, "1283.9"),
        (128_395, "1283.95"),
        (-150, "-1.5"),
        (-5, "-0.05"),
        (-100, "-1"),
        (2_000_000_000, "20000000"),
        (99, "0.99"),
        (105, "1.05"),
    ],
)
def test_prices_are_exact_both_ways(price_e2, text):
    assert price_text(price_e2) == text
    assert Decimal(text) * 100 == price_e2
    assert json.loads(text, parse_int=Decimal, parse_float=Decimal) * 100 == price_e2


@given(st.integers(-(2**31), 2**31 - 1))
def test_any_price_comes_back(price_e2):
    assert Decimal(price_text(price_e2)) * 100 == price_e2
    assert str(Decimal(price_text(price_e2))) == price_text(price_e2)  # no trailing zero


def test_a_trade(market, encode):
    row = market.trade(
        "FPT",
        2_535_000,
        300,
        Side.SELL,
        flags=DeltaFlag.DISAGREE | DeltaFlag.MISSED_BEFORE,
        bid_price_e2=2_530_000,
        ask_price_e2=2_535_000,
        side_quote=Side.BUY,
        missed_volume_shares=50,
    )
    assert encode(TRADE, row, prev=0) == {
        "op": "snap",
        "ch": 1 << 20 | 1,
        "topic": "trade.FPT",
        "seq": 1,
        "epoch": "42",
        "n": 1,
        "data": {
            "recv_ns": market.clock_s * 10**9 + 5,
            "exch_time": "2021-07-15T09:30:03+07:00",
            "phase": "CONTINUOUS",
            "venue": "HOSE",
            "flags": ["MISSED_BEFORE", "DISAGREE"],
            "price": 25350,
            "side": "SELL",
            "side_rule": "EXCHANGE",
            "side_exchange": "SELL",
            "side_quote": "BUY",
            "side_tick": "UNKNOWN",
            "volume_shares": 300,
            "value_vnd": 7_605_000,
            "total_volume_shares": 300,
            "missed_volume_shares": 50,
            "bid_price": 25300,
            "ask_price": 25350,
        },
    }


def test_a_delta_a_news_snap_and_a_requested_snap(market, encode):
    for _ in range(5):
        row = market.quote("FPT", 100, 110)
    delta, news, requested = (encode(QUOTE, row, prev=prev) for prev in (3, 0, REQUESTED))
    assert (delta["op"], delta["seq"], delta["n"]) == ("d", 5, 2)
    assert "topic" not in delta
    assert (news["op"], news["n"], news["topic"]) == ("snap", 5, "quote.FPT")
    assert (requested["op"], requested["n"]) == ("snap", 0)
    assert delta["data"] == news["data"] == requested["data"]


def test_mixed_batches_keep_the_order_of_rows(market):
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1:3])
    rows = np.concatenate([np.array([market.quote("FPT", i, i)]) for i in range(4)])
    prev = np.array([0, 1, REQUESTED, 3])
    frames = [
        orjson.loads(p) for p in payloads(json_codecs(directory)[2].texts(rows, prev, list("abcd")))
    ]
    assert [(f["op"], f["seq"], f.get("epoch")) for f in frames] == [
        ("snap", 1, "a"),
        ("d", 2, None),
        ("snap", 3, "c"),
        ("d", 4, None),
    ]


def test_a_book_is_trimmed_but_keeps_its_holes(market, encode):
    row = market.book("FPT", [(0, 500), (2_530_000, 100)], [(128_390, 1), (0, 0), (128_410, 2)])
    data = encode(BOOK, row)["data"]
    assert data["bids"] == [[0, 500], [25300, 100]]  # ATO orders: volume at price 0
    assert data["asks"] == [[1283.9, 1], [0, 0], [1284.1, 2]]
    empty = encode(BOOK, market.book("FPT", [], []))["data"]
    assert (empty["bids"], empty["asks"]) == ([], [])
    full = [(100 * i, i) for i in range(1, 11)]
    assert len(encode(BOOK, market.book("FPT", full, full))["data"]["asks"]) == 10


def test_stats_nest_phase_and_side_and_show_only_what_happened(market, encode):
    row = stats_of(
        market,
        reference_price_e2=2_500_000,
        last_price_e2=2_550_000,
        volume_shares=1_800,
        value_vnd=45_500_000,
        trade_day=18_823,
        last_trade_exch_s=1_626_316_200 - ICT_OFFSET_S,
    )
    data = encode(STATS, row)["data"]
    assert data["phase_side"] == {
        "ATO": {"NEUTRAL": {"volume_shares": 1_000, "value_vnd": 25_000_000, "count": 1}},
        "CONTINUOUS": {
            "BUY": {"volume_shares": 600, "value_vnd": 0, "count": 0},
            "SELL": {"volume_shares": 200, "value_vnd": 0, "count": 0},
        },
    }
    assert data["phase_disagree_count"] == {"CONTINUOUS": 3}
    assert data["trade_date"] == "2021-07-15"
    assert data["first_trade_exch_time"] is None
    assert data["last_trade_exch_time"] == "2021-07-15T02:30:00+07:00"
    assert data["reference_price"] == 25_000
    assert (data["change"], data["change_pct"]) == (500, 2.0)
    assert data["vwap"] == round(45_500_000 / 1_800, 4)
    assert data["active_buy_ratio"] == 0.75


def test_ratios_know_the_multiplier_and_their_own_nonsense(market, encode):
    row = stats_of(
        market,
        "VN30F2108",
        reference_price_e2=143_000,
        last_price_e2=143_210,
        volume_shares=2,
        value_vnd=2 * 143_150_000,
    )
    data = encode(STATS, row)["data"]
    assert data["vwap"] == 1431.5
    assert (data["change"], data["change_pct"]) == (2.1, 0.1469)
    nothing = encode(STATS, market.stats("FPT"))["data"]
    assert [nothing[name] for name in ("vwap", "change", "change_pct", "active_buy_ratio")] == [
        None,
        None,
        None,
        None,
    ]


def test_merged_aggregates_stand_beside_the_data(market, encode):
    merged = Merged(64)
    rows = np.concatenate(
        [np.array([market.trade("FPT", p, v)]) for p, v in ((100, 5), (300, 6), (150, 7))]
    )
    merged.add_trades(rows)
    frame = encode(TRADE, rows[-1], prev=1, merged=merged.take(np.array([1])))
    assert frame["n"] == 2
    assert frame["merged"] == {
        "count": 3,
        "open": 1,
        "high": 3,
        "low": 1,
        "volume_shares": 18,
        "value_vnd": 33,
        "buy_volume_shares": 18,
        "sell_volume_shares": 0,
        "missed_volume_shares": 0,
    }
    assert encode(TRADE, rows[-1], prev=1, merged=merged.take(np.array([1])))["merged"] == {
        "count": 0
    }


@pytest.mark.parametrize("channel", [c for c in CHANNELS if c.public], ids=lambda c: c.name)
def test_every_field_of_every_public_channel_is_said_or_left_out_on_purpose(
    channel, market, encode
):
    """A changed dtype shows up here: each field appears under the name the rules give it."""
    data = encode(channel, full_row(market, channel))["data"]
    for name in channel.dtype.names:
        if name in ("seq", "symbol_id", "updates") or "reserved" in name:
            assert name not in data
        elif name.startswith("phase_side_"):
            assert "phase_side" in data
        elif name.startswith("series_"):
            assert len(data["series"][0]) == sum(
                n.startswith("series_") for n in channel.dtype.names if n != "series_count"
            )
        elif name.startswith(("top_", "bottom_")):
            table, _, rest = name.partition("_")
            assert rest == "count" or rest.removesuffix("_e2").removesuffix("_e4") in data[table][0]
        elif name[:3] in ("bid", "ask") and channel.dtype[name].shape:
            assert name[:3] + "s" in data
        else:
            public = (
                name.removesuffix("_e2")
                .removesuffix("_e4")
                .replace("exch_s", "exch_time")
                .replace("_day", "_date")
            )
            assert public in data, f"{channel.name}.{name}"
    derived = [measure.name for measure in told_measures(channel)]
    assert list(data)[len(data) - len(derived) :] == derived or channel is ALERTS


def full_row(market, channel):
    """A row with an entry in every table."""
    counts = dict.fromkeys(("series_count", "top_count", "bottom_count"), 1)
    row = market.put(
        channel, "FPT", **{n: c for n, c in counts.items() if n in channel.dtype.names}
    )
    if channel is ALERTS:
        row["alert_type"] = AlertType.HALT
    return row


@pytest.mark.parametrize(
    ("field", "codes"),
    [
        ("phase", Phase),
        ("venue", Venue),
        ("side", Side),
        ("side_rule", SideRule),
        ("side_exchange", Side),
        ("side_quote", Side),
        ("side_tick", Side),
    ],
)
def test_every_code_is_its_word_and_back(field, codes, market, encode):
    for code in codes:
        row = market.trade("FPT")
        row[field] = code
        assert codes[encode(TRADE, row)["data"][field]] is code
    row[field] = 200  # a newer writer
    assert encode(TRADE, row)["data"][field] == "200"


def test_instruments_are_words_too():
    assert "STOCK" in Instrument.__members__


def test_flags_are_a_list_of_words_and_back(market, encode):
    for value in range(64):
        words = encode(TRADE, market.trade("FPT", flags=value))["data"]["flags"]
        assert sum(DeltaFlag[word] for word in words) == value


def test_hostile_codes_stay_valid_json_and_ascii():
    directory = Directory(64)
    rows = np.zeros(1, CHANNELS[0].dtype)
    rows["symbol_id"], rows["code"] = 1, b'A"\\\xff\n'
    directory.learn(rows)
    quote = np.zeros(1, QUOTE.dtype)
    quote["seq"], quote["symbol_id"] = 1, 1
    (payload,) = payloads(json_codecs(directory)[2].texts(quote, np.zeros(1, np.int64), ["1"]))
    assert payload.isascii()
    assert orjson.loads(payload)["topic"] == 'quote.A"\\\\xff\n'


def test_ch_is_one_number_for_everybody():
    assert ch_of(TRADE, 1) == 1_048_577
    assert ch_of(STATS, 1_048_575) == 4 << 20 | 1_048_575


def test_golden_frames():
    """The bytes clients were promised. `python -m tests.gateway.gallery` renews them."""
    assert golden_frames() == GOLDEN.read_bytes().splitlines()


def test_every_public_channel_has_a_golden_frame():
    shown = {orjson.loads(line).get("topic", ".").rpartition(".")[0] for line in golden_frames()}
    rest = {"reference", "gaps", "feed"}  # their examples are of real days
    assert shown | rest == {"", *(c.name for c in CHANNELS if c.public)}


def test_frame_headers_of_all_three_lengths():
    from gateway.frames import HEADERS, frame_bytes

    for size in (0, 1, 125, 126, 65_535, 65_536, 70_000):
        text = "x" * size
        assert split_frames(frame_bytes(text.encode())) == [text.encode()]
        assert (HEADERS[len(text)] + text).encode("latin-1") == frame_bytes(text.encode())

"""Tables inside a row, and codes as words: what a client reads of arrays and one-byte fields."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.schema.channels import (
    ATTRIBUTION,
    BASIS_TREND,
    CHANNELS,
    INDEX_SERIES,
    LIMITS,
    MOVERS,
    ODD_LOT,
    TRADE,
)
from engine.schema.deltas import SERIES_MINUTES, TOP_COUNT
from engine.schema.words import FLAGS, TRUTHS, WORDS
from gateway.texts import decimal_text
from gateway.words import KEY_BITS, code_run, is_code
from tests.gateway.gallery import padded
from tests.gateway.market import MORNING_S

CODED = [
    (channel, name)
    for channel in CHANNELS
    if channel.public
    for name in channel.dtype.names
    if name in WORDS or name in FLAGS
]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 6))
def test_any_decimal_comes_back(value, digits):
    text = decimal_text(value, digits)
    assert Decimal(text).scaleb(digits) == value
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("value", "text"),
    [(97_020, "9.702"), (-5, "-0.0005"), (0, "0"), (10_000, "1"), (-31_250, "-3.125")],
)
def test_points_have_four_digits_at_most(value, text):
    assert decimal_text(value, 4) == text


# --- series and rankings --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, SERIES_MINUTES])
def test_a_series_has_as_many_entries_as_are_in_use(count, market, encode):
    row = market.put(
        INDEX_SERIES,
        "FPT",
        series_count=count,
        series_exch_s=MORNING_S + 60 * np.arange(SERIES_MINUTES),
        series_value_e2=142_800 + np.arange(SERIES_MINUTES),
    )
    data = encode(INDEX_SERIES, row)["data"]
    assert len(data["series"]) == count
    assert "series_count" not in data
    if count:
        assert data["series"][0] == ["2021-07-15T09:30:00+07:00", 1428]
        assert data["series"][-1][1] == pytest.approx(1428 + (count - 1) / 100)


def test_a_series_of_two_values_names_them_in_the_order_of_the_row(market, encode):
    row = market.put(
        BASIS_TREND,
        "VN30F2108",
        series_count=1,
        series_exch_s=padded(BASIS_TREND, "series_exch_s", MORNING_S),
        series_basis_e2=padded(BASIS_TREND, "series_basis_e2", -337),
        series_spot_value_e2=padded(BASIS_TREND, "series_spot_value_e2", 142_873),
    )
    assert encode(BASIS_TREND, row)["data"]["series"] == [
        ["2021-07-15T09:30:00+07:00", -3.37, 1428.73]
    ]


@pytest.mark.parametrize("count", [0, 1, TOP_COUNT])
def test_a_ranking_has_as_many_entries_as_are_in_use(count, market, encode):
    codes = [b"S%d" % i for i in range(TOP_COUNT)]
    row = market.put(
        MOVERS,
        "FPT",
        top_count=count,
        top_code=np.array(codes, MOVERS.dtype["top_code"].base),
        top_measure=-np.arange(TOP_COUNT),
    )
    data = encode(MOVERS, row)["data"]
    assert [entry["code"] for entry in data["top"]] == [c.decode() for c in codes[:count]]
    assert [entry["measure"] for entry in data["top"]] == [-i for i in range(count)]
    assert all(
        list(entry) == ["code", "price", "reference_price", "volume_shares", "value_vnd", "measure"]
        for entry in data["top"]
    )
    assert not any(name.startswith("top_") for name in data)


def test_what_gave_and_what_took_points_are_two_lists(market, encode):
    row = market.put(
        ATTRIBUTION,
        "FPT",
        top_count=1,
        bottom_count=2,
        points_e4=-12_345,
        top_code=padded(ATTRIBUTION, "top_code", b"HPG"),
        top_points_e4=padded(ATTRIBUTION, "top_points_e4", 5),
        bottom_code=padded(ATTRIBUTION, "bottom_code", b"VIC", b'"\xff'),
        bottom_points_e4=padded(ATTRIBUTION, "bottom_points_e4", -30_000, -10),
    )
    data = encode(ATTRIBUTION, row)["data"]
    assert data["points"] == -1.2345
    assert data["top"] == [{"code": "HPG", "points": 0.0005}]
    assert data["bottom"] == [{"code": "VIC", "points": -3}, {"code": '"\ufffd', "points": -0.001}]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_odd_lot_book_is_as_deep_as_it_is(depth, market, encode):
    levels = range(1, depth + 1)
    row = market.put(
        ODD_LOT,
        "FPT",
        bid_price_e2=padded(ODD_LOT, "bid_price_e2", *(100 * i for i in levels)),
        bid_volume_shares=padded(ODD_LOT, "bid_volume_shares", *levels),
    )
    data = encode(ODD_LOT, row)["data"]
    assert data["bids"] == [[i, i] for i in levels]
    assert data["asks"] == []


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channel", "name"), CODED, ids=lambda x: getattr(x, "name", x))
def test_every_code_of_every_channel_is_its_word_and_back(channel, name, market, encode):
    row = market.put(channel, "FPT")
    if "alert_type" in channel.dtype.names:
        row["alert_type"] = 1  # an alert is of some type
    for code in WORDS.get(name, ()):
        if name == "alert_type" and not code:
            continue
        row[name] = code
        assert encode(channel, row)["data"][name] == code.name
    for flag in FLAGS.get(name, ()):
        row[name] = flag
        assert encode(channel, row)["data"][name] == [flag.name]


def test_one_byte_is_never_shown_as_a_number():
    for channel in CHANNELS:
        for name in channel.dtype.names:
            if channel.dtype[name] == np.uint8 and "reserved" not in name:
                assert is_code(name), f"{channel.name}.{name}"


def test_a_lock_is_true_or_false(market, encode):
    for locked in (0, 1):
        row = market.put(LIMITS, "FPT", locked=locked)
        assert encode(LIMITS, row)["data"]["locked"] is bool(locked)


def test_codes_that_stand_together_share_a_text_while_they_fit_one_key():
    names = [n for n in TRADE.dtype.names if n in WORDS or n in FLAGS]
    assert code_run(names, TRADE.dtype) == names[:6]  # 56 bits, one more byte is too many
    many = np.dtype([(f"side{i}", "u1") for i in range(3)] + [("phase", "u1"), ("flags", "u8")])
    assert code_run(["phase", "flags"], many) == ["phase"]
    assert code_run(["side0"], many) == []
    assert KEY_BITS < 63
    assert not TRUTHS & WORDS.keys()

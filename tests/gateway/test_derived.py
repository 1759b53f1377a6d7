"""What follows from a row: measures written as they always were, ids and sentences of alerts."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alerts import sentences
from engine.market.measures import MEASURES
from engine.schema.channels import ALERTS, BASIS, BOOK, BY_NAME, FOREIGN, QUOTE, STATS
from engine.schema.codes import AlertType, BasisState, DeltaFlag, Phase, Side
from gateway.derived import BARE
from gateway.directory import Directory
from gateway.encode import json_codecs
from gateway.texts import price_text
from tests.gateway.gallery import DAY, payloads
from tests.gateway.market import Market


def ratios_as_ever(last, reference, value, volume, unit, buy, sell):
    """The four members of `stats` as the first version wrote them, one number at a time."""
    quoted = last > 0 and reference > 0
    vwap = repr(round(value / (volume * unit), 4)) if volume > 0 and unit > 0 else "null"
    change = price_text(last - reference) if quoted else "null"
    percent = repr(round(100 * (last - reference) / reference, 4)) if quoted else "null"
    ratio = repr(round(buy / (buy + sell), 6)) if buy + sell > 0 else "null"
    return f'"vwap":{vwap},"change":{change},"change_pct":{percent},"active_buy_ratio":{ratio}'


prices = st.integers(0, 3) | st.integers(0, 20_000).map(lambda p: 1_000 * p) | st.integers(0, 10**9)
shares = st.integers(0, 3) | st.integers(0, 10**9)


@given(
    prices, prices, st.integers(0, 10**14), shares, st.sampled_from([1, 100_000]), shares, shares
)
def test_ratios_of_stats_are_written_as_ever(last, reference, value, volume, unit, buy, sell):
    market = Market()
    market.list("FPT", multiplier=unit)
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1:2])
    row = market.stats(
        "FPT",
        last_price_e2=last,
        reference_price_e2=reference,
        value_vnd=value,
        volume_shares=volume,
    )
    row["phase_side_volume_shares"][Phase.CONTINUOUS, Side.BUY] = buy
    row["phase_side_volume_shares"][Phase.ATC, Side.SELL] = sell
    rows = np.array([row], STATS.dtype)
    (frame,) = payloads(json_codecs(directory)[STATS.code].texts(rows, np.array([0]), ["1"]))
    want = ratios_as_ever(last, reference, value, volume, unit, buy, sell)
    assert frame.decode().endswith("," + want + "}}")


def test_a_book_is_measured_an_auction_s_is_not_and_a_quote_never(market, encode):
    for cents in range(
        1, 300
    ):  # a spread is exact, whatever floats say: 0.29 * 100 is less than 29
        levels = [(143_200, 100)], [(143_200 + cents, 200)]
        data = encode(BOOK, market.book("VN30F2108", *levels))["data"]
        assert data["spread"] == cents / 100
    levels = [(2_525_000, 4_400)], [(2_530_000, 1_900)]
    data = encode(BOOK, market.book("FPT", *levels))["data"]
    assert [data[name] for name in ("spread", "mid", "microprice", "imbalance")] == [
        50,
        25_275,
        25_284.9206,
        0.396825,
    ]
    row = market.book("FPT", *reversed(levels))
    row["flags"] = DeltaFlag.CROSSED
    data = encode(BOOK, row)["data"]
    assert [data[name] for name in ("spread", "mid", "microprice", "imbalance")] == [None] * 4
    data = encode(QUOTE, market.quote("FPT", 2_525_000, 2_530_000))["data"]
    assert not data.keys() & {"spread", "mid", "microprice", "imbalance"}


def test_counts_are_whole_numbers_and_exact(market, encode):
    row = market.put(
        FOREIGN,
        "FPT",
        buy_value_vnd=1,
        sell_value_vnd=9_007_199_254_740_001,
        total_room_shares=100,
        current_room_shares=50,
        room_used_5m_shares=7,
    )
    data = encode(FOREIGN, row)["data"]
    assert data["net_value_vnd"] == -9_007_199_254_740_000
    assert data["exhausted_in_s"] == 2_142
    row["room_used_5m_shares"] = -7  # the room grows
    assert encode(FOREIGN, row)["data"]["exhausted_in_s"] is None


def test_a_negative_basis_is_written_like_a_price(market, encode):
    row = market.put(
        BASIS,
        "VN30F2108",
        basis_e2=-5,
        spot_value_e2=142_800,
        basis_state=BasisState.DISCOUNT,
        expiry_day=DAY,
        trade_day=DAY,
    )
    data = encode(BASIS, row)["data"]
    assert (data["basis"], data["basis_pct"]) == (-0.05, -0.0035)
    assert (data["days_to_expiry"], data["annualised_basis_pct"]) == (0, None)


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - BARE))
def test_measures_of_nothing_are_null_or_numbers_never_nan(name, market, encode):
    channel = BY_NAME[name]
    data = encode(channel, market.put(channel, "FPT"))["data"]
    for measure in MEASURES[name]:
        assert data[measure.name] is None or data[measure.name] == 0


def test_an_alert_says_who_it_is_in_two_languages(market, encode):
    row = market.put(
        ALERTS, "VN30F2108", alert_type=AlertType.BLOCK_TRADE, alert_no=7, trade_day=DAY
    )
    row["volume_shares"], row["price_e2"], row["value_vnd"] = 40, 143_210, 5_728_400_000
    data = encode(ALERTS, row)["data"]
    assert data["id"] == "20210715-block_trade-VN30F2108-7"
    assert data["text_en"] == sentences.sentence_en(row, "VN30F2108", 100_000)
    assert data["text_vi"] == sentences.sentence_vi(row, "VN30F2108", 100_000)
    assert "contracts" in data["text_en"]  # the multiplier is the contract's


def test_an_alert_of_a_type_unknown_here_is_shown_without_words(market, encode):
    for unknown in (AlertType.NONE, 200):
        data = encode(ALERTS, market.put(ALERTS, "FPT", alert_type=unknown, price_e2=100))["data"]
        assert (data["id"], data["text_en"], data["text_vi"], data["price"]) == (None,) * 3 + (1,)


def test_vietnamese_travels_as_ascii(market):
    directory = Directory(64)
    directory.learn(market.latest["symbol"][1:3])
    row = market.put(ALERTS, "FPT", alert_type=AlertType.HALT, trade_day=DAY)
    rows = np.array([row], ALERTS.dtype)
    (frame,) = payloads(json_codecs(directory)[ALERTS.code].texts(rows, np.array([0]), ["1"]))
    assert frame.isascii()
    assert "tạm ngừng" in orjson.loads(frame)["data"]["text_vi"]

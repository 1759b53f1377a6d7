"""Ids and sentences: what a trader reads, in both languages."""

import subprocess
import sys
from datetime import date

import numpy as np
import pytest

from engine.alerts.sentences import alert_id, sentence_en, sentence_vi
from engine.alerts.wording import ENGLISH, VIETNAMESE, decimal, rounded
from engine.market.facts import day_number
from engine.schema.codes import (
    AlertState,
    AlertType,
    FeedState,
    GapCause,
    LimitState,
    Phase,
)
from engine.schema.deltas import ALERT_DELTA

BEGIN, END, SOON = AlertState.BEGIN, AlertState.END, AlertState.SOON
BN = 10**9


def alert(kind: AlertType, **fields):
    """Return one alert record."""
    row = np.zeros(1, ALERT_DELTA)[0]
    for name, value in (fields | {"alert_type": kind, "alert_no": 3}).items():
        row[name] = value
    return row


SAID = [
    (
        alert(
            AlertType.VOLUME_SPIKE, price_e2=8_800_000, volume_shares=50_000, measured=421,
            threshold=300, count=37, duration_s=1_200,
        ),
        "FPT: volume spike, 50,000 shares at 88,000 in one match, 4.2 times the mean of 37 trades "
        "in the 20 min before.",
        "FPT: khối lượng đột biến, khớp 50.000 cổ phiếu giá 88.000 trong một lệnh, gấp 4,2 lần "
        "trung bình của 37 lệnh trong 20 phút trước.",
    ),
    (
        alert(
            AlertType.PRICE_LIMIT, alert_state=BEGIN, limit_state=LimitState.CEILING,
            level_e2=9_410_000, price_e2=9_410_000,
        ),
        "FPT is at its ceiling of 94,100.",
        "FPT chạm giá trần 94.100.",
    ),
    (
        alert(
            AlertType.PRICE_LIMIT, alert_state=END, limit_state=LimitState.FLOOR,
            level_e2=8_190_000, price_e2=8_200_050, volume_shares=1_200_000, duration_s=3_905,
        ),
        "FPT left its floor of 81,900 after 1 h 5 min, at 82,000.5; 1,200,000 shares were queued "
        "there.",
        "FPT rời giá sàn 81.900 sau 1 giờ 5 phút, khớp giá 82.000,5; dư bán sàn trước đó 1.200.000 "
        "cổ phiếu.",
    ),
    (
        alert(
            AlertType.PRICE_LIMIT, alert_state=END, limit_state=LimitState.CEILING,
            level_e2=9_410_000, price_e2=9_400_000, duration_s=5,
        ),
        "FPT left its ceiling of 94,100 after 5 s, at 94,000.",
        "FPT rời giá trần 94.100 sau 5 giây, khớp giá 94.000.",
    ),
    (
        alert(AlertType.FOREIGN_ACCELERATION, value_vnd=-5_500_000_000, measured=-2_500_000_000),
        "FPT: foreigners net sold 2.5 bn VND in 5 min, 83% of the net value before; today they net "
        "sold 5.5 bn VND.",
        "FPT: khối ngoại bán ròng 2,5 tỷ đồng trong 5 phút, bằng 83% giá trị ròng trước đó; từ đầu "
        "phiên bán ròng 5,5 tỷ đồng.",
    ),
    (
        alert(AlertType.BLOCK_TRADE, price_e2=8_800_000, volume_shares=100_000, value_vnd=8.8 * BN),
        "FPT: block trade of 100,000 shares at 88,000, worth 8.8 bn VND.",
        "FPT: khớp lệnh lớn 100.000 cổ phiếu giá 88.000, giá trị 8,8 tỷ đồng.",
    ),
    (
        alert(
            AlertType.BLOCK_TRADE, price_e2=8_800_000, volume_shares=250_000, value_vnd=22 * BN,
            phase=Phase.PUT_THROUGH,
        ),
        "FPT: put-through deal of 250,000 shares at 88,000, worth 22 bn VND.",
        "FPT: thỏa thuận lớn 250.000 cổ phiếu giá 88.000, giá trị 22 tỷ đồng.",
    ),
    (
        alert(AlertType.HALT, alert_state=BEGIN),
        "FPT: trading is halted.",
        "FPT bị tạm ngừng giao dịch.",
    ),
    (
        alert(AlertType.HALT, alert_state=END, duration_s=750),
        "FPT: trading resumed after 12 min 30 s.",
        "FPT giao dịch trở lại sau 12 phút 30 giây.",
    ),
    (
        alert(AlertType.ROOM_EXHAUSTED, alert_state=BEGIN),
        "FPT: foreign room is exhausted.",
        "FPT đã hết room khối ngoại.",
    ),
    (
        alert(AlertType.ROOM_EXHAUSTED, alert_state=SOON, volume_shares=8_500, measured=1_700),
        "FPT: foreign room of 8,500 shares will be used up in about 28 min 20 s at the present "
        "speed.",
        "FPT: room khối ngoại còn 8.500 cổ phiếu, dự kiến hết sau khoảng 28 phút 20 giây theo tốc "
        "độ hiện tại.",
    ),
    (
        alert(AlertType.ROOM_EXHAUSTED, alert_state=END, volume_shares=300, duration_s=100),
        "FPT: there is foreign room again, 300 shares, after 1 min 40 s.",
        "FPT: khối ngoại có room trở lại, 300 cổ phiếu, sau 1 phút 40 giây.",
    ),
    (
        alert(
            AlertType.FEED, alert_state=BEGIN, gap_no=2, gap_cause=GapCause.SKIPPED,
            volume_shares=700,
        ),
        "FPT: gap 2 opened, 700 shares traded and were not shown.",
        "FPT: phát hiện khoảng thiếu dữ liệu số 2, 700 cổ phiếu đã khớp nhưng không nhận được.",
    ),
    (
        alert(AlertType.FEED, alert_state=END, gap_no=2, duration_s=60),
        "FPT: gap 2 closed after 1 min.",
        "FPT: khoảng thiếu dữ liệu số 2 đã khép lại sau 1 phút.",
    ),
    (
        alert(AlertType.FEED, alert_state=BEGIN, feed_state=FeedState.DOWN),
        "The market data feed is away.",
        "Mất kết nối dữ liệu thị trường.",
    ),
    (
        alert(AlertType.FEED, alert_state=BEGIN, feed_state=FeedState.STALE),
        "The market data feed is connected, but silent.",
        "Dữ liệu thị trường vẫn kết nối nhưng không có tin mới.",
    ),
    (
        alert(AlertType.FEED, alert_state=END, feed_state=FeedState.LIVE, duration_s=0),
        "The market data feed is back after 0 s.",
        "Dữ liệu thị trường có trở lại sau 0 giây.",
    ),
    (
        alert(AlertType.FEED, gap_cause=GapCause.LOST, measured=1_200),
        "1,200 frames of the feed were dropped by our backlog.",
        "Hàng đợi của hệ thống bị tràn, mất 1.200 gói dữ liệu.",
    ),
    (
        alert(AlertType.RULE, rule=b"hot_money"),
        "FPT meets rule hot_money.",
        "FPT thỏa điều kiện hot_money.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row", "english", "vietnamese"), SAID, ids=[said for _, said, _ in SAID])
def test_a_sentence_in_english_and_one_in_vietnamese(row, english, vietnamese):
    assert sentence_en(row, "FPT", 1) == english
    assert sentence_vi(row, "FPT", 1) == vietnamese


def test_every_type_has_a_sentence_in_both_languages():
    assert {int(row["alert_type"]) for row, _, _ in SAID} | {AlertType.BASIS_FLIP} == set(
        AlertType
    ) - {AlertType.NONE}


@pytest.mark.parametrize(("basis", "english", "vietnamese"), [
    (-125, "a discount of 1.25 points", "âm 1,25 điểm"),
    (50, "a premium of 0.50 points", "dương 0,50 điểm"),
])  # fmt: skip
def test_futures_are_told_in_points_and_contracts(basis, english, vietnamese):
    row = alert(AlertType.BASIS_FLIP, price_e2=128_000 + basis, level_e2=128_000, measured=basis)
    price = f"1,{280 + basis / 100:.2f}"
    code = "VN30F2107"
    assert sentence_en(row, code, 100_000) == (
        f"{code} turned to {english}, {price} against a spot of 1,280.00."
    )
    swapped = price.translate(str.maketrans(",.", ".,"))
    assert sentence_vi(row, code, 100_000) == (
        f"{code}: chênh lệch chuyển sang {vietnamese}, giá {swapped} so với chỉ số cơ sở 1.280,00."
    )
    block = alert(
        AlertType.BLOCK_TRADE, price_e2=148_000, volume_shares=34, value_vnd=5_032 * 10**6
    )
    assert "34 contracts at 1,480.00, worth 5.03 bn VND" in sentence_en(block, code, 100_000)
    assert "34 hợp đồng giá 1.480,00, giá trị 5,03 tỷ đồng" in sentence_vi(block, code, 100_000)


def test_an_id_names_day_type_code_and_number():
    day = day_number(date(2026, 7, 20))
    spike = alert(AlertType.VOLUME_SPIKE, trade_day=day)
    assert alert_id(spike, "FPT") == "20260720-volume_spike-FPT-3"
    rule = alert(AlertType.RULE, trade_day=day, rule=b"hot_money")
    assert alert_id(rule, "FPT") == "20260720-rule.hot_money-FPT-3"


@pytest.mark.parametrize(
    ("value_vnd", "english", "vietnamese"),
    [
        (0, "0 VND", "0 đồng"),
        (999_999, "999,999 VND", "999.999 đồng"),
        (1_000_000, "1 m VND", "1 triệu đồng"),
        (1_234_567, "1.23 m VND", "1,23 triệu đồng"),
        (1_005_000_000, "1.01 bn VND", "1,01 tỷ đồng"),
        (-12_345_000_000_000, "-12,345 bn VND", "-12.345 tỷ đồng"),
    ],
)
def test_money_is_told_in_billions_and_millions(value_vnd, english, vietnamese):
    assert ENGLISH.money(value_vnd) == english
    assert VIETNAMESE.money(value_vnd) == vietnamese


def test_numbers_never_pass_through_a_float():
    assert decimal(2**62 * 100 + 7, 2) == "4,611,686,018,427,387,904.07"
    assert [rounded(value, 10, 0) for value in (4, 5, -5, 14, 15)] == [0, 1, -1, 1, 2]
    assert ENGLISH.duration(7_200) == "2 h"


def test_gateways_can_import_sentences_without_the_jit():
    code = "import sys, engine.alerts.sentences; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

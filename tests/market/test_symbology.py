"""What codes name."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market.days import is_trading_day
from engine.market.products import Product
from engine.market.symbology import (
    KRX_GO_LIVE,
    UNDERLYINGS,
    expiry_of,
    front_contract,
    future_code,
    identify,
    listed_months,
)
from engine.schema.codes import Instrument, Venue

D = dt.date.fromisoformat

CODES = """
# code         venue        instrument  value   underlying  expiry      product
SSI            HOSE         STOCK            1  -           -           SHARE
VNM            HOSE         STOCK            1  -           -           SHARE
TAR            HNX          STOCK            1  -           -           SHARE
YTC            UPCOM        STOCK            1  -           -           SHARE
X26            UPCOM        STOCK            1  -           -           SHARE
CTG            HOSE         STOCK            1  -           -           SHARE
FUCTVGF3       HOSE         STOCK            1  -           -           SHARE
E1VFVN30       HOSE         STOCK            1  -           -           ETF
FUEVFVND       HOSE         STOCK            1  -           -           ETF
FUEVN100       HOSE         STOCK            1  -           -           ETF
CFPT2401       HOSE         STOCK            1  -           -           WARRANT
CVHM2511       HOSE         STOCK            1  -           -           WARRANT
0.8536:        UNKNOWN      STOCK            1  -           -           SHARE
VN30           HOSE         INDEX            1  -           -           INDEX
VN30           UNKNOWN      INDEX            1  -           -           INDEX
VNINDEX        HOSE         INDEX            1  -           -           INDEX
VNIndex        HOSE         INDEX            1  -           -           INDEX
HNXindex       HNX          INDEX            1  -           -           INDEX
HNXUpcomIndex  UPCOM        INDEX            1  -           -           INDEX
HNX30          HNX          INDEX            1  -           -           INDEX
VN30F2407      DERIVATIVES  FUTURE      100000  VN30        2024-07-18  INDEX_FUTURE
VN30F2104      DERIVATIVES  FUTURE      100000  VN30        2021-04-15  INDEX_FUTURE
VN30F2107      UNKNOWN      FUTURE      100000  VN30        2021-07-15  INDEX_FUTURE
vn30f2407      DERIVATIVES  FUTURE      100000  VN30        2024-07-18  INDEX_FUTURE
VN30F1M        DERIVATIVES  FUTURE      100000  VN30        -           INDEX_FUTURE
VN30F2Q        DERIVATIVES  FUTURE      100000  VN30        -           INDEX_FUTURE
GB05F2512      DERIVATIVES  FUTURE       10000  GB05        2025-12-15  BOND_FUTURE
GB10F2109      DERIVATIVES  FUTURE       10000  GB10        2021-09-15  BOND_FUTURE
41I1F3000      DERIVATIVES  FUTURE      100000  VN30        2025-03-20  INDEX_FUTURE
41I1G4000      DERIVATIVES  FUTURE      100000  VN30        2026-04-16  INDEX_FUTURE
41I1G2000      DERIVATIVES  FUTURE      100000  VN30        2026-02-13  INDEX_FUTURE
41I1GA000      DERIVATIVES  FUTURE      100000  VN30        2026-10-15  INDEX_FUTURE
41I1GC000      DERIVATIVES  FUTURE      100000  VN30        2026-12-17  INDEX_FUTURE
41I1H3000      DERIVATIVES  FUTURE      100000  VN30        2027-03-18  INDEX_FUTURE
41I2G2000      DERIVATIVES  FUTURE      100000  VN100       2026-02-13  INDEX_FUTURE
41B5G9000      DERIVATIVES  FUTURE       10000  GB05        2026-09-15  BOND_FUTURE
41BAFC000      DERIVATIVES  FUTURE       10000  GB10        2025-12-15  BOND_FUTURE
41I9G4000      DERIVATIVES  FUTURE           1  -           -           INDEX_FUTURE
41I9G4000      UNKNOWN      FUTURE           1  -           -           INDEX_FUTURE
41I1GD000      DERIVATIVES  FUTURE           1  -           -           INDEX_FUTURE
41I1I4000      DERIVATIVES  FUTURE           1  -           -           INDEX_FUTURE
41I1G4001      DERIVATIVES  FUTURE           1  -           -           INDEX_FUTURE
VN30F2413      DERIVATIVES  FUTURE           1  -           -           INDEX_FUTURE
VN30F2413      HOSE         STOCK            1  -           -           SHARE
41I1GD000      HOSE         STOCK            1  -           -           SHARE
"""

MONTHS = """
VN30  2021-07-15  2107 2108 2109 2112
VN30  2021-07-16  2108 2109 2112 2203
VN30  2026-08-26  2609 2610 2612 2703
VN30  2025-11-03  2511 2512 2603 2606
VN30  2025-12-19  2601 2602 2603 2606
GB10  2021-06-28  2109 2112 2203
GB05  2021-09-15  2109 2112 2203
GB05  2021-09-16  2112 2203 2206
"""


def _lines(table):
    return [line.split() for line in table.strip().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("code", "venue", "instrument", "value", "underlying", "expiry", "product"), _lines(CODES)
)
def test_codes(code, venue, instrument, value, underlying, expiry, product):
    assert identify(code, Venue[venue]) == (
        Instrument[instrument],
        int(value),
        None if underlying == "-" else underlying,
        None if expiry == "-" else D(expiry),
        Product[product],
    )


@pytest.mark.parametrize("line", _lines(MONTHS), ids=" ".join)
def test_listed_months(line):
    underlying, date, *months = line
    listed = listed_months(underlying, D(date))
    assert [f"{year % 100:02}{month:02}" for year, month in listed] == months


def test_the_contracts_seen_active_on_2026_08_26():
    day = D("2026-08-26")  # ssi-wire 4.5
    assert [future_code("VN30", *month, day) for month in listed_months("VN30", day)] == [
        "41I1G9000",
        "41I1GA000",
        "41I1GC000",
        "41I1H3000",
    ]


@pytest.mark.parametrize(
    ("date", "code"),
    [
        ("2021-07-14", "VN30F2107"),
        ("2021-07-15", "VN30F2107"),  # rolls after its last day, not on it
        ("2021-07-16", "VN30F2108"),
        ("2021-08-20", None),
    ],
)
def test_the_front_contract_rolls_after_its_expiry(date, code):
    codes = ["VN30F2108", "SSI", "VN30", "VN30F1M", "VN30F2107", "GB05F2107", "41I9F3000"]
    assert front_contract(codes, "VN30", D(date)) == code


def test_the_front_contract_never_mixes_underlyings():
    codes = ["41I1G9000", "41I2G8000", "41B5G9000"]
    day = D("2026-08-20")
    assert front_contract(codes, "VN30", day) == "41I1G9000"
    assert front_contract(codes, "VN100", day) == "41I2G8000"
    assert front_contract(codes, "GB05", day) == "41B5G9000"
    assert front_contract(codes, "GB10", day) is None


@pytest.mark.parametrize(
    ("letter", "year"),
    [
        ("A", 2020),
        ("F", 2025),
        ("G", 2026),
        ("H", 2027),
        ("J", 2028),
        ("N", 2032),
        ("P", 2033),
        ("T", 2037),
        ("V", 2038),
        ("W", 2039),
        ("0", 2010),
        ("9", 2019),
    ],
)
def test_year_letters(letter, year):
    expiry = identify(f"41I1{letter}6000", Venue.DERIVATIVES).expiry
    assert (expiry.year, expiry.month) == (year, 6)


def test_what_cannot_be_written_is_an_error():
    with pytest.raises(KeyError):
        future_code("VN30", 2040, 1, KRX_GO_LIVE)
    with pytest.raises(KeyError):
        expiry_of("SSI", 2026, 1)


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(UNDERLYINGS)),
    st.integers(2017, 2039),
    st.integers(1, 12),
    st.sampled_from([D("2021-07-15"), D("2025-05-04"), KRX_GO_LIVE, D("2026-08-26")]),
)
def test_a_written_code_reads_back(underlying, year, month, day):
    code = future_code(underlying, year, month, day)
    assert len(code) == (9 if day >= KRX_GO_LIVE else len(underlying) + 5)
    identity = identify(code, Venue.UNKNOWN)
    assert identity.instrument is Instrument.FUTURE
    assert identity.underlying == underlying
    assert identity.expiry == expiry_of(underlying, year, month)


@settings(deadline=None, derandomize=True)
@given(st.integers(2015, 2039), st.integers(1, 12))
def test_index_futures_expire_on_the_third_thursday_or_just_before_it(year, month):
    expiry = expiry_of("VN30", year, month)
    thursdays = [
        day
        for day in (dt.date(year, month, 1) + dt.timedelta(days=i) for i in range(28))
        if day.weekday() == 3
    ]
    assert is_trading_day(expiry)
    skipped = (expiry + dt.timedelta(days=i) for i in range(1, (thursdays[2] - expiry).days + 1))
    assert expiry <= thursdays[2]
    assert not any(is_trading_day(day) for day in skipped)


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=20), st.sampled_from(list(Venue)))
def test_any_text_has_an_identity(code, venue):
    identity = identify(code, venue)
    assert identity.value_multiplier >= 1
    assert identity.instrument is not Instrument.UNKNOWN

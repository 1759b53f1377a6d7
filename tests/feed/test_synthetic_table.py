"""A table that cannot be a trading day is refused with a sentence: file, line, column, numbers."""

import datetime as dt

import pytest

from engine.errors import ConfigError
from engine.feed.synthetic import (
    SHIPPED_FUTURES,
    SHIPPED_TABLE,
    read_futures,
    read_members,
    read_table,
)
from engine.feed.synthetic.table import prints_min
from engine.schema.codes import Venue

HEADER = "symbol,exchange,prior_close_vnd,open_vnd,high_vnd,low_vnd,close_vnd,volume_shares,name"
GOOD = "HPG,HOSE,47000,47000,48000,46500,47500,26337900,Hoa Phat"
BARS = "start,open,high,low,close,volume_contracts"
GOOD_BAR = "2021-07-15 09:00:00,1410.8,1411.5,1403.1,1406.8,13624"


def write(tmp_path, *lines, name="market-day-2021-07-15.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_shipped_table():
    table = read_table(SHIPPED_TABLE)
    assert len(table.listings) == 701
    assert table.date == dt.date(2021, 7, 15)
    by_code = {listing.code: listing for listing in table.listings}
    agp = by_code["AGP"]
    assert (agp.venue, agp.prior_close_e2, agp.ohlc_e2, agp.volume_shares) == (
        Venue.UPCOM,
        1_860_000,
        (1_810_000, 1_850_000, 1_810_000, 1_810_000),
        200,
    )
    assert sum(listing.volume_shares for listing in table.listings) == 466_591_600
    assert not by_code["ADC"].traded


def test_the_shipped_bars_and_basket():
    futures = read_futures(SHIPPED_FUTURES)
    assert futures.date == dt.date(2021, 7, 15)
    assert len(futures.bars) == 19
    assert futures.bars[-1] == (14 * 3600 + 45 * 60, 143_180, 143_180, 143_180, 143_180, 2_774)
    assert len(set(read_members())) == 30


@pytest.mark.parametrize(
    ("prices", "count"),
    [
        ((5, 5, 5, 5), 1),
        ((5, 6, 5, 6), 2),
        ((6, 6, 5, 5), 2),
        ((5, 6, 5, 5), 3),
        ((5, 6, 4, 6), 3),
        ((5, 7, 4, 6), 4),
        ((5, 7, 4, 5), 4),
    ],
)
def test_fewest_prints(prices, count):
    assert prints_min(*prices) == count


def test_columns_may_come_in_any_order_and_more_of_them(tmp_path):
    table = read_table(
        write(
            tmp_path,
            "extra,volume_shares,close_vnd,low_vnd,high_vnd,open_vnd,prior_close_vnd,exchange"
            ",symbol",
            "x,100,10,10,10,10,11,HNX,ABC",
            "",
            name="any.csv",
        )
    )
    assert table.date is None
    assert table.listings[0].name == ""
    assert table.listings[0].venue is Venue.HNX


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{GOOD}\r\n".encode())
    assert read_table(path).listings[0].code == "HPG"


def test_a_name_that_is_no_date_is_no_error(tmp_path):
    assert read_table(write(tmp_path, HEADER, GOOD, name="day-2021-13-45.csv")).date is None


BAD_ROWS = [
    ("HPG,HOSE,47000,47000,48000,47200,47500,1000,x", "low_vnd: low 47200 is above open_vnd 47000"),
    ("HPG,HOSE,47000,47000,46900,46500,46800,1000,x", "high_vnd: high 46900 is below open_vnd 470"),
    ("HPG,HOSE,47000,47000,48000,46500,46000,1000,x", "low_vnd: low 46500 is above close_vnd 46"),
    ("HPG,HOSE,47000,47000,46000,48000,47000,1000,x", "low_vnd: low 48000 is above"),
    ("HPG,HOSE,47000,47000,48000,46500,47500,-5,x", "volume_shares: '-5' is no whole number"),
    ("HPG,HOSE,47000,47000,48000,46500,47500,1.5,x", "volume_shares: '1.5' is no whole number"),
    ("HPG,HOSE,47000,47000,48000,46500,47500,,x", "volume_shares: '' is no whole number"),
    ("HPG,HOSE,47000,47000,48000,46500,47500,9e9,x", "volume_shares: '9e9' is no whole number"),
    ("HPG,HOSE,47000,4\u0667000,48000,46500,47500,100,x", "open_vnd: '4\u0667000' is no whole"),
    ("HPG,HOSE,47000,nan,48000,46500,47500,100,x", "open_vnd: 'nan' is no whole number"),
    ("HPG,HOSE,47000,47000,48000,46500,47500,3,x", "3 shares cannot make 4 prints"),
    ("HPG,HOSE,47000,47000,48000,47000,47000,0,x", "0 shares cannot make 3 prints"),
    ("HPG,HOSE,0,47000,48000,46500,47500,100,x", "prior_close_vnd: HPG has no prior close"),
    ("HPG,HOSE,47000,0,48000,0,47500,100,x", "low_vnd: HPG traded 100 shares at price 0"),
    ("HPG,HSX,47000,47000,48000,46500,47500,100,x", "exchange: 'HSX' is unknown; a stock is on"),
    ("HPG,DERIVATIVES,1,1,1,1,1,100,x", "exchange: 'DERIVATIVES' is unknown"),
    ("hpg,HOSE,47000,47000,48000,46500,47500,100,x", "symbol: 'hpg' is no symbol"),
    (",HOSE,47000,47000,48000,46500,47500,100,x", "symbol: '' is no symbol"),
    ("ABCDEFGHIJKLMNOPQ,HOSE,1,1,1,1,1,100,x", "symbol: 'ABCDEFGHIJKLMNOPQ' is no symbol"),
    ("VN30,HOSE,1,1,1,1,1,100,x", "symbol: VN30 names an index or a future"),
    ("VN30F2107,HOSE,1,1,1,1,1,100,x", "symbol: VN30F2107 names an index or a future"),
    ("HPG,HOSE,47000,47000,48000,46500,47500,2000000001,x", "2000000001 is more than"),
    ("HPG,HOSE,47000,47000,10000001,46500,47500,100,x", "high_vnd: 10000001 is more than"),
    ("HPG,HOSE,9000000,9000000,9000000,9000000,9000000,1500000000,x", "are worth more than"),
]


@pytest.mark.parametrize(("row", "sentence"), BAD_ROWS)
def test_impossible_rows_are_refused(tmp_path, row, sentence):
    path = write(tmp_path, HEADER, "AAA,HOSE,1,1,1,1,1,100,", row)
    with pytest.raises(ConfigError) as refusal:
        read_table(path)
    assert str(refusal.value).startswith(f"{path}, line 3, column ")
    assert sentence in str(refusal.value)


def test_duplicates_name_both_lines(tmp_path):
    with pytest.raises(ConfigError, match="line 4, column symbol: HPG is already on line 2"):
        read_table(write(tmp_path, HEADER, GOOD, GOOD.replace("HPG", "HPX"), GOOD))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "line 1: the header lacks symbol, exchange"),
        ([HEADER], "the table has no rows"),
        ([HEADER.replace("volume_shares", "volume"), GOOD], "the header lacks volume_shares"),
        ([HEADER, GOOD + ",and more"], "line 2: 10 cells under a header of 9"),
        (
            [
                HEADER,
                "AAA,HOSE,1,9,9,9,9,1,",
                "BBB,HNX,1,9000000,9000000,9000000,9000000,900000000,",
            ],
            "all rows together are worth up to 8100000000000009 VND",
        ),
        ([HEADER, "HPG,HOSE"], "line 2: 2 cells under a header of 9"),
    ],
)
def test_misshapen_files_are_refused(tmp_path, lines, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_table(write(tmp_path, *lines))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        read_table(tmp_path)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        read_table(binary)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("2021-07-15 09:15:00,1410.8,1411.5,1412.0,1406.8,10", "low: low 1412.0 is above"),
        ("2021-07-15 09:15:00,1410.8,1409,1403,1406.8,10", "high: high 1409 is below open 1410.8"),
        ("2021-07-15 09:15:00,1410.85x,1411.5,1403,1406.8,10", "open: '1410.85x' is no price"),
        ("2021-07-15 09:15:00,1410.855,1411.5,1403,1406.8,10", "open: '1410.855' is no price"),
        ("2021-07-15 09:15:00,0,0,0,0,10", "low: a future cannot trade at 0"),
        ("2021-07-15 09:15:00,1410.8,200000,1403,1406.8,10", "high: 200000 points is more than"),
        ("2021-07-15 09:15:00,1410.8,1411.5,1403.1,1406.8,3", "3 contracts cannot make 4 prints"),
        ("2021-07-15 09:15:00,99999,99999,99999,99999,2000000000", "are worth more than"),
        ("2021-07-15 09:15:00,1410.8,1411.5,1403.1,1406.8,-1", "'-1' is no whole number"),
        ("2021-07-16 09:15:00,1410.8,1411.5,1403.1,1406.8,10", "is another day than 2021-07-15"),
        (
            "2021-07-15 09:00:00,1410.8,1411.5,1403.1,1406.8,10",
            "does not come after the bar before",
        ),
        (
            "2021-07-15 08:45:00,1410.8,1411.5,1403.1,1406.8,10",
            "does not come after the bar before",
        ),
        (
            "quarter past nine,1410.8,1411.5,1403.1,1406.8,10",
            "start: 'quarter past nine' is no time",
        ),
        ("2021-07-15T09:15:00+07:00,1410.8,1411.5,1403.1,1406.8,10", "no zone"),
    ],
)
def test_impossible_bars_are_refused(tmp_path, row, sentence):
    path = write(tmp_path, BARS, GOOD_BAR, row, name="bars.csv")
    with pytest.raises(ConfigError) as refusal:
        read_futures(path)
    assert str(refusal.value).startswith(f"{path}, line 3, column ")
    assert sentence in str(refusal.value)


def test_bars_without_volume_are_left_out(tmp_path):
    empty = "2021-07-15 09:15:00,1410.8,1410.8,1410.8,1410.8,0"
    assert len(read_futures(write(tmp_path, BARS, GOOD_BAR, empty)).bars) == 1
    with pytest.raises(ConfigError, match="no bar with a volume"):
        read_futures(write(tmp_path, BARS, empty))
    with pytest.raises(ConfigError, match="no bar with a volume"):
        read_futures(write(tmp_path, BARS))


def test_a_basket_is_checked_too(tmp_path):
    assert read_members(write(tmp_path, "symbol", "HPG", "VIC")) == ("HPG", "VIC")
    with pytest.raises(ConfigError, match="line 2, column symbol"):
        read_members(write(tmp_path, "symbol", "hpg"))

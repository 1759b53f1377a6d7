"""The whole day through the whole system, against the published figures."""

import re
from pathlib import Path

import pytest

from tests.e2e.running import Process, tape, verify_day

pytestmark = pytest.mark.e2e

TABLE = """\
symbol,exchange,prior_close_vnd,open_vnd,high_vnd,low_vnd,close_vnd,volume_shares,name
AAA,HOSE,20000,20100,20500,19900,20300,125000,round lots
AGP,UPCOM,18100,18100,18500,18100,18100,200,three prints in two lots
BBB,HNX,9900,10000,10300,9800,9900,33333,odd volume
CCC,HOSE,50000,50000,50000,50000,50000,0,never trades
DDD,UPCOM,12000,12100,12100,12100,12100,1,one share
"""
FUTURES = """\
start,open,high,low,close,volume_contracts
2026-03-02 09:00:00,1900.0,1905.5,1898.2,1901.1,900
2026-03-02 14:15:00,1901.0,1910.0,1900.5,1909.9,450
2026-03-02 14:45:00,1908.8,1908.8,1908.8,1908.8,77
"""


def digest_of(text: str) -> str:
    """Return the digest verify-day printed."""
    found = re.search(r"digest ([0-9a-f]{64})", text)
    assert found, text
    return found[1]


@pytest.mark.slow
def test_the_real_day_ends_on_the_published_figures_twice_alike() -> None:
    digests = []
    for _ in range(2):
        with tape("--speed", "max", "--seed", "3") as running:
            code, text = verify_day(running.url)
        assert code == 0, text
        assert (
            "701 of 701 symbols end on the published open, high, low, close and volume; "
            "phase and side sums add up" in text
        )
        assert "1 of 1 futures (VN30F2107)" in text
        digests.append(digest_of(text))
    assert digests[0] == digests[1]


def test_any_table_of_that_shape_can_be_played_and_verified(tmp_path: Path) -> None:
    table, futures = tmp_path / "day-2026-03-02.csv", tmp_path / "front.csv"
    table.write_text(TABLE, encoding="utf-8")
    futures.write_text(FUTURES, encoding="utf-8")
    files = ("--table", str(table), "--futures", str(futures))
    with tape("--speed", "max", *files) as running:
        code, text = verify_day(running.url, *files)
        assert code == 0, text
        assert "5 of 5 symbols" in text
        assert "1 of 1 futures (41I1G3000)" in text
        table.write_text(
            TABLE.replace("19900,20300,125000", "19900,20300,125100"), encoding="utf-8"
        )
        code, text = verify_day(running.url, *files, wait_s=1)
    assert code == 1
    assert "MISMATCH AAA: volume 125000 instead of 125100" in text


def test_two_shards_and_two_gateways_tell_the_same_day() -> None:
    size = ("--speed", "max", "--seed", "5", "--trades-max", "8000")
    seen = []
    for layout in ((), ("--set", "engine.shards=2", "--set", "gateway.count=2")):
        with tape(*size, *layout) as running:
            urls = [running.url]
            if layout:
                running.status(r"\| CLOSED \|")
                urls = [line.split()[-1] for line in running.lines if "clients connect" in line]
                assert len(urls) == 2
            for url in urls:
                code, text = verify_day(url)
                assert code == 0, text
                seen.append(digest_of(text))
    assert len(set(seen)) == 1, seen


def test_a_table_that_cannot_be_is_refused_with_line_and_column(tmp_path: Path) -> None:
    table = tmp_path / "day-2026-03-02.csv"
    table.write_text(
        TABLE.replace("AAA,HOSE,20000,20100,20500", "AAA,HOSE,20000,20100,20000"), encoding="utf-8"
    )
    process = Process(["-m", "tools.demo", "--speed", "max", "--table", str(table)])
    assert process.wait() == 78
    assert "line 2, column high_vnd" in process.text
    assert "Traceback" not in process.text

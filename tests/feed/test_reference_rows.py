"""The day's file of reference data."""

import datetime as dt
import json
import os
from dataclasses import replace

import pytest

from engine.feed.reference import (
    Reference,
    ReferenceRow,
    load_cached,
    reference_rows_by_code,
    store,
)
from engine.schema.codes import IndexMember, Venue

DAY = dt.date(2026, 8, 14)
BOTH = IndexMember.VN30 | IndexMember.VN100
SSI = ReferenceRow(
    "SSI", Venue.HOSE, 100, 2_675_000, 2_325_000, 2_500_000, 1_501_130_137, "S", "Chứng khoán", BOTH
)
FUTURE = ReferenceRow(
    "41I1G9000", Venue.DERIVATIVES, 1, 138_030, 119_970, 129_000, 0, "FU", "", IndexMember.NONE
)
TODAY = Reference(DAY, (FUTURE, SSI), ("HNX: no securities",), 3, "no symbol: {}")


def test_a_file_holds_everything():
    assert Reference.from_json(TODAY.to_json()) == TODAY
    assert Reference.from_json(Reference(DAY, ()).to_json()) == Reference(DAY, ())
    assert "Chứng khoán" in TODAY.to_json().decode()


def test_rows_by_code():
    assert reference_rows_by_code(TODAY) == {"SSI": SSI, "41I1G9000": FUTURE}


def test_only_without_problems_it_is_complete():
    assert not TODAY.complete
    assert replace(TODAY, problems=()).complete


def test_it_is_found_on_its_day_only(tmp_path):
    folder = tmp_path / "not" / "yet"
    assert load_cached(folder, DAY) is None
    file = store(folder, TODAY)
    assert load_cached(folder, DAY) == TODAY
    assert load_cached(folder, DAY + dt.timedelta(days=1)) is None
    file.rename(folder / "2026-08-17.json")  # a file under another day's name is not that day's
    assert load_cached(folder, dt.date(2026, 8, 17)) is None


def broken(**changes):
    facts = json.loads(TODAY.to_json())
    return json.dumps({**facts, **changes})


def broken_row(**changes):
    row = json.loads(TODAY.to_json())["rows"][1]
    return broken(rows=[{**row, **changes}])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "null",
        '"x"',
        TODAY.to_json().decode()[:-5],
        broken(format=2),
        broken(day="yesterday"),
        broken(day="1970-01-01"),
        broken(day=5),
        broken(rows=None),
        broken(rows=["SSI"]),
        broken(rows=[{}]),
        broken(problems=[1]),
        broken(junk_count=-1),
        broken_row(code="0.8536:"),
        broken_row(venue="MOON"),
        broken_row(indices=["VN31"]),
        broken_row(indices=[[]]),
        broken_row(lot_shares=1.5),
        broken_row(lot_shares=True),
        broken_row(ceiling_e2=2**31),
        broken_row(listed_shares=-1),
        broken_row(name="x" * 97),
        broken_row(security_type=None),
    ],
)
def test_a_broken_file_is_no_file(tmp_path, content):
    store(tmp_path, TODAY).write_text(content, encoding="utf-8")
    assert load_cached(tmp_path, DAY) is None


def test_a_file_that_is_no_text_is_no_file(tmp_path):
    store(tmp_path, TODAY).write_bytes(b"\xff\xfe\0")
    assert load_cached(tmp_path, DAY) is None
    (tmp_path / "2026-08-17.json").mkdir()
    assert load_cached(tmp_path, dt.date(2026, 8, 17)) is None


def test_a_failing_disk_leaves_the_old_file(tmp_path, monkeypatch):
    file = store(tmp_path, TODAY)

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store(tmp_path, Reference(DAY, ()))
    assert load_cached(tmp_path, DAY) == TODAY
    assert list(tmp_path.iterdir()) == [file]

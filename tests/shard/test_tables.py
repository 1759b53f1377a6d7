"""Every scenario in tests/tables/shard_*.txt, and proof that a wrong table is noticed."""

from pathlib import Path

import pytest

from tests.shard.table import Table

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("shard_*.txt"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_scenario(path):
    assert Table(path).play() > 0


def test_there_are_tables():
    assert len(TABLES) >= 8


@pytest.mark.parametrize(
    "lie",
    ["XT 10:00:00 100 100 100 | BASELINE", "XT 10:00:00 100 100 100 | MATCH\nend ABC volume=99"],
)
def test_a_table_that_lies_is_noticed(lie, tmp_path):
    path = tmp_path / "shard_lie.txt"
    path.write_text("symbol ABC HOSE 1\nday 2021-07-15\ntype time price size total | event\n" + lie)
    with pytest.raises(AssertionError, match="table says"):
        Table(path).play()

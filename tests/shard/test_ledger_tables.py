"""Every story in tests/tables/ledger_*.txt, and proof that a wrong one is noticed."""

from pathlib import Path

import pytest

from tests.shard.ledger_table import LedgerTable

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("ledger_*.txt"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert LedgerTable(path).play() > 0


def test_there_are_stories():
    assert len(TABLES) >= 6


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("10:00:00 trade 100 100 500 | -", "shown: gap 1 opens: 500 BASELINE since the open"),
        ("10:00:00 trade 100 100 100 | gap 1 opens: 0 SKIPPED since the open", "shown: -"),
        (
            "10:00:00 trade 100 100 500 | gap 1 opens: 500 BASELINE since the open | 499",
            "the day misses 500",
        ),
        ("10:00:00 feed LIVE | feed DOWN", "shown: feed LIVE"),
    ],
)
def test_a_story_that_lies_is_noticed(lie, said, tmp_path):
    path = tmp_path / "ledger_lie.txt"
    path.write_text("symbol ABC HOSE\nday 2021-07-15\n" + lie)
    with pytest.raises(AssertionError, match=said):
        LedgerTable(path).play()

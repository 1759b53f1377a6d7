"""Every story in tests/tables/board_*.txt, and proof that a wrong one is noticed."""

from pathlib import Path

import pytest

from tests.board.table import BoardTable

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("board_*.txt"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert BoardTable(path).play() > 0


def test_there_are_stories():
    assert len(TABLES) >= 4


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("market HOSE | advances=0 declines=1", "shown: advances=1 declines=0"),
        ("movers HOSE-GAIN | -", "shown: AAA 100000"),
        ("foreign ALL | symbol_count=0", "shown: symbol_count=1"),
        ("points VNINDEX | LISTED 1.0 | AAA 1.0 | -", "shown: NONE 0.0 | - | -"),
    ],
)
def test_a_story_that_lies_is_noticed(lie, said, tmp_path):
    path = tmp_path / "board_lie.txt"
    path.write_text(
        "share AAA HOSE\nday 2021-07-15\n"
        "10:00:00 AAA traded last=11000 ref=10000 volume=1\n"
        "10:00:00 AAA foreign buy=1 sell=0\n" + lie
    )
    with pytest.raises(AssertionError) as noticed:
        BoardTable(path).play()
    assert said in str(noticed.value)

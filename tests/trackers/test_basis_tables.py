"""Every story in tests/tables/basis_*.txt, and proof that a wrong one is noticed."""

from pathlib import Path

import pytest

from tests.trackers.basis_table import BasisTable

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("basis_*.txt"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert BasisTable(path).play() > 0


def test_there_are_stories():
    assert len(TABLES) >= 3


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("10:00:00 VN30F2107 1480 5 | -", r"shown: VN30F2107 1480 - \? = \? front active"),
        ("10:00:00 VN30 1480 | VN30F2107 1480 - 1480 = 0", r"shown: VN30F2107 \? - 1480 = \?"),
    ],
)
def test_a_story_that_lies_is_noticed(lie, said, tmp_path):
    path = tmp_path / "basis_lie.txt"
    path.write_text("day 2021-07-15\nsymbol VN30\nsymbol VN30F2107\n" + lie)
    with pytest.raises(AssertionError, match=said):
        BasisTable(path).play()

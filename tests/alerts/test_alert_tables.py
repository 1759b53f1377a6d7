"""Every story in tests/tables/alerts_*.txt, and proof that a wrong one is noticed."""

from pathlib import Path

import pytest

from tests.alerts.alert_table import AlertTable

TABLES = sorted((Path(__file__).parents[1] / "tables").glob("alerts_*.txt"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_story(path):
    assert AlertTable(path).play() > 0


def test_there_is_a_story_for_each_built_in_rule():
    assert len(TABLES) >= 8


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("09:15:00 status H | -", "told: critical: FPT: trading is halted."),
        ("09:15:00 status N | critical: FPT: trading is halted.", "told: -"),
        ("09:15:00 match 88000 90000 | info: FPT: block trade.", "told: info: FPT: block trade of"),
    ],
)
def test_a_story_that_lies_is_noticed(lie, said, tmp_path):
    path = tmp_path / "alerts_lie.txt"
    path.write_text("symbol FPT HOSE\nday 2021-07-15\n" + lie)
    with pytest.raises(AssertionError, match=said):
        AlertTable(path).play()

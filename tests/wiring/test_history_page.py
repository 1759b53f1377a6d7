"""What docs/history.md says exists, and what exists is on it."""

import re

import pytest

from engine.__main__ import build_parser
from engine.history.query import History
from engine.history.tables import TABLES
from gateway.rest import history as history_service
from gateway.rest.history_request import FIELDS, FILE_ROWS_MAX, FORMATS
from tests.gateway.rest.history_tape import write_history
from tests.house.sources import ROOT

PAGE = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")


def test_every_table_is_on_the_page_with_its_channel():
    for table in TABLES:
        (line,) = re.findall(rf"^\| `{table.name}` \|.*$", PAGE, re.MULTILINE)
        assert f"`{table.channels[0].name}`" in line


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    root = tmp_path_factory.mktemp("history")
    write_history(root)
    return History(root)


def questions():
    """Return the SQL of the page: of its block, and of its commands."""
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    told = [text.strip() for text in block.split(";\n") if text.strip()]
    return told + re.findall(r'vntape sql "([^"]+)"', PAGE)


@pytest.mark.parametrize("text", questions())
def test_every_question_on_the_page_is_answered(history, text):
    history.sql(text)


def test_the_bars_made_from_trades_are_bars(history):
    text = next(text for text in questions() if "time_bucket" in text)
    rows = history.sql(text).to_pylist()
    assert len(rows) == 25
    assert rows[0]["open"] == rows[0]["close"] == 100_000.0


def test_every_parameter_and_format_of_a_request_is_on_the_page():
    section = PAGE.split("## Over HTTP")[1].split("\n## ")[0]
    cells = " ".join(re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE))
    assert set(FIELDS) <= set(re.findall(r"`(\w+)`", cells))
    assert all(f"`{how}`" in section for how in FORMATS)
    assert f"at most {FILE_ROWS_MAX:,} rows" in section
    assert f"{history_service.WAITING_MAX} questions are waiting" in section
    assert f"longer than {history_service.QUESTION_LIMIT_S:g} s" in section


def test_every_option_of_the_two_words_is_on_the_page():
    words = next(action for action in build_parser()._actions if action.dest == "word")
    for word in ("sql", "export"):
        for action in words.choices[word]._actions:
            for option in action.option_strings[-1:]:
                if option not in ("--help", "--config", "--set"):
                    assert f"`{option}" in PAGE, option

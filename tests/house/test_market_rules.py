"""The page of market rules: every rule names a test, and every test that is named exists."""

import ast
import re
from functools import cache

import pytest

from engine.schema.codes import AlertType
from tests.house.sources import modules, text_files

PAGE = "docs/market-rules.md"
SECTION_COUNT = 12  # as the rules we were given
NO_BUILT_IN_RULE = {AlertType.NONE, AlertType.RULE}


def sections(text: str) -> dict[int, dict[str, list[str]]]:
    """Return section number -> rule -> the tests that hold it, of a page."""
    found: dict[int, dict[str, list[str]]] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        number = int(part.split(".")[0])
        assert number not in found, f"two sections {number}"
        lines = [line for line in part.splitlines() if line.startswith("|")]
        cells = [line.strip("|").split("|") for line in lines[2:]]
        rules = [rule.strip() for rule, _ in cells]
        assert len(rules) == len(set(rules)), f"a rule of section {number} is there twice"
        found[number] = {rule.strip(): re.findall(r"`([^`]+)`", held_by) for rule, held_by in cells}
    return found


@cache
def defined() -> set[str]:
    """Return ``path::test_name`` of every test function there is."""
    return {
        f"{path}::{node.name}"
        for path, tree in modules("tests").items()
        if path.split("/")[-1].startswith("test_")
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


RULES = sections(text_files()[PAGE])
NAMED = sorted({test for rules in RULES.values() for tests in rules.values() for test in tests})


def test_no_section_is_missing_or_empty():
    assert list(RULES) == list(range(1, SECTION_COUNT + 1))
    assert not [number for number, rules in RULES.items() if not rules]


def test_every_rule_names_a_test():
    assert not [rule for rules in RULES.values() for rule, tests in rules.items() if not tests]


def test_every_test_that_is_named_exists():
    assert not [test for test in NAMED if test not in defined()]


def test_names_tell_what_they_hold():
    """A scenario of a table is no name of a rule."""
    assert not [test for test in NAMED if test.split("::")[1] in ("test_story", "test_scenario")]


@pytest.mark.parametrize("kind", sorted(set(AlertType) - NO_BUILT_IN_RULE))
def test_every_type_of_alert_has_a_rule(kind):
    assert [rule for rule in RULES[10] if f"`{AlertType(kind).name.lower()}`" in rule]


@pytest.mark.parametrize(
    "line",
    [
        "| a rule | `tests/shard/test_events.py::test_nobody_wrote_this` |",
        "| a rule | `tests/shard/test_nowhere.py::test_a_match_exists_when_the_total_grew` |",
    ],
)
def test_the_alarm_rings_for_a_test_that_is_none(line):
    ((rule, tests),) = sections(f"## 1. x\n\n| rule | held by |\n|---|---|\n{line}\n")[1].items()
    assert rule == "a rule"
    assert not set(tests) & defined()


def test_the_alarm_rings_for_a_rule_without_a_test():
    assert sections("## 3. x\n\n| rule | held by |\n|---|---|\n| a rule | |\n") == {
        3: {"a rule": []}
    }

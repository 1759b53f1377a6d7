"""Conditions of the operator's own rules, from tables that he could read."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.alerts.expressions import compile_condition
from engine.alerts.fields import OFFERED, NumberField, fields_of
from engine.errors import ConfigError
from engine.market.measures import MEASURES
from engine.schema import words
from engine.schema.channels import BY_NAME, CHANNELS
from engine.schema.codes import Side
from gateway.plan import members_of

TABLES = Path(__file__).parents[1] / "tables"


def row_of(text: str) -> np.ndarray:
    """Return the row that a `row` line of the table tells, shape (1,)."""
    channel, *cells = text.split()
    row = np.zeros(1, BY_NAME[channel].dtype)
    for cell in cells:
        name, value = cell.split("=")
        if name in Side.__members__:
            row["phase_side_volume_shares"][0, 2, Side[name]] = int(value)
        elif name + "_e2" in row.dtype.names:
            row[name + "_e2"] = int(Decimal(value) * 100)
        else:
            row[name] = code_of(name, value)
    return row


def code_of(name: str, value: str) -> Any:
    if name in words.WORDS:
        return words.WORDS[name][value]
    if name in words.FLAGS:
        return sum(words.FLAGS[name][word] for word in value.split(","))
    return int(value) if value.isdecimal() else value.encode()


def conditions() -> list[Any]:
    """Return (where, row, condition, outcome) of every line."""
    cases, row = [], ""
    path = TABLES / "rules_conditions.txt"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#", 1)[0].strip()
        if text.startswith("row "):
            row = text.removeprefix("row ")
        elif text:
            condition, outcome = (part.strip() for part in text.split("|"))
            cases.append(pytest.param(row, condition, outcome, id=f"{number}: {condition}"))
    return cases


@pytest.mark.parametrize(("row", "condition", "outcome"), conditions())
def test_what_a_condition_says_of_a_row(row: str, condition: str, outcome: str):
    told = row_of(row)
    units = np.array([100_000 if "1283.9" in row else 1], np.int64)
    yes, no = (
        bool(compile_condition("mine", text).holds(told, units)[0])
        for text in (condition, f"not ({condition})")
    )
    assert (yes, no) == {"yes": (True, False), "no": (False, True)}.get(outcome, (False, False))


def refusals() -> list[Any]:
    """Return (condition, column, words) of every pair of lines."""
    lines = (TABLES / "rules_refused.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    return [
        pytest.param(text, caret.index("^"), caret.split("^")[1].split(";"), id=text)
        for text, caret in zip(lines[::2], lines[1::2], strict=True)
    ]


@pytest.mark.parametrize(("text", "column", "said"), refusals())
def test_a_refusal_names_the_rule_shows_the_text_and_points_at_the_column(text, column, said):
    with pytest.raises(ConfigError) as refusal:
        compile_condition("big_buyer", text)
    head, shown, caret = str(refusal.value).split("\n")
    assert head.startswith(f"rules.big_buyer, column {column + 1}: ")
    assert shown == f"    {text}"
    assert caret == " " * (4 + column) + "^"
    for words_ in said:
        assert words_.strip() in head


def test_a_condition_may_have_several_lines_and_the_column_counts_on():
    text = "stats.value_vnd > 5e9\n\tand stats.vwap > 1\r\n"
    assert compile_condition("mine", text).channel.name == "stats"
    with pytest.raises(ConfigError, match=r"rules\.mine, column 34: stats has no field vwop"):
        compile_condition("mine", text.replace("vwap", "vwop"))


@pytest.mark.parametrize("text", ["stats.vwap = 1", "stats.vwap 1", "(stats.vwap", "'", "a;b"])
def test_what_python_cannot_read_is_refused_in_its_words(text):
    """Which column it names differs from version to version."""
    with pytest.raises(ConfigError, match=r"^rules\.mine, column \d+: not a condition: ."):
        compile_condition("mine", text)


def test_text_that_is_no_unicode_is_refused_too():
    """A command line in another encoding arrives so."""
    with pytest.raises(ConfigError, match="not a condition"):
        compile_condition("mine", "feed.detail == '\udce9'")


def test_nothing_warns_whatever_the_numbers():
    rows = np.zeros(2, BY_NAME["trade"].dtype)
    rows["value_vnd"] = np.iinfo(np.int64).max
    units = np.ones(2, np.int64)
    text = "trade.value_vnd * 1e300 * 1e300 > 0 or 1 / trade.volume_shares > 0 or 0 / 0 == 1"
    assert not compile_condition("mine", text).holds(rows, units).any()


def test_no_rows_have_no_answers():
    empty = np.zeros(0, BY_NAME["trade"].dtype)
    condition = compile_condition("mine", "trade.price > 1")
    assert condition.holds(empty, np.zeros(0, np.int64)).shape == (0,)


# --- names -------------------------------------------------------------------------------------


def test_rules_are_offered_every_public_channel_of_a_shard_but_alerts():
    boards = {channel.name for channel in CHANNELS if channel.board}
    assert set(OFFERED) == {each.name for each in CHANNELS} - boards - {"symbol", "alerts"}


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_every_field_that_is_offered_can_be_asked_of_a_blank_row(name: str):
    found = fields_of(BY_NAME[name])
    assert found.keys() >= {measure.name for measure in MEASURES.get(name, ())}
    assert "phase" in found
    blank, units = np.zeros(3, BY_NAME[name].dtype), np.ones(3, np.int64)
    for field_name, field in found.items():
        assert field.column(blank, units).shape == (3,)
        if isinstance(field, NumberField):
            assert compile_condition("mine", f"{name}.{field_name} >= 0").channel.name == name


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_a_rule_uses_the_names_that_clients_see(name: str):
    blank = np.zeros(1, BY_NAME[name].dtype)
    members = (text % next(iter(column(blank))) for text, column in members_of(BY_NAME[name]))
    seen = json.loads("{" + ",".join(members) + "}").keys()
    assert fields_of(BY_NAME[name]).keys() <= seen | {each.name for each in MEASURES.get(name, ())}


def test_times_dates_arrays_and_reserve_are_not_offered():
    for channel in OFFERED.values():
        for name in fields_of(channel):
            assert not name.endswith(("_s_s", "_ns", "_day", "_date", "exch_s", "_e2", "_e4"))
            assert "reserved" not in name
            field = channel.dtype.fields.get(name) or channel.dtype.fields.get(f"{name}_e2")
            assert field is None or field[0].shape == ()


def test_every_byte_of_a_row_that_is_a_code_has_its_words():
    for channel in CHANNELS:
        for name in channel.dtype.names:
            if channel.dtype[name] == np.uint8 and "reserved" not in name:
                assert name in words.WORDS or name in words.FLAGS or name in words.TRUTHS, name

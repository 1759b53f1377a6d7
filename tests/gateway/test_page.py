"""The client's page shows what is really sent: its examples are golden frames, its words exist."""

import re
from pathlib import Path

import orjson
import pytest

from engine.board import keys
from engine.schema import codes
from engine.schema.channels import CHANNELS
from tests.gateway.gallery import GOLDEN

PAGE = Path(__file__).parents[2] / "docs" / "client-protocol.md"
WITH_GOLDEN_EXAMPLE = [
    channel.name
    for channel in CHANNELS
    if channel.code > 7 and (not channel.name.startswith("bar.") or channel.name == "bar.1m")
]


def sections():
    """Heading of each channel -> its text."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^##+ ", text, flags=re.MULTILINE)
    return {part.split(":")[0]: part for part in parts if ":" in part.split("\n")[0]}


def table(text, head):
    """First cells of the table whose first column is called so."""
    found = re.search(rf"^\| {head} \|.*\n\|---.*\n(?:\|.*\n)+", text, re.MULTILINE)
    assert found, head
    return re.findall(r"^\| (.+?) \|", found[0], re.MULTILINE)[
        1:
    ]  # the line below the head is no row


@pytest.mark.parametrize("name", WITH_GOLDEN_EXAMPLE)
def test_the_example_of_a_channel_is_a_golden_frame(name):
    golden = [orjson.loads(line) for line in GOLDEN.read_bytes().splitlines()]
    examples = re.findall(r"```json\n(.*?)```", sections()[name], re.DOTALL)
    assert examples
    for example in examples:
        shown = orjson.loads(example)
        assert shown["topic"].rpartition(".")[0] == name
        assert shown in golden


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bar.1m", codes.BarFlag),
        ("basis", codes.BasisState),
        ("basis", codes.Underlying),
        ("basis", codes.ContractFlag),
        ("limits", codes.LimitState),
        ("limits", codes.LimitEvent),
        ("alerts", codes.AlertType),
        ("alerts", codes.AlertState),
        ("alerts", codes.Severity),
        ("attribution", codes.WeightsSource),
        ("status", codes.FeedSession),
        ("status", codes.TradingStatus),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_every_word_is_explained_where_it_is_met(name, kind):
    words = {word.name for word in kind if word or not issubclass(kind, codes.IntFlag)}
    assert not {word for word in words if f"`{word}`" not in sections()[name]}


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("alerts", "`alert_type`", codes.AlertType),
        ("limits", "`limit_event`", codes.LimitEvent),
    ],
)
def test_every_alert_and_event_has_a_line(name, head, kind):
    cells = table(sections()[name], head)
    assert {cell.strip("`") for cell in cells} == {word.name for word in kind}


def test_every_key_of_the_board_is_named():
    text = PAGE.read_text(encoding="utf-8").split("\n## The board\n")[1].split("\n## ")[0]
    assert not {key for key in (*keys.SCOPES, *keys.LISTS, *keys.INDICES) if f"`{key}`" not in text}


def test_entries_of_rankings_are_described():
    assert table(sections()["movers"], "field of an entry") == [
        "`code`",
        "`price`, `reference_price`",
        "`volume_shares`, `value_vnd`",
        "`measure`",
    ]

"""What the pages say exists, and what exists is on the pages."""

import argparse
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from engine import config
from engine.__main__ import build_parser
from engine.ring.layout import ring_bytes
from engine.schema.channels import CHANNELS
from engine.schema.codes import DeltaFlag, FeedState, Phase, Side, SideRule
from engine.schema.slots import SLOT
from gateway.directory import Directory
from gateway.encode import Codec
from gateway.errors import RETRY, ErrorCode
from tests.house.sources import ROOT, text_files

CLIENT, OPERATOR = "docs/client-protocol.md", "docs/operations.md"
PAGES = ("README.md", "ARCHITECTURE.md", CLIENT, OPERATOR)
EXAMPLE = ROOT / "vntape.example.toml"
PUBLIC = [channel for channel in CHANNELS if channel.public]
KEYS = {
    f"{section}.{item.name}"
    for section in config.SECTIONS
    for item in fields(getattr(config.Config(), section))
}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def row(text: str, *cells: str) -> bool:
    """Return whether a table of the page has a row that begins with these cells."""
    start = r"\s*\|\s*".join(re.escape(cell) for cell in cells)
    return re.search(rf"^\|\s*{start}\s*\|", text, re.MULTILINE) is not None


# --- the client's page ---------------------------------------------------------------------------


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_every_public_channel_is_described(channel):
    text = page(CLIENT)
    assert row(text, f"`{channel.name}`")
    assert re.search(rf"^### {channel.name}: {channel.meaning_vi}$", text, re.MULTILINE)
    listed = re.search(rf"^\| `{channel.name}` \|.*$", text, re.MULTILINE)
    assert listed
    assert f"| `{channel.default_mode}` |" in listed[0]


@pytest.mark.parametrize("channel", PUBLIC, ids=lambda channel: channel.name)
def test_every_field_a_client_sees_is_named(channel):
    text = page(CLIENT)
    codec = Codec(channel, Directory(2))
    frame = codec.frames(blank(channel), np.zeros(1, np.int64), [""])[0]
    names = set(re.findall(r'"(\w+)":', frame))
    missing = {name for name in names if not re.search(rf"[`\"]{name}[`\"]", text)}
    assert names
    assert not missing


def blank(channel):
    """Return a row of zeros, with something in every table so that its cells are shown."""
    rows = np.zeros(1, channel.dtype)
    rows["seq"] = 1
    for name in ("phase_side_volume_shares", "phase_disagree_count"):
        if name in channel.dtype.names:
            rows[name] = 1
    return rows


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: code.name)
def test_every_error_code_is_described(code):
    line = re.search(rf"^\| {int(code)} \| `{code.name.lower()}` \|.*$", page(CLIENT), re.MULTILINE)
    assert line
    assert line[0].endswith(f"| `{RETRY[code]}` |")


@pytest.mark.parametrize("kind", [Phase, Side, SideRule, DeltaFlag], ids=lambda kind: kind.__name__)
def test_every_word_a_client_can_meet_is_explained(kind):
    missing = [word.name for word in kind if word.name and f"`{word.name}`" not in page(CLIENT)]
    assert set(missing) <= ({"NONE"} if kind is DeltaFlag else set())


def test_every_state_of_the_feed_is_explained():
    for state in FeedState:
        assert f"`{state.name.lower()}`" in page(CLIENT)


# --- words, keys and files -----------------------------------------------------------------------


def words_of(parser: argparse.ArgumentParser, so_far: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return every chain of words the command line knows, also the incomplete ones."""
    found = {so_far}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                found |= words_of(below, (*so_far, word))
    return found


def commands(text: str) -> set[tuple[str, ...]]:
    """Return the words that follow ``vntape`` in code: `...` spans and fenced blocks."""
    code = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    lines = [line.split("#")[0] for block in code for line in block.splitlines()]
    # A path or a variable may stand before it; a colon after it is one of its own messages.
    calls = [re.search(r"(?:^|[\s/])vntape((?: [a-z][\w-]*)+)", line) for line in lines]
    return {tuple(call[1].split()) for call in calls if call}


@pytest.mark.parametrize("name", [*PAGES, EXAMPLE.name])
def test_every_word_of_the_command_exists(name):
    known = words_of(build_parser())
    depth = max(map(len, known))
    unknown = {
        words
        for words in commands(page(name))
        if not any(words[:n] in known for n in range(1, depth + 1))
    }
    assert not unknown


def test_the_pages_use_the_command():
    used = {words[0] for name in PAGES for words in commands(page(name))}
    assert used == {words[0] for words in words_of(build_parser()) if words}


@pytest.mark.parametrize("name", PAGES)
def test_every_configuration_key_and_section_exists(name):
    text = page(name)
    sections = "|".join(config.SECTIONS)
    named = set(re.findall(rf"`(?:--set )?((?:{sections})\.\w+)(?: ?=[^`]*)?`", text))
    named |= set(re.findall(r"--set (\w+\.\w+)=", text))
    allowed = {"feed.state", "feed.FEED"}  # a field of frames, and a topic
    assert named - KEYS <= allowed
    assert set(re.findall(r"`\[(\w+)\]`", text)) <= set(config.SECTIONS)


def test_the_operators_page_names_every_section():
    assert set(re.findall(r"`\[(\w+)\]`", page(OPERATOR))) == set(config.SECTIONS)


def test_every_environment_variable_exists():
    known = {config.ENV_PREFIX + key.upper().replace(".", "_") for key in KEYS}
    known |= config.ENV_NOT_KEYS | {"VNTAPE_SECTION_KEY"}
    for name in (*PAGES, EXAMPLE.name):
        assert set(re.findall(r"\bVNTAPE_[A-Z_]+", page(name))) <= known, name


def test_the_operators_page_has_the_right_sizes():
    text = page(OPERATOR)
    default = config.Config().engine.ring_slots
    assert f"A slot has {SLOT.itemsize} bytes; a ring has {default:,} slots" in text
    table = re.findall(r"^\| ([\d,]+) \| (\d+) MiB \|$", text, re.MULTILINE)
    assert len(table) >= 3
    for slots, size in table:
        assert ring_bytes(int(slots.replace(",", ""))) // 2**20 == int(size)


# --- the example configuration -------------------------------------------------------------------


def test_the_example_loads_and_changes_nothing():
    loaded = config.load(EXAMPLE, environ={})
    assert loaded == config.load(environ={})


def test_the_example_shows_every_key_with_its_default(tmp_path: Path):
    every = tmp_path / "every.toml"
    every.write_text(
        re.sub(r"^# (\w+ = )", r"\1", page(EXAMPLE.name), flags=re.MULTILINE), encoding="utf-8"
    )
    loaded, default = config.load(every, environ={}), config.load(environ={})
    assert set(loaded.origins) == KEYS
    for section in config.SECTIONS:
        assert getattr(loaded, section) == getattr(default, section)


# --- links ---------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Return the anchors a page's headings make."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", [name for name in text_files() if name.endswith(".md")])
def test_every_link_resolves(name):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("name", PAGES)
def test_every_file_a_page_names_exists(name):
    named = set(re.findall(r"`((?:docs|tools|tests|bench)/[\w./-]+)`", page(name)))
    assert not {path for path in named if not (ROOT / path).exists()}

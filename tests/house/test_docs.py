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
from engine.schema.codes import (
    DeltaFlag,
    FeedState,
    GapCause,
    GapOutcome,
    GapState,
    IndexMember,
    Phase,
    Side,
    SideRule,
    Venue,
)
from engine.schema.counters import COUNTER_LAYOUTS
from engine.schema.slots import SLOT
from engine.status import Sources
from engine.wiring.status import StatusLine
from gateway.directory import Directory
from gateway.encode import JsonCodec
from gateway.errors import RETRY, ErrorCode
from gateway.status import feed
from tests.house.sources import ROOT, text_files
from tools.simulator import __main__ as simulator
from tools.simulator import faults

CLIENT, OPERATOR = "docs/client-protocol.md", "docs/operations.md"
SIMULATOR = "docs/simulator.md"
RULES, WALK = "docs/market-rules.md", "docs/new-channel.md"
PAGES = ("README.md", "ARCHITECTURE.md", CLIENT, OPERATOR, SIMULATOR, RULES, WALK, "docs/rest.md")
SECTIONS = {*config.SECTIONS, config.RULES}
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
    codec = JsonCodec(channel, Directory(2))
    frame = codec.texts(blank(channel), np.zeros(1, np.int64), [""])[0]
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


# No row has these: a flag that is not there is not written, and a row of a gap has a state.
NEVER_SEEN = {DeltaFlag: {"NONE"}, IndexMember: {"NONE"}, GapState: {"NONE"}}


@pytest.mark.parametrize(
    "kind",
    [Phase, Side, SideRule, DeltaFlag, Venue, GapCause, GapState, GapOutcome, IndexMember],
    ids=lambda kind: kind.__name__,
)
def test_every_word_a_client_can_meet_is_explained(kind):
    words = {word.name for word in kind} - NEVER_SEEN.get(kind, set())
    assert not {word for word in words if f"`{word}`" not in page(CLIENT)}


@pytest.mark.parametrize("kind", [GapCause, GapOutcome], ids=lambda kind: kind.__name__)
def test_every_cause_and_outcome_of_a_gap_has_a_line(kind):
    column = {GapCause: "gap_cause", GapOutcome: "gap_outcome"}[kind]
    table = re.search(rf"^\| `{column}` \| [^|`]+ \|\n(?:\|.*\n)+", page(CLIENT), re.MULTILINE)
    assert table
    assert set(re.findall(r"^\| `([A-Z]+)`", table[0], re.MULTILINE)) == {w.name for w in kind}


def test_every_state_of_the_feed_is_explained():
    text = page(CLIENT)
    small = {feed(None)["state"], *(feed(state)["state"] for state in FeedState)}
    table = re.findall(r"^\| ((?:`[a-z]+`(?:, )?)+) \|", text, re.MULTILINE)
    assert small <= {word for cell in table for word in re.findall(r"`(\w+)`", cell)}
    rows = re.search(r"^\| `feed_state` \|.*$", text, re.MULTILINE)
    assert rows
    assert all(f"`{state.name}`" in rows[0] for state in FeedState)


def test_every_state_of_the_feed_is_on_the_operators_page():
    section = page(OPERATOR).split("### The feed\n")[1].split("\n#")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    words = {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}
    assert {state.name for state in FeedState} <= words


# --- the status line -----------------------------------------------------------------------------

COUNTERS_OF_PROBLEMS = [
    (role, name)
    for role, layout in COUNTER_LAYOUTS.items()
    for name in layout.names or ()
    if name not in ("heartbeat_ns", "feed_state")  # a silence, and no problem by itself
]


@pytest.mark.parametrize(("role", "name"), COUNTERS_OF_PROBLEMS)
def test_every_problem_of_a_counter_is_explained(role, name):
    cells = {role_: np.zeros(1, layout) for role_, layout in COUNTER_LAYOUTS.items()}
    cells["ingest"]["feed_state"] = FeedState.LIVE
    cells[role][name] = 7
    line = StatusLine(
        Sources(
            cells["ingest"], [cells["shard"]], cells["board"], [cells["gateway"]], cells["rest"]
        )
    )
    verdict = line.render(0, []).split(" | ")[0]
    if verdict != "OK":
        problem = re.fullmatch(r"PROBLEM: \d+ (.+)", verdict)
        assert problem
        assert row(page(OPERATOR), f"`N {problem[1]}`")


def test_some_counters_are_problems():
    assert len(re.findall(r"^\| `N ", page(OPERATOR), re.MULTILINE)) >= 4


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


def options_of(parser: argparse.ArgumentParser, word: str = "") -> set[tuple[str, str]]:
    """Return every option of every word, and the names of what stands without one."""
    found = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found |= options_of(below, f"{word} {name}".strip())
        elif not isinstance(action, argparse._HelpAction):
            found.add((word, (action.option_strings or [str(action.metavar)])[0]))
    return found


@pytest.mark.parametrize(("word", "option"), sorted(options_of(build_parser())))
def test_every_option_of_the_command_is_on_a_page(word, option):
    text = page("README.md") + page(OPERATOR)
    assert f"vntape {word}".strip() in text
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)


def test_the_operators_page_lists_every_word_with_its_options():
    section = page(OPERATOR).split("## The command\n")[1].split("\n## ")[0]
    for word, option in options_of(build_parser()):
        lines = [line for line in section.splitlines() if f"vntape {word}" in line]
        own = any(re.search(rf"{re.escape(option)}(?![\w-])", line) for line in lines)
        assert lines, word
        assert own or (option in ("--config", "--set") and "the same" in lines[0]), (word, option)


def test_every_option_of_the_simulator_that_a_page_names_exists(capsys):
    with pytest.raises(SystemExit):
        simulator.parse(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z][a-z-]*", page(SIMULATOR)))
    assert {"--faults", "--truth-file", "--otp"} <= known
    assert not named - known - {"--set", "--protocol", "--help"}


def test_the_script_on_the_simulator_s_page_is_one():
    blocks = page(SIMULATOR).split("```")[1::2]
    (script,) = [block for block in blocks if block.startswith("\n")]  # the only one in no language
    assert len(faults.parse(script)) == len(script.split("\n")) - 2


@pytest.mark.parametrize("name", PAGES)
def test_every_configuration_key_and_section_exists(name):
    text = page(name)
    sections = "|".join(config.SECTIONS)
    named = set(re.findall(rf"`(?:--set )?((?:{sections})\.\w+)(?: ?=[^`]*)?`", text))
    named |= set(re.findall(r"--set (\w+\.\w+)=", text))
    allowed = {"feed.state", "feed.FEED", "SECTION.KEY"}  # a field, a topic, a placeholder
    assert named - KEYS <= allowed
    assert set(re.findall(r"`\[(\w+)\]`", text)) <= SECTIONS


def test_the_operators_page_names_every_section():
    assert set(re.findall(r"`\[(\w+)\]`", page(OPERATOR))) == SECTIONS


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

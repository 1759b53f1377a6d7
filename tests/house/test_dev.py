"""The front door: what it says when it cannot help, and when it has nothing to do."""

import ast
import itertools
import re
import sys
import tomllib

import pytest

from tests.house.sources import ROOT, modules
from tools import dev


def test_it_needs_the_standard_library_only():
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(modules("tools")["tools/dev.py"])
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(modules("tools")["tools/dev.py"])
        if isinstance(node, ast.ImportFrom)
    }
    assert imported <= sys.stdlib_module_names


def test_an_old_python_is_told_so(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    monkeypatch.setattr(sys, "version", "3.10.13 (main)")
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer .* started by 3\.10\.13"):
        dev.main(["setup"])


def test_a_python_without_venv_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(dev.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="apt-get install python3-venv"):
        dev.build(tmp_path / "venv")


def test_a_venv_whose_python_went_away_does_not_work(tmp_path):
    assert not dev.works(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "gone")
    assert not dev.works(tmp_path)


def make_house(folder, monkeypatch):
    """Lay out the files a fingerprint follows from."""
    (folder / "requirements").mkdir()
    (folder / "requirements" / "run.lock").write_text("numpy==1\n")
    (folder / "pyproject.toml").write_text("")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "pyvenv.cfg").write_text("version = 3.11.7\n")
    for name, path in (("ROOT", ""), ("VENV", ".venv"), ("REQUIREMENTS", "requirements")):
        monkeypatch.setattr(dev, name, folder / path)


def test_setup_does_nothing_when_the_stamp_fits(tmp_path, monkeypatch):
    make_house(tmp_path, monkeypatch)
    monkeypatch.setattr(dev, "must", lambda command: pytest.fail(f"it ran {command}"))
    (tmp_path / ".venv" / "stamp").write_text(dev.fingerprint(dev.VENV))
    dev.setup()


@pytest.mark.parametrize("file", ["requirements/run.lock", "pyproject.toml", ".venv/pyvenv.cfg"])
def test_setup_works_again_when_anything_it_follows_from_changed(file, tmp_path, monkeypatch):
    make_house(tmp_path, monkeypatch)
    ran = []
    monkeypatch.setattr(dev, "must", ran.append)
    monkeypatch.setattr(dev, "works", lambda venv: True)
    (tmp_path / ".venv" / "stamp").write_text(dev.fingerprint(dev.VENV))
    (tmp_path / file).write_text("changed")
    dev.setup()
    assert [arguments for command in ran for arguments in command if arguments == "install"]
    assert "--require-hashes" in ran[0]
    ran.clear()
    dev.setup()
    assert not ran


def test_what_it_does_not_know_goes_to_pytest():
    options, rest = dev.parse(["test", "--lane", "native", "tests/house", "-k", "tidy"])
    assert options.lane == "native"
    assert rest == ["tests/house", "-k", "tidy"]


def test_a_command_that_takes_no_arguments_says_so(capsys):
    with pytest.raises(SystemExit):
        dev.parse(["lint", "engine"])
    assert "lint takes no arguments, got: engine" in capsys.readouterr().err


def test_lanes_name_marks_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    known = {line.partition(":")[0] for line in project["tool"]["pytest"]["markers"]}
    for lane in dev.LANES.values():
        words = set(lane.marks.replace("(", " ").replace(")", " ").split())
        assert words - {"and", "not", "or"} <= known


def test_the_native_lane_s_parts_are_all_of_it_and_share_nothing():
    native = dev.LANES["native"]
    parts = [lane for name, lane in dev.LANES.items() if name.startswith("native-")]
    assert not native.marks
    assert all(part.environment == native.environment == {} for part in parts)
    for marks in itertools.product((False, True), repeat=3):
        having = dict(zip(("race", "e2e", "slow"), marks, strict=True))
        # The marks of a lane are a condition in Python's own words.
        takers = [part for part in parts if eval(part.marks, {}, having)]
        assert len(takers) == 1, having


def test_folders_without_kernels_import_none_and_run_in_one_lane_at_least():
    kernels = re.compile(
        r"^\s*(from|import) (numba|engine\."
        r"(decode|jit|ring\.(atomics|reader|writer)|shard|trackers))",
        re.MULTILINE,
    )
    for folder in dev.KERNEL_FREE:
        files = list((ROOT / folder).rglob("*.py"))
        assert files
        assert not [file for file in files if kernels.search(file.read_text(encoding="utf-8"))]
    assert not dev.LANES["nojit"].skips
    assert not dev.LANES["native"].skips


def test_a_run_of_everything_leaves_no_lane_out(monkeypatch):
    ran = []
    monkeypatch.setattr(dev, "run_lane", lambda name, _rest: ran.append(name) or 0)
    monkeypatch.setattr(
        dev, "side_by_side", lambda beside, others, _rest: ran.extend([beside, *others]) or 0
    )
    assert dev.test("all", []) == 0
    assert ran == ["nojit", "bounds", "native-beside", "native-busy", "native-processes"]


def test_every_word_of_the_makefile_is_a_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = makefile.partition(".PHONY:")[2].partition("\n")[0].split()
    assert {"setup", "run", "test", "check", "format", "bench", "clean"} <= set(phony)
    assert all(f"\n{word}:" in makefile for word in phony)

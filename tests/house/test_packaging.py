"""What is shipped, what is locked, and that the places which say so agree."""

import configparser
import re
import tomllib

import pytest

import engine
from tests.house.sources import ROOT, project_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = {"run": PROJECT["project"]["dependencies"], **PROJECT["dependency-groups"]}
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
PIN = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)(?: ; [^\\]+)? \\")


def locked(purpose: str) -> dict[str, str]:
    """Versions by package of one lock. A line of any other shape is an error."""
    pins = {}
    for line in (ROOT / "requirements" / f"{purpose}.lock").read_text().splitlines():
        if pin := PIN.fullmatch(line):
            pins[pin[1]] = pin[2]
        elif line and not line.startswith("#"):
            assert HASH.fullmatch(line), f"{purpose}.lock: {line!r}"
    return pins


def test_packages_are_the_folders_of_engine_and_gateway():
    folders = {
        ".".join(path.relative_to(ROOT).parent.parts)
        for path in project_files()
        if path.name == "__init__.py" and path.relative_to(ROOT).parts[0] in ("engine", "gateway")
    }
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(folders)


def test_every_data_file_of_a_package_is_shipped():
    globs = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        path
        for package, patterns in globs.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    present = {
        path
        for path in project_files()
        if path.relative_to(ROOT).parts[0] in ("engine", "gateway") and path.suffix != ".py"
    }
    assert present
    assert present == {path for path in shipped if path.is_file()}


@pytest.mark.parametrize("purpose", GROUPS)
def test_every_requirement_is_pinned_and_locked(purpose):
    pins = locked(purpose)
    for requirement in GROUPS[purpose]:
        name, _, version = requirement.partition("==")
        assert pins.get(name) == version, f"{requirement}: run `make lock`"


def test_there_is_one_lock_per_group_and_they_agree():
    names = {path.stem for path in (ROOT / "requirements").iterdir()}
    assert names == set(GROUPS)
    versions: dict[str, set[str]] = {}
    for purpose in GROUPS:
        for name, version in locked(purpose).items():
            versions.setdefault(name, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


@pytest.mark.parametrize("requirement", PROJECT["project"]["dependencies"])
def test_every_runtime_dependency_has_its_reason(requirement):
    name = requirement.partition("==")[0]
    reasons = (ROOT / "ARCHITECTURE.md").read_text().lower()
    assert re.search(rf"\b{re.escape(name)}\b", reasons), f"ARCHITECTURE.md never says why {name}"


def test_the_version_has_one_home():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "engine.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", engine.__version__)


def test_the_workflow_runs_the_pythons_the_classifiers_name():
    prefix = "Programming Language :: Python :: 3."
    classifiers = PROJECT["project"]["classifiers"]
    named = [line.rpartition(" ")[2] for line in classifiers if line.startswith(prefix)]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    matrix = re.search(r"python: \[(.+)\]", workflow)
    assert matrix is not None
    assert re.findall(r"[\d.]+", matrix[1]) == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_setup_cfg_holds_contracts_and_nothing_else():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    sections = parser.sections()
    assert sections
    assert all(name.partition(":")[0] == "importlinter" for name in sections)

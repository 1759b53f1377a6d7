"""House rules that hold for every file: a rule worth keeping is a test, not a paragraph."""

import ast
import re

import pytest

from tests.house.sources import ROOT, modules, project_files, text_files

FILE_BYTES_MAX = 1_000_000

# Written in pieces, so that this file does not break its own rules.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.~])/(?:work|root|home)" + "/",
    "a package index": r"--(?:extra-)?index" + r"-url|--find" + r"-links|pypi\." + r"org",
    "a promise instead of work": r"\b(?:TO" + "DO|FIX" + "ME|XX" + r"X)\b",
}


def violations(pattern: str, texts: dict[str, str]) -> list[str]:
    """Return `path:line: text` of every line that matches."""
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    found = violations(FORBIDDEN[what], text_files())
    assert not found, f"{what} in:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a path of one machine", "cache = '/ho" + "me/somebody/x'"),
        ("a path of one machine", "cd /wo" + "rk/main"),
        ("a package index", "--extra-index" + "-url=x"),
        ("a promise instead of work", "# TO" + "DO later"),
    ],
)
def test_the_alarm_rings(what, line):
    assert violations(FORBIDDEN[what], {"made_up.py": line})


def test_no_large_file():
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in project_files()}
    too_large = {name: size for name, size in sizes.items() if size > FILE_BYTES_MAX}
    assert not too_large


def test_every_module_says_what_it_is():
    silent = [
        name
        for name, tree in modules("engine", "gateway", "tools", "bench").items()
        if tree.body and not ast.get_docstring(tree)
    ]
    assert not silent


def test_every_package_of_the_engine_says_what_it_is():
    silent = [
        name
        for name, tree in modules("engine", "gateway").items()
        if name.endswith("__init__.py") and not ast.get_docstring(tree)
    ]
    assert not silent


def is_kernel(function: ast.FunctionDef) -> bool:
    """Tell whether a function is compiled: decorated with `kernel` or an intrinsic's door."""
    names = {ast.unparse(decorator).split("(")[0] for decorator in function.decorator_list}
    doors = {"kernel", "lean_kernel", "inlined_kernel"}
    return bool({name.removeprefix("jit.") for name in names} & doors)


def test_every_public_kernel_is_documented():
    kernels = {
        f"{name}:{node.name}": ast.get_docstring(node)
        for name, tree in modules("engine").items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and is_kernel(node) and not node.name.startswith("_")
    }
    assert kernels, "no kernel found: this test would prove nothing"
    assert not [name for name, docstring in kernels.items() if not docstring]

"""The files of the project, for tests that read them as text or as syntax trees."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {
    ".git",
    ".hypothesis",
    ".import_linter_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    ".venv-lock",
    "__pycache__",
    "build",
    "var",
}


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository; from the tree itself outside git."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        found = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not NOT_OURS & {*path.relative_to(ROOT).parts}]
    files = tuple(sorted(path for path in found if path.is_file()))
    assert files, "no project files found: these tests would prove nothing"
    return files


@cache
def text_files() -> dict[str, str]:
    """Text by path relative to the repository; files that are not UTF-8 are left out."""
    texts = {}
    for path in project_files():
        try:
            texts[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


@cache
def modules(*houses: str) -> dict[str, ast.Module]:
    """Syntax tree of every Python file under some top-level folders, by relative path."""
    return {
        name: ast.parse(text)
        for name, text in text_files().items()
        if name.endswith(".py") and name.split("/")[0] in houses
    }

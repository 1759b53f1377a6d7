"""``python -m bench``: runs what was asked for, keeps the figures, refuses what is not there."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from bench.__main__ import BENCHES, main


def test_every_bench_is_a_module_with_run_and_main() -> None:
    for name in BENCHES:
        module = importlib.import_module(f"bench.bench_{name}")
        assert callable(module.run)
        assert callable(module.main)
        assert module.__doc__


def test_no_bench_module_is_forgotten() -> None:
    folder = Path(sys.modules["bench.__main__"].__file__ or "").parent
    assert {path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py")} == set(BENCHES)


@pytest.mark.parametrize("names", ["speed", "ring,speed", ""])
def test_an_unknown_name_is_refused_before_anything_runs(
    names: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--only", names, "--json", str(figures)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    words = capsys.readouterr().err
    assert "no bench named" in words
    assert all(name in words for name in BENCHES)
    assert not figures.exists()


@pytest.mark.parametrize(("arguments", "size"), [([], "full"), (["--small"], "small")])
def test_figures_are_kept_in_the_order_asked_for(
    arguments: list[str],
    size: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    asked: list[tuple[str, str]] = []

    def fake(name: str) -> SimpleNamespace:
        def run(of_size: str) -> dict[str, int]:
            asked.append((name, of_size))
            return {"figure": len(asked)}

        return SimpleNamespace(run=run)

    monkeypatch.setattr("bench.__main__.importlib", SimpleNamespace(import_module=fake))
    figures = tmp_path / "new folder" / "figures.json"
    monkeypatch.setattr(
        sys, "argv", ["bench", "--only", "stages,decode", "--json", str(figures), *arguments]
    )
    assert main() == 0
    assert asked == [("bench.bench_stages", size), ("bench.bench_decode", size)]
    kept = orjson.loads(figures.read_bytes())
    assert kept["size"] == size
    assert kept["benches"] == {"stages": {"figure": 1}, "decode": {"figure": 2}}
    assert kept["machine"]["schema"]
    assert orjson.loads(capsys.readouterr().out)["benches"] == kept["benches"]

"""A figure without the machine it was measured on means nothing."""

import orjson

from bench import machine
from bench.machine import PACKAGES, stamp
from engine.schema import SCHEMA_ID


def test_a_stamp_names_machine_versions_and_code() -> None:
    facts = stamp()
    assert set(facts) == {
        "cpu",
        "cores",
        "kernel",
        "python",
        "load_1m",
        "packages",
        "schema",
        "commit",
    }
    assert facts["schema"] == SCHEMA_ID
    assert set(facts["packages"]) == set(PACKAGES)
    assert all(facts["packages"].values())
    assert facts["cores"] >= 1
    assert facts["load_1m"] >= 0
    for name in ("kernel", "python", "commit"):
        assert facts[name], name
    assert orjson.loads(orjson.dumps(facts)) == facts


def test_code_outside_a_repository_is_of_an_unknown_commit(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert stamp()["commit"] == "unknown"

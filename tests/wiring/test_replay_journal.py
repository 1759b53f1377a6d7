"""A day's journal folded again: the same digest as the worker that lived through it."""

import json
from pathlib import Path

import pytest

from engine.config import Config
from engine.errors import ConfigError, SchemaMismatch
from engine.journal.days import About, write_about
from engine.journal.layout import file_name
from engine.schema import SCHEMA_ID
from engine.shard.stage import StageSettings
from engine.wiring import replay_journal
from engine.wiring.replay_journal import about_of, is_journal, replay_shard
from engine.wiring.stages import make_fold
from engine.wiring.today import fold_settings
from engine.wiring.worker import BATCH_SLOTS
from tests.wiring.standing import DAY, EPOCH, SYMBOLS, Life, Stand


def lived(folder: Path, count: int = 600) -> Life:
    stand = Stand(folder)
    stand.publish(count)
    fold = make_fold(SYMBOLS, BATCH_SLOTS, StageSettings(), hash_deltas=True)
    life = Life(stand, fold=fold)
    life.run()
    write_about(folder, about())
    return life


def about(schema: str = SCHEMA_ID) -> About:
    return About(DAY, EPOCH, schema, 1, SYMBOLS, fold_settings(Config()), "test")


@pytest.mark.parametrize("batch_slots", [2_048, 4_096])
def test_it_ends_on_the_digest_of_the_day(tmp_path: Path, batch_slots: int) -> None:
    life = lived(tmp_path)
    again = replay_shard(tmp_path, 0, about_of(tmp_path), batch_slots)
    assert again.fold.digest() == life.fold.digest()
    assert not again.holes
    assert not again.reader.damage


def test_the_command_prints_every_shard_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = lived(tmp_path)
    assert is_journal(tmp_path)
    assert replay_journal.run_digest(tmp_path) == 0
    said = capsys.readouterr().out
    assert f"shard-0 {life.fold.digest()}  slots 600" in said
    assert "all     sha256:" in said
    assert "damaged" not in said
    file = tmp_path / file_name(0, 0)
    data = bytearray(file.read_bytes())
    data[64 + 100 * 200 + 7] ^= 1
    file.write_bytes(data)
    replay_journal.run_digest(tmp_path)
    said = capsys.readouterr().out
    assert f"shard-0 {life.fold.digest()}" not in said
    assert f"byte {64 + 100 * 200}" in said


def test_a_hole_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand = Stand(tmp_path)
    stand.publish(200)
    assert stand.journals is not None
    journals, stand.journals = stand.journals, None
    journals.close()
    stand.publish(100)
    stand.restart()
    stand.publish(200)
    write_about(tmp_path, about())
    replay_journal.run_digest(tmp_path)
    assert "slots 200 to 299 were not written" in capsys.readouterr().out


def test_another_schema_is_refused_and_says_whose(tmp_path: Path) -> None:
    lived(tmp_path, 100)
    tree = json.loads((tmp_path / "about.json").read_text())
    (tmp_path / "about.json").write_text(json.dumps(tree | {"schema": "sha256:other"}))
    with pytest.raises(SchemaMismatch, match="vntape test with schema sha256:other"):
        about_of(tmp_path)


def test_a_folder_without_about_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no about\.json"):
        about_of(tmp_path)

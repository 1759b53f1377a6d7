"""A slot that kills its shard twice is put aside: the tape goes on, the bug can be seen again."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.schema.counters import SHARD_COUNTERS
from tests.e2e.poisoned_shard import RAISE_SHARES, SEGFAULT_SHARES
from tests.e2e.running import Process, wait_for
from tests.e2e.studio import Studio, studio, trade

pytestmark = pytest.mark.e2e

PRICE = 25_000
POISONED = "tests.e2e.poisoned_shard"


@pytest.fixture(scope="module")
def stage() -> Iterator[Studio]:
    with studio(
        "history.record=off",
        "supervisor.restart_base_ms=10",
        "supervisor.crash_loop_max=5",
        program="tests.e2e.poisoned_up",
    ) as running:
        yield running


def deaths(stage: Studio, how: str) -> int:
    """Return how many shards died so, as far as the supervisor has said."""
    return len(re.findall(rf"shard-0 died.*{how}", stage.engine.text))


def letters(stage: Studio) -> set[Path]:
    """Return all capsules there are."""
    return set((stage.folder / "data" / "main" / "dead-letter").glob("*.capsule"))


def shard_pid(stage: Studio) -> int:
    """Return the process id of the shard."""
    shard = np.fromfile(stage.engine.run_dir / "counters-shard-0", SHARD_COUNTERS)
    return int(shard["pid"][0])


def capsule(*arguments: str) -> tuple[int, str]:
    """Run ``vntape capsule``."""
    process = Process(["-m", "engine", "capsule", *arguments])
    return process.wait(), process.text


@pytest.mark.parametrize(
    ("shares", "died", "again"),
    [
        (SEGFAULT_SHARES, "signal SIGSEGV", "signal SIGSEGV"),
        (RAISE_SHARES, "exit code 1", "raised ZeroDivisionError: a poisoned slot"),
    ],
)
def test_what_kills_twice_is_put_aside(stage: Studio, shares: int, died: str, again: str) -> None:
    fine, bad = stage.fresh(), stage.fresh()
    known = letters(stage)
    with stage.view("trade.*", "stats.*", mode="all") as viewer:
        stage.say(trade(fine, "10:00:00", PRICE, 100, 100), trade(bad, "10:00:00", PRICE, 200, 200))
        viewer.wait(f"trade.{fine}", total_volume_shares=100)
        viewer.wait(f"stats.{bad}", total_volume_shares=200)
        before = viewer.model.epoch[f"trade.{fine}"]

        stage.say(trade(bad, "10:00:01", PRICE, shares, 200 + shares))
        (letter,) = wait_for("a dead letter", lambda: letters(stage) - known)
        stage.say(
            trade(fine, "10:00:02", PRICE, 300, 400),
            trade(bad, "10:00:02", PRICE, 100, 300 + shares),
        )
        viewer.wait(f"trade.{fine}", total_volume_shares=400)
        last = viewer.wait(f"stats.{bad}", total_volume_shares=300 + shares)
        # What was put aside is missed, like all that the tape could not tell: nothing is silent.
        assert last["missed_volume_shares"] == shares
        assert viewer.model.epoch[f"trade.{fine}"] == before, "the shard has its past"
    stage.engine.status(r"slots in quarantine")
    # The second may be held back by the log: the same event within a second. The capsule counts.
    assert deaths(stage, died) >= 1, stage.engine.text

    code, text = capsule(str(letter), "--fold", "--folds", POISONED)
    assert code == 0, text
    assert f"folded again: {again}" in text
    assert f"last_volume_shares={shares}" in text
    assert f"quarantined after 2 deaths, the last by {died}" in text
    assert "poisoned_shard.py" in text.split("what the worker said last")[1].split("folded")[0]
    code, text = capsule(str(letter), "--fold")
    assert code == 1, f"a fold without the bug:\n{text}"
    assert "folded again: returned" in text


def test_the_next_life_leaves_it_out_without_dying(stage: Studio) -> None:
    """Also where the ring still has the slots: the quarantine list is asked first."""
    code = stage.fresh()
    assert letters(stage), "the test before this one left some"
    killed = deaths(stage, "")
    with stage.view("trade.*", mode="all") as viewer:
        stage.say(trade(code, "10:01:00", PRICE, 100, 100))
        viewer.wait(f"trade.{code}", total_volume_shares=100)
        before = viewer.model.epoch[f"trade.{code}"]
        os.kill(shard_pid(stage), signal.SIGKILL)
        wait_for("its death to be noticed", lambda: deaths(stage, "signal SIGKILL"))
        stage.say(trade(code, "10:01:01", PRICE, 100, 200))
        viewer.wait(f"trade.{code}", total_volume_shares=200)
        assert viewer.model.epoch[f"trade.{code}"] == before
    assert deaths(stage, "") == killed + 1, "killed by us and by nothing else"
    assert deaths(stage, "signal SIGKILL") == 1


@pytest.mark.parametrize("content", [b"", b"noise"])
def test_what_is_no_capsule_is_refused(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".capsule") as file:
        file.write(content)
        file.flush()
        code, text = capsule(file.name, "--fold")
    assert code == 78
    assert "no capsule" in text

"""A capsule keeps all that is needed to see a group kill a fold again, and says when it cannot."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import zstandard

from engine.__main__ import main
from engine.config import AlertsConfig, RuleConfig
from engine.errors import ConfigError, SchemaMismatch
from engine.process import EX_CONFIG
from engine.schema import SCHEMA_ID
from engine.schema.codes import (
    ControlOp,
    FeedSession,
    Instrument,
    Side,
    SlotFlag,
    SlotKind,
    SourceType,
    Venue,
)
from engine.schema.slots import SLOT, Rows, rows_over
from engine.wiring import capsule as capsules
from engine.wiring import last_words
from engine.wiring.capsule import Capsule, CapsuleError, Case, read_capsule, write_capsule
from engine.wiring.capsule_cli import fold_in_child, lines
from engine.wiring.slot_words import codes_of, describe
from engine.wiring.stages import make_fold
from tests.e2e.poisoned_shard import RAISE_SHARES, SEGFAULT_SHARES
from tests.shard.messages import Message, exch_s, levels, rows_of

SYMBOLS = 8
DAY = "2021-07-15"
POISONED = "tests.e2e.poisoned_shard"
RULE = RuleConfig("big", "trade.volume_shares > 100", "warning")


def symbol(symbol_id: int, code: bytes) -> Message:
    return {
        "kind": SlotKind.SYMBOL,
        "symbol_id": symbol_id,
        "venue": Venue.HOSE,
        "exch_s": exch_s(DAY, "09:15:00"),
        "code": code,
        "instrument": Instrument.STOCK,
        "value_multiplier": 1,
    }


def trade(symbol_id: int, time: str, volume: int, total: int) -> Message:
    return {
        "kind": SlotKind.TRADE,
        "symbol_id": symbol_id,
        "venue": Venue.HOSE,
        "session": FeedSession.LO,
        "side": Side.BUY,
        "source_type": SourceType.X_TRADE,
        "exch_s": exch_s(DAY, time),
        "recv_ns": exch_s(DAY, time) * 10**9,
        "last_price_e2": 2_510_000,
        "last_volume_shares": volume,
        "total_volume_shares": total,
        "total_value_vnd": total * 25_100,
    }


def quote(symbol_id: int, time: str) -> Message:
    prices, volumes = levels((2_500_000, 300), (2_490_000, 200))
    return {
        "kind": SlotKind.QUOTE,
        "symbol_id": symbol_id,
        "venue": Venue.HOSE,
        "exch_s": exch_s(DAY, time),
        "bid_price_e2": prices,
        "bid_volume_shares": volumes,
    }


def numbered(rows: Rows, first_seq: int) -> np.ndarray:
    """Return the slots of a batch with their numbers."""
    slots = rows.head[: rows.count].copy()
    slots["seq"] = np.arange(first_seq, first_seq + len(slots))
    return slots


BEFORE = numbered(
    rows_of(
        [
            [symbol(1, b"FPT"), symbol(2, b"HPG")],
            [quote(1, "09:15:01"), trade(1, "09:15:02", 300, 300)],
            [trade(2, "09:15:03", 100, 100), trade(1, "09:15:03", 500, 800)],
        ]
    ),
    40,
)
AFTER_SEQ = 40 + len(BEFORE)


def group(poison_shares: int = SEGFAULT_SHARES) -> np.ndarray:
    """Return a group with one poisoned match."""
    poisoned = trade(2, "09:15:09", poison_shares, 100 + poison_shares)
    return numbered(rows_of([[quote(1, "09:15:08"), poisoned]]), AFTER_SEQ)


def new_capsule(killer: np.ndarray, rules: tuple[RuleConfig, ...] = (RULE,)) -> Capsule:
    """Fold what came before, then put `killer` into a capsule as a worker does."""
    case = Case(
        shard=1,
        day=DAY,
        first_seq=AFTER_SEQ,
        end_seq=AFTER_SEQ + len(killer),
        deaths=2,
        how="signal SIGSEGV",
        stack='Fatal Python error: Segmentation fault\n  File "fold.py", line 7 in fold',
        written_ns=exch_s(DAY, "09:15:10") * 10**9,
        symbols_max=SYMBOLS,
        side_precedence=("QUOTE", "TICK"),
        alerts=AlertsConfig(repeat_s=17),
        rules=rules,
        codes={1: "FPT"},
    )
    fold = make_fold(SYMBOLS, 64, case.settings, rules)
    fold.fold(rows_over(BEFORE.copy(), len(BEFORE)))
    return Capsule(case, BEFORE, killer, fold.save())


def content(capsule: Capsule) -> tuple:
    parts = (capsule.before, capsule.group, *capsule.image.values())
    return (capsule.case, *(part.tobytes() for part in parts))


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("letters") / "segfault.capsule"
    write_capsule(path, new_capsule(group()))
    return path


def test_a_capsule_gives_back_what_was_put_in(tmp_path: Path) -> None:
    path = tmp_path / "one.capsule"
    put = new_capsule(group())
    assert write_capsule(path, put) == path.stat().st_size
    got = read_capsule(path)
    assert got.case == put.case
    assert got.before.dtype == got.group.dtype == SLOT
    assert got.before.tobytes() == put.before.tobytes()
    assert got.group.tobytes() == put.group.tobytes()
    assert list(got.image) == list(put.image)
    for name, array in put.image.items():
        assert got.image[name].dtype == array.dtype
        assert np.array_equal(got.image[name], array), name
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_a_restored_fold_says_what_the_dead_one_would_have_said(tmp_path: Path) -> None:
    """With a group that is harmless to it: rows, state and the rules' memory are all there."""
    path = tmp_path / "harmless.capsule"
    put = new_capsule(group())
    write_capsule(path, put)
    undisturbed = make_fold(SYMBOLS, 64, put.case.settings, put.case.rules)
    undisturbed.fold(rows_over(BEFORE.copy(), len(BEFORE)))
    again = capsules.restored_fold(read_capsule(path))
    killer = group()
    wanted = undisturbed.fold(rows_over(killer.copy(), len(killer)))
    got = again.fold(rows_over(killer.copy(), len(killer)))
    assert [channel.name for channel, _ in got] == [channel.name for channel, _ in wanted]
    for (_, rows), (_, expected) in zip(got, wanted, strict=True):
        assert rows.tobytes() == expected.tobytes()
    assert again.digest() == undisturbed.digest()


def test_no_flipped_bit_goes_by_unnoticed(poisoned: Path, tmp_path: Path) -> None:
    """A few bits of a zstandard frame mean nothing: then all that was written is read."""
    whole = poisoned.read_bytes()
    path = tmp_path / "flipped.capsule"
    wanted = content(read_capsule(poisoned))
    some = np.random.default_rng(5).integers(0, len(whole), 60).tolist()
    refused = 0
    for at, bit in product([*range(24), *some, len(whole) - 1], (0x01, 0x10)):
        broken = bytearray(whole)
        broken[at] ^= bit
        path.write_bytes(broken)
        try:
            assert content(read_capsule(path)) == wanted, f"byte {at}"
        except CapsuleError:
            refused += 1
    assert refused > 150


def test_every_truncation_is_noticed(poisoned: Path, tmp_path: Path) -> None:
    whole = poisoned.read_bytes()
    path = tmp_path / "short.capsule"
    for size in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(CapsuleError, match=r"short\.capsule"):
            read_capsule(path)


def test_another_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "old.capsule"
    old = new_capsule(group())
    write_capsule(path, replace(old, case=replace(old.case, schema="sha-of-old", vntape="0.0.7")))
    with pytest.raises(SchemaMismatch, match=rf"vntape 0\.0\.7 .*sha-of-old.*{SCHEMA_ID}"):
        read_capsule(path)


def test_a_refusing_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(capsules.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_capsule(tmp_path / "full.capsule", new_capsule(group()))
    assert list(tmp_path.iterdir()) == []


def test_it_shows_slots_in_words(poisoned: Path) -> None:
    text = "\n".join(lines(read_capsule(poisoned)))
    assert f"slots {AFTER_SEQ} to {AFTER_SEQ + 1} of shard 1, day {DAY}" in text
    assert "after 2 deaths, the last by signal SIGSEGV" in text
    assert "TRADE  FPT  HOSE LO BUY X_TRADE  last_price_e2=2510000 last_volume_shares=300" in text
    # HPG is not in the case's own list: it introduced itself among the slots before.
    assert (
        f"TRADE  HPG  HOSE LO BUY X_TRADE  last_price_e2=2510000 last_volume_shares={66600}" in text
    )
    assert "2021-07-15 09:15:09" in text
    assert "line 7 in fold" in text


def test_it_shows_no_more_slots_than_asked(poisoned: Path) -> None:
    text = lines(read_capsule(poisoned), slots_shown=1)
    assert sum("  TRADE  " in line or "  QUOTE  " in line for line in text) == 2
    assert f"  {len(BEFORE) - 1} more: --slots {len(BEFORE)}" in text
    assert f"  {AFTER_SEQ - 1}  " in "\n".join(text), "the last slots before, not the first"


def test_strange_slots_are_described_too() -> None:
    slots = np.zeros(3, SLOT)
    slots["seq"] = (7, 8, 9)
    slots["kind"] = (200, SlotKind.CONTROL, SlotKind.SYMBOL)
    slots["flags"] = (0, SlotFlag.LAST | SlotFlag.BITE, 0)
    slots["venue"] = 77
    slots["symbol_id"] = 3
    slots["reserved"][0, :2] = (0xAB, 0xCD)
    rows = rows_over(slots, 3)
    rows.control["op"][1] = ControlOp.LOST
    rows.control["detail"][1] = "mất gói".encode()
    rows.symbol["code"][2] = b"\xff"
    assert describe(slots, {}) == [
        "7  -  200  #3  77  bytes abcd",
        "8  -  CONTROL  #3  77  op=LOST detail='mất gói'  [LAST|BITE]",
        "9  -  SYMBOL  #3  77  code='\N{REPLACEMENT CHARACTER}'",
    ]
    assert codes_of(slots) == {3: "\N{REPLACEMENT CHARACTER}"}


def test_it_dies_again_natively(poisoned: Path) -> None:
    reproduced, how = fold_in_child(poisoned, POISONED)
    assert reproduced
    assert how.startswith("signal SIGSEGV")
    assert "poisoned_shard.py" in how, "the stack says where"


def test_it_raises_again(tmp_path: Path) -> None:
    path = tmp_path / "raises.capsule"
    write_capsule(path, new_capsule(group(RAISE_SHARES)))
    reproduced, how = fold_in_child(path, POISONED)
    assert reproduced
    assert how.startswith("raised ZeroDivisionError: a poisoned slot")


def test_the_command_folds_and_says_how_it_ended(poisoned: Path, capsys) -> None:
    assert main(["capsule", str(poisoned), "--fold", "--folds", POISONED]) == 0
    assert "folded again: signal SIGSEGV" in capsys.readouterr().out
    assert main(["capsule", str(poisoned), "--fold"]) == 1, "the program has no such bug"
    out = capsys.readouterr().out
    assert "folded again: returned " in out
    assert int(out.rsplit("returned ", 1)[1].split()[0]) > 0


def test_the_command_shows_without_folding(poisoned: Path, capsys) -> None:
    assert main(["capsule", str(poisoned), "--slots", "1"]) == 0
    out = capsys.readouterr().out
    assert "the group (2 slots)" in out
    assert "folded again" not in out


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path, capsys) -> None:
    assert main(["capsule", str(tmp_path / "none.capsule")]) == EX_CONFIG
    assert "none.capsule cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "noise.capsule").write_bytes(b"noise")
    assert main(["capsule", str(tmp_path / "noise.capsule"), "--fold"]) == EX_CONFIG
    assert "is no capsule, or damaged" in capsys.readouterr().err
    (tmp_path / "other.capsule").write_bytes(zstandard.compress(b"something else\n"))
    assert main(["capsule", str(tmp_path / "other.capsule")]) == EX_CONFIG
    old = new_capsule(group())
    write_capsule(
        tmp_path / "old.capsule", replace(old, case=replace(old.case, schema="x", vntape="0.0.7"))
    )
    assert main(["capsule", str(tmp_path / "old.capsule")]) == EX_CONFIG
    assert "vntape 0.0.7" in capsys.readouterr().err


def test_a_capsule_of_other_stages_cannot_be_folded(tmp_path: Path) -> None:
    whole = new_capsule(group())
    image = {**whole.image, "layout": np.zeros_like(whole.image["layout"])}
    path = tmp_path / "stages.capsule"
    write_capsule(path, replace(whole, image=image))
    with pytest.raises(ConfigError, match="other stages"):
        fold_in_child(path)


LAST_WORDS = """
import ctypes, sys
from pathlib import Path
from engine.wiring import last_words

last_words.keep(Path(sys.argv[1]))
if sys.argv[2] == "segfault":
    ctypes.string_at(0)
raise LookupError("nobody caught me")
"""


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("segfault", "Segmentation fault"),
        ("raise", "LookupError: nobody caught me"),
    ],
)
def test_last_words_are_kept_for_the_next_life(tmp_path: Path, how: str, words: str) -> None:
    path = tmp_path / "crash-0"
    ended = subprocess.run(
        [sys.executable, "-c", LAST_WORDS, str(path), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    said = last_words.take(path)
    assert words in said
    assert "line" in said, "a stack"
    if how == "raise":
        assert words in ended.stderr, "said aloud as always"
    assert last_words.take(path) == "", "taken once"


def test_no_last_words() -> None:
    assert last_words.take(Path("/nonexistent/crash-0")) == ""


def test_long_last_words_keep_their_end(tmp_path: Path) -> None:
    path = tmp_path / "crash-0"
    path.write_text("x" * last_words.TEXT_BYTES_MAX + "\nthe reason", encoding="utf-8")
    said = last_words.take(path)
    assert said.endswith("the reason")
    assert len(said) <= last_words.TEXT_BYTES_MAX


def test_a_case_is_json(poisoned: Path) -> None:
    packed = io.BytesIO(poisoned.read_bytes())
    raw = zstandard.ZstdDecompressor().stream_reader(packed).read()
    first, head, _ = raw.split(b"\n", 2)
    assert first.startswith(b"vntape-capsule ")
    assert json.loads(head)["rules"] == [{"name": "big", "when": RULE.when, "severity": "warning"}]

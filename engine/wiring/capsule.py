r"""The crash capsule: everything needed to see a group of slots kill a fold once more.

One zstandard file. What it decompresses to:

    vntape-capsule <BLAKE2b of all that follows, hex>\n
    {JSON of the case: whose slots, how the workers died, the settings of the fold}\n
    .npy arrays: the slots before, the group, the fold's image just before the group

`python -m engine.wiring.capsule FILE` folds it in this very process, which dies of it or not;
``vntape capsule`` (capsule_cli) starts that as a child and says how it ended.
"""

import argparse
import dataclasses
import faulthandler
import hashlib
import importlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

import engine
from engine.config import AlertsConfig, RuleConfig
from engine.errors import SchemaMismatch, VntapeError
from engine.process import run_main
from engine.schema import SCHEMA_ID
from engine.schema.slots import SLOT, rows_over
from engine.shard.fold import Fold
from engine.shard.image import Image
from engine.shard.stage import StageSettings

SUFFIX = ".capsule"
MAGIC = b"vntape-capsule "
LEVEL = 3  # a state is mostly zeros; higher levels cost a waiting tape its time
CHECKSUM_BYTES = 16
FOLDS = "engine.wiring.stages"  # where production's folds come from
FOLDING = "folding"  # said by the process that folds: what comes now is the group's doing


class CapsuleError(VntapeError):
    """A capsule cannot be read; says which file and why."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a group that kills workers, apart from its bytes."""

    shard: int
    day: str  # trading day, YYYY-MM-DD
    first_seq: int
    end_seq: int
    deaths: int
    how: str  # the last worker ended
    stack: str  # it left; may be empty
    written_ns: int
    symbols_max: int
    side_precedence: tuple[str, ...]
    alerts: AlertsConfig
    rules: tuple[RuleConfig, ...] = ()
    codes: Mapping[int, str] = field(default_factory=dict)  # symbol_id -> code, of these slots
    vntape: str = engine.__version__
    schema: str = SCHEMA_ID

    @property
    def settings(self) -> StageSettings:
        """Return what the stages of the fold obeyed."""
        return StageSettings(self.side_precedence, self.alerts)

    @classmethod
    def of_json(cls, tree: Mapping[str, Any]) -> "Case":
        """Rebuild what `dataclasses.asdict` and JSON made of one."""
        return cls(
            **{
                **tree,
                "side_precedence": tuple(tree["side_precedence"]),
                "alerts": AlertsConfig(**tree["alerts"]),
                "rules": tuple(RuleConfig(**rule) for rule in tree["rules"]),
                "codes": {int(symbol): code for symbol, code in tree["codes"].items()},
            }
        )


@dataclass(frozen=True, slots=True)
class Capsule:
    """One case with its evidence.

    Attributes
    ----------
    before
        The last slots folded before the group, dtype SLOT; for a human to read.
    group
        The slots that kill, dtype SLOT: a whole group.
    image
        ``Fold.save()`` just before the group.
    """

    case: Case
    before: NDArray[np.void]
    group: NDArray[np.void]
    image: Image


def write_capsule(path: Path, capsule: Capsule) -> int:
    """Write a capsule, whole or not at all; return its size in bytes.

    Raises
    ------
    OSError
        The disk refused.
    """
    body = io.BytesIO()
    head = {"image": list(capsule.image), **dataclasses.asdict(capsule.case)}
    body.write(json.dumps(head, ensure_ascii=False).encode() + b"\n")
    for array in (capsule.before, capsule.group, *capsule.image.values()):
        np.lib.format.write_array(body, np.ascontiguousarray(array), allow_pickle=False)
    raw = body.getbuffer()
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(
        MAGIC + _checksum(raw).encode() + b"\n" + raw
    )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(packed)


def read_capsule(path: Path) -> Capsule:
    """Read a capsule that this program can fold.

    Raises
    ------
    CapsuleError
        There is none, or it is damaged.
    SchemaMismatch
        Another schema's; names the version that wrote it.
    """
    head, body = _open(path)
    if head.get("schema") != SCHEMA_ID:
        raise SchemaMismatch(
            f"{path} was written by vntape {head.get('vntape')} with schema "
            f"{head.get('schema')}, this program has {SCHEMA_ID}: use that version to fold it"
        )
    names = head.pop("image")
    before, group, *images = (
        np.lib.format.read_array(body, allow_pickle=False) for _ in range(len(names) + 2)
    )
    image = dict(zip(names, images, strict=True))
    return Capsule(Case.of_json(head), before.view(SLOT), group.view(SLOT), image)


def _open(path: Path) -> tuple[dict[str, Any], io.BytesIO]:
    """Return the head, and the arrays' bytes, of a file whose checksum is right."""
    try:
        with path.open("rb") as file:
            raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    except OSError as error:
        raise CapsuleError(f"{path} cannot be read: {error.strerror}") from None
    except zstandard.ZstdError as error:
        raise CapsuleError(f"{path} is no capsule, or damaged: {error}") from None
    first, _, rest = raw.partition(b"\n")
    if not first.startswith(MAGIC):
        raise CapsuleError(f"{path} is no capsule, or damaged: it does not begin like one")
    if first != MAGIC + _checksum(rest).encode():
        raise CapsuleError(f"{path} is damaged: its {len(rest)} bytes have another checksum")
    body = io.BytesIO(rest)
    head: dict[str, Any] = json.loads(body.readline())
    return head, body


def _checksum(raw: bytes | memoryview) -> str:
    return hashlib.blake2b(raw, digest_size=CHECKSUM_BYTES).hexdigest()


def restored_fold(capsule: Capsule, folds: str = FOLDS) -> Fold:
    """Return a fold as it was just before the group.

    Parameters
    ----------
    folds
        Module whose ``make_fold`` is used: a changed one shows whether the change helps.

    Raises
    ------
    SchemaMismatch
        Its stages are others than those of the fold that died.
    """
    case = capsule.case
    fold: Fold = importlib.import_module(folds).make_fold(
        case.symbols_max, len(capsule.group), case.settings, case.rules
    )
    fold.restore(capsule.image)
    return fold


def main(argv: Sequence[str] | None = None) -> None:
    """Fold one capsule here and now; say when it begins, and how many rows came out."""
    parser = argparse.ArgumentParser(prog="vntape-capsule")
    parser.add_argument("file", type=Path)
    parser.add_argument("--folds", default=FOLDS)
    args = parser.parse_args(argv)
    faulthandler.enable()
    capsule = read_capsule(args.file)
    fold = restored_fold(capsule, args.folds)
    group = capsule.group.copy()
    print(FOLDING, flush=True)
    sections = fold.fold(rows_over(group, len(group)))
    print(sum(len(rows) for _, rows in sections))


if __name__ == "__main__":
    run_main("capsule", main)

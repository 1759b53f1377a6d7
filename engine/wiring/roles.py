"""The processes of an instance: which there are, in which order, and how each one is started."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.config import Config
from engine.status import has_history
from engine.wiring.children import ChildSpec

INGEST = "engine.wiring.ingest"
SHARD = "engine.wiring.shard"


@dataclass(frozen=True, slots=True)
class Modules:
    """What plays a part; a bench or a test puts its own there."""

    ingest: str
    ingest_args: Sequence[str]
    shard: str


def specs(
    config: Config, run_path: Path, parent: int, doorbells: Sequence[int], modules: Modules
) -> list[ChildSpec]:
    """Return how to start everybody, readers first: the first frame already finds them.

    Stopped in the reverse order, nobody waits for one that has gone: ingest, shards, board,
    recorder, rest, gateways.

    Parameters
    ----------
    config
        Checked configuration.
    run_path
        The run directory.
    parent
        Pid of the supervisor.
    doorbells
        Eventfds of the rings, by shard.
    modules
        What plays the parts.
    """
    common = ["--run-dir", str(run_path), "--parent", str(parent)]

    def python(module: str, *more: str) -> list[str]:
        return [sys.executable, "-m", module, *common, *more]

    found = [
        ChildSpec(f"gateway-{i}", python("gateway", "--index", str(i)))
        for i in range(config.gateway.count)
    ]
    found.append(ChildSpec("rest", python("gateway.rest"), vital=False))
    if has_history(config):
        found.append(
            ChildSpec("recorder", python("engine.wiring.recorder"), vital=False, daily=True)
        )
    found.append(ChildSpec("board", python("engine.wiring.board"), daily=True))
    found += [
        ChildSpec(
            f"shard-{i}",
            python(modules.shard, "--index", str(i), "--doorbell", str(fd)),
            [fd],
            daily=True,
        )
        for i, fd in enumerate(doorbells)
    ]
    bells = ",".join(map(str, doorbells))
    ingest = python(modules.ingest, "--doorbells", bells, *modules.ingest_args)
    return [*found, ChildSpec("ingest", ingest, doorbells, daily=True)]

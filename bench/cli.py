"""The command line every bench has: ``python -m bench.bench_X [--small] [--json PATH]``."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import orjson

from bench.machine import stamp

Size = Literal["small", "full"]
Bench = Callable[[Size], dict[str, Any]]


def main(description: str | None, run: Bench) -> int:
    """Run one bench; print its figures, and the machine they belong to, as JSON."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    report(run("small" if args.small else "full"), args.json)
    return 0


def report(result: dict[str, Any], path: Path | None) -> None:
    """Print figures with the machine's stamp; keep them in a file if one is named."""
    text = orjson.dumps({"machine": stamp(), **result}, option=orjson.OPT_INDENT_2)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    print(text.decode())

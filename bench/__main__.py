"""``make bench``: run every bench, one after the other, and keep the JSON.

python -m bench [--small] [--only decode,ring] [--json FILE]
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from bench.cli import report

BENCHES = (
    "decode",
    "ring",
    "journal",
    "stages",
    "live",
    "reconnect",
    "path",
    "restart",
    "recovery",
    "resume",
    "history",
    "fanout",
    "latency",
    "stall",
    "soak",
)  # in the order of the path


def main() -> int:
    """Run the chosen benches; each checks its own answer and raises when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--only", default=",".join(BENCHES), help="comma-separated names")
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"))
    args = parser.parse_args()
    names = args.only.split(",")
    unknown = set(names) - set(BENCHES)
    if unknown:
        parser.error(f"no bench named {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    size = "small" if args.small else "full"
    benches: dict[str, Any] = {}
    for name in names:
        print(f"bench {name} ...", file=sys.stderr, flush=True)
        benches[name] = importlib.import_module(f"bench.bench_{name}").run(size)
    report({"size": size, "benches": benches}, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``vntape certificate``: what is proved about a day, in words."""

import json
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.errors import ConfigError
from engine.rundir import RunDir

SHOWN_MAX = 20
GOOD = ("COMPLETE", "EXPLAINED")


def find(folder: Path, date: str | None) -> Path:
    """Return the certificate of a date, or the newest there is.

    Raises
    ------
    ConfigError
        There is none; says where it was looked for.
    """
    files = sorted((folder / "certificates").glob("*.json"))
    if date is not None:
        files = [file for file in files if file.stem == date]
    if not files:
        raise ConfigError(
            f"no certificate{f' of {date}' if date else ''} in {folder / 'certificates'}; it is "
            "written every half hour, when the feed closes and at a stop"
        )
    return files[-1]


def lines(document: dict[str, Any]) -> list[str]:
    """Return a certificate for people: verdict, sums, outages, and who misses most."""
    totals = document["totals"]
    text = [
        f"{document['date']} {document['verdict']}: {document['sentence']}",
        f"symbols {totals['symbols']:,}  exchange {totals['total_shares']:,}  "
        f"seen {totals['seen_shares']:,}  missed {totals['missed_shares']:,}",
        f"gaps {totals['gaps']:,} {totals['gaps_by_cause']} {totals['gaps_by_outcome']}",
        f"repeats {totals['repeats']:,}  corrections {totals['corrections']:,}  "
        f"late {totals['late']:,}  lost frames {totals['lost_frames']:,}",
    ]
    text += [
        f"outage {outage['from']} to {outage['to'] or 'now'} ({outage['s'] or '?'} s)"
        for outage in document["outages"]
    ]
    missing = sorted(
        ((facts["missed_shares"], code) for code, facts in document["symbols"].items()),
        reverse=True,
    )
    text += [
        f"{code}: {shares:,} missed, gaps: {document['symbols'][code]['gap_count']}"
        for shares, code in missing[:SHOWN_MAX]
        if shares
    ]
    return text


def run(config: Config, date: str | None) -> int:
    """Print a certificate; 0 when nothing is missing without an explanation, else 1."""
    path = find(RunDir.data_dir(config), date)
    document = json.loads(path.read_text(encoding="utf-8"))
    print("\n".join([*lines(document), str(path)]))
    return 0 if document["verdict"] in GOOD else 1

"""What a process must know of the trading day it works on, as the supervisor opened it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.journal.days import day_folder, journal_root
from engine.rundir import RunDir


@dataclass(frozen=True, slots=True)
class Today:
    """The trading day a process works on, from the manifest.

    Attributes
    ----------
    day
        Days since 1970 (ICT); see `journal_day`.
    epoch
        Of the day's rings and rows, UTC ns.
    folder
        Of its journal; None when none is written.
    """

    day: int
    epoch: int
    folder: Path | None

    @classmethod
    def of(cls, run: RunDir, config: Config) -> "Today":
        """Read what the supervisor opened."""
        facts = run.manifest()
        folder = journal_folder(config, run.data_dir(config), facts["day"])
        return cls(facts["day"], facts["epoch"], folder)


def fold_settings(config: Config) -> dict[str, Any]:
    """Return the settings that a fold depends on, as about.json keeps them."""
    return {
        "side_precedence": list(config.engine.side_precedence),
        "alerts": asdict(config.alerts),
        "rules": [asdict(rule) for rule in config.rules],
    }


def settings_hash(settings: dict[str, Any]) -> str:
    """Name a set of `fold_settings`."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def journal_folder(config: Config, data_dir: Path, day: int) -> Path | None:
    """Return the folder of a day's journal; None when none is written."""
    if config.journal.write != "on":
        return None
    return day_folder(journal_root(data_dir), day)

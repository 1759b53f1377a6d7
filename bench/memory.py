"""How much memory processes have, and whether it grows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

KINDS: Final = ("Rss", "Pss", "Anonymous")  # of smaps_rollup; what leaks is anonymous
MB: Final = 1_000_000


def parse_rollup(text: str) -> dict[str, int]:
    """Return bytes by kind from the text of ``/proc/<pid>/smaps_rollup``."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in KINDS:
            found[name] = int(rest.split()[0]) * 1_024  # the kernel says kB and means KiB
    return found


def measure(pids: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return role -> kind -> bytes. Who has ended meanwhile is left out."""
    found = {}
    for role, pid in pids.items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[role] = parse_rollup(text)
    return found


def slope_per_hour(times_s: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return how fast values grow, by least squares, and the standard error of that.

    Parameters
    ----------
    times_s
        When, seconds; at least three different moments.
    values
        What, in any unit.

    Returns
    -------
    tuple
        Units per hour, both.
    """
    assert len(times_s) == len(values) >= 3, f"{len(times_s)} moments, {len(values)} values"
    hours = np.asarray(times_s, np.float64) / 3_600
    amounts = np.asarray(values, np.float64)
    hours -= hours.mean()
    spread = float((hours**2).sum())
    assert spread > 0, "all values are of one moment"
    slope = float((hours * amounts).sum()) / spread
    rest = amounts - amounts.mean() - slope * hours
    error = float(np.sqrt((rest**2).sum() / (len(amounts) - 2) / spread))
    return slope, error


class Growth:
    """Samples of many processes over time."""

    def __init__(self) -> None:
        self._times_s: list[float] = []
        self._samples: list[dict[str, dict[str, int]]] = []

    def add(self, time_s: float, sample: dict[str, dict[str, int]]) -> None:
        """Keep one sample of everybody."""
        self._times_s.append(time_s)
        self._samples.append(sample)

    def figures(self, warm_s: float) -> dict[str, Any]:
        """Return per role: memory at the end, and slopes with their standard errors, MB and MB/h.

        Parameters
        ----------
        warm_s
            Samples before this are not counted for slopes.
        """
        found: dict[str, Any] = {}
        for role in self._samples[-1]:
            points = [
                (at_s, sample[role])
                for at_s, sample in zip(self._times_s, self._samples, strict=True)
                if at_s >= warm_s and role in sample
            ]
            times_s = [at_s for at_s, _ in points]
            last = points[-1][1]
            figures: dict[str, Any] = {"samples": len(points)}
            for kind in KINDS:
                slope, error = slope_per_hour(times_s, [each[kind] / MB for _, each in points])
                figures[kind.lower()] = {
                    "mb": round(last[kind] / MB, 1),
                    "slope_mb_per_h": round(slope, 2),
                    "error_mb_per_h": round(error, 2),
                }
            found[role] = figures
        return found

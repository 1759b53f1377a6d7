"""What a client that was connected all day could not know: plain arithmetic on cumulative volumes.

A print happens when a line's cumulative volume exceeds the symbol's last one. It is delivered when
any line with that cumulative volume is written to the data connection: live, late, twice, or in
the snapshot after a reconnect. What was never delivered is missing, and prints that lie side by
side in the day's volume are one gap. Faults have no say in this; they only lend gaps their names.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.simulator.faults import Fault
from tools.simulator.lines import Line
from tools.simulator.moments import time_text
from tools.simulator.record import total_shares

# Causes that are no fault of the script.
NOT_BEGUN: Final = "before the first connection"
CLIENT_LEFT: Final = "client left"
NOT_WANTED: Final = "not subscribed"
TOO_SLOW: Final = "slow reader"

Cause = Fault | str


@dataclass(slots=True)
class _Missing:
    """A print that nobody has been told of yet; it ended at the cumulative volume `total`."""

    time_ms: int
    volume: int
    total: int
    causes: list[Cause] = field(default_factory=list)


@dataclass(slots=True)
class _Symbol:
    total: int = 0
    prints: int = 0
    missing: dict[int, _Missing] = field(default_factory=dict)  # by total, ascending


class Truth:
    """Keeps the account of one day. Volumes in shares or contracts."""

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}
        self._faults: list[Fault] = []

    def fault(self, fault: Fault) -> None:
        """Note that a fault has happened."""
        self._faults.append(fault)

    def happened(self, line: Line) -> None:
        """Note a line of the day, whether or not anybody will hear it."""
        total = total_shares(line)
        if not total:
            return
        symbol = self._symbols.setdefault(line[2], _Symbol())
        if total > symbol.total:
            symbol.missing[total] = _Missing(line[0], total - symbol.total, total)
            symbol.total = total
            symbol.prints += 1

    def delivered(self, line: Line) -> None:
        """Note a line that was written to the data connection."""
        total = total_shares(line)
        if total and (symbol := self._symbols.get(line[2])) is not None:
            symbol.missing.pop(total, None)

    def blamed(self, line: Line, cause: Cause) -> None:
        """Name a reason why a line is not delivered now; forgotten if it is later."""
        total = total_shares(line)
        if not total or (symbol := self._symbols.get(line[2])) is None:
            return
        missing = symbol.missing.get(total)
        if missing is not None and cause not in missing.causes:
            missing.causes.append(cause)

    def document(self, date: str) -> dict[str, Any]:
        """Return the account as JSON has it.

        Parameters
        ----------
        date
            The trading date, as the document shall name it.

        Returns
        -------
        dict
            ``date``; ``faults``: time, what, line of the script and text of each that happened;
            ``symbols``: by code total_shares, delivered_shares, print_count, missed_print_count
            and ``gaps``. A gap has from_time and to_time (stamps of its first and last print),
            from_total_shares and to_total_shares (it is what lies between these cumulative
            volumes), missed_shares (their difference), print_count, cause (names of the
            faults, or another reason, joined by ``+``) and fault_lines (theirs in the script).
        """
        return {
            "date": date,
            "faults": [
                {
                    "time": time_text(fault.time_ms),
                    "what": fault.what.value,
                    "line": fault.line,
                    "text": fault.text,
                }
                for fault in self._faults
            ],
            "symbols": {code: _account(self._symbols[code]) for code in sorted(self._symbols)},
        }


def write(path: Path, document: dict[str, Any]) -> None:
    """Write an account so that a reader sees all of it or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def _account(symbol: _Symbol) -> dict[str, Any]:
    missing = [symbol.missing[total] for total in sorted(symbol.missing)]
    runs: list[list[_Missing]] = []
    for each in missing:
        if runs and runs[-1][-1].total == each.total - each.volume:
            runs[-1].append(each)
        else:
            runs.append([each])
    return {
        "total_shares": symbol.total,
        "delivered_shares": symbol.total - sum(each.volume for each in missing),
        "print_count": symbol.prints,
        "missed_print_count": len(missing),
        "gaps": [_gap(run) for run in runs],
    }


def _gap(run: list[_Missing]) -> dict[str, Any]:
    first, last = run[0], run[-1]
    causes = list(dict.fromkeys(cause for each in run for cause in each.causes))
    faults = [cause for cause in causes if isinstance(cause, Fault)]
    names = [cause.what.value if isinstance(cause, Fault) else cause for cause in causes]
    return {
        "from_time": time_text(first.time_ms),
        "to_time": time_text(last.time_ms),
        "from_total_shares": first.total - first.volume,
        "to_total_shares": last.total,
        "missed_shares": sum(each.volume for each in run),
        "print_count": len(run),
        "cause": "+".join(dict.fromkeys(names)),
        "fault_lines": sorted({fault.line for fault in faults}),
    }

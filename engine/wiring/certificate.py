"""A day's certificate: what of the exchange's volume the tape has, and what became of the rest.

    <folder>/certificates/<date>/shard-<n>.json     parts, each by its shard process
    <folder>/certificates/<date>.json               the certificate, merged from them

Source: market-behaviour section 11. A part holds facts only (``day_books``): each symbol's books,
the newest row of each of its gaps, outages and lost frames. The verdict is passed over all parts
together, because only one shard knows the feed:

COMPLETE
    Nothing is missing: every gap was filled by late matches or taken back by the exchange.
EXPLAINED
    Volume is missing, and bars of REST tell the minutes of every gap.
INCOMPLETE
    A gap is open or unexplained, a part is missing, no symbol was seen, or there is no proof: the
    feed was away, or frames were lost, during a symbol's trading hours, and it has not told its
    cumulative volume since. Sums cannot show what nobody counted to us afterwards.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

import engine
from engine.clock import DAY_S, ICT_OFFSET_S
from engine.market.sessions import timetable
from engine.schema import SCHEMA_ID
from engine.schema.codes import Venue
from engine.wiring.day_books import Document, Ledger

__all__ = [
    "Document",
    "Ledger",
    "certificate",
    "file_of",
    "judge",
    "merge",
    "tells_less",
    "write",
    "write_part",
]

PRINTS_LATE_S = 60  # after the close: the last prints are still on their way
JSON_STYLE = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def certificate(parts: Sequence[Document], shards: int) -> Document:
    """Merge the parts of one day into its certificate.

    Parameters
    ----------
    parts
        Of `Ledger.part`, at least one, all of one date, each shard once.
    shards
        How many shards there are: 0 .. shards - 1.
    """
    assert len({part["date"] for part in parts}) == 1, "a certificate is of one day"
    present = {part["shard"] for part in parts}
    assert len(present) == len(parts), "a shard has one part"
    symbols: dict[str, Document] = {}
    causes: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for part in parts:
        symbols |= part["symbols"]
        causes.update(part["gaps_by_cause"])
        outcomes.update(part["gaps_by_outcome"])
    outages = [blind for part in parts for blind in part["outages"]]
    losses = [blind for part in parts for blind in part["losses"]]
    sums = {
        f"{name}_shares": sum(facts[f"{name}_shares"] for facts in symbols.values())
        for name in ("total", "seen", "missed", "unplaced")
    }
    counts = {
        name: sum(facts[name] for facts in symbols.values())
        for name in ("repeats", "corrections", "late")
    }
    unproven = sorted(
        code
        for code, facts in symbols.items()
        if any(_unproven(facts, blind, parts[0]["date"]) for blind in [*outages, *losses])
    )
    document: Document = {
        "date": parts[0]["date"],
        "version": engine.__version__,
        "schema": SCHEMA_ID,
        "verdict": "",
        "sentence": "",
        "shards": shards,
        "shards_missing": sorted(set(range(shards)) - present),
        "totals": {
            "symbols": len(symbols),
            **sums,
            **counts,
            "gaps": causes.total(),
            "gaps_by_cause": dict(sorted(causes.items())),
            "gaps_by_outcome": dict(sorted(outcomes.items())),
            "lost_frames": sum(blind["frames"] for blind in losses),
            "unproven_symbols": len(unproven),
        },
        "outages": outages,
        "losses": losses,
        "unproven": unproven,
        "symbols": dict(sorted(symbols.items())),
    }
    document["verdict"], document["sentence"] = judge(document)
    return document


def _unproven(facts: Document, blind: Document, date: str) -> bool:
    """Return whether a symbol may have traded, unseen, while we were blind, and nothing told since.

    Only its venue's hours count, from the first call to the last prints.
    """
    if blind["to_recv_ns"] is not None and facts["last_recv_ns"] > blind["to_recv_ns"]:
        return False
    day = int(np.datetime64(date, "D").astype(np.int64))
    spans = timetable(Venue[facts["venue"]], day)
    midnight_s = day * DAY_S - ICT_OFFSET_S
    opens_s, closes_s = midnight_s + spans[0].end_s, midnight_s + spans[-1].start_s + PRINTS_LATE_S
    ended = blind["to_exch_s"] is not None and blind["to_exch_s"] < opens_s
    return not ended and bool(blind["from_exch_s"] < closes_s)


def judge(document: Document) -> tuple[str, str]:
    """Return the verdict on a merged certificate, and one sentence that says why."""
    totals = document["totals"]
    outcomes = totals["gaps_by_outcome"]
    total, symbols = totals["total_shares"], totals["symbols"]
    missed = (
        f"{totals['missed_shares']:,} of {total:,} shares were missed in "
        f"{_count(totals['gaps'], 'gap')}"
    )
    faults = [f"shard {shard} left no part" for shard in document["shards_missing"]]
    if not symbols:
        faults.append("no symbol was seen")
    if outcomes.get("OPEN"):
        faults.append(f"{outcomes['OPEN']:,} of the gaps still open")
    if outcomes.get("UNEXPLAINED"):
        faults.append(f"{outcomes['UNEXPLAINED']:,} of the gaps unexplained")
    if totals["unproven_symbols"]:
        faults.append(
            f"{_count(totals['unproven_symbols'], 'symbol')} told no volume since the feed was "
            "away or frames were lost"
        )
    if faults:
        return "INCOMPLETE", f"{missed}; {', '.join(faults)}."
    if outcomes.get("BACKFILLED"):
        return "EXPLAINED", f"{missed}; bars of REST tell the minutes of each that did not arrive."
    taken_back = -totals["unplaced_shares"]
    return "COMPLETE", f"All {total:,} shares of {_count(symbols, 'symbol')} were seen" + (
        f", and {taken_back:,} more that the exchange took back." if taken_back else "."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


# Files ----------------------------------------------------------------------------------------


def file_of(folder: Path, date: str, shard: int | None = None) -> Path:
    """Return where the certificate of a date lies, or a shard's part of it."""
    whole = folder / "certificates" / f"{date}.json"
    return whole if shard is None else whole.with_suffix("") / f"shard-{shard}.json"


def write(folder: Path, document: Document) -> Path:
    """Store a part or a certificate where it belongs; return its path.

    A reader finds the old file or the new one, never a piece, whenever this process dies.

    Raises
    ------
    OSError
        The folder cannot be written, or the disk is full; an older file is left as it was.
    """
    path = file_of(folder, document["date"], document.get("shard"))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(orjson.dumps(document, option=JSON_STYLE))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return path


def tells_less(part: Document, kept: Document) -> bool:
    """Return whether a part has no news of any symbol and has seen less than the one kept.

    So it is with an engine that was started after the close, or with the replay of a morning: it
    knows a day from the feed's last totals, or only from reference data.
    """
    before, now = kept["symbols"], part["symbols"]
    no_news = all(
        code in before and facts["total_shares"] <= before[code]["total_shares"]
        for code, facts in now.items()
    )
    seen, seen_before = (
        sum(facts["seen_shares"] for facts in symbols.values()) for symbols in (now, before)
    )
    return no_news and seen < seen_before


def write_part(folder: Path, part: Document) -> None:
    """Store a part, unless an earlier process has left one that tells more. Raises as `write`."""
    shard, date = part["shard"], part["date"]
    kept = _read_part(file_of(folder, date, shard), date, shard)
    if kept is None or not tells_less(part, kept):
        write(folder, part)


def merge(folder: Path, date: str, shards: int) -> Document | None:
    """Read the parts of a date, store its certificate and return it; None without any part.

    A part that cannot be read, or that another schema wrote, counts as missing.

    Raises
    ------
    OSError
        The certificate cannot be stored.
    """
    parts = [
        part
        for shard in range(shards)
        if (part := _read_part(file_of(folder, date, shard), date, shard)) is not None
    ]
    if not parts:
        return None
    document = certificate(parts, shards)
    write(folder, document)
    return document


def _read_part(path: Path, date: str, shard: int) -> Document | None:
    try:
        part: Document = orjson.loads(path.read_bytes())
        told = (part["schema"], part["date"], part["shard"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return part if told == (SCHEMA_ID, date, shard) else None

"""What is known of every symbol before it trades, and its file for the day.

The file is ``<folder>/<date>.json``, written beside itself and renamed, so that a reader finds a
whole one or none. One that cannot be read is no error: it is fetched again.
"""

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.feed.rest_values import YEAR_MAX, YEAR_MIN, BadRow, code
from engine.schema.codes import IndexMember, Venue
from engine.schema.slots import NAME_BYTES, PRICE_E2_MAX

FILE_FORMAT = 1
SHARES_MAX = 10**14
SECURITY_TYPE_BYTES = 8


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """One symbol. 0, "", UNKNOWN and NONE mean: not known.

    Attributes
    ----------
    code
        1 to 16 of [A-Z0-9._-].
    lot_shares
        Round lot, in shares or contracts.
    ceiling_e2, floor_e2, reference_e2
        The day's limits and reference price, hundredths of a VND or of a point. All or none.
    listed_shares
        Shares in circulation on the exchange.
    security_type
        SSI's own word (v2 ``SecType``, v3 ``stockType``), at most 8 bytes.
    name
        One line of UTF-8 of at most NAME_BYTES bytes, Vietnamese if there is a Vietnamese one.
    indices
        The baskets it belongs to.
    """

    code: str
    venue: Venue
    lot_shares: int
    ceiling_e2: int
    floor_e2: int
    reference_e2: int
    listed_shares: int
    security_type: str
    name: str
    indices: IndexMember


@dataclass(frozen=True, slots=True)
class Reference:
    """What REST knew of a trading day.

    Attributes
    ----------
    day
        The day the rows speak of.
    rows
        One per symbol, sorted by code.
    problems
        One line for each part that is missing, without secrets.
    junk_count, junk_sample
        Rows of answers that were dropped, and the first of them.
    """

    day: dt.date
    rows: tuple[ReferenceRow, ...]
    problems: tuple[str, ...] = ()
    junk_count: int = 0
    junk_sample: str = ""

    @property
    def complete(self) -> bool:
        """Whether every part was answered; if not, asking again later may tell more."""
        return not self.problems

    def to_json(self) -> bytes:
        """Return the content of a file."""
        return orjson.dumps(
            {
                "format": FILE_FORMAT,
                "day": self.day.isoformat(),
                "problems": self.problems,
                "junk_count": self.junk_count,
                "junk_sample": self.junk_sample,
                "rows": [_facts_of(row) for row in self.rows],
            }
        )

    @classmethod
    def from_json(cls, content: bytes) -> "Reference":
        """Read the content of a file.

        Raises
        ------
        ValueError
            It was not written by `to_json`, or not by this version.
        """
        try:
            facts = orjson.loads(content)
            if facts["format"] != FILE_FORMAT:
                raise BadRow("written by another version")
            day = dt.date.fromisoformat(facts["day"])
            if not YEAR_MIN <= day.year <= YEAR_MAX:
                raise BadRow("no trading day")
            return cls(
                day,
                tuple(_row_of(row) for row in facts["rows"]),
                tuple(_text(each, 10_000) for each in facts["problems"]),
                _count(facts["junk_count"], SHARES_MAX),
                _text(facts["junk_sample"], 10_000),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no reference data: {type(error).__name__} {error}") from None


def reference_rows_by_code(reference: Reference) -> Mapping[str, ReferenceRow]:
    """Return the rows by their symbol's code."""
    return {row.code: row for row in reference.rows}


def cache_file(folder: Path, day: dt.date) -> Path:
    """Return where a day's reference data is kept."""
    return folder / f"{day.isoformat()}.json"


def load_cached(folder: Path, day: dt.date) -> Reference | None:
    """Return the reference data kept for a day, None when there is none that can be used."""
    try:
        reference = Reference.from_json(cache_file(folder, day).read_bytes())
    except (OSError, ValueError):
        return None
    return reference if reference.day == day else None


def store(folder: Path, reference: Reference) -> Path:
    """Keep reference data for the rest of its day. Return the file.

    Raises
    ------
    OSError
        The folder cannot be written to. What was there before is still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = cache_file(folder, reference.day)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(reference.to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _facts_of(row: ReferenceRow) -> dict[str, Any]:
    return {
        "code": row.code,
        "venue": row.venue.name,
        "lot_shares": row.lot_shares,
        "ceiling_e2": row.ceiling_e2,
        "floor_e2": row.floor_e2,
        "reference_e2": row.reference_e2,
        "listed_shares": row.listed_shares,
        "security_type": row.security_type,
        "name": row.name,
        "indices": [each.name for each in IndexMember if each in row.indices],
    }


def _row_of(facts: dict[str, Any]) -> ReferenceRow:
    indices = IndexMember.NONE
    for name in facts["indices"]:
        indices |= IndexMember[name]
    return ReferenceRow(
        code=code(facts["code"]),
        venue=Venue[facts["venue"]],
        lot_shares=_count(facts["lot_shares"], SHARES_MAX),
        ceiling_e2=_count(facts["ceiling_e2"], PRICE_E2_MAX),
        floor_e2=_count(facts["floor_e2"], PRICE_E2_MAX),
        reference_e2=_count(facts["reference_e2"], PRICE_E2_MAX),
        listed_shares=_count(facts["listed_shares"], SHARES_MAX),
        security_type=_text(facts["security_type"], SECURITY_TYPE_BYTES),
        name=_text(facts["name"], NAME_BYTES),
        indices=indices,
    )


def _count(raw: object, maximum: int) -> int:
    if type(raw) is not int or not 0 <= raw <= maximum:
        raise BadRow(f"{raw!r} is no count of 0..{maximum}")
    return raw


def _text(raw: object, bytes_max: int) -> str:
    if not isinstance(raw, str) or len(raw.encode()) > bytes_max:
        raise BadRow(f"{raw!r} is no text of at most {bytes_max} bytes")
    return raw

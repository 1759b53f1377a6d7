"""What a request for history asks: query parameters in, arguments of `History.select` out. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from engine.history.query import LIMIT_DEFAULT

FILE_ROWS_MAX: Final = 1_000_000  # of one CSV or Parquet answer
FORMATS: Final = ("json", "csv", "parquet")
FIELDS: Final = ("symbol", "from", "to", "interval", "limit", "cursor", "format", "columns")
ARGUMENT_OF: Final = {"symbols": "symbol", "start": "from", "end": "to"}  # ours -> the client's
_LOST_PLUS = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)$")  # a + that the URL made a space

Format = Literal["json", "csv", "parquet"]


class BadRequest(Exception):
    """The client asked for something that cannot be.

    Attributes
    ----------
    field
        Which parameter.
    message
        What is wrong, and what would be right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """One question.

    Attributes
    ----------
    format
        How to answer.
    limited
        Did the client say how many rows it wants at most. A file without a limit is the whole
        range or nothing.
    select
        Arguments of `History.select` but the table.
    """

    format: Format
    limited: bool
    select: dict[str, Any] = field(default_factory=dict)


def parse(parameters: Iterable[tuple[str, str]], rows_max: int) -> Request:
    """Check the shape of query parameters; what they name is checked by the history.

    Parameters
    ----------
    parameters
        Names and values, decoded.
    rows_max
        Most rows of one page of JSON.

    Raises
    ------
    BadRequest
        A name that is unknown or there twice, or a value of the wrong shape.
    """
    told: dict[str, str] = {}
    for name, value in parameters:
        if name not in FIELDS:
            raise BadRequest(name, f"unknown parameter; known are {', '.join(FIELDS)}")
        if name in told:
            raise BadRequest(name, "told twice; put a comma between several values")
        told[name] = value
    how = told.get("format", "json")
    if how not in FORMATS:
        raise BadRequest("format", f"{how!r} is no format: choose {', '.join(FORMATS)}")
    most = rows_max if how == "json" else FILE_ROWS_MAX
    limit = _limit(told.get("limit"), most)
    if limit is None:
        limit = min(LIMIT_DEFAULT, rows_max) if how == "json" else FILE_ROWS_MAX
    return Request(
        cast("Format", how),
        "limit" in told,
        {
            "symbols": _listed("symbol", told.get("symbol")),
            "start": _time(told.get("from")),
            "end": _time(told.get("to")),
            "interval": told.get("interval"),
            "limit": limit,
            "cursor": told.get("cursor"),
            "columns": _listed("columns", told.get("columns")),
        },
    )


def _limit(text: str | None, most: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise BadRequest("limit", f"{text[:16]!r} is no number of rows from 1 to {most}")
    return int(text)


def _listed(name: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise BadRequest(name, "there is an empty name in it")
    return parts


def _time(text: str | None) -> str | None:
    return text and _LOST_PLUS.sub(r"\1+\2", text)

"""What a request for history asks: query parameters in, arguments of `History.select` out. Pure.

A path names a table, or a shape: one symbol's bars, ticks or foreign flow, an index, a contract.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from engine.history.query import LIMIT_DEFAULT
from gateway.rest.errors import BadParameter, Refusal
from gateway.rest.parameters import Parameter, told_once

FILE_ROWS_MAX: Final = 1_000_000  # of one CSV or Parquet answer
MEDIA: Final = {  # format -> what it is called in Accept and Content-Type
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
FORMATS: Final = tuple(MEDIA)
PARAMETERS: Final = (
    Parameter("symbol", "codes with commas between; all by default", "codes"),
    Parameter("from", "rows from this time on: 2026-11-20, 2026-11-20T09:15, Vietnam time"),
    Parameter("to", "rows before this time"),
    Parameter("interval", "of bars", words=("1m", "5m", "15m", "1h", "1d")),
    Parameter("limit", "most rows", "integer", low=1, high=FILE_ROWS_MAX),
    Parameter("cursor", "where the page before ended"),
    Parameter("format", "json by default, or as Accept says", words=FORMATS),
    Parameter("columns", "names with commas between; all by default"),
)
FIELDS: Final = tuple(parameter.name for parameter in PARAMETERS)
SHAPES: Final = {"bars": "bars", "ticks": "trades", "foreign": "foreign_flow"}  # of a symbol
ARGUMENT_OF: Final = {"symbols": "symbol", "start": "from", "end": "to"}  # ours -> the client's
_LOST_PLUS = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)$")  # a + that the URL made a space

Format = Literal["json", "csv", "parquet"]


@dataclass(frozen=True, slots=True)
class Request:
    """One question.

    Attributes
    ----------
    table
        Its name.
    format
        How to answer.
    limited
        Did the client say how many rows it wants at most. A file without a limit is the whole
        range or nothing.
    select
        Arguments of `History.select` but the table.
    """

    table: str
    format: Format
    limited: bool
    select: dict[str, Any] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)  # argument -> what the path calls it


def parse(
    table: str,
    parameters: Iterable[tuple[str, str]],
    rows_max: int,
    *,
    accept: str = "",
    key: tuple[str, str] | None = None,
) -> Request:
    """Check the shape of query parameters; what they name is checked by the history.

    Parameters
    ----------
    table
        As the path names it.
    parameters
        Names and values, decoded.
    rows_max
        Most rows of one page of JSON.
    accept
        Header Accept; `format` is stronger.
    key
        The path's own name of a key, and its code: then `symbol` is no parameter.

    Raises
    ------
    Refusal
        A name that is unknown or there twice, or a value of the wrong shape: 422; nothing that
        Accept takes: 406.
    """
    told = told_once(parameters, [name for name in FIELDS if key is None or name != "symbol"])
    how = told["format"] if "format" in told else _accepted(accept)
    if how not in FORMATS:
        raise BadParameter("format", f"{how[:16]!r} is no format: choose {', '.join(FORMATS)}")
    most = rows_max if how == "json" else FILE_ROWS_MAX
    limit = _limit(told.get("limit"), most)
    if limit is None:
        limit = min(LIMIT_DEFAULT, rows_max) if how == "json" else FILE_ROWS_MAX
    return Request(
        table,
        cast("Format", how),
        "limit" in told,
        {
            "symbols": (key[1],) if key else _listed("symbol", told.get("symbol")),
            "start": _time(told.get("from")),
            "end": _time(told.get("to")),
            "interval": told.get("interval"),
            "limit": limit,
            "cursor": told.get("cursor"),
            "columns": _listed("columns", told.get("columns")),
        },
        {"symbols": key[0]} if key else {},
    )


def _accepted(accept: str) -> str:
    """Return the format that an Accept header likes best; JSON when it does not care."""
    liked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",") if accept.strip() else ["*/*"]):
        media, *options = (word.strip().lower() for word in part.split(";"))
        quality = next((o[2:] for o in options if o.startswith("q=")), "1")
        if not re.fullmatch(r"[01](\.[0-9]{0,3})?", quality) or float(quality) == 0:
            continue
        kind, _, sub = media.partition("/")
        for how, name in MEDIA.items():
            if media in (name, "*/*") or (sub == "*" and name.startswith(f"{kind}/")):
                liked.append((-float(quality), place, how))
                break
    if not liked:
        known = ", ".join(MEDIA.values())
        raise Refusal(406, "Accept", f"there are {known}; or say format= in the URL")
    return min(liked)[2]


def _limit(text: str | None, most: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise BadParameter("limit", f"{text[:16]!r} is no number of rows from 1 to {most}")
    return int(text)


def _listed(name: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise BadParameter(name, "there is an empty name in it")
    return parts


def _time(text: str | None) -> str | None:
    return text and _LOST_PLUS.sub(r"\1+\2", text)

"""JSON Schema of a channel's rows: what gateway.plan and gateway.derived make of its dtype.

The same walk over the dtype as in gateway.plan, for readers instead of writers: a test holds the
two together. Draft 7, which is what AsyncAPI 3 speaks.
"""

import re
from typing import Any, Final

import numpy as np

from engine.schema.channels import ALERTS, Channel
from engine.schema.words import FLAGS, TRUTHS, WORDS
from gateway.derived import told_measures
from gateway.plan import NOT_IN_DATA, PHASES, SIDES, WRITTEN, public_name
from gateway.settings import CH_SYMBOL_BITS
from gateway.words import is_code

Schema = dict[str, Any]

# The first that is found in a field's name says its unit.
UNITS: Final = (
    (r"_shares_per_min$", "shares a minute, or contracts for futures"),
    (r"_vnd_per_min$", "VND a minute"),
    (r"_shares$", "shares, or contracts for futures"),
    (r"_vnd$", "VND"),
    (r"_ns$", "nanoseconds since 1970-01-01 in UTC; more than JavaScript's numbers hold"),
    (r"_s$", "seconds"),
    (r"_pct$", "percent, rounded"),
    (r"_ratio$", "0 to 1, rounded"),
    (r"^imbalance", "-1 to 1, rounded"),
    (r"^days_", "days"),
    (r"(price|level)_e2$", "VND, index points for futures and indices, exact; 0: no price"),
    (r"_e2$|_e4$", "index points, exact"),
    (r"exch_s$", "exchange time (ICT); null: not known"),
    (r"_day$", "date (ICT); null: not known"),
    (r"_count$|s$", "count"),
)
PRICE_UNIT: Final = "VND, index points for futures and indices, rounded to the digits shown"
MERGED_SUMS: Final = (
    "volume_shares",
    "value_vnd",
    "buy_volume_shares",
    "sell_volume_shares",
    "missed_volume_shares",
)


def data_schema(channel: Channel) -> Schema:
    """Return the JSON Schema of `data` in frames of a channel: an object, all members required."""
    members = _fields(channel.dtype) | _derived(channel)
    return {
        "type": "object",
        "description": f"A row of {channel.name}: {channel.meaning} ({channel.meaning_vi}).",
        "properties": members,
        "required": list(members),
    }


def ch_schema(channel: Channel) -> Schema:
    """Return the JSON Schema of `ch` of a channel's keys."""
    first = channel.code << CH_SYMBOL_BITS
    return {
        "type": "integer",
        "minimum": first,
        "maximum": first + (1 << CH_SYMBOL_BITS) - 1,
        "description": "number of the key; a snap says which topic it is",
    }


def merged_schema() -> Schema:
    """Return the JSON Schema of `merged`: exact sums of the matches that a frame stands for."""
    price = _price("price_e2")
    count = {"type": "integer", "minimum": 1, "description": "matches summed up, at most n"}
    members = {
        "count": count,
        "open": price,
        "high": price,
        "low": price,
        **{name: _integer(np.dtype("i8"), name) for name in MERGED_SUMS},
    }
    nothing = {"count": {"const": 0, "description": "the matches were lost inside vntape"}}
    return {
        "oneOf": [
            {"type": "object", "properties": members, "required": list(members)},
            {"type": "object", "properties": nothing, "required": ["count"]},
        ]
    }


def words_of(name: str) -> list[str]:
    """Return the words that a coded field may hold."""
    if name in FLAGS:
        return [flag.name for flag in FLAGS[name] if flag and flag.name]
    return [code.name for code in WORDS[name]]


# --- fields ---------------------------------------------------------------------------------------


def _fields(dtype: np.dtype[Any]) -> dict[str, Schema]:
    """Return the members of `data` that are the dtype's own, in the order of frames."""
    names = [n for n in dtype.names or () if n not in NOT_IN_DATA and "reserved" not in n]
    members: dict[str, Schema] = {}
    while names:
        used, public, schema = _member(names, dtype)
        members[public] = schema
        names = [name for name in names if name not in used]
    return members


def _member(names: list[str], dtype: np.dtype[Any]) -> tuple[list[str], str, Schema]:
    """Return the fields that the first name's member speaks for, its name and its schema."""
    name = names[0]
    shape = dtype[name].shape
    table, _, rest = name.rpartition("_count")
    if not rest and table in ("series", "top", "bottom"):
        columns = [n for n in names if n.startswith(f"{table}_") and n != name]
        return [name, *columns], table, _table(table, columns, dtype)
    if name.startswith("phase_side_"):
        matrices = [n for n in names if n.startswith("phase_side_")]
        return matrices, "phase_side", _phase_side(matrices, dtype)
    side, price, rest = name.partition("_price_e2")
    if shape and price and not rest:
        volume = f"{side}_volume_shares"
        level = _tuple([_price(name), _integer(dtype[volume].base, volume)])
        return [name, volume], f"{side}s", _list(level, shape[0], "[price, volume], best first")
    if shape:
        count = _integer(dtype[name].base, name)
        return [name], name, _by_phase(count, "cells that are not 0")
    return [name], public_name(name), _scalar(name, dtype[name])


def _scalar(name: str, dtype: np.dtype[Any]) -> Schema:
    if is_code(name):
        return _code(name)
    if dtype.kind == "S":
        return {"type": "string", "maxLength": dtype.itemsize}
    written = next((suffix for suffix in WRITTEN if name.endswith(suffix)), None)
    if written in ("_e2", "_e4"):
        return _price(name)
    if written == "exch_s":
        return _nullable("string", name) | {"format": "date-time"}
    if written == "_day":
        return _nullable("string", name) | {"format": "date"}
    return _integer(dtype, name)


def _code(name: str) -> Schema:
    if name in TRUTHS:
        return {"type": "boolean"}
    words: Schema = {"type": "string", "enum": words_of(name)}
    return words if name in WORDS else {"type": "array", "items": words, "uniqueItems": True}


def _price(name: str) -> Schema:
    return {"type": "number", **_said(_unit(name))}


def _integer(dtype: np.dtype[Any], name: str) -> Schema:
    wide = {"format": "int64"} if dtype.itemsize == 8 else {}
    least = {"minimum": 0} if dtype.kind == "u" else {}
    return {"type": "integer", **wide, **least, **_said(_unit(name))}


def _nullable(kind: str, name: str, unit: str = "") -> Schema:
    return {"type": [kind, "null"], **_said(unit or _unit(name))}


def _unit(name: str) -> str:
    return next((unit for pattern, unit in UNITS if re.search(pattern, name)), "")


def _said(description: str) -> Schema:
    return {"description": description} if description else {}


# --- tables ---------------------------------------------------------------------------------------


def _table(table: str, columns: list[str], dtype: np.dtype[Any]) -> Schema:
    """Return the schema of `series` (lists of values) or of `top` and `bottom` (objects)."""
    most = dtype[columns[0]].shape[0]
    if table == "series":
        values = [_scalar(name, dtype[name].base) for name in columns]
        names = ", ".join(public_name(name.removeprefix("series_")) for name in columns)
        return _list(_tuple(values), most, f"one entry per minute: {names}")
    entry = {
        public_name(name.removeprefix(f"{table}_")): _scalar(name, dtype[name].base)
        for name in columns
    }
    item = {"type": "object", "properties": entry, "required": list(entry)}
    return _list(item, most, "the first is the most")


def _list(items: Schema, most: int, description: str) -> Schema:
    return {"type": "array", "items": items, "maxItems": most, "description": description}


def _tuple(items: list[Schema]) -> Schema:
    return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}


def _by_phase(cell: Schema, description: str) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"enum": PHASES},
        "additionalProperties": cell,
        "description": f"by session phase, {description}",
    }


def _phase_side(matrices: list[str], dtype: np.dtype[Any]) -> Schema:
    cell = {name.removeprefix("phase_side_"): _integer(dtype[name].base, name) for name in matrices}
    sides = {
        "type": "object",
        "propertyNames": {"enum": SIDES},
        "additionalProperties": {"type": "object", "properties": cell, "required": list(cell)},
    }
    return _by_phase(sides, "then by side, cells with anything")


# --- what follows from the fields -----------------------------------------------------------------


def _derived(channel: Channel) -> dict[str, Schema]:
    members: dict[str, Schema] = {}
    for measure in told_measures(channel):
        kind = "integer" if measure.unit == "count" else "number"
        unit = PRICE_UNIT if not _unit(measure.name) else ""
        schema = _nullable(kind, measure.name, unit)
        schema["description"] += "; null: has no meaning now"
        members[measure.name] = schema
    if channel is ALERTS:
        members["id"] = _nullable("string", "", "the same for the same alert, whoever tells it")
        members["text_en"] = _nullable("string", "", "one sentence")
        members["text_vi"] = _nullable("string", "", "một câu")
    return members

"""Pieces of JSON Schema that several messages of the protocol share, and the shape of a message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.schema.channels import CHANNELS
from engine.schema.codes import FeedState, Phase, Venue
from gateway.arguments import ID_CHARS_MAX, SPEED_MAX
from gateway.errors import RETRY, ErrorCode
from gateway.groups import MODES
from gateway.topics import TOPIC_CHARS_MAX

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message.

    Attributes
    ----------
    name
        Its `op`, or that and what tells it from others of the same op.
    summary
        One line.
    payload
        Its JSON Schema.
    examples
        Messages that fit it.
    answers
        Names of the messages that answer it, when it is a verb.
    """

    name: str
    summary: str
    payload: Schema
    examples: tuple[Mapping[str, object], ...]
    answers: tuple[str, ...] = ()


def of_op(op: str, required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of a message: an object with `op`, these members, and perhaps others."""
    return {
        "type": "object",
        "properties": {"op": {"const": op}, **required, **(optional or {})},
        "required": ["op", *required],
    }


def with_id(op: str, required: Schema, optional: Schema | None = None) -> Schema:
    """Return the schema of a verb or an answer, which may carry an `id`."""
    return of_op(op, required, {"id": ID, **(optional or {})})


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def whole(description: str = "", least: int = 0) -> Schema:
    """Return the schema of an integer, 0 or more."""
    said = {"description": description} if description else {}
    return {"type": "integer", "minimum": least, **said}


def by_topic(value: Schema, description: str = "") -> Schema:
    """Return the schema of an object whose members are named by topics."""
    said = {"description": description} if description else {}
    return {"type": "object", "additionalProperties": value, **said}


def text(description: str = "", **more: object) -> Schema:
    """Return the schema of a string."""
    said = {"description": description} if description else {}
    return {"type": "string", **more, **said}


ID: Final[Schema] = {
    "type": ["integer", "string"],
    "maxLength": ID_CHARS_MAX,
    "description": "chosen by the client; the answer repeats it",
}
TOPIC: Final = text("channel.CODE, channel.PREFIX*, channel.* or *", maxLength=TOPIC_CHARS_MAX)
TOPICS: Final[Schema] = {"type": "array", "items": TOPIC, "minItems": 1}
TOPICS_DONE: Final[Schema] = {"type": "array", "items": TOPIC}
ERRS: Final = by_topic({"enum": [4000, 4003, 4004, 4005]}, "refused topics and why")
EPOCH: Final = text("numbering in force: compare, never read")
SEQS: Final = by_topic(whole(), "last seq of each key")
CLOCK: Final = text("time of the day, ICT", pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$")
NOW_NS: Final = whole("nanoseconds since 1970-01-01 in UTC") | {"format": "int64"}
MODE: Final[Schema] = {"type": "string", "enum": list(MODES)}
INTERVAL: Final = whole("of conflated topics, milliseconds; 0: as it comes")
SPEED: Final[Schema] = {
    "type": "number",
    "anyOf": [{"const": 0}, {"minimum": 1, "maximum": SPEED_MAX}],
    "description": "times as fast as the day went; 0: as fast as you read",
}
FEED: Final[Schema] = {
    "type": "object",
    "properties": {
        "state": {
            "type": "string",
            "enum": ["unknown", *(state.name.lower() for state in FeedState)],
            "description": "numbers are old in stale, connecting and down",
        }
    },
    "required": ["state"],
}
SESSION: Final[Schema] = {
    "type": "object",
    "propertyNames": {"enum": [venue.name for venue in Venue if venue]},
    "additionalProperties": {"type": "string", "enum": [phase.name for phase in Phase]},
    "description": "session phase of every venue heard of",
}
CODE: Final[Schema] = {"type": "integer", "enum": [int(code) for code in ErrorCode]}
RETRY_WORD: Final[Schema] = {
    "type": "string",
    "enum": sorted(set(RETRY.values())),
    "description": "none: change the request; reconnect: at once; backoff: wait first",
}
CHANNEL_NAME: Final[Schema] = {
    "type": "string",
    "enum": [channel.name for channel in CHANNELS if channel.public],
}
# How a topic is delivered, as `list_ok` and `set_ok` say it. `*` spans channels of several modes.
DELIVERY: Final[Schema] = {
    "type": "object",
    "properties": {
        "mode": MODE,
        "interval_ms": INTERVAL,
        "channels": {
            "type": "object",
            "propertyNames": CHANNEL_NAME,
            "additionalProperties": {
                "type": "object",
                "properties": {"mode": MODE, "interval_ms": INTERVAL},
                "required": ["mode", "interval_ms"],
            },
            "description": "of the topic *: how each channel is delivered",
        },
    },
    "anyOf": [{"required": ["mode", "interval_ms"]}, {"required": ["channels"]}],
}
# What `sub_ok` says of a topic.
GRANT: Final[Schema] = {
    **DELIVERY,
    "properties": {
        **DELIVERY["properties"],
        "ch": whole("of an exact topic: its number in frames"),
        "seq": whole("of an exact topic: seq of the latest row, 0: no data yet"),
        "keys": whole("of a wildcard: how many keys it names now"),
        "names": by_topic(whole(), "of a wildcard without snapshots: ch by topic"),
        "recovered": {
            "type": "boolean",
            "description": "answer to since: nothing is missing; false: a snap shows the state",
        },
        "replayed": whole("answer to since: rows that follow"),
    },
}
LAYOUT: Final[Schema] = {
    "type": "object",
    "properties": {
        "bytes": whole(least=1),
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": text(),
                    "type": text(
                        "numpy's code, little-endian: i and u integers of so many bytes, S text",
                        pattern=r"^([iu][1248]|S\d+)$",
                    ),
                    "offset": whole(),
                    "shape": {"type": "array", "items": whole(least=1)},
                },
                "required": ["name", "type", "offset", "shape"],
            },
        },
    },
    "required": ["bytes", "fields"],
}

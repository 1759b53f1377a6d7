"""What a gateway says unasked: greetings, heartbeats, notices and data, with JSON Schema."""

from typing import Final

from engine.schema.channels import CHANNELS, TRADE, Channel
from gateway.asyncapi.data import ch_schema
from gateway.asyncapi.parts import (
    EPOCH,
    FEED,
    ID,
    NOW_NS,
    RETRY_WORD,
    SEQS,
    SESSION,
    TOPICS_DONE,
    Message,
    Schema,
    by_topic,
    of_op,
    ref,
    text,
    whole,
)
from gateway.topics import TOPIC_CHARS_MAX

PUBLIC: Final = [channel for channel in CHANNELS if channel.public]
SERVICE_RESTART: Final = 1012

_NULLABLE_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_LIMITS: Final = {
    "topics": "topics per connection, a wildcard counts once",
    "message_bytes": "bytes of one message of the client",
    "messages_per_s": "messages of the client in a second",
    "connections": "connections of this gateway",
    "address_clients": "connections of one address",
    "budget_bytes": "unsent bytes before a client counts as slow",
    "replays": "time travels at once",
}
_SLOW: Final = {"code": {"const": 4008}, "reason": {"const": "slow_consumer"}}

HELLO: Final = Message(
    "hello",
    "The first message of every connection: what is in force",
    of_op(
        "hello",
        {
            "v": {"const": 1},
            "format": {"enum": ["json", "bin"], "description": "what data frames are"},
            "auth": {
                "enum": ["none", "ok", "required"],
                "description": "none: nobody needs a token; required: say one with the verb auth",
            },
            "epoch": EPOCH,
            "schema": text("id of all record layouts and codes"),
            "session": SESSION,
            "feed": FEED,
            "limits": {
                "type": "object",
                "properties": {
                    **{name: whole(meaning) for name, meaning in _LIMITS.items()},
                    "intervals_ms": {"type": "array", "items": whole()},
                },
                "required": [*_LIMITS, "intervals_ms"],
            },
            "conflate_ms": whole("default interval of conflated topics"),
            "heartbeat_ms": whole("three times this without a word: the connection is dead"),
            "now_ns": NOW_NS,
        },
        {"name": text("of the token"), "scopes": TOPICS_DONE},
    ),
    (
        {
            "op": "hello",
            "v": 1,
            "format": "json",
            "auth": "ok",
            "name": "desk-1",
            "scopes": ["trade.*"],
            "epoch": "1626314400000000000",
            "schema": "sha256:0",
            "session": {"HOSE": "CONTINUOUS"},
            "feed": {"state": "live"},
            "limits": {
                "topics": 4096,
                "message_bytes": 65536,
                "messages_per_s": 100,
                "connections": 1000,
                "address_clients": 250,
                "budget_bytes": 1048576,
                "replays": 2,
                "intervals_ms": [0, 50, 1000],
            },
            "conflate_ms": 50,
            "heartbeat_ms": 1000,
            "now_ns": 1626316203000000000,
        },
    ),
)

NOTICES: Final = (
    HELLO,
    Message(
        "heartbeat",
        "A sign of life, with the state of the feed",
        of_op(
            "heartbeat",
            {
                "now_ns": NOW_NS,
                "epoch": EPOCH,
                "feed": FEED,
                "session": SESSION,
                "exch_time": _NULLABLE_TIME,
                "lag_ns": {"type": ["integer", "null"], "format": "int64"},
            },
        ),
        (
            {
                "op": "heartbeat",
                "now_ns": 1626316203000000000,
                "epoch": "1626314400000000000",
                "feed": {"state": "live"},
                "session": {"HOSE": "CONTINUOUS"},
                "exch_time": "2021-07-15T09:32:14+07:00",
                "lag_ns": 830461,
            },
        ),
    ),
    Message(
        "gap",
        "Something was lost inside vntape, or a source starts over",
        of_op(
            "gap",
            {
                "reason": {"enum": ["bus", "epoch"]},
                "shard": whole("number of the source"),
                "epoch": EPOCH,
                "lost_frames": whole(),
                "now_ns": NOW_NS,
            },
        ),
        (
            {
                "op": "gap",
                "reason": "epoch",
                "shard": 0,
                "epoch": "1626318000000000000",
                "lost_frames": 0,
                "now_ns": 1626318000000000000,
            },
        ),
    ),
    Message(
        "skip",
        "Mode skip: what was not sent because the client read too slowly; snaps follow",
        of_op(
            "skip",
            {
                "rows": whole("skipped, of all keys", 1),
                "keys": by_topic(
                    {"type": "array", "items": whole(), "minItems": 2, "maxItems": 2},
                    "first and last seq that were skipped, of at most 1,000 keys",
                ),
                "more": whole("keys that are not named"),
            },
        ),
        ({"op": "skip", "rows": 178, "keys": {"trade.FPT": [1813, 1990]}, "more": 0},),
    ),
    Message(
        "warn",
        "Half of the budget is unsent: read faster",
        of_op("warn", {**_SLOW, "buffered_bytes": whole(), "budget_bytes": whole()}),
        (
            {
                "op": "warn",
                "code": 4008,
                "reason": "slow_consumer",
                "buffered_bytes": 524300,
                "budget_bytes": 1048576,
            },
        ),
    ),
    Message(
        "bye",
        "The client was too slow: where to resume; then the connection closes with 4008",
        of_op(
            "bye",
            {
                **_SLOW,
                "retry": RETRY_WORD,
                "resume": {
                    "type": "object",
                    "properties": {"epoch": EPOCH, "seq": SEQS},
                    "required": ["epoch", "seq"],
                    "description": "say it in `since`",
                },
            },
        ),
        (
            {
                "op": "bye",
                "code": 4008,
                "reason": "slow_consumer",
                "retry": "reconnect",
                "resume": {"epoch": "1626314400000000000", "seq": {"trade.HPG": 685}},
            },
        ),
    ),
    Message(
        "shutdown",
        "The gateway stops; then the connection closes with 1012",
        of_op(
            "shutdown", {"code": {"const": SERVICE_RESTART}, "reason": text(), "retry": RETRY_WORD}
        ),
        (
            {
                "op": "shutdown",
                "code": 1012,
                "reason": "the gateway is stopping",
                "retry": "reconnect",
            },
        ),
    ),
    Message(
        "replay_end.resume",
        "All rows that a key missed have been sent",
        of_op(
            "replay_end",
            {
                "ch": whole(),
                "from": whole("seq of the first", 1),
                "to": whole("seq of the last", 1),
                "n": whole("rows", 1),
                "crc": whole("CRC-32 over the payloads of these data frames, in order")
                | {"maximum": 0xFFFF_FFFF},
            },
        ),
        ({"op": "replay_end", "ch": 1048588, "from": 1813, "to": 1840, "n": 28, "crc": 123},),
    ),
    Message(
        "replay_end.travel",
        "A time travel is over: the topics are live, or the message says why they are not",
        of_op(
            "replay_end",
            {"reason": {"enum": ["live", "failed"]}, "n": whole("rows that were sent")},
            {"id": ID, "message": text("for people")},
        ),
        ({"op": "replay_end", "id": 9, "reason": "live", "n": 4711},),
    ),
)

SNAP: Final = Message(
    "snap",
    "The state of a key, and what its ch means",
    {"oneOf": [ref(f"snap.{channel.name}") for channel in PUBLIC]},
    (),
)
DELTA: Final = Message(
    "d",
    "News of a key: the whole row",
    {"oneOf": [ref(f"d.{channel.name}") for channel in PUBLIC]},
    (),
)


def snap_schema(channel: Channel) -> Schema:
    """Return the JSON Schema of a channel's `snap`."""
    return of_op(
        "snap",
        {
            "ch": ch_schema(channel),
            "topic": text(pattern=f"^{channel.name.replace('.', '[.]')}[.]")
            | {"maxLength": TOPIC_CHARS_MAX},
            "seq": whole("of this row", 1),
            "epoch": EPOCH,
            "n": whole("rows this is news of; 0: a state that was asked for, do not count it"),
            "data": ref(f"data.{channel.name}"),
        },
        {"merged": ref("merged")} if channel is TRADE else None,
    )


def delta_schema(channel: Channel) -> Schema:
    """Return the JSON Schema of a channel's `d`."""
    return of_op(
        "d",
        {
            "ch": ch_schema(channel),
            "seq": whole("of this row", 1),
            "n": whole("rows this is news of: seq - n is the seq you have", 1),
            "data": ref(f"data.{channel.name}"),
        },
        {"merged": ref("merged")} if channel is TRADE else None,
    )

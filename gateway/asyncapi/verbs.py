"""What a client may say: the verbs of the protocol with their JSON Schema."""

from typing import Final

from engine.schema.codes import AlertType, Severity
from gateway.arguments import REMEMBERED
from gateway.asyncapi.parts import (
    CLOCK,
    EPOCH,
    INTERVAL,
    MODE,
    SEQS,
    SPEED,
    TOPICS,
    Message,
    Schema,
    text,
    whole,
    with_id,
)

_SINCE: Final[Schema] = {
    "type": "object",
    "properties": {"epoch": EPOCH, "seq": SEQS},
    "required": ["epoch", "seq"],
    "description": "where a client left off: the rows since follow, or it is told that they cannot",
}
_ALERT_TYPES: Final = [kind.name.lower() for kind in AlertType if kind]
_SEVERITIES: Final = [level.name.lower() for level in Severity if level]

VERBS: Final = (
    Message(
        "auth",
        "Say who you are, within the time the gateway gives",
        with_id("auth", {"token": text("as the operator gave it")}),
        ({"op": "auth", "id": 1, "token": "the-token"},),
        ("auth_ok",),
    ),
    Message(
        "sub",
        "Subscribe to topics, or change how they are delivered",
        with_id(
            "sub",
            {"topics": TOPICS},
            {
                "mode": MODE,
                "interval_ms": INTERVAL,
                "snapshot": {"type": "boolean", "default": True},
                "since": _SINCE,
            },
        ),
        (
            {"op": "sub", "id": 7, "topics": ["trade.HPG", "stats.VN*"], "interval_ms": 50},
            {
                "op": "sub",
                "id": 8,
                "topics": ["trade.FPT"],
                "mode": "all",
                "snapshot": True,
                "since": {"epoch": "1626314400000000000", "seq": {"trade.FPT": 1812}},
            },
        ),
        ("sub_ok",),
    ),
    Message(
        "unsub",
        "Leave topics, named as they were subscribed to",
        with_id("unsub", {"topics": TOPICS}),
        ({"op": "unsub", "id": 8, "topics": ["trade.HPG"]},),
        ("unsub_ok",),
    ),
    Message(
        "set",
        "Deliver topics that are subscribed to in another way; no snapshot",
        with_id("set", {"topics": TOPICS}, {"mode": MODE, "interval_ms": INTERVAL})
        | {"anyOf": [{"required": ["mode"]}, {"required": ["interval_ms"]}]},
        ({"op": "set", "id": 5, "topics": ["trade.*"], "mode": "skip", "interval_ms": 0},),
        ("set_ok",),
    ),
    Message(
        "list",
        "Ask for channels, topics and all codes",
        with_id("list", {}),
        ({"op": "list", "id": 9},),
        ("list_ok",),
    ),
    Message(
        "schema",
        "Ask for the record layouts of binary frames",
        with_id("schema", {}),
        ({"op": "schema", "id": 1},),
        ("schema_ok",),
    ),
    Message(
        "recent",
        "Ask for the last rows of a channel over all its keys",
        with_id(
            "recent",
            {"channel": {"type": "string", "enum": REMEMBERED}},
            {
                "limit": whole("the newest so many of those that fit", 1) | {"maximum": 500},
                "type": text("alert type, in letters of either case", examples=_ALERT_TYPES),
                "severity": text("at least this, in either case", examples=_SEVERITIES),
            },
        ),
        ({"op": "recent", "id": 3, "channel": "alerts", "limit": 100, "severity": "warning"},),
        ("recent_ok",),
    ),
    Message(
        "replay",
        "Live through today again from some time on, until it has become now",
        with_id(
            "replay",
            {"topics": TOPICS, "from": CLOCK},
            {"speed": SPEED, "mode": MODE, "interval_ms": INTERVAL},
        ),
        (
            {
                "op": "replay",
                "id": 9,
                "topics": ["trade.FPT", "quote.VN30F*"],
                "from": "09:15:00",
                "speed": 20,
            },
        ),
        ("replay_ok",),
    ),
    Message("ping", "Ask for a sign of life", with_id("ping", {}), ({"op": "ping"},), ("pong",)),
)

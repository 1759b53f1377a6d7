"""What a gateway answers to a verb, with JSON Schema."""

from typing import Final

from gateway.arguments import REMEMBERED
from gateway.asyncapi.parts import (
    CHANNEL_NAME,
    CLOCK,
    CODE,
    DELIVERY,
    ERRS,
    INTERVAL,
    MODE,
    NOW_NS,
    RETRY_WORD,
    SPEED,
    TOPIC,
    TOPICS_DONE,
    Message,
    Schema,
    by_topic,
    ref,
    text,
    whole,
    with_id,
)
from gateway.errors import ErrorCode

LISTED_CHANNEL: Final[Schema] = {
    "type": "object",
    "properties": {
        "mode": MODE,
        "interval_ms": INTERVAL,
        "keys": {"enum": ["symbols", "board_keys"], "description": "which list names its keys"},
        "recent_max": whole("what the verb recent can show"),
        "meaning": text(),
        "meaning_vi": text(),
    },
    "required": ["mode", "interval_ms", "keys", "recent_max", "meaning", "meaning_vi"],
}

ANSWERS: Final = (
    Message(
        "auth_ok",
        "The token is good",
        with_id("auth_ok", {"name": text(), "scopes": TOPICS_DONE}),
        ({"op": "auth_ok", "id": 1, "name": "desk-1", "scopes": ["trade.*"]},),
    ),
    Message(
        "sub_ok",
        "What was granted, topic by topic; without an id it tells what a preset subscribed to",
        with_id("sub_ok", {"topics": by_topic(ref("grant"))}, {"err": ERRS}),
        (
            {
                "op": "sub_ok",
                "id": 7,
                "topics": {
                    "trade.HPG": {"ch": 1048999, "mode": "conflate", "interval_ms": 50, "seq": 601},
                    "stats.VN*": {"mode": "conflate", "interval_ms": 50, "keys": 14},
                },
                "err": {"x.Y": 4004},
            },
            {
                "op": "sub_ok",
                "id": 8,
                "topics": {
                    "trade.FPT": {
                        "ch": 1048588,
                        "mode": "all",
                        "interval_ms": 0,
                        "seq": 1840,
                        "recovered": True,
                        "replayed": 28,
                    }
                },
            },
        ),
    ),
    Message(
        "unsub_ok",
        "The topics that were left",
        with_id("unsub_ok", {"topics": TOPICS_DONE}, {"err": ERRS}),
        ({"op": "unsub_ok", "id": 8, "topics": ["trade.HPG"]},),
    ),
    Message(
        "set_ok",
        "How the topics are delivered from now on",
        with_id("set_ok", {"topics": by_topic(DELIVERY)}, {"err": ERRS}),
        (
            {
                "op": "set_ok",
                "id": 5,
                "topics": {"trade.*": {"mode": "skip", "interval_ms": 0}},
                "err": {"quote.*": 4004},
            },
        ),
    ),
    Message(
        "list_ok",
        "All channels, your topics, and all codes",
        with_id(
            "list_ok",
            {
                "channels": {
                    "type": "object",
                    "propertyNames": CHANNEL_NAME,
                    "additionalProperties": ref("listed_channel"),
                },
                "topics": by_topic(DELIVERY),
                "symbols": {"type": "array", "items": text()},
                "board_keys": {"type": "array", "items": text()},
            },
        ),
        (
            {
                "op": "list_ok",
                "id": 9,
                "channels": {
                    "quote": {
                        "mode": "conflate",
                        "interval_ms": 50,
                        "keys": "symbols",
                        "recent_max": 0,
                        "meaning": "best bid and ask",
                        "meaning_vi": "giá mua/bán tốt nhất",
                    }
                },
                "topics": {"quote.FPT": {"mode": "conflate", "interval_ms": 50}},
                "symbols": ["FPT"],
                "board_keys": ["HOSE"],
            },
        ),
    ),
    Message(
        "schema_ok",
        "Record layouts; they can be kept as long as hello tells the same schema",
        with_id(
            "schema_ok",
            {
                "schema": text("id of all layouts and codes"),
                "header": ref("layout"),
                "key": ref("layout"),
                "merged": ref("layout"),
                "channels": {
                    "type": "object",
                    "propertyNames": CHANNEL_NAME,
                    "additionalProperties": {
                        "type": "object",
                        "properties": {"code": whole("ch >> 20"), "layout": ref("layout")},
                        "required": ["code", "layout"],
                    },
                },
            },
        ),
        (),
    ),
    Message(
        "recent_ok",
        "The last rows, the newest is the last",
        with_id(
            "recent_ok",
            {
                "channel": {"type": "string", "enum": REMEMBERED},
                "rows": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"topic": TOPIC, "seq": whole(), "data": ref("data.alerts")},
                        "required": ["topic", "seq", "data"],
                    },
                },
            },
        ),
        ({"op": "recent_ok", "id": 3, "channel": "alerts", "rows": []},),
    ),
    Message(
        "replay_ok",
        "The time travel begins: snaps as of then, then every row since",
        with_id(
            "replay_ok",
            {"topics": by_topic(ref("grant")), "from": CLOCK, "speed": SPEED},
            {"err": ERRS},
        ),
        (
            {
                "op": "replay_ok",
                "id": 9,
                "topics": {"trade.FPT": {"ch": 1048588, "mode": "all", "interval_ms": 0}},
                "err": {},
                "from": "09:15:00",
                "speed": 20,
            },
        ),
    ),
    Message(
        "pong",
        "A sign of life",
        with_id("pong", {"now_ns": NOW_NS}),
        ({"op": "pong", "id": 10, "now_ns": 1626316203000000000},),
    ),
    Message(
        "error",
        "A request that makes no sense, or is not allowed; the connection mostly lives on",
        with_id(
            "error",
            {
                "code": CODE,
                "error": {"enum": [code.name.lower() for code in ErrorCode]},
                "message": text("for people"),
                "retry": RETRY_WORD,
            },
        ),
        (
            {
                "op": "error",
                "id": 6,
                "code": 4000,
                "error": "bad_request",
                "message": 'topics is a list of names such as "trade.FPT"',
                "retry": "none",
            },
        ),
    ),
)

"""The protocol as an AsyncAPI 3 document, generated from the channel table.

In: channels, codes, errors, presets. Out: `document`. What a row looks like is derived from its
dtype (``data``); verbs, answers and notices are tables of messages with examples. Tests hold it to
the frames that the codecs write.
"""

from typing import Final
from urllib.parse import urlsplit

import engine
from gateway.asyncapi.answers import ANSWERS, LISTED_CHANNEL
from gateway.asyncapi.data import data_schema, merged_schema
from gateway.asyncapi.notices import (
    DELTA,
    NOTICES,
    PUBLIC,
    SERVICE_RESTART,
    SNAP,
    delta_schema,
    snap_schema,
)
from gateway.asyncapi.parts import GRANT, LAYOUT, Message, Schema
from gateway.asyncapi.verbs import VERBS
from gateway.errors import RETRY
from gateway.layouts import describe
from gateway.presets import PRESETS
from gateway.upgrade import BINARY_PROTOCOL, FORMATS, WS_PATH

BINARY_NAME: Final = "frame"
TOLD: Final = (*NOTICES, *ANSWERS, SNAP, DELTA)  # what the gateway says, as JSON
MAIN: Final = "tape"  # the AsyncAPI channel that subscribes to nothing by itself

_ABOUT: Final = f"""\
A live, complete, explained tape of the Vietnamese exchanges. Every message is one JSON object in
one WebSocket text frame; its `op` says what it is. With the sub-protocol {BINARY_PROTOCOL} data
come as binary frames instead of snap and d, everything else stays JSON. Ignore members and ops you
do not know: new ones may come."""
_ABOUT_BINARY: Final = """\
Little-endian and packed: HEADER, KEY when type is 1 (snap), MERGED when bit 0 of flags is set, then
`count` rows byte for byte as their layout says; type 2 is d. n = seq of the last row - first_seq +
1. The verb schema tells all layouts."""


def document(server_url: str) -> dict[str, object]:
    """Return the AsyncAPI 3.0 document of a gateway, ready for JSON.

    Parameters
    ----------
    server_url
        Where clients connect, without the path of a channel: ``ws://127.0.0.1:8765`` or
        ``wss://tape.example``.

    Returns
    -------
    dict
        The document. Its schemas are JSON Schema, draft 7.

    Raises
    ------
    ValueError
        The URL is not one of ws or wss with a host and at most a path.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "vntape.v1",
            "version": engine.__version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"gateway": _server(server_url)},
        "channels": {
            MAIN: _channel(WS_PATH, "Subscribes to nothing by itself."),
            **{
                name: _channel(f"{WS_PATH}/{name}", f"Subscribes at once to {', '.join(topics)}.")
                for name, topics in PRESETS.items()
            },
        },
        "operations": {
            **{f"{MAIN}.{verb.name}": _asked(verb) for verb in VERBS},
            **{f"{name}.ask": _any(name, "receive", VERBS) for name in PRESETS},
            **{f"{name}.tell": _any(name, "send", TOLD) for name in (MAIN, *PRESETS)},
        },
        "components": {
            "messages": {
                **{message.name: _message(message) for message in (*VERBS, *TOLD)},
                BINARY_NAME: _binary(),
            },
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Authorization: Bearer at the upgrade, or the verb auth; never "
                    "in the URL. Without a tokens file nobody needs one.",
                }
            },
        },
    }


def _server(url: str) -> Schema:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("server_url is ws:// or wss:// with a host, and at most a path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("server_url holds no user and no password")
    path = parts.path.rstrip("/")
    return {
        "host": parts.netloc,
        "protocol": parts.scheme,
        **({"pathname": path} if path else {}),
        "security": [{"$ref": "#/components/securitySchemes/token"}],
    }


def _channel(address: str, description: str) -> Schema:
    names = [message.name for message in (*VERBS, *TOLD)]
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": "#/servers/gateway"}],
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"} for name in (*names, BINARY_NAME)
        },
        "bindings": {
            "ws": {
                "method": "GET",
                "headers": {
                    "type": "object",
                    "properties": {
                        "Sec-WebSocket-Protocol": {"type": "string", "enum": list(FORMATS)},
                        "Authorization": {"type": "string", "description": "Bearer and the token"},
                    },
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {
            str(SERVICE_RESTART): {"name": "shutdown", "retry": "reconnect"},
            **{
                str(int(code)): {"name": code.name.lower(), "retry": retry}
                for code, retry in RETRY.items()
            },
        },
    }


def _at(channel: str) -> Schema:
    return {"$ref": f"#/channels/{channel}"}


def _of(channel: str, names: tuple[str, ...]) -> list[Schema]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]


def _asked(verb: Message) -> Schema:
    """Return the operation of a verb and its answers."""
    return {
        "action": "receive",
        "channel": _at(MAIN),
        "summary": verb.summary,
        "messages": _of(MAIN, (verb.name,)),
        "reply": {"channel": _at(MAIN), "messages": _of(MAIN, (*verb.answers, "error"))},
    }


def _any(channel: str, action: str, messages: tuple[Message, ...]) -> Schema:
    names = tuple(message.name for message in messages)
    if action == "send":
        names = (*names, BINARY_NAME)
    return {"action": action, "channel": _at(channel), "messages": _of(channel, names)}


def _message(message: Message) -> Schema:
    examples = [{"payload": dict(example)} for example in message.examples]
    return {
        "name": message.name,
        "summary": message.summary,
        "payload": message.payload,
        **({"examples": examples} if examples else {}),
    }


def _binary() -> Schema:
    return {
        "name": BINARY_NAME,
        "summary": f"Rows of a key as bytes: data frames of {BINARY_PROTOCOL}",
        "description": _ABOUT_BINARY,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
        "x-layouts": dict(describe()),
    }


def _schemas() -> dict[str, Schema]:
    found = {
        "grant": GRANT,
        "layout": LAYOUT,
        "listed_channel": LISTED_CHANNEL,
        "merged": merged_schema(),
    }
    for channel in PUBLIC:
        found[f"data.{channel.name}"] = data_schema(channel)
        found[f"snap.{channel.name}"] = snap_schema(channel)
        found[f"d.{channel.name}"] = delta_schema(channel)
    return found

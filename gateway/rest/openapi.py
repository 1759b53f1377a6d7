"""The REST interface as an OpenAPI 3.1 document, generated from the route table. Pure."""

import re
from collections.abc import Sequence
from typing import Any, Final

from engine.history.tables import TABLES
from gateway.rest.errors import WORDS
from gateway.rest.parameters import CODE_CHARS_MAX
from gateway.rest.routes import EVERY_STATUS, JSON, ROUTES, Route

MEANINGS: Final = {
    200: "The answer",
    304: "The client has it already: If-None-Match names the state that would be shown",
    401: "No token, or no good one",
    403: "The token's scopes do not reach it, or only this machine may ask",
    404: "There is no such thing",
    405: "Only GET and HEAD",
    406: "Nothing that Accept takes",
    422: "A parameter that cannot be; `field` names it",
    429: "Too many requests from this address",
    500: "A bug: the log has it",
    503: "Not now; Retry-After may say when",
}
TITLE: Final = "vntape REST"
VERSION: Final = "1"


def document(routes: Sequence[Route] = ROUTES, *, secured: bool = True) -> dict[str, Any]:
    """Return the document, ready for JSON.

    Parameters
    ----------
    routes
        What there is.
    secured
        Whether tokens are asked for.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "description": "The Vietnamese stock market's tape over HTTP. Numbers are written "
            "as on the WebSocket. Every answer of /api/market has an ETag: poll with "
            "If-None-Match.",
        },
        "paths": {route.path: {"get": _operation(route, secured)} for route in routes},
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "field", "message"],
                    "properties": {
                        "error": {"type": "string", "enum": sorted(set(WORDS.values()))},
                        "field": {"type": "string", "description": "parameter or header"},
                        "message": {"type": "string"},
                    },
                },
                "State": {
                    "type": "object",
                    "description": "A key's latest row, `data` as channel rows on the WebSocket",
                    "required": ["topic", "seq", "data"],
                    "properties": {
                        "topic": {"type": "string"},
                        "seq": {"type": "integer"},
                        "data": {"type": "object"},
                    },
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, secured: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {
            str(status): _response(route, status)
            for status in sorted({*EVERY_STATUS, *route.statuses})
        },
    }
    if secured and route.guard != "open":
        found["security"] = [{"token": []}]
    if 304 in route.statuses:
        found["parameters"].append(
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}
        )
    return found


def _in_path(route: Route) -> list[dict[str, Any]]:
    found = []
    for name in re.findall(r"{(\w+)}", route.path):
        schema: dict[str, Any] = {"type": "string", "maxLength": CODE_CHARS_MAX}
        if name == "table":
            schema = {"type": "string", "enum": [table.name for table in TABLES]}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _in_query(route: Route) -> list[dict[str, Any]]:
    found = []
    for parameter in route.parameters:
        told: dict[str, Any] = {
            "name": parameter.name,
            "in": "query",
            "description": parameter.meaning,
            "required": parameter.required,
            "schema": parameter.schema(),
        }
        if parameter.type == "codes":
            told |= {"style": "form", "explode": False}
        found.append(told)
    return found


def _response(route: Route, status: int) -> dict[str, Any]:
    told: dict[str, Any] = {"description": MEANINGS[status]}
    if status == 200:
        told["content"] = {media: {"schema": _schema(media)} for media in route.media}
        if 304 in route.statuses:
            told["headers"] = {"ETag": {"schema": {"type": "string"}}}
    elif status == 503 and route.name == "readyz":
        told["content"] = {JSON: {"schema": {"type": "object"}}}
    elif status != 304:
        told["content"] = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return told


def _schema(media: str) -> dict[str, Any]:
    return {"type": "object"} if media == JSON else {"type": "string"}

"""What a request is refused with: one shape of JSON for every refusal."""

from typing import Final

import orjson
from aiohttp import web

WORDS: Final = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    422: "bad_parameter",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
}


class Refusal(Exception):
    """The request gets no answer but this one.

    Attributes
    ----------
    status
        Of HTTP.
    field
        Which parameter or header; empty when it is none's fault.
    message
        What is wrong, and what would be right. Never quotes a secret.
    headers
        To be sent along.
    """

    def __init__(
        self, status: int, field: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.message = message
        self.headers = headers or {}

    def response(self) -> web.Response:
        """Return it as an answer."""
        told = {
            "error": WORDS.get(self.status, "bad_request"),
            "field": self.field,
            "message": self.message,
        }
        return json_response(orjson.dumps(told), self.status, self.headers)


class BadParameter(Refusal):
    """A parameter that cannot be: 422."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(422, field, message)


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an answer of JSON."""
    return web.Response(
        body=body, status=status, content_type="application/json", headers=headers or {}
    )
